//! Cells that do not err at every read: which of them do at this one.
//!
//! A measured cell reads a stored 0 wrongly with one probability and a stored 1 with another
//! ([`ErrorRates`]). One uniform number `u` per cell and read decides both: the cell errs where `u` lies
//! below the probability of the value it stores. So a cell inverts below the smaller of the two, holds
//! its preferred value between them, and is sound above. The number depends on the chip, the read and
//! the address alone: a cell that errs at a voltage errs at every lower one in the same read, as long as
//! its probabilities rise.
//!
//! ```text
//! u   0 ......... min(p01, p10) ......... max(p01, p10) ......... 1
//!       inverted                 stuck                    sound
//! ```
//!
//! Without any map, each bit can be inverted at each read on its own: [`flip_at_random`].

use crate::apply::{Applied, FaultKind};
use crate::chip::FaultyCell;
use crate::key::ChipKey;
use crate::measured_maps::ErrorRates;
use crate::sample::for_each_hit;

/// A faulty cell and how often it errs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellErrors {
    /// The cell, with the value it tends to.
    pub cell: FaultyCell,
    /// How often it is read wrongly.
    pub rates: ErrorRates,
}

impl CellErrors {
    /// What the cell does at half of the reads or more.
    #[must_use]
    pub fn usual(&self) -> Option<FaultKind> {
        let ErrorRates { p01, p10 } = self.rates;
        match (p01.min(p10) >= 0.5, p01.max(p10) >= 0.5) {
            (true, _) => Some(FaultKind::Flip),
            (false, true) => Some(FaultKind::StuckAt),
            (false, false) => None,
        }
    }
}

/// The cells that err at one read; none is in both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrawnFaults {
    /// Cells that invert what they store.
    pub inverting: Vec<FaultyCell>,
    /// Cells that give their preferred value.
    pub stuck: Vec<FaultyCell>,
}

/// The cells that err at read number `read` of a chip.
#[must_use]
pub fn draw_faults(errors: &[CellErrors], key: ChipKey, read: u64) -> DrawnFaults {
    let mut drawn = DrawnFaults::default();
    for CellErrors { cell, rates } in errors {
        let (low, high) = (rates.p01.min(rates.p10), rates.p01.max(rates.p10));
        // A certain cell needs no number.
        let u = if low >= 1.0 { 0.0 } else { unit_f32(key.cell_word(read, cell.address)) };
        if u < low {
            drawn.inverting.push(*cell);
        } else if u < high {
            drawn.stuck.push(FaultyCell { preferred: rates.preferred(), ..*cell });
        }
    }
    drawn
}

/// Uniform in [0, 1), in steps of 2^-24: as many as a probability of 32 bits tells apart near 1.
fn unit_f32(word: u64) -> f32 {
    // 24 bits are exact.
    (word >> 40) as f32 * (1.0 / 16_777_216.0)
}

/// Inverts each of the lower `bits` (1 to 8) of each code with probability `rate`, independently; the
/// same bits for the same chip, image and layer, others for any other.
pub fn flip_at_random(
    codes: &mut [u8],
    bits: u8,
    rate: f64,
    key: ChipKey,
    image: u64,
    layer: u32,
) -> Applied {
    let bits = u64::from(bits.clamp(1, 8));
    let mut flipped = 0;
    random_bits(codes.len() as u64 * bits, rate, key, image, layer, |bit| {
        // A bit inside the codes has a usize index.
        codes[(bit / bits) as usize] ^= 1 << (bit % bits);
        flipped += 1;
    });
    Applied { cells_hit: flipped, bits_flipped: flipped }
}

/// Names each of `bits` bits with probability `rate`, independently, in rising order; the same bits for the
/// same chip, memory, image and layer.
pub fn random_bits(
    bits: u64,
    rate: f64,
    key: ChipKey,
    image: u64,
    layer: u32,
    mut name: impl FnMut(u64),
) {
    for_each_hit(&mut key.read_stream(image, layer), rate, bits, |_, bit| name(bit));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Score;

    const KEY: ChipKey = ChipKey { seed: 7, chip: 3, memory: 0 };

    fn cell(address: u64, rates: ErrorRates) -> CellErrors {
        let cell = FaultyCell { address, score: Score(1), preferred: rates.preferred() };
        CellErrors { cell, rates }
    }

    #[test]
    fn certain_cells_err_at_every_read_and_each_in_its_way() {
        let errors = [
            cell(1, ErrorRates::flip(1.0)),
            cell(2, ErrorRates::stuck_at_0(1.0)),
            cell(3, ErrorRates::stuck_at_1(1.0)),
        ];
        for read in 0..100 {
            let drawn = draw_faults(&errors, KEY, read);
            assert_eq!(drawn.inverting, [errors[0].cell]);
            assert_eq!(drawn.stuck, [errors[1].cell, errors[2].cell]);
            assert!(!drawn.stuck[0].preferred && drawn.stuck[1].preferred);
        }
    }

    #[test]
    fn a_value_errs_as_often_as_its_probability_says() {
        const CELLS: u64 = 40_000;
        let rates = ErrorRates { p01: 0.2, p10: 0.7 };
        let errors: Vec<_> = (0..CELLS).map(|address| cell(address, rates)).collect();
        for read in [0, 1, u64::MAX] {
            let drawn = draw_faults(&errors, KEY, read);
            assert!(drawn.stuck.iter().all(|cell| !cell.preferred));
            let (flips, stuck) = (drawn.inverting.len() as f64, drawn.stuck.len() as f64);
            // Six standard deviations of a binomial count.
            let near = |count: f64, p: f64| {
                let expected = p * CELLS as f64;
                (count - expected).abs() < 6.0 * (expected * (1.0 - p)).sqrt()
            };
            assert!(near(flips, 0.2), "{flips}: a stored 0 errs where the cell inverts");
            assert!(near(flips + stuck, 0.7), "{stuck}: a stored 1 errs in both");
        }
    }

    #[test]
    fn reads_chips_and_cells_differ_and_repeat() {
        let errors: Vec<_> = (0..1000).map(|a| cell(a, ErrorRates::flip(0.5))).collect();
        let first = draw_faults(&errors, KEY, 0);
        assert_eq!(first, draw_faults(&errors, KEY, 0));
        assert_ne!(first, draw_faults(&errors, KEY, 1));
        assert_ne!(first, draw_faults(&errors, ChipKey { chip: 4, ..KEY }, 0));
        assert_ne!(first, draw_faults(&errors, ChipKey { seed: 8, ..KEY }, 0));
        // What errs with a probability errs with every higher one.
        let often: Vec<_> = (0..1000).map(|a| cell(a, ErrorRates::flip(0.6))).collect();
        let more = draw_faults(&often, KEY, 0);
        assert!(first.inverting.iter().all(|cell| more.inverting.contains(cell)));
        assert!(more.inverting.len() > first.inverting.len());
    }

    #[test]
    fn random_flips_spare_the_upper_bits_and_come_as_often_as_asked() {
        let mut total = 0;
        for image in 0..50 {
            let mut codes = vec![0xf0_u8; 1000];
            let applied = flip_at_random(&mut codes, 4, 0.1, KEY, image, 2);
            assert!(codes.iter().all(|code| code & 0xf0 == 0xf0));
            let ones: u32 = codes.iter().map(|code| (code & 0x0f).count_ones()).sum();
            assert_eq!(u64::from(ones), applied.bits_flipped);
            total += ones;
        }
        // 200,000 bits at 0.1: 20,000 +- 134.
        assert!((19_200..20_800).contains(&total), "{total}");
        let flips = |image, layer| {
            let mut codes = vec![0_u8; 1000];
            flip_at_random(&mut codes, 8, 0.1, KEY, image, layer);
            codes
        };
        assert_eq!(flips(1, 0), flips(1, 0));
        assert_ne!(flips(1, 0), flips(2, 0));
        assert_ne!(flips(1, 0), flips(1, 1));
        let mut none = vec![5_u8; 10];
        assert_eq!(flip_at_random(&mut none, 8, 0.0, KEY, 0, 0), Applied::default());
        let all = flip_at_random(&mut none, 8, 1.0, KEY, 0, 0);
        assert_eq!((all.bits_flipped, none[0]), (80, !5));
    }
}
