//! Comparison of a graph with the network of a recipe, step by step.

use std::collections::BTreeMap;
use std::fmt;

use vmin_nn::{Activation, Graph, Node, Op, Pixels, PoolKind, TensorId};

use super::StartError;
use crate::deploy::Fused;
use crate::network::{Layer, Network, ValueId};
use crate::recipe::InputScaling;

const LOWEST: i32 = i8::MIN as i32;

/// A step of a graph or of a recipe.
#[derive(Clone, Debug, PartialEq)]
struct Described {
    kind: Kind,
    /// Whether negative results become 0.
    rectified: bool,
    /// Steps of its inputs, counted from 1; 0 is the image.
    inputs: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Convolution { shape: Vec<usize>, stride: [usize; 2], padding: [usize; 2] },
    FullyConnected { shape: Vec<usize> },
    Pool { kind: PoolKind, window: [usize; 2], stride: [usize; 2] },
    Add,
    GroupNorm { groups: usize },
    Other(&'static str),
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Convolution { shape, stride, padding } => {
                write!(f, "a convolution with weights {shape:?}, stride {}", stride[0])?;
                write!(f, ", padding {}", padding[0])?;
            }
            Kind::FullyConnected { shape } => {
                write!(f, "a fully connected layer with weights {shape:?}")?;
            }
            Kind::Pool { kind, window: [height, width], .. } => {
                let kind = match kind {
                    PoolKind::Average => "an average",
                    PoolKind::Max => "a maximum",
                };
                write!(f, "{kind} over {height}x{width}")?;
            }
            Kind::Add => write!(f, "a sum")?,
            Kind::GroupNorm { groups } => write!(f, "a normalization of {groups} groups")?,
            Kind::Other(what) => write!(f, "{what}")?,
        }
        if self.rectified {
            write!(f, ", rectified")?;
        }
        for (index, input) in self.inputs.iter().enumerate() {
            write!(f, "{}", if index == 0 { ", of " } else { " and " })?;
            match input {
                0 => write!(f, "the image")?,
                step => write!(f, "step {step}")?,
            }
        }
        Ok(())
    }
}

/// Rejects a graph with another image shape or pixel scaling.
pub(super) fn check_input(
    net: &Network,
    input: InputScaling,
    graph: &Graph,
) -> Result<(), StartError> {
    let tensor = &graph.tensors[graph.input.0];
    let say = |shape: &[usize], zero: i32, scale: f32| {
        format!("images {shape:?} with `zero_pixel` {zero} and `scale` {scale}")
    };
    let found = match &graph.pixels {
        Some(Pixels::Codes { offset }) => {
            let zero = tensor.quantization.zero_point.saturating_add(*offset);
            say(&tensor.shape, zero, tensor.quantization.scale)
        }
        Some(other) => format!("images {:?} with pixels {other}", tensor.shape),
        None => format!("inputs {:?} without a rule for pixels", tensor.shape),
    };
    let expected = say(&net.values[0], input.zero_pixel.into(), input.scale);
    if found == expected { Ok(()) } else { Err(StartError::Input { found, expected }) }
}

/// The node of each step.
pub(super) fn matched<'g>(
    net: &Network,
    steps: &[Fused<'_>],
    graph: &'g Graph,
) -> Result<Vec<&'g Node>, StartError> {
    let mut of_value: BTreeMap<ValueId, usize> = BTreeMap::from([(ValueId(0), 0)]);
    let mut of_tensor: BTreeMap<usize, usize> = BTreeMap::from([(graph.input.0, 0)]);
    let mut wanted = steps.iter();
    let mut matched = Vec::with_capacity(steps.len());
    let nothing = || "missing".to_owned();
    for node in &graph.nodes {
        if matches!(node.op, Op::Reshape) {
            let from = of_tensor.get(&node.inputs[0].0).copied().unwrap_or(0);
            of_tensor.insert(node.output.0, from);
            continue;
        }
        let step = matched.len() + 1;
        let inputs = node.inputs.iter().map(|id| of_tensor.get(&id.0).copied().unwrap_or(0));
        let mut found = Described { inputs: inputs.collect(), ..described(graph, node) };
        let Some(fused) = wanted.next() else {
            return Err(StartError::Step { step, found: found.to_string(), expected: nothing() });
        };
        let inputs = fused.step.inputs.iter().map(|id| of_value.get(id).copied().unwrap_or(0));
        let expected = Described {
            kind: layer(&fused.step.layer, net),
            rectified: fused.rectified,
            inputs: inputs.collect(),
        };
        // A pool keeps the quantization of its input: after a rectifier its lowest code is 0 as well.
        if matches!(node.op, Op::Pool2d(_)) && quantized_zero(graph, node.output) == LOWEST {
            found.rectified = expected.rectified;
        }
        if found != expected {
            let (found, expected) = (found.to_string(), expected.to_string());
            return Err(StartError::Step { step, found, expected });
        }
        of_value.insert(fused.output, step);
        of_tensor.insert(node.output.0, step);
        matched.push(node);
    }
    match wanted.next() {
        None => Ok(matched),
        Some(fused) => {
            let kind = layer(&fused.step.layer, net);
            let expected = Described { kind, rectified: fused.rectified, inputs: Vec::new() };
            let step = matched.len() + 1;
            Err(StartError::Step { step, found: nothing(), expected: expected.to_string() })
        }
    }
}

fn layer(layer: &Layer, net: &Network) -> Kind {
    let shape = |weights: crate::network::ParameterId| net.parameters[weights.0].shape.clone();
    match layer {
        Layer::Conv2d(conv) => Kind::Convolution {
            shape: shape(conv.weights),
            stride: [conv.stride; 2],
            padding: [conv.padding; 2],
        },
        Layer::FullyConnected(layer) => Kind::FullyConnected { shape: shape(layer.weights) },
        Layer::Pool2d(pool) => {
            Kind::Pool { kind: pool.kind, window: pool.window, stride: pool.window }
        }
        Layer::Add => Kind::Add,
        Layer::GroupNorm(norm) => Kind::GroupNorm { groups: norm.groups },
        Layer::Relu => Kind::Other("a rectifier"),
        Layer::BatchNorm(_) => Kind::Other("a normalization"),
    }
}

/// A node without its inputs.
fn described(graph: &Graph, node: &Node) -> Described {
    let (kind, activation) = match &node.op {
        Op::Conv2d(conv) => {
            let shape = graph.weights[conv.weights.0].shape.clone();
            let kind = match conv.kind {
                vmin_nn::ConvKind::FullyConnected => Kind::FullyConnected { shape },
                vmin_nn::ConvKind::Dense if conv.dilation == [1, 1] => {
                    Kind::Convolution { shape, stride: conv.stride, padding: conv.padding }
                }
                vmin_nn::ConvKind::Dense => Kind::Other("a dilated convolution"),
                vmin_nn::ConvKind::Depthwise => Kind::Other("a depthwise convolution"),
            };
            (kind, Some(conv.activation))
        }
        Op::Pool2d(pool) if pool.padding == [0, 0] => {
            let kind = Kind::Pool { kind: pool.kind, window: pool.window, stride: pool.stride };
            (kind, Some(pool.activation))
        }
        Op::Pool2d(_) => (Kind::Other("a padded pool"), None),
        Op::Add(add) => (Kind::Add, Some(add.activation)),
        Op::GroupNorm(norm) => (Kind::GroupNorm { groups: norm.groups }, Some(norm.activation)),
        Op::Extremum(_) => (Kind::Other("an elementwise maximum or minimum"), None),
        Op::Softmax(_) => (Kind::Other("a softmax"), None),
        Op::Reshape => (Kind::Other("a reshape"), None),
    };
    let Some(Activation { min, max }) = activation else {
        return Described { kind, rectified: false, inputs: Vec::new() };
    };
    // If the lowest code is 0, no output is negative, whatever the clamp.
    let rectified = i32::from(min) == quantized_zero(graph, node.output);
    let kind = if max < i8::MAX || (min > i8::MIN && !rectified) {
        Kind::Other("a step with a clamp that is no rectifier")
    } else {
        kind
    };
    Described { kind, rectified, inputs: Vec::new() }
}

fn quantized_zero(graph: &Graph, tensor: TensorId) -> i32 {
    graph.tensors[tensor.0].quantization.zero_point
}
