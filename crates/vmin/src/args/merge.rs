//! Arguments of `vmin merge`.

use std::path::PathBuf;

use clap::Args;

use super::{ComputeArgs, FormatArgs};

/// Options of `vmin merge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin sweep experiment.toml --shard 1/2 --out shards/1     on one machine
  vmin sweep experiment.toml --shard 2/2 --out shards/2     on another one
  vmin merge shards --experiment experiment.toml --out results

The files are those that one process would have written, byte for byte, but for
manifest.json. Folders may overlap and may come from different numbers of shards. No trial
is run: if some are missing, the shards that have them are named.")]
pub struct MergeArgs {
    /// Folders of shards, or folders with several of them
    #[arg(required = true, value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Experiment file of the shards; the embedded demo if absent
    #[arg(long, value_name = "FILE")]
    pub experiment: Option<PathBuf>,
    /// Another value for a key of the file, as in the shards
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder for the results; created if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-out")]
    pub out: PathBuf,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}
