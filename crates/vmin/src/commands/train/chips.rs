//! The measured chips that a recipe trains on.

use std::path::Path;

use vmin_diagnostic::{Diagnostic, Diagnostics, Source, with_causes};
use vmin_sweep::chip_file;
use vmin_sweep::names::Names;
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
    let names = Names::new(source, path.parent().unwrap_or(Path::new("")));
    let mut maps = Vec::new();
    let mut problems = Vec::new();
    for name in &measured.files {
        match map(&names, name, measured.vdd_mv, source) {
            Ok(map) => maps.push(map),
            Err(found) => problems.extend(found.into_list()),
        }
    }
    match Diagnostics::from_list(problems) {
        Some(problems) => Err(problems.into()),
        None => Ok(maps),
    }
}

fn map(
    names: &Names<'_>,
    name: &str,
    vdd_mv: f64,
    source: &Source,
) -> Result<ErrorMap, Diagnostics> {
    let file = names.chip(name).map_err(|found| {
        let placed = found.into_list().into_iter().map(|problem| at_key(source, FILES, problem));
        Diagnostics::from_list(placed.collect()).expect("as many as were found")
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
