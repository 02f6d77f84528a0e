//! `vmin chip`: sample, import, export, fit, draw and inspect chips.

mod draw;
mod export;
mod fit;
mod import;
mod inspect;
mod sample;

use std::path::Path;

pub(crate) use draw::DrawArgs;
pub(crate) use export::ExportArgs;
pub(crate) use fit::FitArgs;
pub(crate) use import::ImportArgs;

use vmin_diagnostic::Diagnostic;
use vmin_sram::{Chip, ChipKey, FaultyCell, Geometry, VddLevel};
use vmin_sweep::WEIGHT_MEMORY;
use vmin_sweep::chip_file::{self, ChipFileProblem};

use crate::args::ChipCommand;
use crate::failure::Failure;

pub(crate) fn run(command: &ChipCommand) -> Result<(), Failure> {
    match command {
        ChipCommand::Sample {
            profile,
            seed,
            chip,
            rows,
            columns,
            banks,
            vdd_mv_min,
            read_noise_mv,
            out,
            format,
        } => {
            let geometry = Geometry::new(*banks, *rows, *columns)
                .map_err(|error| Failure::input("geometry", &error))?;
            let key = ChipKey { seed: *seed, chip: *chip, memory: WEIGHT_MEMORY };
            let voltages = sample::Voltages { lowest_mv: *vdd_mv_min, noise_mv: *read_noise_mv };
            sample::run(profile, voltages, geometry, key, out, format.format)
        }
        ChipCommand::Import(args) => import::run(args),
        ChipCommand::Export(args) => export::run(args),
        ChipCommand::Fit(args) => fit::run(args),
        ChipCommand::Draw(args) => draw::run(args),
        ChipCommand::Inspect { chip, vdd_mv, format } => inspect::run(chip, vdd_mv, format.format),
    }
}

/// Reads a chip file.
pub(crate) fn read(path: &Path) -> Result<Chip, Failure> {
    let file = chip_file::read(path, &path.display().to_string()).map_err(|problem| {
        let diagnostic = Diagnostic::new(problem.code(), problem.to_string());
        match problem {
            ChipFileProblem::Unreadable { .. } => diagnostic.hint("`vmin chip sample` makes one"),
            ChipFileProblem::Bad { .. } => diagnostic.hint("`vmin chip sample` makes chip files"),
            _ => diagnostic,
        }
    })?;
    Ok(file.chip)
}

/// The fault map at a level: the measured one of a measured chip.
pub(crate) fn faults_at(chip: &Chip, level: &VddLevel) -> Result<Vec<FaultyCell>, Failure> {
    let index = chip.levels().iter().position(|known| known == level);
    // Measured maps need not nest.
    if let Some(faults) = chip.maps().and(index).and_then(|index| chip.measured_faults(index)) {
        return Ok(faults);
    }
    let faults = chip.faults(level.threshold).map_err(|e| Failure::input("below-floor", &e))?;
    Ok(faults.to_vec())
}

/// The level of a voltage: a stored one, or for a chip of a shipped profile any above its lowest.
pub(crate) fn level_at(chip: &Chip, vdd_mv: f64) -> Result<VddLevel, Failure> {
    chip_file::level_at(chip, vdd_mv).ok_or_else(|| {
        Diagnostic::new("out-of-range", format!("the chip has no level at {vdd_mv} mV"))
            .hint(format!("its levels are {}", chip_file::levels_words(chip)))
            .into()
    })
}
