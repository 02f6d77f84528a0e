//! Properties of the schemes, encodings and of requantization.

use proptest::prelude::*;
use vmin_quant::{
    Encoding, FixedMultiplier, Formula, QuantizeError, Quantizer, Range, SCHEMES, Scheme,
    rounding_divide_by_pot, saturating_rounding_doubling_high_mul,
};

/// A cheap, uniform-looking sequence in [-1, 1).
fn values(count: u32) -> Vec<f32> {
    (0..count)
        .map(|i| (f64::from(i.wrapping_mul(2_654_435_761)) / 2f64.powi(31) - 1.0) as f32)
        .collect()
}

#[test]
fn encodings_cover_their_integers() {
    for bits in 1..=8u8 {
        let codes = 1u16 << bits;
        let decode = |e: Encoding| (0..codes).map(|c| e.decode(c as u8, bits)).collect::<Vec<i8>>();
        let half = 1i16 << (bits - 1);
        let mut two = decode(Encoding::TwosComplement);
        let offset = decode(Encoding::OffsetBinary);
        assert!(offset.windows(2).all(|pair| i16::from(pair[0]) + 1 == pair[1].into()));
        assert_eq!(i16::from(offset[0]), -half);
        two.sort_unstable();
        assert_eq!(two, offset, "the same integers, other codes");
        let sign = decode(Encoding::SignMagnitude);
        assert_eq!(sign[usize::from(codes / 2)], 0, "minus zero is zero");
        assert_eq!(i16::from(*sign.iter().max().expect("codes")), half - 1);
    }
    assert_eq!(Encoding::TwosComplement.decode(0xff, 4), -1, "upper bits are ignored");
}

#[test]
fn truncation_and_rounding_stay_within_their_step() {
    let weights = values(4000);
    for scheme in SCHEMES {
        for formula in [Formula::Paper, Formula::Code] {
            for bits in 2..=8u8 {
                let quantizer = Quantizer::new(scheme, formula, bits).expect("allowed bits");
                let range = quantizer.fit(&weights).expect("finite weights");
                let codes = quantizer.quantize(&weights, range).expect("codes");
                assert!(codes.iter().all(|&code| u16::from(code) < 1 << bits));
                let back = quantizer.dequantize(&codes, range).expect("values");
                let levels = f64::from((1u16 << (bits - 1)) - 1);
                let step = f64::from(range.max - range.min) / 2.0 / levels * 1.002 + 0.001;
                let share = if scheme == Scheme::RQuant { 0.5 } else { 1.0 };
                for (weight, value) in weights.iter().zip(&back) {
                    let error = f64::from((weight - value).abs());
                    assert!(error <= step * share + 1e-5, "{scheme:?} {formula:?} {bits}: {error}");
                }
            }
        }
    }
}

#[test]
fn the_released_program_never_produces_code_zero_at_8_bits() {
    let quantizer = Quantizer::new(Scheme::RQuant, Formula::Code, 8).expect("allowed");
    let weights = values(1000);
    let codes = quantizer.quantize(&weights, Range { min: -1.0, max: 1.0 }).expect("codes");
    assert!(codes.iter().all(|&code| code >= 1));
    let ends = quantizer.quantize(&[-1.0, 1.0], Range { min: -1.0, max: 1.0 }).expect("codes");
    assert_eq!(ends, [1, 255]);
    let paper = Quantizer::new(Scheme::RQuant, Formula::Paper, 8).expect("allowed");
    let ends = paper.quantize(&[-1.0, 0.0, 1.0], Range { min: -1.0, max: 1.0 }).expect("codes");
    assert_eq!(ends, [0, 127, 254]);
}

#[test]
fn symmetric_schemes_hold_zero_exactly() {
    for scheme in [Scheme::Global, Scheme::Normal] {
        let quantizer = Quantizer::new(scheme, Formula::Paper, 8).expect("allowed");
        let range = quantizer.fit(&[-0.3, 0.0, 0.7]).expect("range");
        let codes = quantizer.quantize(&[0.0], range).expect("codes");
        assert_eq!(quantizer.dequantize(&codes, range).expect("values"), [0.0]);
    }
}

#[test]
fn released_values_stay_in_range_under_any_code() {
    let quantizer = Quantizer::new(Scheme::RQuant, Formula::Code, 8).expect("allowed");
    let range = Range { min: -0.2, max: 0.7 };
    let all: Vec<u8> = (0..=255).collect();
    let held = quantizer.dequantize(&all, range).expect("values");
    assert!(held.iter().all(|value| (range.min..=range.max).contains(value)));
}

/// First-order noise of XOR flips: RMS = range * sqrt(p / 3), whatever the number of bits.
#[test]
fn flips_make_the_noise_that_theory_says() {
    for bits in [4u8, 8] {
        let quantizer = Quantizer::new(Scheme::RQuant, Formula::Paper, bits).expect("allowed");
        let weights = values(20_000);
        let range = quantizer.fit(&weights).expect("range");
        let codes = quantizer.quantize(&weights, range).expect("codes");
        let clean = quantizer.dequantize(&codes, range).expect("values");
        // Each bit flipped alone, everywhere: the mean square over bits times m is that of p -> 0.
        let mut squares = 0.0;
        for bit in 0..bits {
            let flipped: Vec<u8> = codes.iter().map(|code| code ^ (1 << bit)).collect();
            let dirty = quantizer.dequantize(&flipped, range).expect("values");
            squares += clean.iter().zip(&dirty).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
                / clean.len() as f64;
        }
        // p = 1: sum over bits. RMS / (range sqrt(p)) must be 0.577 up to the grid's 2^m vs 2^m - 2.
        let rms = squares.sqrt() / f64::from(range.max - range.min);
        let grid = f64::from(1u16 << bits) / f64::from((1u16 << bits) - 2);
        let expected = (1.0f64 / 3.0).sqrt() * grid;
        assert!((rms / expected - 1.0).abs() < 0.01, "{bits} bits: {rms} against {expected}");
    }
}

#[test]
fn what_cannot_be_quantized_is_refused_by_name() {
    assert_eq!(
        Quantizer::new(Scheme::RQuant, Formula::Paper, 1),
        Err(QuantizeError::Bits { bits: 1 })
    );
    let quantizer = Quantizer::new(Scheme::RQuant, Formula::Paper, 8).expect("allowed");
    assert_eq!(quantizer.fit(&[0.0, f32::NAN]), Err(QuantizeError::NotFinite { index: 1 }));
    assert_eq!(quantizer.fit(&[]), Err(QuantizeError::Empty));
    let empty = Range { min: 1.0, max: 1.0 };
    assert!(matches!(quantizer.quantize(&[1.0], empty), Err(QuantizeError::Range { .. })));
    // One repeated value, where the asymmetric formula alone would divide by zero.
    let range = quantizer.fit(&[0.5, 0.5]).expect("a range");
    let codes = quantizer.quantize(&[0.5], range).expect("codes");
    assert!((quantizer.dequantize(&codes, range).expect("values")[0] - 0.5).abs() < 0.005);
}

#[test]
fn requantization_of_known_factors() {
    let half = FixedMultiplier::from_real(0.5).expect("a factor");
    assert_eq!(half, FixedMultiplier { multiplier: 1 << 30, shift: 0 });
    assert_eq!([5, -5, 6, -6].map(|x| half.apply(x)), [3, -2, 3, -3]);
    assert_eq!(FixedMultiplier::from_real(1e-12).expect("tiny").apply(i32::MAX), 0);
    assert_eq!(FixedMultiplier::from_real(3.0).expect("large").apply(7), 21);
    for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
        assert!(FixedMultiplier::from_real(wrong).is_err(), "{wrong}");
    }
    assert_eq!(saturating_rounding_doubling_high_mul(i32::MIN, i32::MIN), i32::MAX);
    assert_eq!(rounding_divide_by_pot(i32::MIN, 31), -1);
}

proptest! {
    #[test]
    fn high_multiplication_is_exact(a: i32, b: i32) {
        prop_assume!((a, b) != (i32::MIN, i32::MIN));
        // LiteRT's rule: add or take off half, then divide toward zero.
        let product = i128::from(a) * i128::from(b);
        let nudge = if product >= 0 { 1i128 << 30 } else { 1 - (1i128 << 30) };
        let expected = (product + nudge) / (1i128 << 31);
        prop_assert_eq!(i128::from(saturating_rounding_doubling_high_mul(a, b)), expected);
    }

    #[test]
    fn division_rounds_to_nearest_away_from_zero(x: i32, exponent in 0i32..=31) {
        let expected = (f64::from(x) / 2f64.powi(exponent)).round();
        prop_assert_eq!(f64::from(rounding_divide_by_pot(x, exponent)), expected);
    }

    #[test]
    fn factors_are_held_to_31_bits(real in 1e-6f64..1e6) {
        let held = FixedMultiplier::from_real(real).expect("a factor");
        let back = f64::from(held.multiplier) * 2f64.powi(held.shift - 31);
        prop_assert!((back / real - 1.0).abs() < 1e-9);
    }
}
