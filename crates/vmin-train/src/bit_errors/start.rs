//! When errors are injected: not before the network has learnt something.

/// Decides after every batch whether the next one is trained under errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StartRule {
    /// The threshold.
    pub(crate) loss: f64,
    /// Whether the next batch is trained under errors.
    pub(crate) active: bool,
}

impl StartRule {
    /// Takes note of the mean loss of a batch, and of its loss under errors if there were any: the
    /// next batch has errors iff `clean < 1.15 threshold` and `(clean + perturbed) / 2 <= threshold`.
    pub(crate) fn observe(&mut self, clean: f64, perturbed: Option<f64>) {
        let mean = f64::midpoint(clean, perturbed.unwrap_or(0.0));
        self.active = clean < 1.15 * self.loss && mean <= self.loss;
    }
}
