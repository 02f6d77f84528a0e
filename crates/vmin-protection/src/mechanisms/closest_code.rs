//! Where cells hold a value, the code is written whose value is nearest to the wanted one among those that
//! these cells can hold.
//!
//! Source: the search over codes under stuck cells follows "fault-aware quantization" (arXiv 2305.12590).
//! Ties go to the value of the smaller magnitude. A cell that always inverts what it stores is written inverted,
//! so that it does no damage at all; real cells of that kind are rare, and the flips of the papers stand for
//! random reads, which no map shows. Where words carry check bits, or wrong bits are detected, a word is written
//! around its cells only if it then reads nearer to what is wanted.
//!
//! The chip's fault map must be known, and the codes before they are written. The choice costs a memory test and
//! a search per code with faults, once; a read costs nothing. Streamed weights need an image of their own for
//! each chip, since each load is written for the cells that it passes through.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;

use crate::ProtectionCosts;
use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::store::{Content, KnownChip, Storage, StoreRule};
use crate::words::{Codes, Faults, Scheme, compile};

/// `kind = "closest_code"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ClosestCode {}

impl Mechanism for ClosestCode {
    fn kind(&self) -> &'static str {
        "closest_code"
    }

    fn describe(&self) -> String {
        "nearest codes that the cells can hold".to_owned()
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Store(Box::new(*self))
    }

    fn startup(&self) -> Option<String> {
        Some("memory test, search per code with faulty cells".to_owned())
    }

    fn caution_if_inverting(&self) -> Option<&'static str> {
        Some(
            "a cell that always inverts is written inverted, so every cell on the map is repaired exactly; \
             this is no result about stuck cells, nor about random flips, which no map shows",
        )
    }

    fn price(&self, _: &ProtectionCosts, _: Shape) -> Price {
        Price::default()
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        super::values_unknown(memory)
    }
}

pub(super) fn read(_: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(ClosestCode {}))
}

/// Codes to be written, by tensor and number.
pub(super) type Changes = BTreeMap<(usize, usize), u32>;

/// The wanted codes with changes.
pub(super) struct Changed<'a> {
    pub(super) wanted: &'a dyn Fn(usize, usize) -> u32,
    pub(super) changes: Changes,
}

impl Codes for Changed<'_> {
    fn get(&self, tensor: usize, code: usize) -> u32 {
        let changed = self.changes.get(&(tensor, code)).copied();
        changed.unwrap_or_else(|| (self.wanted)(tensor, code))
    }

    fn set(&mut self, tensor: usize, code: usize, value: u32) {
        self.changes.insert((tensor, code), value);
    }
}

impl StoreRule for ClosestCode {
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage) {
        for content in &chip.contents {
            let Some(wanted) = content.codes else { continue };
            let masks = chip.masks(content, storage);
            let mut changes = Changes::new();
            for ((tensor, code), mask) in masks {
                let Some(damage) = chip.damage.get(tensor) else { continue };
                let wanted = wanted(tensor, code);
                let closest = damage.closest(wanted, mask);
                if closest != wanted {
                    changes.insert((tensor, code), closest);
                }
            }
            match chip.scheme {
                Scheme::Plain => {}
                Scheme::Detecting(_) | Scheme::Code { .. } => {
                    only_helpful(chip, content, wanted, storage, &mut changes);
                }
            }
            let codes = changes.into_iter().map(|((tensor, code), of)| (tensor, code, of));
            storage.contents.entry(content.number).or_default().codes = codes.collect();
        }
    }

    fn writes_around(&self) -> bool {
        true
    }
}

/// The known faults of a content, as stored so far.
pub(super) fn known_faults(
    chip: &KnownChip<'_>,
    content: &Content<'_>,
    storage: &Storage,
) -> Faults {
    let KnownChip { cells, tensors, scheme, .. } = *chip;
    let known = content.known.clone();
    let data = storage.data_faults(content.number, content.stores, tensors, cells, known);
    compile(scheme, &storage.ordered(content.stores), tensors, &data, &content.known_checks)
}

/// Keeps those changes with which the words read nearer to what is wanted.
fn only_helpful(
    chip: &KnownChip<'_>,
    content: &Content<'_>,
    wanted: &dyn Fn(usize, usize) -> u32,
    storage: &Storage,
    changes: &mut Changes,
) {
    let KnownChip { tensors, scheme, damage, .. } = *chip;
    let faults = known_faults(chip, content, storage);
    let read = |changes: Changes| {
        let mut codes = Changed { wanted, changes };
        faults.read(scheme, tensors, &mut codes);
        codes
    };
    let (plain, changed) = (read(Changes::new()), read(changes.clone()));
    for group in faults.groups() {
        let harm = |read: &Changed<'_>| -> u128 {
            let of = |&(tensor, code): &(usize, usize)| {
                let damage = damage.get(tensor)?;
                Some(u128::from(damage.of(code, wanted(tensor, code), read.get(tensor, code))))
            };
            group.iter().filter_map(of).sum()
        };
        if harm(&changed) >= harm(&plain) {
            let group: BTreeSet<(usize, usize)> = group.into_iter().collect();
            changes.retain(|code, _| !group.contains(code));
        }
    }
}
