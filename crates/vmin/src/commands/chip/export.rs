//! `vmin chip export`: a chip's fault maps in other tools' formats.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vmin_diagnostic::Diagnostic;
use vmin_sram::export::{self, ExportFile};

use crate::failure::{say, unwritable};
use crate::{Failure, files};

/// Options of `vmin chip export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin chip export board.chip --format-out list --out faults.csv
  vmin chip export board.chip --format-out ibm --out maps/")]
pub struct ExportArgs {
    /// Chip file
    chip: PathBuf,
    /// Output format
    #[arg(long, value_enum, value_name = "FORMAT")]
    format_out: FormatOut,
    /// Output: a file for a list, otherwise a folder
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatOut {
    /// One comma-separated table with all measurements
    List,
    /// Pairs of comma-separated 0/1 files, one pair per voltage
    Ibm,
    /// Arrays of error probabilities, two per voltage
    Npy,
}

/// Writes the maps of a chip in a form that others read.
///
/// # Errors
/// The chip cannot be read, does not fit the form, or a file cannot be written.
pub fn run(args: &ExportArgs) -> Result<(), Failure> {
    let chip = super::read(&args.chip)?;
    if let FormatOut::List = args.format_out {
        let ExportFile { bytes, .. } = export::list(&chip);
        return files::write(&args.out, &bytes, files::CELL_LIST);
    }
    let mut made = 0_usize;
    let mut refused = None;
    let write = |file: ExportFile| {
        if made == 0 {
            std::fs::create_dir_all(&args.out)?;
        }
        made += 1;
        // Measured maps have such names too.
        files::put(&args.out.join(&file.name), &file.bytes, files::NOTHING).map_err(|failure| {
            refused = Some(failure);
            std::io::ErrorKind::AlreadyExists.into()
        })
    };
    let written = match args.format_out {
        FormatOut::Ibm => export::ibm(&chip, write),
        FormatOut::Npy | FormatOut::List => export::npy(&chip, write),
    };
    written
        .map_err(|error| {
            Diagnostic::new("not-exportable", format!("`{}`: {error}", args.chip.display()))
                .hint("`--format-out list` writes every chip with voltage levels")
        })?
        .map_err(|error| refused.unwrap_or_else(|| unwritable(&args.out, &error)))?;
    say(&format!("wrote {made} files into `{}`", args.out.display()));
    Ok(())
}
