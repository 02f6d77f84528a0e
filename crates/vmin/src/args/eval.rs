//! Arguments of `vmin eval`.

use std::path::PathBuf;

use clap::Args;

use super::{ComputeArgs, FormatArgs, OnChipArgs, protect_help};

/// Options that the manifest of a deployment has.
const IN_MANIFEST: [&str; 19] = [
    "model",
    "chip_seed",
    "chip",
    "chip_offset",
    "rate",
    "vdd_mv",
    "profile",
    "bits",
    "rounding",
    "pixels",
    "fault_kind",
    "read_noise_mv",
    "placement",
    "activation_vdd_mv",
    "accumulator_vdd_mv",
    "known",
    "calibration",
    "accelerator",
    "protect",
];

/// Options of `vmin eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin eval --model builtin:shapes-cnn --data builtin:shapes
  vmin eval --model net.tflite --data cifar10:DIR --images 0..1000 --rate 0.01 --chip-seed 7
  vmin eval --model net.tflite --data cifar10:DIR --vdd-mv 850 --profile sram14 --format json
  vmin eval --model net.tflite --data cifar10:DIR --vdd-mv 850 --profile sram14 --chip 0..99 \\
    --placement streamed --activation-vdd-mv same \\
    --protect '{ kind = \"secded\", data_bits = 64 }'
  vmin eval --deployed DIR --data cifar10:DIR         what `vmin deploy` wrote")]
pub struct EvalArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL", required_unless_present = "deployed")]
    pub model: Option<PathBuf>,
    /// Folder of `vmin deploy`, in place of network and chips
    #[arg(long, value_name = "DIR", conflicts_with_all = IN_MANIFEST)]
    pub deployed: Option<PathBuf>,
    /// Images: `cifar10:DIR`, `mnist:DIR`, `fashion-mnist:DIR`, `npz:FILE` or `builtin:NAME`
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Images A (included) to B (not included) of the test set; all if absent
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    pub images: Option<std::ops::Range<usize>>,
    /// Chips, supplies and places.
    #[command(flatten)]
    pub on_chip: OnChipArgs,
    /// Mechanisms of protection, each as a table or a word.
    #[arg(long, alias = "remedy", value_name = "TOML|WORD", help = protect_help())]
    pub protect: Vec<String>,
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

pub(super) fn parse_range(text: &str) -> Result<std::ops::Range<usize>, String> {
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
    fn a_deployment_has_every_option_of_chips() {
        let on_chip = OnChipArgs::augment_args(clap::Command::new("on_chip"));
        for id in on_chip.get_arguments().map(clap::Arg::get_id) {
            assert!(IN_MANIFEST.contains(&id.as_str()), "{id}");
        }
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
