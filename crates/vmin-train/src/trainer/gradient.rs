//! The gradient of one batch, and how two of them are joined.

use rayon::prelude::*;

use crate::CHUNK_IMAGES;
use crate::loss::cross_entropy;
use crate::network::{Gradients, Network, backward, forward};

/// What one pass over a batch sums.
pub(super) struct StepSum {
    /// Of the mean loss of the batch.
    pub(super) gradients: Gradients<f32>,
    /// Sum over the images.
    pub(super) loss: f64,
    /// Wrong images.
    pub(super) wrong: usize,
}

/// The gradient of the mean loss of a batch: chunks in parallel, their sum in order.
pub(super) fn gradient(
    net: &Network,
    parameters: &[Vec<f32>],
    inputs: &[f32],
    labels: &[u8],
) -> StepSum {
    let size = inputs.len() / labels.len();
    let scale = 1.0 / labels.len() as f32;
    let chunks: Vec<StepSum> = labels
        .par_chunks(CHUNK_IMAGES)
        .zip(inputs.par_chunks(CHUNK_IMAGES * size))
        .map(|(labels, inputs)| {
            let values = forward(net, parameters, inputs.to_vec());
            let logits = &values[net.output().0];
            let loss = cross_entropy(logits, labels, net.classes(), scale);
            let gradients = backward(net, parameters, &values, loss.dlogits);
            StepSum { gradients, loss: loss.sum, wrong: loss.wrong }
        })
        .collect();
    let sum = chunks.into_iter().reduce(|mut sum, chunk| {
        for (sum, values) in sum.gradients.iter_mut().zip(&chunk.gradients) {
            sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
        }
        sum.loss += chunk.loss;
        sum.wrong += chunk.wrong;
        sum
    });
    sum.expect("a batch has at least one image")
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
