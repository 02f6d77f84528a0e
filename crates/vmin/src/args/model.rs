//! Arguments of `vmin model`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{ComputeArgs, FormatArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the operators, tensors, MACs and quantization of a network
    Inspect {
        #[arg(help = super::model_help())]
        model: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Run a network on raw integer inputs and save its outputs
    #[command(after_help = "\
Example:
  vmin model run net.tflite --input x.npy --output y.npy --layers layers

The input is an int8 or uint8 array of shape [images, ...]; uint8 values are pixels.")]
    Run {
        #[arg(help = super::model_help())]
        model: String,
        /// Input npy array: int8 codes or uint8 pixels, `[images, height, width, channels]`
        #[arg(long, value_name = "X.npy")]
        input: PathBuf,
        /// Output npy array: int8, `[images, outputs]`
        #[arg(long, value_name = "Y.npy")]
        output: PathBuf,
        /// Also save every activation tensor to this folder, one npy each
        #[arg(long, value_name = "DIR")]
        layers: Option<PathBuf>,
        #[command(flatten)]
        compute: ComputeArgs,
    },
    /// Convert a network to vmin's own format
    Convert {
        #[arg(help = super::model_help())]
        model: String,
        /// Output file (.safetensors)
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Quantize the weights again to this number of bits, 2 to 8
        #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
        bits: Option<u8>,
    },
}
