//! One flag per row: a row is stored inverted where its stuck cells then do less damage to the codes in it
//! (sum of squared errors of the values, weighted by the squared scale of their tensor).
//!
//! The chip's fault map must be known, and the codes before they are written. The choice costs a memory test and
//! a comparison per row with faults, once; a read costs an XOR per bit. Cells that invert what they store do
//! the same damage either way. Flags are taken as safe.

use std::collections::BTreeMap;

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;
use vmin_sram::{CellEffect, Fault};

use crate::ProtectionCosts;
use crate::mechanism::{Codec, Content, Effect, Mechanism, Price, Shape, StoreRule};

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
        match memory {
            Memory::Weight => None,
            Memory::Activation | Memory::Accumulator => {
                Some("the damage of its values is not known before they are written")
            }
        }
    }
}

pub(super) fn read(_: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(InvertRows {}))
}

/// Bits of a code that its cells change: inverted ones, and held ones with their values.
#[derive(Clone, Copy, Default)]
struct Harm {
    inverted: u32,
    held: u32,
    ones: u32,
}

impl StoreRule for InvertRows {
    fn inverted_rows(&self, content: &Content<'_>, known: &[Fault]) -> Vec<u64> {
        let mut rows: BTreeMap<u64, BTreeMap<(usize, usize), Harm>> = BTreeMap::new();
        for fault in known {
            let Some(held) = content.stores.held(fault.address) else { continue };
            let of_row = rows.entry((content.row)(fault.address)).or_default();
            let harm = of_row.entry((held.tensor, held.code)).or_default();
            let bit = 1_u32 << held.bit;
            match fault.effect {
                CellEffect::Inverts => harm.inverted |= bit,
                CellEffect::Holds(value) => {
                    harm.held |= bit;
                    harm.ones |= if value { bit } else { 0 };
                }
            }
        }
        let worse = |codes: &BTreeMap<(usize, usize), Harm>| {
            let damage = |inverted: bool| -> u128 {
                let of_code = |(&(tensor, code), harm): (&(usize, usize), &Harm)| {
                    let wanted = (content.codes)(tensor, code);
                    let ones = if inverted { !harm.ones } else { harm.ones };
                    let read = (wanted ^ harm.inverted) & !harm.held | ones & harm.held;
                    u128::from((content.damage)(tensor, wanted, read))
                };
                codes.iter().map(of_code).sum()
            };
            damage(true) < damage(false)
        };
        rows.into_iter().filter(|(_, codes)| worse(codes)).map(|(row, _)| row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{CodeBit, Stores};

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
            let content = Content {
                stores: &Codes,
                codes: &|_, code| codes[code],
                damage: &damage,
                row: &|position| position / 8,
            };
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
            assert_eq!(InvertRows {}.inverted_rows(&content, &faults), expected);
        }
        assert!(turned > 1_000, "{turned} rows inverted");
    }
}
