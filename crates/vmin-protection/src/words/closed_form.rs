//! What words of independent errors do, without simulation.
//!
//! `p` is the probability that a bit reads wrong, the same and independent for data and check bits.

use super::WordCode;
use crate::mechanisms::SecdedCode;

/// Probability that at least two of `bits` are wrong: `1 - q^n - n p q^(n-1)`.
#[must_use]
pub fn two_or_more(bits: u32, p: f64) -> f64 {
    let (n, q) = (f64::from(bits), 1.0 - p);
    1.0 - libm::pow(q, n) - n * p * libm::pow(q, n - 1.0)
}

/// Share of wrong bits left by single-error correction over words of `word_bits` (data and check)
/// if nothing is corrected wrongly: `p (1 - q^(n-1))`, the probability that a bit is wrong and not
/// alone. The textbook figure; [`secded_residual`] is the exact one.
#[must_use]
pub fn single_correction_residual(word_bits: u32, p: f64) -> f64 {
    // 1 - q^(n-1) without cancellation.
    -p * libm::expm1((f64::from(word_bits) - 1.0) * libm::log1p(-p))
}

/// The `p` that leaves `residual`, the inverse of [`single_correction_residual`] for residuals up to
/// one tenth, by bisection; NaN beyond.
#[must_use]
pub fn raw_for_residual(word_bits: u32, residual: f64) -> f64 {
    if !(residual > 0.0 && residual <= 0.1) || word_bits < 2 {
        return f64::NAN;
    }
    let (mut low, mut high) = (residual, 1.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if single_correction_residual(word_bits, middle) < residual {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Exact share of wrong data bits after this decoder, words with detected errors used as read.
///
/// A bit `j` is wrong after decoding with probability `p`, less that it was wrong and inverted, plus
/// that it was right and inverted. It is inverted when the syndrome is its column, that is when the
/// error pattern is a codeword with bit `j` inverted. Codewords with `c_j = 0` give the first case,
/// with `c_j = 1` the second; their weights follow from the `2^r` words of the dual code by MacWilliams'
/// identity, taken separately for position `j`.
#[must_use]
pub fn secded_residual(code: &SecdedCode, p: f64) -> f64 {
    let columns = code.parity_check_columns();
    let n = columns.len();
    let data_bits = code.data_bits() as usize;
    if p <= 0.0 {
        return 0.0;
    }
    let q = 1.0 - p;
    let words = 1_u32 << code.check_bits();
    let mut inverted_wrong = 0.0;
    let mut inverted_right = 0.0;
    for selector in 0..words {
        // A word of the dual: bit i is the parity of the selected rows of column i.
        let bit = |column: u16| (u32::from(column) & selector).count_ones() % 2 == 1;
        let weight = columns.iter().filter(|&&column| bit(column)).count();
        // Product over all other positions of (q - p)^(bit) (q + p)^(1 - bit), q + p being 1.
        let others = |own: bool| libm::pow(q - p, (weight - usize::from(own)) as f64);
        for &column in &columns[..data_bits] {
            let own = bit(column);
            // c_j = 0: the pattern has bit j, hence p. c_j = 1: it lacks it, hence q.
            inverted_wrong += p * others(own);
            inverted_right += q * if own { -others(own) } else { others(own) };
        }
    }
    debug_assert!(n > data_bits);
    let share = 1.0 / (f64::from(words) * data_bits as f64);
    p - inverted_wrong * share + inverted_right * share
}
