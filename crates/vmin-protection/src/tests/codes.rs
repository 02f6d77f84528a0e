//! Codes over words: every single and double error of every code, triples against a slow decoder.

use proptest::prelude::*;

use crate::mechanisms::{ParityCode, SecdedCode, SecdedError};
use crate::words::{Decoded, Verdict, WordCode};

const WIDTHS: [u32; 6] = [8, 16, 32, 64, 100, 128];

/// Data then check bits as an array, errors as positions in it.
fn decode_with(code: &dyn WordCode, data: u128, errors: &[u32]) -> Decoded {
    let (mut read, mut check) = (data, code.encode(data));
    for &error in errors {
        if error < code.data_bits() {
            read ^= 1 << error;
        } else {
            check ^= 1 << (error - code.data_bits());
        }
    }
    code.decode(read, check)
}

fn words(bits: u32) -> [u128; 4] {
    let all = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
    [0, all, 0x0123_4567_89ab_cdef_f1e2_d3c4_b5a6_9788 & all, 0x5555 & all]
}

/// The decoder written out: syndrome bit by bit from the matrix, then a search for its column.
fn decode_slowly(code: &SecdedCode, bits: &[bool]) -> (Vec<bool>, Verdict) {
    let columns = code.parity_check_columns();
    let syndrome: Vec<bool> = (0..code.check_bits())
        .map(|row| {
            columns
                .iter()
                .zip(bits)
                .fold(false, |sum, (column, &bit)| sum ^ (bit && column >> row & 1 == 1))
        })
        .collect();
    let mut bits = bits.to_vec();
    if syndrome.iter().all(|bit| !bit) {
        return (bits, Verdict::Clean);
    }
    for (place, column) in columns.iter().enumerate() {
        if syndrome.iter().enumerate().all(|(row, &bit)| (column >> row & 1 == 1) == bit) {
            bits[place] ^= true;
            return (bits, Verdict::Corrected);
        }
    }
    (bits, Verdict::Detected)
}

#[test]
fn the_usual_sizes_come_out() {
    for (data, check) in [(32, 7), (64, 8), (128, 9), (57, 7), (58, 8), (26, 6), (11, 5), (4, 4)] {
        assert_eq!(SecdedCode::new(data).unwrap().check_bits(), check, "{data} data bits");
    }
    for data_bits in [0, 3, 129] {
        assert_eq!(SecdedCode::new(data_bits), Err(SecdedError { data_bits }));
    }
    assert!(ParityCode::new(0).is_none() && ParityCode::new(129).is_none());
}

#[test]
fn the_minimum_distance_is_4() {
    for data_bits in 4..=128 {
        let columns = SecdedCode::new(data_bits).unwrap().parity_check_columns();
        // No one, two or three columns sum to zero; four do (for all but the smallest words).
        let known: std::collections::BTreeSet<u16> = columns.iter().copied().collect();
        assert_eq!(known.len(), columns.len(), "{data_bits}: columns differ");
        assert!(columns.iter().all(|column| column.count_ones() % 2 == 1), "{data_bits}: odd");
        let three = columns.iter().enumerate().any(|(i, a)| {
            columns[..i].iter().enumerate().any(|(j, b)| {
                columns[..j].iter().any(|c| a ^ b ^ c != *a && known.contains(&(a ^ b ^ c)))
            })
        });
        assert!(three, "{data_bits}: some three columns sum to a fourth");
    }
}

#[test]
fn rows_are_balanced() {
    for data_bits in [32, 64, 128] {
        let code = SecdedCode::new(data_bits).unwrap();
        let columns = code.parity_check_columns();
        let fills: Vec<usize> = (0..code.check_bits())
            .map(|row| columns.iter().filter(|&column| column >> row & 1 == 1).count())
            .collect();
        let spread = fills.iter().max().unwrap() - fills.iter().min().unwrap();
        assert!(spread <= 2, "{data_bits}: {fills:?}");
    }
    // Hsiao's (72, 64): 56 columns of weight 3 and 8 of weight 5, rows of 26 data bits.
    assert_eq!(SecdedCode::new(64).unwrap().encoder_xors(), 56 * 3 + 8 * 5 - 8);
}

#[test]
fn every_single_error_is_corrected_and_every_double_one_detected() {
    for data_bits in WIDTHS {
        let code = SecdedCode::new(data_bits).unwrap();
        let n = data_bits + code.check_bits();
        for data in words(data_bits) {
            let clean = decode_with(&code, data, &[]);
            assert_eq!((clean.data, clean.verdict), (data, Verdict::Clean));
            for a in 0..n {
                let one = decode_with(&code, data, &[a]);
                assert_eq!((one.data, one.verdict), (data, Verdict::Corrected), "{data_bits}: {a}");
                assert_eq!(one.check, code.encode(data));
                for b in 0..a {
                    let two = decode_with(&code, data, &[a, b]);
                    assert_eq!(two.verdict, Verdict::Detected, "{data_bits}: {a}, {b}");
                }
            }
        }
    }
}

#[test]
fn parity_sees_odd_numbers_of_errors_only() {
    for data_bits in 1..=128 {
        let code = ParityCode::new(data_bits).unwrap();
        for data in words(data_bits) {
            assert_eq!(decode_with(&code, data, &[]).verdict, Verdict::Clean);
            for a in 0..=data_bits {
                assert_eq!(decode_with(&code, data, &[a]).verdict, Verdict::Detected);
                for b in 0..a {
                    assert_eq!(decode_with(&code, data, &[a, b]).verdict, Verdict::Clean);
                }
            }
        }
    }
}

#[test]
fn some_triple_errors_are_corrected_wrongly() {
    let code = SecdedCode::new(64).unwrap();
    let (mut wrong, mut seen) = (0, 0);
    for a in 0..72 {
        for b in 0..a {
            for c in 0..b {
                match decode_with(&code, 0, &[a, b, c]).verdict {
                    Verdict::Corrected => wrong += 1,
                    Verdict::Detected => seen += 1,
                    Verdict::Clean => panic!("{a}, {b}, {c} went unseen"),
                }
            }
        }
    }
    // Not a published figure: that there are many of both is the point.
    let share = f64::from(wrong) / f64::from(wrong + seen);
    assert!((0.4..0.7).contains(&share), "{share}");
}

proptest! {
    #[test]
    fn any_errors_equal_the_slow_decoder(
        width in 0..WIDTHS.len(), data: u128,
        errors in proptest::collection::btree_set(0_u32..137, 0..6),
    ) {
        let code = SecdedCode::new(WIDTHS[width]).unwrap();
        let (k, n) = (code.data_bits(), code.data_bits() + code.check_bits());
        let data = data & if k == 128 { u128::MAX } else { (1 << k) - 1 };
        let errors: Vec<u32> = errors.into_iter().filter(|&error| error < n).collect();
        let check = code.encode(data);
        let mut bits: Vec<bool> = (0..k).map(|bit| data >> bit & 1 == 1).collect();
        bits.extend((0..code.check_bits()).map(|bit| check >> bit & 1 == 1));
        for &error in &errors {
            bits[error as usize] ^= true;
        }
        let (slow, verdict) = decode_slowly(&code, &bits);
        let fast = decode_with(&code, data, &errors);
        prop_assert_eq!(fast.verdict, verdict);
        for (place, &bit) in (0..k).zip(&slow) {
            prop_assert_eq!(fast.data >> place & 1 == 1, bit);
        }
        for (place, &bit) in slow[k as usize..].iter().enumerate() {
            prop_assert_eq!(fast.check >> place & 1 == 1, bit);
        }
    }
}
