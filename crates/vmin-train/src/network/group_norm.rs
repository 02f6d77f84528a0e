//! Group normalization: `y = (1 + a) (x - mean) / sqrt(variance + 1e-5) + b`.
//!
//! Mean and variance are those of one image and one group of neighbouring channels (Y. Wu, K. He, "Group
//! Normalization", ECCV 2018), in training as in deployment: there are no running averages, and images are
//! independent. The trained scale is `a`, as in batch normalization. The papers on bit errors use it throughout,
//! because bit errors do more harm to a network that relies on running averages of error-free weights.

use super::ParameterId;
use super::batch_norm::{EPSILON, Sums};
use crate::real::Real;

/// A normalization of each image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNorm {
    /// `[channels]`: `a` of the scale `1 + a`.
    pub scale: ParameterId,
    /// `[channels]`: `b`.
    pub shift: ParameterId,
    /// Shape `[height, width, channels]`.
    pub shape: [usize; 3],
    /// Groups of channels; divides their number.
    pub groups: usize,
}

/// Groups of the papers for a number of channels: the first of 32, 24, 16, 8 (each at most half the channels) that
/// divides it; one group if none does.
pub(super) fn usual_groups(channels: usize) -> usize {
    let groups = [32, 24, 16, 8].map(|groups: usize| groups.min(channels / 2));
    groups.into_iter().find(|&groups| groups > 0 && channels.is_multiple_of(groups)).unwrap_or(1)
}

/// Moments of one group of one image.
#[derive(Clone, Copy, Debug)]
pub struct GroupMoments {
    /// The mean.
    pub mean: f64,
    variance: f64,
    /// One over the deviation.
    pub inverse: f64,
}

impl GroupNorm {
    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.shape[2]
    }

    fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Values of a group.
    #[must_use]
    pub fn count(&self) -> f64 {
        (self.elements() / self.groups) as f64
    }

    /// Sums of two values per group of an image: within a pixel in `T`, over the pixels in f64.
    fn sums<T: Real>(&self, x: &[T], y: &[T], of: impl Fn(usize, T, T) -> [T; 2]) -> Vec<[f64; 2]> {
        let (channels, of_group) = (self.channels(), self.channels() / self.groups);
        let mut sums = vec![[0.0; 2]; self.groups];
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact(channels)) {
            for (group, sums) in sums.iter_mut().enumerate() {
                let range = group * of_group..(group + 1) * of_group;
                let [mut first, mut second] = [T::zero(); 2];
                for channel in range {
                    let [a, b] = of(channel, x[channel], y[channel]);
                    first += a;
                    second += b;
                }
                sums[0] += first.wide();
                sums[1] += second.wide();
            }
        }
        sums
    }

    fn moments<T: Real>(&self, x: &[T]) -> Vec<GroupMoments> {
        self.moments_of(self.sums(x, x, |_, x, _| [x, x * x]))
    }

    /// Moments from the sum and the sum of squares of each group.
    #[must_use]
    pub fn moments_of(&self, sums: Sums) -> Vec<GroupMoments> {
        let count = self.count();
        let moments = sums.into_iter().map(|[sum, squares]| {
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0);
            GroupMoments { mean, variance, inverse: 1.0 / libm::sqrt(variance + EPSILON) }
        });
        moments.collect()
    }

    /// Means and variances of each group, each summed over the images.
    pub(crate) fn moments_sum(&self, x: &[f32]) -> Vec<[f64; 2]> {
        let mut sums = vec![[0.0; 2]; self.groups];
        for image in x.chunks_exact(self.elements()) {
            for (sum, GroupMoments { mean, variance, .. }) in
                sums.iter_mut().zip(self.moments(image))
            {
                sum[0] += mean;
                sum[1] += variance;
            }
        }
        sums
    }

    pub(super) fn forward<T: Real>(&self, x: &[T], scale: &[T], shift: &[T], y: &mut [T]) {
        let (channels, size) = (self.channels(), self.elements());
        let mut lines = vec![[T::zero(); 2]; channels];
        for (x, y) in x.chunks_exact(size).zip(y.chunks_exact_mut(size)) {
            self.lines(&self.moments(x), scale, shift, &mut lines);
            for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
                for ((y, &x), &[factor, term]) in y.iter_mut().zip(x).zip(&lines) {
                    *y = x * factor + term;
                }
            }
        }
    }

    /// `y` as factor and term of a line in `x`, for each channel of an image.
    pub fn lines<T: Real>(
        &self,
        moments: &[GroupMoments],
        scale: &[T],
        shift: &[T],
        lines: &mut [[T; 2]],
    ) {
        let of_group = self.channels() / self.groups;
        for (channel, line) in lines.iter_mut().enumerate() {
            let GroupMoments { mean, inverse, .. } = moments[channel / of_group];
            let factor = (T::one() + scale[channel]) * T::of(inverse);
            *line = [factor, shift[channel] - T::of(mean) * factor];
        }
    }

    /// Adds to the gradients of input, scale and shift.
    pub(super) fn backward<T: Real>(
        &self,
        (x, dy): (&[T], &[T]),
        scale: &[T],
        dx: &mut [T],
        dscale: &mut [T],
        dshift: &mut [T],
    ) {
        let (channels, of_group) = (self.channels(), self.channels() / self.groups);
        let (size, count) = (self.elements(), self.count());
        let mut totals = vec![[0.0_f64; 2]; channels];
        let images = x.chunks_exact(size).zip(dy.chunks_exact(size));
        for ((x, dy), dx) in images.zip(dx.chunks_exact_mut(size)) {
            let moments = self.moments(x);
            let of: Vec<[T; 2]> =
                moments.iter().map(|m| [T::of(m.mean), T::of(m.inverse)]).collect();
            let normal = |channel: usize, x: T| {
                let [mean, inverse] = of[channel / of_group];
                (x - mean) * inverse
            };
            for (x, dy) in x.chunks_exact(channels).zip(dy.chunks_exact(channels)) {
                for (channel, (total, (&x, &dy))) in
                    totals.iter_mut().zip(x.iter().zip(dy)).enumerate()
                {
                    total[0] += dy.wide();
                    total[1] += (dy * normal(channel, x)).wide();
                }
            }
            // dx = inverse (g - mean of g - normalized * mean of g normalized) with g = (1 + a) dy.
            let sums = self.sums(x, dy, |channel, x, dy| {
                let g = (T::one() + scale[channel]) * dy;
                [g, g * normal(channel, x)]
            });
            let shares: Vec<[T; 2]> =
                sums.iter().map(|&[a, b]| [T::of(a / count), T::of(b / count)]).collect();
            let rows = x.chunks_exact(channels).zip(dy.chunks_exact(channels));
            for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(channels)) {
                for (channel, (dx, (&x, &dy))) in dx.iter_mut().zip(x.iter().zip(dy)).enumerate() {
                    let [mean, along] = shares[channel / of_group];
                    let g = (T::one() + scale[channel]) * dy;
                    let inverse = of[channel / of_group][1];
                    *dx += inverse * (g - mean - normal(channel, x) * along);
                }
            }
        }
        for (channel, [shift, scale]) in totals.into_iter().enumerate() {
            dshift[channel] += T::of(shift);
            dscale[channel] += T::of(scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::usual_groups;

    #[test]
    fn groups_are_those_of_the_papers() {
        for (channels, groups) in [(16, 8), (32, 16), (64, 32), (128, 32), (48, 24), (2, 1), (1, 1)]
        {
            assert_eq!(usual_groups(channels), groups, "{channels}");
        }
    }
}
