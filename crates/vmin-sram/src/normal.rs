//! The standard normal distribution, with the same bits on every machine.
//!
//! Only IEEE operations and `libm` functions are used, not the platform's mathematical library, so
//! that a chip does not depend on the machine.

/// `Phi(x)`, the probability of a standard normal below `x`. Accurate relative to the value itself in
/// the lower tail; NaN for NaN.
#[must_use]
pub fn cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * core::f64::consts::FRAC_1_SQRT_2)
}

/// `Phi^-1(p)`: minus infinity at 0, plus infinity at 1, NaN outside `[0, 1]`.
///
/// Rational approximations of M. J. Wichura, "Algorithm AS 241: The percentage points of the normal
/// distribution", Applied Statistics 37 (1988), routine PPND16: relative error about 1e-16. For an
/// upper tail take `-quantile(q)` of the tail probability `q`, which keeps its precision.
#[must_use]
pub fn quantile(p: f64) -> f64 {
    let centred = p - 0.5;
    if centred.abs() <= 0.425 {
        let r = 0.180_625 - centred * centred;
        return centred * horner(&CENTRE_TOP, r) / horner(&CENTRE_BOTTOM, r);
    }
    let tail = if centred < 0.0 { p } else { 1.0 - p };
    if tail.is_nan() || tail < 0.0 {
        return f64::NAN;
    }
    if tail == 0.0 {
        return f64::INFINITY.copysign(centred);
    }
    let r = libm::sqrt(-libm::log(tail));
    let magnitude = if r <= 5.0 {
        horner(&TAIL_TOP, r - 1.6) / horner(&TAIL_BOTTOM, r - 1.6)
    } else {
        horner(&FAR_TOP, r - 5.0) / horner(&FAR_BOTTOM, r - 5.0)
    };
    magnitude.copysign(centred)
}

/// A polynomial, constant term first.
#[inline]
fn horner(coefficients: &[f64; 8], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

// |p - 1/2| <= 0.425
const CENTRE_TOP: [f64; 8] = [
    3.387_132_872_796_366_5,
    1.331_416_678_917_843_8e2,
    1.971_590_950_306_551_3e3,
    1.373_169_376_550_946e4,
    4.592_195_393_154_987e4,
    6.726_577_092_700_87e4,
    3.343_057_558_358_813e4,
    2.509_080_928_730_122_7e3,
];
const CENTRE_BOTTOM: [f64; 8] = [
    1.0,
    4.231_333_070_160_091e1,
    6.871_870_074_920_579e2,
    5.394_196_021_424_751e3,
    2.121_379_430_158_659_7e4,
    3.930_789_580_009_271e4,
    2.872_908_573_572_194_3e4,
    5.226_495_278_852_854e3,
];
// sqrt(-ln tail) <= 5
const TAIL_TOP: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    2.417_807_251_774_506e-1,
    2.272_384_498_926_918_4e-2,
    7.745_450_142_783_414e-4,
];
const TAIL_BOTTOM: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    6.897_673_349_851e-1,
    1.481_039_764_274_800_8e-1,
    1.519_866_656_361_645_7e-2,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];
// the rest
const FAR_TOP: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    2.965_605_718_285_048_7e-1,
    2.653_218_952_657_612_4e-2,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288_1e-7,
];
const FAR_BOTTOM: [f64; 8] = [
    1.0,
    5.998_322_065_558_88e-1,
    1.369_298_809_227_358e-1,
    1.487_536_129_085_061_5e-2,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// `(p, quantile(p))` for the f64 nearest to the written `p`, by 60-digit arithmetic (mpmath).
    const QUANTILES: [(f64, f64); 33] = [
        (1e-300, -37.047_096_299_361_2),
        (1e-200, -30.205_594_179_579_64),
        (1e-100, -21.273_453_560_965_324),
        (1e-50, -14.933_337_534_788_489),
        (1e-30, -11.464_024_688_443_616),
        (1e-20, -9.262_340_089_798_408),
        (1e-12, -7.034_483_825_301_132),
        (1e-9, -5.997_807_015_007_687),
        (1e-6, -4.753_424_308_822_899),
        (1e-5, -4.264_890_793_922_825),
        (0.0001, -3.719_016_485_455_680_6),
        (0.000_156, -3.605_127_261_976_762),
        (0.001, -3.090_232_306_167_813_5),
        (0.01, -2.326_347_874_040_841),
        (0.02, -2.053_748_910_631_823),
        (0.05, -1.644_853_626_951_472_7),
        (0.0749, -1.440_238_267_527_963_7),
        (0.075, -1.439_531_470_938_456),
        (0.0751, -1.438_825_392_752_54),
        (0.1, -1.281_551_565_544_600_4),
        (0.2, -0.841_621_233_572_914_2),
        (0.3, -0.524_400_512_708_040_8),
        (0.4, -0.253_347_103_135_799_7),
        (0.45, -0.125_661_346_855_074),
        (0.49, -0.025_068_908_258_711_057),
        (0.499, -0.002_506_630_899_571_766),
        (0.6, 0.253_347_103_135_799_7),
        (0.75, 0.674_489_750_196_081_7),
        (0.9, 1.281_551_565_544_600_6),
        (0.925, 1.439_531_470_938_456_2),
        (0.95, 1.644_853_626_951_472_3),
        (0.99, 2.326_347_874_040_841),
        (0.999, 3.090_232_306_167_813),
    ];

    /// `(x, cdf(x))`, by the same arithmetic.
    const PROBABILITIES: [(f64, f64); 15] = [
        (-38.0, 2.885_428_36e-316),
        (-30.0, 4.906_713_927_148_187e-198),
        (-20.0, 2.753_624_118_606_233_7e-89),
        (-10.0, 7.619_853_024_160_526e-24),
        (-8.0, 6.220_960_574_271_784e-16),
        (-6.0, 9.865_876_450_376_98e-10),
        (-4.0, 3.167_124_183_311_992e-5),
        (-2.0, 0.022_750_131_948_179_21),
        (-1.0, 0.158_655_253_931_457_05),
        (-0.1, 0.460_172_162_722_971),
        (0.0, 0.5),
        (0.5, 0.691_462_461_274_013_1),
        (1.0, 0.841_344_746_068_542_9),
        (3.0, 0.998_650_101_968_369_9),
        (5.0, 0.999_999_713_348_428_1),
    ];

    #[test]
    fn quantiles_equal_known_values() {
        for (p, z) in QUANTILES {
            let error = (quantile(p) - z).abs() / z.abs();
            // In the middle, p - 1/2 is exact but the written p is not the decimal one.
            assert!(error < 1e-15, "p = {p:e}: {} instead of {z}, {error:e}", quantile(p));
        }
    }

    #[test]
    fn probabilities_equal_known_values() {
        for (x, p) in PROBABILITIES {
            let error = (cdf(x) - p).abs() / p;
            // The argument -x / sqrt 2 carries half a unit of rounding, amplified by x^2.
            let bound = 2e-16 * (3.0 + x * x);
            // At -38 the value is subnormal: one step of it is 1.7e-8 of it.
            let bound = if x == -38.0 { 2e-8 } else { bound };
            assert!(error < bound, "x = {x}: {:e} instead of {p:e}, {error:e}", cdf(x));
        }
    }

    #[test]
    fn the_ends_and_beyond() {
        assert_eq!(quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(quantile(1.0), f64::INFINITY);
        assert_eq!(quantile(0.5), 0.0);
        for p in [-1e-300, -1.0, 1.0 + f64::EPSILON, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(quantile(p).is_nan(), "{p}");
        }
        assert_eq!(cdf(f64::NEG_INFINITY), 0.0);
        assert_eq!(cdf(f64::INFINITY), 1.0);
        assert!(cdf(f64::NAN).is_nan());
    }

    /// Where one approximation takes over from another there is no step beyond rounding, far below the
    /// 2^-24 in which thresholds count.
    #[test]
    fn the_quantile_has_no_step_at_the_seams() {
        let far_seam = libm::exp(-25.0);
        for seam in [0.075, 0.925, far_seam] {
            let mut last = f64::NEG_INFINITY;
            for step in -2000..2000 {
                let z = quantile(seam * (1.0 + f64::from(step) * 1e-15));
                assert!(z >= last - 4.0 * f64::EPSILON * z.abs(), "falls at {seam} {step}");
                last = z;
            }
        }
    }
}
