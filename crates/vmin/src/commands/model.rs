//! `vmin model`: inspect, run and convert networks.

use std::path::Path;

use ndarray::{Array2, ArrayD, Axis, IxDyn};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use rayon::prelude::*;
use serde::Serialize;
use vmin_diagnostic::Diagnostic;
use vmin_kernels::GemmKernel;
use vmin_nn::{Executor, Graph, LayerShape};
use vmin_sweep::write_whole;

use crate::args::{Format, ModelCommand};
use crate::failure::{Failure, say, unwritable, with_causes};
use crate::{compute, lookup, print};

/// Largest array file.
const NPY_BYTES_MAX: u64 = 4 << 30;

pub(crate) fn run(command: &ModelCommand) -> Result<(), Failure> {
    match command {
        ModelCommand::Inspect { model, format } => {
            inspect(model, &lookup::model(model, None)?, format.format)
        }
        ModelCommand::Run { model, input, output, layers, compute } => {
            let kernel = compute::set_up(compute)?;
            let graph = lookup::model(model, None)?;
            run_on(&graph, kernel, input, output, layers.as_deref())
        }
        ModelCommand::Convert { model, output, bits } => {
            let graph = lookup::model(model, *bits)?;
            let bytes = vmin_nn::import::native::save(&graph)
                .map_err(|error| Failure::input("model", &error))?;
            write(output, &bytes)?;
            say(&format!("wrote `{}`", output.display()));
            Ok(())
        }
    }
}

#[derive(Serialize)]
struct Inspection<'a> {
    model: &'a str,
    name: &'a str,
    input: TensorRow<'a>,
    output: TensorRow<'a>,
    macs_total: u64,
    weights_total: u64,
    stored_bits: u64,
    layers: Vec<LayerRow>,
    tensors: Vec<TensorRow<'a>>,
    weights: Vec<WeightRow<'a>>,
}

#[derive(Serialize)]
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

#[derive(Serialize)]
struct TensorRow<'a> {
    name: &'a str,
    shape: &'a [usize],
    scale: f32,
    zero_point: i32,
}

#[derive(Serialize)]
struct WeightRow<'a> {
    name: &'a str,
    shape: &'a [usize],
    bits: u8,
    encoding: String,
    granularity: &'static str,
    scale_min: f32,
    scale_max: f32,
}

fn tensor_row(graph: &Graph, index: usize) -> TensorRow<'_> {
    let tensor = &graph.tensors[index];
    TensorRow {
        name: &tensor.name,
        shape: &tensor.shape,
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

fn inspect(model: &str, graph: &Graph, format: Format) -> Result<(), Failure> {
    let weights: Vec<WeightRow<'_>> = graph
        .weights
        .iter()
        .map(|weights| WeightRow {
            name: &weights.name,
            shape: &weights.shape,
            bits: weights.bits,
            encoding: format!("{:?}", weights.encoding),
            granularity: if weights.scales.len() > 1 { "per channel" } else { "per tensor" },
            scale_min: weights.scales.iter().copied().fold(f32::INFINITY, f32::min),
            scale_max: weights.scales.iter().copied().fold(0.0, f32::max),
        })
        .collect();
    let inspection = Inspection {
        model,
        name: &graph.name,
        input: tensor_row(graph, graph.input.0),
        output: tensor_row(graph, graph.output.0),
        macs_total: graph.macs(),
        weights_total: graph.weights.iter().map(|w| w.codes.len() as u64).sum(),
        stored_bits: graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum(),
        layers: graph.layers().into_iter().map(layer_row).collect(),
        tensors: (0..graph.tensors.len()).map(|index| tensor_row(graph, index)).collect(),
        weights,
    };
    match format {
        Format::Json => print::json(&inspection),
        Format::Csv => {
            let mut text = String::from("name,kind,m,n,k,macs,weights\n");
            for l in &inspection.layers {
                let name = l.name.replace('"', "\"\"");
                let LayerRow { kind, m, n, k, macs, weights, .. } = l;
                text.push_str(&format!("\"{name}\",{kind},{m},{n},{k},{macs},{weights}\n"));
            }
            print::text_line(text.trim_end())
        }
        Format::Table => show(&inspection),
    }
}

fn show(inspection: &Inspection<'_>) -> Result<(), Failure> {
    let sides = |sides: &[usize]| sides.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let rows = inspection.layers.iter().map(|layer| {
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
    let layers = print::table(&header, 2, rows);
    let rows = inspection.weights.iter().map(|weights| {
        vec![
            weights.name.to_owned(),
            sides(weights.shape),
            format!("{} bit {}", weights.bits, weights.encoding),
            weights.granularity.to_owned(),
            format!("{:.3e} .. {:.3e}", weights.scale_min, weights.scale_max),
        ]
    });
    let weights = print::table(&["weights", "shape", "codes", "scale", "step"], 5, rows);
    print::text_line(&format!(
        "{}: input {} (scale {}, zero point {}), {} MACs, {} weights in {} stored bits\n{layers}\n{weights}",
        inspection.name,
        sides(inspection.input.shape),
        inspection.input.scale,
        inspection.input.zero_point,
        inspection.macs_total,
        inspection.weights_total,
        inspection.stored_bits
    ))
}

fn run_on(
    graph: &Graph,
    kernel: &'static dyn GemmKernel,
    input: &Path,
    output: &Path,
    layers: Option<&Path>,
) -> Result<(), Failure> {
    let inputs = read_inputs(graph, input)?;
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
        write(path, &bytes)
    };
    if let Some(folder) = layers {
        std::fs::create_dir_all(folder).map_err(|error| {
            Diagnostic::new(
                "unwritable",
                format!("cannot make the folder `{}`: {error}", folder.display()),
            )
        })?;
        for (index, tensor) in graph.tensors.iter().enumerate() {
            let name: String = tensor
                .name
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
                .take(80)
                .collect();
            file(index, &folder.join(format!("{index:03}_{name}.npy")))?;
        }
    }
    file(graph.output.0, output)?;
    say(&format!("wrote `{}`: {} inputs", output.display(), inputs.len()));
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes).map_err(|error| unwritable(path, &error))
}

/// The inputs as codes: int8 arrays as they are, uint8 arrays as pixels.
fn read_inputs(graph: &Graph, path: &Path) -> Result<Vec<Vec<i8>>, Failure> {
    let refuse = |what: String| -> Failure {
        Diagnostic::new("bad-input", format!("`{}`: {what}", path.display()))
            .hint("an npy array of int8 codes or uint8 pixels, [images, height, width, channels]")
            .into()
    };
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if length > NPY_BYTES_MAX {
        return Err(refuse(format!("{length} bytes, at most {NPY_BYTES_MAX} are read")));
    }
    let bytes = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    let codes = match ArrayD::<i8>::read_npy(bytes.as_slice()) {
        Ok(codes) => codes,
        Err(as_codes) => {
            let pixels = ArrayD::<u8>::read_npy(bytes.as_slice())
                .map_err(|_| refuse(with_causes(&as_codes)))?;
            pixels.mapv(|pixel| graph.input_code(pixel))
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
