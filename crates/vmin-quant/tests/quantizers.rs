//! The papers' quantizers: what the formulas say, what flips do, what is refused.

use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vmin_quant::{Encoding, Formula, QuantizeError, Quantizer, Range, Scheme};

fn all() -> impl Iterator<Item = Quantizer> {
    Scheme::ALL.into_iter().flat_map(|scheme| {
        Formula::ALL.into_iter().flat_map(move |formula| {
            (2..=8)
                .step_by(if cfg!(miri) { 6 } else { 1 })
                .map(move |bits| Quantizer::new(scheme, formula, bits).expect("2..=8"))
        })
    })
}

fn uniform(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Flips each of the low `bits` bits with probability `rate`.
fn flip(codes: &[u8], bits: u8, rate: f64, random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    codes
        .iter()
        .map(|&code| {
            (0..bits).fold(code, |code, bit| code ^ (u8::from(uniform(random) < rate) << bit))
        })
        .collect()
}

/// First-order: `E[dw^2] = p * step^2 * (4^m - 1) / 3`, with `step = R / (2^m - 2)`; for many bits
/// this is `p * R^2 / 3`, RMS `0.577 * R * sqrt(p)`.
#[test]
#[cfg_attr(miri, ignore = "too many weights")]
fn noise_of_flips_has_the_expected_size() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let weights: Vec<f32> = (0..400_000).map(|_| uniform(&mut random) as f32 - 0.3).collect();
    let rate = 0.01;
    for bits in [8u8, 4] {
        let quantizer = Quantizer::new(Scheme::RQuant, Formula::Paper, bits).expect("2..=8");
        let range = quantizer.fit(&weights).expect("finite");
        let width = f64::from(range.max()) - f64::from(range.min());
        let codes = quantizer.quantize(&weights, &range).expect("finite");
        let clean = quantizer.dequantize(&codes, &range);
        let flipped = flip(&codes, bits, rate, &mut random);
        let noisy = quantizer.dequantize(&flipped, &range);
        let sum: f64 = clean.iter().zip(&noisy).map(|(a, b)| f64::from(b - a).powi(2)).sum();
        let rms = (sum / weights.len() as f64).sqrt();

        let exact = quantizer.step(&range) * (rate * (4f64.powi(bits.into()) - 1.0) / 3.0).sqrt();
        assert!((rms / exact - 1.0).abs() < 0.03, "{bits} bits: {rms} against {exact}");
        // The rule of thumb takes R for 2^m steps, where R is 2^m - 2 steps: 14 % more at 4 bits.
        let thumb = 0.577 * width * rate.sqrt();
        let steps = 2f64.powi(bits.into());
        let correction = steps / (steps - 2.0);
        assert!((rms / (thumb * correction) - 1.0).abs() < 0.03, "{bits} bits: {rms}, {thumb}");
    }
}

#[test]
fn the_ends_of_the_range_use_the_outer_codes() {
    let weights = [-0.3f32, 0.1, 0.7];
    for bits in 2..=8u8 {
        let last = 0xffu8 >> (8 - bits);
        let codes = |scheme, formula| {
            let quantizer = Quantizer::new(scheme, formula, bits).expect("2..=8");
            let range = quantizer.fit(&weights).expect("finite");
            let codes = quantizer.quantize(&weights, &range).expect("finite");
            (codes[0], codes[2])
        };
        // Text: 0 ..= 2^m - 2. Code: 1 ..= 2^m - 1, the offset being one larger.
        assert_eq!(codes(Scheme::AsymmetricUnsigned, Formula::Paper), (0, last - 1));
        assert_eq!(codes(Scheme::RQuant, Formula::Paper), (0, last - 1));
        assert_eq!(codes(Scheme::RQuant, Formula::Code), (1, last));
        // Truncated towards zero, +-L * (1 - 0.001) lose a step; floored, only the upper one.
        assert_eq!(codes(Scheme::AsymmetricUnsigned, Formula::Code), (1, last - 1));
        let most = i32::from(last / 2);
        let encode = |value| Encoding::TwosComplement.encode(value, bits).expect("fits");
        let signed = (encode(-most), encode(most));
        assert_eq!(codes(Scheme::Asymmetric, Formula::Paper), signed);
        let short = (encode(1 - most), encode(most - 1));
        assert_eq!(codes(Scheme::Asymmetric, Formula::Code), short);
    }
}

#[test]
fn symmetric_schemes_keep_zero_and_truncate() {
    let quantizer = Quantizer::new(Scheme::Normal, Formula::Paper, 4).expect("2..=8");
    let weights = [-0.7, -0.19, 0.0, 0.19, 0.5];
    let range = quantizer.fit(&weights).expect("finite");
    assert_eq!((range.min(), range.max()), (-0.7, 0.7));
    let codes = quantizer.quantize(&weights, &range).expect("finite");
    assert_eq!(codes, [0b1001, 0b1111, 0, 1, 5]);
    assert_eq!(quantizer.dequantize(&codes, &range)[2], 0.0);
}

#[test]
fn global_ranges_and_margins() {
    let weights = [-0.01f32, 0.005];
    let global = Quantizer::new(Scheme::Global, Formula::Code, 8).expect("2..=8");
    let range = global.fit(&weights).expect("finite");
    assert_eq!((range.min(), range.max()), (-1.0, 1.0));
    assert_eq!(global.step(&range), 1.001 / 127.0);
    let normal = Quantizer::new(Scheme::Normal, Formula::Code, 8).expect("2..=8");
    let range = normal.fit(&weights).expect("finite");
    assert!((normal.step(&range) - 0.011 / 127.0).abs() < 1e-9);
    let paper = Quantizer::new(Scheme::Global, Formula::Paper, 8).expect("2..=8");
    assert_eq!(paper.fit(&weights).expect("finite").max(), 0.01);
}

#[test]
fn flips_leave_the_range_under_the_paper_only() {
    for quantizer in all() {
        let range = Range::symmetric(0.1).expect("finite");
        let codes: Vec<u8> = (0..=255).collect();
        let reals = quantizer.dequantize(&codes, &range);
        let outside = reals.iter().any(|real| real.abs() > 0.1001);
        assert_eq!(outside, quantizer.formula() == Formula::Paper, "{quantizer:?}");
    }
}

#[test]
fn degenerate_tensors() {
    for quantizer in all() {
        for value in [0.0f32, -0.0, 0.25, -3.5, f32::MAX, f32::MIN_POSITIVE / 8.0] {
            let weights = [value; 3];
            let range = quantizer.fit(&weights).expect("finite");
            let codes = quantizer.quantize(&weights, &range).expect("finite");
            let reals = quantizer.dequantize(&codes, &range);
            if quantizer.scheme().is_asymmetric() || value == 0.0 {
                assert_eq!(reals, weights, "{quantizer:?}");
            }
            let every: Vec<u8> = (0..=255).collect();
            assert!(quantizer.dequantize(&every, &range).iter().all(|real| !real.is_nan()));
        }
    }
}

#[test]
fn refusals() {
    for bits in [0, 1, 9] {
        let error = Quantizer::new(Scheme::RQuant, Formula::Paper, bits);
        assert_eq!(error, Err(QuantizeError::Bits { bits }));
    }
    for quantizer in all() {
        assert_eq!(quantizer.fit(&[]), Err(QuantizeError::Empty));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let fit = quantizer.fit(&[0.0, bad]);
            assert!(matches!(fit, Err(QuantizeError::NotFinite { index: 1, .. })));
            let range = Range::symmetric(1.0).expect("finite");
            let codes = quantizer.quantize(&[0.0, 1.0, bad], &range);
            assert!(matches!(codes, Err(QuantizeError::NotFinite { index: 2, .. })));
        }
    }
    for (min, max) in [(1.0, 0.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)] {
        assert!(matches!(Range::new(min, max), Err(QuantizeError::Range { .. })));
    }
    assert!(Range::symmetric(-1.0).is_err());
    let clipped = Range::new(-0.5, 0.05).and_then(|range| range.clipped(0.1)).expect("finite");
    assert_eq!((clipped.min(), clipped.max()), (-0.1, 0.05));
}

/// Few cases under Miri, which also has no files to keep failures in.
fn config() -> ProptestConfig {
    if cfg!(miri) {
        ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() }
    } else {
        ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Rounding is off by half a step, truncation by a step, plus the clamp of the code's margin.
    #[test]
    fn errors_stay_within_a_step(weights in proptest::collection::vec(-2f32..2.0, 1..60)) {
        for quantizer in all() {
            if quantizer.scheme() == Scheme::Global && quantizer.formula() == Formula::Code {
                continue; // its range does not follow the weights
            }
            let range = quantizer.fit(&weights).expect("finite");
            let codes = quantizer.quantize(&weights, &range).expect("finite");
            prop_assert!(codes.iter().all(|&code| u32::from(code) < 1 << quantizer.bits()));
            let step = quantizer.step(&range);
            let allowed = if quantizer.scheme() == Scheme::RQuant { 0.5 } else { 1.0 } * step;
            for (real, weight) in quantizer.dequantize(&codes, &range).iter().zip(&weights) {
                let error = (f64::from(*real) - f64::from(*weight)).abs();
                prop_assert!(error <= allowed + 1e-6, "{quantizer:?}: {error} against {allowed}");
            }
        }
    }

    /// Quantizing what was dequantized changes nothing where the rounding is to nearest.
    #[test]
    fn rounding_is_idempotent(weights in proptest::collection::vec(-2f32..2.0, 2..60), bits in 2u8..=8) {
        for formula in Formula::ALL {
            let quantizer = Quantizer::new(Scheme::RQuant, formula, bits).expect("2..=8");
            let range = quantizer.fit(&weights).expect("finite");
            let codes = quantizer.quantize(&weights, &range).expect("finite");
            let again = quantizer.quantize(&quantizer.dequantize(&codes, &range), &range);
            if range.max() - range.min() > 1e-3 {
                prop_assert_eq!(again.expect("finite"), codes);
            }
        }
    }
}
