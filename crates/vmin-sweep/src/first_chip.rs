//! The first chip of a sweep, as a file to look at.

use vmin_sram::{Chip, ChipKey, Threshold, VddLevel};

use crate::Plan;
use crate::chip_file::microvolts;
use crate::experiment::Memory;

/// Most faulty cells of it that are kept, so that it can be drawn in a report.
const CELLS_MAX: usize = 5_000;

/// The weight memory of the sweep's first chip, down to the lowest swept voltage at which it has few
/// enough faulty cells to be drawn; of measured chips the first file. None if no fault persists.
#[must_use]
pub fn first_chip(plan: &Plan) -> Option<Chip> {
    if let Some(file) = plan.chip_files.first() {
        return (file.chip.cells().len() <= CELLS_MAX).then(|| file.chip.clone());
    }
    if plan.draws_every_read() {
        return None;
    }
    let cells = plan.placement.geometry().cells() as f64;
    let mut levels: Vec<VddLevel> = Vec::new();
    for point in &plan.points {
        let at = point.memory(Memory::Weight)?;
        // Chips differ: an expected number well below the most.
        if cells * at.cell_fault_rate > CELLS_MAX as f64 / 2.0 {
            break;
        }
        let level = VddLevel { vdd_uv: microvolts(at.vdd_mv), threshold: at.threshold };
        let lower =
            |last: &VddLevel| level.vdd_uv < last.vdd_uv && level.threshold < last.threshold;
        if level.threshold < Threshold::NEVER && levels.last().is_none_or(lower) {
            levels.push(level);
        }
    }
    let floor = levels.last()?.threshold;
    let key = ChipKey { seed: plan.experiment.seed, chip: 0, memory: Memory::Weight.number() };
    let chip = Chip::sample(&plan.population(), key, plan.placement.geometry(), floor).ok()?;
    if chip.cells().len() > CELLS_MAX {
        return None;
    }
    chip.with_levels(levels).ok()
}
