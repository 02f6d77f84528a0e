//! One chip through one remedy.

use std::sync::atomic::{AtomicBool, Ordering};

use vmin_emulator::{ChipMaps, ChipShape, Emulator, ProtectedMemory};
use vmin_sram::{Chip, ChipKey, Population, SampleError, Threshold};

use super::PlannedRemedy;
use crate::journal::Record;
use crate::run::{RunError, WEIGHT_MEMORY};
use crate::{Plan, run};

/// Indices of memories beside the weight memory: far from those of buffers.
const CHECK_MEMORY: u32 = 0x100;
const SPARE_ROWS_MEMORY: u32 = 0x101;
const SPARE_COLUMNS_MEMORY: u32 = 0x102;

/// The maps of a chip down to a threshold.
pub(super) fn sample(
    population: &Population,
    seed: u64,
    chip: u32,
    shape: ChipShape,
    floor: Threshold,
) -> Result<ChipMaps, SampleError> {
    let draw = |memory, geometry| {
        let key = ChipKey { seed, chip: chip.into(), memory };
        Chip::sample(population, key, geometry, floor)
    };
    let maybe = |memory, geometry: Option<_>| geometry.map(|g| draw(memory, g)).transpose();
    Ok(ChipMaps {
        data: draw(WEIGHT_MEMORY, shape.data)?,
        check: maybe(CHECK_MEMORY, shape.check)?,
        spare_rows: maybe(SPARE_ROWS_MEMORY, shape.spare_rows)?,
        spare_columns: maybe(SPARE_COLUMNS_MEMORY, shape.spare_columns)?,
    })
}

/// Runs one chip at those voltages of a remedy (indices among its points, rising) that are `wanted`.
pub(crate) fn run_chip(
    plan: &Plan,
    remedy: &PlannedRemedy,
    memory: &ProtectedMemory<'_>,
    emulator: &Emulator<'_>,
    clean: &[usize],
    chip: u32,
    wanted: &[u32],
    stop: &AtomicBool,
    append: &(dyn Fn(&Record) -> Result<(), RunError> + Sync),
) -> Result<Vec<Record>, RunError> {
    let Some(&lowest) = wanted.last() else { return Ok(Vec::new()) };
    if stop.load(Ordering::Relaxed) {
        return Err(RunError::Stopped);
    }
    let profile = &plan.profile;
    let floor = memory.floor(profile, remedy.points[lowest as usize].vdd_mv);
    let maps = sample(&plan.population(), plan.experiment.seed, chip, memory.shape(), floor)?;
    let repair = memory.repair(&maps, profile);
    let mut records = Vec::with_capacity(wanted.len());
    for &point in wanted {
        let vdd_mv = remedy.points[point as usize].vdd_mv;
        let kind = plan.experiment.fault_kind;
        let read = memory.read(&maps, repair.as_ref(), profile, vdd_mv, kind);
        let score = if read.done.bits_flipped == 0 {
            emulator.score(clean, clean)
        } else {
            emulator.score(&emulator.predict(&read.codes, stop)?, clean)
        };
        let record = Record {
            point: remedy.first_point + point,
            chip,
            correct: score.correct,
            correct_union: score.correct_union,
            cells_hit: read.done.cells_hit,
            flips: read.done.bits_flipped,
            ..Record::default()
        };
        append(&record)?;
        records.push(record);
    }
    Ok(records)
}

/// Mean over chips of faulty cells that spares repaired and that were left, at the repair voltage; none
/// without spares. A pure function of the plan.
pub(super) fn repaired(
    plan: &Plan,
    remedy: &PlannedRemedy,
) -> Result<Option<(f64, f64)>, RunError> {
    use rayon::prelude::*;
    let memory = run::protected_memory(plan, remedy)?;
    let profile = &plan.profile;
    let Some(first) = remedy.points.first() else { return Ok(None) };
    let floor = memory.floor(profile, first.vdd_mv);
    if memory.shape().spare_rows.is_none() && memory.shape().spare_columns.is_none() {
        return Ok(None);
    }
    let counts: Vec<(u64, u64)> = (0..plan.experiment.chips)
        .into_par_iter()
        .map(|chip| {
            let maps =
                sample(&plan.population(), plan.experiment.seed, chip, memory.shape(), floor)?;
            let repair = memory.repair(&maps, profile).unwrap_or_default();
            Ok((repair.cells_repaired, repair.cells_unrepaired))
        })
        .collect::<Result<_, SampleError>>()?;
    let chips = counts.len() as f64;
    let mean = |of: fn(&(u64, u64)) -> u64| counts.iter().map(of).sum::<u64>() as f64 / chips;
    Ok(Some((mean(|count| count.0), mean(|count| count.1))))
}
