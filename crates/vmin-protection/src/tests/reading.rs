//! Reading back against an array of cells that is written, hit and decoded word by word.

use proptest::prelude::*;

use super::super::*;
use crate::{FaultKind, FaultyCell, Score};

/// Tensors one after another from cell `first` on.
struct Linear {
    first: u64,
    sizes: Vec<(usize, u8)>,
}

impl Stores for Linear {
    fn held(&self, address: u64) -> Option<CodeBit> {
        let mut rest = address.checked_sub(self.first)?;
        for (tensor, &(codes, bits)) in self.sizes.iter().enumerate() {
            let length = codes as u64 * u64::from(bits);
            if rest < length {
                let (code, bit) = (rest / u64::from(bits), rest % u64::from(bits));
                return Some(CodeBit { tensor, code: code as usize, bit: bit as u8 });
            }
            rest -= length;
        }
        None
    }
}

fn hit(cells: &mut [bool], faults: &[FaultyCell], kind: FaultKind) {
    for fault in faults {
        if let Some(cell) = cells.get_mut(fault.address as usize) {
            *cell = match kind {
                FaultKind::Flip => !*cell,
                FaultKind::StuckAt => fault.preferred,
            };
        }
    }
}

const CELLS: usize = 700;

/// All words of the memory, one after another.
fn read_slowly(
    code: &dyn WordCode,
    on_detected: OnDetected,
    stores: &Linear,
    faults: &[FaultyCell],
    check_faults: &[FaultyCell],
    kind: FaultKind,
    codes: &mut [Vec<u8>],
    zero: u8,
) {
    let (k, r) = (code.data_bits() as usize, code.check_bits() as usize);
    let words = CELLS.div_ceil(k);
    let mut data = vec![false; words * k];
    for (address, cell) in data.iter_mut().enumerate() {
        if let Some(held) = stores.held(address as u64) {
            *cell = codes[held.tensor][held.code] >> held.bit & 1 == 1;
        }
    }
    let pack =
        |bits: &[bool]| bits.iter().rev().fold(0_u128, |all, &bit| all << 1 | u128::from(bit));
    let mut check = vec![false; words * r];
    for (word, bits) in data.chunks(k).enumerate() {
        let encoded = code.encode(pack(bits));
        for bit in 0..r {
            check[word * r + bit] = encoded >> bit & 1 == 1;
        }
    }
    hit(&mut data, faults, kind);
    hit(&mut check, check_faults, kind);
    for word in 0..words {
        let decoded = code.decode(
            pack(&data[word * k..][..k]),
            u16::try_from(pack(&check[word * r..][..r])).unwrap(),
        );
        for bit in 0..k {
            let Some(held) = stores.held((word * k + bit) as u64) else { continue };
            let mut value = decoded.data >> bit & 1 == 1;
            if decoded.verdict == Verdict::Detected && on_detected == OnDetected::Zero {
                value = zero >> held.bit & 1 == 1;
            }
            let code = &mut codes[held.tensor][held.code];
            *code = *code & !(1 << held.bit) | u8::from(value) << held.bit;
        }
    }
}

fn map(cells: u64, most: usize) -> impl Strategy<Value = Vec<FaultyCell>> {
    proptest::collection::btree_map(0..cells, any::<bool>(), 0..most).prop_map(|cells| {
        let fault = |(address, preferred)| FaultyCell { address, score: Score(0), preferred };
        cells.into_iter().map(fault).collect()
    })
}

fn kinds() -> impl Strategy<Value = FaultKind> {
    prop_oneof![Just(FaultKind::Flip), Just(FaultKind::StuckAt)]
}

fn tensors<'a>(codes: &'a mut [Vec<u8>], sizes: &[(usize, u8)], zero: u8) -> Vec<StoredTensor<'a>> {
    codes
        .iter_mut()
        .zip(sizes)
        .map(|(codes, &(_, bits))| StoredTensor {
            codes,
            bits,
            zeros: vec![zero],
            toward_zero: TowardZero::SignBit,
        })
        .collect()
}

proptest! {
    #[test]
    fn words_of_cells_equal_the_array_of_bits(
        faults in map(CELLS as u64, 120), check_faults in map(400, 60), kind in kinds(),
        sizes in proptest::collection::vec((0_usize..20, 1_u8..=8), 1..5),
        first in 0_u64..40, width in prop_oneof![Just(0_u32), Just(8), Just(32), Just(64), Just(128)],
        zeroed in any::<bool>(), seed in any::<u8>(),
    ) {
        let parity = Parity::new(24).unwrap();
        let secded = Secded::new(width.max(4)).unwrap();
        let code: &dyn WordCode = if width == 0 { &parity } else { &secded };
        let on_detected = if zeroed { OnDetected::Zero } else { OnDetected::Keep };
        let written: Vec<Vec<u8>> = sizes
            .iter()
            .map(|&(codes, bits)| {
                let of_code = |code: usize| (code as u8).wrapping_mul(37) ^ seed;
                (0..codes).map(|code| of_code(code) & (u8::MAX >> (8 - bits))).collect()
            })
            .collect();
        let stores = Linear { first, sizes: sizes.clone() };
        let (mut fast, mut slow) = (written.clone(), written.clone());
        let words = Words::Cells;
        let scheme = WordScheme::Code { code, words, on_detected };
        let mut stored = tensors(&mut fast, &sizes, 1);
        let done = read_back(scheme, &stores, &faults, &check_faults, kind, &mut stored).unwrap();
        read_slowly(code, on_detected, &stores, &faults, &check_faults, kind, &mut slow, 1);
        prop_assert_eq!(&fast, &slow);
        let differing = fast.iter().flatten().zip(written.iter().flatten());
        let flips: u32 = differing.map(|(a, b)| (a ^ b).count_ones()).sum();
        prop_assert_eq!(done.bits_flipped, u64::from(flips));
        let held = faults.iter().filter(|fault| stores.held(fault.address).is_some()).count();
        prop_assert_eq!(done.cells_hit, held as u64);
    }

    #[test]
    fn words_that_are_codes_equal_words_of_cells_when_codes_lie_without_gaps(
        faults in map(300, 80), check_faults in map(60, 20), kind in kinds(),
        sizes in proptest::collection::vec(0_usize..15, 1..5),
    ) {
        let sizes: Vec<(usize, u8)> = sizes.into_iter().map(|codes| (codes, 6)).collect();
        let code = Parity::new(6).unwrap();
        let stores = Linear { first: 0, sizes: sizes.clone() };
        let written: Vec<Vec<u8>> =
            sizes.iter().map(|&(n, _)| (0..n).map(|i| (i * 11 % 64) as u8).collect()).collect();
        let results = [Words::Cells, Words::Codes].map(|words| {
            let mut codes = written.clone();
            let scheme = WordScheme::Code { code: &code, words, on_detected: OnDetected::Zero };
            let mut stored = tensors(&mut codes, &sizes, 0);
            let done = read_back(scheme, &stores, &faults, &check_faults, kind, &mut stored).unwrap();
            (done, codes)
        });
        prop_assert_eq!(&results[0], &results[1]);
    }

    #[test]
    fn without_protection_reading_is_applying(
        faults in map(200, 60), kind in kinds(), codes in proptest::collection::vec(any::<u8>(), 0..25),
    ) {
        let (mut read, mut applied) = (vec![codes.clone()], codes);
        let sizes = [(applied.len(), 8)];
        let stores = Linear { first: 0, sizes: sizes.to_vec() };
        let mut stored = tensors(&mut read, &sizes, 0);
        let done = read_back(WordScheme::Plain, &stores, &faults, &[], kind, &mut stored).unwrap();
        let expected = crate::apply(&faults, kind, &mut applied, 8, 0).unwrap();
        prop_assert_eq!((done.cells_hit, done.bits_flipped), (expected.cells_hit, expected.bits_flipped));
        prop_assert_eq!(&read[0], &applied);
    }
}

#[test]
fn bit_masking_never_moves_a_value_away_from_zero() {
    // Two's complement and offset binary by their meaning, for every code and every set of errors.
    for bits in 2..=8_u8 {
        let half = 1_i16 << (bits - 1);
        type Meaning = (TowardZero, u8, fn(i16, i16) -> i16);
        let encodings: [Meaning; 3] = [
            (TowardZero::SignBit, 0, |code, half| (code ^ half) - half),
            (TowardZero::NotSignBit, half as u8, |code, half| code - half),
            (
                TowardZero::Clear,
                0,
                |code, half| {
                    if code & half == 0 { code } else { -(code & (half - 1)) }
                },
            ),
        ];
        for (toward_zero, zero, meaning) in encodings {
            for written in 0..2 * half {
                for wrong in 0..2 * half {
                    let read = (written ^ wrong) as u8;
                    let reads = DetectingReads { masking: Masking::Bits };
                    let used = reads.used(read, wrong as u8, bits, zero, toward_zero);
                    let (before, after) = (meaning(written, half), meaning(used.into(), half));
                    assert!(
                        after == 0
                            || (after.signum() == before.signum() && after.abs() <= before.abs())
                            || (after == -1 && before < 0),
                        "{bits} bits, {toward_zero:?}: {before} read as {after}"
                    );
                    if wrong == 0 {
                        assert_eq!(after, before);
                    }
                    let reads = DetectingReads { masking: Masking::Code };
                    let used = reads.used(read, wrong as u8, bits, zero, toward_zero);
                    assert!(wrong == 0 || used == zero);
                }
            }
        }
    }
}

#[test]
fn contradictions_are_named() {
    struct Lies;
    impl Stores for Lies {
        fn held(&self, _: u64) -> Option<CodeBit> {
            Some(CodeBit { tensor: 3, code: 0, bit: 0 })
        }
    }
    let fault = [FaultyCell { address: 0, score: Score(0), preferred: false }];
    let kind = FaultKind::Flip;
    let result = read_back(WordScheme::Plain, &Lies, &fault, &[], kind, &mut []);
    assert!(matches!(result, Err(ReadError::Held { .. })));
    let mut codes = vec![vec![0; 3]];
    let mut stored = tensors(&mut codes, &[(3, 9)], 0);
    let result = read_back(WordScheme::Plain, &Lies, &[], &[], kind, &mut stored);
    assert_eq!(result, Err(ReadError::CodeBits { tensor: 0, bits: 9 }));
    let mut stored = tensors(&mut codes, &[(3, 8)], 0);
    let parity = Parity::new(4).unwrap();
    let words = Words::Codes;
    let scheme = WordScheme::Code { code: &parity, words, on_detected: OnDetected::Zero };
    let result = read_back(scheme, &Lies, &[], &[], kind, &mut stored);
    assert_eq!(result, Err(ReadError::WordIsNoCode { data_bits: 4, tensor: 0, bits: 8 }));
}
