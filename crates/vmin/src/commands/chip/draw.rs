//! `vmin chip draw`: pictures of a chip.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vmin_diagnostic::Diagnostic;
use vmin_report::chip as draw;
use vmin_sram::fit::{FitOptions, fit};

use crate::failure::with_causes;
use crate::{Failure, files};

/// Simulated chips behind the band of a picture.
const REPLICATES: u32 = 100;

/// Options of `vmin chip draw`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin chip draw board.chip --vdd-mv 530 --out map.svg
  vmin chip draw board.chip --vdd-mv 530 --out all.svg --what all")]
pub struct DrawArgs {
    /// Chip file
    pub chip: PathBuf,
    /// Voltage of the fault map in mV
    #[arg(long, value_name = "V")]
    pub vdd_mv: f64,
    /// Output SVG file
    #[arg(long, value_name = "MAP.svg")]
    pub out: PathBuf,
    /// Picture to draw
    #[arg(long, value_enum, default_value_t = What::Map)]
    pub what: What,
}

/// A kind of picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Positions of the faults
    Map,
    /// Columns by their number of faults
    Columns,
    /// Banks by their number of faults
    Banks,
    /// Fault rate over all voltages, with a fitted curve
    Probit,
    /// All of these
    All,
}

/// Draws a chip into a file.
///
/// # Errors
/// The chip cannot be read or has no such voltage, no curve can be fitted, or the file cannot be written.
pub fn run(args: &DrawArgs) -> Result<(), Failure> {
    let chip = super::read(&args.chip)?;
    let level = super::level_at(&chip, args.vdd_mv)?;
    let geometry = chip.geometry();
    let measured = chip
        .levels()
        .iter()
        .position(|stored| *stored == level)
        .and_then(|index| chip.measured_faults(index));
    let faults = match measured {
        Some(faults) => faults,
        None => chip
            .faults(level.threshold)
            .map_err(|error| Failure::input("below-floor", &error))?
            .to_vec(),
    };
    let name = args.chip.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let title = format!("{name} at {} mV", args.vdd_mv);
    let probit = || -> Result<String, Failure> {
        let options = FitOptions { replicates: REPLICATES, ..FitOptions::default() };
        let fit = fit(std::slice::from_ref(&chip), &options).map_err(|error| {
            Diagnostic::new("fit", format!("no curve can be fitted: {}", with_causes(&error)))
                .hint("`--what map`, `columns` and `banks` need one voltage only")
        })?;
        Ok(draw::probit(&fit))
    };
    let svg = match args.what {
        What::Map => draw::map(&title, geometry, &faults),
        What::Columns => draw::columns(&title, geometry, &faults),
        What::Banks => draw::banks(&title, geometry, &faults),
        What::Probit => probit()?,
        What::All => draw::stack(&[
            draw::map(&title, geometry, &faults),
            draw::columns(&title, geometry, &faults),
            draw::banks(&title, geometry, &faults),
            probit()?,
        ]),
    };
    files::write_picture(&args.out, &svg, "chip draw")
}
