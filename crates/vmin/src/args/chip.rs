//! Arguments of `vmin chip`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FormatArgs, read_noise_mv, whole};
use crate::commands::chip::{draw, export, fit, import};

/// What `vmin chip` does.
#[derive(Debug, Subcommand)]
pub enum ChipCommand {
    /// Sample one chip of a population into a file
    Sample(SampleArgs),
    /// Convert measured fault maps to a chip file and summarize them
    Import(Box<import::ImportArgs>),
    /// Export a chip's fault maps as a list, 0/1 files or arrays
    Export(export::ExportArgs),
    /// Fit a population to measured chips and write it as a voltage profile
    Fit(fit::FitArgs),
    /// Draw the faults of a chip as SVG
    Draw(draw::DrawArgs),
    /// Count the faults of a chip at each voltage
    Inspect(InspectArgs),
}

/// Options of `vmin chip sample`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  vmin chip sample --profile fpga28-kc705b --seed 1 --rows 512 --columns 16 --banks 890 \\
    --out board.chip
  vmin chip sample --profile fpga28-kc705b --seed 1 --read-noise-mv 3.8 --out measured.chip
  vmin chip sample --profile fpga28-kc705b --seed 1 --count 100 --out lot/chip-{}.chip")]
pub struct SampleArgs {
    /// Voltage profile: a name (see `vmin data list`) or a file
    #[arg(long, value_name = "PROFILE")]
    pub profile: String,
    /// Seed of the population
    #[arg(long, value_name = "S", value_parser = whole)]
    pub seed: u64,
    /// Index of the chip in the population
    #[arg(long, value_name = "I", default_value_t = 0, value_parser = whole)]
    pub chip: u64,
    /// Rows of one bank
    #[arg(long, value_name = "R", default_value_t = 512)]
    pub rows: u32,
    /// Columns (bits) of one bank
    #[arg(long, value_name = "C", default_value_t = 64)]
    pub columns: u32,
    /// Banks
    #[arg(long, value_name = "B", default_value_t = 32)]
    pub banks: u32,
    /// Lowest voltage of the chip in mV; the default is the profile's lowest
    #[arg(long, value_name = "V")]
    pub vdd_mv_min: Option<f64>,
    /// Add read noise (sigma in mV) to simulate a measurement
    ///
    /// Every voltage gets one noisy read, so the maps do not nest exactly.
    #[arg(long, value_name = "MV", value_parser = read_noise_mv)]
    pub read_noise_mv: Option<f64>,
    /// Number of chips, numbered from `--chip` on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub count: Option<u32>,
    /// Output chip file; with `--count` a folder or a name with `{}`
    #[arg(long, value_name = "CHIP")]
    pub out: PathBuf,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin chip inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Chip file
    pub chip: PathBuf,
    /// Voltages in mV; the default is those stored in the file
    #[arg(long, value_name = "V,V,...", value_delimiter = ',')]
    pub vdd_mv: Vec<f64>,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}
