//! The factors of requantization, in fixed point.

/// A positive real factor as `multiplier * 2^(shift - 31)`, `multiplier` in `[2^30, 2^31)` or zero:
/// the form in which int8 deployments hold `input_scale * weight_scale / output_scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FixedMultiplier {
    /// The significand, Q31.
    pub multiplier: i32,
    /// The power of two; a positive shift is to the left.
    pub shift: i32,
}

/// A factor that has no fixed-point form.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("requantization factor {0} is not a finite number of at least 0 and below 2^30")]
pub struct FactorError(pub f64);

impl FixedMultiplier {
    /// The nearest fixed-point form of `real`; factors below 2^-32 become zero.
    ///
    /// # Errors
    /// If `real` is negative, not finite, or rounds to 2^30 and more.
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

    /// The factor as a double, exactly.
    #[must_use]
    pub fn real(self) -> f64 {
        libm::ldexp(f64::from(self.multiplier), self.shift.saturating_sub(31))
    }

    /// `accumulator` times the factor, rounded twice as the LiteRT reference kernels do.
    #[must_use]
    pub fn apply(self, accumulator: i32) -> i32 {
        let (left, right) = (self.shift.max(0), self.shift.saturating_neg().max(0));
        // The reference shifts left in int32 without a check, so large sums wrap.
        let shifted = accumulator.checked_shl(left.unsigned_abs()).unwrap_or(0);
        rounding_divide_by_pot(
            saturating_rounding_doubling_high_mul(shifted, self.multiplier),
            right,
        )
    }
}

/// The high 32 bits of `2ab`, rounded to nearest, ties upwards (-0.5 becomes 0); saturated where
/// both are `i32::MIN`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `floor(ab / 2^31 + 1/2)` in exact arithmetic.
    fn high_mul_exact(a: i32, b: i32) -> i32 {
        let high = (i128::from(a) * i128::from(b) * 2 + (1 << 31)) >> 32;
        i32::try_from(high).unwrap_or(i32::MAX)
    }

    /// `x / 2^exponent` to nearest, ties away from zero, in exact arithmetic.
    fn divide_exact(x: i32, exponent: i32) -> i32 {
        let (x, divisor) = (i128::from(x), 1i128 << exponent);
        let magnitude = (2 * x.abs() + divisor) / (2 * divisor);
        i32::try_from(magnitude * x.signum()).expect("not larger than x")
    }

    const EDGES: [i32; 13] = [
        i32::MIN,
        i32::MIN + 1,
        -(1 << 30),
        -(1 << 15),
        -2,
        -1,
        0,
        1,
        2,
        1 << 15,
        1 << 30,
        i32::MAX - 1,
        i32::MAX,
    ];

    #[test]
    fn edges_agree_with_exact_arithmetic() {
        for a in EDGES {
            for b in EDGES {
                let high = saturating_rounding_doubling_high_mul(a, b);
                assert_eq!(high, high_mul_exact(a, b), "{a} {b}");
            }
            for exponent in 0..=31 {
                let quotient = rounding_divide_by_pot(a, exponent);
                assert_eq!(quotient, divide_exact(a, exponent), "{a} {exponent}");
            }
        }
        assert_eq!(saturating_rounding_doubling_high_mul(i32::MIN, i32::MIN), i32::MAX);
    }

    #[test]
    fn ties_of_the_two_roundings() {
        assert_eq!(saturating_rounding_doubling_high_mul(1, -(1 << 30)), 0);
        assert_eq!(saturating_rounding_doubling_high_mul(1, 1 << 30), 1);
        assert_eq!(rounding_divide_by_pot(-1, 1), -1);
        assert_eq!(rounding_divide_by_pot(1, 1), 1);
    }

    #[test]
    fn factors() {
        let held =
            |real| FixedMultiplier::from_real(real).map(|held| (held.multiplier, held.shift));
        assert_eq!(held(1.0), Ok((1 << 30, 1)));
        assert_eq!(held(0.5), Ok((1 << 30, 0)));
        assert_eq!(held(0.0), Ok((0, 0)));
        // 1 - 2^-40 rounds to 2^31 and carries.
        assert_eq!(held(1.0 - 1.0 / (1u64 << 40) as f64), Ok((1 << 30, 1)));
        let smallest = 1.0 / (1u64 << 32) as f64;
        assert_eq!(held(smallest), Ok((1 << 30, -31)));
        assert_eq!(held(smallest * 0.999), Ok((0, 0)));
        assert_eq!(held(f64::from(1 << 29)), Ok((1 << 30, 30)));
        for refused in [f64::from(1 << 30), -1e-9, f64::INFINITY, f64::NAN] {
            assert!(held(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn any_fields_may_be_applied() {
        for multiplier in EDGES {
            for shift in EDGES.into_iter().chain(-40..=40) {
                for accumulator in EDGES.into_iter().step_by(if cfg!(miri) { 4 } else { 1 }) {
                    let _ = FixedMultiplier { multiplier, shift }.apply(accumulator);
                }
            }
        }
    }

    /// Few cases under Miri, which also has no files to keep failures in.
    fn config() -> ProptestConfig {
        if cfg!(miri) {
            ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() }
        } else {
            ProptestConfig::default()
        }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn agrees_with_exact_arithmetic(a: i32, b: i32, exponent in 0..=31i32) {
            prop_assert_eq!(saturating_rounding_doubling_high_mul(a, b), high_mul_exact(a, b));
            prop_assert_eq!(rounding_divide_by_pot(a, exponent), divide_exact(a, exponent));
        }

        #[test]
        fn apply_is_two_exact_roundings(acc: i32, real in 1e-9f64..1.0) {
            let held = FixedMultiplier::from_real(real).expect("small and positive");
            let shifted = if held.shift > 0 { acc.wrapping_mul(1 << held.shift) } else { acc };
            let right = (-held.shift).max(0);
            let expected = divide_exact(high_mul_exact(shifted, held.multiplier), right);
            prop_assert_eq!(held.apply(acc), expected);
            let back = f64::from(held.multiplier) * libm::ldexp(1.0, held.shift - 31);
            prop_assert!((back - real).abs() <= real * 2f64.powi(-31));
        }
    }
}
