//! Arguments of `vmin model`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ComputeArgs, FormatArgs};

/// What `vmin model` does.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Operators, tensors, MACs and quantization of a network
    Inspect(InspectArgs),
    /// Raw integer outputs of a network for raw integer inputs
    Run(RunArgs),
    /// Write a network in vmin's own format
    Convert(ConvertArgs),
}

/// Options of `vmin model inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    pub model: String,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin model run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  vmin model run net.tflite --input x.npy --output y.npy --layers layers

The input is an int8 or uint8 array of shape [images, ...]; uint8 values are taken as pixels.")]
pub struct RunArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    pub model: String,
    /// Inputs: npy, int8 codes or uint8 pixels, `[images, height, width, channels]`
    #[arg(long, value_name = "X.npy")]
    pub input: PathBuf,
    /// Where the outputs go: npy, int8, `[images, outputs]`
    #[arg(long, value_name = "Y.npy")]
    pub output: PathBuf,
    /// Also write every tensor of every image into this folder, one npy each
    #[arg(long, value_name = "DIR")]
    pub layers: Option<PathBuf>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Options of `vmin model convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    pub model: String,
    /// Where it goes (.safetensors)
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Re-quantize the weights to so many bits, 2 to 8 (one bit leaves no step on either side of zero)
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub bits: Option<u8>,
}
