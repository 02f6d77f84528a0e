//! The tables of a TFLite file as a [`Graph`].

use std::collections::BTreeMap;

use super::operators::{self as ops, Window};
use super::schema::{Model, Operator, Options, SubGraph, tensor_type};
use super::tensors::{self, WeightLayout};
use crate::error::check_limit;
use crate::{
    Add, Conv2d, ConvKind, Extremum, ExtremumKind, Graph, Limits, ModelError, Node, Op, Pixels,
    Pool2d, PoolKind, Rounding, Softmax, TensorId, WeightId,
};

struct Importer<'a, 'b> {
    model: &'a Model<'b>,
    subgraph: &'a SubGraph<'b>,
    limits: &'a Limits,
    /// The file tensor that replaces each file tensor: itself, except around QUANTIZE.
    alias: Vec<usize>,
    activations: BTreeMap<usize, TensorId>,
    weights: BTreeMap<(usize, WeightLayout), WeightId>,
    graph: Graph,
}

pub(super) fn graph(model: &Model<'_>, limits: &Limits) -> Result<Graph, ModelError> {
    if model.version != 3 {
        return Err(ModelError::graph("the schema version is 3", model.version));
    }
    let [subgraph] = model.subgraphs.as_slice() else {
        return Err(ModelError::graph("a file holds one subgraph", model.subgraphs.len()));
    };
    check_limit(|| "number of tensors".into(), subgraph.tensors.len(), limits.tensors_max)?;
    check_limit(|| "number of operators".into(), subgraph.operators.len(), limits.nodes_max)?;
    let importer = Importer {
        model,
        subgraph,
        limits,
        alias: (0..subgraph.tensors.len()).collect(),
        activations: BTreeMap::new(),
        weights: BTreeMap::new(),
        graph: Graph {
            name: String::from_utf8_lossy(subgraph.name).into_owned(),
            tensors: Vec::new(),
            weights: Vec::new(),
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
            rounding: Rounding::Litert23,
            pixels: None,
        },
    };
    importer.run()
}

impl Importer<'_, '_> {
    fn run(mut self) -> Result<Graph, ModelError> {
        // Numbers are resolved first, so that an unsupported operator is the first error.
        let numbers = self.operator_numbers()?;
        for (operator, &number) in self.subgraph.operators.iter().zip(&numbers) {
            self.find_alias(operator, number)?;
        }
        self.graph.input = self.end("input", &self.subgraph.inputs)?;
        for (index, (operator, &number)) in self.subgraph.operators.iter().zip(&numbers).enumerate()
        {
            self.operator(index, operator, number)?;
        }
        self.graph.output = self.end("output", &self.subgraph.outputs)?;
        let input = &self.graph.tensors[self.graph.input.0];
        self.graph.pixels = Pixels::of_range(input.quantization);
        Ok(self.graph)
    }

    fn operator_numbers(&self) -> Result<Vec<i32>, ModelError> {
        let of = |(index, operator): (usize, &Operator)| {
            let code = self.model.operator_codes.get(operator.code as usize).ok_or_else(|| {
                ModelError::node(
                    &index.to_string(),
                    "the operator code is in range",
                    format!("{} of {}", operator.code, self.model.operator_codes.len()),
                )
            })?;
            if ops::operator_name(code.builtin).is_some() {
                return Ok(code.builtin);
            }
            let custom = &code.custom;
            Err(ModelError::UnsupportedOperator {
                index,
                operator: match custom.is_empty() {
                    true => format!("builtin operator {}", code.builtin),
                    false => custom.clone(),
                },
                supported: super::supported_operators().collect::<Vec<_>>().join(", "),
            })
        };
        self.subgraph.operators.iter().enumerate().map(of).collect()
    }

    fn end(&mut self, what: &'static str, ids: &[i32]) -> Result<TensorId, ModelError> {
        let [id] = ids else {
            let rule = "a network has one input and one output";
            return Err(ModelError::graph(rule, format!("{} {what}s", ids.len())));
        };
        self.activation(what, *id)
    }

    /// QUANTIZE and DEQUANTIZE change no held code where they stand at the ends (towards float) or
    /// only move the zero of an unsigned tensor: the two tensors become one.
    fn find_alias(&mut self, operator: &Operator, number: i32) -> Result<(), ModelError> {
        if number != ops::QUANTIZE && number != ops::DEQUANTIZE {
            return Ok(());
        }
        let node = ops::operator_name(number).unwrap_or_default();
        let (from, to) = match (operator.inputs.as_slice(), operator.outputs.as_slice()) {
            ([from], [to]) => (self.index(node, *from)?, self.index(node, *to)?),
            _ => return Err(ModelError::node(node, "one input and one output", "others")),
        };
        let is_float = |i: usize| self.subgraph.tensors[i].element_type == tensor_type::FLOAT32;
        if number == ops::DEQUANTIZE && is_float(to) && !is_float(from) {
            self.alias[to] = from;
        } else if number == ops::QUANTIZE && is_float(from) && !is_float(to) {
            self.alias[from] = to;
        } else {
            let source = tensors::activation(&self.subgraph.tensors[from], self.limits)?;
            let target = tensors::activation(&self.subgraph.tensors[to], self.limits)?;
            if source.quantization != target.quantization || source.shape != target.shape {
                let rule = "between integer tensors only a shift of the zero by 128 is supported";
                return Err(ModelError::node(node, rule, "another scale or zero point"));
            }
            self.alias[to] = self.alias[from];
        }
        Ok(())
    }

    fn index(&self, node: &str, id: i32) -> Result<usize, ModelError> {
        usize::try_from(id).ok().filter(|&i| i < self.subgraph.tensors.len()).ok_or_else(|| {
            let found = format!("{id} of {}", self.subgraph.tensors.len());
            ModelError::node(node, "tensor indices are in range", found)
        })
    }

    fn activation(&mut self, node: &str, id: i32) -> Result<TensorId, ModelError> {
        let index = self.alias[self.index(node, id)?];
        if let Some(&known) = self.activations.get(&index) {
            return Ok(known);
        }
        let tensor = &self.subgraph.tensors[index];
        if !self.data(index)?.is_empty() {
            let rule = "an activation is computed, constant operands are not supported";
            return Err(ModelError::tensor(&tensors::name(tensor), rule, "a constant"));
        }
        let id = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(tensors::activation(tensor, self.limits)?);
        self.activations.insert(index, id);
        Ok(id)
    }

    /// The constant bytes of a tensor, empty where it has none.
    fn data(&self, index: usize) -> Result<&[u8], ModelError> {
        let tensor = &self.subgraph.tensors[index];
        let error = |rule, found| ModelError::tensor(&tensors::name(tensor), rule, found);
        let buffer = self.model.buffers.get(tensor.buffer as usize).ok_or_else(|| {
            let found = format!("{} of {}", tensor.buffer, self.model.buffers.len());
            error("the buffer index is in range", found)
        })?;
        if buffer.is_external {
            return Err(error("buffers lie inside the flatbuffer", "an external one".into()));
        }
        Ok(buffer.data)
    }

    fn weights(
        &mut self,
        node: &str,
        id: i32,
        layout: WeightLayout,
    ) -> Result<WeightId, ModelError> {
        let index = self.index(node, id)?;
        if let Some(&known) = self.weights.get(&(index, layout)) {
            return Ok(known);
        }
        let tensor = &self.subgraph.tensors[index];
        let weights = tensors::weights(tensor, self.data(index)?, layout, self.limits)?;
        let total = self.graph.weights_total().saturating_add(weights.codes.len());
        check_limit(|| "number of weights".into(), total, self.limits.weights_max)?;
        let id = WeightId(self.graph.weights.len());
        self.graph.weights.push(weights);
        self.weights.insert((index, layout), id);
        Ok(id)
    }

    fn operator(
        &mut self,
        index: usize,
        operator: &Operator,
        number: i32,
    ) -> Result<(), ModelError> {
        if number == ops::QUANTIZE || number == ops::DEQUANTIZE {
            return Ok(());
        }
        let operator_name = ops::operator_name(number).unwrap_or_default();
        let name = format!("{}_{index}", operator_name.to_ascii_lowercase());
        let [output] = operator.outputs.as_slice() else {
            return Err(ModelError::node(&name, "one output", operator.outputs.len()));
        };
        let activation_inputs = ops::activation_inputs(number);
        if operator.inputs.len() < activation_inputs {
            return Err(ModelError::node(&name, "no input is missing", operator.inputs.len()));
        }
        let inputs = operator.inputs[..activation_inputs]
            .iter()
            .map(|&id| self.activation(&name, id))
            .collect::<Result<Vec<_>, _>>()?;
        let output = self.activation(&name, *output)?;
        let op = self.operation(&name, operator, number, inputs[0], output)?;
        self.graph.nodes.push(Node { name, op, inputs, output });
        Ok(())
    }

    fn operation(
        &mut self,
        name: &str,
        operator: &Operator,
        number: i32,
        input: TensorId,
        output: TensorId,
    ) -> Result<Op, ModelError> {
        let quantization = self.graph.tensors[output.0].quantization;
        match (number, &operator.options) {
            (ops::CONV_2D, &Options::Conv2d { padding, stride, activation, dilation }) => self
                .conv(
                    name,
                    operator,
                    ConvKind::Dense,
                    [input, output],
                    padding,
                    stride,
                    dilation,
                    activation,
                ),
            (
                ops::DEPTHWISE_CONV_2D,
                &Options::Depthwise { padding, stride, multiplier, activation, dilation },
            ) => {
                let op = self.conv(
                    name,
                    operator,
                    ConvKind::Depthwise,
                    [input, output],
                    padding,
                    stride,
                    dilation,
                    activation,
                )?;
                let channels = |id: TensorId| self.graph.tensors[id.0].shape.last().copied();
                let expected = channels(input)
                    .zip(usize::try_from(multiplier).ok())
                    .and_then(|(c, m)| c.checked_mul(m));
                // Old converters leave the multiplier at 0: the shapes then decide alone.
                if multiplier != 0 && expected != channels(output) {
                    let rule = "output channels are input channels times the depth multiplier";
                    return Err(ModelError::node(name, rule, multiplier));
                }
                Ok(op)
            }
            (ops::FULLY_CONNECTED, &Options::FullyConnected { activation, weights_format }) => {
                if weights_format != 0 {
                    let rule = "weights of a fully connected layer are in the default format (0)";
                    return Err(ModelError::node(name, rule, weights_format));
                }
                self.fully_connected(name, operator, [input, output], activation)
            }
            (ops::ADD, &Options::Add { activation }) => {
                let activation = ops::activation(name, activation, quantization)?;
                Ok(Op::Add(Add { activation }))
            }
            (
                ops::AVERAGE_POOL_2D | ops::MAX_POOL_2D,
                &Options::Pool { padding, stride, window, activation },
            ) => {
                let stride = ops::positive(name, "strides are at least 1", stride)?;
                let size = ops::positive(name, "the window is at least 1", window)?;
                let window = Window { size, stride, dilation: [1, 1] };
                let padding = self.place(name, window, padding, [input, output])?;
                Ok(Op::Pool2d(Pool2d {
                    kind: match number {
                        ops::MAX_POOL_2D => PoolKind::Max,
                        _ => PoolKind::Average,
                    },
                    window: size,
                    stride,
                    padding,
                    activation: ops::activation(name, activation, quantization)?,
                }))
            }
            (ops::MAXIMUM, _) => Ok(Op::Extremum(Extremum { kind: ExtremumKind::Maximum })),
            (ops::MINIMUM, _) => Ok(Op::Extremum(Extremum { kind: ExtremumKind::Minimum })),
            (ops::RESHAPE | ops::SQUEEZE, _) => Ok(Op::Reshape),
            (ops::SOFTMAX, &Options::Softmax { beta }) => Ok(Op::Softmax(Softmax { beta })),
            (_, Options::Other(found)) => {
                Err(ModelError::node(name, "the options are of the operator's type", found))
            }
            _ => Err(ModelError::node(name, "the options are of the operator's type", "others")),
        }
    }

    /// The padding of a window between two tensors, whose shapes must agree with it.
    fn place(
        &self,
        name: &str,
        window: Window,
        padding: i8,
        [input, output]: [TensorId; 2],
    ) -> Result<[usize; 2], ModelError> {
        let plane = |id: TensorId| match *self.graph.tensors[id.0].shape.as_slice() {
            [h, w, _] => Ok([h, w]),
            ref other => {
                let rule = "input and output are [1, height, width, channels]";
                Err(ModelError::node(name, rule, format!("{other:?} without the batch")))
            }
        };
        let (before, expected) = window.place(name, padding, plane(input)?)?;
        let found = plane(output)?;
        if expected != found {
            let found = format!("{found:?} where {expected:?} follows");
            return Err(ModelError::node(name, "the output has the size of its padding", found));
        }
        Ok(before)
    }

    fn conv(
        &mut self,
        name: &str,
        operator: &Operator,
        kind: ConvKind,
        [input, output]: [TensorId; 2],
        padding: i8,
        stride: [i32; 2],
        dilation: [i32; 2],
        activation: i8,
    ) -> Result<Op, ModelError> {
        let layout = match kind {
            ConvKind::Dense => WeightLayout::Conv,
            ConvKind::Depthwise => WeightLayout::Depthwise,
            ConvKind::FullyConnected => WeightLayout::FullyConnected,
        };
        let stride = ops::positive(name, "strides are at least 1", stride)?;
        let dilation = ops::positive(name, "dilations are at least 1", dilation)?;
        let (weights, bias) = self.parameters(name, operator, layout)?;
        let tensor = &self.graph.weights[weights.0];
        let signed = tensor.encoding == vmin_quant::Encoding::TwosComplement;
        if signed && tensor.zero_points.iter().any(|&z| z != 0) {
            let rule = "int8 weights of a convolution have zero point 0";
            return Err(ModelError::tensor(
                &tensor.name,
                rule,
                format!("{:?}", tensor.zero_points),
            ));
        }
        let window = Window { size: [tensor.shape[1], tensor.shape[2]], stride, dilation };
        let padding = self.place(name, window, padding, [input, output])?;
        let [from, to] = [input, output].map(|id| &self.graph.tensors[id.0]);
        Ok(Op::Conv2d(Conv2d {
            kind,
            weights,
            bias,
            multipliers: ops::multipliers(kind, from, tensor, to)?,
            stride,
            dilation,
            padding,
            activation: ops::activation(name, activation, to.quantization)?,
        }))
    }

    fn fully_connected(
        &mut self,
        name: &str,
        operator: &Operator,
        [input, output]: [TensorId; 2],
        activation: i8,
    ) -> Result<Op, ModelError> {
        let (weights, bias) = self.parameters(name, operator, WeightLayout::FullyConnected)?;
        let tensor = &self.graph.weights[weights.0];
        let [from, to] = [input, output].map(|id| &self.graph.tensors[id.0]);
        Ok(Op::Conv2d(Conv2d {
            kind: ConvKind::FullyConnected,
            weights,
            bias,
            multipliers: ops::multipliers(ConvKind::FullyConnected, from, tensor, to)?,
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
            activation: ops::activation(name, activation, to.quantization)?,
        }))
    }

    /// Weights and bias (zeros where there is none).
    fn parameters(
        &mut self,
        name: &str,
        operator: &Operator,
        layout: WeightLayout,
    ) -> Result<(WeightId, Vec<i32>), ModelError> {
        let Some(&weights) = operator.inputs.get(1) else {
            return Err(ModelError::node(name, "no input is missing", "no weights"));
        };
        let weights = self.weights(name, weights, layout)?;
        let channels = self.graph.weights[weights.0].shape[0];
        let bias = match operator.inputs.get(2) {
            None | Some(-1) => vec![0; channels],
            Some(&id) => {
                let index = self.index(name, id)?;
                tensors::bias(&self.subgraph.tensors[index], self.data(index)?, channels)?
            }
        };
        Ok((weights, bias))
    }
}
