//! Arguments of `vmin eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{ComputeArgs, FormatArgs};

/// What faulty cells do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FaultKindArg {
    /// A faulty cell inverts its bit (the papers' model)
    Flip,
    /// A faulty cell holds its preferred value (as silicon does)
    #[value(name = "stuck_at")]
    StuckAt,
}

/// Options of `vmin eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin eval --model builtin:shapes-cnn --data builtin:shapes
  vmin eval --model net.tflite --data cifar10:DIR --images 0..1000 --rate 0.01 --chip-seed 7
  vmin eval --model net.tflite --data cifar10:DIR --vdd-mv 850 --profile sram14 --format json")]
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
    /// Seed of the chip's population, or of a chip file's cells that err with a probability
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub chip_seed: u64,
    /// Index of the chip in the population, or the file of a chip; with `--vdd-mv` one of its voltages
    #[arg(long, value_name = "I|CHIP", default_value = "0", value_parser = chip_choice)]
    pub chip: ChipChoice,
    /// Cell of the chip file's map under the first stored bit; a map smaller than the network is
    /// repeated
    #[arg(long, value_name = "BITS", default_value_t = 0)]
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
    /// Re-quantize the weights to so many bits, 2 to 8 (one bit leaves no step on either side of zero)
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub bits: Option<u8>,
    /// What a faulty cell does; `flip` if absent, for a chip file what its cells were measured to do
    #[arg(long, value_enum, value_name = "KIND")]
    pub fault_kind: Option<FaultKindArg>,
    /// Accelerator whose weight memory holds the network
    #[arg(long, value_name = "ACCELERATOR", default_value = "gemmini-16")]
    pub accelerator: String,
    /// Write image index, label and predicted class of every image to this CSV file
    #[arg(long, value_name = "FILE")]
    pub predictions: Option<PathBuf>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Which chip: one of a population, or one in a file.
#[derive(Clone, Debug)]
pub enum ChipChoice {
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
