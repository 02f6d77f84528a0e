//! What is stored lies in the rows with the least damage, where the memory has more rows than it must hold; the
//! most important of it lies in the best of them.
//!
//! Works for values that are not known in advance, so for activations and partial sums too. The damage of a row
//! is what its faulty cells do to codes of any value: squared errors by the significance of their bits. What
//! matters of a row of the order is how much of what lies there at some time weighs how much. Costs: a table with
//! the number of a row for each row, read at every access; a memory test and a sort, once.
//!
//! With `ways` the memory is cut into so many sections, and each row keeps its place within its section but may lie
//! in any of them. The table then holds the number of a section for each row: 4 bits for 16 sections, where a row
//! of 131,072 needs 17. The rows of the same place share its sections out among them.
//!
//! Partial sums fill whatever memory there is, since larger tiles load weights less often. `share` keeps their tiles
//! to a share of the rows, so that there are rows to choose among; the weights that are loaded more often for it are
//! part of the energy.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::{Diagnostic, TableReader};
use vmin_sram::CellEffect;

use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::store::{KnownChip, RowTable, Storage, StoreRule};
use crate::{Extent, ProtectionCosts};

/// `kind = "strongest_rows"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StrongestRows {
    /// Share of the rows of the accumulator memory that tiles of sums may fill; all that they like if absent.
    pub share: Option<f64>,
    /// Sections of the memory, a power of two: each row lies at its place of any section; in any row if absent.
    pub ways: Option<u32>,
}

/// Sections of a memory.
const WAYS: RangeInclusive<i64> = 2..=256;

impl Mechanism for StrongestRows {
    fn kind(&self) -> &'static str {
        "strongest_rows"
    }

    fn describe(&self) -> String {
        let mut text = match self.share {
            None => "in the strongest rows".to_owned(),
            Some(share) => format!("in the strongest {} % of the rows", share * 100.0),
        };
        if let Some(ways) = self.ways {
            text.push_str(&format!(", each in one of {ways} sections"));
        }
        text
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Store(Box::new(*self))
    }

    fn startup(&self) -> Option<String> {
        Some("memory test, sort of the rows".to_owned())
    }

    fn remark(&self, memory: Memory, extent: Extent) -> Option<String> {
        let Extent { rows_used, rows, .. } = extent;
        let full = rows_used as f64 / rows.max(1) as f64 * 100.0;
        let choice = if rows_used < rows { "" } else { ", so that none is left to choose" };
        // Of sums there are as many as fit, unless they are kept to a part.
        let could_share = memory == Memory::Accumulator && self.share.is_none();
        let hint = match rows_used == rows && could_share {
            true => "; `share` keeps tiles of sums to a part of them",
            false => "",
        };
        Some(format!("{rows_used} of {rows} rows hold something ({full:.1} %){choice}{hint}"))
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
        // No more than the number of a row.
        let number = rows.log2().ceil();
        let entry = self.ways.map_or(number, |ways| f64::from(ways.ilog2()).min(number));
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
    let ways = entry.optional_integer("ways", WAYS);
    if (share.is_none() && entry.has("share")) || (ways.is_none() && entry.has("ways")) {
        return None;
    }
    if let Some(ways) = &ways
        && ways.value.count_ones() != 1
    {
        let problem =
            Diagnostic::new("out-of-range", format!("`ways` is {}, no power of two", ways.value));
        entry.report_at(
            ways.span.clone(),
            problem.allowed("expected 2, 4, 8, 16, 32, 64, 128 or 256"),
        );
        return None;
    }
    // Within the range.
    Some(Box::new(StrongestRows { share, ways: ways.map(|ways| ways.value as u32) }))
}

impl StoreRule for StrongestRows {
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage) {
        let Some(first) = chip.contents.first() else { return };
        let columns = chip.cells.columns;
        let mut importance: BTreeMap<u64, u128> = BTreeMap::new();
        // A row may come to hold any other: what counts is the highest bit that lies at that column of any row.
        let mut highest: Vec<Option<u8>> = vec![None; columns as usize];
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
                    let bits = held.bit..bits.max(held.bit + 1);
                    for (of_column, bit) in highest[column as usize..].iter_mut().zip(bits.clone())
                    {
                        *of_column = (*of_column).max(Some(bit));
                    }
                    column += bits.len() as u64;
                }
            }
        }
        let mut hurt: BTreeMap<u64, u128> = BTreeMap::new();
        for fault in &first.known {
            let bit = highest[(fault.address % columns) as usize];
            let Some(bit) = bit.filter(|bit| *bit < chip.used_bits) else { continue };
            let weight = match fault.effect {
                CellEffect::Inverts => 2,
                CellEffect::Holds(_) => 1,
            };
            *hurt.entry(fault.address / columns).or_default() += weight << (2 * bit);
        }
        let hurt = |row: u64| hurt.get(&row).copied().unwrap_or(0);
        let table = match self.ways {
            None => most_to_strongest(importance.into_iter().collect(), 0..chip.cells.rows, hurt),
            Some(ways) => {
                let section = chip.cells.rows.div_ceil(ways.into());
                let mut of_places: BTreeMap<u64, Vec<(u64, u128)>> = BTreeMap::new();
                for (row, number) in importance.into_iter().zip(0..) {
                    of_places.entry(number % section).or_default().push(row);
                }
                let of_place = |(place, rows)| {
                    let places = (place..chip.cells.rows).step_by(section as usize);
                    most_to_strongest(rows, places, hurt)
                };
                of_places.into_iter().flat_map(of_place).collect()
            }
        };
        // Only for less harm: an empty map moves nothing.
        let before = chip.total_harm(storage);
        storage.rows = Some(RowTable::from(table));
        if chip.total_harm(storage) >= before {
            storage.rows = None;
        }
    }
}

/// What weighs most lies in the rows with the least damage: rows of the order with their weights, and rows of the
/// memory, which are not fewer.
fn most_to_strongest(
    mut of_order: Vec<(u64, u128)>,
    of_memory: impl Iterator<Item = u64>,
    hurt: impl Fn(u64) -> u128,
) -> Vec<(u64, u64)> {
    let mut best: Vec<u64> = of_memory.collect();
    best.sort_by_cached_key(|&row| hurt(row));
    of_order.sort_by_key(|&(_, weight)| Reverse(weight));
    of_order.into_iter().map(|(row, _)| row).zip(best).collect()
}
