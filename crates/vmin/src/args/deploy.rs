//! Arguments of `vmin deploy`.

use std::path::PathBuf;

use clap::Args;

use super::eval::parse_range;
use super::{ComputeArgs, FormatArgs, OnChipArgs, model_help, protect_help};

/// Options of `vmin deploy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin deploy builtin:shapes-cnn --profile sram14 --vdd-mv 850 --fault-kind stuck_at \\
    --data builtin:shapes --out deployed
  vmin deploy net.tflite --chip 'lot/*.chip' --vdd-mv 850 --remedy closest_code --masks --out lot-850
  vmin eval --deployed deployed --data builtin:shapes        the same error, to the bit")]
pub struct DeployArgs {
    /// Network
    #[arg(value_name = "MODEL", help = model_help())]
    pub model: String,
    /// Folder of the deployment; an older deployment is replaced
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Images for errors and yield (see `vmin data list`)
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Images A (included) to B (not included) of the test set; all if absent
    #[arg(long, value_name = "A..B", value_parser = parse_range, requires = "data")]
    pub images: Option<std::ops::Range<usize>>,
    /// Chips, supplies and places.
    #[command(flatten)]
    pub on_chip: OnChipArgs,
    /// Mechanisms; `invert_rows` and `closest_code` if absent.
    #[arg(long, alias = "protect", value_name = "TOML|WORD", help = format!("{}. `invert_rows` and `closest_code` if absent", protect_help()))]
    pub remedy: Vec<String>,
    /// Table of the remedies' prices: a shipped name or a file
    #[arg(long, value_name = "COSTS", default_value = "estimates")]
    pub costs: String,
    /// Points of accuracy that a chip may lose, for the yield
    #[arg(long, value_name = "PCT", default_value_t = 1.0, value_parser = budget_pct)]
    pub budget_pct: f64,
    /// Also write faulty cells, masks and codes as read (CSV, .npy)
    #[arg(long)]
    pub masks: bool,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

fn budget_pct(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|pct| (0.0..=100.0).contains(pct));
    value.ok_or_else(|| "expected 0 to 100 points".to_owned())
}
