//! Requantization and addition: every kernel against exact arithmetic in 128 bits.

use proptest::prelude::*;
use vmin_kernels::{Addition, Factor, Requantization, Rounds, available};

const ROUNDS: [Rounds; 2] = [Rounds::Twice, Rounds::Once];

/// `x / 2^exponent` to nearest; ties away from zero, or up.
fn divide(x: i128, exponent: i32, away: bool) -> i128 {
    let half = (1i128 << exponent) >> 1;
    if away && x < 0 { -((-x + half) >> exponent) } else { (x + half) >> exponent }
}

fn scaled(rounds: Rounds, factor: Factor, sum: i32) -> i32 {
    let (multiplier, shift) = (i128::from(factor.multiplier), factor.shift);
    match rounds {
        Rounds::Twice => {
            let raised = (i64::from(sum) << shift.max(0)) as i32; // wraps as int32 does
            let high = divide(i128::from(raised) * multiplier, 31, false);
            divide(high, (-shift).max(0), true).try_into().expect("no more than the sum")
        }
        Rounds::Once => {
            let exact = divide(i128::from(sum) * multiplier, 31 - shift, false);
            exact.clamp(i32::MIN.into(), i32::MAX.into()) as i32
        }
    }
}

fn code(scaled: i32, zero_point: i32, min: i8, max: i8) -> i8 {
    scaled.wrapping_add(zero_point).clamp(min.into(), max.into()) as i8
}

fn check(
    rounds: Rounds,
    factors: &[Factor],
    sums: &[i32],
    offsets: &[i32],
    (zero_point, min, max): (i32, i8, i8),
) {
    let n = factors.len();
    let expected: Vec<i8> = sums
        .iter()
        .enumerate()
        .map(|(i, sum)| {
            let sum = sum.wrapping_add(offsets[i % n]);
            code(scaled(rounds, factors[i % n], sum), zero_point, min, max)
        })
        .collect();
    let rule = Requantization::new(rounds, factors, zero_point, min, max);
    assert_eq!(rule.channels(), n);
    for kernel in available() {
        let mut out = vec![55; sums.len()];
        kernel.requantize(sums, offsets, &rule, &mut out);
        assert_eq!(out, expected, "{} {rounds:?} {factors:?} {zero_point}", kernel.name());
    }
}

/// Values beside every power of two, ties of every shift, and the ends of the range.
fn edges() -> Vec<i32> {
    let near = (0..32).flat_map(|bit| [-2, -1, 0, 1, 2].map(|d| (1i64 << bit) + d));
    near.flat_map(|x| [x, -x, 3 * x, -3 * x]).map(|x| x as i32).collect()
}

#[test]
fn every_shift_with_extreme_multipliers_and_sums() {
    let edges = edges();
    let n = 16 + 8 + 5; // whole vectors of every kernel, and a tail
    let (sums, step) =
        if cfg!(miri) { (&edges[..n], 6) } else { (&edges[..edges.len() / n * n], 1) };
    for rounds in ROUNDS {
        for shift in (-31..=30).step_by(step * step) {
            let multipliers = [0, 1, 2, 1 << 30, (1 << 30) + 1, i32::MAX - 1, i32::MAX];
            for multiplier in multipliers.into_iter().step_by(step) {
                let factors = vec![Factor { multiplier, shift }; n];
                for clamp in [(0, -128, 127), (-128, -128, 127), (127, -128, 127), (5, -3, 4)] {
                    check(rounds, &factors, sums, &vec![0; n], clamp);
                }
            }
        }
    }
}

#[test]
fn every_zero_point_and_every_number_of_channels() {
    let edges = edges();
    for zero_point in (-128..=127i32).step_by(if cfg!(miri) { 85 } else { 1 }) {
        let factor = |c: i32| Factor { multiplier: (1 << 30) + 77 * c, shift: c % 31 - 25 };
        let n = 1 + (zero_point + 128).unsigned_abs() as usize % 70;
        let factors: Vec<Factor> = (0..n as i32).map(factor).collect();
        let offsets: Vec<i32> = (0..n).map(|c| edges[c * 7 % edges.len()]).collect();
        for pixels in (0..4).step_by(if cfg!(miri) { 2 } else { 1 }) {
            let sums: Vec<i32> = edges.iter().cycle().copied().take(n * pixels).collect();
            for rounds in ROUNDS {
                check(rounds, &factors, &sums, &offsets, (zero_point, -128, 127));
            }
        }
    }
}

/// `sum * factor` as IEEE 754 rounds it to double (to nearest, ties to even), then to an integer with ties
/// away from zero: on integers alone.
fn scaled_in_double(factor: f64, sum: i32) -> i32 {
    let significand = factor.to_bits() & ((1 << 52) - 1) | 1 << 52;
    let places = 1075 - i32::try_from(factor.to_bits() >> 52).expect("a positive factor");
    let product = u128::from(sum.unsigned_abs()) * u128::from(significand);
    let excess = (128 - product.leading_zeros()).saturating_sub(53);
    let (kept, rest) = (product >> excess, product & ((1 << excess) - 1));
    let twice_rest = rest << 1;
    let up = twice_rest > 1 << excess || twice_rest == 1 << excess && kept & 1 == 1;
    let double = (kept + u128::from(up && excess > 0)) << excess;
    let magnitude = match places {
        ..=0 => double << -places,
        1..=120 => ((double >> (places - 1)) + 1) >> 1,
        _ => 0,
    };
    let magnitude = i64::try_from(magnitude.min(1 << 40)).expect("small");
    (magnitude * i64::from(sum.signum())).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[test]
fn real_factors_beside_every_tie() {
    let decimals = [0.1f32, 0.01, 0.002, 0.3, 0.18, 0.05, 0.5, 1.0, 0.003_921_569].map(f64::from);
    let quotients = decimals.iter().flat_map(|a| decimals.map(|b| (a, b)));
    let quotients: Vec<f64> =
        quotients.flat_map(|(a, b)| decimals.map(|c| a * b / c)).chain([1e-9, 0.75, 7.0]).collect();
    let powers = (-31..=29).map(|e| 2f64.powi(e));
    let step = if cfg!(miri) { 97 } else { 1 };
    for factor in quotients.into_iter().chain(powers).step_by(step) {
        let near = |tie: i32| {
            let sum = (f64::from(tie) + 0.5) / factor;
            [-2.0, -1.0, 0.0, 1.0, 2.0].map(|d| (sum.round() + d) as i32)
        };
        let sums: Vec<i32> = (-130..130).flat_map(near).chain(edges()).collect();
        let expected: Vec<i8> =
            sums.iter().map(|&sum| code(scaled_in_double(factor, sum), 1, -128, 127)).collect();
        let rule = Requantization::real(vec![factor; sums.len()], 1, -128, 127);
        for kernel in available() {
            let mut out = vec![55; sums.len()];
            kernel.requantize(&sums, &vec![0; sums.len()], &rule, &mut out);
            assert_eq!(out, expected, "{} {factor}", kernel.name());
        }
    }
}

#[test]
fn no_channels_and_no_elements() {
    let rule = Requantization::new(Rounds::Twice, &[], 0, -128, 127);
    let factor = Factor { multiplier: 1 << 30, shift: 0 };
    let addition = Addition::new([(0, factor), (0, factor)], factor, 0, -128, 127);
    for kernel in available() {
        kernel.requantize(&[], &[], &rule, &mut []);
        kernel.requantize(&[], &[], &Requantization::real(vec![], 0, -128, 127), &mut []);
        kernel.add(&[], &[], &addition, &mut []);
    }
}

fn any_factor(shifts: std::ops::RangeInclusive<i32>) -> impl Strategy<Value = Factor> {
    let multiplier = prop_oneof![Just(0), Just(i32::MAX), 0..=i32::MAX, (1 << 30)..=i32::MAX];
    (multiplier, shifts).prop_map(|(multiplier, shift)| Factor { multiplier, shift })
}

fn any_clamp() -> impl Strategy<Value = (i32, i8, i8)> {
    (-128..=127i32, any::<i8>(), any::<i8>()).prop_map(|(zero, a, b)| (zero, a.min(b), a.max(b)))
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
    fn random_requantizations(
        (factors, offsets, sums) in (1usize..50, 0usize..5).prop_flat_map(|(n, pixels)| (
            proptest::collection::vec(any_factor(-31..=30), n),
            proptest::collection::vec(any::<i32>(), n),
            proptest::collection::vec(any::<i32>(), n * pixels),
        )),
        clamp in any_clamp(),
    ) {
        for rounds in ROUNDS {
            check(rounds, &factors, &sums, &offsets, clamp);
        }
    }

    #[test]
    fn random_real_factors(
        lanes in proptest::collection::vec((1e-10f64..1e3, any::<i32>(), any::<i32>()), 1..50),
        (zero_point, min, max) in any_clamp(),
    ) {
        let (factors, rest): (Vec<_>, Vec<_>) = lanes.iter().map(|&(f, a, b)| (f, (a, b))).unzip();
        let (sums, offsets): (Vec<i32>, Vec<i32>) = rest.into_iter().unzip();
        let expected: Vec<i8> = lanes.iter().map(|&(factor, sum, offset)| {
            let scaled = scaled_in_double(factor, sum.wrapping_add(offset));
            code(scaled, zero_point, min, max)
        }).collect();
        let rule = Requantization::real(factors, zero_point, min, max);
        for kernel in available() {
            let mut out = vec![55; sums.len()];
            kernel.requantize(&sums, &offsets, &rule, &mut out);
            prop_assert_eq!(&out, &expected, "{}", kernel.name());
        }
    }

    #[test]
    fn random_additions(
        pairs in proptest::collection::vec(any::<(i8, i8)>(), 0..70),
        inputs in [(-128..=128i32, any_factor(-31..=0)), (-128..=128i32, any_factor(-31..=0))],
        output in any_factor(-31..=0),
        (zero_point, min, max) in any_clamp(),
    ) {
        let (a, b): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
        let addend = |(offset, factor): (i32, Factor), x: i8| {
            scaled(Rounds::Twice, factor, (i32::from(x) + offset) << 20)
        };
        let expected: Vec<i8> = a.iter().zip(&b).map(|(&a, &b)| {
            let sum = addend(inputs[0], a) + addend(inputs[1], b);
            code(scaled(Rounds::Twice, output, sum), zero_point, min, max)
        }).collect();
        let rule = Addition::new(inputs, output, zero_point, min, max);
        for kernel in available() {
            let mut out = vec![55; a.len()];
            kernel.add(&a, &b, &rule, &mut out);
            prop_assert_eq!(&out, &expected, "{}", kernel.name());
        }
    }
}
