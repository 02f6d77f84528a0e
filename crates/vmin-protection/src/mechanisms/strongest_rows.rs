//! What is stored lies in the rows with the least damage, where the memory has more rows than it must hold; the
//! most important of it lies in the best of them.
//!
//! Works for values that are not known in advance, so for activations and partial sums too. The damage of a row
//! is what its faulty cells do to codes of any value: squared errors by the significance of their bits. What
//! matters of a row of the order is how much of what lies there at some time weighs how much. Costs: a table with
//! the number of a row for each row, read at every access; a memory test and a sort, once.
//!
//! Partial sums fill whatever memory there is, since larger tiles load weights less often. `share` keeps their tiles
//! to a share of the rows, so that there are rows to choose among; the weights that are loaded more often for it are
//! part of the energy.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;
use vmin_sram::CellEffect;

use crate::ProtectionCosts;
use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::store::{KnownChip, RowTable, Storage, StoreRule};

/// `kind = "strongest_rows"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StrongestRows {
    /// Share of the rows of the accumulator memory that tiles of sums may fill; all that they like if absent.
    pub share: Option<f64>,
}

impl Mechanism for StrongestRows {
    fn kind(&self) -> &'static str {
        "strongest_rows"
    }

    fn describe(&self) -> String {
        match self.share {
            None => "in the strongest rows".to_owned(),
            Some(share) => format!("in the strongest {} % of the rows", share * 100.0),
        }
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Store(Box::new(*self))
    }

    fn startup(&self) -> Option<String> {
        Some("a memory test, and a sort of the rows".to_owned())
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        match memory {
            Memory::Accumulator => None,
            Memory::Weight | Memory::Activation => self
                .share
                .map(|_| "`share` makes tiles of partial sums smaller; leave it away here"),
        }
    }

    fn share_of_rows(&self) -> Option<f64> {
        self.share
    }

    fn price(&self, _: &ProtectionCosts, shape: Shape) -> Price {
        let rows = f64::from(shape.geometry.banks()) * f64::from(shape.geometry.rows());
        let entry = rows.log2().ceil();
        Price {
            // Every access reads the entry of its row.
            access_share: entry / shape.word_bits as f64,
            idle_share: entry / f64::from(shape.geometry.columns()),
            ..Price::default()
        }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let share = entry.optional_number("share", 0.001..=1.0).map(|share| share.value);
    if share.is_none() && entry.has("share") {
        return None;
    }
    Some(Box::new(StrongestRows { share }))
}

impl StoreRule for StrongestRows {
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage) {
        let Some(first) = chip.contents.first() else { return };
        let columns = chip.cells.columns;
        let widest = chip.tensors.iter().map(|stored| stored.bits).max().unwrap_or(1).max(1);
        let mut hurt: BTreeMap<u64, u128> = BTreeMap::new();
        for fault in &first.known {
            // A row may come to hold any other: what counts is the bit at that column.
            let held = chip.contents.iter().find_map(|of| of.stores.held(fault.address));
            let bit = held.map_or(fault.address % columns % u64::from(widest), |of| of.bit.into());
            let weight = match fault.effect {
                CellEffect::Inverts => 2,
                CellEffect::Holds(_) => 1,
            };
            *hurt.entry(fault.address / columns).or_default() += weight << (2 * bit);
        }
        let mut importance: BTreeMap<u64, u128> = BTreeMap::new();
        for content in &chip.contents {
            for &row in &content.rows {
                let mut column = 0;
                while column < columns {
                    let Some(held) = content.stores.held(row * columns + column) else {
                        column += 1;
                        continue;
                    };
                    let bits = chip.tensors.get(held.tensor).map_or(1, |stored| stored.bits);
                    let weight =
                        chip.damage.get(held.tensor).map_or(1, |damage| damage.weight(held.code));
                    *importance.entry(row).or_default() += u128::from(weight);
                    column += u64::from(bits.max(1) - held.bit.min(bits.max(1) - 1));
                }
            }
        }
        let mut best: Vec<u64> = (0..chip.cells.rows).collect();
        best.sort_by_key(|row| hurt.get(row).copied().unwrap_or(0));
        let mut first: Vec<(u64, u128)> = importance.into_iter().collect();
        first.sort_by_key(|&(_, weight)| Reverse(weight));
        let table: Vec<(u64, u64)> = first.into_iter().map(|(row, _)| row).zip(best).collect();
        let before = chip.total_harm(storage);
        storage.rows = Some(RowTable::from(table));
        if chip.total_harm(storage) > before {
            storage.rows = None;
        }
    }
}
