//! Arguments of `vmin trials`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FormatArgs;

/// What `vmin trials` does.
#[derive(Debug, Subcommand)]
pub enum TrialsCommand {
    /// List what a store holds, by candidate, images and supplies
    List(ListArgs),
    /// Show the trials of a store with their errors
    Show(ShowArgs),
    /// Compact a store into one file, without damaged lines and duplicates
    Gc(GcArgs),
}

/// Options of `vmin trials list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Folder of the store
    pub store: PathBuf,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin trials show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin trials list trials                       candidates, images and supplies, with counts
  vmin trials show trials --candidate 3fa9      trials of the candidate whose digest begins so
  vmin trials show trials --vdd-mv 850 --chip 0 --format csv")]
pub struct ShowArgs {
    /// Folder of the store
    pub store: PathBuf,
    /// Only candidates whose digest begins so
    #[arg(long, value_name = "DIGEST")]
    pub candidate: Option<String>,
    /// Only images whose name begins so
    #[arg(long, value_name = "IMAGES")]
    pub images: Option<String>,
    /// Only this chip
    #[arg(long, value_name = "N")]
    pub chip: Option<u32>,
    /// Only trials with a memory at this supply, in mV
    #[arg(long, value_name = "MV")]
    pub vdd_mv: Option<f64>,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin trials gc`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin trials gc trials --dry-run               says what would be done
  vmin trials gc trials --keep a.toml b.toml    drops trials of any other experiment

Files that a sweep is writing are left alone.")]
pub struct GcArgs {
    /// Folder of the store
    pub store: PathBuf,
    /// Change nothing, only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Drop trials that are in none of these experiments
    #[arg(long, value_name = "EXPERIMENT", num_args = 1..)]
    pub keep: Vec<PathBuf>,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}
