#![expect(clippy::cast_possible_truncation, reason = "small numbers")]

use super::{SchemeFormula, WeightScheme, encode};
use crate::WeightQuantization;
use crate::random::{Purpose, Stream};

const SCHEMES: [WeightScheme; 6] = [
    WeightScheme::Deployable,
    WeightScheme::Global,
    WeightScheme::Normal,
    WeightScheme::Asymmetric,
    WeightScheme::AsymmetricUnsigned,
    WeightScheme::Rquant,
];

fn weights(count: usize, shift: f32) -> Vec<f32> {
    let mut stream = Stream::new(2, Purpose::Initialization, 0);
    (0..count).map(|_| shift + 0.2 * stream.normal() as f32).collect()
}

#[test]
fn every_scheme_is_what_integer_hardware_computes() {
    let sets =
        [weights(500, 0.0), weights(300, 0.3), weights(40, 5.0), vec![0.0; 7], vec![-0.4; 3]];
    let tensors: Vec<&[f32]> = sets.iter().map(Vec::as_slice).collect();
    for scheme in SCHEMES {
        for formula in [SchemeFormula::Paper, SchemeFormula::Code] {
            for bits in [2, 3, 4, 8] {
                let quantization = WeightQuantization { bits, from_epoch: 0, scheme, formula };
                let encoded = encode(quantization, &tensors).expect("finite");
                for (weights, encoded) in tensors.iter().zip(&encoded) {
                    let place = format!("{scheme:?} {formula:?} {bits} {}", weights.len());
                    assert!((-128..=127).contains(&encoded.zero_point), "{place}");
                    assert!(encoded.scale.is_normal() && encoded.scale > 0.0, "{place}");
                    for (weight, (&code, real)) in
                        weights.iter().zip(encoded.codes.iter().zip(encoded.decode()))
                    {
                        assert!(u32::from(code) < 1 << bits, "{place}");
                        let integer = i32::from(encoded.encoding.decode(code, bits));
                        let exact = encoded.scale * (integer - encoded.zero_point) as f32;
                        let slack = 1e-6 * exact.abs();
                        assert!((real - exact).abs() <= slack, "{place}: {real} {exact}");
                        // Truncation takes up to a step, moving the range up to a half more.
                        let limit = 1.51 * encoded.scale + 1e-6;
                        let inside = scheme != WeightScheme::Global
                            || formula == SchemeFormula::Paper
                            || weight.abs() <= 1.0;
                        assert!(
                            !inside || (weight - real).abs() <= limit,
                            "{place}: {weight} {real}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_global_range_is_one_for_all() {
    let (narrow, wide) = (weights(100, 0.0), weights(100, 2.0));
    let quantization =
        WeightQuantization { scheme: WeightScheme::Global, ..WeightQuantization::deployable(8) };
    let encoded = encode(quantization, &[&narrow, &wide]).expect("finite");
    assert!(encoded[0].scale == encoded[1].scale && encoded[0].reals == encoded[1].reals);
    let quantization = WeightQuantization { scheme: WeightScheme::Normal, ..quantization };
    let encoded = encode(quantization, &[&narrow, &wide]).expect("finite");
    assert!(encoded[0].scale < 0.5 * encoded[1].scale);
}

#[test]
fn codes_with_errors_are_read_in_the_range_of_the_clean_weights() {
    for scheme in SCHEMES {
        let quantization = WeightQuantization { scheme, ..WeightQuantization::deployable(8) };
        let clean = encode(quantization, &[&weights(200, 0.1)]).expect("finite");
        let mut hit = clean[0].clone();
        hit.codes.iter_mut().for_each(|code| *code ^= 0x80);
        // Each is off by half of the range of the clean weights.
        let pairs = clean[0].decode().into_iter().zip(hit.decode());
        let half = 128.0 * clean[0].scale;
        for (before, after) in pairs {
            assert!(((before - after).abs() / half - 1.0).abs() < 1e-3, "{scheme:?}");
        }
    }
}

#[test]
fn what_is_no_number_has_no_codes() {
    for scheme in SCHEMES {
        let quantization = WeightQuantization { scheme, ..WeightQuantization::deployable(4) };
        assert!(encode(quantization, &[&[0.0, f32::NAN]]).is_err(), "{scheme:?}");
        assert!(encode(quantization, &[&[f32::INFINITY]]).is_err(), "{scheme:?}");
    }
}
