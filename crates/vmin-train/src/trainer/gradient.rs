//! The gradient of one batch, and how two of them are joined.

use crate::CHUNK_IMAGES;
use crate::network::{
    Batch, BatchSum, Gradients, Network, Normalization, Workspace, batch_gradient,
};

/// The gradient of the mean loss of a batch: chunks in parallel, their sum in order.
pub(super) fn gradient(
    net: &Network,
    parameters: &[Vec<f32>],
    (inputs, labels): (&[f32], &[u8]),
    normalization: Normalization<'_, f32>,
    room: &mut Workspace<f32>,
) -> BatchSum<f32> {
    let batch = Batch { inputs, labels, scale: 1.0 / labels.len() as f32 };
    batch_gradient(net, parameters, &batch, CHUNK_IMAGES, normalization, room)
}

/// Clamps each element to `[-limit, limit]`.
pub(super) fn clamp(gradients: &mut Gradients<f32>, limit: f32) {
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
