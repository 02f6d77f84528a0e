//! The command line, in words.

mod chip;
mod cycles;
mod energy;
mod eval;
mod model;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::chip::ChipCommand;
pub(crate) use self::cycles::{CycleModelArg, CyclesArgs, DataflowArg, WorkArgs};
pub(crate) use self::energy::{ClockArg, EnergyArgs, RailsArg};
pub(crate) use self::eval::{ChipChoice, EvalArgs, FaultKindArg};
pub(crate) use self::model::ModelCommand;

/// How low can the supply voltage of an accelerator's memories go?
///
/// vmin runs a quantized network on an emulated systolic-array accelerator whose SRAM cells fail as
/// the voltage falls, and reports accuracy, yield, cycles and energy together.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "\
Examples:
  vmin sweep                                  the embedded demo: table, CSV, JSON and report
  vmin init > experiment.toml                 an experiment file to start from
  vmin sweep experiment.toml --out results    the main job
  vmin eval --model net.tflite --data cifar10:DIR --profile sram14 --vdd-mv 850

Standard output carries data, standard error talk. Exit codes: 0 done, 1 failed, 2 wrong input,
130 interrupted.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sweep voltages and chips: accuracy, yield, energy at each operating point
    Sweep(SweepArgs),
    /// Check an experiment file and print what it would cost, running nothing
    Check(CheckArgs),
    /// Accuracy of one network, clean or on one chip
    Eval(EvalArgs),
    /// Inspect, run or convert a network
    #[command(subcommand)]
    Model(ModelCommand),
    /// Sample, import, fit, draw and inspect chips
    #[command(subcommand)]
    Chip(ChipCommand),
    /// Cycles, utilization and traffic per layer
    Cycles(CyclesArgs),
    /// Energy of one inference per layer and component
    Energy(EnergyArgs),
    /// Cost every design of a space and find its Pareto front
    Explore(ExploreArgs),
    /// Train a network, robust against bit errors if the recipe says so
    Train(TrainArgs),
    /// Write the report of a finished sweep again
    Report(ReportArgs),
    /// Compare finished sweeps in one table and one figure
    Compare(CompareArgs),
    /// Print a commented experiment file to start from
    Init(InitArgs),
    /// List the built-in networks, image sets, accelerators and profiles
    #[command(subcommand)]
    Data(DataCommand),
    /// Print the JSON Schema of a kind of TOML file
    Schema {
        /// Kind of file
        #[arg(value_enum, default_value_t)]
        kind: SchemaKind,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// A kind of TOML file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaKind {
    /// A sweep (`vmin sweep`)
    #[default]
    Experiment,
    /// An accelerator (`accel-models/`)
    Accelerator,
    /// A voltage profile (`voltage-profiles/`)
    Profile,
    /// A design space (`vmin explore`)
    Space,
    /// A training recipe (`vmin train`)
    Recipe,
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// Comma-separated, with a header line
    Csv,
}

/// The help of a network argument, from the list of formats.
fn model_help() -> String {
    format!("Network: {}", vmin_nn::import::accepted())
}

#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// How to print on standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ComputeArgs {
    /// Threads to use; all cores if absent. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) jobs: Option<u16>,
    /// Matrix kernel to force (`generic`, `avx2`, `avx512-vnni`). Results do not depend on it
    #[arg(long, value_name = "KERNEL")]
    pub(crate) kernel: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin sweep                                    the embedded demo into `vmin-out`
  vmin sweep experiment.toml --out results      writes results.json, results.csv, report.html,
                                                manifest.json and the journal
  vmin sweep experiment.toml --out results --resume
                                                goes on after Ctrl-C, a crash or a full disk")]
pub(crate) struct SweepArgs {
    /// Experiment file; the embedded demo if absent
    pub(crate) experiment: Option<PathBuf>,
    /// Folder for the results, made if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-out")]
    pub(crate) out: PathBuf,
    /// Continue the sweep whose journal lies in the folder
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin explore                                  an embedded example into `vmin-explore`
  vmin explore --example > space.toml           that example, to start from
  vmin explore space.toml --out designs         writes explore.json, explore.csv, explore.parquet
                                                and explore.html")]
pub(crate) struct ExploreArgs {
    /// Design-space file; the embedded example if absent
    pub(crate) space: Option<PathBuf>,
    /// Folder for the results, made if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-explore")]
    pub(crate) out: PathBuf,
    /// Print the embedded example instead
    #[arg(long, conflicts_with_all = ["space", "out", "jobs"])]
    pub(crate) example: bool,
    /// Threads to use; all cores if absent. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) jobs: Option<u16>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Experiment file; the embedded demo if absent
    pub(crate) experiment: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin train recipes/shapes-randbet-8bit.toml --out trained
                                  writes model.safetensors, metrics.jsonl and checkpoint.safetensors
  vmin train recipes/shapes-randbet-8bit.toml --out trained --resume
                                  goes on after Ctrl-C or a crash; the weights come out the same
  vmin eval --model trained/model.safetensors --data builtin:shapes --rate 0.01")]
pub(crate) struct TrainArgs {
    /// Recipe file
    pub(crate) recipe: PathBuf,
    /// Folder for the network, the metrics and the checkpoint, made if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-train")]
    pub(crate) out: PathBuf,
    /// Continue from the checkpoint in the folder
    #[arg(long)]
    pub(crate) resume: bool,
    /// Images, in place of `data` in the recipe (see `vmin data list`)
    #[arg(long, value_name = "DATA")]
    pub(crate) data: Option<String>,
    /// Threads to use; all cores if absent. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) jobs: Option<u16>,
    /// What computes the layers
    #[arg(long, value_enum, default_value_t)]
    pub(crate) engine: EngineChoice,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// What computes the layers of a training run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// A GPU if there is one and the program was built for it (cargo feature `cuda`), or else the processor
    #[default]
    Auto,
    /// The processor
    Cpu,
    /// The first CUDA device
    Cuda,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folder of a finished sweep
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Folders of finished sweeps
    #[arg(required = true, value_name = "FOLDER")]
    pub(crate) folders: Vec<PathBuf>,
    /// Name of each sweep, in folder order; the default is its experiment's
    #[arg(long = "label", value_name = "TEXT")]
    pub(crate) labels: Vec<String>,
    /// Write the comparison as one HTML page
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the figure alone as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Horizontal axis of the SVG figure
    #[arg(long, value_enum, default_value_t)]
    pub(crate) over: CompareOver,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// The horizontal axis of a comparison.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum CompareOver {
    /// The swept supply
    #[default]
    Voltage,
    /// The share of faulty cells
    Rate,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write to this file instead of standard output; an existing file is kept
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// List the names that need no file
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
