//! Arguments of `vmin flatness`.

use std::ops::Range;
use std::path::PathBuf;

use clap::Args;

use super::eval::parse_range;
use super::{ComputeArgs, FormatArgs, model_help, whole};

/// Options of `vmin flatness`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin flatness builtin:shapes-rquant-8bit builtin:shapes-randbet-8bit --data builtin:shapes
  vmin flatness models/cifar10-*.safetensors --data cifar10:DIR --rate 0.001,0.01 --chips 20")]
pub struct FlatnessArgs {
    /// Networks to compare
    #[arg(value_name = "MODEL", required = true, num_args = 1.., help = model_help())]
    pub models: Vec<String>,
    /// Images (see `vmin data list`)
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Images A (included) to B (not included) of the test set
    #[arg(long, value_name = "A..B", value_parser = parse_range, default_value = "0..1000")]
    pub images: Range<usize>,
    /// Rates of wrong bits whose noise is tried, 0 to 0.5
    #[arg(long, value_name = "P,..", value_delimiter = ',', default_value = "0.01", value_parser = rate)]
    pub rate: Vec<f64>,
    /// Relative size of random moves of each weight tensor
    #[arg(long, value_name = "XI", default_value_t = 0.5, value_parser = xi)]
    pub xi: f64,
    /// Random moves of each size
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    pub samples: u32,
    /// Relative size of the worst move of each weight tensor
    #[arg(long, value_name = "XI", default_value_t = 0.003, value_parser = xi)]
    pub worst_xi: f64,
    /// Steps of each ascent to the worst move
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub worst_steps: u32,
    /// Ascents; 0 leaves the worst move out
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub restarts: u32,
    /// Also measure errors on so many chips, and the correlation
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub chips: u32,
    /// Seed of moves and chips
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = whole)]
    pub seed: u64,
    /// Page with figures, an HTML file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|rate: &f64| (0.0..=0.5).contains(rate));
    value.ok_or_else(|| "expected a rate of 0 to 0.5".to_owned())
}

fn xi(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|xi: &f64| (0.0..=100.0).contains(xi));
    value.ok_or_else(|| "expected a relative size of 0 to 100".to_owned())
}
