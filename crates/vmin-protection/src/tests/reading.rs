//! Reading back against an array of cells that is written, hit and decoded word by word.

use proptest::prelude::*;
use vmin_sram::{FaultKind, FaultyCell, Score};

use super::faults;
use crate::mechanisms::{DetectingReads, Masking, ParityCode, SecdedCode};
use crate::words::{
    CodeBit, Codes, OnDetected, ReadError, Scheme, Stored, Stores, TowardZero, Verdict, WordCode,
    Words, compile, read_back,
};

/// Codes of up to 32 bits.
impl Codes for [Vec<u32>] {
    fn get(&self, tensor: usize, code: usize) -> u32 {
        self[tensor][code]
    }

    fn set(&mut self, tensor: usize, code: usize, value: u32) {
        self[tensor][code] = value;
    }
}

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

const CELLS: usize = 2600;

/// A code over words of cells, and what becomes of words that it cannot mend.
type OfWords<'a> = Option<(&'a dyn WordCode, OnDetected)>;

/// All words of the memory, one after another; without a code, all cells.
fn read_slowly(
    of_words: OfWords<'_>,
    stores: &Linear,
    stored: &[Stored],
    (cells, check_cells): (&[FaultyCell], &[FaultyCell]),
    kind: FaultKind,
    codes: &mut [Vec<u32>],
) {
    let k = of_words.map_or(1, |(code, _)| code.data_bits() as usize);
    let r = of_words.map_or(0, |(code, _)| code.check_bits() as usize);
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
    if let Some((code, _)) = of_words {
        for (word, bits) in data.chunks(k).enumerate() {
            let encoded = code.encode(pack(bits));
            for bit in 0..r {
                check[word * r + bit] = encoded >> bit & 1 == 1;
            }
        }
    }
    hit(&mut data, cells, kind);
    hit(&mut check, check_cells, kind);
    for word in 0..words {
        let mut read = pack(&data[word * k..][..k]);
        let mut zeroed = false;
        if let Some((code, on_detected)) = of_words {
            let check = u16::try_from(pack(&check[word * r..][..r])).unwrap();
            let decoded = code.decode(read, check);
            read = decoded.data;
            zeroed = decoded.verdict == Verdict::Detected && on_detected == OnDetected::Zero;
        }
        for bit in 0..k {
            let Some(held) = stores.held((word * k + bit) as u64) else { continue };
            let mut value = read >> bit & 1 == 1;
            if zeroed {
                let Stored { codes, zeros, .. } = &stored[held.tensor];
                let zero = zeros[held.code / codes.div_ceil(zeros.len())];
                value = zero >> held.bit & 1 == 1;
            }
            let code = &mut codes[held.tensor][held.code];
            *code = *code & !(1 << held.bit) | u32::from(value) << held.bit;
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

fn stored(sizes: &[(usize, u8)], zeros: &[u32]) -> Vec<Stored> {
    let of = |&(codes, bits): &(usize, u8)| {
        let zeros = zeros.iter().map(|zero| zero & (u32::MAX >> (32 - bits))).collect();
        Stored { codes, bits, zeros, toward_zero: TowardZero::SignBit }
    };
    sizes.iter().map(of).collect()
}

proptest! {
    #[test]
    fn words_of_cells_equal_the_array_of_bits(
        cells in map(CELLS as u64, 300), check_cells in map(1500, 150), kind in kinds(),
        sizes in proptest::collection::vec((0_usize..20, 1_u8..=32), 1..5),
        first in 0_u64..40,
        width in prop_oneof![Just(None), (0_u32..=1).prop_map(Some), (4_u32..=128).prop_map(Some)],
        zeroed in any::<bool>(), seed in any::<u32>(),
    ) {
        let code = width.map(|width| -> Box<dyn WordCode> {
            match width {
                0 => Box::new(ParityCode::new(24).unwrap()),
                1 => Box::new(ParityCode::new(128).unwrap()),
                bits => Box::new(SecdedCode::new(bits).unwrap()),
            }
        });
        let on_detected = if zeroed { OnDetected::Zero } else { OnDetected::Keep };
        let written: Vec<Vec<u32>> = sizes
            .iter()
            .map(|&(codes, bits)| {
                let of_code = |code: usize| (code as u32).wrapping_mul(0x9e37_79b9) ^ seed;
                (0..codes).map(|code| of_code(code) & (u32::MAX >> (32 - bits))).collect()
            })
            .collect();
        let stores = Linear { first, sizes: sizes.clone() };
        let stored = stored(&sizes, &[1, 0x8000_0006]);
        let (mut fast, mut slow) = (written.clone(), written.clone());
        let of_words = code.as_deref().map(|code| (code, on_detected));
        read_slowly(of_words, &stores, &stored, (&cells, &check_cells), kind, &mut slow);
        let scheme = match code {
            None => Scheme::Plain,
            Some(code) => Scheme::Code { code, words: Words::Cells, on_detected },
        };
        let (data, check) = (faults(&cells, kind), faults(&check_cells, kind));
        let done = read_back(&scheme, &stores, &stored, &data, &check, &mut fast[..]).unwrap();
        prop_assert_eq!(&fast, &slow);
        let differing = fast.iter().flatten().zip(written.iter().flatten());
        let flips: u32 = differing.map(|(a, b)| (a ^ b).count_ones()).sum();
        prop_assert_eq!(done.bits_flipped, u64::from(flips));
        let held = cells.iter().filter(|fault| stores.held(fault.address).is_some()).count();
        prop_assert_eq!(done.cells_hit, held as u64);
    }

    #[test]
    fn words_that_are_codes_equal_words_of_cells_when_codes_lie_without_gaps(
        cells in map(900, 160), check_cells in map(60, 20), kind in kinds(), bits in 1_u8..=32,
        sizes in proptest::collection::vec(0_usize..15, 1..5),
    ) {
        let sizes: Vec<(usize, u8)> = sizes.into_iter().map(|codes| (codes, bits)).collect();
        let stores = Linear { first: 0, sizes: sizes.clone() };
        let stored = stored(&sizes, &[0]);
        let code = |i: usize| (i as u32).wrapping_mul(0x9e37_79b9) & (u32::MAX >> (32 - bits));
        let written: Vec<Vec<u32>> = sizes.iter().map(|&(n, _)| (0..n).map(code).collect()).collect();
        let results = [Words::Cells, Words::Codes].map(|words| {
            let mut codes = written.clone();
            let code = Box::new(ParityCode::new(bits.into()).unwrap());
            let scheme = Scheme::Code { code, words, on_detected: OnDetected::Zero };
            let (data, check) = (faults(&cells, kind), faults(&check_cells, kind));
            let done = read_back(&scheme, &stores, &stored, &data, &check, &mut codes[..]).unwrap();
            (done, codes)
        });
        prop_assert_eq!(&results[0], &results[1]);
    }

    #[test]
    fn faults_code_by_code_are_those_of_all_codes(
        cells in map(1000, 200), check_cells in map(200, 60), kind in kinds(), codes in 0_usize..31,
        width in prop_oneof![Just(None), Just(Some(16)), Just(Some(32))],
    ) {
        let scheme = match width {
            None => Scheme::Plain,
            Some(width) => Scheme::Code {
                code: Box::new(SecdedCode::new(width).unwrap()),
                words: Words::Cells,
                on_detected: OnDetected::Zero,
            },
        };
        let sizes = [(codes, 32)];
        let (stores, stored) = (Linear { first: 0, sizes: sizes.to_vec() }, stored(&sizes, &[0]));
        let (data, check) = (faults(&cells, kind), faults(&check_cells, kind));
        let written = vec![(0..codes).map(|i| (i as u32).wrapping_mul(0x9e37_79b9)).collect::<Vec<u32>>()];
        let all = compile(&scheme, &stores, &stored, &data, &check);
        let (mut at_once, mut one_by_one) = (written.clone(), written);
        let done = all.read(&scheme, &stored, &mut at_once[..]);
        let by_code = all.clone().by_code();
        prop_assert!(by_code.is_sorted_by(|a, b| a.0 < b.0), "each code once");
        prop_assert_eq!(by_code.is_empty(), all.is_empty());
        let mut sum = crate::words::ReadBack::default();
        for (_, faults) in &by_code {
            prop_assert!(!faults.is_empty());
            sum += faults.read(&scheme, &stored, &mut one_by_one[..]);
        }
        prop_assert_eq!(done, sum);
        prop_assert_eq!(at_once, one_by_one);
    }

    #[test]
    fn without_protection_reading_is_applying(
        cells in map(200, 60), kind in kinds(), codes in proptest::collection::vec(any::<u8>(), 0..25),
    ) {
        let (mut read, mut applied) = ([codes.clone()], codes);
        let sizes = [(applied.len(), 8)];
        let (stores, stored) = (Linear { first: 0, sizes: sizes.to_vec() }, stored(&sizes, &[0]));
        let data = faults(&cells, kind);
        let done = read_back(&Scheme::Plain, &stores, &stored, &data, &[], &mut read[..]).unwrap();
        let expected = vmin_sram::apply(&cells, kind, &mut applied, 8, 0).unwrap();
        prop_assert_eq!((done.cells_hit, done.bits_flipped), (expected.cells_hit, expected.bits_flipped));
        prop_assert_eq!(&read[0], &applied);
    }
}

#[test]
fn bit_masking_never_moves_a_value_away_from_zero() {
    // Two's complement and offset binary by their meaning, for every code and every set of errors.
    for bits in 2..=8_u8 {
        let half = 1_i16 << (bits - 1);
        type Meaning = (TowardZero, u32, fn(i16, i16) -> i16);
        let encodings: [Meaning; 3] = [
            (TowardZero::SignBit, 0, |code, half| (code ^ half) - half),
            (TowardZero::NotSignBit, half as u32, |code, half| code - half),
            (
                TowardZero::Clear,
                0,
                |code, half| {
                    if code & half == 0 { code } else { -(code & (half - 1)) }
                },
            ),
        ];
        for (toward_zero, zero, meaning) in encodings {
            let stored = Stored { codes: 1, bits, zeros: vec![zero], toward_zero };
            for written in 0..2 * half {
                for wrong in 0..2 * half {
                    let (read, wrong) = ((written ^ wrong) as u32, wrong as u32);
                    let reads = DetectingReads { masking: Masking::Bits };
                    let used = reads.used(read, wrong, &stored, 0);
                    let (before, after) = (meaning(written, half), meaning(used as i16, half));
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
                    let used = reads.used(read, wrong, &stored, 0);
                    assert!(wrong == 0 || used == zero);
                }
            }
        }
    }
}

#[test]
fn contradictions_are_named() {
    let stores = Linear { first: 0, sizes: Vec::new() };
    let parity = |words| Scheme::Code {
        code: Box::new(ParityCode::new(4).unwrap()),
        words,
        on_detected: OnDetected::Zero,
    };
    let read = |scheme: Scheme, bits| {
        let stored = Stored { codes: 3, bits, zeros: vec![0], toward_zero: TowardZero::SignBit };
        read_back(&scheme, &stores, &[stored], &[], &[], &mut [vec![0_u32; 3]][..]).err()
    };
    for bits in [0, 33] {
        assert_eq!(read(Scheme::Plain, bits), Some(ReadError::CodeBits { tensor: 0, bits }));
        let error = Some(ReadError::CodeBits { tensor: 0, bits });
        assert_eq!(read(parity(Words::Codes), bits), error);
    }
    let error = ReadError::WordIsNoCode { data_bits: 4, tensor: 0, bits: 8 };
    assert_eq!(read(parity(Words::Codes), 8), Some(error));
    assert_eq!(read(parity(Words::Cells), 8), None);
    assert_eq!(read(parity(Words::Codes), 4), None);
}
