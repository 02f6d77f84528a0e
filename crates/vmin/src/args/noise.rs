//! Arguments of `vmin noise`.

use std::path::PathBuf;

use clap::Args;

use super::{ComputeArgs, FormatArgs, SweptArgs, protect_help};

/// Options of `vmin noise`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  vmin noise --model net.tflite --data mnist:DIR --profile sram14 --vdd-mv 900..800:25 \\
    --chip 0..9 --images 0..1000 --report noise.html
  vmin noise --model builtin:shapes-cnn --data builtin:shapes --profile sram14 \\
    --vdd-mv 850 --images-out pictures

The activation memory, which holds the input too, has the supply of the weight memory
unless --activation-vdd-mv names another. Norms of the input are in units of pixels from
0 to 1, those of other tensors and of weights in the units of their real values.")]
pub struct NoiseArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Images: `cifar10:DIR`, `mnist:DIR`, `fashion-mnist:DIR`, `npz:FILE` or `builtin:NAME`
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Images A (included) to B (not included) of the test set
    #[arg(long, value_name = "A..B", default_value = "0..100")]
    #[arg(value_parser = super::eval::parse_range)]
    pub images: std::ops::Range<usize>,
    /// Chips, supplies and places.
    #[command(flatten)]
    pub on_chip: SweptArgs,
    /// Mechanisms of protection, each as a table or a word.
    #[arg(long, alias = "remedy", value_name = "TOML|WORD", help = protect_help())]
    pub protect: Vec<String>,
    /// Images that are drawn, of the first chip
    #[arg(long, value_name = "N", default_value_t = 6)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub pictures: u16,
    /// Write these images, clean and corrupted, to this folder (PGM, PPM)
    #[arg(long, value_name = "DIR")]
    pub images_out: Option<PathBuf>,
    /// Write a page with figures to this HTML file
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Threads and kernel.
    #[command(flatten)]
    pub compute: ComputeArgs,
    /// Format.
    #[command(flatten)]
    pub format: FormatArgs,
}
