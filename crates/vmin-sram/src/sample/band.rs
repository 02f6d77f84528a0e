//! The standard normal between two points: its probability, and draws from it.

use rand_core::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::draws::{high_40_bits, unit};
use crate::normal;

/// A point of the standard normal with the probabilities to either side of it. The smaller is computed,
/// the larger is its complement, so neither loses its precision.
#[derive(Clone, Copy)]
pub(crate) struct Edge {
    x: f64,
    below: f64,
    above: f64,
}

impl Edge {
    pub(crate) fn new(x: f64) -> Self {
        let tail = normal::cdf(-x.abs());
        if x < 0.0 {
            Self { x, below: tail, above: 1.0 - tail }
        } else {
            Self { x, below: 1.0 - tail, above: tail }
        }
    }
}

/// The standard normal between two edges.
#[derive(Clone, Copy)]
pub(crate) struct Between {
    pub(crate) low: Edge,
    pub(crate) high: Edge,
}

impl Between {
    /// Whether the whole band lies below the mean, where probabilities below keep their precision.
    fn is_lower(&self) -> bool {
        self.high.below < 0.5
    }

    /// P(x >= low | x < high).
    pub(crate) fn probability(&self) -> f64 {
        if self.high.below == 0.0 {
            // Further below the mean than a float can tell: everything has been taken above.
            return 1.0;
        }
        let inside = if self.is_lower() {
            self.high.below - self.low.below
        } else {
            self.low.above - self.high.above
        };
        inside / self.high.below
    }

    /// The point with the fraction `u` of the band's probability above it (upper half) or below it.
    fn quantile(&self, u: f64) -> f64 {
        if self.is_lower() {
            normal::quantile(self.low.below + u * (self.high.below - self.low.below))
        } else {
            -normal::quantile(self.high.above + u * (self.low.above - self.high.above))
        }
    }
}

/// Draws from the standard normal between two edges.
pub(crate) enum Inside {
    /// `x = low + v * height`, kept with probability `exp(half_square_min - x^2 / 2)`.
    Rejection { low: f64, height: f64, half_square_min: f64 },
    /// Inverting the distribution.
    Inversion(Between),
}

impl Inside {
    /// Most the density may vary over the band, as a logarithm, for rejection to be the better way.
    const LOG_DENSITY_RANGE_MAX: f64 = 2.0;

    pub(crate) fn new(between: &Between) -> Self {
        let (low, high) = (between.low.x, between.high.x);
        let nearest_to_zero = if low > 0.0 {
            low
        } else if high < 0.0 {
            high
        } else {
            0.0
        };
        let half_square_min = 0.5 * nearest_to_zero * nearest_to_zero;
        let half_square_max = 0.5 * f64::max(low * low, high * high);
        if half_square_max - half_square_min < Self::LOG_DENSITY_RANGE_MAX {
            Self::Rejection { low, height: high - low, half_square_min }
        } else {
            Self::Inversion(*between)
        }
    }

    /// The point, and a word whose low 24 bits are still fresh.
    #[inline]
    pub(crate) fn draw(&self, stream: &mut Xoshiro256PlusPlus) -> (f64, u64) {
        match self {
            &Self::Rejection { low, height, half_square_min } => loop {
                let bits = stream.next_u64();
                let x = low + high_40_bits(bits) * height;
                let exponent = half_square_min - 0.5 * x * x;
                let level = unit(stream);
                // exp(e) >= 1 + e settles most draws.
                if level < 1.0 + exponent || level < libm::exp(exponent) {
                    return (x, bits);
                }
            },
            Self::Inversion(between) => {
                let bits = stream.next_u64();
                (between.quantile(high_40_bits(bits)), bits)
            }
        }
    }
}
