//! Arguments of `vmin attack`.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use super::eval::parse_range;
use super::{ComputeArgs, FormatArgs, OnChipArgs, model_help, protect_help, whole};

/// What an attack changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttackKind {
    /// Stored bits of the weights
    #[default]
    Bits,
}

/// A search for bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum BitMethod {
    /// Projected gradients with restarts
    Pgd,
    /// Progressive bit search (BFA), one bit after the other
    Progressive,
    /// The best bits of one gradient
    FirstOrder,
    /// Random bits
    Random,
}

impl BitMethod {
    /// Its word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Pgd => "pgd",
            Self::Progressive => "progressive",
            Self::FirstOrder => "first_order",
            Self::Random => "random",
        }
    }
}

/// The bits that an attack can flip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// All stored bits
    #[default]
    Any,
    /// Bits in cells that are faulty at this supply
    Faulty,
}

/// Options of `vmin attack`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin attack --model builtin:shapes-cnn --data builtin:shapes --flips 5,20,80
  vmin attack --model net.tflite --data cifar10:DIR --flips 320 --method pgd,progressive --out flips
  vmin eval --model net.tflite --data cifar10:DIR --chip flips/pgd-320.chip --vdd-mv 900
  vmin attack --model net.tflite --data cifar10:DIR --flips 50 --reach faulty --rows-max 4 \\
    --rate 0.01 --fault-kind stuck_at          RowHammer: 1 % of the cells, four rows")]
pub struct AttackArgs {
    /// What to attack
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub kind: AttackKind,
    /// Network
    #[arg(long, value_name = "MODEL", help = model_help())]
    pub model: String,
    /// Images (see `vmin data list`)
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Test images A..B that count; the first 9,000 others if absent
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub images: Option<Range<usize>>,
    /// Images by which the attack chooses: the last of the test set
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub attack_images: u32,
    /// Most wrong bits, at most one in each weight; a list is a curve
    #[arg(long, value_name = "K,..", value_delimiter = ',', default_value = "320", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub flips: Vec<u32>,
    /// Searches to run
    #[arg(
        long,
        value_enum,
        value_name = "METHOD,..",
        value_delimiter = ',',
        default_value = "pgd"
    )]
    pub method: Vec<BitMethod>,
    /// Runs of `pgd` and `random`; the worst one counts
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub restarts: u32,
    /// Steps of each run of `pgd`
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub iterations: u32,
    /// Drive all images to this class; any error if absent
    #[arg(long, value_name = "CLASS")]
    pub target: Option<u8>,
    /// Seed of random choices
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = whole)]
    pub seed: u64,
    /// Bits in reach; `faulty` needs a supply
    #[arg(long, value_enum, default_value_t, value_name = "REACH")]
    pub reach: Reach,
    /// Only bits in this bank of the weight memory
    #[arg(long, value_name = "BANK")]
    pub bank: Option<u32>,
    /// Only bits in this row of the bank
    #[arg(long, value_name = "ROW", requires = "bank")]
    pub row: Option<u32>,
    /// Only bits in so many rows, which the attack chooses
    #[arg(long, value_name = "N", conflicts_with = "row", value_parser = clap::value_parser!(u32).range(1..))]
    pub rows_max: Option<u32>,
    /// Folder for wrong bits: chip files and a CSV list
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Chips, supplies and places.
    #[command(flatten)]
    pub on_chip: OnChipArgs,
    /// Mechanisms of protection, each as a table or a word.
    #[arg(long, alias = "remedy", value_name = "TOML|WORD", help = protect_help())]
    pub protect: Vec<String>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}
