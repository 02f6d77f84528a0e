//! Fully connected layer: `y = x Wᵀ + b` over a whole chunk of images.

use ndarray::linalg::general_mat_mul;

use super::ParameterId;
use super::conv2d::{matrix, matrix_mut};
use crate::real::Real;

/// Every output sees every input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullyConnected {
    /// `[out, in]`.
    pub weights: ParameterId,
    /// `[out]`.
    pub bias: ParameterId,
    /// Values per image of the input.
    pub inputs: usize,
    /// Values per image of the output.
    pub outputs: usize,
}

impl FullyConnected {
    pub(super) fn forward<T: Real>(&self, x: &[T], weights: &[T], bias: &[T], y: &mut [T]) {
        for image in y.chunks_exact_mut(self.outputs) {
            image.copy_from_slice(bias);
        }
        let images = y.len() / self.outputs;
        let x = matrix(x, images, self.inputs);
        let weights = matrix(weights, self.outputs, self.inputs);
        let mut y = matrix_mut(y, images, self.outputs);
        general_mat_mul(T::one(), &x, &weights.t(), T::one(), &mut y);
    }

    /// Adds to the three gradients; `dx` is `None` at the input of the network.
    pub(super) fn backward<T: Real>(
        &self,
        x: &[T],
        weights: &[T],
        dy: &[T],
        dx: Option<&mut [T]>,
        dweights: &mut [T],
        dbias: &mut [T],
    ) {
        for image in dy.chunks_exact(self.outputs) {
            dbias.iter_mut().zip(image).for_each(|(sum, &value)| *sum += value);
        }
        let images = dy.len() / self.outputs;
        let dy = matrix(dy, images, self.outputs);
        let x = matrix(x, images, self.inputs);
        let mut dweights = matrix_mut(dweights, self.outputs, self.inputs);
        general_mat_mul(T::one(), &dy.t(), &x, T::one(), &mut dweights);
        if let Some(dx) = dx {
            let weights = matrix(weights, self.outputs, self.inputs);
            let mut dx = matrix_mut(dx, images, self.inputs);
            general_mat_mul(T::one(), &dy, &weights, T::one(), &mut dx);
        }
    }
}
