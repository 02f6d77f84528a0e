//! `vmin chip`: sample, import, export, fit, draw and inspect chips.

pub mod draw;
pub mod export;
pub mod fit;
pub mod import;
pub mod inspect;
pub mod sample;

use std::path::Path;

use vmin_diagnostic::Diagnostic;
use vmin_files::write_whole;
use vmin_sram::{Chip, FaultyCell, VddLevel};
use vmin_sweep::chip_file;
use vmin_sweep::names::Names;

use crate::Failure;
use crate::failure::{say, unwritable};

/// Reads a chip file.
pub(crate) fn read(path: &Path) -> Result<Chip, Failure> {
    Ok(Names::typed().chip(path.display().to_string().as_str())?.chip)
}

/// Writes a chip file; one with other content is kept.
pub(crate) fn write(path: &Path, chip: &Chip) -> Result<(), Failure> {
    let bytes = vmin_sram::file::write(chip);
    if std::fs::metadata(path).is_ok_and(|found| found.is_file())
        && std::fs::read(path).is_ok_and(|found| found != bytes)
    {
        return Err(Diagnostic::new(
            "file-exists",
            format!("`{}` is another file", path.display()),
        )
        .hint("choose another name, or remove the file first")
        .into());
    }
    write_whole(path, &bytes).map_err(|error| unwritable(path, &error))?;
    say(&format!("wrote `{}`", path.display()));
    Ok(())
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
