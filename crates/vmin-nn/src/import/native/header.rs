//! The graph as JSON. Operators derive their own form; a test of the embedded files holds it.

use serde::{Deserialize, Serialize};
use vmin_quant::Encoding;

use super::{VERSION, decimal, decimals};
use crate::{
    Dtype, Graph, ModelError, Node, Pixels, Quantization, Rounding, Tensor, TensorId, WeightTensor,
};

#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    name: String,
    #[serde(default, skip_serializing_if = "Rounding::is_default")]
    rounding: Rounding,
    /// Of the rule for pixels that are codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pixel_offset: Option<i32>,
    /// Any other rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pixels: Option<Pixels>,
    input: TensorId,
    output: TensorId,
    tensors: Vec<TensorHeader>,
    weights: Vec<WeightHeader>,
    nodes: Vec<Node>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorHeader {
    name: String,
    shape: Vec<usize>,
    #[serde(with = "DtypeHeader")]
    dtype: Dtype,
    #[serde(with = "decimal")]
    scale: f32,
    zero_point: i32,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Dtype", rename_all = "snake_case")]
enum DtypeHeader {
    I8,
    U8,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightHeader {
    name: String,
    shape: Vec<usize>,
    bits: u8,
    #[serde(with = "EncodingHeader")]
    encoding: Encoding,
    #[serde(with = "decimals")]
    scales: Vec<f32>,
    zero_points: Vec<i32>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Encoding", rename_all = "snake_case")]
enum EncodingHeader {
    TwosComplement,
    OffsetBinary,
    SignMagnitude,
}

pub(super) fn to_json(graph: &Graph) -> Result<String, serde_json::Error> {
    let (pixel_offset, pixels) = match graph.pixels.clone() {
        Some(Pixels::Codes { offset }) => (Some(offset), None),
        other => (None, other),
    };
    serde_json::to_string(&Header {
        version: VERSION,
        name: graph.name.clone(),
        rounding: graph.rounding,
        pixel_offset,
        pixels,
        input: graph.input,
        output: graph.output,
        tensors: graph.tensors.iter().map(tensor_header).collect(),
        weights: graph.weights.iter().map(weight_header).collect(),
        nodes: graph.nodes.clone(),
    })
}

/// The graph without its codes.
pub(super) fn from_json(json: &str) -> Result<Graph, ModelError> {
    let error = |source| ModelError::Header { source };
    let VersionOnly { version } = serde_json::from_str(json).map_err(error)?;
    if version != VERSION {
        return Err(ModelError::Version { found: version, supported: VERSION });
    }
    let header: Header = serde_json::from_str(json).map_err(error)?;
    let pixels = match (header.pixel_offset, header.pixels) {
        (Some(offset), None) => Some(Pixels::Codes { offset }),
        (None, other) => other,
        (Some(_), Some(_)) => return Err(ModelError::graph("there is one rule for pixels", "two")),
    };
    Ok(Graph {
        name: header.name,
        tensors: header.tensors.into_iter().map(tensor).collect(),
        weights: header.weights.into_iter().map(weight).collect(),
        nodes: header.nodes,
        input: header.input,
        output: header.output,
        rounding: header.rounding,
        pixels,
    })
}

fn tensor_header(t: &Tensor) -> TensorHeader {
    TensorHeader {
        name: t.name.clone(),
        shape: t.shape.clone(),
        dtype: t.dtype,
        scale: t.quantization.scale,
        zero_point: t.quantization.zero_point,
    }
}

fn tensor(t: TensorHeader) -> Tensor {
    Tensor {
        name: t.name,
        shape: t.shape,
        dtype: t.dtype,
        quantization: Quantization { scale: t.scale, zero_point: t.zero_point },
    }
}

fn weight_header(w: &WeightTensor) -> WeightHeader {
    WeightHeader {
        name: w.name.clone(),
        shape: w.shape.clone(),
        bits: w.bits,
        encoding: w.encoding,
        scales: w.scales.clone(),
        zero_points: w.zero_points.clone(),
    }
}

fn weight(w: WeightHeader) -> WeightTensor {
    WeightTensor {
        name: w.name,
        shape: w.shape,
        bits: w.bits,
        encoding: w.encoding,
        codes: Vec::new(),
        scales: w.scales,
        zero_points: w.zero_points,
    }
}
