//! Convolution without patches: the float kernels gather rows from a padded copy of the image.
//!
//! ```text
//!  x [h, w, c] ── pad ──> rows: `kernel` runs of kernel * c values    W as panels [ky, kx, c][out]
//!  y = rows W + b       dW = rowsᵀ dY       dx: phases.rs
//! ```
//!
//! One image at a time, so that everything stays in the cache.

use vmin_kernels::float::{Gather, Write};

use super::ParameterId;
use super::panels::{add_transposed, fill, panels};
use super::phases::phases;
use crate::real::Real;

/// A dense convolution with square kernel and bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// `[out, kernel, kernel, in]`.
    pub weights: ParameterId,
    /// `[out]`, if the layer has a bias.
    pub bias: Option<ParameterId>,
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

    /// Elements of the patch of an output pixel.
    fn patch(&self) -> usize {
        self.kernel * self.kernel * self.input[2]
    }

    /// Multiplications per image.
    #[must_use]
    pub fn macs(&self) -> usize {
        self.rows() * self.patch() * self.output[2]
    }

    /// Without a bias, `bias` is empty.
    pub(super) fn forward<T: Real>(&self, x: &[T], weights: &[T], bias: &[T], y: &mut [T]) {
        let (rows, patch, out) = (self.rows(), self.patch(), self.output[2]);
        let weights = panels(patch, out, |k, output| weights[output * patch + k]);
        let (at, c_at) = (self.starts(), (0..rows).map(|row| row * out).collect::<Vec<_>>());
        let mut padded = Padded::new(self.input, [self.padding; 2]);
        let images = x.chunks_exact(self.input.iter().product());
        for (x, y) in images.zip(y.chunks_exact_mut(rows * out)) {
            let a = self.gather(padded.of(x), &at);
            let write = if bias.is_empty() { Write::Set } else { Write::Biased(bias) };
            T::kernel().rows(a, &weights, out, write, y, &c_at);
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
        for pixel in dy.chunks_exact(out) {
            // `dbias` is empty without a bias.
            dbias.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += value);
        }
        let at = self.starts();
        let mut sums = panels(patch, out, |_, _| T::zero());
        let mut right = panels(rows, out, |_, _| T::zero());
        let mut padded = Padded::new(self.input, [self.padding; 2]);
        for (x, dy) in x.chunks_exact(size).zip(dy.chunks_exact(rows * out)) {
            fill(&mut right, rows, out, |row, output| dy[row * out + output]);
            T::kernel().outer(self.gather(padded.of(x), &at), &right, out, &mut sums);
        }
        add_transposed(&sums, patch, out, dweights);
        let Some(dx) = dx else { return };
        let (phases, margin) = phases(self, weights);
        let mut padded = Padded::with_margins(self.output, margin);
        for (dx, dy) in dx.chunks_exact_mut(size).zip(dy.chunks_exact(rows * out)) {
            let values = padded.of(dy);
            for phase in &phases {
                let a = Gather { values, ..phase.gather() };
                T::kernel().rows(a, &phase.panels, self.input[2], Write::Add, dx, &phase.to);
            }
        }
    }

    /// Start of the patch of every output pixel in the padded image.
    fn starts(&self) -> Vec<usize> {
        let width = self.input[1] + 2 * self.padding;
        let columns = self.output[1];
        let start = |pixel: usize| {
            let (row, column) = (pixel / columns, pixel % columns);
            (row * width + column) * self.stride * self.input[2]
        };
        (0..self.rows()).map(start).collect()
    }

    fn gather<'a, T>(&self, values: &'a [T], at: &'a [usize]) -> Gather<'a, T> {
        let [_, width, channels] = self.input;
        let stride = (width + 2 * self.padding) * channels;
        Gather { values, at, runs: self.kernel, stride, run: self.kernel * channels }
    }
}

/// Buffer for one image with a margin of zeros.
struct Padded<T> {
    values: Vec<T>,
    shape: [usize; 3],
    /// `[[top, bottom], [left, right]]`.
    margin: [[usize; 2]; 2],
}

impl<T: Real> Padded<T> {
    fn new(shape: [usize; 3], margin: [usize; 2]) -> Self {
        Self::with_margins(shape, margin.map(|margin| [margin; 2]))
    }

    fn with_margins(shape: [usize; 3], margin: [[usize; 2]; 2]) -> Self {
        let [height, width, channels] = shape;
        let size = (height + margin[0][0] + margin[0][1]) * (width + margin[1][0] + margin[1][1]);
        let none = margin == [[0; 2]; 2];
        Self { values: vec![T::zero(); if none { 0 } else { size * channels }], shape, margin }
    }

    /// The image with its margin, or the image itself without one.
    fn of<'a>(&'a mut self, image: &'a [T]) -> &'a [T] {
        if self.values.is_empty() {
            return image;
        }
        let [_, width, channels] = self.shape;
        let [[top, _], [left, right]] = self.margin;
        let padded = (left + width + right) * channels;
        let rows = self.values[top * padded..].chunks_exact_mut(padded);
        for (row, image) in rows.zip(image.chunks_exact(width * channels)) {
            row[left * channels..][..image.len()].copy_from_slice(image);
        }
        &self.values
    }
}
