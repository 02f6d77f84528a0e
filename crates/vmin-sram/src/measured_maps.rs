//! Measured maps: the error rates of each cell at each measured voltage.
//!
//! A measurement gives, for every level (voltage) and cell, the probability that a stored 0 is read
//! as 1 and that a stored 1 is read as 0. Most cells have the same rates from some level downwards, so
//! the maps are stored as *runs*: a cell, the first and the last level of a range, and its rates there.
//! A map that nests costs one run per faulty cell for any number of voltages. Nothing is lost.
//!
//! ```text
//! level        0    1    2    3        runs of the cell
//! 590 mV ... 560 mV
//! p(1->0)      -    .4   1    1        (1..=1, 0.4), (2..=3, 1)
//! p(1->0)      1    -    1    1        (0..=0, 1),   (2..=3, 1): a cell that heals, it breaks nesting
//! ```

use crate::apply::FaultKind;
use crate::chip::{Chip, ChipError, FaultyCell, Origin, VddLevel};
use crate::geometry::Geometry;
use crate::reading::CellErrors;
use crate::score::{Score, Threshold};

/// Most levels of a measured chip.
pub const MEASURED_LEVELS_MAX: usize = 1 << 16;

/// The error probabilities of a cell, by the stored value; each in `[0, 1]`, not both 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorRates {
    /// Probability that a stored 0 is read as 1.
    pub p01: f32,
    /// Probability that a stored 1 is read as 0.
    pub p10: f32,
}

/// The kind of a cell's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CellKind {
    /// Both ways alike: the stored bit is inverted.
    Flip,
    /// Always reads as 0.
    StuckAt0,
    /// Always reads as 1.
    StuckAt1,
    /// Both ways, with different probabilities.
    Mixed,
}

impl ErrorRates {
    /// A cell that inverts what it stores with probability `p`.
    #[must_use]
    pub const fn flip(p: f32) -> Self {
        Self { p01: p, p10: p }
    }

    /// A cell that reads 0 with probability `p`.
    #[must_use]
    pub const fn stuck_at_0(p: f32) -> Self {
        Self { p01: 0.0, p10: p }
    }

    /// A cell that reads 1 with probability `p`.
    #[must_use]
    pub const fn stuck_at_1(p: f32) -> Self {
        Self { p01: p, p10: 0.0 }
    }

    /// The kind of these errors.
    #[must_use]
    pub fn kind(self) -> CellKind {
        match (self.p01 > 0.0, self.p10 > 0.0) {
            (false, _) => CellKind::StuckAt0,
            (true, false) => CellKind::StuckAt1,
            (true, true) if self.p01 == self.p10 => CellKind::Flip,
            (true, true) => CellKind::Mixed,
        }
    }

    /// The value the cell tends to; 0 for one that inverts.
    #[must_use]
    pub fn preferred(self) -> bool {
        self.p01 > self.p10
    }

    /// How often the cell is read wrongly while it holds the value for which that is likelier.
    #[must_use]
    pub fn largest(self) -> f32 {
        self.p01.max(self.p10)
    }

    /// The errors of a cell that errs as often and always in the way of `kind`; `preferred` is the value at
    /// which a stuck one sticks.
    #[must_use]
    pub fn as_kind(self, kind: FaultKind, preferred: bool) -> Self {
        match (kind, preferred) {
            (FaultKind::Flip, _) => Self::flip(self.largest()),
            (FaultKind::StuckAt, false) => Self::stuck_at_0(self.largest()),
            (FaultKind::StuckAt, true) => Self::stuck_at_1(self.largest()),
        }
    }

    /// Probabilities, positively zero, and not both zero.
    #[must_use]
    pub fn is_valid(self) -> bool {
        let probability = |p: f32| (0.0..=1.0).contains(&p) && p.is_sign_positive();
        probability(self.p01) && probability(self.p10) && self.p01.max(self.p10) > 0.0
    }
}

/// A cell's error rates over a range of levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Linear bit address, see [`Geometry`].
    pub address: u64,
    /// Index of the first level of the range (the highest voltage).
    pub first_level: u16,
    /// Index of its last level, not below the first.
    pub last_level: u16,
    /// The error rates there.
    pub rates: ErrorRates,
}

/// A whole measurement: runs by address, then by level, each of the greatest length.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredMaps {
    licence: String,
    runs: Vec<Run>,
}

impl MeasuredMaps {
    /// Licence of the measurement; may be empty.
    #[must_use]
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// The runs, by address and level.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The faulty cells of a level, by address.
    pub fn at(&self, level: usize) -> impl Iterator<Item = (u64, ErrorRates)> + use<'_> {
        self.runs.iter().filter(move |run| run.covers(level)).map(|run| (run.address, run.rates))
    }

    fn of_cell(&self, address: u64) -> &[Run] {
        let start = self.runs.partition_point(|run| run.address < address);
        let length = self.runs[start..].partition_point(|run| run.address == address);
        &self.runs[start..start + length]
    }
}

impl Run {
    fn covers(&self, level: usize) -> bool {
        (usize::from(self.first_level)..=usize::from(self.last_level)).contains(&level)
    }
}

impl Chip {
    /// A chip that was measured at `vdd_uv` (microvolts, falling), from runs in any order; a range
    /// may be cut into several runs, but no level of a cell may be covered twice.
    ///
    /// A cell's score is that of the first level at which it failed, whose threshold is that of the
    /// share of cells that had failed by then. So the maps of [`Chip::faults`]
    /// nest; those of [`Chip::measured_faults`] are the measured ones, nested or not.
    ///
    /// # Errors
    /// Voltages that do not fall or are too many, a cell outside the memory, a run beyond the levels,
    /// invalid rates, a cell with two runs at one level.
    pub fn measured(
        geometry: Geometry,
        source: String,
        licence: String,
        vdd_uv: &[u32],
        mut runs: Vec<Run>,
    ) -> Result<Self, ChipError> {
        if let Some(index) = falling(vdd_uv) {
            return Err(ChipError::Levels { index });
        }
        for run in &runs {
            let Run { address, first_level, last_level, rates } = *run;
            if address >= geometry.cells() {
                return Err(ChipError::Address { address, cells: geometry.cells() });
            }
            if first_level > last_level || usize::from(last_level) >= vdd_uv.len() {
                return Err(ChipError::Run { address });
            }
            if !rates.is_valid() {
                return Err(ChipError::Rates { address });
            }
        }
        runs.sort_unstable_by_key(|run| (run.address, run.first_level));
        join(&mut runs)?;

        let healing = |runs: &[Run]| {
            let last = usize::from(runs[runs.len() - 1].last_level);
            let gap = runs.windows(2).any(|pair| pair[1].first_level > pair[0].last_level + 1);
            u64::from(gap || last + 1 < vdd_uv.len())
        };
        let mut nesting_violations = 0;
        let mut new_cells = vec![0_u64; vdd_uv.len()];
        let mut cells = 0;
        for runs in runs.chunk_by(|a, b| a.address == b.address) {
            nesting_violations += healing(runs);
            new_cells[usize::from(runs[0].first_level)] += 1;
            cells += 1;
        }
        let levels = levels(geometry, vdd_uv, &new_cells);
        let floor = levels.last().map_or(Threshold::NEVER, |level| level.threshold);
        let mut faulty = Vec::with_capacity(cells);
        for runs in runs.chunk_by(|a, b| a.address == b.address) {
            faulty.push(FaultyCell {
                address: runs[0].address,
                score: Score(levels[usize::from(runs[0].first_level)].threshold.0),
                preferred: runs[runs.len() - 1].rates.preferred(),
            });
        }
        let origin = Origin::Measured { source, nesting_violations };
        let mut chip = Self::from_cells(geometry, origin, floor, levels, faulty)?;
        chip.maps = Some(MeasuredMaps { licence, runs });
        Ok(chip)
    }

    /// The measurement behind a measured chip.
    #[must_use]
    pub const fn maps(&self) -> Option<&MeasuredMaps> {
        self.maps.as_ref()
    }

    /// The fault map at a stored level as it was measured, weakest first: for a chip that was measured
    /// the very cells that failed then, with the value each tended to at that voltage; for one without
    /// [`Chip::maps`] the same as [`Chip::faults`]. None beyond the levels.
    #[must_use]
    pub fn measured_faults(&self, level: usize) -> Option<Vec<FaultyCell>> {
        Some(self.errors_at(level)?.map(|(cell, _)| cell).collect())
    }

    /// The faulty cells at a stored level with their error rates, weakest first. Cells of a chip
    /// without [`Chip::maps`] read their preferred value always. None beyond the levels.
    #[must_use]
    pub fn errors_at(
        &self,
        level: usize,
    ) -> Option<impl Iterator<Item = (FaultyCell, ErrorRates)> + use<'_>> {
        let threshold = self.levels.get(level)?.threshold;
        // Cells that have not failed above this level can not be among its map.
        let known = self.cells.partition_point(|cell| threshold.is_faulty(cell.score));
        Some(self.cells[..known].iter().filter_map(move |&cell| {
            let rates = self.rates(level, cell)?;
            let preferred = if self.maps.is_some() { rates.preferred() } else { cell.preferred };
            Some((FaultyCell { preferred, ..cell }, rates))
        }))
    }

    /// Share that tends to 0 of the faulty cells at a stored level that tend to a value; none if there are none, as
    /// among cells that invert what they store.
    #[must_use]
    pub fn share_stuck_at_0(&self, level: usize) -> Option<f64> {
        let (mut to_0, mut all) = (0_u64, 0_u64);
        for (cell, rates) in self.errors_at(level)? {
            let tends = match self.maps {
                Some(_) => rates.p01 != rates.p10,
                None => self.kind() == FaultKind::StuckAt,
            };
            all += u64::from(tends);
            to_0 += u64::from(tends && !cell.preferred);
        }
        (all > 0).then(|| to_0 as f64 / all as f64)
    }

    /// As [`Self::errors_at`], by address and owned; empty beyond the levels.
    #[must_use]
    pub fn cell_errors(&self, level: usize) -> Vec<CellErrors> {
        let mut errors: Vec<CellErrors> = self
            .errors_at(level)
            .into_iter()
            .flatten()
            .map(|(cell, rates)| CellErrors { cell, rates })
            .collect();
        errors.sort_unstable_by_key(|error| error.cell.address);
        errors
    }

    /// The error rates of a cell at a stored level; none without errors, or beyond the levels or the memory.
    #[must_use]
    pub fn probability(&self, level: usize, address: u64) -> Option<ErrorRates> {
        let threshold = self.levels.get(level)?.threshold;
        if let Some(maps) = &self.maps {
            return maps.of_cell(address).iter().find(|run| run.covers(level)).map(|run| run.rates);
        }
        let cell = self.cells.iter().find(|cell| cell.address == address)?;
        threshold.is_faulty(cell.score).then(|| self.kind().rates(cell.preferred))
    }

    fn rates(&self, level: usize, cell: FaultyCell) -> Option<ErrorRates> {
        match &self.maps {
            None => Some(self.kind().rates(cell.preferred)),
            Some(maps) => {
                maps.of_cell(cell.address).iter().find(|run| run.covers(level)).map(|run| run.rates)
            }
        }
    }
}

/// Index of the first voltage that does not fall, is zero, or is one too many.
fn falling(vdd_uv: &[u32]) -> Option<usize> {
    let bad = |index: usize| {
        vdd_uv[index] == 0
            || index >= MEASURED_LEVELS_MAX
            || index > 0 && vdd_uv[index] >= vdd_uv[index - 1]
    };
    (0..vdd_uv.len()).find(|&index| bad(index))
}

/// Joins neighbouring runs of equal rates; refuses overlapping ones.
fn join(runs: &mut Vec<Run>) -> Result<(), ChipError> {
    let clash = runs.windows(2).find(|pair| {
        pair[0].address == pair[1].address && pair[1].first_level <= pair[0].last_level
    });
    if let Some(pair) = clash {
        return Err(ChipError::Run { address: pair[0].address });
    }
    runs.dedup_by(|next, run| {
        let joins = next.address == run.address
            && next.first_level - 1 == run.last_level
            && next.rates == run.rates;
        if joins {
            run.last_level = next.last_level;
        }
        joins
    });
    Ok(())
}

/// The thresholds of the share of cells that had failed by each level, falling strictly where new
/// cells fail.
fn levels(geometry: Geometry, vdd_uv: &[u32], new_cells: &[u64]) -> Vec<VddLevel> {
    let mut failed = 0;
    let mut threshold = Threshold::NEVER;
    vdd_uv
        .iter()
        .zip(new_cells)
        .map(|(&vdd_uv, &new)| {
            failed += new;
            if new > 0 {
                // Cells are below 2^35.
                let rate = failed as f64 / geometry.cells() as f64;
                let of_rate = Threshold::from_rate(rate).unwrap_or(Threshold::ALWAYS);
                threshold = of_rate.min(Threshold(threshold.0.saturating_sub(1)));
            }
            VddLevel { vdd_uv, threshold }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(address: u64, first_level: u16, last_level: u16, rates: ErrorRates) -> Run {
        Run { address, first_level, last_level, rates }
    }

    fn chip(runs: Vec<Run>) -> Result<Chip, ChipError> {
        let geometry = Geometry::new(1, 2, 4).unwrap();
        Chip::measured(geometry, String::new(), String::new(), &[900, 800, 700], runs)
    }

    #[test]
    fn every_measured_map_is_kept_and_the_nested_one_covers_it() {
        let (low, one) = (ErrorRates::stuck_at_0(0.4), ErrorRates::stuck_at_0(1.0));
        let flip = ErrorRates::flip(0.5);
        let up = ErrorRates::stuck_at_1(1.0);
        // Cell 1 grows, cell 2 heals at level 1, cell 7 heals for good, cell 3 is cut in two.
        let runs = vec![
            run(3, 2, 2, up),
            run(1, 1, 1, low),
            run(1, 2, 2, one),
            run(2, 0, 0, flip),
            run(2, 2, 2, flip),
            run(7, 1, 1, up),
            run(3, 1, 1, up),
        ];
        let chip = chip(runs).unwrap();
        assert!(matches!(chip.origin(), Origin::Measured { nesting_violations: 2, .. }));
        assert_eq!(chip.maps().unwrap().runs().len(), 6);
        let addresses = |level| -> Vec<u64> {
            chip.measured_faults(level).unwrap().iter().map(|cell| cell.address).collect()
        };
        assert_eq!(addresses(0), [2]);
        assert_eq!(addresses(1), [1, 3, 7]);
        assert_eq!(addresses(2), [2, 1, 3]);
        assert_eq!(chip.measured_faults(3), None);
        let nested: Vec<usize> =
            chip.levels().iter().map(|l| chip.faults(l.threshold).unwrap().len()).collect();
        assert_eq!(nested, [1, 4, 4]);
        assert_eq!(chip.probability(1, 1), Some(low));
        assert_eq!(chip.probability(2, 1), Some(one));
        assert_eq!(chip.probability(1, 2), None);
        assert_eq!(chip.probability(0, 2).unwrap().kind(), CellKind::Flip);
        assert_eq!(chip.probability(9, 2), None);
        assert!(chip.measured_faults(1).unwrap()[1].preferred);
    }

    #[test]
    fn each_broken_rule_is_named() {
        let one = ErrorRates::flip(1.0);
        assert!(matches!(chip(vec![run(8, 0, 0, one)]), Err(ChipError::Address { .. })));
        assert!(matches!(chip(vec![run(1, 1, 0, one)]), Err(ChipError::Run { address: 1 })));
        assert!(matches!(chip(vec![run(1, 1, 3, one)]), Err(ChipError::Run { address: 1 })));
        let twice = vec![run(1, 0, 1, one), run(1, 1, 2, one)];
        assert!(matches!(chip(twice), Err(ChipError::Run { address: 1 })));
        for rates in [
            ErrorRates::flip(0.0),
            ErrorRates::flip(1.1),
            ErrorRates { p01: f32::NAN, p10: 1.0 },
            ErrorRates { p01: -0.0, p10: 1.0 },
        ] {
            assert!(matches!(
                chip(vec![run(1, 0, 0, rates)]),
                Err(ChipError::Rates { address: 1 })
            ));
        }
        let geometry = Geometry::new(1, 1, 1).unwrap();
        let rising = Chip::measured(geometry, String::new(), String::new(), &[1, 1], vec![]);
        assert!(matches!(rising, Err(ChipError::Levels { index: 1 })));
    }

    #[test]
    fn all_cells_of_a_memory_may_fail() {
        let runs = (0..8).map(|cell| run(cell, 2, 2, ErrorRates::flip(1.0))).collect();
        let chip = chip(runs).unwrap();
        assert_eq!(chip.measured_faults(1).unwrap(), []);
        assert_eq!(chip.measured_faults(2).unwrap().len(), 8);
    }
}
