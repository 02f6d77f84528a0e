//! Requantization, from int32 sums to int8 codes: the rules and their portable form.
//!
//! A factor is `multiplier * 2^(shift - 31)`. Rounding twice is a doubling high multiplication,
//! rounded with ties up, then a shift, rounded with ties away from zero:
//!
//! ```text
//! raised = sum << left                             wrapping; left = max(shift, 0)
//! high   = (raised * multiplier + 2^30) >> 31      64 bits; fits in int32, and is never its minimum
//! scaled = (high + half - (high < 0)) >> right     right = max(-shift, 0), half = 2^(right - 1)
//! ```
//!
//! where `right = 0` takes neither half nor the correction of negative values. Rounding once is one
//! shift of the 64-bit product, ties up, saturated to int32.
//!
//! A real factor is a double: `round(sum * factor)` in double precision, ties away from zero, saturated to
//! int32.

/// A factor `multiplier * 2^(shift - 31)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The significand, not negative.
    pub multiplier: i32,
    /// The power of two, `-31..=30`; a positive shift is to the left.
    pub shift: i32,
}

impl Factor {
    fn check(self) -> Self {
        assert!(self.multiplier >= 0, "a factor is not negative");
        assert!((-31..=30).contains(&self.shift), "shifts lie in -31..=30");
        self
    }
}

/// How often a sum is rounded on its way to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// Twice: the product, then the shift.
    Twice,
    /// Once, in the shift of the 64-bit product.
    Once,
}

/// How sums are scaled.
#[derive(Clone, Debug)]
pub(crate) enum Scale {
    /// By multipliers and shifts.
    Fixed(Rounds),
    /// By one double per channel.
    Real(Vec<f64>),
}

/// The rule by which the sums of some channels become codes: `clamp(factor * (sum + offset) + zero_point)`.
#[derive(Clone, Debug)]
pub struct Requantization {
    pub(crate) scale: Scale,
    /// Per channel; empty with real factors, as both shifts are.
    pub(crate) multipliers: Vec<i32>,
    /// Per channel, `0..=30`.
    pub(crate) left: Vec<i32>,
    /// Per channel; `0..=31` where rounded twice, `1..=62` where once.
    pub(crate) right: Vec<i32>,
    pub(crate) zero_point: i32,
    pub(crate) min: i32,
    pub(crate) max: i32,
}

impl Requantization {
    /// One factor per channel; codes are clamped to `min..=max`.
    ///
    /// # Panics
    /// If a factor is out of its range, or `min > max`.
    #[must_use]
    pub fn new(rounds: Rounds, factors: &[Factor], zero_point: i32, min: i8, max: i8) -> Self {
        assert!(min <= max, "the range of codes is empty");
        let (left, right) = factors
            .iter()
            .map(|factor| factor.check().shift)
            .map(|shift| match rounds {
                Rounds::Twice => (shift.max(0), (-shift).max(0)),
                Rounds::Once => (0, 31 - shift),
            })
            .unzip();
        Self {
            scale: Scale::Fixed(rounds),
            multipliers: factors.iter().map(|factor| factor.multiplier).collect(),
            left,
            right,
            zero_point,
            min: min.into(),
            max: max.into(),
        }
    }

    /// One real factor per channel; codes are clamped to `min..=max`.
    ///
    /// # Panics
    /// If a factor is negative or not finite, or `min > max`.
    #[must_use]
    pub fn real(factors: Vec<f64>, zero_point: i32, min: i8, max: i8) -> Self {
        assert!(factors.iter().all(|&f| f >= 0.0 && f.is_finite()), "factors are not negative");
        let fixed = Self::new(Rounds::Once, &[], zero_point, min, max);
        Self { scale: Scale::Real(factors), ..fixed }
    }

    /// Number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        match &self.scale {
            Scale::Fixed(_) => self.multipliers.len(),
            Scale::Real(factors) => factors.len(),
        }
    }

    /// Checks the lengths on which every kernel relies before it accesses memory.
    pub(crate) fn check(&self, sums: &[i32], offsets: &[i32], out: &[i8]) {
        assert_eq!(sums.len(), out.len(), "one code per sum");
        assert_eq!(offsets.len(), self.channels(), "one offset per channel");
        let whole = sums.len().checked_rem(self.channels());
        assert_eq!(whole.unwrap_or(sums.len()), 0, "whole pixels");
    }

    /// The codes of channels `first..` of every pixel.
    #[inline(always)]
    pub(crate) fn portable(&self, first: usize, sums: &[i32], offsets: &[i32], out: &mut [i8]) {
        let n = self.channels();
        if first >= n {
            return;
        }
        let rounds = match &self.scale {
            Scale::Fixed(rounds) => *rounds,
            Scale::Real(factors) => {
                let lanes = || factors.iter().zip(offsets).skip(first);
                for (sums, out) in sums.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                    let lanes = lanes().zip(&sums[first..]).zip(&mut out[first..]);
                    for (((&factor, &offset), &sum), out) in lanes {
                        *out = self.code(real(factor, sum.wrapping_add(offset)));
                    }
                }
                return;
            }
        };
        let multipliers = &self.multipliers[first..];
        let (left, right) = (&self.left[first..], &self.right[first..]);
        for (sums, out) in sums.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let lanes = sums[first..].iter().zip(&offsets[first..]).zip(multipliers);
            let lanes = lanes.zip(left.iter().zip(right)).zip(&mut out[first..]);
            for ((((&sum, &offset), &multiplier), (&left, &right)), out) in lanes {
                let sum = sum.wrapping_add(offset);
                let scaled = match rounds {
                    Rounds::Twice => twice(multiplier, left, right, sum),
                    Rounds::Once => once(multiplier, right, sum),
                };
                *out = self.code(scaled);
            }
        }
    }

    #[inline(always)]
    pub(crate) fn code(&self, scaled: i32) -> i8 {
        scaled.wrapping_add(self.zero_point).clamp(self.min, self.max) as i8
    }
}

/// The rule of [`Rounds::Twice`].
#[inline(always)]
pub(crate) fn twice(multiplier: i32, left: i32, right: i32, sum: i32) -> i32 {
    let raised = sum.wrapping_shl(left.cast_unsigned());
    let high = (i64::from(raised) * i64::from(multiplier) + (1 << 30)) >> 31;
    let half = (1i64 << right) >> 1;
    let nudge = if right > 0 { high >> 63 } else { 0 };
    ((high + half + nudge) >> right) as i32
}

/// The rule of [`Rounds::Once`].
#[inline(always)]
fn once(multiplier: i32, right: i32, sum: i32) -> i32 {
    let product = i64::from(sum) * i64::from(multiplier);
    let rounded = (product + (1i64 << (right - 1))) >> right;
    rounded.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// The rule of a real factor.
#[inline(always)]
fn real(factor: f64, sum: i32) -> i32 {
    // The cast saturates.
    (f64::from(sum) * factor).round() as i32
}
