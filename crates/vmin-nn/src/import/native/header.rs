//! The graph as JSON. Separate types, so that the file format changes only on purpose.

use serde::{Deserialize, Serialize};
use vmin_quant::{Encoding, FixedMultiplier};

use super::VERSION;
use crate::{
    Activation, Conv2d, ConvKind, Dtype, Graph, GroupNorm, ModelError, Node, Op, Pool2d, PoolKind,
    Quantization, Tensor, TensorId, WeightId, WeightTensor,
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
    pixel_offset: i32,
    input: usize,
    output: usize,
    tensors: Vec<TensorHeader>,
    weights: Vec<WeightHeader>,
    nodes: Vec<NodeHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorHeader {
    name: String,
    shape: Vec<usize>,
    dtype: DtypeHeader,
    scale: Float,
    zero_point: i32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    encoding: EncodingHeader,
    scales: Vec<Float>,
    zero_points: Vec<i32>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EncodingHeader {
    TwosComplement,
    OffsetBinary,
    SignMagnitude,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeHeader {
    name: String,
    op: OpHeader,
    inputs: Vec<usize>,
    output: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OpHeader {
    Conv2d {
        kind: ConvKindHeader,
        weights: usize,
        bias: Vec<i32>,
        /// `[multiplier, shift]` per output channel.
        multipliers: Vec<[i32; 2]>,
        stride: [usize; 2],
        dilation: [usize; 2],
        padding: [usize; 2],
        clamp: [i8; 2],
    },
    Pool2d {
        kind: PoolKindHeader,
        window: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        clamp: [i8; 2],
    },
    Add {
        clamp: [i8; 2],
    },
    GroupNorm {
        groups: usize,
        epsilon: u64,
        /// `[multiplier, shift]` per channel.
        gains: Vec<[i32; 2]>,
        offsets: Vec<i32>,
        clamp: [i8; 2],
    },
    Reshape,
    Softmax {
        beta: Float,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConvKindHeader {
    Dense,
    Depthwise,
    FullyConnected,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PoolKindHeader {
    Average,
    Max,
}

/// A float as its shortest decimal: JSON numbers pass through readers that round to double first.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[derive(Clone, Copy)]
struct Float(f32);

impl TryFrom<String> for Float {
    type Error = std::num::ParseFloatError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Float> for String {
    fn from(float: Float) -> Self {
        float.0.to_string()
    }
}

pub(super) fn to_json(graph: &Graph) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Header {
        version: VERSION,
        name: graph.name.clone(),
        pixel_offset: graph.pixel_offset,
        input: graph.input.0,
        output: graph.output.0,
        tensors: graph.tensors.iter().map(tensor_header).collect(),
        weights: graph.weights.iter().map(weight_header).collect(),
        nodes: graph.nodes.iter().map(node_header).collect(),
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
    Ok(Graph {
        name: header.name,
        tensors: header.tensors.into_iter().map(tensor).collect(),
        weights: header.weights.into_iter().map(weight).collect(),
        nodes: header.nodes.into_iter().map(node).collect(),
        input: TensorId(header.input),
        output: TensorId(header.output),
        pixel_offset: header.pixel_offset,
    })
}

fn tensor_header(t: &Tensor) -> TensorHeader {
    TensorHeader {
        name: t.name.clone(),
        shape: t.shape.clone(),
        dtype: match t.dtype {
            Dtype::I8 => DtypeHeader::I8,
            Dtype::U8 => DtypeHeader::U8,
        },
        scale: Float(t.quantization.scale),
        zero_point: t.quantization.zero_point,
    }
}

fn tensor(t: TensorHeader) -> Tensor {
    Tensor {
        name: t.name,
        shape: t.shape,
        dtype: match t.dtype {
            DtypeHeader::I8 => Dtype::I8,
            DtypeHeader::U8 => Dtype::U8,
        },
        quantization: Quantization { scale: t.scale.0, zero_point: t.zero_point },
    }
}

fn weight_header(w: &WeightTensor) -> WeightHeader {
    WeightHeader {
        name: w.name.clone(),
        shape: w.shape.clone(),
        bits: w.bits,
        encoding: match w.encoding {
            Encoding::TwosComplement => EncodingHeader::TwosComplement,
            Encoding::OffsetBinary => EncodingHeader::OffsetBinary,
            Encoding::SignMagnitude => EncodingHeader::SignMagnitude,
        },
        scales: w.scales.iter().copied().map(Float).collect(),
        zero_points: w.zero_points.clone(),
    }
}

fn weight(w: WeightHeader) -> WeightTensor {
    WeightTensor {
        name: w.name,
        shape: w.shape,
        bits: w.bits,
        encoding: match w.encoding {
            EncodingHeader::TwosComplement => Encoding::TwosComplement,
            EncodingHeader::OffsetBinary => Encoding::OffsetBinary,
            EncodingHeader::SignMagnitude => Encoding::SignMagnitude,
        },
        codes: Vec::new(),
        scales: w.scales.into_iter().map(|s| s.0).collect(),
        zero_points: w.zero_points,
    }
}

fn node_header(n: &Node) -> NodeHeader {
    let clamp = |a: Activation| [a.min, a.max];
    let op = match &n.op {
        Op::Conv2d(c) => OpHeader::Conv2d {
            kind: match (c.fully_connected, c.kind) {
                (true, _) => ConvKindHeader::FullyConnected,
                (false, ConvKind::Dense) => ConvKindHeader::Dense,
                (false, ConvKind::Depthwise) => ConvKindHeader::Depthwise,
            },
            weights: c.weights.0,
            bias: c.bias.clone(),
            multipliers: c.multipliers.iter().map(|m| [m.multiplier, m.shift]).collect(),
            stride: c.stride,
            dilation: c.dilation,
            padding: c.padding,
            clamp: clamp(c.activation),
        },
        Op::Pool2d(p) => OpHeader::Pool2d {
            kind: match p.kind {
                PoolKind::Average => PoolKindHeader::Average,
                PoolKind::Max => PoolKindHeader::Max,
            },
            window: p.window,
            stride: p.stride,
            padding: p.padding,
            clamp: clamp(p.activation),
        },
        Op::Add { activation } => OpHeader::Add { clamp: clamp(*activation) },
        Op::GroupNorm(g) => OpHeader::GroupNorm {
            groups: g.groups,
            epsilon: g.epsilon,
            gains: g.gains.iter().map(|m| [m.multiplier, m.shift]).collect(),
            offsets: g.offsets.clone(),
            clamp: clamp(g.activation),
        },
        Op::Reshape => OpHeader::Reshape,
        Op::Softmax { beta } => OpHeader::Softmax { beta: Float(*beta) },
    };
    let inputs = n.inputs.iter().map(|id| id.0).collect();
    NodeHeader { name: n.name.clone(), op, inputs, output: n.output.0 }
}

fn node(n: NodeHeader) -> Node {
    let activation = |[min, max]: [i8; 2]| Activation { min, max };
    let op = match n.op {
        OpHeader::Conv2d { kind, weights, bias, multipliers, stride, dilation, padding, clamp } => {
            Op::Conv2d(Conv2d {
                fully_connected: matches!(kind, ConvKindHeader::FullyConnected),
                kind: match kind {
                    ConvKindHeader::Depthwise => ConvKind::Depthwise,
                    ConvKindHeader::Dense | ConvKindHeader::FullyConnected => ConvKind::Dense,
                },
                weights: WeightId(weights),
                bias,
                multipliers: multipliers
                    .into_iter()
                    .map(|[multiplier, shift]| FixedMultiplier { multiplier, shift })
                    .collect(),
                stride,
                dilation,
                padding,
                activation: activation(clamp),
            })
        }
        OpHeader::Pool2d { kind, window, stride, padding, clamp } => Op::Pool2d(Pool2d {
            kind: match kind {
                PoolKindHeader::Average => PoolKind::Average,
                PoolKindHeader::Max => PoolKind::Max,
            },
            window,
            stride,
            padding,
            activation: activation(clamp),
        }),
        OpHeader::Add { clamp } => Op::Add { activation: activation(clamp) },
        OpHeader::GroupNorm { groups, epsilon, gains, offsets, clamp } => {
            let gains = gains
                .into_iter()
                .map(|[multiplier, shift]| FixedMultiplier { multiplier, shift })
                .collect();
            let activation = activation(clamp);
            Op::GroupNorm(GroupNorm { groups, epsilon, gains, offsets, activation })
        }
        OpHeader::Reshape => Op::Reshape,
        OpHeader::Softmax { beta } => Op::Softmax { beta: beta.0 },
    };
    let inputs = n.inputs.into_iter().map(TensorId).collect();
    Node { name: n.name, op, inputs, output: TensorId(n.output) }
}
