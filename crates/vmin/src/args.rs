//! The command line, in words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Look into a network, or run it on raw inputs
    #[command(subcommand)]
    Model(ModelCommand),
    /// Make and look into chips
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
    /// Draw the report of a finished sweep again
    Report(ReportArgs),
    /// Print a commented experiment file to start from
    Init(InitArgs),
    /// List the image sets, networks, accelerators and profiles at hand
    #[command(subcommand)]
    Data(DataCommand),
    /// Print the JSON Schema of a kind of TOML file
    Schema {
        /// Which kind of file
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
  vmin explore space.toml --out designs         writes explore.json, explore.csv, explore.html")]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FaultKindArg {
    /// A faulty cell inverts its bit (the papers' model)
    Flip,
    /// A faulty cell holds its preferred value (as silicon does)
    #[value(name = "stuck_at")]
    StuckAt,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin eval --model builtin:shapes-cnn --data builtin:shapes
  vmin eval --model net.tflite --data cifar10:DIR --images 0..1000 --rate 0.01 --chip-seed 7
  vmin eval --model net.tflite --data cifar10:DIR --vdd-mv 850 --profile sram14 --format json")]
pub(crate) struct EvalArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Images: `cifar10:DIR`, `mnist:DIR`, `fashion-mnist:DIR`, `npz:FILE` or `builtin:NAME`
    #[arg(long, value_name = "DATA")]
    pub(crate) data: String,
    /// Images A (included) to B (not included) of the test set; all if absent
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub(crate) images: Option<std::ops::Range<usize>>,
    /// Seed of the chip's population
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub(crate) chip_seed: u64,
    /// Index of the chip in the population, or the file of a chip; with `--vdd-mv` one of its voltages
    #[arg(long, value_name = "I|CHIP", default_value = "0", value_parser = chip_choice)]
    pub(crate) chip: ChipChoice,
    /// Cell of the chip file's map under the first stored bit; a map smaller than the network is
    /// repeated
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    pub(crate) chip_offset: u64,
    /// Cell-fault rate, 0 to 0.5
    #[arg(long, value_name = "P", conflicts_with = "vdd_mv")]
    pub(crate) rate: Option<f64>,
    /// Supply voltage of the weight memory, in mV
    #[arg(long, value_name = "V")]
    pub(crate) vdd_mv: Option<f64>,
    /// Voltage profile: a name (see `vmin data list`) or a file
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
    /// Re-quantize the weights to so many bits, 2 to 8 (one bit leaves no step on either side of zero)
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub(crate) bits: Option<u8>,
    /// What a faulty cell does; `flip` if absent, for a chip file what its cells were measured to do
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) fault_kind: Option<FaultKindArg>,
    /// Accelerator whose weight memory holds the network
    #[arg(long, value_name = "ACCELERATOR", default_value = "gemmini-16")]
    pub(crate) accelerator: String,
    /// Write image index, label and predicted class of every image to this CSV file
    #[arg(long, value_name = "FILE")]
    pub(crate) predictions: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Operators, tensors, MACs and quantization of a network
    Inspect {
        /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
        model: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Raw integer outputs of a network for raw integer inputs
    #[command(after_help = "\
Example:
  vmin model run net.tflite --input x.npy --output y.npy --layers layers

The input is an int8 or uint8 array of shape [images, ...]; uint8 values are taken as pixels.")]
    Run {
        /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
        model: String,
        /// Inputs: npy, int8 codes or uint8 pixels, `[images, height, width, channels]`
        #[arg(long, value_name = "X.npy")]
        input: PathBuf,
        /// Where the outputs go: npy, int8, `[images, outputs]`
        #[arg(long, value_name = "Y.npy")]
        output: PathBuf,
        /// Also write every tensor of every image into this folder, one npy each
        #[arg(long, value_name = "DIR")]
        layers: Option<PathBuf>,
        #[command(flatten)]
        compute: ComputeArgs,
    },
    /// Write a network in vmin's own format
    Convert {
        /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
        model: String,
        /// Where it goes (.safetensors)
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Re-quantize the weights to so many bits, 2 to 8 (one bit leaves no step on either side of zero)
        #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
        bits: Option<u8>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChipCommand {
    /// Draw one chip of a population into a file
    #[command(after_help = "\
Example:
  vmin chip sample --profile fpga28-kc705b --seed 1 --rows 512 --columns 16 --banks 890 \\
    --out board.chip")]
    Sample {
        /// Voltage profile: a name (see `vmin data list`) or a file
        #[arg(long, value_name = "PROFILE")]
        profile: String,
        /// Seed of the population
        #[arg(long, value_name = "S")]
        seed: u64,
        /// Index of the chip in the population
        #[arg(long, value_name = "I", default_value_t = 0)]
        chip: u64,
        /// Rows of one bank
        #[arg(long, value_name = "R", default_value_t = 512)]
        rows: u32,
        /// Columns (bits) of one bank
        #[arg(long, value_name = "C", default_value_t = 64)]
        columns: u32,
        /// Banks
        #[arg(long, value_name = "B", default_value_t = 32)]
        banks: u32,
        /// Lowest voltage the chip shall answer for, in mV; the lowest the profile allows if absent
        #[arg(long, value_name = "V")]
        vdd_mv_min: Option<f64>,
        /// Where the chip goes
        #[arg(long, value_name = "CHIP")]
        out: PathBuf,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Make a chip file of maps that others measured, and tell what is in them
    Import(Box<crate::commands::chip::ImportArgs>),
    /// Write a chip's maps as a list, 0/1 files or arrays
    Export(crate::commands::chip::ExportArgs),
    /// Fit a population to measured chips and write it as a voltage profile
    Fit(crate::commands::chip::FitArgs),
    /// Draw the faults of a chip
    Draw(crate::commands::chip::DrawArgs),
    /// Faults and their arrangement at each voltage
    Inspect {
        /// Chip file
        chip: PathBuf,
        /// Voltages to look at, in mV; those stored in the file if absent
        #[arg(long, value_name = "V,V,...", value_delimiter = ',')]
        vdd_mv: Vec<f64>,
        #[command(flatten)]
        format: FormatArgs,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DataflowArg {
    /// Weight stationary
    Ws,
    /// Output stationary
    Os,
    /// Input stationary
    Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CycleModelArg {
    /// Physically consistent
    Causal,
    /// What SCALE-Sim 3.0.0 reports
    #[value(name = "scalesim-v3")]
    ScalesimV3,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin cycles --accelerator gemmini-16 --model builtin:shapes-cnn
  vmin cycles --accelerator gemmini-16 --model net.tflite --dataflow os --format csv
  vmin cycles --accelerator scale.cfg --topology resnet18.csv --reports out
                                              SCALE-Sim's configuration, layers and reports
  vmin cycles --accelerator gemmini-16 --gemm products.csv --batch 8
  vmin cycles --accelerator gemmini-16 --trace 4x4:6x8x8 --trace-out wavefront.svg
  vmin cycles --accelerator gemmini-16 --model net.tflite --report cycles.html")]
pub(crate) struct CyclesArgs {
    /// Accelerator: a name (see `vmin data list`), a file, or a SCALE-Sim configuration (.cfg)
    #[arg(long, value_name = "ACCELERATOR")]
    pub(crate) accelerator: String,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Dataflow; that of the accelerator file if absent
    #[arg(long, value_enum)]
    pub(crate) dataflow: Option<DataflowArg>,
    /// Cycle model; that of the accelerator file if absent
    #[arg(long, value_enum)]
    pub(crate) cycle_model: Option<CycleModelArg>,
    /// Images at once, 1 to 65536
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=65536))]
    pub(crate) batch: u64,
    /// Draw what `--trace` shows into this SVG file
    #[arg(long, value_name = "F.svg", requires = "trace")]
    pub(crate) trace_out: Option<PathBuf>,
    /// Write a page with bars, utilization and roofline to this HTML file
    #[arg(long, value_name = "F.html")]
    pub(crate) report: Option<PathBuf>,
    /// Write SCALE-Sim's three report files into this folder (`scalesim-v3` only)
    #[arg(long, value_name = "DIR")]
    pub(crate) reports: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// What the accelerator is to run.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WorkArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Convolutions: a SCALE-Sim topology (.csv)
    #[arg(long, value_name = "T.csv")]
    pub(crate) topology: Option<String>,
    /// Matrix products: a SCALE-Sim table of M, N, K (.csv)
    #[arg(long, value_name = "T.csv")]
    pub(crate) gemm: Option<String>,
    /// Show the array working cycle by cycle on a tiny product: rows and columns of the array, then
    /// M, N and K; 4x4:6x8x8 if nothing is given
    #[arg(long, value_name = "RxC:MxNxK", num_args = 0..=1, default_missing_value = "4x4:6x8x8", value_parser = parse_trace)]
    pub(crate) trace: Option<[u64; 5]>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  vmin energy --accelerator gemmini-16 --profile sram14 --vdd-mv 850 --model net.tflite")]
pub(crate) struct EnergyArgs {
    /// Accelerator: a name (see `vmin data list`) or a file
    #[arg(long, value_name = "ACCELERATOR")]
    pub(crate) accelerator: String,
    /// Voltage profile: a name or a file
    #[arg(long, value_name = "PROFILE")]
    pub(crate) profile: String,
    /// Supply voltage of the lowered rails, in mV: one, a list `900,850`, or `1000..700:25`
    #[arg(long, value_name = "V", value_parser = parse_voltages)]
    pub(crate) vdd_mv: Voltages,
    /// Which supplies are lowered; all others stay nominal
    #[arg(long, value_enum, default_value_t, value_name = "RAILS")]
    pub(crate) rails: RailsArg,
    /// A rail at a voltage of its own: `logic`, `weight`, `activation`, `accumulator` or `io`, in mV
    #[arg(long, value_name = "RAIL=MV", value_parser = parse_rail)]
    pub(crate) rail: Vec<(vmin_accel::energy::Rail, f64)>,
    /// What the clock does at lower voltages
    #[arg(long, value_enum, default_value_t, value_name = "CLOCK")]
    pub(crate) clock: ClockArg,
    /// Take energies from an energy reference table of Accelergy (YAML)
    #[arg(long, value_name = "FILE")]
    pub(crate) ert: Option<PathBuf>,
    /// What a component of that table is here: `mac`, `vector_unit`, `pe_register_bit`,
    /// `weight_memory`, `activation_memory`, `accumulator_memory`, `dram` or `ignore`
    #[arg(long, value_name = "NAME=COMPONENT", value_parser = parse_pair, requires = "ert")]
    pub(crate) ert_map: Vec<(String, String)>,
    /// Write the accelerator's energies as an energy reference table
    #[arg(long, value_name = "FILE")]
    pub(crate) export_ert: Option<PathBuf>,
    /// Write the accelerator's area as an area reference table
    #[arg(long, value_name = "FILE")]
    pub(crate) export_art: Option<PathBuf>,
    /// Write a page with pictures
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
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
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folder of a finished sweep
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write to this file instead of standard output; an existing file is kept
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// What can be named on the command line without a file
    List {
        #[command(flatten)]
        format: FormatArgs,
    },
}

/// `RxC:MxNxK` as `[R, C, M, N, K]`.
fn parse_trace(text: &str) -> Result<[u64; 5], String> {
    let read = || {
        let (array, product) = text.split_once(':')?;
        let (rows, columns) = array.split_once('x')?;
        let (m, rest) = product.split_once('x')?;
        let (n, k) = rest.split_once('x')?;
        let mut sizes = [0; 5];
        for (size, text) in sizes.iter_mut().zip([rows, columns, m, n, k]) {
            *size = text.parse().ok()?;
        }
        Some(sizes)
    };
    let [sides @ .., _, _, _] = read().ok_or("expected RxC:MxNxK, for instance 4x4:6x8x8")?;
    if sides.iter().any(|side| !(1..=32).contains(side)) {
        return Err("an array of 1 x 1 to 32 x 32 can be drawn".to_owned());
    }
    let sizes = read().unwrap_or_default();
    if sizes[2..].iter().any(|size| !(1..=256).contains(size)) {
        return Err("M, N and K must lie between 1 and 256".to_owned());
    }
    Ok(sizes)
}

/// Which chip: one of a population, or one in a file.
#[derive(Clone, Debug)]
pub(crate) enum ChipChoice {
    /// Index in the population.
    Index(u64),
    /// A chip file.
    File(PathBuf),
}

/// Whole numbers are indices; a file of such a name is told as `./7`.
fn chip_choice(text: &str) -> Result<ChipChoice, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(ChipChoice::Index).map_err(|error| error.to_string());
    }
    Ok(ChipChoice::File(PathBuf::from(text)))
}

fn parse_range(text: &str) -> Result<std::ops::Range<usize>, String> {
    let expected = "expected A..B with A < B, for instance 0..1000";
    let (first, last) = text.split_once("..").ok_or(expected)?;
    let first = if first.is_empty() { Ok(0) } else { first.parse::<usize>() };
    match (first, last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first < last => Ok(first..last),
        _ => Err(expected.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_of_images() {
        assert_eq!(parse_range("5..10"), Ok(5..10));
        assert_eq!(parse_range("..10"), Ok(0..10));
        for wrong in ["10..5", "5", "a..b", "5..", "-1..3", "3..3"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }
}

/// Supplies that follow the voltage asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RailsArg {
    /// The weight memory's
    #[default]
    Weight,
    /// Those of the three on-chip memories
    Memories,
    /// Memories and logic
    Chip,
}

/// What the clock does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClockArg {
    /// As fast as the profile allows
    #[default]
    Follows,
    /// Nominal at every voltage, as in the papers
    Fixed,
}

/// One or more voltages, in mV.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Voltages(pub(crate) Vec<f64>);

/// Most voltages of one call.
const VOLTAGES_MAX: usize = 10_000;

fn parse_voltages(text: &str) -> Result<Voltages, String> {
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite() && *value > 0.0)
            .ok_or_else(|| format!("`{text}` is not a voltage in mV"))
    };
    let Some((ends, step)) = text.split_once(':') else {
        if text.contains("..") {
            return Err("a range needs a step, as in `1000..700:25`".to_owned());
        }
        return Ok(Voltages(text.split(',').map(number).collect::<Result<_, _>>()?));
    };
    let (from, to) =
        ends.split_once("..").ok_or("expected `FROM..TO:STEP`, as in `1000..700:25`")?;
    let (from, to, step) = (number(from)?, number(to)?, number(step)?);
    let intervals = (from - to).abs() / step;
    if intervals >= VOLTAGES_MAX as f64 {
        return Err(format!("more than {VOLTAGES_MAX} voltages"));
    }
    if (intervals - intervals.round()).abs() > 1e-6 {
        return Err(format!("steps of {step} mV do not lead from {from} to {to} mV"));
    }
    let direction = if from <= to { step } else { -step };
    let count = intervals.round() as usize;
    // Whole microvolts, so that 900 - 3 * 0.1 reads 899.7.
    let at = |index: usize| ((from + direction * index as f64) * 1000.0).round() / 1000.0;
    Ok(Voltages((0..=count).map(at).collect()))
}

fn parse_rail(text: &str) -> Result<(vmin_accel::energy::Rail, f64), String> {
    let (name, voltage) = parse_pair(text)?;
    let rails = vmin_accel::energy::Rail::ALL;
    let rail =
        rails.iter().find(|(word, _)| *word == name).map(|(_, rail)| *rail).ok_or_else(|| {
            let words = vmin_diagnostic::list_words(rails.iter().map(|(word, _)| *word));
            format!("no rail is called `{name}`, expected {words}")
        })?;
    match parse_voltages(&voltage)?.0[..] {
        [voltage] => Ok((rail, voltage)),
        _ => Err("a rail of its own has one voltage".to_owned()),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err("expected `NAME=VALUE`".to_owned()),
    }
}
