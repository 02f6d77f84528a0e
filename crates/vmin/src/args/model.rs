//! Arguments of `vmin model`.

use std::path::PathBuf;

use clap::Subcommand;

use super::{ComputeArgs, FormatArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Operators, tensors, MACs and quantization of a network
    Inspect {
        /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
        model: String,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Raw integer outputs of a network for raw integer inputs
    #[command(after_help = "\
Example:
  vmin model run net.tflite --input x.npy --output y.npy --layers layers

The input is an int8 or uint8 array of shape [images, ...]; uint8 values are taken as pixels.")]
    Run {
        /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
        model: String,
        /// Inputs: npy, int8 codes or uint8 pixels, `[images, height, width, channels]`
        #[arg(long, value_name = "X.npy")]
        input: PathBuf,
        /// Where the outputs go: npy, int8, `[images, outputs]`
        #[arg(long, value_name = "Y.npy")]
        output: PathBuf,
        /// Also write every tensor of every image into this folder, one npy each
        #[arg(long, value_name = "DIR")]
        layers: Option<PathBuf>,
        #[command(flatten)]
        compute: ComputeArgs,
    },
    /// Write a network in vmin's own format
    Convert {
        /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
        model: String,
        /// Where it goes (.safetensors)
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Re-quantize the weights to so many bits, 2 to 8 (one bit leaves no step on either side of zero)
        #[arg(long, value_name = "M", value_parser = clap::value_parser!(u8).range(2..=8))]
        bits: Option<u8>,
    },
}
