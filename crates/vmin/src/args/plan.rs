//! Arguments of `vmin plan` and `vmin cluster`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::ComputeArgs;

/// Options of `vmin plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin plan experiment.toml --shards 16
  vmin plan experiment.toml --shards 16 --format tsv |
    awk -F'\\t' 'NR > 1 { print $NF }' | parallel
                                  the last column, commands, for GNU parallel

Seconds are estimated from a few trials on this machine, memory from what these took; both
are of one shard with as many threads as here (--jobs).")]
pub struct PlanArgs {
    /// The experiment and its shards.
    #[command(flatten)]
    pub dealt: DealtArgs,
    /// Format on standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: PlanFormat,
}

/// Options of `vmin cluster`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin cluster slurm experiment.toml --shards 16 --out campaign --jobs 8
  vmin cluster ray experiment.toml --shards 64 --out campaign && python campaign/ray_sweep.py

Threads (--jobs), memory and time of a shard are those of `vmin plan` on this machine, with
something to spare. The files are short: read them, and change what your cluster has
otherwise. VMIN in the environment names another program than `vmin`.")]
pub struct ClusterArgs {
    /// Engine that runs the shards
    #[arg(value_enum)]
    pub engine: ClusterEngine,
    /// The experiment and its shards.
    #[command(flatten)]
    pub dealt: DealtArgs,
}

/// An experiment dealt to shards.
#[derive(Debug, Args)]
pub struct DealtArgs {
    /// Experiment file; the embedded demo if absent
    pub experiment: Option<PathBuf>,
    /// Another value for a key of the file, as in `vmin sweep`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Number of shards, at most as many as chips
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub shards: u32,
    /// Folder for results; shards go to DIR/shards/I
    #[arg(long, value_name = "DIR", default_value = "vmin-out")]
    pub out: PathBuf,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// The format of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// A table for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// Comma-separated, with a header line
    Csv,
    /// Tab-separated, with a header line
    Tsv,
}

/// An engine that runs shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClusterEngine {
    /// Slurm: a job array and a job that merges
    Slurm,
    /// Kubernetes: an indexed job and a job that merges
    K8s,
    /// Ray: a driver in Python
    Ray,
    /// Snakemake: a Snakefile
    Snakemake,
    /// GNU parallel or xargs: a shell script
    Parallel,
}
