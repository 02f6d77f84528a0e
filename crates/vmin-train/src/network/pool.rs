//! Maximum and average over square windows that tile the image, channel by channel.

use vmin_nn::PoolKind;

use crate::real::Real;

/// A pooling window without padding, `stride = window`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool2d {
    /// Average or maximum.
    pub kind: PoolKind,
    /// `[height, width, channels]` of the input.
    pub input: [usize; 3],
    /// `[height, width]` of the window, each at most that of the input.
    pub window: [usize; 2],
}

impl Pool2d {
    /// `[height, width, channels]` of the output; rows that fill no window are dropped.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        let [height, width, channels] = self.input;
        [height / self.window[0], width / self.window[1], channels]
    }

    pub(super) fn forward<T: Real>(&self, x: &[T], y: &mut [T]) {
        let area = T::of((self.window[0] * self.window[1]) as f64);
        let (inputs, outputs) = self.sizes();
        for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
            for (at, y) in y.iter_mut().enumerate() {
                let values = self.seen_by(at).map(|index| x[index]);
                *y = match self.kind {
                    PoolKind::Average => values.fold(T::zero(), |sum, value| sum + value) / area,
                    PoolKind::Max => {
                        values.fold(T::neg_infinity(), |a, b| if b > a { b } else { a })
                    }
                };
            }
        }
    }

    /// Adds to `dx`: a share to every element, or all to the first that is the maximum.
    pub(super) fn backward<T: Real>(&self, x: &[T], y: &[T], dy: &[T], dx: &mut [T]) {
        let area = T::of((self.window[0] * self.window[1]) as f64);
        let (inputs, outputs) = self.sizes();
        let images = x.chunks_exact(inputs).zip(dx.chunks_exact_mut(inputs));
        let gradients = y.chunks_exact(outputs).zip(dy.chunks_exact(outputs));
        for ((x, dx), (y, dy)) in images.zip(gradients) {
            for (at, (&y, &dy)) in y.iter().zip(dy).enumerate() {
                match self.kind {
                    PoolKind::Average => self.seen_by(at).for_each(|index| dx[index] += dy / area),
                    PoolKind::Max => {
                        if let Some(index) = self.seen_by(at).find(|&index| x[index] == y) {
                            dx[index] += dy;
                        }
                    }
                }
            }
        }
    }

    /// Elements per image of input and output.
    fn sizes(&self) -> (usize, usize) {
        (self.input.iter().product(), self.output().iter().product())
    }

    /// Indices of the input elements in the window of output element `at`, in scan order.
    fn seen_by(&self, at: usize) -> impl Iterator<Item = usize> {
        let [_, width, channels] = self.input;
        let [rows, columns] = self.window;
        let (pixel, channel) = (at / channels, at % channels);
        let top = pixel / (width / columns) * rows;
        let left = pixel % (width / columns) * columns;
        (0..rows * columns).map(move |tap| {
            let (y, x) = (top + tap / columns, left + tap % columns);
            (y * width + x) * channels + channel
        })
    }
}
