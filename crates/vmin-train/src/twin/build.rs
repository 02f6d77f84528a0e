//! The layers of a twin.

use vmin_nn::{Activation, Conv2d, ConvKind, Graph, GroupNorm, Node, Op, TensorId};

use super::kernel::Embedding;
use super::{Tensor, Twin, TwinError, Use};
use crate::Real;
use crate::deploy::OFFSET_UNIT;
use crate::network::{
    self, FullyConnected, Layer, Network, Parameter, ParameterId, ParameterKind, Pool2d, Step,
    ValueId,
};

/// Most elements of a layer's parameter, zeros between its weights counted.
const ELEMENTS_MAX: usize = 1 << 26;

pub(super) fn twin(graph: &Graph) -> Result<Twin, TwinError> {
    let input = &graph.tensors[graph.input.0];
    let tensors = graph.weights.iter().map(|of| {
        let outputs = of.shape[0];
        let zero = |channel: usize| of.zero_points[channel.min(of.zero_points.len() - 1)];
        let integers = of.encoding.decode_table(of.bits);
        let scale = |channel: usize| of.scales[channel.min(of.scales.len() - 1)];
        Tensor {
            bits: of.bits,
            integers,
            zero_points: (0..outputs).map(zero).collect(),
            scales: (0..outputs).map(scale).collect(),
            per_channel: of.codes.len() / outputs.max(1),
            uses: Vec::new(),
        }
    });
    let mut building = Building {
        graph,
        network: Network {
            values: vec![shape(&input.shape)],
            steps: Vec::new(),
            parameters: Vec::new(),
            statistics: Vec::new(),
            limits: vec![[f32::NEG_INFINITY, f32::INFINITY]],
        },
        tensors: tensors.collect(),
        value_of: vec![None; graph.tensors.len()],
    };
    building.value_of[graph.input.0] = Some(ValueId(0));
    let mut problems = Vec::new();
    for node in &graph.nodes {
        if let Err(reason) = building.node(node) {
            problems.push(format!("`{}`: {reason}", node.name));
        }
    }
    let Building { mut network, tensors, value_of, .. } = building;
    if problems.is_empty() && value_of[graph.output.0] != Some(network.output()) {
        problems.push("its output is not that of its last operator".to_owned());
    }
    if !problems.is_empty() {
        return Err(TwinError { problems });
    }
    let output = network.output();
    network.limits[output.0] = [f32::NEG_INFINITY, f32::INFINITY];
    let (scale, zero_point) = (input.quantization.scale, input.quantization.zero_point);
    let parameters = network.parameter_values();
    let mut twin = Twin { network, parameters, tensors, scale, zero_point };
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|of| of.codes.clone()).collect();
    let values = twin.parameters(&codes);
    for (parameter, values) in twin.network.parameters.iter_mut().zip(values) {
        parameter.values = values;
    }
    Ok(twin)
}

/// A shape as height, width and channels.
fn shape(of: &[usize]) -> [usize; 3] {
    match *of {
        [height, width, channels] => [height, width, channels],
        _ => [1, 1, of.iter().product()],
    }
}

struct Building<'g> {
    graph: &'g Graph,
    network: Network,
    tensors: Vec<Tensor>,
    /// The value of every tensor that exists so far.
    value_of: Vec<Option<ValueId>>,
}

impl Building<'_> {
    fn node(&mut self, node: &Node) -> Result<(), String> {
        match &node.op {
            Op::Conv2d(conv) => self.product(node, conv),
            Op::Pool2d(pool) => {
                let shapes = [node.inputs[0], node.output];
                let [from, to] = shapes.map(|id| shape(&self.graph.tensors[id.0].shape));
                let layer = Pool2d { kind: pool.kind, input: from, window: pool.window };
                if pool.padding != [0, 0] || pool.stride != pool.window || layer.output() != to {
                    return Err("windows of a pool must tile the image".to_owned());
                }
                self.step(node, Layer::Pool2d(layer), pool.activation)
            }
            Op::Add(add) => self.step(node, Layer::Add, add.activation),
            Op::GroupNorm(norm) => {
                let layer = self.group_norm(node, norm);
                self.step(node, layer, norm.activation)
            }
            Op::Softmax(_) if node.output != self.graph.output => {
                Err("softmax is for the output only".to_owned())
            }
            // The loss is that of the logits.
            Op::Reshape | Op::Softmax(_) => {
                self.value_of[node.output.0] = Some(self.inputs(node)?[0]);
                Ok(())
            }
            Op::Extremum(_) => Err("maximum and minimum have no derivatives".to_owned()),
        }
    }

    fn inputs(&self, node: &Node) -> Result<Vec<ValueId>, String> {
        let values = node.inputs.iter().map(|id| self.value_of[id.0]);
        let none = || "an operator before it has no derivatives".to_owned();
        values.collect::<Option<_>>().ok_or_else(none)
    }

    /// A convolution or fully connected layer.
    fn product(&mut self, node: &Node, conv: &Conv2d) -> Result<(), String> {
        let [from, to] = [node.inputs[0], node.output].map(|id| &self.graph.tensors[id.0]);
        let weights = &self.graph.weights[conv.weights.0];
        let connected = conv.kind == ConvKind::FullyConnected;
        let embedding = if connected {
            Embedding::flat(weights)
        } else {
            Embedding::of(conv, weights, from, to)
        };
        if conv.stride[0] != conv.stride[1] {
            return Err("strides must be equal in both directions".to_owned());
        }
        let elements = embedding.elements().filter(|&elements| elements <= ELEMENTS_MAX);
        let Some(elements) = elements else {
            return Err(format!("as a dense kernel it has more than {ELEMENTS_MAX} weights"));
        };
        // sum * multiplier * scale_out, with sum = inputs / scale_in * integers.
        let [scale_in, scale_out] = [from, to].map(|tensor| f64::from(tensor.quantization.scale));
        let of_sum =
            |channel: usize| conv.multipliers[channel.min(conv.multipliers.len() - 1)] * scale_out;
        let outputs = weights.shape[0];
        let steps = (0..outputs).map(|channel| of_sum(channel) / scale_in).collect();
        let biases = conv.bias.iter().enumerate();
        let biases = biases.map(|(channel, &bias)| f32::of(of_sum(channel) * f64::from(bias)));
        let biases: Vec<f32> = biases.collect();
        let (kernel, padding) = (embedding.kernel, embedding.padding);
        let (input, output) = (shape(&from.shape), shape(&to.shape));
        let parameter = self.parameter(
            format!("{}/weight", node.name),
            ParameterKind::Weight,
            vec![0.0; elements],
        );
        let bias = self.parameter(format!("{}/bias", node.name), ParameterKind::Bias, biases);
        self.tensors[conv.weights.0].uses.push(Use { parameter, steps, embedding });
        let layer = if connected {
            Layer::FullyConnected(FullyConnected {
                weights: parameter,
                bias,
                inputs: input.iter().product(),
                outputs,
            })
        } else {
            Layer::Conv2d(network::Conv2d {
                weights: parameter,
                bias: Some(bias),
                input,
                output,
                kernel,
                stride: conv.stride[0],
                padding,
            })
        };
        self.step(node, layer, conv.activation)
    }

    fn group_norm(&mut self, node: &Node, norm: &GroupNorm) -> Layer {
        let to = &self.graph.tensors[node.output.0];
        let scale_out = f64::from(to.quantization.scale);
        let shape = shape(&to.shape);
        let gains = norm.gains.iter().map(|gain| f32::of(gain.real() * scale_out - 1.0)).collect();
        let shifts = norm.offsets.iter();
        let shifts =
            shifts.map(|&offset| f32::of(f64::from(offset) / OFFSET_UNIT * scale_out)).collect();
        let scale = self.parameter(format!("{}/scale", node.name), ParameterKind::Scale, gains);
        let shift = self.parameter(format!("{}/shift", node.name), ParameterKind::Bias, shifts);
        Layer::GroupNorm(network::GroupNorm { scale, shift, shape, groups: norm.groups })
    }

    fn parameter(&mut self, name: String, kind: ParameterKind, values: Vec<f32>) -> ParameterId {
        let parameter = Parameter { name, kind, shape: vec![values.len()], values };
        self.network.parameters.push(parameter);
        ParameterId(self.network.parameters.len() - 1)
    }

    fn step(&mut self, node: &Node, layer: Layer, activation: Activation) -> Result<(), String> {
        let inputs = self.inputs(node)?;
        let output = ValueId(self.network.values.len());
        self.network.values.push(shape(&self.graph.tensors[node.output.0].shape));
        self.network.limits.push(self.limits(node.output, activation));
        self.value_of[node.output.0] = Some(output);
        self.network.steps.push(Step { name: node.name.clone(), layer, inputs, output });
        Ok(())
    }

    /// The real numbers at which the codes of a tensor end.
    fn limits(&self, tensor: TensorId, activation: Activation) -> [f32; 2] {
        let of = self.graph.tensors[tensor.0].quantization;
        [activation.min, activation.max]
            .map(|code| of.scale * (i32::from(code) - of.zero_point) as f32)
    }
}
