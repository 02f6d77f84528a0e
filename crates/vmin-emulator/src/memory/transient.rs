//! Transient errors of a content: every bit that is read can err, whatever its cell.
//!
//! Bits of codes err as they are numbered in their tensor, so that the same bits err however they lie and with
//! or without words over them. A bit on a rail with a lower rate errs at a share of these reads.

use vmin_protection::words::{CodeBit, Scheme, Stores, Words};
use vmin_sram::{
    CellEffect, CellErrors, ChipKey, ErrorRates, Fault, FaultyCell, Score, draw_faults, random_bits,
};

use super::contents::{CheckBits, Contents, InWords};
use super::{Powered, region};
use crate::source::Errors;

/// Added to the number of an array for draws that decide on rails and on cells without a code.
const RAILS: u32 = 0x1000;
const UNUSED: u32 = 0x2000;

/// True with the given probability, by key, read and number.
fn happens(probability: f64, key: ChipKey, read: u64, number: u64) -> bool {
    let rates = ErrorRates::flip(probability as f32);
    let cell = FaultyCell { address: number, score: Score(0), preferred: false };
    !draw_faults(&[CellErrors { cell, rates }], key, read).inverting.is_empty()
}

/// Any bit that one memory of a chip gives back at a read.
pub(super) struct AnyBit<'a> {
    powered: &'a Powered<'a>,
    /// The probability that a bit errs, by the level of its cell.
    rates: Vec<(usize, f64)>,
    /// The highest of them.
    pub(super) rate: f64,
    read: u64,
}

impl<'a> AnyBit<'a> {
    /// None if the chip has a fault map.
    pub(super) fn of(powered: &'a Powered<'a>, read: u64) -> Option<Self> {
        let of = |(level, errors): &(usize, Errors<'_>)| match errors {
            Errors::AnyBit(rate) => Some((*level, *rate)),
            Errors::Always(..) | Errors::Sometimes(_) => None,
        };
        let rates: Vec<(usize, f64)> = powered.at.data.iter().map(of).collect::<Option<_>>()?;
        // The lowest supply comes last.
        let rate = rates.last().map_or(0.0, |&(_, rate)| rate);
        Some(Self { powered, rates, rate, read })
    }

    /// Number of the read.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// Whether a bit errs of which the lowest supply would make an error: `number` is its own among those that
    /// `array` holds for its tensor.
    pub(super) fn errs(&self, held: CodeBit, number: u64, array: u32) -> bool {
        let bits = self.powered.arrays.protected.stored[held.tensor].bits;
        let level = self.powered.at.supplies.level_of(&self.powered.places, 0, Some((held, bits)));
        let rate =
            self.rates.iter().find(|(of, _)| *of == level).map_or(self.rate, |(_, rate)| *rate);
        let key = ChipKey { memory: array + RAILS, ..self.powered.arrays.reads };
        let place = (held.tensor as u64) << 40 | number;
        rate >= self.rate || happens(rate / self.rate, key, self.read, place)
    }

    /// The faults of a content: of data by position, of check bits by position among check bits.
    pub(super) fn faults(&self, contents: &Contents<'_>) -> [Vec<Fault>; 2] {
        let arrays = self.powered.arrays;
        let key = arrays.reads;
        let position = |bit: u64| arrays.layout.position(arrays.layout.cell(bit));
        let mut data = Vec::new();
        for span in &contents.spans {
            let stored = &arrays.protected.stored[span.tensor];
            let bits = u64::from(stored.bits);
            let mut hits = Vec::new();
            // Tensors are numbered in u32.
            let stream = span.tensor as u32;
            random_bits(stored.codes as u64 * bits, self.rate, key, self.read, stream, |bit| {
                hits.push(bit);
            });
            let mut hit = |place: u64, number: u64| {
                let (code, bit) = ((number / bits) as usize, (number % bits) as u8);
                if self.errs(CodeBit { tensor: span.tensor, code, bit }, number, key.memory) {
                    let address = position(span.first_bit + place * bits + number % bits);
                    data.push(Fault { address, effect: CellEffect::Inverts });
                }
            };
            match span.order {
                None => {
                    let first = span.first_code as u64;
                    for &number in &hits {
                        if (first..first + span.codes).contains(&(number / bits)) {
                            hit(number / bits - first, number);
                        }
                    }
                }
                Some(order) => {
                    for (place, &code) in (0..).zip(order) {
                        let first = code as u64 * bits;
                        let from = hits.partition_point(|&hit| hit < first);
                        for &number in hits[from..].iter().take_while(|&&hit| hit < first + bits) {
                            hit(place, number);
                        }
                    }
                }
            }
        }
        let check = self.words(contents, &position, &mut data);
        [data, check]
    }

    /// The faults of check bits; those of unused cells in words go to `data`.
    fn words(
        &self,
        contents: &Contents<'_>,
        position: &dyn Fn(u64) -> u64,
        data: &mut Vec<Fault>,
    ) -> Vec<Fault> {
        let arrays = self.powered.arrays;
        let Scheme::Code { code, words, .. } = &arrays.protected.stages.scheme else {
            return Vec::new();
        };
        let (k, r) = (u64::from(code.data_bits()), u64::from(code.check_bits()));
        let numbers = word_numbers(contents, *words, k, position);
        let layout = arrays.layout.beside(arrays.protected.check.unwrap_or(arrays.protected.data));
        let in_words = || InWords { contents, layout: &arrays.layout };
        let firsts = CheckBits {
            data: in_words(),
            layout: &layout,
            data_bits: k,
            check_bits: r,
            words: *words,
        };
        let mut check = Vec::new();
        let count = numbers.len() as u64 * r;
        let of_check = ChipKey { memory: region(arrays.reads.memory, 0), ..arrays.reads };
        random_bits(count, self.rate, of_check, self.read, contents.number, |bit| {
            let address = numbers[(bit / r) as usize] * r + bit % r;
            let held = firsts.held(layout.cell(address));
            if held.is_none_or(|held| self.errs(held, address, of_check.memory)) {
                check.push(Fault { address, effect: CellEffect::Inverts });
            }
        });
        if *words == Words::Cells {
            let unused = ChipKey { memory: arrays.reads.memory + UNUSED, ..arrays.reads };
            let stores = in_words();
            let cells = numbers.iter().flat_map(|word| word * k..(word + 1) * k);
            for address in cells.filter(|&address| stores.held(address).is_none()) {
                let number = u64::from(contents.number) << 40 | address;
                if happens(self.rate, unused, self.read, number) {
                    data.push(Fault { address, effect: CellEffect::Inverts });
                }
            }
        }
        check
    }
}

/// The words that hold something of a content, rising.
fn word_numbers(
    contents: &Contents<'_>,
    words: Words,
    data_bits: u64,
    position: &dyn Fn(u64) -> u64,
) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut next = 0;
    let mut spans: Vec<_> = contents.spans.iter().collect();
    spans.sort_by_key(|span| span.tensor);
    for span in spans {
        match words {
            Words::Codes => {
                numbers.extend(next..next + span.codes);
                next += span.codes;
            }
            Words::Cells => {
                let bits = (span.first_bit..span.end()).step_by(data_bits as usize);
                numbers.extend(bits.chain([span.end() - 1]).map(|bit| position(bit) / data_bits));
            }
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
