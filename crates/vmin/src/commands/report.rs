//! `vmin report`: draws the report of a finished sweep again.

use vmin_diagnostic::Diagnostic;
use vmin_sweep::{Results, write_whole};

use crate::args::ReportArgs;
use crate::failure::{Failure, say, unwritable};

pub(crate) fn run(args: &ReportArgs) -> Result<(), Failure> {
    let path = args.folder.join("results.json");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Diagnostic::new("unreadable", format!("cannot read `{}`: {error}", path.display()))
            .hint("name the folder of a finished sweep (`vmin sweep --out DIR`)")
    })?;
    let results: Results = serde_json::from_str(&text).map_err(|error| {
        Diagnostic::new(
            "bad-results",
            format!("`{}` is not the result of a sweep: {error}", path.display()),
        )
        .hint("run `vmin sweep --resume` to write it again from the journal")
    })?;
    let report = args.folder.join("report.html");
    write_whole(&report, vmin_report::page(&results).as_bytes())
        .map_err(|error| unwritable(&report, &error))?;
    say(&format!("wrote `{}`", report.display()));
    Ok(())
}
