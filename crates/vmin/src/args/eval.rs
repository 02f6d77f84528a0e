//! Arguments of `vmin eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ArithmeticArgs, ComputeArgs, FormatArgs, read_noise_mv, whole};

/// An effect of faulty cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FaultKindArg {
    /// A faulty cell inverts its bit (the papers' model)
    Flip,
    /// A faulty cell holds its preferred value (as silicon does)
    #[value(name = "stuck_at")]
    StuckAt,
    /// Any bit can err, anew for every image and layer
    Transient,
}

impl FaultKindArg {
    /// The word of transient errors in answers.
    pub(crate) const TRANSIENT: &'static str = vmin_sweep::ReadErrors::Transient.word();
}

/// A placement of the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PlacementArg {
    /// All weights lie in the weight memory at fixed addresses
    #[default]
    Resident,
    /// Tiles of weights pass through the accelerator's weight memory
    Streamed,
}

/// The supply of a memory beside that of the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemorySupply {
    /// That of the weight memory.
    Same,
    /// This voltage, in mV.
    Mv(f64),
}

fn memory_supply(text: &str) -> Result<MemorySupply, String> {
    if text == "same" {
        return Ok(MemorySupply::Same);
    }
    let mv = text.parse().ok().filter(|mv: &f64| mv.is_finite() && *mv > 0.0);
    mv.map(MemorySupply::Mv).ok_or_else(|| "expected a voltage in mV, or `same`".to_owned())
}

fn protect_help() -> String {
    format!(
        "Protect a memory by a mechanism, as in `[[remedy]] protection`; repeatable. Kinds: {}. Their \
         keys: docs/combinations.md",
        vmin_protection::mechanisms::words()
    )
}

/// Options of `vmin eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin eval --model builtin:shapes-cnn --data builtin:shapes
  vmin eval --model net.tflite --data cifar10:DIR --images 0..1000 --rate 0.01 --chip-seed 7
  vmin eval --model net.tflite --data cifar10:DIR --vdd-mv 850 --profile sram14 --format json
  vmin eval --model net.tflite --data cifar10:DIR --vdd-mv 850 --profile sram14 --chip 0..99 \\
    --placement streamed --activation-vdd-mv same \\
    --protect '{ kind = \"secded\", data_bits = 64 }'")]
pub struct EvalArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Images: `cifar10:DIR`, `mnist:DIR`, `fashion-mnist:DIR`, `npz:FILE` or `builtin:NAME`
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Images A (included) to B (not included) of the test set; all if absent
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub images: Option<std::ops::Range<usize>>,
    /// Seed of the chips, or of a chip file's uncertain cells
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = whole)]
    pub chip_seed: u64,
    /// Chips: number, range `0..99` (last included), file, or pattern `lot/*.chip`
    #[arg(long, value_name = "I|A..B|CHIP", default_value = "0", value_parser = chip_choice)]
    pub chip: ChipChoice,
    /// Cell of the chip file's map under the first stored bit. A map smaller than the memory is
    /// repeated
    #[arg(long, value_name = "BITS", default_value_t = 0, value_parser = whole)]
    pub chip_offset: u64,
    /// Cell-fault rate, 0 to 0.5
    #[arg(long, value_name = "P", conflicts_with = "vdd_mv")]
    pub rate: Option<f64>,
    /// Supply voltage of the weight memory, in mV
    #[arg(long, value_name = "V")]
    pub vdd_mv: Option<f64>,
    /// Voltage profile: a name (see `vmin data list`) or a file
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Re-quantize the weights to this number of bits, 2 to 8
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub bits: Option<u8>,
    /// Rounding and pixels.
    #[command(flatten)]
    pub arithmetic: ArithmeticArgs,
    /// Effect of a faulty cell; the profile's or chip's if absent
    #[arg(long, value_enum, value_name = "KIND")]
    pub fault_kind: Option<FaultKindArg>,
    /// Add read noise: sigma of each cell's critical voltage, in mV
    #[arg(long, value_name = "MV", requires = "vdd_mv", value_parser = read_noise_mv)]
    pub read_noise_mv: Option<f64>,
    /// Placement of the weights in their memory
    #[arg(long, value_enum, default_value_t, value_name = "PLACEMENT")]
    pub placement: PlacementArg,
    /// Lower the activation memory too: supply in mV, or `same`
    #[arg(long, value_name = "V|same", value_parser = memory_supply)]
    pub activation_vdd_mv: Option<MemorySupply>,
    /// Lower the accumulator memory too: supply in mV, or `same`
    #[arg(long, value_name = "V|same", value_parser = memory_supply)]
    pub accumulator_vdd_mv: Option<MemorySupply>,
    /// Mechanisms of protection, each as a table.
    #[arg(long, value_name = "TOML", help = protect_help())]
    pub protect: Vec<String>,
    /// Map from which mechanisms decide, as `known` in `[[remedy]]`
    #[arg(long, value_name = "TOML", requires = "protect")]
    pub known: Option<String>,
    /// Set whose training images calibrate mechanisms; that of `--data` if absent
    #[arg(long, value_name = "DATA", requires = "protect")]
    pub calibration: Option<String>,
    /// Accelerator whose weight memory holds the network
    #[arg(long, value_name = "ACCELERATOR", default_value = "gemmini-16")]
    pub accelerator: String,
    /// Write index, label and class of every image to this CSV file
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Chips of a population, or one in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChipChoice {
    /// Number in the population.
    Index(u32),
    /// Numbers in the population.
    Range(std::ops::Range<u32>),
    /// A chip file, or a pattern of several.
    File(PathBuf),
}

/// Most chips of one call.
const CHIPS_MAX: u32 = 1_000_000;

/// Whole numbers are chips of a population; a file with such a name is given as `./7`.
fn chip_choice(text: &str) -> Result<ChipChoice, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(ChipChoice::Index).map_err(|error| error.to_string());
    }
    if let Some((first, last)) = text.split_once("..")
        && let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
    {
        return match last.checked_add(1).filter(|&end| first < end && end - first <= CHIPS_MAX) {
            Some(end) => Ok(ChipChoice::Range(first..end)),
            None => Err(format!("expected A..B with A <= B and at most {CHIPS_MAX} chips")),
        };
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
    use super::*;

    #[test]
    fn ranges_of_images() {
        assert_eq!(parse_range("5..10"), Ok(5..10));
        assert_eq!(parse_range("..10"), Ok(0..10));
        for wrong in ["10..5", "5", "a..b", "5..", "-1..3", "3..3"] {
            assert!(parse_range(wrong).is_err(), "{wrong}");
        }
    }
}
