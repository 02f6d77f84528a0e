//! `vmin model`: inspect, run and convert networks.

use std::path::Path;

use ndarray::{Array2, ArrayD, Axis, IxDyn};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, Located};
use vmin_nn::{Executor, Graph, LayerShape, Pixels};
use vmin_sweep::names::Names;

use crate::args::ArithmeticArgs;
use crate::args::model::{ConvertArgs, InspectArgs, RunArgs};
use crate::failure::{say, with_causes};
use crate::{Answer, Failure, answer, compute, files};

const INPUT: &str = "an npy array of int8 codes or uint8 pixels, [images, height, width, channels]";

/// Writes a network in vmin's own format.
///
/// # Errors
/// The network cannot be loaded, re-quantized or written.
pub fn convert(args: &ConvertArgs) -> Result<(), Failure> {
    let names = Names::typed();
    let bits = args.bits.map(|value| Located { value, span: 0..0 });
    let ArithmeticArgs { rounding, pixels } = &args.arithmetic;
    let graph = names.rounded(args.model.as_path(), *rounding)?;
    let graph =
        with_pixels(&names, names.with_bits(graph, bits.as_ref())?, pixels.as_ref(), &args.model)?;
    let bytes = vmin_nn::import::native::save_by(&graph, "vmin model convert")
        .map_err(|error| Failure::input("model", &error))?;
    files::write(&args.output, &bytes, files::Output::network("model convert"))
}

/// The network with this rule for pixels, if one is given; it may have none.
fn with_pixels(
    names: &Names<'_>,
    graph: Graph,
    pixels: Option<&Pixels>,
    model: &Path,
) -> Result<Graph, Failure> {
    let Some(pixels) = pixels else { return Ok(graph) };
    let pixels = Located { value: pixels.clone(), span: 0..0 };
    Ok(names.with_pixels(graph, Some(&pixels), model)?)
}

/// The layers, tensors and weights of a network.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Inspection {
    model: String,
    name: String,
    rounding: &'static str,
    pixels: String,
    input: TensorRow,
    output: TensorRow,
    macs_total: u64,
    weights_total: u64,
    stored_bits: u64,
    layers: Vec<LayerRow>,
    tensors: Vec<TensorRow>,
    weights: Vec<WeightRow>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LayerRow {
    name: String,
    kind: &'static str,
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 2],
    stride: [usize; 2],
    macs: u64,
    weights: usize,
    m: usize,
    n: usize,
    k: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct TensorRow {
    name: String,
    shape: Vec<usize>,
    scale: f32,
    zero_point: i32,
}

#[derive(Debug, Serialize, JsonSchema)]
struct WeightRow {
    name: String,
    shape: Vec<usize>,
    bits: u8,
    encoding: String,
    granularity: &'static str,
    scale_min: f32,
    scale_max: f32,
}

fn tensor_row(graph: &Graph, index: usize) -> TensorRow {
    let tensor = &graph.tensors[index];
    TensorRow {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        scale: tensor.quantization.scale,
        zero_point: tensor.quantization.zero_point,
    }
}

fn layer_row(layer: LayerShape) -> LayerRow {
    LayerRow {
        kind: layer.kind,
        name: layer.name,
        input: layer.input,
        output: layer.output,
        kernel: layer.kernel,
        stride: layer.stride,
        macs: layer.macs,
        weights: layer.weights,
        m: layer.m,
        n: layer.n,
        k: layer.k,
    }
}

/// Describes a network.
///
/// # Errors
/// It cannot be loaded.
pub fn inspect(args: &InspectArgs) -> Result<Inspection, Failure> {
    let graph = &Names::typed().model(args.model.as_path())?;
    let weights: Vec<WeightRow> = graph
        .weights
        .iter()
        .map(|weights| WeightRow {
            name: weights.name.clone(),
            shape: weights.shape.clone(),
            bits: weights.bits,
            encoding: format!("{:?}", weights.encoding),
            granularity: if weights.scales.len() > 1 { "per channel" } else { "per tensor" },
            scale_min: weights.scales.iter().copied().fold(f32::INFINITY, f32::min),
            scale_max: weights.scales.iter().copied().fold(0.0, f32::max),
        })
        .collect();
    Ok(Inspection {
        model: args.model.display().to_string(),
        name: graph.name.clone(),
        rounding: graph.rounding.word(),
        pixels: graph.pixels_in_words(),
        input: tensor_row(graph, graph.input.0),
        output: tensor_row(graph, graph.output.0),
        macs_total: graph.macs(),
        weights_total: graph.weights.iter().map(|w| w.codes.len() as u64).sum(),
        stored_bits: graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum(),
        layers: graph.layers().into_iter().map(layer_row).collect(),
        tensors: (0..graph.tensors.len()).map(|index| tensor_row(graph, index)).collect(),
        weights,
    })
}

impl Answer for Inspection {
    fn csv(&self) -> Result<String, Failure> {
        let mut text = String::from("name,kind,m,n,k,macs,weights");
        for l in &self.layers {
            let name = l.name.replace('"', "\"\"");
            let LayerRow { kind, m, n, k, macs, weights, .. } = l;
            text.push_str(&format!("\n\"{name}\",{kind},{m},{n},{k},{macs},{weights}"));
        }
        Ok(text)
    }

    fn table(&self) -> String {
        let sides =
            |sides: &[usize]| sides.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        let rows = self.layers.iter().map(|layer| {
            vec![
                layer.name.clone(),
                layer.kind.to_owned(),
                sides(&layer.input),
                sides(&layer.output),
                sides(&layer.kernel),
                sides(&layer.stride),
                layer.macs.to_string(),
                layer.weights.to_string(),
            ]
        });
        let header = ["layer", "kind", "input", "output", "window", "stride", "MACs", "weights"];
        let layers = answer::fitted(&header, 2, &["stride", "window", "input"], rows);
        let rows = self.weights.iter().map(|weights| {
            vec![
                weights.name.clone(),
                sides(&weights.shape),
                format!("{} bit {}", weights.bits, weights.encoding),
                weights.granularity.to_owned(),
                format!("{:.3e} .. {:.3e}", weights.scale_min, weights.scale_max),
            ]
        });
        let weights = answer::table(&["weights", "shape", "codes", "scale", "step"], 5, rows);
        let network = format!(
            "{}: input {} (scale {}, zero point {}), {} MACs, {} weights in {} stored bits",
            self.name,
            sides(&self.input.shape),
            self.input.scale,
            self.input.zero_point,
            self.macs_total,
            self.weights_total,
            self.stored_bits
        );
        let network = answer::wrapped(&network);
        format!(
            "{network}\nrounding {}, pixels {}\n{layers}\n{weights}",
            self.rounding, self.pixels
        )
    }
}

/// Runs a network on raw inputs and writes its raw outputs.
///
/// # Errors
/// The network or the inputs cannot be loaded, the inputs do not fit, or a file cannot be written.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args))
}

fn run_here(args: &RunArgs) -> Result<(), Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let ArithmeticArgs { rounding, pixels } = &args.arithmetic;
    let names = Names::typed();
    let graph = names.rounded(args.model.as_path(), *rounding)?;
    let graph = &with_pixels(&names, graph, pixels.as_ref(), &args.model)?;
    let inputs = read_inputs(graph, &args.input)?;
    let executor = Executor::new(graph, kernel);
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
    let weights = executor.load_weights(&codes);
    let all: Vec<Vec<Vec<i8>>> =
        inputs.par_iter().map(|input| executor.run_all(&weights, input)).collect();
    let file = |index: usize, path: &Path| -> Result<(), Failure> {
        let elements = graph.tensors[index].elements();
        let flat: Vec<i8> = all.iter().flat_map(|tensors| tensors[index].iter().copied()).collect();
        let mut shape = vec![all.len()];
        shape.extend(&graph.tensors[index].shape);
        debug_assert_eq!(flat.len(), all.len() * elements);
        let array = ArrayD::from_shape_vec(IxDyn(&shape), flat)
            .map_err(|error| Failure::input("shape", &error))?;
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).map_err(|error| Failure::input("npy", &error))?;
        files::put(path, &bytes, files::NOTHING)
    };
    if let Some(folder) = &args.layers {
        std::fs::create_dir_all(folder).map_err(|error| {
            Diagnostic::new(
                "unwritable",
                format!("cannot make the folder `{}`: {error}", folder.display()),
            )
        })?;
        for (index, tensor) in graph.tensors.iter().enumerate() {
            file(index, &folder.join(files::of_tensor(index, &tensor.name)))?;
        }
    }
    file(graph.output.0, &args.output)?;
    say(&format!("wrote `{}`: {} inputs", args.output.display(), inputs.len()));
    Ok(())
}

/// The inputs as codes: int8 arrays as they are, uint8 arrays as pixels.
fn read_inputs(graph: &Graph, path: &Path) -> Result<Vec<Vec<i8>>, Failure> {
    let refuse = |what: String| -> Failure {
        Diagnostic::new("bad-input", format!("`{}`: {what}", path.display())).hint(INPUT).into()
    };
    let bytes = vmin_files::bytes("input", path).map_err(|error| error.diagnostic().hint(INPUT))?;
    let codes = match ArrayD::<i8>::read_npy(bytes.as_slice()) {
        Ok(codes) => codes,
        Err(as_codes) => {
            let pixels = ArrayD::<u8>::read_npy(bytes.as_slice())
                .map_err(|_| refuse(with_causes(&as_codes)))?;
            let codes = graph.input_codes(&pixels.iter().copied().collect::<Vec<u8>>());
            let codes = codes.map_err(|error| {
                Diagnostic::new("pixels", error.to_string())
                    .allowed(format!("expected {}", Pixels::CHOICES))
                    .hint("say it with `--pixels`")
            })?;
            ArrayD::from_shape_vec(pixels.raw_dim(), codes)
                .map_err(|error| Failure::input("shape", &error))?
        }
    };
    let expected = graph.tensors[graph.input.0].elements();
    let images = if codes.ndim() > 0 && codes.len() == codes.len_of(Axis(0)) * expected {
        codes.len_of(Axis(0))
    } else if codes.len() == expected {
        1
    } else {
        return Err(refuse(format!(
            "its shape is {:?}, the network reads {expected} values per image",
            codes.shape()
        )));
    };
    let flat: Vec<i8> = codes.iter().copied().collect();
    let rows = Array2::from_shape_vec((images, expected), flat)
        .map_err(|error| Failure::input("shape", &error))?;
    Ok(rows.outer_iter().map(|row| row.to_vec()).collect())
}
