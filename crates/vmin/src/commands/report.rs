//! `vmin report`: draws the report of a finished sweep again.

use std::path::Path;

use vmin_diagnostic::Diagnostic;
use vmin_sweep::{Results, write_whole};

use crate::args::ReportArgs;
use crate::failure::{Failure, say, unwritable};

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let results = results(&args.folder)?;
    let report = args.folder.join("report.html");
    write_whole(&report, vmin_report::page(&results).as_bytes())
        .map_err(|error| unwritable(&report, &error))?;
    say(&format!("wrote `{}`", report.display()));
    Ok(())
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
