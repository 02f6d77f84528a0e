//! Fully connected layer: `y = x Wᵀ + b` over a whole chunk of images.

use vmin_kernels::float::{Gather, Write};

use super::ParameterId;
use super::panels::{add_transposed, panels};
use crate::real::Real;

/// A layer in which every output depends on every input.
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
        let weights = panels(self.inputs, self.outputs, |k, n| weights[n * self.inputs + k]);
        let (from, to) = (starts(x, self.inputs), starts(y, self.outputs));
        let x = gather(x, &from, self.inputs);
        T::kernel().rows(x, &weights, self.outputs, Write::Biased(bias), y, &to);
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
        let (from, to) = (starts(x, self.inputs), starts(dy, self.outputs));
        let right = panels(from.len(), self.outputs, |image, n| dy[image * self.outputs + n]);
        let mut sums = panels(self.inputs, self.outputs, |_, _| T::zero());
        T::kernel().outer(gather(x, &from, self.inputs), &right, self.outputs, &mut sums);
        add_transposed(&sums, self.inputs, self.outputs, dweights);
        if let Some(dx) = dx {
            let weights = panels(self.outputs, self.inputs, |k, n| weights[k * self.inputs + n]);
            let dy = gather(dy, &to, self.outputs);
            T::kernel().rows(dy, &weights, self.inputs, Write::Add, dx, &from);
        }
    }
}

/// Start of each image.
fn starts<T>(values: &[T], size: usize) -> Vec<usize> {
    (0..values.len()).step_by(size).collect()
}

fn gather<'a, T>(values: &'a [T], at: &'a [usize], run: usize) -> Gather<'a, T> {
    Gather { values, at, runs: 1, stride: 0, run }
}
