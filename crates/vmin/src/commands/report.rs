//! `vmin report`: writes the report of a finished sweep again.

use std::path::Path;

use vmin_diagnostic::Diagnostic;
use vmin_sram::Chip;
use vmin_sram::file::ChipFileLimits;
use vmin_sweep::{Results, write_whole};

use crate::args::ReportArgs;
use crate::failure::{Failure, say, unwritable, with_causes};

/// The file with the first chip of a sweep.
pub(crate) const FIRST_CHIP: &str = "first-chip.chip";

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let results = results(&args.folder)?;
    let report = args.folder.join("report.html");
    let chip = first_chip(&args.folder)?;
    write_whole(&report, vmin_report::page(&results, chip.as_ref()).as_bytes())
        .map_err(|error| unwritable(&report, &error))?;
    say(&format!("wrote `{}`", report.display()));
    Ok(())
}

/// The first chip of the finished sweep in a folder, if it left one.
fn first_chip(folder: &Path) -> Result<Option<Chip>, Failure> {
    let path = folder.join(FIRST_CHIP);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Diagnostic::new(
                "unreadable",
                format!("cannot read `{}`: {error}", path.display()),
            )
            .into());
        }
    };
    vmin_sram::file::read(&bytes, &ChipFileLimits::default()).map(Some).map_err(|error| {
        Diagnostic::new("chip", format!("`{}`: {}", path.display(), with_causes(&error)))
            .hint("remove it, or run `vmin sweep --resume` to write it again")
            .into()
    })
}

/// The results of the finished sweep in a folder.
pub(crate) fn results(folder: &Path) -> Result<Results, Failure> {
    let path = folder.join("results.json");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Diagnostic::new("unreadable", format!("cannot read `{}`: {error}", path.display()))
            .hint("name the folder of a finished sweep (`vmin sweep --out DIR`)")
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Diagnostic::new(
            "bad-results",
            format!("`{}` is not the result of a sweep: {error}", path.display()),
        )
        .hint("run `vmin sweep --resume` to write it again from the journal")
        .into()
    })
}
