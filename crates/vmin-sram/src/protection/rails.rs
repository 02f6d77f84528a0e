//! Cells on another rail than their neighbours: boosted reads, safe bits, layers, banks.
//!
//! A rail is a threshold; a cell on several counts as being on the highest. Which cells a rule
//! concerns is known from what they hold or where they lie, so the fault map under rails is a filter of
//! the map at the lowest rail.

use crate::chip::FaultyCell;
use crate::geometry::Geometry;
use crate::score::Threshold;

use super::stored::{CodeBit, Stores};

/// Which cells hang on a rail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those of the `count` most significant bits of each code.
    TopBits {
        /// How many.
        count: u8,
    },
    /// Those of these tensors, in rising order.
    Tensors(Vec<usize>),
    /// Those of these banks, in rising order.
    Banks(Vec<u32>),
}

/// Some cells on a rail of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RailRule {
    /// Which cells.
    pub which: Which,
    /// Their rail.
    pub threshold: Threshold,
}

/// The rails of one memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rails {
    /// That of all cells without a rule.
    pub base: Threshold,
    /// Exceptions.
    pub rules: Vec<RailRule>,
}

impl Rails {
    /// One rail.
    #[must_use]
    pub const fn single(base: Threshold) -> Self {
        Self { base, rules: Vec::new() }
    }

    /// The rail of a cell: `held` is what it holds, `bits` the width of that code.
    #[must_use]
    pub fn of_cell(&self, bank: u32, held: Option<(CodeBit, u8)>) -> Threshold {
        let concerned = |which: &Which| match which {
            Which::TopBits { count } => held.is_some_and(|(held, bits)| held.bit + count >= bits),
            Which::Tensors(tensors) => {
                held.is_some_and(|(held, _)| tensors.binary_search(&held.tensor).is_ok())
            }
            Which::Banks(banks) => banks.binary_search(&bank).is_ok(),
        };
        let rules = self.rules.iter().filter(|rule| concerned(&rule.which));
        rules.map(|rule| rule.threshold).fold(self.base, Ord::max)
    }

    /// What of `faults` (the map at [`Self::base`]) fails under the rails; `code_bits` gives the width
    /// of each tensor's codes.
    #[must_use]
    pub fn filter(
        &self,
        faults: &[FaultyCell],
        geometry: Geometry,
        stores: &dyn Stores,
        code_bits: &[u8],
    ) -> Vec<FaultyCell> {
        if self.rules.is_empty() {
            return faults.to_vec();
        }
        let width = |held: CodeBit| code_bits.get(held.tensor).map(|&bits| (held, bits));
        let fails = |fault: &&FaultyCell| {
            let bank = geometry.position(fault.address).map_or(0, |position| position.bank);
            let held = stores.held(fault.address).and_then(width);
            self.of_cell(bank, held).is_faulty(fault.score)
        };
        faults.iter().filter(fails).copied().collect()
    }
}

/// The `count` of the `used` banks (rising) with the most faults, in rising order; of two with as many the
/// lower number.
#[must_use]
pub fn weakest_banks(
    faults: &[FaultyCell],
    geometry: Geometry,
    used: &[u32],
    count: usize,
) -> Vec<u32> {
    let mut counts: Vec<(u64, u32)> = used.iter().map(|&bank| (0, bank)).collect();
    for fault in faults {
        let bank = geometry.position(fault.address).map(|position| position.bank);
        let entry = bank.and_then(|bank| used.binary_search(&bank).ok());
        if let Some(entry) = entry {
            counts[entry].0 += 1;
        }
    }
    counts.sort_by_key(|&(faults, bank)| (core::cmp::Reverse(faults), bank));
    let mut banks: Vec<u32> = counts.iter().take(count).map(|&(_, bank)| bank).collect();
    banks.sort_unstable();
    banks
}
