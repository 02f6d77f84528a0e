//! Closed forms against published figures, enumeration and simulation.

use vmin_sram::{
    Chip, ChipKey, FaultKind, Geometry, Population, Threshold, VarianceShares, normal,
};

use super::faults;
use crate::mechanisms::SecdedCode;
use crate::words::closed_form::*;
use crate::words::{
    CodeBit, OnDetected, Scheme, Stored, Stores, TowardZero, WordCode, Words, read_back,
};

/// Supply over V_min at which cells fail at rate `p`, for a Gaussian of mean 0.677 and deviation 0.067
/// of V_min.
fn relative_voltage(p: f64) -> f64 {
    0.677 - 0.067 * normal::quantile(p)
}

#[test]
fn rates_voltages_and_energies_for_a_residual_of_1e6() {
    // (data bits, word bits, raw p, V / V_min, access energy (n / k) (V / V_min)^2)
    let table = [
        (32_u32, 39_u32, 1.6e-4, 0.918, 1.027),
        (64, 72, 1.2e-4, 0.923, 0.959),
        (128, 137, 8.6e-5, 0.929, 0.923),
    ];
    for (k, n, raw, voltage, energy) in table {
        let p = raw_for_residual(n, 1e-6);
        assert!((p / raw - 1.0).abs() < 0.03, "({n}, {k}): {p}");
        let v = relative_voltage(p);
        assert!((v - voltage).abs() < 6e-4, "({n}, {k}): {v}");
        let e = f64::from(n) / f64::from(k) * v * v;
        assert!((e - energy).abs() < 1.5e-3, "({n}, {k}): {e}");
        // The decoder's wrong corrections matter little here.
        let exact = secded_residual(&SecdedCode::new(k).unwrap(), p);
        assert!((exact / 1e-6 - 1.0).abs() < 0.02, "({n}, {k}): {exact}");
    }
    let unprotected = relative_voltage(1e-6);
    assert!((unprotected - 0.995).abs() < 6e-4);
    assert!((unprotected * unprotected - 0.991).abs() < 1.5e-3);
}

#[test]
fn at_a_residual_of_1e4_correction_costs_more_than_it_saves() {
    let with = relative_voltage(raw_for_residual(72, 1e-4));
    let without = relative_voltage(1e-4);
    assert!((72.0 / 64.0 * with * with - 0.872).abs() < 1.5e-3, "{with}");
    assert!((without * without - 0.858).abs() < 1.5e-3, "{without}");
}

#[test]
fn at_one_percent_words_hold_too_many_errors() {
    assert!((two_or_more(64, 0.01) - 0.1346).abs() < 1e-4);
    assert!((two_or_more(72, 0.01) - 0.16).abs() < 0.005);
    assert!((single_correction_residual(72, 0.01) - 0.0051).abs() < 5e-5);
    assert!(raw_for_residual(72, 0.2).is_nan() && raw_for_residual(1, 1e-6).is_nan());
}

#[test]
fn the_exact_residual_equals_the_sum_over_all_error_patterns() {
    let code = SecdedCode::new(8).unwrap();
    let n = 8 + code.check_bits();
    for p in [1e-3, 0.01, 0.1, 0.4] {
        let mut sum = 0.0;
        for pattern in 0_u32..1 << n {
            let decoded = code.decode(u128::from(pattern & 0xff), (pattern >> 8) as u16);
            let weight = pattern.count_ones() as i32;
            let probability = f64::powi(p, weight) * f64::powi(1.0 - p, n as i32 - weight);
            sum += probability * f64::from(decoded.data.count_ones()) / 8.0;
        }
        let closed = secded_residual(&code, p);
        assert!((closed / sum - 1.0).abs() < 1e-9, "{p}: {closed} {sum}");
    }
}

/// Every cell of a memory, codes of 8 bits.
struct Bytes;

impl Stores for Bytes {
    fn held(&self, address: u64) -> Option<CodeBit> {
        Some(CodeBit { tensor: 0, code: (address / 8) as usize, bit: (address % 8) as u8 })
    }
}

#[test]
fn simulation_of_chips_agrees() {
    let population = Population::new("independent", VarianceShares::INDEPENDENT, 0.5).unwrap();
    let memory = Geometry::new(4, 2048, 128).unwrap();
    for (k, rate, seed) in
        [(32, 0.01, 1), (64, 0.01, 2), (128, 0.01, 3), (64, 2e-3, 4), (64, 0.05, 5)]
    {
        let code = SecdedCode::new(k).unwrap();
        let checks = Geometry::new(4, 2048, 128 / k * code.check_bits()).unwrap();
        let threshold = Threshold::from_rate(rate).unwrap();
        let map = |memory_id, geometry| {
            let key = ChipKey { seed, chip: 0, memory: memory_id };
            Chip::sample(&population, key, geometry, threshold).unwrap()
        };
        let (data, check) = (map(0, memory), map(1, checks));
        let mut codes: [Vec<u8>; 1] =
            [(0..memory.cells() / 8).map(|i| (i * 97 % 251) as u8).collect()];
        let toward_zero = TowardZero::SignBit;
        let stored = [Stored { codes: codes[0].len(), bits: 8, zeros: vec![0], toward_zero }];
        let scheme = Scheme::Code {
            code: Box::new(code.clone()),
            words: Words::Cells,
            on_detected: OnDetected::Keep,
        };
        let [data, check] = [data, check].map(|chip| faults(chip.cells(), FaultKind::Flip));
        let done = read_back(&scheme, &Bytes, &stored, &data, &check, &mut codes[..]).unwrap();
        let bits = memory.cells() as f64;
        let (found, exact) = (done.bits_flipped as f64 / bits, secded_residual(&code, rate));
        // Errors come about 2.5 to a word: four deviations of a count of words.
        let deviation = (exact * 2.5 / bits).sqrt();
        assert!(
            (found - exact).abs() < 4.0 * deviation,
            "{k}, {rate}: {found} {exact} {deviation}"
        );
        let textbook = single_correction_residual(k + code.check_bits(), rate);
        assert!((found / textbook - 1.0).abs() < 0.25, "{k}, {rate}: {found} {textbook}");
        assert!(done.words_undetected > 0 || rate < 0.04, "four errors that make a codeword");
        assert!(done.words_miscorrected > 0, "{k}, {rate}: three errors and more");
    }
}
