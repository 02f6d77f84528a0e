//! One flag per row: a row is stored inverted where its stuck cells then do less damage to the codes in it
//! (sum of squared errors of the values, weighted by the squared scale of their tensor).
//!
//! The chip's fault map must be known, and the codes before they are written. The choice costs a memory test and
//! a comparison per row with faults, once; a read costs an XOR per bit. Cells that invert what they store do
//! the same damage either way. Flags are taken as safe.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;

use crate::ProtectionCosts;
use crate::mechanism::{Codec, Effect, Mechanism, Price, Shape};
use crate::store::{CellUnder, KnownChip, Storage, StoreRule};
use crate::words::Mask;

/// `kind = "invert_rows"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct InvertRows {}

impl Mechanism for InvertRows {
    fn kind(&self) -> &'static str {
        "invert_rows"
    }

    fn describe(&self) -> String {
        "rows inverted where that hurts less".to_owned()
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Store(Box::new(*self))
    }

    fn startup(&self) -> Option<String> {
        Some("memory test, choice per row with faulty cells".to_owned())
    }

    fn price(&self, _: &ProtectionCosts, shape: Shape) -> Price {
        Price {
            // Every access moves the flag of its row.
            access_share: 1.0 / shape.word_bits as f64,
            idle_share: 1.0 / f64::from(shape.geometry.columns()),
            // An XOR per bit, within the cycle of the access.
            codec: Some(Codec {
                data_bits: 1.0,
                encoder_gates: 1.0,
                decoder_gates: 1.0,
                cycles: 0.0,
            }),
            ..Price::default()
        }
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        super::values_unknown(memory)
    }
}

pub(super) fn read(_: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(InvertRows {}))
}

impl StoreRule for InvertRows {
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage) {
        for content in &chip.contents {
            let mut codes: BTreeMap<(usize, usize), Vec<CellUnder>> = BTreeMap::new();
            let mut rows: BTreeMap<u64, BTreeSet<(usize, usize)>> = BTreeMap::new();
            for cell in chip.cells_under(content, storage) {
                let code = (cell.held.tensor, cell.held.code);
                codes.entry(code).or_default().push(cell);
                rows.entry(cell.row).or_default().insert(code);
            }
            let mut inverted: Vec<u64> = Vec::new();
            for (row, of_row) in rows {
                // A code may reach into the next row, which is not inverted yet.
                let harm = |inverted: &[u64]| -> u128 {
                    let of_code = |&code: &(usize, usize)| {
                        let mut mask = Mask::NONE;
                        for cell in &codes[&code] {
                            let is_inverted = inverted.binary_search(&cell.row).is_ok();
                            let effect = cell.effect.seen_through(is_inverted);
                            mask.add(cell.held.bit.into(), effect);
                        }
                        chip.harm(content, code, mask)
                    };
                    of_row.iter().map(of_code).sum()
                };
                let plain = harm(&inverted);
                inverted.push(row);
                if harm(&inverted) >= plain {
                    inverted.pop();
                }
            }
            storage.contents.entry(content.number).or_default().inverted_rows = inverted;
        }
    }

    fn needs_held_values(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::store::{CellPlaces, Content, Damage};
    use crate::words::{CodeBit, Scheme, Stored, Stores, TowardZero};
    use vmin_sram::{CellEffect, Fault};

    /// Codes of 4 bits, 2 to a row.
    struct Codes;

    impl Stores for Codes {
        fn held(&self, position: u64) -> Option<CodeBit> {
            let (code, bit) = ((position / 4) as usize, (position % 4) as u8);
            (code < 6).then_some(CodeBit { tensor: 0, code, bit })
        }
    }

    /// A code as a row with these cells gives it back, bit by bit.
    fn read_slowly(code: u32, first: u64, faults: &[Fault], inverted: bool) -> u32 {
        (0..4).fold(0, |read, bit| {
            let stored = (code >> bit & 1 == 1) ^ inverted;
            let fault = faults.iter().find(|fault| fault.address == first + bit);
            let cell = match fault.map(|fault| fault.effect) {
                None => stored,
                Some(CellEffect::Inverts) => !stored,
                Some(CellEffect::Holds(value)) => value,
            };
            read | u32::from(cell ^ inverted) << bit
        })
    }

    #[test]
    fn every_row_does_the_lesser_damage() {
        let damage = |_: usize, wanted: u32, read: u32| u64::from(wanted.abs_diff(read)).pow(2);
        let damages = [Damage::new((0..16).collect(), vec![1], 6)];
        let toward_zero = TowardZero::Clear;
        let tensors = [Stored { codes: 6, bits: 4, zeros: vec![0], toward_zero }];
        let mut turned = 0;
        for pattern in 0_u32..3_000 {
            // Pseudo-random codes and faults over 3 rows.
            let hash = |n: u32| (pattern * 31 + n).wrapping_mul(2_654_435_761) >> 13;
            let codes: Vec<u32> = (0..6).map(|code| hash(code) & 15).collect();
            let faults: Vec<Fault> = (0..24)
                .filter(|&cell| hash(100 + cell) % 4 == 0)
                .map(|cell| Fault {
                    address: cell.into(),
                    effect: match hash(200 + cell) % 3 {
                        0 => CellEffect::Inverts,
                        1 => CellEffect::Holds(false),
                        _ => CellEffect::Holds(true),
                    },
                })
                .collect();
            let wanted = |_: usize, code: usize| codes[code];
            let chip = KnownChip {
                contents: vec![Content {
                    number: 0,
                    stores: &Codes,
                    codes: Some(&wanted),
                    known: faults.clone(),
                    known_checks: Vec::new(),
                    rows: vec![0, 1, 2],
                }],
                cells: CellPlaces { columns: 8, rows: 3, bank: &|_| 0 },
                tensors: &tensors,
                damage: &damages,
                moments: &[],
                used_bits: 32,
                scheme: &Scheme::Plain,
                channels: &[],
                writes_around: false,
                stop: &AtomicBool::new(false),
            };
            let mut storage = Storage::default();
            InvertRows {}.decide(&chip, &mut storage);
            let expected: Vec<u64> = (0..3)
                .filter(|&row| {
                    let of = |inverted: bool| -> u64 {
                        let codes = (2 * row..2 * row + 2).map(|code| (code, codes[code as usize]));
                        let read = |(code, wanted): (u64, u32)| {
                            damage(0, wanted, read_slowly(wanted, code * 4, &faults, inverted))
                        };
                        codes.map(read).sum()
                    };
                    of(true) < of(false)
                })
                .collect();
            turned += expected.len();
            assert_eq!(storage.contents[&0].inverted_rows, expected);
        }
        assert!(turned > 1_000, "{turned} rows inverted");
    }
}
