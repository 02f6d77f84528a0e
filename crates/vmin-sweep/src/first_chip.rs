//! The first chip of a sweep, written as a chip file and drawn in the report.

use vmin_accel::MemoryAt;
use vmin_emulator::source::SampledChips;
use vmin_sram::{Chip, ChipKey, Threshold, VddLevel};

use crate::chip_file::ChipFile;
use crate::plan::Candidate;

/// Most faulty cells of it that are kept, so that it can be drawn in a report.
const CELLS_MAX: usize = 5_000;

/// The weight memory of the sweep's first chip, down to the lowest swept voltage at which it has few
/// enough faulty cells to be drawn; of measured chips the first file. None if no fault persists.
pub(crate) fn first_chip(
    sampled: Option<&SampledChips>,
    own: &Candidate,
    chip_files: &[ChipFile],
) -> Option<Chip> {
    if let Some(file) = chip_files.first() {
        return (file.chip.cells().len() <= CELLS_MAX).then(|| file.chip.clone());
    }
    let SampledChips { population, seed, .. } = sampled?;
    let geometry = own.placement.weights.geometry();
    let mut levels: Vec<VddLevel> = Vec::new();
    for point in &own.points {
        let at: &MemoryAt = point.supplies.weight.as_ref()?.access.base();
        // Chips differ: an expected number well below the most.
        if geometry.cells() as f64 * at.cell_fault_rate > CELLS_MAX as f64 / 2.0 {
            break;
        }
        let level = VddLevel { vdd_uv: at.vdd_uv(), threshold: at.threshold };
        let lower =
            |last: &VddLevel| level.vdd_uv < last.vdd_uv && level.threshold < last.threshold;
        if level.threshold < Threshold::NEVER && levels.last().is_none_or(lower) {
            levels.push(level);
        }
    }
    let floor = levels.last()?.threshold;
    let key = ChipKey { seed: *seed, chip: 0, memory: 0 };
    let chip = Chip::sample(population, key, geometry, floor).ok()?;
    if chip.cells().len() > CELLS_MAX {
        return None;
    }
    chip.with_levels(levels).ok()
}
