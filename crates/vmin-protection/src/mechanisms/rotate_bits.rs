//! The codes of one lane of a bank (those that begin at the same column) are rotated alike, so that weak columns
//! meet the least significant bits.
//!
//! For chips with weak columns. The chip's fault map must be known; in the weight memory the codes count too, in
//! the others the significance of the bits. Costs: a barrel rotation per code on the way in and out, a register
//! of the amount per lane and bank, a memory test and a choice per lane, once.

use std::collections::BTreeMap;

use serde::Serialize;
use vmin_diagnostic::TableReader;

use crate::ProtectionCosts;
use crate::mechanism::{Codec, Effect, Mechanism, Price, Shape};
use crate::store::{KnownChip, Rotation, Storage, StoreRule};
use crate::words::{Mask, Stores};

/// `kind = "rotate_bits"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RotateBits {}

impl Mechanism for RotateBits {
    fn kind(&self) -> &'static str {
        "rotate_bits"
    }

    fn describe(&self) -> String {
        "codes rotated per column of words".to_owned()
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Store(Box::new(*self))
    }

    fn startup(&self) -> Option<String> {
        Some("memory test, choice per column of words".to_owned())
    }

    fn price(&self, _: &ProtectionCosts, shape: Shape) -> Price {
        let bits = f64::from(shape.code_bits.max(1));
        let stages = bits.log2().ceil();
        // Per stage and bit one multiplexer, of three gates.
        let gates = 3.0 * bits * stages;
        Price {
            idle_share: stages / (bits * f64::from(shape.geometry.rows())),
            codec: Some(Codec {
                data_bits: bits,
                encoder_gates: gates,
                decoder_gates: gates,
                cycles: 0.0,
            }),
            ..Price::default()
        }
    }
}

pub(super) fn read(_: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(RotateBits {}))
}

/// The lane of a code, and its faulty cells before rotation.
type InLane = ((u32, u64), Mask<u32>);

/// A code of a lane: its content, itself, its width and its faulty cells before rotation.
struct OfLane {
    content: usize,
    code: (usize, usize),
    bits: u8,
    mask: Mask<u32>,
}

impl StoreRule for RotateBits {
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage) {
        let columns = chip.cells.columns;
        let mut lanes: BTreeMap<(u32, u64), Vec<OfLane>> = BTreeMap::new();
        for (number, content) in chip.contents.iter().enumerate() {
            let mut codes: BTreeMap<(usize, usize), InLane> = BTreeMap::new();
            for fault in &content.known {
                let (stores, cells) = (content.stores, chip.cells);
                let landed = storage.landed(stores, chip.tensors, cells, fault.address);
                let Some(position) = landed else { continue };
                let Some(held) = storage.ordered(stores).held(position) else { continue };
                let lane = storage.lane(cells, position - u64::from(held.bit));
                let Some(lane) = lane else { continue };
                let of_code = codes.entry((held.tensor, held.code)).or_insert((lane, Mask::NONE));
                of_code.1.add(held.bit.into(), fault.effect);
            }
            for (code, (lane, mask)) in codes {
                let bits = chip.tensors.get(code.0).map_or(1, |stored| stored.bits);
                lanes.entry(lane).or_default().push(OfLane { content: number, code, bits, mask });
            }
        }
        for ((bank, column), codes) in lanes {
            debug_assert!(column < columns, "a column of a row");
            let widest = codes.iter().map(|of| of.bits).max().unwrap_or(1);
            let harm = |by: u8| -> u128 {
                let of = |of: &OfLane| {
                    let mask = of.mask.rotated_down(by % of.bits, of.bits);
                    chip.harm(&chip.contents[of.content], of.code, mask)
                };
                codes.iter().map(of).sum()
            };
            let bits = (0..widest).min_by_key(|&by| harm(by)).unwrap_or(0);
            if bits > 0 {
                storage.rotations.push(Rotation { bank, column, bits });
            }
        }
    }
}
