//! `vmin report`: writes the report of a finished sweep again.

use std::path::Path;

use vmin_diagnostic::Diagnostic;
use vmin_sram::Chip;
use vmin_sram::file::ChipFileLimits;
use vmin_sweep::Results;

use crate::args::ReportArgs;
use crate::failure::with_causes;
use crate::files::Output;
use crate::{Failure, files};

/// The page of a sweep.
pub(crate) const REPORT: &str = "report.html";

/// The file with the first chip of a sweep.
pub(crate) const FIRST_CHIP: &str = "first-chip.chip";

/// Draws `report.html` anew from the results in the folder.
///
/// # Errors
/// The folder holds no finished sweep, or the page cannot be written.
pub fn run(args: &ReportArgs) -> Result<(), Failure> {
    let results = results(&args.folder)?;
    let chip = first_chip(&args.folder)?;
    let page = vmin_report::page(&results, chip.as_ref());
    files::write(&args.folder.join(REPORT), page.as_bytes(), Output::page("sweep"))
}

/// The first chip of the finished sweep in a folder, if it left one.
fn first_chip(folder: &Path) -> Result<Option<Chip>, Failure> {
    let path = folder.join(FIRST_CHIP);
    if path.try_exists().is_ok_and(|there| !there) {
        return Ok(None);
    }
    let bytes = vmin_files::bytes("chip", &path).map_err(|error| error.diagnostic())?;
    vmin_sram::file::read(&bytes, &ChipFileLimits::default()).map(Some).map_err(|error| {
        Diagnostic::new("chip", format!("`{}`: {}", path.display(), with_causes(&error)))
            .hint("remove it, or run `vmin sweep --resume` to write it again")
            .into()
    })
}

/// The results of the finished sweep in a folder.
pub(crate) fn results(folder: &Path) -> Result<Results, Failure> {
    let path = folder.join("results.json");
    let bytes = vmin_files::bytes("results", &path).map_err(|error| {
        error.diagnostic().hint("name the folder of a finished sweep (`vmin sweep --out DIR`)")
    })?;
    Ok(Results::read(&path.display().to_string(), &bytes).map_err(|problem| *problem)?)
}
