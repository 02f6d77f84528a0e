//! Requantization of int32 accumulators.

/// A positive real factor as `multiplier * 2^(shift - 31)`, `multiplier` in `[2^30, 2^31)` or zero:
/// the form in which int8 deployments hold `input_scale * weight_scale / output_scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FixedMultiplier {
    /// Significand, Q31.
    pub multiplier: i32,
    /// Power of two; positive shifts left.
    pub shift: i32,
}

/// A factor that cannot be held.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("requantization factor {0} is not a finite number of at least 0 and below 2^31")]
pub struct FactorError(pub f64);

impl FixedMultiplier {
    /// The nearest held value of `real`; factors below 2^-32 become zero.
    ///
    /// # Errors
    /// If `real` is negative, not finite, or 2^30 and more.
    pub fn from_real(real: f64) -> Result<Self, FactorError> {
        if !real.is_finite() || real < 0.0 {
            return Err(FactorError(real));
        }
        if real == 0.0 {
            return Ok(Self { multiplier: 0, shift: 0 });
        }
        let (significand, mut shift) = libm::frexp(real);
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^31")]
        let mut multiplier = libm::round(significand * 2_147_483_648.0) as i64;
        if multiplier == 1 << 31 {
            multiplier /= 2;
            shift += 1;
        }
        if shift < -31 {
            return Ok(Self { multiplier: 0, shift: 0 });
        }
        if shift > 30 {
            return Err(FactorError(real));
        }
        Ok(Self { multiplier: i32::try_from(multiplier).map_err(|_| FactorError(real))?, shift })
    }

    /// `accumulator` times the factor, rounded twice as the LiteRT reference kernels do.
    #[must_use]
    pub fn apply(self, accumulator: i32) -> i32 {
        let (left, right) = (self.shift.max(0), (-self.shift).max(0));
        let shifted = accumulator.wrapping_mul(1i32.wrapping_shl(left.unsigned_abs()));
        rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, self.multiplier), right)
    }
}

/// The high 32 bits of `2ab`, rounded to nearest, ties away from zero; saturated where both are
/// `i32::MIN`.
#[must_use]
pub fn saturating_rounding_doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    let high = (product + nudge) / (1i64 << 31);
    i32::try_from(high).expect("a product of int32 values over 2^31 fits, but for the case above")
}

/// `x / 2^exponent`, rounded to nearest, ties away from zero; `exponent` in 0..=31.
#[must_use]
pub fn rounding_divide_by_pot(x: i32, exponent: i32) -> i32 {
    let exponent = exponent.clamp(0, 31).unsigned_abs();
    let mask = ((1i64 << exponent) - 1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> exponent) + i32::from(remainder > threshold)
}
