//! What lies in a weight memory at a time, and in which cells.
//!
//! ```text
//!  resident   one content: all tensors                       cell ─ layout ─> position ─> bit ─> code
//!  streamed   one content per load: a piece of one tensor
//! ```
//!
//! Words of a code are counted by position, rails and spares by cell.

use vmin_accel::placement::{AddressMap, Load, StreamedTensor, WeightPlacement};
use vmin_sram::protection::{CodeBit, Stores, Words};

/// A run of codes without gaps.
#[derive(Clone, Copy, Debug)]
struct Span<'p> {
    first_bit: u64,
    tensor: usize,
    codes: u64,
    bits: u64,
    /// The tensor's code at each place of the run, where they are not in order.
    order: Option<&'p [usize]>,
}

impl Span<'_> {
    const fn end(&self) -> u64 {
        self.first_bit + self.codes * self.bits
    }
}

/// Codes that lie in the memory together.
#[derive(Clone, Debug)]
pub(super) struct Contents<'p> {
    /// By first bit, none empty.
    spans: Vec<Span<'p>>,
}

impl<'p> Contents<'p> {
    /// All contents of a placement, one after the other.
    pub(super) fn of(placement: &'p WeightPlacement) -> Vec<Self> {
        match placement {
            WeightPlacement::Resident(placement) => {
                let tensors = placement.tensors.iter().enumerate();
                let mut spans: Vec<_> = tensors
                    .filter(|(_, placed)| placed.codes > 0)
                    .map(|(tensor, placed)| Span {
                        first_bit: placed.first_bit,
                        tensor,
                        codes: placed.codes,
                        bits: placed.bits.into(),
                        order: None,
                    })
                    .collect();
                spans.sort_unstable_by_key(|span| span.first_bit);
                vec![Self { spans }]
            }
            WeightPlacement::Streamed(placement) => {
                let tensors = placement.tensors.iter().enumerate();
                let load = |tensor, streamed: &'p StreamedTensor, load: &Load| Self {
                    spans: vec![Span {
                        first_bit: load.first_bit,
                        tensor,
                        codes: load.codes as u64,
                        bits: streamed.bits.into(),
                        order: streamed.order.get(load.first..load.first + load.codes),
                    }],
                };
                tensors
                    .flat_map(|(tensor, streamed)| {
                        streamed.loads.iter().map(move |of| load(tensor, streamed, of))
                    })
                    .collect()
            }
        }
    }

    /// What a bit of the memory in linear order holds.
    fn held(&self, bit: u64) -> Option<CodeBit> {
        let after = self.spans.partition_point(|span| span.first_bit <= bit);
        let span = self.spans.get(after.checked_sub(1)?)?;
        let within = bit - span.first_bit;
        let (place, bit) = (within / span.bits, within % span.bits);
        if place >= span.codes {
            return None;
        }
        let place = usize::try_from(place).ok()?;
        let code = span.order.map_or(Some(place), |order| order.get(place).copied())?;
        // A remainder by at most 8.
        Some(CodeBit { tensor: span.tensor, code, bit: bit as u8 })
    }

    /// The tensors with their numbers of codes, by number.
    fn tensors(&self) -> Vec<(usize, u64)> {
        let mut tensors: Vec<_> = self.spans.iter().map(|span| (span.tensor, span.codes)).collect();
        tensors.sort_unstable();
        tensors
    }
}

/// The banks that hold codes at any time, rising.
pub(super) fn banks(contents: &[Contents<'_>], layout: &AddressMap) -> Vec<u32> {
    let geometry = layout.geometry();
    let columns = u64::from(geometry.columns());
    let mut holds = vec![false; geometry.banks() as usize];
    for span in contents.iter().flat_map(|contents| &contents.spans) {
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

/// Nothing yet: a memory under test.
pub(super) struct Empty;

impl Stores for Empty {
    fn held(&self, _: u64) -> Option<CodeBit> {
        None
    }
}

/// By cell of check bits, which stand for the first data bit of their word.
pub(super) struct CheckBits<'a> {
    pub(super) data: InWords<'a>,
    /// Of the memory of check bits.
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
