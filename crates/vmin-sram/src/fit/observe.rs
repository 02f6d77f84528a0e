//! Observations for a fit: counts per voltage, pairs of faults, crowding at the lowest voltage.

use super::FitError;
use crate::chip::{Chip, FaultyCell, Origin};
use crate::geometry::{Geometry, Position};
use crate::statistics::{FaultStatistics, tally};

/// Levels with a larger share of failed cells are left out: chips can be sampled up to a rate of one
/// half only.
pub(crate) const RATE_MAX: f64 = 0.45;

/// Faults of one chip at one voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Level {
    pub(crate) vdd_mv: f64,
    pub(crate) faults: u64,
}

/// The relative position of two cells of one bank; every pair has one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairKind {
    /// Same half of the same column.
    HalfColumn,
    /// Same column, different halves.
    Column,
    /// Same row, different columns.
    Row,
    /// Same bank, neither row nor column in common.
    Bank,
}

impl PairKind {
    /// All kinds, in the order of arrays over them.
    pub const ALL: [Self; 4] = [Self::HalfColumn, Self::Column, Self::Row, Self::Bank];
}

/// Number of pairs of each kind, in the order of [`PairKind::ALL`].
pub(crate) type Pairs = [f64; 4];

/// Columns by their number of faults: 1, 2, 3, 4, 5 to 8, 9 to 16, 17 to 32, more.
pub const COLUMN_CLASSES: [(u64, u64); 8] =
    [(1, 1), (2, 2), (3, 3), (4, 4), (5, 8), (9, 16), (17, 32), (33, u64::MAX)];

/// The observations of one chip.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) geometry: Geometry,
    pub(crate) levels: Vec<Level>,
    pub(crate) pairs: Pairs,
    pub(crate) figures: FaultStatistics,
    pub(crate) columns: [u64; 8],
    /// Cells that broke nesting; none for a chip that was not measured.
    pub(crate) violations: Option<u64>,
    /// Levels left out because too many cells failed.
    pub(crate) levels_left_out: usize,
}

impl Observation {
    pub(crate) fn of(index: usize, chip: &Chip) -> Result<Self, FitError> {
        let geometry = chip.geometry();
        let mut levels = Vec::with_capacity(chip.levels().len());
        let mut faults: &[FaultyCell] = &[];
        for level in chip.levels() {
            let map = chip.faults(level.threshold).map_err(|_| FitError::Levels { chip: index })?;
            if map.len() as f64 > RATE_MAX * geometry.cells() as f64 {
                break;
            }
            faults = map;
            levels
                .push(Level { vdd_mv: f64::from(level.vdd_uv) / 1000.0, faults: map.len() as u64 });
        }
        if levels.is_empty() {
            return Err(FitError::Levels { chip: index });
        }
        if faults.is_empty() {
            return Err(FitError::NoFaults {
                chip: index,
                vdd_mv: levels.last().map_or(0.0, |level| level.vdd_mv),
            });
        }
        let levels_left_out = chip.levels().len() - levels.len();
        let violations = match chip.origin() {
            Origin::Measured { nesting_violations, .. } => Some(*nesting_violations),
            Origin::Sampled { .. } => None,
        };
        Ok(Self { violations, levels_left_out, ..Self::arranged(geometry, levels, faults) })
    }

    /// An observation of the faults at the lowest of the levels.
    pub(crate) fn arranged(geometry: Geometry, levels: Vec<Level>, faults: &[FaultyCell]) -> Self {
        let places: Vec<Position> =
            faults.iter().filter_map(|fault| geometry.position(fault.address)).collect();
        let (pairs, columns) = count_pairs(geometry, &places);
        let figures = FaultStatistics::new(faults, geometry).unwrap_or_default();
        Self { geometry, levels, pairs, figures, columns, violations: None, levels_left_out: 0 }
    }

    pub(crate) fn faults(&self) -> u64 {
        self.levels.last().map_or(0, |level| level.faults)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.faults() as f64 / self.geometry.cells() as f64
    }

    /// Pairs of cells of each kind, faulty or not.
    pub(crate) fn pairs_of_cells(&self) -> Pairs {
        let geometry = self.geometry;
        let (rows, columns) = (f64::from(geometry.rows()), f64::from(geometry.columns()));
        let upper = geometry.rows_upper_half() as f64;
        let lower = rows - upper;
        let banks = f64::from(geometry.banks());
        let pairs_of_columns = columns * (columns - 1.0) / 2.0;
        [
            banks * columns * (upper * (upper - 1.0) + lower * (lower - 1.0)) / 2.0,
            banks * columns * upper * lower,
            banks * rows * pairs_of_columns,
            banks * pairs_of_columns * rows * (rows - 1.0),
        ]
    }
}

fn pairs(count: u64) -> f64 {
    let count = count as f64;
    count * (count - 1.0) / 2.0
}

fn count_pairs(geometry: Geometry, places: &[Position]) -> (Pairs, [u64; 8]) {
    let (banks, rows) = (u64::from(geometry.banks()), u64::from(geometry.rows()));
    let (columns, upper) = (u64::from(geometry.columns()), u64::from(geometry.rows_upper_half()));
    let (mut half, mut column, mut bank) = (0.0, 0.0, 0.0);
    let mut classes = [0; 8];
    let half_of = |place: &Position| {
        let column = u64::from(place.bank) * columns + u64::from(place.column);
        2 * column + u64::from(u64::from(place.row) >= upper)
    };
    let halves = tally(places.iter().map(half_of).collect(), 2 * banks * columns);
    for same in halves.chunk_by(|a, b| a.0 / 2 == b.0 / 2) {
        let counts = same.iter().map(|half| half.1);
        let count: u64 = counts.clone().sum();
        let alike: f64 = counts.map(pairs).sum();
        half += alike;
        column += pairs(count) - alike;
        if let Some(class) = COLUMN_CLASSES.iter().position(|&(_, last)| count <= last) {
            classes[class] += 1;
        }
    }
    let row_of = |place: &Position| u64::from(place.bank) * rows + u64::from(place.row);
    let in_rows = tally(places.iter().map(row_of).collect(), banks * rows);
    let row: f64 = in_rows.iter().map(|row| pairs(row.1)).sum();
    for same in in_rows.chunk_by(|a, b| a.0 / rows == b.0 / rows) {
        bank += pairs(same.iter().map(|row| row.1).sum());
    }
    ([half, column, row, bank - half - column - row], classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_of_one_kind() {
        let geometry = Geometry::new(2, 5, 3).unwrap();
        let all: Vec<FaultyCell> = (0..geometry.cells())
            .map(|address| FaultyCell { address, score: crate::Score(0), preferred: false })
            .collect();
        let seen = Observation::arranged(geometry, Vec::new(), &all);
        assert_eq!(seen.pairs, seen.pairs_of_cells());
        assert_eq!(seen.pairs.iter().sum::<f64>(), 2.0 * 15.0 * 14.0 / 2.0);
        // Halves of 3 and 2 rows.
        assert_eq!(seen.pairs[0], 6.0 * (3.0 + 1.0));
        assert_eq!(seen.columns, [0, 0, 0, 0, 6, 0, 0, 0]);
    }
}
