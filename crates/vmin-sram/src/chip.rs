//! One memory of one chip: its weak cells, weakest first.

use crate::apply::FaultKind;
use crate::bit_set::BitSet;
use crate::geometry::Geometry;
use crate::key::ChipKey;
use crate::measured_maps::MeasuredMaps;
use crate::population::Population;
use crate::score::{Score, Threshold};

/// A cell that fails somewhere above the chip's floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultyCell {
    /// Linear bit address, see [`Geometry`].
    pub address: u64,
    /// Its standardised critical voltage.
    pub score: Score,
    /// The value of the cell when it is stuck.
    pub preferred: bool,
}

impl FaultyCell {
    /// The order of a chip's cells: weakest first, then by address.
    #[must_use]
    pub fn order(&self) -> impl Ord + use<> {
        (core::cmp::Reverse(self.score), self.address)
    }
}

/// The origin of a chip.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Sampled from a population.
    Sampled {
        /// The population.
        population: Population,
        /// The key of the chip.
        key: ChipKey,
    },
    /// Measured on silicon.
    Measured {
        /// Author, publication and licence of the measurement.
        source: String,
        /// Cells that failed at some voltage and not at a lower one. They are stored as failing from
        /// the highest voltage at which they failed.
        nesting_violations: u64,
    },
}

/// A supply voltage and its threshold on this chip. For a measured chip these are the
/// voltages of the measurement, and every cell's score is that of the level at which it first failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VddLevel {
    /// Supply voltage in microvolts.
    pub vdd_uv: u32,
    /// Cells of at least this score are faulty at that voltage.
    pub threshold: Threshold,
}

/// The requested threshold lies below the floor of the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the chip knows its cells down to the rate {}, not {}",
    floor.rate(),
    asked.rate()
)]
pub struct BelowFloor {
    /// The requested threshold.
    pub asked: Threshold,
    /// The floor of the chip.
    pub floor: Threshold,
}

/// An error in a list of cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChipError {
    /// A cell lies outside the memory.
    #[error("cell {address} lies outside a memory of {cells} cells")]
    Address {
        /// Its address.
        address: u64,
        /// Cells of the memory.
        cells: u64,
    },
    /// A cell is stronger than the floor.
    #[error("cell {address} has the score {score:?}, below the floor {floor:?}")]
    Score {
        /// Its address.
        address: u64,
        /// Its score.
        score: Score,
        /// The floor.
        floor: Threshold,
    },
    /// A cell is listed twice.
    #[error("cell {address} is listed twice")]
    Duplicate {
        /// Its address.
        address: u64,
    },
    /// A range of levels that is empty, reaches beyond the levels, or overlaps another of its cell.
    #[error("cell {address} has an empty range of levels, or two ranges at one level")]
    Run {
        /// Its address.
        address: u64,
    },
    /// Error rates outside `[0, 1]`, or both zero.
    #[error("the error rates of cell {address} are not probabilities, or both are zero")]
    Rates {
        /// Its address.
        address: u64,
    },
    /// Two levels contradict each other, or a level lies below the floor.
    #[error(
        "voltage levels must fall, thresholds with them, down to the floor at most; level {index} does not"
    )]
    Levels {
        /// The first bad level.
        index: usize,
    },
}

/// One memory of one chip. All its cells with a score of at least [`Self::floor`] are stored, weakest
/// first, so the fault map at a threshold is a prefix and maps nest.
#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    pub(crate) geometry: Geometry,
    pub(crate) origin: Origin,
    pub(crate) floor: Threshold,
    pub(crate) levels: Vec<VddLevel>,
    pub(crate) cells: Vec<FaultyCell>,
    /// The measured maps of a measured chip.
    pub(crate) maps: Option<MeasuredMaps>,
}

impl Chip {
    /// A chip from its cells, in any order.
    ///
    /// # Errors
    /// A cell lies outside the memory, below the floor or is listed twice; or `levels` do not fall in
    /// voltage with their thresholds, or reach below the floor.
    pub fn from_cells(
        geometry: Geometry,
        origin: Origin,
        floor: Threshold,
        levels: Vec<VddLevel>,
        mut cells: Vec<FaultyCell>,
    ) -> Result<Self, ChipError> {
        for cell in &cells {
            let FaultyCell { address, score, .. } = *cell;
            if address >= geometry.cells() {
                return Err(ChipError::Address { address, cells: geometry.cells() });
            }
            if !floor.is_faulty(score) {
                return Err(ChipError::Score { address, score, floor });
            }
        }
        for (index, level) in levels.iter().enumerate() {
            let after = index == 0 || {
                let before = levels[index - 1];
                level.vdd_uv < before.vdd_uv && level.threshold <= before.threshold
            };
            if !after || level.threshold < floor {
                return Err(ChipError::Levels { index });
            }
        }
        if let Some(address) = duplicate(&cells, geometry) {
            return Err(ChipError::Duplicate { address });
        }
        if !cells.is_sorted_by_key(FaultyCell::order) {
            cells.sort_unstable_by_key(FaultyCell::order);
        }
        Ok(Self { geometry, origin, floor, levels, cells, maps: None })
    }

    /// The fault map at a threshold: a prefix of the chip's cells, weakest first.
    ///
    /// # Errors
    /// The threshold lies below [`Self::floor`].
    pub fn faults(&self, threshold: Threshold) -> Result<&[FaultyCell], BelowFloor> {
        if threshold < self.floor {
            return Err(BelowFloor { asked: threshold, floor: self.floor });
        }
        let count = self.cells.partition_point(|cell| threshold.is_faulty(cell.score));
        Ok(&self.cells[..count])
    }

    /// All stored cells, weakest first.
    #[must_use]
    pub fn cells(&self) -> &[FaultyCell] {
        &self.cells
    }

    /// The lowest threshold of the chip.
    #[must_use]
    pub const fn floor(&self) -> Threshold {
        self.floor
    }

    /// The memory's shape.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The origin of the chip.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What its faulty cells do: those of a sampled chip as their population's, those of a measured one as most
    /// of them were measured.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        let Origin::Sampled { population, .. } = &self.origin else {
            let lowest = self.levels.len().saturating_sub(1);
            let errors = self.maps.as_ref().map_or_else(Vec::new, |_| self.cell_errors(lowest));
            let of = |kind| errors.iter().filter(|error| error.usual() == Some(kind)).count();
            let flips = of(FaultKind::Flip) > of(FaultKind::StuckAt);
            return if flips { FaultKind::Flip } else { FaultKind::StuckAt };
        };
        population.kind()
    }

    /// Reference voltages, highest first; empty for most sampled chips.
    #[must_use]
    pub fn levels(&self) -> &[VddLevel] {
        &self.levels
    }

    /// The same chip with reference voltages and without measured maps.
    ///
    /// # Errors
    /// As for [`Self::from_cells`].
    pub fn with_levels(self, levels: Vec<VddLevel>) -> Result<Self, ChipError> {
        Self::from_cells(self.geometry, self.origin, self.floor, levels, self.cells)
    }
}

/// An address that occurs twice.
fn duplicate(cells: &[FaultyCell], geometry: Geometry) -> Option<u64> {
    // One bit per cell of the memory is fast, and too much for a few faults of a large one.
    if geometry.cells() / 1024 <= cells.len() as u64 {
        let mut seen = BitSet::new(geometry.cells());
        return cells.iter().map(|cell| cell.address).find(|&address| !seen.insert(address));
    }
    let mut addresses: Vec<u64> = cells.iter().map(|cell| cell.address).collect();
    addresses.sort_unstable();
    addresses.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
