//! Arguments of `vmin cycles`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use vmin_accel::Dataflow;

use super::FormatArgs;

/// A dataflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CycleModelArg {
    /// Consistent with a register-level simulation
    Causal,
    /// The numbers of SCALE-Sim 3.0.0
    #[value(name = "scalesim-v3")]
    ScalesimV3,
}

/// Options of `vmin cycles`.
#[derive(Debug, Args)]
#[command(override_usage = "\
vmin cycles [OPTIONS] --accelerator <ACCELERATOR>
         <--model <MODEL>|--topology <T.csv>|--gemm <T.csv>|
          --attention <S,D,H[,KV[,CACHED]]>|--trace [<RxC:MxNxK>]>")]
#[command(after_help = "\
Examples:
  vmin cycles --accelerator gemmini-16 --model builtin:shapes-cnn
  vmin cycles --accelerator gemmini-16 --model net.tflite --dataflow os --format csv
  vmin cycles --accelerator scale.cfg --topology resnet18.csv --reports out
                                              SCALE-Sim's configuration, layers and reports
  vmin cycles --accelerator gemmini-16 --gemm products.csv --batch 8
  vmin cycles --accelerator gemmini-16 --attention 128,768,12
                                              the projections, scores, softmax and context
  vmin cycles --accelerator gemmini-16 --trace 4x4:6x8x8 --trace-out wavefront.svg
  vmin cycles --accelerator gemmini-16 --model net.tflite --report cycles.html")]
pub struct CyclesArgs {
    /// Accelerator: a name (see `vmin data list`), a file, or a SCALE-Sim configuration (.cfg)
    #[arg(long, value_name = "ACCELERATOR")]
    pub accelerator: String,
    /// The layers to run.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Show every cycle of an R x C array on a small product; 4x4:6x8x8 if no value is given
    #[arg(long, group = "WorkArgs", value_name = "RxC:MxNxK", num_args = 0..=1, default_missing_value = "4x4:6x8x8", value_parser = parse_trace)]
    pub trace: Option<[u64; 5]>,
    /// Dataflow; that of the accelerator file if absent
    #[arg(long, value_parser = dataflows())]
    pub dataflow: Option<Dataflow>,
    /// Cycle model; that of the accelerator file if absent
    #[arg(long, value_enum)]
    pub cycle_model: Option<CycleModelArg>,
    /// Images per batch, 1 to 65536
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = batch)]
    pub batch: u64,
    /// Draw the trace into this SVG file
    #[arg(long, value_name = "F.svg", requires = "trace")]
    pub trace_out: Option<PathBuf>,
    /// Write a page with time, utilization and roofline to this HTML file
    #[arg(long, value_name = "F.html")]
    pub report: Option<PathBuf>,
    /// Write the table to this Parquet file: the columns of `--format csv`, with types
    #[arg(long, value_name = "FILE")]
    pub parquet: Option<PathBuf>,
    /// Write SCALE-Sim's three report files into this folder (`scalesim-v3` only)
    #[arg(long, value_name = "DIR")]
    pub reports: Option<PathBuf>,
    /// How to print.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// The workload.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WorkArgs {
    /// Network: a file (.tflite, .safetensors) or `builtin:NAME`
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Convolutions: a SCALE-Sim topology (.csv)
    #[arg(long, value_name = "T.csv")]
    pub topology: Option<String>,
    /// Matrix products: a SCALE-Sim table of M, N, K (.csv)
    #[arg(long, value_name = "T.csv")]
    pub gemm: Option<String>,
    /// Multi-head attention: tokens, width, heads, key-value heads, cached tokens
    #[arg(long, value_name = "S,D,H[,KV[,CACHED]]", value_parser = parse_attention)]
    pub attention: Option<vmin_accel::Attention>,
}

fn batch(text: &str) -> Result<u64, String> {
    let images = text.parse().ok().filter(|images| (1..=65536).contains(images));
    images.ok_or_else(|| "expected 1 to 65536 images".to_owned())
}

fn dataflows() -> impl TypedValueParser<Value = Dataflow> {
    let words = Dataflow::ALL.iter();
    PossibleValuesParser::new(words.map(|(word, flow)| PossibleValue::new(word).help(flow.title())))
        .try_map(|word| Dataflow::named(&word).ok_or("unknown"))
}

/// `S,D,H[,KV[,CACHED]]`; the sizes are checked together.
fn parse_attention(text: &str) -> Result<vmin_accel::Attention, String> {
    let sizes: Vec<u64> = text
        .split(',')
        .map(|size| size.trim().parse().ok())
        .collect::<Option<_>>()
        .filter(|sizes: &Vec<u64>| (3..=5).contains(&sizes.len()))
        .ok_or("expected 3 to 5 sizes S,D,H[,KV[,CACHED]], for instance 128,768,12")?;
    let plain = vmin_accel::Attention::new(sizes[0], sizes[1], sizes[2]);
    let attention = vmin_accel::Attention {
        kv_heads: sizes.get(3).copied().unwrap_or(plain.kv_heads),
        cached: sizes.get(4).copied().unwrap_or(0),
        ..plain
    };
    attention.layers("").map_err(|error| error.to_string())?;
    Ok(attention)
}

/// `RxC:MxNxK` as `[R, C, M, N, K]`.
fn parse_trace(text: &str) -> Result<[u64; 5], String> {
    let read = || {
        let (array, product) = text.split_once(':')?;
        let (rows, columns) = array.split_once('x')?;
        let (m, rest) = product.split_once('x')?;
        let (n, k) = rest.split_once('x')?;
        let mut sizes = [0; 5];
        for (size, text) in sizes.iter_mut().zip([rows, columns, m, n, k]) {
            *size = text.parse().ok()?;
        }
        Some(sizes)
    };
    let [sides @ .., _, _, _] = read().ok_or("expected RxC:MxNxK, for instance 4x4:6x8x8")?;
    if sides.iter().any(|side| !(1..=32).contains(side)) {
        return Err("an array of 1 x 1 to 32 x 32 can be drawn".to_owned());
    }
    let sizes = read().unwrap_or_default();
    if sizes[2..].iter().any(|size| !(1..=256).contains(size)) {
        return Err("M, N and K must lie between 1 and 256".to_owned());
    }
    Ok(sizes)
}
