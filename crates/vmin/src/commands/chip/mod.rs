//! `vmin chip`: sample, import, export, fit, draw and inspect chips.

pub mod draw;
pub mod export;
pub mod fit;
pub mod import;
pub mod inspect;
pub mod sample;

use std::mem::discriminant;
use std::path::Path;

use vmin_diagnostic::{Diagnostic, in_volts};
use vmin_files::write_whole;
use vmin_sram::file::ChipFileLimits;
use vmin_sram::{Chip, FaultyCell, Origin, VddLevel};
use vmin_sweep::chip_file;
use vmin_sweep::names::Names;

use crate::failure::{say, unwritable};
use crate::{Failure, files};

/// Reads a chip file.
pub(crate) fn read(path: &Path) -> Result<Chip, Failure> {
    Ok(Names::typed().chip(path.display().to_string().as_str())?.chip)
}

/// Refuses a path where another file lies than a chip of such an origin.
pub(crate) fn check(path: &Path, origin: &Origin) -> Result<(), Failure> {
    let replaces = |old: Vec<u8>| {
        let old = vmin_sram::file::read(&old, &ChipFileLimits::default());
        old.is_ok_and(|old| discriminant(old.origin()) == discriminant(origin))
    };
    if path.is_file() && !vmin_files::bytes("chip", path).is_ok_and(replaces) {
        return Err(files::kept(path));
    }
    Ok(())
}

/// Writes a chip file. A chip of the same origin is replaced, sampled or measured; any other file is kept.
pub(crate) fn write(path: &Path, chip: &Chip) -> Result<(), Failure> {
    check(path, chip.origin())?;
    let bytes = vmin_sram::file::write(chip);
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
        let problem =
            Diagnostic::new("out-of-range", format!("the chip has no level at {vdd_mv} mV"))
                .hint(format!("its levels are {}", chip_file::levels_words(chip)));
        let hint = in_volts(vdd_mv, |vdd_mv| chip_file::level_at(chip, vdd_mv).is_some());
        hint.into_iter().fold(problem, Diagnostic::hint).into()
    })
}
