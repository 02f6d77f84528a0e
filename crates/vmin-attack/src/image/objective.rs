//! What an attack on images raises.

/// What an attack raises, image by image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// The cross-entropy of the label.
    CrossEntropy,
    /// The confidence of the most confident other class.
    WrongConfidence,
    /// The logarithm of the label's confidence: the label is the class that is wanted.
    Target,
}

impl Objective {
    /// Its value by the confidences of all classes.
    #[must_use]
    pub fn of(self, confidences: &[f32], label: u8) -> f64 {
        let label = usize::from(label);
        // A confidence of 0 is one too small for an f32.
        let log = |class: usize| libm::log(f64::from(confidences[class].max(f32::MIN_POSITIVE)));
        match self {
            Self::CrossEntropy => -log(label),
            Self::WrongConfidence => {
                let others = confidences.iter().enumerate().filter(|&(class, _)| class != label);
                others.map(|(_, &confidence)| f64::from(confidence)).fold(0.0, f64::max)
            }
            Self::Target => log(label),
        }
    }
}
