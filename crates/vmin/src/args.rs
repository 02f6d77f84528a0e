//! The command line as typed values.

mod attack;
pub mod chip;
mod cycles;
mod deploy;
mod energy;
mod eval;
mod flatness;
mod merge;
pub mod model;
mod monitor;
mod noise;
mod on_chip;
mod plan;
mod questions;
mod shard;
pub mod trials;

use std::any::TypeId;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, StyledStr, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use vmin_accel::voltage::READ_NOISE_MV;
use vmin_diagnostic::{FileKind, closest};

pub use self::attack::{
    AttackArgs, AttackKind, AttackMethod, BitArgs, MovesArg, NormArg, ObjectiveArg, PixelArgs,
    Reach,
};
pub use self::chip::ChipCommand;
pub use self::cycles::{CycleModelArg, CyclesArgs, WorkArgs};
pub use self::deploy::DeployArgs;
pub use self::energy::{ClockArg, EnergyArgs, Voltages};
pub use self::eval::EvalArgs;
pub use self::flatness::FlatnessArgs;
pub use self::merge::MergeArgs;
pub use self::model::ModelCommand;
pub use self::monitor::{MonitorArgs, SweptArgs};
pub use self::noise::NoiseArgs;
pub use self::on_chip::{ChipChoice, FaultKindArg, MemorySupply, OnChipArgs, PlacementArg};
pub use self::plan::{ClusterArgs, ClusterEngine, DealtArgs, PlanArgs, PlanFormat};
pub use self::questions::{AskArgs, AskedArgs, AssignArgs, SensitivityArgs, VminArgs, YieldArgs};
pub use self::shard::ShardChoice;
pub use self::trials::TrialsCommand;

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

Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 wrong input,
75 run it again (SIGTERM, SIGUSR1, folder in use), 130 interrupted (Ctrl-C, SIGHUP).")]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// What is said on standard error.
    #[command(flatten)]
    pub messages: MessageArgs,
}

/// What is said on standard error; the same options for every command.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Messages")]
pub struct MessageArgs {
    /// Print errors only; data on stdout stays
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also print files, threads, kernels and the time of each part
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Format of errors; `json`: the last line of stderr is one document
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub errors: ErrorFormat,
}

/// The format of errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ErrorFormat {
    /// For people, with the quoted line
    #[default]
    Text,
    /// One JSON document on one line (`vmin schema errors`)
    Json,
}

impl Cli {
    /// The command line in these words, of which the first is the program's name.
    ///
    /// # Errors
    /// They are wrong, or ask for help.
    pub fn read(words: &[OsString]) -> Result<Self, clap::Error> {
        let matches = signed(Self::command()).try_get_matches_from(words).map_err(with_kind)?;
        Self::from_arg_matches(&matches)
    }
}

/// Where a command is given for a kind, the kinds of its file and of its JSON.
fn with_kind(mut error: clap::Error) -> clap::Error {
    const COMMANDS: [(&str, &str); 4] = [
        ("sweep", "`experiment` is the file of `vmin sweep`, `results` its JSON"),
        ("report", "`results` is what `vmin report` reads"),
        ("explore", "`space` is the file of `vmin explore`"),
        ("train", "`recipe` is the file of `vmin train`"),
    ];
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => word.as_str(),
        _ => "",
    };
    let kinds = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(kinds)) if word(ContextKind::InvalidArg) == "[KIND]" => kinds,
        _ => return error,
    };
    // A kind goes before a command of the same name.
    let words = kinds.iter().map(String::as_str).chain(COMMANDS.map(|(command, _)| command));
    let meant = closest(word(ContextKind::InvalidValue), words);
    let is_kind = |meant: &&str| kinds.iter().any(|kind| kind == meant);
    let meant = meant.filter(|meant| !is_kind(meant));
    let Some((_, tip)) = COMMANDS.iter().find(|(command, _)| Some(*command) == meant) else {
        return error;
    };
    error.remove(ContextKind::SuggestedValue);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(*tip)]));
    error
}

/// Lets the value of an option begin with a minus where it is one number, so that their ranges refuse them.
fn signed(command: clap::Command) -> clap::Command {
    let texts = [TypeId::of::<String>(), TypeId::of::<PathBuf>()];
    let of_arg = |arg: Arg| {
        let is_text = texts.iter().any(|text| arg.get_value_parser().type_id() == *text);
        let is_word = !arg.get_possible_values().is_empty();
        let is_one = arg.get_num_args().is_none_or(|count| count == 1.into());
        let is_option = arg.get_long().is_some() && arg.get_action().takes_values();
        let signed = is_option && !is_text && !is_word && is_one;
        if signed { arg.allow_hyphen_values(true) } else { arg }
    };
    command.mut_args(of_arg).mut_subcommands(signed)
}

/// A whole number that is not negative.
pub(crate) fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u64::MAX))
}

/// Read noise, in mV.
fn read_noise_mv(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|noise| READ_NOISE_MV.contains(noise));
    value.ok_or_else(|| format!("expected {} to {} mV", READ_NOISE_MV.start(), READ_NOISE_MV.end()))
}

/// A command with its options.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sweep voltages and chips: accuracy, yield and energy at every voltage
    Sweep(SweepArgs),
    /// Answer the question that an experiment file asks
    Ask(AskArgs),
    /// The lowest supply at which each chip works
    Vmin(VminArgs),
    /// The share of chips that work at each supply
    Yield(YieldArgs),
    /// What one more faulty cell costs, by layer, bit, bank, memory
    Sensitivity(SensitivityArgs),
    /// Which supply each memory gets, with which remedy, for least energy
    Assign(AssignArgs),
    /// Unite the shards of a sweep and write its results
    Merge(MergeArgs),
    /// The shards of a sweep with costs and commands
    Plan(PlanArgs),
    /// Write files with which an engine runs a sweep's shards
    Cluster(ClusterArgs),
    /// Check a file of any kind; print an experiment's cost and time
    ///
    /// All mistakes of a stage are told at once: syntax; then keys, values and names; then what does
    /// not fit together.
    Check(CheckArgs),
    /// Accuracy of one network, clean or on single chips
    Eval(EvalArgs),
    /// Deploy a network onto chips: what a product would program
    Deploy(DeployArgs),
    /// Attack a network on a chip: wrong bits, images, patches
    Attack(AttackArgs),
    /// How flat the loss is: foretells errors without a chip
    Flatness(FlatnessArgs),
    /// Watch low voltage by the network's confidence, on-line
    Monitor(MonitorArgs),
    /// Norms of what faulty memories do to images and tensors
    Noise(NoiseArgs),
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
    /// Compare all designs of a space and find the Pareto front
    Explore(ExploreArgs),
    /// Train a network, under bit errors if the recipe has some
    Train(TrainArgs),
    /// Write the report of a finished sweep again
    Report(ReportArgs),
    /// Compare finished sweeps in one table and one figure
    Compare(CompareArgs),
    /// List, show and compact the trials that sweeps share
    #[command(subcommand)]
    Trials(TrialsCommand),
    /// Print a commented file to start from, of any kind
    Init(InitArgs),
    /// List the built-in networks, image sets, accelerators and profiles
    #[command(subcommand)]
    Data(DataCommand),
    /// Print the JSON Schema of a TOML file or of a command's JSON
    Schema {
        /// Kind of file or document
        #[arg(value_enum, default_value_t)]
        kind: SchemaKind,
    },
    /// Print a completion script for a shell
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// The words of the command, such as `chip inspect`.
    #[must_use]
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Sweep(_) => "sweep",
            Self::Ask(_) => "ask",
            Self::Vmin(_) => "vmin",
            Self::Yield(_) => "yield",
            Self::Sensitivity(_) => "sensitivity",
            Self::Assign(_) => "assign",
            Self::Merge(_) => "merge",
            Self::Plan(_) => "plan",
            Self::Cluster(_) => "cluster",
            Self::Check(_) => "check",
            Self::Eval(_) => "eval",
            Self::Deploy(_) => "deploy",
            Self::Attack(_) => "attack",
            Self::Flatness(_) => "flatness",
            Self::Monitor(_) => "monitor",
            Self::Noise(_) => "noise",
            Self::Model(ModelCommand::Inspect(_)) => "model inspect",
            Self::Model(ModelCommand::Run(_)) => "model run",
            Self::Model(ModelCommand::Convert(_)) => "model convert",
            Self::Chip(ChipCommand::Sample(_)) => "chip sample",
            Self::Chip(ChipCommand::Import(_)) => "chip import",
            Self::Chip(ChipCommand::Export(_)) => "chip export",
            Self::Chip(ChipCommand::Fit(_)) => "chip fit",
            Self::Chip(ChipCommand::Draw(_)) => "chip draw",
            Self::Chip(ChipCommand::Inspect(_)) => "chip inspect",
            Self::Cycles(_) => "cycles",
            Self::Energy(_) => "energy",
            Self::Explore(_) => "explore",
            Self::Train(_) => "train",
            Self::Report(_) => "report",
            Self::Compare(_) => "compare",
            Self::Trials(TrialsCommand::List(_)) => "trials list",
            Self::Trials(TrialsCommand::Show(_)) => "trials show",
            Self::Trials(TrialsCommand::Gc(_)) => "trials gc",
            Self::Init(_) => "init",
            Self::Data(DataCommand::List { .. }) => "data list",
            Self::Schema { .. } => "schema",
            Self::Completions { .. } => "completions",
        }
    }
}

/// A kind of TOML file (a [`FileKind`] by its word, where `schemas/` has one), or of JSON document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
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
    /// JSON of `vmin sweep`; `results.json` lacks `command` and `version`
    Results,
    /// JSON of `vmin vmin`
    Vmin,
    /// JSON of `vmin yield`
    Yield,
    /// JSON of `vmin sensitivity`
    Sensitivity,
    /// JSON of `vmin assign`
    Assign,
    /// JSON of `vmin plan`
    Plan,
    /// JSON of `vmin check`
    Check,
    /// JSON of `vmin eval`
    Eval,
    /// JSON of `vmin deploy`
    Deploy,
    /// `manifest.json` of a deployment
    Manifest,
    /// JSON of `vmin attack`
    Attack,
    /// JSON of `vmin flatness`
    Flatness,
    /// JSON of `vmin monitor`
    Monitor,
    /// JSON of `vmin noise`
    Noise,
    /// JSON of `vmin model inspect`
    Model,
    /// JSON of `vmin chip inspect`
    Chip,
    /// JSON of `vmin chip sample`
    ChipSample,
    /// JSON of `vmin chip import`
    ChipImport,
    /// JSON of `vmin chip fit`
    ChipFit,
    /// JSON of `vmin cycles`
    Cycles,
    /// JSON of `vmin energy`
    Energy,
    /// JSON of `vmin explore`
    Explore,
    /// JSON of `vmin train`
    Train,
    /// JSON of `vmin compare`
    Compare,
    /// JSON of `vmin trials list`
    Trials,
    /// JSON of `vmin trials show`
    TrialsShow,
    /// JSON of `vmin trials gc`
    TrialsGc,
    /// JSON of `vmin data list`
    Data,
    /// Errors of every command with `--errors json`
    Errors,
}

/// The format of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// Comma-separated, with a header line
    Csv,
}

fn protect_help() -> String {
    format!(
        "Protect a memory by a mechanism, as in `[[remedy]] protection`; repeatable. Kinds: {}. Their \
         keys: docs/combinations.md",
        vmin_protection::mechanisms::words()
    )
}

/// The help of a network argument, from the list of formats.
fn model_help() -> String {
    format!("Network: {}", vmin_nn::import::accepted())
}

/// The format of an answer.
#[derive(Clone, Debug, Args)]
pub struct FormatArgs {
    /// Format on standard output
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}

/// Rounding and pixels, in place of the network's own.
#[derive(
    Clone, Debug, PartialEq, Args, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct ArithmeticArgs {
    /// Rounding of sums: `litert-2.3`, `single`, `double`; the network's own if absent
    #[arg(long, value_name = "ROUNDING", value_parser = rounding)]
    #[schemars(with = "Option<String>")]
    pub rounding: Option<vmin_nn::Rounding>,
    /// Pixels as reals: `0..255`, `0..1`, `-1..1`, `{ mean = [..], std = [..] }`; or `codes`
    #[arg(long, value_name = "PIXELS", value_parser = pixels, allow_hyphen_values = true)]
    #[schemars(with = "Option<serde_json::Value>")]
    pub pixels: Option<vmin_nn::Pixels>,
}

fn rounding(word: &str) -> Result<vmin_nn::Rounding, String> {
    let all = vmin_nn::Rounding::ALL;
    let found = all.iter().find(|(known, _)| *known == word).map(|(_, rounding)| *rounding);
    found.ok_or_else(|| format!("expected {}", all.map(|(word, _)| format!("`{word}`")).join(", ")))
}

fn pixels(text: &str) -> Result<vmin_nn::Pixels, String> {
    let expected = format!("expected {}", vmin_nn::Pixels::CHOICES);
    vmin_sweep::typed_pixels(text).map_err(|_| expected)
}

/// Threads and kernel.
#[derive(Clone, Debug, Args)]
pub struct ComputeArgs {
    /// Number of threads; if absent all cores, or SLURM_CPUS_PER_TASK
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub jobs: Option<u16>,
    /// Force a matrix kernel: `generic`, `avx2`, `avx512-vnni`. Results do not depend on it
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Option<String>,
}

/// Options of `vmin sweep`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin sweep                                    the embedded demo into `vmin-out`
  vmin sweep experiment.toml --out results      writes results.json, results.csv, report.html,
                                                manifest.json and the journal
  vmin sweep experiment.toml --out results --resume
                                                continues after Ctrl-C, a crash or a full disk
  vmin sweep experiment.toml --store trials     runs no trial that another sweep has run
  vmin sweep experiment.toml --set chips.count=3 --set memory.profile=sram14-columns
                                                the same experiment but for these keys
  vmin sweep experiment.toml --shard 3/16 --out shards/3 --resume
                                                the third of sixteen parts of the chips; then
                                                `vmin merge` writes the results of all")]
pub struct SweepArgs {
    /// Experiment file; the embedded demo if absent
    pub experiment: Option<PathBuf>,
    /// Another value for a key of the file: `memory.profile=sram14`, `remedy.NAME.vdd_mv=[850]`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Folder for the results; created if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-out")]
    pub out: PathBuf,
    /// Continue the sweep in the folder from its journal
    #[arg(long)]
    pub resume: bool,
    /// Reuse the trials in this folder, and add new ones to it
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Run one shard of the chips, from 1/N to N/N; `auto`: by array task
    #[arg(long, value_name = "I/N", requires = "out", conflicts_with = "format")]
    #[arg(value_parser = shard::parse)]
    pub shard: Option<ShardChoice>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin explore`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin explore                                  an embedded example into `vmin-explore`
  vmin explore --example > space.toml           that example, to start from
  vmin explore space.toml --out designs         writes explore.json, explore.csv, explore.parquet
                                                and explore.html")]
pub struct ExploreArgs {
    /// Design-space file; the embedded example if absent
    pub space: Option<PathBuf>,
    /// Folder for the results; created if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-explore")]
    pub out: PathBuf,
    /// Print the embedded example and stop
    #[arg(long, conflicts_with_all = ["space", "out", "jobs"])]
    pub example: bool,
    /// Number of threads; all cores if absent. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub jobs: Option<u16>,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// TOML file of any kind; the embedded demo experiment if absent
    pub file: Option<PathBuf>,
    /// Another value for a key of the file, as in `vmin sweep`
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin train recipes/shapes-randbet-8bit.toml --out trained
                                  writes model.safetensors, metrics.jsonl and checkpoint.safetensors
  vmin train recipes/shapes-randbet-8bit.toml --out trained --resume
                                  continues after Ctrl-C or a crash, with the same weights
  vmin eval --model trained/model.safetensors --data builtin:shapes --rate 0.01")]
pub struct TrainArgs {
    /// Recipe file
    pub recipe: PathBuf,
    /// Folder for network, metrics and checkpoint; created if absent
    #[arg(long, value_name = "DIR", default_value = "vmin-train")]
    pub out: PathBuf,
    /// Continue from the checkpoint in the folder
    #[arg(long)]
    pub resume: bool,
    /// Use these images in place of the recipe's (see `vmin data list`)
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Number of threads; all cores if absent. Results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub jobs: Option<u16>,
    /// Engine that computes the layers
    #[arg(long, value_enum, default_value_t)]
    pub engine: EngineChoice,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// The engine of a training run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineChoice {
    /// A GPU if present and supported (cargo feature `cuda`), otherwise the processor
    #[default]
    Auto,
    /// The processor
    Cpu,
    /// The first CUDA device
    Cuda,
}

/// Options of `vmin report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Folder of a finished sweep
    pub folder: PathBuf,
}

/// Options of `vmin compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Folders of finished sweeps
    #[arg(required = true, value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Name of each sweep, in folder order; the default is its experiment's
    #[arg(long = "label", value_name = "TEXT")]
    pub labels: Vec<String>,
    /// Write the comparison as one HTML page
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the figure alone as SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Horizontal axis of the SVG figure
    #[arg(long, value_enum, default_value_t)]
    pub over: CompareOver,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// The horizontal axis of a comparison.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum CompareOver {
    /// The swept supply
    #[default]
    Voltage,
    /// The share of faulty cells
    Rate,
}

/// Options of `vmin init`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin init > experiment.toml                 an experiment for `vmin sweep`
  vmin init accelerator --out mine.toml       an accelerator for `--accelerator mine.toml`")]
pub struct InitArgs {
    /// Kind of file
    #[arg(value_parser = file_kinds(), default_value = FileKind::Experiment.word())]
    pub kind: FileKind,
    /// Write to this file, not stdout; an existing file is kept
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The kinds of files by their words.
fn file_kinds() -> impl TypedValueParser<Value = FileKind> {
    let value = |kind: FileKind| PossibleValue::new(kind.word()).help(kind.place());
    PossibleValuesParser::new(FileKind::ALL.map(value))
        .try_map(|word| FileKind::ALL.into_iter().find(|kind| kind.word() == word).ok_or("unknown"))
}

/// Commands of `vmin data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the names that need no file
    List {
        /// Format.
        #[command(flatten)]
        format: FormatArgs,
    },
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        signed(Cli::command()).debug_assert();
    }

    /// Every option of a command and the commands below it, with the words that lead to it.
    fn options(command: &clap::Command, path: &[String]) -> Vec<(Vec<String>, Arg)> {
        let own = command.get_arguments().filter(|arg| arg.get_long().is_some());
        let mut all: Vec<_> = own.map(|arg| (path.to_vec(), arg.clone())).collect();
        for below in command.get_subcommands() {
            let path = [path, &[below.get_name().to_owned()]].concat();
            all.extend(options(below, &path));
        }
        all
    }

    #[test]
    fn help_fits_80_columns() {
        fn check(command: &clap::Command) {
            let mut command = command.clone().term_width(80);
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
                }
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = signed(Cli::command());
        command.build();
        check(&command);
    }

    #[test]
    fn every_kind_of_file_but_costs_has_a_schema() {
        for kind in FileKind::ALL {
            let has = SchemaKind::from_str(kind.word(), false).is_ok();
            assert_eq!(has, kind != FileKind::Costs, "{}", kind.word());
        }
    }

    #[test]
    fn a_command_for_a_kind_leads_to_its_kinds() {
        let tip = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            Cli::read(&words).expect_err("no kind").render().to_string()
        };
        let text = tip(&["vmin", "schema", "sweep"]);
        assert!(text.contains("tip: `experiment` is the file of `vmin sweep`, `results` its JSON"));
        assert!(tip(&["vmin", "init", "explore"]).contains("tip: `space` is the file"));
        assert!(tip(&["vmin", "schema", "report"]).contains("tip: `results` is what"));
        assert!(tip(&["vmin", "schema", "swep"]).contains("tip: `experiment` is the file of"));
        assert!(tip(&["vmin", "init", "explor"]).contains("tip: `space` is the file"));
        // There is a kind of that name.
        assert!(tip(&["vmin", "schema", "explor"]).contains("'explore'"));
    }

    #[test]
    fn every_number_may_be_negative_so_that_its_range_refuses_it() {
        let command = signed(Cli::command());
        let (mut numbers, mut others) = (0, 0);
        for (path, arg) in options(&command, &["vmin".to_owned()]) {
            let option = format!("--{}", arg.get_long().expect("an option"));
            let words = path.iter().map(String::as_str).chain([option.as_str(), "-5"]);
            let parsed = command.clone().try_get_matches_from(words);
            let unknown = parsed.is_err_and(|error| error.kind() == ErrorKind::UnknownArgument);
            let name = arg.get_value_names().unwrap_or_default().first().map_or("", |n| n.as_str());
            // Behind several values a word with a minus is the next option.
            let one = arg.get_num_args().is_none_or(|values| values.max_values() <= 1);
            let is_number =
                matches!(name, "S" | "I" | "R" | "C" | "B" | "V" | "MV" | "P" | "M" | "N")
                    || ["V,", "V|", "A..B", "BITS", "S,D"].iter().any(|of| name.contains(of));
            let is_number = is_number && one;
            assert!(!unknown || !is_number, "{path:?} {option} takes no negative number");
            *(if is_number { &mut numbers } else { &mut others }) += 1;
        }
        assert!(numbers > 40 && others > 40, "{numbers} numbers, {others} others");
    }
}
