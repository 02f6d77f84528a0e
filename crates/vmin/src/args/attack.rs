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
    /// Pixels of each image, within a ball
    Images,
    /// A square of free pixels in each image
    Patch,
}

impl AttackKind {
    /// The searches that it has.
    pub(crate) const fn methods(self) -> &'static [AttackMethod] {
        use AttackMethod::{FirstOrder, Pgd, Progressive, Random, RandomSearch, Squares};
        match self {
            Self::Bits => &[Pgd, Progressive, FirstOrder, Random],
            Self::Images => &[Pgd, RandomSearch, Squares],
            Self::Patch => &[Pgd, RandomSearch],
        }
    }
}

/// A search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum AttackMethod {
    /// Projected gradients with restarts
    Pgd,
    /// Bits: progressive bit search (BFA), one after the other
    Progressive,
    /// Bits: the best of one gradient
    FirstOrder,
    /// Bits: at random
    Random,
    /// Pixels: random changes of the chip's images, as a black box
    RandomSearch,
    /// Images: random squares on the chip, as a black box
    Squares,
}

impl AttackMethod {
    /// Its word.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Pgd => "pgd",
            Self::Progressive => "progressive",
            Self::FirstOrder => "first_order",
            Self::Random => "random",
            Self::RandomSearch => "random_search",
            Self::Squares => "squares",
        }
    }
}

/// How the size of a change is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormArg {
    /// Largest change of a value, of the range of pixels
    Linf,
    /// Root of the sum of squares
    L2,
    /// Sum of magnitudes
    L1,
    /// Number of changed pixels
    L0,
}

/// What an attack on pixels raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum ObjectiveArg {
    /// Cross-entropy of the label
    CrossEntropy,
    /// Confidence of the most confident wrong class
    #[default]
    Confidence,
}

/// Moves of a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MovesArg {
    /// Stays at its random place
    None,
    /// Tries one random direction a step
    Random,
    /// Tries all four directions a step
    #[default]
    Full,
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
    --rate 0.01 --fault-kind stuck_at          RowHammer: 1 % of the cells, four rows
  vmin attack --kind images --model net.tflite --data cifar10:DIR --norm linf,l2 --method pgd,squares \\
    --vdd-mv 850 --profile sram14              pixels, through a chip at 850 mV
  vmin attack --kind patch --model net.tflite --data cifar10:DIR --patch-side 8 --moves full")]
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
    /// Test images A..B that count; bits: 9,000 if absent, pixels: 500
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub images: Option<Range<usize>>,
    /// Searches to run
    #[arg(
        long,
        value_enum,
        value_name = "METHOD,..",
        value_delimiter = ',',
        default_value = "pgd"
    )]
    pub method: Vec<AttackMethod>,
    /// Runs of `pgd` and `random`, the worst counts; 8, pixels: 5
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub restarts: Option<u32>,
    /// Steps of each run of `pgd`; bits: 20, images: 40, patches: 50
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub iterations: Option<u32>,
    /// Drive all images to this class; any error if absent
    #[arg(long, value_name = "CLASS")]
    pub target: Option<u8>,
    /// Seed of random choices
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = whole)]
    pub seed: u64,
    /// Folder for what was found: chips and a list, or images
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Page with figures, an HTML file
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
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
    /// Bits.
    #[command(flatten)]
    pub bits: BitArgs,
    /// Pixels.
    #[command(flatten)]
    pub pixels: PixelArgs,
}

/// Options of an attack on bits.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Bits")]
pub struct BitArgs {
    /// Most wrong bits, at most one in each weight; 320 if absent
    #[arg(long, value_name = "K,..", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub flips: Vec<u32>,
    /// Images by which the attack chooses: the last; 100 if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub attack_images: Option<u32>,
    /// Bits in reach; `faulty` needs a supply
    #[arg(long, value_enum, value_name = "REACH")]
    pub reach: Option<Reach>,
    /// Only bits in this bank of the weight memory
    #[arg(long, value_name = "BANK")]
    pub bank: Option<u32>,
    /// Only bits in this row of the bank
    #[arg(long, value_name = "ROW", requires = "bank")]
    pub row: Option<u32>,
    /// Only bits in so many rows, which the attack chooses
    #[arg(long, value_name = "N", conflicts_with = "row", value_parser = clap::value_parser!(u32).range(1..))]
    pub rows_max: Option<u32>,
}

/// Options of an attack on pixels.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Pixels")]
pub struct PixelArgs {
    /// Norms in which changes are bounded; `linf` if absent
    #[arg(long, value_enum, value_name = "NORM,..", value_delimiter = ',')]
    pub norm: Vec<NormArg>,
    /// Size of changes; the usual one of the norm if absent
    #[arg(long, value_name = "E", value_parser = epsilon)]
    pub epsilon: Option<f64>,
    /// What is raised; `confidence` if absent
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "target")]
    pub objective: Option<ObjectiveArg>,
    /// Questions of a black-box search for each image; 500 if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub queries: Option<u32>,
    /// Last images, which set the threshold of confidence; 1,000 if absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub held_out: Option<u32>,
    /// Side of the patch in pixels; 8 if absent
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub patch_side: Option<u32>,
    /// Side of the centre that patches leave free; 10 where possible
    #[arg(long, value_name = "PIXELS")]
    pub centre: Option<u32>,
    /// Moves of the patch; `full` if absent
    #[arg(long, value_enum, value_name = "MOVES")]
    pub moves: Option<MovesArg>,
    /// Pixels of a move; 2 if absent
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub stride: Option<u32>,
}

impl BitArgs {
    /// Most wrong bits, of each attack.
    pub(crate) fn counts(&self) -> Vec<usize> {
        let mut counts: Vec<usize> = self.flips.iter().map(|&k| k as usize).collect();
        if counts.is_empty() {
            counts.push(320);
        }
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// The first option that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let given = [
            (!self.flips.is_empty(), "--flips"),
            (self.attack_images.is_some(), "--attack-images"),
            (self.reach.is_some(), "--reach"),
            (self.bank.is_some(), "--bank"),
            (self.rows_max.is_some(), "--rows-max"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }
}

impl PixelArgs {
    /// The first option that is given and means nothing to a kind.
    pub(crate) fn unused(&self, kind: AttackKind) -> Option<&'static str> {
        let (ball, patch) = (kind == AttackKind::Images, kind == AttackKind::Patch);
        let given = [
            (!self.norm.is_empty() && !ball, "--norm"),
            (self.epsilon.is_some() && !ball, "--epsilon"),
            (self.objective.is_some() && !ball && !patch, "--objective"),
            (self.queries.is_some() && !ball && !patch, "--queries"),
            (self.held_out.is_some() && !ball && !patch, "--held-out"),
            (self.patch_side.is_some() && !patch, "--patch-side"),
            (self.centre.is_some() && !patch, "--centre"),
            (self.moves.is_some() && !patch, "--moves"),
            (self.stride.is_some() && !patch, "--stride"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }
}

fn epsilon(text: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|size: &f64| size.is_finite() && *size > 0.0);
    value.ok_or_else(|| "expected a size above 0, pixels being 0 to 1".to_owned())
}
