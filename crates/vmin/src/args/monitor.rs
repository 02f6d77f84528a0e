//! Arguments of `vmin monitor`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::energy::{Voltages, parse_voltages};
use super::{ComputeArgs, FormatArgs, OnChipArgs, protect_help};

/// Options of `vmin monitor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin monitor --model builtin:shapes-normal-8bit --data builtin:shapes --profile sram14 \\
    --vdd-mv 1000..840:20 --chip 0..49 --report monitor.html
  vmin monitor --model net.tflite --data cifar10:DIR --chip 'lot/*.chip'

Rejected images are those whose confidence is below a threshold, which held-out images
without bit errors set. Rejections, which need no labels, are compared with the error
of the accepted images, and steer a simulated supply: the canary. Chip files without
--vdd-mv are read at the voltages that all of them have.")]
pub struct MonitorArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Images: `cifar10:DIR`, `mnist:DIR`, `fashion-mnist:DIR`, `npz:FILE` or `builtin:NAME`
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Evaluated test images A (included) to B; all not held out if absent
    #[arg(long, value_name = "A..B", value_parser = super::eval::parse_range)]
    pub images: Option<std::ops::Range<usize>>,
    /// Last test images, held out to set the threshold
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub held_out: usize,
    /// Chips, supplies and places.
    #[command(flatten)]
    pub on_chip: SweptArgs,
    /// Mechanisms of protection, each as a table or a word.
    #[arg(long, alias = "remedy", value_name = "TOML|WORD", help = protect_help())]
    pub protect: Vec<String>,
    /// Share of right held-out images that the threshold accepts
    #[arg(long, value_name = "P", default_value_t = 0.99, value_parser = share)]
    pub tpr: f64,
    /// Budget: error added among accepted images, in percentage points
    #[arg(long, value_name = "P", default_value_t = 1.0, value_parser = points)]
    pub accuracy_loss_max_pct: f64,
    /// Budget of fixed supplies: rejections added, in percentage points
    #[arg(long, value_name = "P", default_value_t = 10.0, value_parser = points)]
    pub rejections_max_pct: f64,
    /// Confidence of tests and intervals, in percent
    #[arg(long, value_name = "P", default_value_t = 95.0, value_parser = percent)]
    pub confidence_pct: f64,
    /// Images of a window of the canary
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub window: u32,
    /// Windows that the canary follows on each chip
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub windows: u32,
    /// Most false alarms of the canary, as a share of windows
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = share)]
    pub false_alarm: f64,
    /// Calm windows in a row before the canary lowers the supply
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub patience: u32,
    /// Seed of the canary's sequence of images
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = super::whole)]
    pub canary_seed: u64,
    /// Write a page with figures to this HTML file
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// [`OnChipArgs`] with several supplies of the weight memory.
#[derive(Clone, Debug)]
pub struct SweptArgs {
    /// All but the supplies.
    pub on_chip: OnChipArgs,
    /// The supplies, in mV, as they were typed; none if left out.
    pub vdd_mv: Option<Voltages>,
}

/// The option of the supplies.
const VDD_MV: &str = "vdd_mv";

fn with_several(command: Command) -> Command {
    let several = |arg: Arg| {
        arg.value_parser(parse_voltages)
            .help("Supplies of the weight memory, in mV: `900,850` or `1000..700:25`")
    };
    // A rate is no supply, and there are several.
    command.mut_arg(VDD_MV, several).mut_arg("rate", |arg| arg.hide(true))
}

impl Args for SweptArgs {
    fn augment_args(command: Command) -> Command {
        with_several(OnChipArgs::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        with_several(OnChipArgs::augment_args_for_update(command))
    }
}

impl FromArgMatches for SweptArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches_mut(&mut matches.clone())
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, clap::Error> {
        let vdd_mv = matches.remove_one::<Voltages>(VDD_MV);
        Ok(Self { on_chip: OnChipArgs::from_arg_matches_mut(matches)?, vdd_mv })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn number(text: &str, allowed: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&value| allowed(value)).ok_or_else(|| expected.to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1.0, "expected a share above 0, up to 1")
}

fn points(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=100.0).contains(&value), "expected 0 to 100 percentage points")
}

fn percent(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value < 100.0, "expected a value above 0 and below 100")
}
