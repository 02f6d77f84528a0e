//! Arguments of `vmin model`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ArithmeticArgs, ComputeArgs, FormatArgs};

/// What `vmin model` does.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// List the operators, tensors, MACs and quantization of a network
    Inspect(InspectArgs),
    /// Run a network on raw integer inputs and save its outputs
    Run(RunArgs),
    /// Convert a network to vmin's own format
    Convert(ConvertArgs),
}

/// Options of `vmin model inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Network: a file or `builtin:NAME`.
    #[arg(help = super::model_help())]
    pub model: PathBuf,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// Options of `vmin model run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  vmin model run net.tflite --input x.npy --output y.npy --layers layers

The input is an int8 or uint8 array of shape [images, ...]; uint8 values are pixels.")]
pub struct RunArgs {
    /// Network: a file or `builtin:NAME`.
    #[arg(help = super::model_help())]
    pub model: PathBuf,
    /// Input npy array: int8 codes or uint8 pixels, `[images, height, width, channels]`
    #[arg(long, value_name = "X.npy")]
    pub input: PathBuf,
    /// Output npy array: int8, `[images, outputs]`
    #[arg(long, value_name = "Y.npy")]
    pub output: PathBuf,
    /// Rounding and pixels.
    #[command(flatten)]
    pub arithmetic: ArithmeticArgs,
    /// Also save every activation tensor to this folder, one npy each
    #[arg(long, value_name = "DIR")]
    pub layers: Option<PathBuf>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Options of `vmin model convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// Network: a file or `builtin:NAME`.
    #[arg(help = super::model_help())]
    pub model: PathBuf,
    /// Output file (.safetensors)
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Rounding and pixels.
    #[command(flatten)]
    pub arithmetic: ArithmeticArgs,
    /// Quantize the weights again to this number of bits, 2 to 8
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
    pub bits: Option<u8>,
}
