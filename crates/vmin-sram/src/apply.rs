//! Corrupting stored codes.
//!
//! Codes of `m` bits lie packed without gaps, least significant bit first: code `i` of a tensor occupies
//! the memory bits `first_bit + i * m .. first_bit + (i + 1) * m`. Here each code has a byte of its own,
//! whose upper `8 - m` bits no fault touches.
//!
//! ```text
//! m = 3     memory bit   first_bit + 0 1 2 | 3 4 5 | 6 7 8
//!           bit of code              0 1 2 | 0 1 2 | 0 1 2
//! ```

use crate::chip::FaultyCell;
use crate::measured_maps::ErrorRates;

/// What a faulty cell does to the bit it stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The bit is inverted: the model of the papers. Every hit flips a bit.
    Flip,
    /// The bit becomes the cell's preferred value: what silicon shows. A hit flips a bit only if it
    /// differs.
    StuckAt,
}

/// What a faulty cell gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CellEffect {
    /// The inverse of what it stores.
    Inverts,
    /// This value, whatever it stores.
    Holds(bool),
}

impl CellEffect {
    /// What it does to a bit that is stored inverted and inverted back, if it is.
    #[must_use]
    pub const fn seen_through(self, inverted: bool) -> Self {
        match self {
            Self::Inverts => Self::Inverts,
            Self::Holds(value) => Self::Holds(value ^ inverted),
        }
    }
}

impl FaultKind {
    /// Both kinds with their words in files and options.
    pub const WORDS: [(&'static str, Self); 2] =
        [("flip", Self::Flip), ("stuck_at", Self::StuckAt)];

    /// Its word in files and options.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::StuckAt => "stuck_at",
        }
    }

    /// How often a cell of this kind errs that errs at every read and prefers a value.
    #[must_use]
    pub const fn rates(self, preferred: bool) -> ErrorRates {
        match (self, preferred) {
            (Self::Flip, _) => ErrorRates::flip(1.0),
            (Self::StuckAt, false) => ErrorRates::stuck_at_0(1.0),
            (Self::StuckAt, true) => ErrorRates::stuck_at_1(1.0),
        }
    }

    /// What a cell of this kind gives back that prefers a value.
    #[must_use]
    pub const fn effect(self, preferred: bool) -> CellEffect {
        match self {
            Self::Flip => CellEffect::Inverts,
            Self::StuckAt => CellEffect::Holds(preferred),
        }
    }
}

/// A cell that errs at one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fault {
    /// Address of the cell, or of the bit that it holds.
    pub address: u64,
    /// What it gives back.
    pub effect: CellEffect,
}

/// What applying faults did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Faulty cells that hold a bit of the codes: over the bits stored, the cell-fault rate.
    pub cells_hit: u64,
    /// Bits that changed: over the bits stored, the realised flip rate.
    pub bits_flipped: u64,
}

impl core::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.cells_hit += other.cells_hit;
        self.bits_flipped += other.bits_flipped;
    }
}

/// Why codes cannot lie where they were said to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Not 1 to 8 bits per code.
    #[error("a code has 1 to 8 bits, not {bits}")]
    CodeBits {
        /// What was given.
        bits: u8,
    },
    /// The last bit's address does not fit in 64 bits.
    #[error("{codes} codes of {bits} bits from bit {first_bit} end beyond 2^64")]
    End {
        /// Number of codes.
        codes: usize,
        /// Bits per code.
        bits: u8,
        /// Address of the first bit.
        first_bit: u64,
    },
    /// Two tensors of one call occupy the same cells.
    #[error("the tensors {first} and {second} overlap in memory")]
    Overlap {
        /// Index of the tensor that lies lower.
        first: usize,
        /// Index of the other.
        second: usize,
    },
}

/// Codes in memory: one per byte of `codes`, of which `bits` count, packed from `first_bit` on.
#[derive(Debug)]
pub struct CodeTensor<'a> {
    /// The codes.
    pub codes: &'a mut [u8],
    /// Bits per code, 1 to 8.
    pub bits: u8,
    /// Address of the first code's bit 0.
    pub first_bit: u64,
}

impl CodeTensor<'_> {
    /// The address behind the last bit.
    fn end(&self) -> Result<u64, ApplyError> {
        let Self { bits, first_bit, .. } = *self;
        let codes = self.codes.len();
        if !(1..=8).contains(&bits) {
            return Err(ApplyError::CodeBits { bits });
        }
        u64::try_from(codes)
            .ok()
            .and_then(|codes| codes.checked_mul(u64::from(bits)))
            .and_then(|length| length.checked_add(first_bit))
            .ok_or(ApplyError::End { codes, bits, first_bit })
    }
}

/// Applies a fault map to the codes of one tensor. Faults elsewhere do nothing.
///
/// # Errors
/// `bits` is not 1 to 8, or the codes end beyond address 2^64.
pub fn apply(
    faults: &[FaultyCell],
    kind: FaultKind,
    codes: &mut [u8],
    bits: u8,
    first_bit: u64,
) -> Result<Applied, ApplyError> {
    let tensor = CodeTensor { codes, bits, first_bit };
    let length = tensor.end()? - first_bit;
    let mut applied = Applied::default();
    for fault in faults {
        let bit = fault.address.wrapping_sub(first_bit);
        if bit < length {
            corrupt(tensor.codes, bits, bit, *fault, kind, &mut applied);
        }
    }
    Ok(applied)
}

/// Applies a fault map to many tensors in one pass over the faults; the results are in the order of
/// `tensors`, which may lie in any order in memory, with gaps.
///
/// # Errors
/// As for [`apply`]; and two tensors occupy the same cells. Then no code has changed.
pub fn apply_all(
    faults: &[FaultyCell],
    kind: FaultKind,
    tensors: &mut [CodeTensor<'_>],
) -> Result<Vec<Applied>, ApplyError> {
    let mut spans = Vec::with_capacity(tensors.len());
    for (tensor, codes) in tensors.iter().enumerate() {
        let span = Span { start: codes.first_bit, end: codes.end()?, tensor };
        if span.start < span.end {
            spans.push(span);
        }
    }
    spans.sort_unstable_by_key(|span| span.start);
    if let Some(pair) = spans.windows(2).find(|pair| pair[0].end > pair[1].start) {
        return Err(ApplyError::Overlap { first: pair[0].tensor, second: pair[1].tensor });
    }
    let mut applied = vec![Applied::default(); tensors.len()];
    let Some(directory) = Directory::new(&spans) else {
        return Ok(applied);
    };
    for fault in faults {
        if let Some(span) = directory.find(&spans, fault.address) {
            let CodeTensor { codes, bits, .. } = &mut tensors[span.tensor];
            let bit = fault.address - span.start;
            corrupt(codes, *bits, bit, *fault, kind, &mut applied[span.tensor]);
        }
    }
    Ok(applied)
}

#[inline]
fn corrupt(
    codes: &mut [u8],
    bits: u8,
    bit: u64,
    fault: FaultyCell,
    kind: FaultKind,
    applied: &mut Applied,
) {
    // A bit inside the codes has a usize index.
    let (index, place) = split(bit, bits);
    let code = &mut codes[index as usize];
    // Without branches: whether a stored bit differs from a preferred value is a coin toss.
    let flips = match kind {
        FaultKind::Flip => 1,
        FaultKind::StuckAt => (*code >> place & 1) ^ u8::from(fault.preferred),
    };
    applied.cells_hit += 1;
    applied.bits_flipped += u64::from(flips);
    *code ^= flips << place;
}

/// `(bit / bits, bit % bits)` for 1 to 8 bits. A division by a constant is a multiplication; one by a
/// variable would take most of the time of a fault.
#[inline]
const fn split(bit: u64, bits: u8) -> (u64, u64) {
    match bits {
        1 => (bit, 0),
        2 => (bit / 2, bit % 2),
        3 => (bit / 3, bit % 3),
        4 => (bit / 4, bit % 4),
        5 => (bit / 5, bit % 5),
        6 => (bit / 6, bit % 6),
        7 => (bit / 7, bit % 7),
        _ => (bit / 8, bit % 8),
    }
}

/// The bits of one tensor.
struct Span {
    start: u64,
    end: u64,
    tensor: usize,
}

/// Finds the span of an address: the memory from the first span to the last is cut into at most
/// [`Self::PARTS`] equal parts, each knowing the first span that ends in or behind it.
struct Directory {
    start: u64,
    end: u64,
    shift: u32,
    first_span: Vec<usize>,
}

impl Directory {
    const PARTS: u64 = 4096;

    /// None if there are no spans.
    fn new(spans: &[Span]) -> Option<Self> {
        let (start, end) = (spans.first()?.start, spans.last()?.end);
        let mut shift = 0;
        while (end - start - 1) >> shift >= Self::PARTS {
            shift += 1;
        }
        let parts = ((end - start - 1) >> shift) + 1;
        let mut span = 0;
        let first_span = (0..parts)
            .map(|part| {
                while spans[span].end - start <= part << shift {
                    span += 1;
                }
                span
            })
            .collect();
        Some(Self { start, end, shift, first_span })
    }

    #[inline]
    fn find<'s>(&self, spans: &'s [Span], address: u64) -> Option<&'s Span> {
        if address < self.start || address >= self.end {
            return None;
        }
        // Below PARTS.
        let part = ((address - self.start) >> self.shift) as usize;
        let span = spans[self.first_span[part]..].iter().find(|span| address < span.end)?;
        (span.start <= address).then_some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Score;
    use proptest::prelude::*;

    /// The slow, obvious twin: write the codes into an array of bits, hit the bits, read them back.
    fn apply_slowly(
        faults: &[FaultyCell],
        kind: FaultKind,
        codes: &mut [u8],
        bits: u8,
        first_bit: u64,
    ) -> Applied {
        let before: Vec<bool> =
            codes.iter().flat_map(|code| (0..bits).map(move |j| code >> j & 1 == 1)).collect();
        let mut memory = before.clone();
        let mut cells_hit = 0;
        for fault in faults {
            for (i, bit) in memory.iter_mut().enumerate() {
                if first_bit + i as u64 == fault.address {
                    cells_hit += 1;
                    *bit = match kind {
                        FaultKind::Flip => !*bit,
                        FaultKind::StuckAt => fault.preferred,
                    };
                }
            }
        }
        for (i, code) in codes.iter_mut().enumerate() {
            for j in 0..bits {
                let bit = memory[i * usize::from(bits) + usize::from(j)];
                *code = *code & !(1 << j) | u8::from(bit) << j;
            }
        }
        let bits_flipped = before.iter().zip(&memory).filter(|(a, b)| a != b).count() as u64;
        Applied { cells_hit, bits_flipped }
    }

    fn faults() -> impl Strategy<Value = Vec<FaultyCell>> {
        proptest::collection::btree_map(0_u64..700, any::<bool>(), 0..200).prop_map(|cells| {
            cells
                .into_iter()
                .map(|(address, preferred)| FaultyCell { address, score: Score(0), preferred })
                .collect()
        })
    }

    fn kind() -> impl Strategy<Value = FaultKind> {
        prop_oneof![Just(FaultKind::Flip), Just(FaultKind::StuckAt)]
    }

    proptest! {
        #[test]
        fn one_tensor_equals_the_array_of_bits(
            faults in faults(), kind in kind(), bits in 1_u8..=8, first_bit in 0_u64..300,
            codes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let (mut fast, mut slow) = (codes.clone(), codes);
            let applied = apply(&faults, kind, &mut fast, bits, first_bit).unwrap();
            let expected = apply_slowly(&faults, kind, &mut slow, bits, first_bit);
            prop_assert_eq!(applied, expected);
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn many_tensors_equal_one_after_another(
            faults in faults(), kind in kind(), reversed in any::<bool>(),
            parts in proptest::collection::vec(
                (1_u8..=8, 0_u64..20, proptest::collection::vec(any::<u8>(), 0..20)), 0..12),
        ) {
            let mut next = 5;
            let mut layout: Vec<(u8, u64, Vec<u8>)> = Vec::new();
            for (bits, gap, codes) in parts {
                let first_bit = next + gap;
                next = first_bit + codes.len() as u64 * u64::from(bits);
                layout.push((bits, first_bit, codes));
            }
            if reversed {
                layout.reverse();
            }
            let mut slow = layout.clone();
            let expected: Vec<Applied> = slow
                .iter_mut()
                .map(|(bits, first_bit, codes)| apply_slowly(&faults, kind, codes, *bits, *first_bit))
                .collect();
            let mut tensors: Vec<CodeTensor<'_>> = layout
                .iter_mut()
                .map(|(bits, first_bit, codes)| CodeTensor { codes, bits: *bits, first_bit: *first_bit })
                .collect();
            let applied = apply_all(&faults, kind, &mut tensors).unwrap();
            prop_assert_eq!(applied, expected);
            prop_assert_eq!(layout, slow);
        }
    }

    #[test]
    fn each_broken_rule_is_named() {
        let mut a = [0_u8; 4];
        let mut b = [0_u8; 4];
        let result = apply(&[], FaultKind::Flip, &mut a, 0, 0);
        assert_eq!(result, Err(ApplyError::CodeBits { bits: 0 }));
        let result = apply(&[], FaultKind::Flip, &mut a, 9, 0);
        assert_eq!(result, Err(ApplyError::CodeBits { bits: 9 }));
        let result = apply(&[], FaultKind::Flip, &mut a, 8, u64::MAX - 31);
        assert!(matches!(result, Err(ApplyError::End { .. })));
        assert!(apply(&[], FaultKind::Flip, &mut a, 8, u64::MAX - 32).is_ok());
        let mut overlap = [
            CodeTensor { codes: &mut a, bits: 8, first_bit: 31 },
            CodeTensor { codes: &mut b, bits: 8, first_bit: 0 },
        ];
        let result = apply_all(&[], FaultKind::Flip, &mut overlap);
        assert_eq!(result, Err(ApplyError::Overlap { first: 1, second: 0 }));
    }
}
