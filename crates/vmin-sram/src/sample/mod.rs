//! Sampling a chip from its population.
//!
//! Writing out the score of each of 44 million cells to keep the weakest 5 % would be slow. So the
//! scores are sampled in *bands* from the top downwards. Given the parts a group of cells shares (its
//! conditional mean), a cell that is in no band above enters the band `[low, high)` with probability
//!
//! ```text
//! q = P(low <= z < high | z < high)
//! ```
//!
//! independently of all others; the distance to the next such cell is geometric, one logarithm per
//! faulty cell instead of one draw per cell. The draws range over all cells of the group, and a hit
//! on a cell that a band above already took is ignored, which leaves the others' probability at `q`.
//! The score within the band is drawn by rejection from the uniform: a band is so narrow that few draws
//! are rejected and fewer need an exponential to decide. Where it is not (the top band has no end, and
//! cells with a small share of their own see bands magnified) the distribution is inverted. Bands are
//! drawn for the whole bank from the top until the one that holds the floor, so a deeper floor only
//! appends draws: the chip does not depend on it.

mod band;
mod draws;

use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use self::band::{Between, Edge, Inside};
pub(crate) use self::draws::for_each_hit;
use self::draws::{PreferredValue, standard_normal};
use crate::bit_set::BitSet;
use crate::chip::{Chip, FaultyCell, Origin};
use crate::geometry::Geometry;
use crate::key::ChipKey;
use crate::population::{Population, VarianceShares};
use crate::score::{Score, Threshold, UNITS_PER_SIGMA};

/// Most cells a chip may be expected to store, 2^28 (4 GiB of them).
pub const STORED_CELLS_MAX: u64 = 1 << 28;

/// Most banks, and most columns of a bank, of a sampled chip: 2^20 each.
pub const SAMPLED_BANKS_MAX: u32 = 1 << 20;
/// Most cells of a bank of a sampled chip, 2^32; sampling holds one bit for each.
pub const SAMPLED_BANK_CELLS_MAX: u64 = 1 << 32;

/// Lower edge of the top band, which has no upper edge: 6 sigma, beyond which lies a rate of 1e-9.
const TOP_EDGE: i32 = 6 * UNITS_PER_SIGMA;
/// Height of the other bands: a quarter sigma.
const BAND: i32 = UNITS_PER_SIGMA / 4;
/// Scores end here, at 16 sigma (a rate of 1e-57), so that those above zero have 28 bits.
const KEY_TOP: i32 = 1 << 28;

/// Why a chip cannot be sampled.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The floor lies below [`Threshold::HALF`].
    #[error("a sampled chip stores cells up to a rate of 0.5, not {}", floor.rate())]
    FloorTooDeep {
        /// The requested floor.
        floor: Threshold,
    },
    /// A shape whose sampling takes too much memory.
    #[error(
        "{banks} banks of {columns} columns and {cells_per_bank} cells each are not drawn: at most \
         2^20 banks, 2^20 columns and 2^32 cells per bank"
    )]
    Shape {
        /// Banks of the memory.
        banks: u32,
        /// Columns per bank.
        columns: u32,
        /// Cells per bank.
        cells_per_bank: u64,
    },
    /// More than [`STORED_CELLS_MAX`] cells to store.
    #[error("{cells} cells at a rate of {rate} are more than 2^28 faulty cells to store")]
    TooManyCells {
        /// Cells of the memory.
        cells: u64,
        /// Rate of the floor.
        rate: f64,
    },
}

impl Chip {
    /// The chip of that key: all cells with a score of at least `floor`.
    ///
    /// A pure function of (population, key, geometry): a deeper floor only adds cells, another number
    /// of banks leaves the common ones as they are, threads and machines do not matter. The population's
    /// name has no influence either.
    ///
    /// # Errors
    /// The floor's rate is above 0.5, the memory has more banks or columns than [`SAMPLED_BANKS_MAX`] or
    /// banks of more than [`SAMPLED_BANK_CELLS_MAX`] cells, or more than [`STORED_CELLS_MAX`] faulty cells
    /// are expected.
    pub fn sample(
        population: &Population,
        key: ChipKey,
        geometry: Geometry,
        floor: Threshold,
    ) -> Result<Self, SampleError> {
        if floor < Threshold::HALF {
            return Err(SampleError::FloorTooDeep { floor });
        }
        let (banks, columns) = (geometry.banks(), geometry.columns());
        let cells_per_bank = geometry.cells_per_bank();
        if banks.max(columns) > SAMPLED_BANKS_MAX || cells_per_bank > SAMPLED_BANK_CELLS_MAX {
            return Err(SampleError::Shape { banks, columns, cells_per_bank });
        }
        let (cells, rate) = (geometry.cells(), floor.rate());
        // Cells are below 2^35.
        if cells as f64 * rate > STORED_CELLS_MAX as f64 {
            return Err(SampleError::TooManyCells { cells, rate });
        }
        let die = libm::sqrt(population.shares().die()) * standard_normal(&mut key.die_stream());
        let banks: Vec<BankCells> = (0..geometry.banks())
            .into_par_iter()
            .map(|bank| sample_bank(population, key, geometry, die, bank, floor))
            .collect();
        Ok(Self {
            geometry,
            origin: Origin::Sampled { population: population.clone(), key },
            floor,
            levels: Vec::new(),
            cells: gather(&banks),
            maps: None,
        })
    }
}

/// The cells of one bank: sort keys, and for each band the number of keys up to its end.
struct BankCells {
    keys: Vec<u64>,
    band_ends: Vec<usize>,
}

/// Cells of a bank that share their conditional mean: `first + i * stride`, `i < count`, counted within
/// the bank.
struct Group {
    first: u64,
    stride: u64,
    count: u64,
    mean: f64,
    /// The distribution at the lower edge of the last band drawn.
    edge: Edge,
}

fn sample_bank(
    population: &Population,
    key: ChipKey,
    geometry: Geometry,
    die: f64,
    bank: u32,
    floor: Threshold,
) -> BankCells {
    let mut stream = key.bank_stream(bank);
    let shares = population.shares();
    let mut groups = groups(shares, geometry, die, &mut stream);
    let sigma = libm::sqrt(shares.cell());
    let stuck_at_0 = PreferredValue::new(population.share_stuck_at_0());
    let offset = u64::from(bank) * geometry.cells_per_bank();
    let mut taken = BitSet::new(geometry.cells_per_bank());
    let mut cells = BankCells { keys: Vec::new(), band_ends: Vec::new() };

    for (low, high) in bands(floor) {
        for group in &mut groups {
            let edge =
                Edge::new((f64::from(low) / f64::from(UNITS_PER_SIGMA) - group.mean) / sigma);
            let above = core::mem::replace(&mut group.edge, edge);
            let between = Between { low: edge, high: above };
            let inside = Inside::new(&between);
            for_each_hit(&mut stream, between.probability(), group.count, |stream, index| {
                let cell = group.first + index * group.stride;
                if !taken.insert(cell) {
                    return;
                }
                let (x, bits) = inside.draw(stream);
                // No band reaches below zero, so a cast rounds down.
                let units = (group.mean + sigma * x) * f64::from(UNITS_PER_SIGMA);
                let score = (units as i32).clamp(low, high - 1);
                if floor.is_faulty(Score(score)) {
                    cells.keys.push(sort_key(score, offset + cell, stuck_at_0.preferred(bits)));
                }
            });
        }
        cells.band_ends.push(cells.keys.len());
    }
    cells
}

/// The bands down to the one which holds the floor, as `[low, high)` in score units.
fn bands(floor: Threshold) -> impl Iterator<Item = (i32, i32)> {
    let below = (0..).map(|k| TOP_EDGE - k * BAND).take_while(move |&high| high > floor.0);
    let top = (floor != Threshold::NEVER).then_some((TOP_EDGE, KEY_TOP));
    top.into_iter().chain(below.map(|high| (high - BAND, high)))
}

/// The groups of a bank: the largest sets of cells that share all parts but their own.
fn groups(
    shares: &VarianceShares,
    geometry: Geometry,
    die: f64,
    stream: &mut Xoshiro256PlusPlus,
) -> Vec<Group> {
    let columns = u64::from(geometry.columns());
    let upper = u64::from(geometry.rows_upper_half());
    let lower = u64::from(geometry.rows()) - upper;
    let top = Edge::new(f64::INFINITY);
    let bank = die + libm::sqrt(shares.bank()) * standard_normal(stream);
    if shares.column() == 0.0 && shares.half_column() == 0.0 {
        let count = geometry.cells_per_bank();
        return vec![Group { first: 0, stride: 1, count, mean: bank, edge: top }];
    }
    let mut groups = Vec::new();
    for column in 0..columns {
        let mean = bank + libm::sqrt(shares.column()) * standard_normal(stream);
        let mut add = |first_row: u64, count: u64, mean: f64| {
            let first = first_row * columns + column;
            groups.push(Group { first, stride: columns, count, mean, edge: top });
        };
        if shares.half_column() == 0.0 {
            add(0, upper + lower, mean);
            continue;
        }
        let half = libm::sqrt(shares.half_column());
        add(0, upper, mean + half * standard_normal(stream));
        add(upper, lower, mean + half * standard_normal(stream));
    }
    groups
}

/// One word whose order is that of the chip: `[score from the top: 28 bits][address: 35][preferred: 1]`.
fn sort_key(score: i32, address: u64, preferred: bool) -> u64 {
    let from_top = u64::from((KEY_TOP - 1 - score).unsigned_abs());
    from_top << 36 | address << 1 | u64::from(preferred)
}

fn from_sort_key(key: u64) -> FaultyCell {
    let from_top = i32::try_from(key >> 36).expect("28 bits");
    FaultyCell {
        address: (key >> 1) & ((1 << 35) - 1),
        score: Score(KEY_TOP - 1 - from_top),
        preferred: key & 1 == 1,
    }
}

/// All banks' cells in the chip's order. Bands do not overlap, so each is sorted on its own.
fn gather(banks: &[BankCells]) -> Vec<FaultyCell> {
    let bands = banks.first().map_or(0, |bank| bank.band_ends.len());
    let sorted: Vec<Vec<u64>> = (0..bands)
        .into_par_iter()
        .map(|band| {
            let mut keys = Vec::new();
            for bank in banks {
                let start = if band == 0 { 0 } else { bank.band_ends[band - 1] };
                keys.extend_from_slice(&bank.keys[start..bank.band_ends[band]]);
            }
            keys.sort_unstable();
            keys
        })
        .collect();
    let mut cells = Vec::with_capacity(sorted.iter().map(Vec::len).sum());
    for keys in sorted {
        cells.extend(keys.into_iter().map(from_sort_key));
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_fit_is_refused_before_it_is_drawn() {
        let population = Population::new("x", VarianceShares::INDEPENDENT, 0.5).unwrap();
        let key = ChipKey { seed: 0, chip: 0, memory: 0 };
        let sample = |(banks, rows, columns), floor| {
            let geometry = Geometry::new(banks, rows, columns).unwrap();
            Chip::sample(&population, key, geometry, floor).map(|_| ())
        };
        let never = Threshold::NEVER;
        let shape = |size| matches!(sample(size, never), Err(SampleError::Shape { .. }));
        assert!(shape(((1 << 20) + 1, 1, 1)));
        assert!(shape((1, 1, (1 << 20) + 1)));
        assert!(shape((1, (1 << 16) + 1, 1 << 16)));
        assert_eq!(sample((2, 2, 2), never), Ok(()));
        let deep = sample((1, 1, 1), Threshold(-1));
        assert!(matches!(deep, Err(SampleError::FloorTooDeep { .. })));
        let many = sample((1 << 10, 1 << 10, 1 << 10), Threshold::HALF);
        assert!(matches!(many, Err(SampleError::TooManyCells { .. })));
    }
}
