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
        let channels = self.input[2];
        let (inputs, outputs) = self.sizes();
        for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
            for (pixel, y) in y.chunks_exact_mut(channels).enumerate() {
                let seen = self.seen_by(pixel).map(|at| &x[at..at + channels]);
                match self.kind {
                    PoolKind::Average => {
                        y.fill(T::zero());
                        seen.for_each(|x| y.iter_mut().zip(x).for_each(|(y, &x)| *y += x));
                        y.iter_mut().for_each(|y| *y /= area);
                    }
                    PoolKind::Max => {
                        y.fill(T::neg_infinity());
                        seen.for_each(|x| {
                            for (y, &x) in y.iter_mut().zip(x) {
                                *y = if x > *y { x } else { *y };
                            }
                        });
                    }
                }
            }
        }
    }

    /// Adds to `dx`: the same share to every element, or everything to the first maximum.
    pub(super) fn backward<T: Real>(&self, x: &[T], y: &[T], dy: &[T], dx: &mut [T]) {
        let area = T::of((self.window[0] * self.window[1]) as f64);
        let channels = self.input[2];
        let (inputs, outputs) = self.sizes();
        let images = x.chunks_exact(inputs).zip(dx.chunks_exact_mut(inputs));
        let gradients = y.chunks_exact(outputs).zip(dy.chunks_exact(outputs));
        let mut left = vec![T::zero(); channels];
        for ((x, dx), (y, dy)) in images.zip(gradients) {
            let pixels = y.chunks_exact(channels).zip(dy.chunks_exact(channels));
            for (pixel, (y, dy)) in pixels.enumerate() {
                left.copy_from_slice(dy);
                for at in self.seen_by(pixel) {
                    let dx = &mut dx[at..at + channels];
                    let x = &x[at..at + channels];
                    match self.kind {
                        PoolKind::Average => {
                            dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy / area);
                        }
                        PoolKind::Max => {
                            let values = x.iter().zip(y);
                            for ((dx, left), (&x, &y)) in dx.iter_mut().zip(&mut left).zip(values) {
                                let (given, kept) =
                                    if x == y { (*left, T::zero()) } else { (T::zero(), *left) };
                                *dx += given;
                                *left = kept;
                            }
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

    /// Starts of the input pixels in the window of output pixel `pixel`, in scan order.
    fn seen_by(&self, pixel: usize) -> impl Iterator<Item = usize> {
        let [_, width, channels] = self.input;
        let [rows, columns] = self.window;
        let top = pixel / (width / columns) * rows;
        let left = pixel % (width / columns) * columns;
        (0..rows * columns).map(move |tap| {
            let (y, x) = (top + tap / columns, left + tap % columns);
            (y * width + x) * channels
        })
    }
}
