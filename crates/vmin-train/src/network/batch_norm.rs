//! Batch normalization: `y = (1 + a) (x - mean) / sqrt(variance + 1e-5) + b` per channel.
//!
//! The trained scale is `a`, not `1 + a`, so that clipping, weight decay and quantization pull the scale
//! towards one and not towards zero ("Bit Error Robustness for Energy-Efficient DNN Accelerators",
//! MLSys 2021, section 4.2). In training mean and variance are those of the whole batch, so all
//! chunks of a batch join here (`batch.rs`); in evaluation and deployment they are running averages.

use super::ParameterId;
use crate::real::Real;

/// Added to the variance so that the deviation is not 0.
pub(crate) const EPSILON: f64 = 1e-5;
/// Pixels of a block: summed in the type of the values, blocks in f64.
const BLOCK_PIXELS: usize = 32;
/// Weight of a new batch in the running averages.
const MOMENTUM: f32 = 0.1;

/// Normalization of each channel over batch and image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchNorm {
    /// `[channels]`: `a` of the scale `1 + a`.
    pub scale: ParameterId,
    /// `[channels]`: `b`.
    pub shift: ParameterId,
    /// Index in [`Network::statistics`](super::Network::statistics).
    pub statistics: usize,
    /// Channels.
    pub channels: usize,
}

/// Mean and variance of every channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Mean per channel.
    pub mean: Vec<f32>,
    /// Variance per channel.
    pub variance: Vec<f32>,
}

impl Statistics {
    /// Mean 0, variance 1.
    pub(crate) fn standard(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], variance: vec![1.0; channels] }
    }

    /// Moves running averages towards the statistics of a batch.
    pub(crate) fn absorb(&mut self, batch: &Self) {
        let pairs = [(&mut self.mean, &batch.mean), (&mut self.variance, &batch.variance)];
        for (running, batch) in pairs {
            for (running, batch) in running.iter_mut().zip(batch) {
                *running += MOMENTUM * (batch - *running);
            }
        }
    }

    /// `1 / sqrt(variance + epsilon)` per channel.
    pub(crate) fn inverse_deviations(&self) -> impl Iterator<Item = f64> {
        self.variance.iter().map(|&variance| 1.0 / libm::sqrt(f64::from(variance) + EPSILON))
    }
}

/// Mean and inverse deviation of every channel, as a pass uses them.
#[derive(Clone, Debug)]
pub struct Moments<T> {
    mean: Vec<T>,
    inverse_deviation: Vec<T>,
}

impl<T: Real> Moments<T> {
    /// Mean and inverse deviation of each channel.
    pub fn pairs(&self) -> impl Iterator<Item = [T; 2]> {
        self.mean.iter().zip(&self.inverse_deviation).map(|(&mean, &inverse)| [mean, inverse])
    }

    pub(super) fn running(statistics: &Statistics) -> Self {
        Self {
            mean: statistics.mean.iter().map(|&mean| T::of(f64::from(mean))).collect(),
            inverse_deviation: statistics.inverse_deviations().map(T::of).collect(),
        }
    }
}

/// Two sums per channel.
pub type Sums = Vec<[f64; 2]>;

/// Adds the sums of a chunk to those of the chunks before it.
pub(super) fn add_sums(mut all: Sums, chunk: &Sums) -> Sums {
    for (all, chunk) in all.iter_mut().zip(chunk) {
        all[0] += chunk[0];
        all[1] += chunk[1];
    }
    all
}

impl BatchNorm {
    /// Sum and sum of squares of every channel.
    pub(super) fn sums<T: Real>(&self, x: &[T]) -> Sums {
        self.blockwise(x, x, |x, _, [first, second]| {
            let first = first.iter_mut().zip(second);
            for ((sum, squares), &x) in first.zip(x) {
                *sum += x;
                *squares += x * x;
            }
        })
    }

    /// Two sums per channel over the pixels of two values: within short blocks of pixels in `T`, over the blocks
    /// in f64. That is nearly as exact as f64 throughout and several times faster.
    fn blockwise<T: Real>(
        &self,
        x: &[T],
        y: &[T],
        add: impl Fn(&[T], &[T], [&mut [T]; 2]),
    ) -> Sums {
        let channels = self.channels;
        let mut sums = vec![[0.0; 2]; channels];
        let (mut first, mut second) = (vec![T::zero(); channels], vec![T::zero(); channels]);
        let size = BLOCK_PIXELS * channels;
        for (x, y) in x.chunks(size).zip(y.chunks(size)) {
            first.fill(T::zero());
            second.fill(T::zero());
            for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact(channels)) {
                add(x, y, [&mut first, &mut second]);
            }
            for (sum, (&first, &second)) in sums.iter_mut().zip(first.iter().zip(&second)) {
                sum[0] += first.wide();
                sum[1] += second.wide();
            }
        }
        sums
    }

    /// Moments of `count` values per channel, and their unbiased form for the running averages.
    #[must_use]
    pub fn moments<T: Real>(sums: &Sums, count: usize) -> (Moments<T>, Statistics) {
        let mut moments = Moments { mean: Vec::new(), inverse_deviation: Vec::new() };
        let mut statistics = Statistics { mean: Vec::new(), variance: Vec::new() };
        let count = count as f64;
        for &[sum, squares] in sums {
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0);
            moments.mean.push(T::of(mean));
            moments.inverse_deviation.push(T::of(1.0 / libm::sqrt(variance + EPSILON)));
            statistics.mean.push(f32::of(mean));
            statistics.variance.push(f32::of(variance * count / (count - 1.0).max(1.0)));
        }
        (moments, statistics)
    }

    pub(super) fn forward<T: Real>(
        &self,
        x: &[T],
        scale: &[T],
        shift: &[T],
        moments: &Moments<T>,
        y: &mut [T],
    ) {
        let [factors, terms] = self.lines(scale, shift, moments);
        for (x, y) in x.chunks_exact(self.channels).zip(y.chunks_exact_mut(self.channels)) {
            for (y, (&x, (&factor, &term))) in
                y.iter_mut().zip(x.iter().zip(factors.iter().zip(&terms)))
            {
                *y = x * factor + term;
            }
        }
    }

    /// The gradients of shift and scale: sums of `dy` and of `dy` times the normalized value.
    pub(super) fn gradient_sums<T: Real>(&self, x: &[T], dy: &[T], moments: &Moments<T>) -> Sums {
        let Moments { mean, inverse_deviation } = moments;
        self.blockwise(x, dy, |x, dy, [first, second]| {
            let sums = first.iter_mut().zip(second);
            let moments = mean.iter().zip(inverse_deviation);
            let values = x.iter().zip(dy).zip(moments);
            for ((sum, products), ((&x, &dy), (&mean, &inverse))) in sums.zip(values) {
                *sum += dy;
                *products += dy * ((x - mean) * inverse);
            }
        })
    }

    /// Adds to `dx`; `sums` are over the `count` values per channel of the whole batch.
    pub(super) fn backward<T: Real>(
        &self,
        x: &[T],
        dy: &[T],
        scale: &[T],
        moments: &Moments<T>,
        (sums, count): (&Sums, usize),
        dx: &mut [T],
    ) {
        let lines = self.lines_back(scale, moments, (sums, count));
        let rows = x.chunks_exact(self.channels).zip(dy.chunks_exact(self.channels));
        for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(self.channels)) {
            for ((dx, (&x, &dy)), &[factor, slope, term]) in
                dx.iter_mut().zip(x.iter().zip(dy)).zip(&lines)
            {
                *dx += factor * dy - slope * x + term;
            }
        }
    }

    /// Adds to `dx` where the moments do not depend on `x`.
    pub(super) fn backward_constant<T: Real>(
        &self,
        dy: &[T],
        scale: &[T],
        moments: &Moments<T>,
        dx: &mut [T],
    ) {
        let factors = self.factors(scale, moments);
        let rows = dy.chunks_exact(self.channels).zip(dx.chunks_exact_mut(self.channels));
        for (dy, dx) in rows {
            for ((dx, &dy), &factor) in dx.iter_mut().zip(dy).zip(&factors) {
                *dx += factor * dy;
            }
        }
    }

    /// `y` as factor and term of a line in `x`, channel by channel.
    #[must_use]
    pub fn lines<T: Real>(&self, scale: &[T], shift: &[T], moments: &Moments<T>) -> [Vec<T>; 2] {
        let factors = self.factors(scale, moments);
        let terms = (0..self.channels).map(|c| shift[c] - moments.mean[c] * factors[c]).collect();
        [factors, terms]
    }

    /// The gradient of the input as lines, channel by channel: factor of `dy`, negative factor of `x` and
    /// term. `sums` are those of `dy` and of `dy` times the normalized value over `count` values per channel.
    #[must_use]
    pub fn lines_back<T: Real>(
        &self,
        scale: &[T],
        moments: &Moments<T>,
        (sums, count): (&Sums, usize),
    ) -> Vec<[T; 3]> {
        // dx = factor (dy - share of dy - normalized * share of products).
        let Moments { mean, inverse_deviation } = moments;
        let factors = self.factors(scale, moments);
        let share = |sum: f64| T::of(sum / count as f64);
        let line = |c: usize| {
            let slope = factors[c] * share(sums[c][1]) * inverse_deviation[c];
            [factors[c], slope, slope * mean[c] - factors[c] * share(sums[c][0])]
        };
        (0..self.channels).map(line).collect()
    }

    /// Factors of `x` in [`Self::lines`]; of `dy` in its gradient if the moments are constants.
    #[must_use]
    pub fn factors<T: Real>(&self, scale: &[T], moments: &Moments<T>) -> Vec<T> {
        let pairs = scale.iter().zip(&moments.inverse_deviation);
        pairs.map(|(&scale, &inverse)| (T::one() + scale) * inverse).collect()
    }
}
