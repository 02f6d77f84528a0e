//! Statistics of a fault map: number of faults, crowding, stuck values.
//!
//! They characterised the public 28 nm map: real faults crowd in few columns and banks, independent
//! faults do not.

use crate::chip::{ChipError, FaultyCell};
use crate::geometry::Geometry;

/// A column with at least this many faults counts as crowded.
pub const CROWDED_COLUMN: u64 = 5;

/// Figures of one fault map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultStatistics {
    /// Faulty cells.
    pub faults: u64,
    /// Faulty cells whose preferred value is 0.
    pub stuck_at_0: u64,
    /// Columns (of one bank each) with a fault.
    pub columns_hit: u64,
    /// Faults of the worst column.
    pub max_per_column: u64,
    /// Faults in columns with at least [`CROWDED_COLUMN`] of them.
    pub faults_in_crowded_columns: u64,
    /// Banks of the memory.
    pub banks: u64,
    /// Banks without a fault.
    pub banks_without_fault: u64,
    /// Sum over the banks of the squared number of faults.
    pub sum_of_squares_per_bank: u128,
}

impl FaultStatistics {
    /// Figures of a fault map over a memory.
    ///
    /// # Errors
    /// A fault lies outside the memory.
    pub fn new(faults: &[FaultyCell], geometry: Geometry) -> Result<Self, ChipError> {
        let of_a_bank = u64::from(geometry.columns());
        let mut columns = Vec::with_capacity(faults.len());
        let mut stuck_at_0 = 0;
        for fault in faults {
            let position = geometry
                .position(fault.address)
                .ok_or(ChipError::Address { address: fault.address, cells: geometry.cells() })?;
            columns.push(u64::from(position.bank) * of_a_bank + u64::from(position.column));
            stuck_at_0 += u64::from(!fault.preferred);
        }
        let columns = tally(columns, u64::from(geometry.banks()) * of_a_bank);
        let mut figures = Self {
            faults: faults.len() as u64,
            stuck_at_0,
            banks: u64::from(geometry.banks()),
            ..Self::default()
        };
        for &(_, count) in &columns {
            figures.columns_hit += 1;
            figures.max_per_column = figures.max_per_column.max(count);
            if count >= CROWDED_COLUMN {
                figures.faults_in_crowded_columns += count;
            }
        }
        let mut banks_hit = 0;
        for bank in columns.chunk_by(|a, b| a.0 / of_a_bank == b.0 / of_a_bank) {
            banks_hit += 1;
            let count: u64 = bank.iter().map(|(_, count)| count).sum();
            figures.sum_of_squares_per_bank += u128::from(count).pow(2);
        }
        figures.banks_without_fault = figures.banks - banks_hit;
        Ok(figures)
    }

    /// Faults over cells: the cell-fault rate of the map.
    #[must_use]
    pub fn cell_fault_rate(&self, geometry: Geometry) -> f64 {
        self.faults as f64 / geometry.cells() as f64
    }

    /// Share of the faults whose preferred value is 0; none without faults.
    #[must_use]
    pub fn share_stuck_at_0(&self) -> Option<f64> {
        (self.faults > 0).then(|| self.stuck_at_0 as f64 / self.faults as f64)
    }

    /// Share of the faults in crowded columns; none without faults.
    #[must_use]
    pub fn share_in_crowded_columns(&self) -> Option<f64> {
        (self.faults > 0).then(|| self.faults_in_crowded_columns as f64 / self.faults as f64)
    }

    /// Mean number of faults per bank.
    #[must_use]
    pub fn mean_per_bank(&self) -> f64 {
        self.faults as f64 / self.banks as f64
    }

    /// Variance over the banks of the number of faults (about their own mean, divided by the number of
    /// banks).
    #[must_use]
    pub fn variance_per_bank(&self) -> f64 {
        let (banks, faults) = (u128::from(self.banks), u128::from(self.faults));
        // Integers until here: nothing cancels. Faults are below 2^35, so all fits.
        (banks * self.sum_of_squares_per_bank - faults * faults) as f64
            / (banks as f64 * banks as f64)
    }

    /// Variance over mean per bank, 1 for independent faults; none without faults.
    #[must_use]
    pub fn dispersion_per_bank(&self) -> Option<f64> {
        (self.faults > 0).then(|| self.variance_per_bank() / self.mean_per_bank())
    }
}

/// The keys that occur, each below `groups`, ascending with their counts. Where keys are many, a counter per group is
/// faster than a sort, and its memory within a few times that of the keys.
pub(crate) fn tally(mut keys: Vec<u64>, groups: u64) -> Vec<(u64, u64)> {
    match usize::try_from(groups) {
        Ok(groups) if groups / 4 <= keys.len() => {
            let mut counts = vec![0_u64; groups];
            keys.iter().for_each(|&key| counts[key as usize] += 1);
            (0..).zip(counts).filter(|&(_, count)| count > 0).collect()
        }
        Ok(_) | Err(_) => {
            keys.sort_unstable();
            keys.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u64)).collect()
        }
    }
}

/// Number of cells that fail at some voltage and not at a lower one, of maps measured at falling
/// voltages, each the addresses of its faulty cells in any order. Zero if the maps nest.
#[must_use]
pub fn nesting_violations(maps: &[Vec<u64>]) -> u64 {
    let mut maps = maps.to_vec();
    maps.iter_mut().for_each(|map| map.sort_unstable());
    // A cell that is missing anywhere below is missing first in some neighbouring map.
    let mut healed: Vec<u64> = maps
        .windows(2)
        .flat_map(|pair| pair[0].iter().filter(|cell| pair[1].binary_search(cell).is_err()))
        .copied()
        .collect();
    healed.sort_unstable();
    healed.dedup();
    healed.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::Score;

    fn fault(address: u64, preferred: bool) -> FaultyCell {
        FaultyCell { address, score: Score(0), preferred }
    }

    #[test]
    fn a_small_map_by_hand() {
        // 3 banks of 8 x 2: six faults in column 0 of bank 0, one in its column 1, one in bank 2.
        let geometry = Geometry::new(3, 8, 2).unwrap();
        let mut faults: Vec<FaultyCell> = (0..6).map(|row| fault(row * 2, false)).collect();
        faults.push(fault(3, true));
        faults.push(fault(32, true));
        let figures = FaultStatistics::new(&faults, geometry).unwrap();
        let expected = FaultStatistics {
            faults: 8,
            stuck_at_0: 6,
            columns_hit: 3,
            max_per_column: 6,
            faults_in_crowded_columns: 6,
            banks: 3,
            banks_without_fault: 1,
            sum_of_squares_per_bank: 49 + 1,
        };
        assert_eq!(figures, expected);
        assert_eq!(figures.share_stuck_at_0(), Some(0.75));
        assert_eq!(figures.share_in_crowded_columns(), Some(0.75));
        let variance = (49.0 + 1.0) / 3.0 - (8.0_f64 / 3.0).powi(2);
        assert!((figures.variance_per_bank() - variance).abs() < 1e-12);
        assert!((figures.cell_fault_rate(geometry) - 8.0 / 48.0).abs() < 1e-15);

        let outside = FaultStatistics::new(&[fault(48, false)], geometry);
        assert!(matches!(outside, Err(ChipError::Address { address: 48, cells: 48 })));
        let none = FaultStatistics::new(&[], geometry).unwrap();
        assert_eq!((none.share_stuck_at_0(), none.dispersion_per_bank()), (None, None));
    }

    #[test]
    fn counting_tells_what_sorting_tells() {
        let keys: Vec<u64> = (0..500).map(|n| n * n * 7 % 93).collect();
        let counted = tally(keys.clone(), 93);
        assert_eq!(counted, tally(keys.clone(), u64::MAX), "sorted");
        assert_eq!(counted.iter().map(|(_, count)| count).sum::<u64>(), 500);
        for (key, count) in counted {
            assert_eq!(keys.iter().filter(|other| **other == key).count() as u64, count);
        }
        assert_eq!(tally(Vec::new(), 0), []);
    }

    #[test]
    fn cells_that_heal_are_counted_once() {
        let nested = [vec![3], vec![9, 3], vec![3, 4, 9]];
        assert_eq!(nesting_violations(&nested), 0);
        // 3 heals, comes back and heals again; 9 heals.
        let healing = [vec![3, 5], vec![5, 9], vec![3, 5, 9], vec![5]];
        assert_eq!(nesting_violations(&healing), 2);
        assert_eq!(nesting_violations(&[]), 0);
    }
}
