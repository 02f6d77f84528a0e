//! Observations of an import, before they become a chip.

use std::collections::BTreeMap;

use super::{ImportLimits, ImportProblem};
use crate::measured_maps::{ErrorRates, Run};

/// Bytes that an observation may cost until the chip is made: itself, twice while its list grows, and
/// the chip's own cell.
const OBSERVATION_BYTES: u64 = 3 * size_of::<Run>() as u64 + 16;
/// Memory of an import beyond the size of its files.
const SPARE_BYTES: u64 = 64 << 20;

/// Observations of cells at levels, in any order.
#[derive(Debug)]
pub(super) struct Collector {
    limits: ImportLimits,
    observations_max: u64,
    /// Index of each voltage, in the order in which they came.
    levels: BTreeMap<u32, u16>,
    runs: Vec<Run>,
}

impl Collector {
    pub(super) fn new(limits: ImportLimits) -> Self {
        let observations_max = limits.observations_max.unwrap_or(0);
        Self { limits, observations_max, levels: BTreeMap::new(), runs: Vec::new() }
    }

    /// A file of so many bytes may bring so many observations.
    pub(super) fn allow(&mut self, file_bytes: usize) {
        if self.limits.observations_max.is_none() {
            let bytes = (file_bytes as u64).saturating_add(SPARE_BYTES);
            self.observations_max = self.observations_max.max(bytes / OBSERVATION_BYTES);
        }
    }

    /// True if there is no level.
    pub(super) fn is_empty(&self) -> bool {
        self.levels.is_empty()
    }

    /// The index of a voltage's level.
    pub(super) fn level(&mut self, vdd_uv: u32) -> Result<u16, ImportProblem> {
        if let Some(&level) = self.levels.get(&vdd_uv) {
            return Ok(level);
        }
        let max = self.limits.levels_max.min(u64::from(u16::MAX));
        let limit = ImportProblem::Limit { what: "different voltages", max };
        let level = u16::try_from(self.levels.len()).map_err(|_| limit.clone())?;
        if u64::from(level) >= max {
            return Err(limit);
        }
        self.levels.insert(vdd_uv, level);
        Ok(level)
    }

    pub(super) fn push(
        &mut self,
        level: u16,
        address: u64,
        rates: ErrorRates,
    ) -> Result<(), ImportProblem> {
        self.push_run(Run { address, first_level: level, last_level: level, rates })
    }

    /// A cell over several levels, whose indices must fall in voltage.
    pub(super) fn push_run(&mut self, run: Run) -> Result<(), ImportProblem> {
        if self.runs.len() as u64 >= self.observations_max {
            let max = self.observations_max;
            return Err(ImportProblem::Limit { what: "observations", max });
        }
        self.runs.push(run);
        Ok(())
    }

    /// Makes every observation hold down to the lowest level.
    pub(super) fn extend_downwards(&mut self) {
        let Some((_, &lowest)) = self.levels.first_key_value() else { return };
        for run in &mut self.runs {
            run.last_level = lowest;
        }
    }

    /// Gives every observation the address that `place` says, and drops those it gives none.
    pub(super) fn place<E>(
        &mut self,
        mut place: impl FnMut(u64) -> Result<Option<u64>, E>,
    ) -> Result<(), E> {
        let mut problem = None;
        self.runs.retain_mut(|run| match place(run.address) {
            Ok(Some(address)) => {
                run.address = address;
                true
            }
            Ok(None) => false,
            Err(error) => {
                problem.get_or_insert(error);
                false
            }
        });
        problem.map_or(Ok(()), Err)
    }

    /// The voltages, falling, and the runs over them, with the two directions of a cell as one.
    pub(super) fn take(&mut self) -> Result<(Vec<u32>, Vec<Run>), ImportProblem> {
        let vdd_uv: Vec<u32> = self.levels.keys().rev().copied().collect();
        let mut by_voltage = vec![0_u16; vdd_uv.len()];
        for (position, vdd_uv) in vdd_uv.iter().enumerate() {
            // There are at most 2^16 - 1 levels.
            by_voltage[usize::from(self.levels[vdd_uv])] = position as u16;
        }
        let mut runs = core::mem::take(&mut self.runs);
        for run in &mut runs {
            run.first_level = by_voltage[usize::from(run.first_level)];
            run.last_level = by_voltage[usize::from(run.last_level)];
        }
        runs.sort_unstable_by_key(|run| (run.address, run.first_level, run.last_level));
        let mut twice = None;
        runs.dedup_by(|next, run| {
            let same = (next.address, next.first_level, next.last_level)
                == (run.address, run.first_level, run.last_level);
            if same {
                let both = |a: f32, b: f32| a > 0.0 && b > 0.0;
                if both(next.rates.p01, run.rates.p01) || both(next.rates.p10, run.rates.p10) {
                    let vdd_mv = f64::from(vdd_uv[usize::from(run.first_level)]) / 1000.0;
                    twice.get_or_insert(ImportProblem::CellTwice { address: run.address, vdd_mv });
                }
                run.rates.p01 = run.rates.p01.max(next.rates.p01);
                run.rates.p10 = run.rates.p10.max(next.rates.p10);
            }
            same
        });
        twice.map_or(Ok((vdd_uv, runs)), Err)
    }
}
