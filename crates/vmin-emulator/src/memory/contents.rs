//! What lies in a memory at a time, and in which cells.
//!
//! ```text
//!  resident weights   one content: all tensors               cell ─ layout ─> position ─> bit ─> code
//!  streamed weights   one content per load: a piece of one tensor
//!  activations        one content per tensor, or per piece of one that wraps around the memory
//! ```
//!
//! Words of a code are counted by position, rails and spares by cell.

use vmin_accel::placement::{
    ActivationPlacement, AddressMap, Load, PlacedActivation, StreamedTensor, WeightPlacement,
};
use vmin_protection::words::{CodeBit, Stores, Words};

/// A run of codes without gaps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'p> {
    pub(super) first_bit: u64,
    pub(super) tensor: usize,
    /// The tensor's code at the first place of the run, where they are in order.
    pub(super) first_code: usize,
    pub(super) codes: u64,
    pub(super) bits: u64,
    /// The tensor's code at each place of the run, where they are not in order.
    pub(super) order: Option<&'p [usize]>,
}

impl Span<'_> {
    pub(super) const fn end(&self) -> u64 {
        self.first_bit + self.codes * self.bits
    }

    /// The tensor's code at a place of the run.
    pub(super) fn code(&self, place: usize) -> Option<usize> {
        self.order.map_or(Some(self.first_code + place), |order| order.get(place).copied())
    }
}

/// Codes that lie in the memory together.
#[derive(Clone, Debug)]
pub(crate) struct Contents<'p> {
    /// By first bit, none empty.
    pub(super) spans: Vec<Span<'p>>,
    /// Its number among the contents of its memory.
    pub(super) number: u32,
}

impl<'p> Contents<'p> {
    /// All contents of a placement of weights, one after the other.
    pub(crate) fn of_weights(placement: &'p WeightPlacement) -> Vec<Self> {
        match placement {
            WeightPlacement::Resident(placement) => {
                let tensors = placement.tensors.iter().enumerate();
                let mut spans: Vec<_> = tensors
                    .filter(|(_, placed)| placed.codes > 0)
                    .map(|(tensor, placed)| Span {
                        first_bit: placed.first_bit,
                        tensor,
                        first_code: 0,
                        codes: placed.codes,
                        bits: placed.bits.into(),
                        order: None,
                    })
                    .collect();
                spans.sort_unstable_by_key(|span| span.first_bit);
                vec![Self { spans, number: 0 }]
            }
            WeightPlacement::Streamed(placement) => {
                let tensors = placement.tensors.iter().enumerate();
                let load = |tensor, streamed: &'p StreamedTensor, load: &Load| Self {
                    spans: vec![Span {
                        first_bit: load.first_bit,
                        tensor,
                        first_code: 0,
                        codes: load.codes as u64,
                        bits: streamed.bits.into(),
                        order: streamed.order.get(load.first..load.first + load.codes),
                    }],
                    number: 0,
                };
                let loads = tensors.flat_map(|(tensor, streamed)| {
                    streamed.loads.iter().map(move |of| load(tensor, streamed, of))
                });
                (0..).zip(loads).map(|(number, load)| Self { number, ..load }).collect()
            }
        }
    }

    /// The contents of one tensor of activations of `bits` bits: pieces, if it wraps around the memory.
    pub(super) fn of_activation(
        placement: &ActivationPlacement,
        tensor: usize,
        bits: u64,
    ) -> Vec<Self> {
        let PlacedActivation { first_bit, codes, .. } = placement.tensors[tensor];
        let room = placement.geometry.cells() / bits;
        let (mut first_code, mut first_bit) = (0, first_bit % (room * bits).max(1));
        let mut pieces = Vec::new();
        while first_code < codes && room > 0 {
            let piece = (codes - first_code).min(room - first_bit / bits);
            let first = usize::try_from(first_code).unwrap_or(usize::MAX);
            let span =
                Span { first_bit, tensor, first_code: first, codes: piece, bits, order: None };
            // Fewer tensors than 2^20, fewer pieces than 2^12 in any memory of use.
            let number = (tensor as u32) | (pieces.len() as u32) << 20;
            pieces.push(Self { spans: vec![span], number });
            first_code += piece;
            first_bit = 0;
        }
        pieces
    }

    /// The bit that lies at a place of the memory in linear order.
    pub(super) fn held(&self, bit: u64) -> Option<CodeBit> {
        let after = self.spans.partition_point(|span| span.first_bit <= bit);
        let span = self.spans.get(after.checked_sub(1)?)?;
        let within = bit - span.first_bit;
        let (place, bit) = (within / span.bits, within % span.bits);
        if place >= span.codes {
            return None;
        }
        let code = span.code(usize::try_from(place).ok()?)?;
        // A remainder by at most 32.
        Some(CodeBit { tensor: span.tensor, code, bit: bit as u8 })
    }

    /// Its codes: tensor and number.
    pub(super) fn codes(&self) -> impl Iterator<Item = (usize, usize)> {
        self.spans.iter().flat_map(|span| {
            // A span's codes are those of a tensor.
            let codes = (0..span.codes as usize).filter_map(|place| span.code(place));
            codes.map(|code| (span.tensor, code))
        })
    }

    /// The rows in which something lies, by position, rising.
    pub(crate) fn rows(&self, layout: &AddressMap) -> Vec<u64> {
        let columns = u64::from(layout.geometry().columns());
        let cells = layout.geometry().cells();
        let mut rows = Vec::new();
        for span in &self.spans {
            let first = layout.position(layout.cell(span.first_bit));
            let length = span.end() - span.first_bit;
            // What reaches beyond the last cell begins again at the first.
            let last = first + length.max(1) - 1;
            rows.extend((first / columns..=last / columns).map(|row| row % (cells / columns)));
        }
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// The tensors with their numbers of codes, by number.
    fn tensors(&self) -> Vec<(usize, u64)> {
        let mut tensors: Vec<_> = self.spans.iter().map(|span| (span.tensor, span.codes)).collect();
        tensors.sort_unstable();
        tensors
    }
}

/// The banks that hold codes at any time, rising.
pub(super) fn banks<'c, 'p: 'c>(
    contents: impl Iterator<Item = &'c Contents<'p>>,
    layout: &AddressMap,
) -> Vec<u32> {
    let geometry = layout.geometry();
    let columns = u64::from(geometry.columns());
    let mut holds = vec![false; geometry.banks() as usize];
    for span in contents.flat_map(|contents| &contents.spans) {
        // One bit of every row, and the last.
        let bits = (span.first_bit..span.end()).step_by(columns as usize).chain([span.end() - 1]);
        for position in bits.filter_map(|bit| geometry.position(layout.cell(bit))) {
            holds[position.bank as usize] = true;
        }
    }
    (0..geometry.banks()).zip(holds).filter_map(|(bank, holds)| holds.then_some(bank)).collect()
}

/// By cell.
pub(super) struct InCells<'a> {
    pub(super) contents: &'a Contents<'a>,
    pub(super) layout: &'a AddressMap,
}

impl Stores for InCells<'_> {
    fn held(&self, cell: u64) -> Option<CodeBit> {
        self.contents.held(self.layout.bit(cell))
    }
}

/// By position.
pub(super) struct InWords<'a> {
    pub(super) contents: &'a Contents<'a>,
    pub(super) layout: &'a AddressMap,
}

impl Stores for InWords<'_> {
    fn held(&self, position: u64) -> Option<CodeBit> {
        self.contents.held(self.layout.bit_at(position))
    }
}

/// An empty memory, as a test finds it.
pub(super) struct Empty;

impl Stores for Empty {
    fn held(&self, _: u64) -> Option<CodeBit> {
        None
    }
}

/// Check bits by cell: each stands for the first data bit of its word.
pub(super) struct CheckBits<'a> {
    pub(super) data: InWords<'a>,
    /// Layout of the array of check bits.
    pub(super) layout: &'a AddressMap,
    pub(super) data_bits: u64,
    pub(super) check_bits: u64,
    pub(super) words: Words,
}

impl Stores for CheckBits<'_> {
    fn held(&self, cell: u64) -> Option<CodeBit> {
        let word = self.layout.position(cell) / self.check_bits;
        match self.words {
            Words::Cells => self.data.held(word.checked_mul(self.data_bits)?),
            Words::Codes => {
                let mut rest = word;
                for (tensor, codes) in self.data.contents.tensors() {
                    if rest < codes {
                        // Below the number of a tensor's codes.
                        return Some(CodeBit { tensor, code: rest as usize, bit: 0 });
                    }
                    rest -= codes;
                }
                None
            }
        }
    }
}
