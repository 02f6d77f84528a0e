//! Balls of changes of an image, and what attacks need of them: sizes, projections, directions, random points.
//!
//! A change is added to an image whose values lie in 0..=1; the sum lies there too, so each value of a change has a
//! room of its own that holds 0. Sizes are those of whole images; L0 counts pixels, with all of their channels.

use crate::random::Stream;

/// Halvings in the search for a multiplier: more than an f64 has bits.
const HALVINGS: u32 = 64;

/// Share of the values that a step along the L1 norm moves.
const L1_SHARE: f64 = 0.01;

/// How the size of a change is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The largest change of a value.
    Linf,
    /// The square root of the sum of squares.
    L2,
    /// The sum of magnitudes.
    L1,
    /// The number of changed pixels.
    L0,
}

impl Norm {
    /// Every norm with its word.
    pub const WORDS: [(&str, Self); 4] =
        [("linf", Self::Linf), ("l2", Self::L2), ("l1", Self::L1), ("l0", Self::L0)];

    /// The size of a change of an image with so many channels.
    #[must_use]
    pub fn size(self, change: &[f32], channels: usize) -> f64 {
        let magnitudes = change.iter().map(|&by| f64::from(by.abs()));
        match self {
            Self::Linf => magnitudes.fold(0.0, f64::max),
            Self::L2 => libm::sqrt(magnitudes.map(|by| by * by).sum()),
            Self::L1 => magnitudes.sum(),
            Self::L0 => {
                let changed = |pixel: &&[f32]| pixel.iter().any(|&by| by != 0.0);
                change.chunks(channels).filter(changed).count() as f64
            }
        }
    }

    /// Moves a change to the nearest one (by Euclid) within the ball of radius `epsilon` that keeps the image in
    /// 0..=1.
    pub fn project(self, change: &mut [f32], image: &[f32], epsilon: f64, channels: usize) {
        let room = |(by, x): (&f32, &f32)| by.max(-x).min(1.0 - x);
        match self {
            Self::Linf => {
                let most = narrowed(epsilon);
                for (by, x) in change.iter_mut().zip(image) {
                    *by = room((by, x)).clamp(-most, most);
                }
            }
            Self::L2 => {
                let size = |factor: f64| {
                    let scaled = change.iter().map(|&by| narrowed(factor * f64::from(by)));
                    let squares = scaled.zip(image).map(|(by, x)| f64::from(room((&by, x))));
                    libm::sqrt(squares.map(|by| by * by).sum())
                };
                let factor = largest(1.0, |factor| size(factor) <= epsilon);
                for (by, x) in change.iter_mut().zip(image) {
                    *by = room((&narrowed(factor * f64::from(*by)), x));
                }
            }
            Self::L1 => {
                let shrunk = |by: f32, less: f64| {
                    let left = (f64::from(by.abs()) - less).max(0.0);
                    narrowed(left).copysign(by)
                };
                let size = |less: f64| -> f64 {
                    let left = change.iter().map(|&by| shrunk(by, less));
                    left.zip(image).map(|(by, x)| f64::from(room((&by, x)).abs())).sum()
                };
                let most = Self::Linf.size(change, channels);
                let less = most - largest(most, |kept| size(most - kept) <= epsilon);
                for (by, x) in change.iter_mut().zip(image) {
                    *by = room((&shrunk(*by, less), x));
                }
            }
            Self::L0 => {
                // What a pixel saves if it stays: the squared distance to 0, less that to its room.
                let saves = change.chunks(channels).zip(image.chunks(channels)).map(|(by, x)| {
                    let squares = by.iter().zip(x).map(|(by, x)| {
                        let out = f64::from(*by) - f64::from(room((by, x)));
                        f64::from(*by) * f64::from(*by) - out * out
                    });
                    squares.sum()
                });
                let saves: Vec<f64> = saves.collect();
                keep_largest(change, &saves, count(epsilon), channels);
                change.iter_mut().zip(image).for_each(|(by, x)| *by = room((by, x)));
            }
        }
    }

    /// Makes of a gradient the direction of a step: the steepest of size 1; of the L1 norm its largest 1 % of values
    /// with sum 1; of L0 the signs of its largest pixels, as many as the ball has.
    pub fn direction(self, gradient: &mut [f32], epsilon: f64, channels: usize) {
        match self {
            Self::Linf => gradient.iter_mut().for_each(|by| *by = sign(*by)),
            Self::L2 => divide(gradient, Self::L2.size(gradient, channels)),
            Self::L1 => {
                let kept = libm::ceil(L1_SHARE * gradient.len() as f64);
                let magnitudes: Vec<f64> = gradient.iter().map(|by| f64::from(by.abs())).collect();
                keep_largest(gradient, &magnitudes, count(kept), 1);
                divide(gradient, Self::L1.size(gradient, channels));
            }
            Self::L0 => {
                let sums = gradient.chunks(channels).map(|by| Self::L1.size(by, channels));
                let sums: Vec<f64> = sums.collect();
                keep_largest(gradient, &sums, count(libm::ceil(epsilon)), channels);
                gradient.iter_mut().for_each(|by| *by = sign(*by));
            }
        }
    }

    /// A random change within the ball of radius `epsilon` around an image: values (Linf), directions and sizes (L2,
    /// L1) or pixels and their values (L0) are uniform before the room of the image cuts them off.
    pub(crate) fn random(
        self,
        image: &[f32],
        epsilon: f64,
        channels: usize,
        stream: &mut Stream,
    ) -> Vec<f32> {
        let mut change: Vec<f32> = match self {
            Self::Linf => image.iter().map(|_| narrowed(epsilon * stream.signed())).collect(),
            Self::L2 => image.iter().map(|_| narrowed(stream.normal())).collect(),
            Self::L1 => {
                let laplace = |stream: &mut Stream| {
                    f64::from(stream.sign()) * -libm::log(1.0 - stream.unit())
                };
                image.iter().map(|_| narrowed(laplace(stream))).collect()
            }
            Self::L0 => {
                let mut change = vec![0.0; image.len()];
                let pixels = image.len() / channels;
                for _ in 0..count(epsilon).min(pixels) {
                    let pixel = stream.below(pixels) * channels;
                    for value in pixel..pixel + channels {
                        change[value] = narrowed(stream.unit()) - image[value];
                    }
                }
                change
            }
        };
        match self {
            Self::L2 | Self::L1 => {
                let size = self.size(&change, channels);
                divide(&mut change, size / (epsilon * stream.unit()));
            }
            Self::Linf | Self::L0 => {}
        }
        self.project(&mut change, image, epsilon, channels);
        change
    }

    /// The change of each of so many values, all alike, that has the size `epsilon`.
    pub(crate) fn spread(self, epsilon: f64, values: usize) -> f64 {
        let values = values.max(1) as f64;
        match self {
            Self::Linf => epsilon,
            Self::L2 => epsilon / libm::sqrt(values),
            Self::L1 => epsilon / values,
            Self::L0 => 1.0,
        }
    }
}

/// The largest number of `0..=most` for which a condition holds that holds from 0 on up to some number.
fn largest(most: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(most) {
        return most;
    }
    let [mut low, mut high] = [0.0, most];
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Sets all pixels to 0 but the `count` of largest score, the first of equals.
fn keep_largest(values: &mut [f32], scores: &[f64], count: usize, channels: usize) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    if count >= order.len() {
        return;
    }
    let by_score = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
    order.select_nth_unstable_by(count, by_score);
    for &pixel in &order[count..] {
        values[pixel * channels..(pixel + 1) * channels].fill(0.0);
    }
}

fn divide(values: &mut [f32], by: f64) {
    let factor = 1.0 / by;
    // Where there is no direction, there is no step.
    let factor = if factor.is_finite() { factor } else { 0.0 };
    values.iter_mut().for_each(|value| *value = narrowed(factor * f64::from(*value)));
}

fn sign(x: f32) -> f32 {
    if x == 0.0 || x.is_nan() { 0.0 } else { x.signum() }
}

#[expect(clippy::cast_possible_truncation, reason = "rounds towards 0: sizes never grow")]
fn narrowed(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near).abs() <= x.abs() {
        near
    } else if near > 0.0 {
        near.next_down()
    } else {
        near.next_up()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a saturating cast of a whole number")]
#[expect(clippy::cast_sign_loss, reason = "a saturating cast of a whole number")]
fn count(x: f64) -> usize {
    libm::floor(x) as usize
}

#[cfg(test)]
mod tests;
