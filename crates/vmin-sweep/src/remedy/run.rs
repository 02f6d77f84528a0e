//! One trial through one remedy.

use std::sync::atomic::{AtomicBool, Ordering};

use vmin_accel::placement::AddressMap;
use vmin_emulator::{ChipMaps, ChipShape, Corrupted, Emulator, ProtectedMemory, ProtectedRead};
use vmin_sram::{Applied, Chip, ChipKey, SampleError, Threshold};

use super::PlannedRemedy;
use crate::buffers::Buffers;
use crate::cells::Trial;
use crate::experiment::Memory;
use crate::journal::Record;
use crate::run::RunError;
use crate::{Plan, run};

/// Indices of memories beside the weight memory: far from those of buffers.
const CHECK_MEMORY: u32 = 0x100;
const SPARE_ROWS_MEMORY: u32 = 0x101;
const SPARE_COLUMNS_MEMORY: u32 = 0x102;

/// The maps of a trial down to a threshold.
fn sample(
    plan: &Plan,
    remedy: &PlannedRemedy,
    trial: Trial,
    shape: ChipShape,
    floor: Threshold,
) -> Result<ChipMaps, SampleError> {
    let of_chip = trial.cells_key(plan, Memory::Weight);
    let draw = |memory, geometry| {
        Chip::sample(&plan.population(), ChipKey { memory, ..of_chip }, geometry, floor)
    };
    let maybe = |memory, geometry: Option<_>| geometry.map(|g| draw(memory, g)).transpose();
    let data = draw(of_chip.memory, shape.data)?;
    let layout = layout(plan, remedy, trial, &data);
    Ok(ChipMaps {
        layout,
        data,
        check: maybe(CHECK_MEMORY, shape.check)?,
        spare_rows: maybe(SPARE_ROWS_MEMORY, shape.spare_rows)?,
        spare_columns: maybe(SPARE_COLUMNS_MEMORY, shape.spare_columns)?,
    })
}

/// The address map of a trial; columns are chosen from the chip's faults at the remedy's lowest voltage.
fn layout(plan: &Plan, remedy: &PlannedRemedy, trial: Trial, data: &Chip) -> AddressMap {
    let map = remedy.address_maps[trial.offset].clone();
    if plan.experiment.layout.reliable_columns.is_none() {
        return map;
    }
    let faults = data.faults(lowest(plan, remedy)).expect("the map reaches to the lowest voltage");
    let graph = remedy.graph.as_ref().unwrap_or(&plan.graph);
    let bits = graph.weights.first().map_or(8, |weights| weights.bits);
    let chosen = map.with_reliable_columns(bits, faults);
    chosen.expect("`Plan::resolve` has checked that codes divide rows")
}

/// The threshold on the common rail at the remedy's lowest voltage.
fn lowest(plan: &Plan, remedy: &PlannedRemedy) -> Threshold {
    let lowest = remedy.points.last().map_or(f64::INFINITY, |point| point.vdd_mv);
    plan.profile.threshold(remedy.protection.base_mv(lowest))
}

/// Down to where a chip must be known to be read at a voltage.
fn floor(
    plan: &Plan,
    remedy: &PlannedRemedy,
    memory: &ProtectedMemory<'_>,
    vdd_mv: f64,
) -> Threshold {
    let floor = memory.floor(&plan.profile, vdd_mv);
    match plan.experiment.layout.reliable_columns {
        Some(_) => floor.min(lowest(plan, remedy)),
        None => floor,
    }
}

/// Runs one trial at those voltages of a remedy (indices among its points, rising) that are `wanted`.
pub(crate) fn run_trial(
    plan: &Plan,
    remedy: &PlannedRemedy,
    memory: &ProtectedMemory<'_>,
    emulator: &Emulator<'_>,
    clean: &[usize],
    number: u32,
    wanted: &[u32],
    stop: &AtomicBool,
    append: &(dyn Fn(&Record) -> Result<(), RunError> + Sync),
) -> Result<Vec<Record>, RunError> {
    let Some(&lowest) = wanted.last() else { return Ok(Vec::new()) };
    if stop.load(Ordering::Relaxed) {
        return Err(RunError::Stopped);
    }
    let profile = &plan.profile;
    let trial = Trial::of(plan, number);
    let lowest = &remedy.points[lowest as usize];
    let floor = floor(plan, remedy, memory, lowest.vdd_mv);
    let maps = sample(plan, remedy, trial, memory.shape(), floor)?;
    let buffers = Buffers::new(plan, &remedy.buffers, trial, &lowest.supplies)?;
    let repair = memory.repair(&maps, profile);
    let mut records = Vec::with_capacity(wanted.len());
    for &point in wanted {
        let at = &remedy.points[point as usize];
        let kind = plan.experiment.fault_kind;
        let ProtectedRead { codes, done } =
            memory.read(&maps, repair.as_ref(), profile, at.vdd_mv, kind);
        let applied = Applied { cells_hit: done.cells_hit, bits_flipped: done.bits_flipped };
        let read = Corrupted { codes, applied };
        let (score, of_buffers) =
            buffers.erring(&at.supplies).score(&read, emulator, clean, stop)?;
        let record = Record {
            point: remedy.first_point + point,
            chip: number,
            correct: score.correct,
            correct_union: score.correct_union,
            cells_hit: done.cells_hit,
            flips: done.bits_flipped,
            activation_cells_hit: of_buffers.activations.cells_hit,
            activation_flips: of_buffers.activations.bits_flipped,
            accumulator_cells_hit: of_buffers.sums.cells_hit,
            accumulator_flips: of_buffers.sums.bits_flipped,
        };
        append(&record)?;
        records.push(record);
    }
    Ok(records)
}

/// Mean over trials of faulty cells that spares repaired and that were left, at the repair voltage; none
/// without spares. A pure function of the plan.
pub(super) fn repaired(
    plan: &Plan,
    remedy: &PlannedRemedy,
) -> Result<Option<(f64, f64)>, RunError> {
    use rayon::prelude::*;
    let memory = run::protected_memory(plan, remedy)?;
    let profile = &plan.profile;
    let Some(first) = remedy.points.first() else { return Ok(None) };
    let floor = floor(plan, remedy, &memory, first.vdd_mv);
    if memory.shape().spare_rows.is_none() && memory.shape().spare_columns.is_none() {
        return Ok(None);
    }
    let counts: Vec<(u64, u64)> = (0..plan.trials())
        .into_par_iter()
        .map(|number| {
            let maps = sample(plan, remedy, Trial::of(plan, number), memory.shape(), floor)?;
            let repair = memory.repair(&maps, profile).unwrap_or_default();
            Ok((repair.cells_repaired, repair.cells_unrepaired))
        })
        .collect::<Result<_, SampleError>>()?;
    let trials = counts.len() as f64;
    let mean = |of: fn(&(u64, u64)) -> u64| counts.iter().map(of).sum::<u64>() as f64 / trials;
    Ok(Some((mean(|count| count.0), mean(|count| count.1))))
}
