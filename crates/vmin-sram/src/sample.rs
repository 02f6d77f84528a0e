//! Drawing a chip from its population.
//!
//! Writing out the score of each of 44 million cells to keep the weakest 5 % would be slow. So the
//! scores are drawn in *bands* from the top downwards. Given the parts a group of cells shares (its
//! conditional mean), a cell that is in no band above enters the band `[low, high)` with probability
//!
//! ```text
//! q = P(low <= z < high | z < high)
//! ```
//!
//! independently of all others; the distance to the next such cell is geometric, one logarithm per
//! faulty cell instead of one draw per cell. The draws range over all cells of the group, and a hit
//! on a cell that a band above already took is ignored, which leaves the others' probability at `q`.
//! The score within the band follows by inverting the distribution. Bands are drawn for the whole bank
//! from the top until the one that holds the floor, so a deeper floor only appends draws: the chip does
//! not depend on it.

use rand_core::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

use crate::chip::{Chip, FaultyCell, Origin};
use crate::geometry::Geometry;
use crate::key::ChipKey;
use crate::normal;
use crate::population::{Population, VarianceShares};
use crate::score::{Score, Threshold, UNITS_PER_SIGMA};

/// Most cells a chip may be expected to store, 2^28 (4 GiB of them).
pub const STORED_CELLS_MAX: u64 = 1 << 28;

/// Lower edge of the top band, which has no upper edge: 6 sigma, beyond which lies a rate of 1e-9.
const TOP_EDGE: i32 = 6 * UNITS_PER_SIGMA;
/// Height of the other bands: a quarter sigma.
const BAND: i32 = UNITS_PER_SIGMA / 4;
/// Scores end here, at 16 sigma (a rate of 1e-57), so that those above zero have 28 bits.
const KEY_TOP: i32 = 1 << 28;

/// Why a chip was not drawn.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The floor lies below [`Threshold::HALF`].
    #[error("a sampled chip stores cells up to a rate of 0.5, not {}", floor.rate())]
    FloorTooDeep {
        /// What was asked for.
        floor: Threshold,
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
    /// The floor's rate is above 0.5, or more than [`STORED_CELLS_MAX`] cells are expected.
    pub fn sample(
        population: &Population,
        key: ChipKey,
        geometry: Geometry,
        floor: Threshold,
    ) -> Result<Self, SampleError> {
        if floor < Threshold::HALF {
            return Err(SampleError::FloorTooDeep { floor });
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
        })
    }
}

/// What one bank drew: sort keys, and for each band the number of keys up to its end.
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
            for_each_hit(&mut stream, between.probability(), group.count, |index, draw| {
                let cell = group.first + index * group.stride;
                if !taken.insert(cell) {
                    return;
                }
                let z = group.mean + sigma * between.quantile(high_40_bits(draw));
                let score = Score::from_sigmas(z).0.clamp(low, high - 1);
                if floor.is_faulty(Score(score)) {
                    cells.keys.push(sort_key(score, offset + cell, stuck_at_0.preferred(draw)));
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

/// The groups of a bank, and the parts their cells share. All parts are drawn whatever their shares.
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

/// A point of the standard normal with the probabilities to either side of it. The smaller is computed,
/// the larger is its complement, so neither loses its precision.
#[derive(Clone, Copy)]
struct Edge {
    below: f64,
    above: f64,
}

impl Edge {
    fn new(x: f64) -> Self {
        let tail = normal::cdf(-x.abs());
        if x < 0.0 {
            Self { below: tail, above: 1.0 - tail }
        } else {
            Self { below: 1.0 - tail, above: tail }
        }
    }
}

/// The standard normal between two edges.
struct Between {
    low: Edge,
    high: Edge,
}

impl Between {
    /// Whether the whole band lies below the mean, where probabilities below keep their precision.
    fn is_lower(&self) -> bool {
        self.high.below < 0.5
    }

    /// P(x >= low | x < high).
    fn probability(&self) -> f64 {
        if self.high.below == 0.0 {
            // Further below the mean than a float can tell: everything has been taken above.
            return 1.0;
        }
        let inside = if self.is_lower() {
            self.high.below - self.low.below
        } else {
            self.low.above - self.high.above
        };
        inside / self.high.below
    }

    /// The point with the fraction `u` of the band's probability above it (upper half) or below it.
    fn quantile(&self, u: f64) -> f64 {
        if self.is_lower() {
            normal::quantile(self.low.below + u * (self.high.below - self.low.below))
        } else {
            -normal::quantile(self.high.above + u * (self.low.above - self.high.above))
        }
    }
}

/// Calls `hit(index, draw)` for each index below `count` with probability `q`, in rising order, with 64
/// fresh random bits.
#[inline]
fn for_each_hit(
    stream: &mut Xoshiro256PlusPlus,
    q: f64,
    count: u64,
    mut hit: impl FnMut(u64, u64),
) {
    if q <= 0.0 {
        return;
    }
    if q >= 1.0 {
        (0..count).for_each(|index| hit(index, stream.next_u64()));
        return;
    }
    // Cells are below 2^35.
    let length = count as f64;
    let first = unit(stream);
    // -ln u >= 1 - u and -ln (1 - q) <= q / (1 - q): most groups have no hit in most bands, and for
    // them this settles it without a logarithm.
    if (1.0 - first) * (1.0 - q) >= length * q {
        return;
    }
    let scale = 1.0 / libm::log1p(-q);
    let mut skip = libm::log(first) * scale;
    let mut index = 0;
    loop {
        // Cells are below 2^35.
        if skip >= (count - index) as f64 {
            return;
        }
        // The skip is not negative and below 2^35.
        let step = skip as u64;
        index += step;
        hit(index, stream.next_u64());
        index += 1;
        skip = libm::log(unit(stream)) * scale;
    }
}

/// Uniform in (0, 1], steps of 2^-53.
fn unit(stream: &mut Xoshiro256PlusPlus) -> f64 {
    // 53 bits are exact.
    let steps = ((stream.next_u64() >> 11) + 1) as f64;
    steps * (1.0 / 9_007_199_254_740_992.0)
}

/// Uniform in (0, 1) from the high 40 bits of a draw.
fn high_40_bits(draw: u64) -> f64 {
    // 41 bits are exact.
    let steps = ((draw >> 24) * 2 + 1) as f64;
    steps * (1.0 / 2_199_023_255_552.0)
}

fn standard_normal(stream: &mut Xoshiro256PlusPlus) -> f64 {
    // 53 bits are exact.
    let steps = ((stream.next_u64() >> 12) * 2 + 1) as f64;
    normal::quantile(steps * (1.0 / 9_007_199_254_740_992.0))
}

/// Decides the preferred value from the low 24 bits of a draw, which the score does not use.
struct PreferredValue {
    zeros_of_2_24: u64,
}

impl PreferredValue {
    fn new(share_stuck_at_0: f64) -> Self {
        // A probability times 2^24.
        let zeros_of_2_24 = libm::round(share_stuck_at_0 * 16_777_216.0) as u64;
        Self { zeros_of_2_24 }
    }

    fn preferred(&self, draw: u64) -> bool {
        (draw & 0xff_ffff) >= self.zeros_of_2_24
    }
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

/// One bit per cell of a bank.
struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    fn new(bits: u64) -> Self {
        let words = usize::try_from(bits.div_ceil(64)).expect("2^35 bits are 2^29 words");
        Self { words: vec![0; words] }
    }

    /// Adds a bit; false if it was there.
    fn insert(&mut self, bit: u64) -> bool {
        // 2^35 bits are 2^29 words.
        let word = &mut self.words[(bit / 64) as usize];
        let mask = 1 << (bit % 64);
        let new = *word & mask == 0;
        *word |= mask;
        new
    }
}
