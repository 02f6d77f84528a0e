//! The gradient of one batch, and how two of them are joined.

use crate::CHUNK_IMAGES;
use crate::network::{
    Batch, BatchSum, Forward, Gradients, Network, Normalization, Workspace, backward_batch,
    forward_batch,
};

/// One pass over a batch: chunks in parallel, their sum in order.
pub(super) struct Pass<'a> {
    pub(super) network: &'a Network,
    /// What the forward pass sees.
    pub(super) parameters: &'a [Vec<f32>],
    pub(super) batch: Batch<'a, f32>,
    pub(super) normalization: Normalization<'a, f32>,
}

impl Pass<'_> {
    pub(super) fn forward(&self, room: &mut Workspace<f32>) -> Forward<f32> {
        let Self { network, parameters, batch, normalization } = self;
        forward_batch(network, parameters, batch, CHUNK_IMAGES, *normalization, room)
    }

    /// The gradient of the mean loss, with what the loss of another pass changes by the moments of
    /// this one.
    pub(super) fn backward(
        &self,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
        room: &mut Workspace<f32>,
    ) -> BatchSum<f32> {
        let Self { network, parameters, batch, normalization } = self;
        backward_batch(network, parameters, batch, *normalization, forward, through, room)
    }
}

/// Clamps each element to `[-limit, limit]`, if there is a limit.
pub(super) fn clamp(gradients: &mut Gradients<f32>, limit: Option<f32>) {
    let Some(limit) = limit else { return };
    for value in gradients.iter_mut().flatten() {
        *value = value.clamp(-limit, limit);
    }
}

/// `(clean + perturbed) / 2` into `clean`.
pub(super) fn average(clean: &mut Gradients<f32>, perturbed: &Gradients<f32>) {
    for (clean, perturbed) in clean.iter_mut().zip(perturbed) {
        for (clean, &perturbed) in clean.iter_mut().zip(perturbed) {
            *clean = 0.5 * (*clean + perturbed);
        }
    }
}
