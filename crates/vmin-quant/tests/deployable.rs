//! Integers with a scale and an integer zero point.

use proptest::prelude::*;
use vmin_quant::{Deployable, Encoding, Granularity, QuantizeError, Rounding, Symmetry};

fn all() -> impl Iterator<Item = Deployable> {
    let mut all = Vec::new();
    for bits in (2..=8).step_by(if cfg!(miri) { 6 } else { 1 }) {
        for encoding in [Encoding::TwosComplement, Encoding::OffsetBinary, Encoding::SignMagnitude]
        {
            for granularity in [Granularity::PerTensor, Granularity::PerChannel] {
                for symmetry in [Symmetry::Symmetric, Symmetry::Asymmetric] {
                    for rounding in [Rounding::HalfEven, Rounding::HalfAway] {
                        all.push(Deployable { bits, encoding, granularity, symmetry, rounding });
                    }
                }
            }
        }
    }
    all.into_iter()
}

const INT8: Deployable = Deployable {
    bits: 8,
    encoding: Encoding::TwosComplement,
    granularity: Granularity::PerTensor,
    symmetry: Symmetry::Asymmetric,
    rounding: Rounding::HalfAway,
};

#[test]
fn zero_point_by_hand() {
    // 255 steps over [-1, 1.55]: scale 0.01, zero point -128 + 100.
    let deployed = INT8.quantize(&[-1.0, 0.0, 1.55], 1).expect("finite");
    assert!((deployed.scales[0] - 0.01).abs() < 1e-8);
    assert_eq!(deployed.zero_points, [-28]);
    assert_eq!(deployed.integers(), [-128, -28, 127]);
    // Ranges on one side of zero are widened to zero.
    assert_eq!(INT8.quantize(&[1.0, 2.0], 1).expect("finite").zero_points, [-128]);
    assert_eq!(INT8.quantize(&[-1.0, -2.0], 1).expect("finite").zero_points, [127]);
}

#[test]
fn halves() {
    let mut deployable = Deployable { symmetry: Symmetry::Symmetric, ..INT8 };
    let weights = [127.0, 0.5, 1.5, -0.5, -2.5];
    let away = deployable.quantize(&weights, 1).expect("finite").integers();
    deployable.rounding = Rounding::HalfEven;
    let even = deployable.quantize(&weights, 1).expect("finite").integers();
    assert_eq!((away, even), (vec![127, 1, 2, -1, -3], vec![127, 0, 2, 0, -2]));
}

#[test]
fn channels_have_their_own_scales() {
    let deployable =
        Deployable { granularity: Granularity::PerChannel, symmetry: Symmetry::Symmetric, ..INT8 };
    let deployed = deployable.quantize(&[127.0, 0.0, -254.0, 2.0, 0.0, 0.0], 3).expect("finite");
    assert_eq!(deployed.scales, [1.0, 2.0, 1.0]);
    assert_eq!(deployed.zero_points, [0; 3]);
    assert_eq!(deployed.integers(), [127, 0, -127, 1, 0, 0]);
}

#[test]
fn fewer_bits_of_an_int8_tensor() {
    let deployable = Deployable { symmetry: Symmetry::Symmetric, ..INT8 };
    let int8 = deployable.quantize(&[-1.27, 0.64, 0.1, 1.27], 1).expect("finite");
    let reals = int8.dequantize().expect("consistent");
    assert_eq!(deployable.quantize(&reals, 1).expect("finite"), int8);
    let four = Deployable { bits: 4, encoding: Encoding::OffsetBinary, ..deployable };
    let four = four.quantize(&reals, 1).expect("finite");
    assert_eq!(four.integers(), [-7, 4, 1, 7]);
    assert_eq!(four.codes, [1, 12, 9, 15]);
}

#[test]
fn refusals() {
    for bits in [0, 1, 9] {
        let error = Deployable { bits, ..INT8 }.quantize(&[1.0], 1);
        assert_eq!(error, Err(QuantizeError::Bits { bits }));
    }
    assert_eq!(INT8.quantize(&[], 1), Err(QuantizeError::Empty));
    let bad = INT8.quantize(&[1.0, f32::NAN], 1);
    assert!(matches!(bad, Err(QuantizeError::NotFinite { index: 1, .. })));
    for channels in [0, 2] {
        let error = QuantizeError::Channels { values: 3, channels };
        assert_eq!(INT8.quantize(&[1.0; 3], channels), Err(error));
    }
    let mut deployed = INT8.quantize(&[1.0], 1).expect("finite");
    deployed.zero_points.clear();
    assert!(matches!(deployed.dequantize(), Err(QuantizeError::Parameters { .. })));
}

#[test]
fn extreme_tensors() {
    for deployable in all() {
        for weights in [[0.0f32; 2], [f32::MAX, f32::MIN], [1e-45, 0.0], [-1e-45, f32::MAX]] {
            let deployed = deployable.quantize(&weights, 2).expect("finite");
            assert!(deployed.scales.iter().all(|scale| scale.is_normal()));
            let reals = deployed.dequantize().expect("consistent");
            assert!(reals.iter().all(|real| !real.is_nan()));
        }
    }
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

    #[test]
    fn errors_stay_within_half_a_step_and_zero_is_exact(
        mut weights in proptest::collection::vec(-2f32..3.0, 12)
    ) {
        weights[5] = 0.0;
        for deployable in all() {
            let deployed = deployable.quantize(&weights, 3).expect("finite");
            let reals = deployed.dequantize().expect("consistent");
            prop_assert_eq!(reals[5], 0.0);
            let row = weights.len() / deployed.scales.len();
            for (index, (real, weight)) in reals.iter().zip(&weights).enumerate() {
                // Moving the zero point to an integer may cut off another half step at one end.
                let nudge = if deployable.symmetry == Symmetry::Symmetric { 0.0 } else { 0.5 };
                let allowed = (0.5 + nudge) * f64::from(deployed.scales[index / row]) + 1e-6;
                let error = (f64::from(*real) - f64::from(*weight)).abs();
                prop_assert!(error <= allowed, "{deployable:?}: {error} against {allowed}");
            }
        }
    }
}
