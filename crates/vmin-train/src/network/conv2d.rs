//! Convolution by patches: `y = P Wᵀ + b`, where row i of P holds what output pixel i sees.
//!
//! ```text
//!  x [h, w, c] ──im2col──> P [oh*ow, k*k*c]      W [out, k*k*c]
//!  y = P Wᵀ          dW = dYᵀ P          dP = dY W ──col2im──> dx
//! ```
//!
//! One image at a time, so that P stays in the cache.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::ParameterId;
use crate::real::Real;

/// A dense convolution with square kernel and bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// `[out, kernel, kernel, in]`.
    pub weights: ParameterId,
    /// `[out]`.
    pub bias: ParameterId,
    /// `[height, width, channels]` of the input.
    pub input: [usize; 3],
    /// `[height, width, channels]` of the output.
    pub output: [usize; 3],
    /// Height and width of the kernel.
    pub kernel: usize,
    /// Stride in both directions.
    pub stride: usize,
    /// Zeros on every side.
    pub padding: usize,
}

impl Conv2d {
    /// Output pixels.
    fn rows(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Values each output pixel sees.
    fn patch(&self) -> usize {
        self.kernel * self.kernel * self.input[2]
    }

    /// Multiplications per image.
    #[must_use]
    pub fn macs(&self) -> usize {
        self.rows() * self.patch() * self.output[2]
    }

    pub(super) fn forward<T: Real>(&self, x: &[T], weights: &[T], bias: &[T], y: &mut [T]) {
        let (rows, patch, out) = (self.rows(), self.patch(), self.output[2]);
        let weights = matrix(weights, out, patch);
        let mut patches = vec![T::zero(); rows * patch];
        let images = x.chunks_exact(self.input.iter().product());
        for (x, y) in images.zip(y.chunks_exact_mut(rows * out)) {
            self.gather(x, &mut patches);
            for pixel in y.chunks_exact_mut(out) {
                pixel.copy_from_slice(bias);
            }
            let mut y = matrix_mut(y, rows, out);
            general_mat_mul(
                T::one(),
                &matrix(&patches, rows, patch),
                &weights.t(),
                T::one(),
                &mut y,
            );
        }
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
        let (rows, patch, out) = (self.rows(), self.patch(), self.output[2]);
        let size: usize = self.input.iter().product();
        let weights = matrix(weights, out, patch);
        let mut dweights = matrix_mut(dweights, out, patch);
        let mut patches = vec![T::zero(); rows * patch];
        for (x, dy) in x.chunks_exact(size).zip(dy.chunks_exact(rows * out)) {
            self.gather(x, &mut patches);
            let dy = matrix(dy, rows, out);
            general_mat_mul(
                T::one(),
                &dy.t(),
                &matrix(&patches, rows, patch),
                T::one(),
                &mut dweights,
            );
        }
        for pixel in dy.chunks_exact(out) {
            dbias.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += value);
        }
        let Some(dx) = dx else { return };
        for (dx, dy) in dx.chunks_exact_mut(size).zip(dy.chunks_exact(rows * out)) {
            let mut into = matrix_mut(&mut patches, rows, patch);
            general_mat_mul(T::one(), &matrix(dy, rows, out), &weights, T::zero(), &mut into);
            self.scatter(&patches, dx);
        }
    }

    /// Copies what each output pixel sees into its row of `patches`.
    fn gather<T: Real>(&self, x: &[T], patches: &mut [T]) {
        let channels = self.input[2];
        self.for_each_tap(|tap, pixel| {
            let into = &mut patches[tap * channels..(tap + 1) * channels];
            match pixel {
                Some(pixel) => into.copy_from_slice(&x[pixel * channels..(pixel + 1) * channels]),
                None => into.fill(T::zero()),
            }
        });
    }

    /// The transpose of [`gather`](Self::gather): adds every row of `patches` where it came from.
    fn scatter<T: Real>(&self, patches: &[T], dx: &mut [T]) {
        let channels = self.input[2];
        self.for_each_tap(|tap, pixel| {
            let Some(pixel) = pixel else { return };
            let from = &patches[tap * channels..(tap + 1) * channels];
            let into = &mut dx[pixel * channels..(pixel + 1) * channels];
            into.iter_mut().zip(from).for_each(|(sum, &value)| *sum += value);
        });
    }

    /// Visits all (output pixel, kernel row, kernel column) in order with the input pixel, if any.
    fn for_each_tap(&self, mut visit: impl FnMut(usize, Option<usize>)) {
        let [height, width, _] = self.input;
        let mut tap = 0;
        for row in 0..self.output[0] {
            for column in 0..self.output[1] {
                for ky in 0..self.kernel {
                    let y = (row * self.stride + ky).checked_sub(self.padding);
                    let y = y.filter(|&y| y < height);
                    for kx in 0..self.kernel {
                        let x = (column * self.stride + kx).checked_sub(self.padding);
                        let x = x.filter(|&x| x < width);
                        visit(tap, y.zip(x).map(|(y, x)| y * width + x));
                        tap += 1;
                    }
                }
            }
        }
    }
}

pub(super) fn matrix<T>(values: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), values).expect("sizes were fixed by the builder")
}

pub(super) fn matrix_mut<T>(values: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), values).expect("sizes were fixed by the builder")
}
