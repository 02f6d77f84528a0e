//! The measured chips that a recipe trains on.

use std::path::Path;

use vmin_diagnostic::{Diagnostic, Diagnostics, Source, with_causes};
use vmin_sweep::chip_file::{self, ChipFileProblem};
use vmin_train::{ErrorMap, Recipe, at_key};

use crate::failure::Failure;

const FILES: &str = "bit_errors.measured.files";
const VOLTAGE: &str = "bit_errors.measured.vdd_mv";

/// Their maps at the recipe's voltage, in the order of the files, all that is wrong with them at once; empty
/// where the recipe names none. Paths are relative to the recipe.
pub(super) fn maps(
    path: &Path,
    source: &Source,
    recipe: &Recipe,
) -> Result<Vec<ErrorMap>, Failure> {
    let errors = recipe.bit_errors.as_ref();
    let Some(measured) = errors.and_then(|errors| errors.measured.as_ref()) else {
        return Ok(Vec::new());
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut maps = Vec::new();
    let mut problems = Vec::new();
    for name in &measured.files {
        match map(&folder.join(name), name, measured.vdd_mv, source) {
            Ok(map) => maps.push(map),
            Err(problem) => problems.push(*problem),
        }
    }
    match Diagnostics::from_list(problems) {
        Some(problems) => Err(problems.into()),
        None => Ok(maps),
    }
}

fn map(path: &Path, name: &str, vdd_mv: f64, source: &Source) -> Result<ErrorMap, Box<Diagnostic>> {
    let file = chip_file::read(path, name).map_err(|problem| {
        let hint = match problem {
            ChipFileProblem::Unreadable { .. } => {
                "paths are relative to the recipe; `vmin chip import` makes chips"
            }
            _ => "`vmin chip import` makes chip files",
        };
        at_key(source, FILES, Diagnostic::new(problem.code(), problem.to_string())).hint(hint)
    })?;
    let level = chip_file::level_at(&file.chip, vdd_mv).ok_or_else(|| {
        let words = format!("the chip `{name}` has no level at {vdd_mv} mV");
        let levels = chip_file::levels_words(&file.chip);
        at_key(source, VOLTAGE, Diagnostic::new("out-of-range", words))
            .hint(format!("its levels are {levels}"))
    })?;
    let errors = chip_file::errors_at(&file.chip, &level).map_err(|error| {
        at_key(source, VOLTAGE, Diagnostic::new("below-floor", with_causes(&error)))
    })?;
    Ok(ErrorMap { errors, cells: file.chip.geometry().cells(), sha256: file.sha256 })
}
