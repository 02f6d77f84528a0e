//! The integer graph from fused steps, codes and ranges.

use vmin_nn::{
    Activation, Add, Conv2d, ConvKind, Dtype, Graph, GroupNorm, Node, Op, Pixels, Pool2d,
    Quantization, Rounding, Tensor, TensorId, WeightId, WeightTensor,
};
use vmin_quant::FixedMultiplier;

use super::calibrate::Range;
use super::fusion::Fused;
use crate::codec::Encoded;
use crate::network::{self, EPSILON, Layer, Network, ParameterId, ValueId};
use crate::real::Real;
use crate::recipe::InputScaling;
use crate::{DeployError, Trained};

/// Unit of the offsets of a normalization: 2^-16 codes.
pub(crate) const OFFSET_UNIT: f64 = 65_536.0;
const CODE_MIN: i32 = -128;
const CODE_MAX: i32 = 127;

/// Builds the graph.
pub(super) fn lower(
    trained: &Trained,
    stored: Vec<Encoded>,
    steps: &[Fused<'_>],
    ranges: &[Range],
) -> Result<Graph, DeployError> {
    let net = &trained.network;
    let mut lowering = Lowering {
        net,
        bits: trained.recipe.storage().bits,
        stored: stored.into_iter(),
        ranges,
        tensor_of: vec![None; net.values.len()],
        graph: Graph {
            name: trained.recipe.name.clone(),
            tensors: Vec::new(),
            weights: Vec::new(),
            nodes: Vec::new(),
            input: TensorId(0),
            output: TensorId(0),
            rounding: Rounding::default(),
            pixels: Some(Pixels::Codes { offset: -CODE_MIN }),
        },
    };
    let input = input_quantization(trained.recipe.input);
    lowering.tensor("input".to_owned(), ValueId(0), net.values[0].to_vec(), input);
    for step in steps {
        lowering.step(step)?;
    }
    lowering.graph.output = lowering.source(net.output())?;
    Ok(lowering.graph)
}

/// `scale * (pixel - zero_pixel)` with `code = pixel - 128`: no rounding.
pub(crate) fn input_quantization(input: InputScaling) -> Quantization {
    Quantization { scale: input.scale, zero_point: i32::from(input.zero_pixel) + CODE_MIN }
}

struct Lowering<'a> {
    net: &'a Network,
    bits: u8,
    /// The weights of the remaining steps, in order.
    stored: std::vec::IntoIter<Encoded>,
    ranges: &'a [Range],
    /// The tensor of every value that exists in the integer graph.
    tensor_of: Vec<Option<TensorId>>,
    graph: Graph,
}

impl Lowering<'_> {
    fn step(&mut self, fused: &Fused<'_>) -> Result<(), DeployError> {
        let step = fused.step;
        let from = self.source(step.inputs[0])?;
        let value = fused.output;
        let shape = self.net.values[value.0].to_vec();
        match &step.layer {
            Layer::Conv2d(layer) => {
                let from = self.viewed(from, &layer.input);
                let to = self.calibrated(&step.name, value, shape);
                let mut op = self.product(fused, from, to, layer.weights, layer.bias)?;
                op.stride = [layer.stride; 2];
                op.padding = [layer.padding; 2];
                self.node(&step.name, Op::Conv2d(op), vec![from], to);
            }
            Layer::FullyConnected(layer) => {
                let from = self.viewed(from, &[layer.inputs]);
                let to = self.calibrated(&step.name, value, vec![layer.outputs]);
                let mut op = self.product(fused, from, to, layer.weights, Some(layer.bias))?;
                op.kind = ConvKind::FullyConnected;
                self.node(&step.name, Op::Conv2d(op), vec![from], to);
            }
            Layer::Add => {
                let shape = self.graph.tensors[from.0].shape.clone();
                let other = self.source(step.inputs[1])?;
                let other = self.viewed(other, &shape);
                let to = self.calibrated(&step.name, value, shape);
                let activation = self.activation(fused, to);
                self.node(&step.name, Op::Add(Add { activation }), vec![from, other], to);
            }
            Layer::Pool2d(layer) => {
                let from = self.viewed(from, &layer.input);
                // A pool only selects or averages codes: output and input have the same quantization.
                let quantization = self.graph.tensors[from.0].quantization;
                let to = self.tensor(step.name.clone(), value, shape, quantization);
                let pool = Pool2d {
                    kind: layer.kind,
                    window: layer.window,
                    stride: layer.window,
                    padding: [0, 0],
                    activation: self.activation(fused, to),
                };
                self.node(&step.name, Op::Pool2d(pool), vec![from], to);
            }
            Layer::GroupNorm(layer) => {
                let from = self.viewed(from, &layer.shape);
                let to = self.calibrated(&step.name, value, shape);
                let op = self.group_norm(fused, layer, from, to)?;
                self.node(&step.name, Op::GroupNorm(op), vec![from], to);
            }
            Layer::Relu | Layer::BatchNorm(_) => {
                return Err(DeployError::Rectifier { step: step.name.clone() });
            }
        }
        Ok(())
    }

    /// A normalization with `epsilon` and parameters in units of codes.
    fn group_norm(
        &self,
        fused: &Fused<'_>,
        layer: &network::GroupNorm,
        from: TensorId,
        to: TensorId,
    ) -> Result<GroupNorm, DeployError> {
        let [scale_in, scale_out] =
            [from, to].map(|id| f64::from(self.graph.tensors[id.0].quantization.scale));
        let values = |id: ParameterId| self.net.parameters[id.0].values.iter().copied();
        let out_of_range = |factor| DeployError::Factor { step: fused.step.name.clone(), factor };
        let gain = |a: f32| {
            let factor = (1.0 + f64::from(a)) / scale_out;
            FixedMultiplier::from_real(factor).map_err(|_| out_of_range(factor))
        };
        let offset = |b: f32| {
            let factor = f64::from(b) / scale_out * OFFSET_UNIT;
            if factor.abs() < f64::from(i32::MAX) {
                Ok(round(factor))
            } else {
                Err(out_of_range(factor))
            }
        };
        let count = layer.shape.iter().product::<usize>() as f64 / layer.groups as f64;
        let epsilon = libm::round(EPSILON * count * count / (scale_in * scale_in)).max(1.0);
        Ok(GroupNorm {
            groups: layer.groups,
            // Saturates; the check of the graph rejects values that are too large.
            epsilon: epsilon as u64,
            gains: values(layer.scale).map(gain).collect::<Result<_, _>>()?,
            offsets: values(layer.shift).map(offset).collect::<Result<_, _>>()?,
            activation: self.activation(fused, to),
        })
    }

    /// The operation of a layer with weights, with unit geometry.
    fn product(
        &mut self,
        fused: &Fused<'_>,
        from: TensorId,
        to: TensorId,
        weights: ParameterId,
        bias: Option<ParameterId>,
    ) -> Result<Conv2d, DeployError> {
        let parameter = &self.net.parameters[weights.0];
        let Some(stored) = self.stored.next() else {
            return Err(DeployError::Run(format!("`{}` has no codes", parameter.name)));
        };
        let [scale_in, scale_out] =
            [from, to].map(|id| f64::from(self.graph.tensors[id.0].quantization.scale));
        let scale_sum = scale_in * f64::from(stored.scale);
        let channels = self.affine(fused, bias, parameter.shape[0]);
        let multiplier = |&(gain, _): &(f64, f64)| {
            let factor = gain * scale_sum / scale_out;
            FixedMultiplier::from_real(factor)
                .map(FixedMultiplier::real)
                .map_err(|_| DeployError::Factor { step: fused.step.name.clone(), factor })
        };
        let multipliers = channels.iter().map(multiplier).collect::<Result<_, _>>()?;
        let id = WeightId(self.graph.weights.len());
        self.graph.weights.push(WeightTensor {
            name: parameter.name.clone(),
            shape: parameter.shape.clone(),
            bits: self.bits,
            encoding: stored.encoding,
            codes: stored.codes,
            scales: vec![stored.scale],
            zero_points: vec![stored.zero_point],
        });
        Ok(Conv2d {
            kind: ConvKind::Dense,
            weights: id,
            bias: channels.iter().map(|(_, bias)| round(bias / scale_sum)).collect(),
            multipliers,
            stride: [1, 1],
            dilation: [1, 1],
            padding: [0, 0],
            activation: self.activation(fused, to),
        })
    }

    /// The line `gain * (sum + bias)` of every output channel. A batch
    /// normalization `g (sum + b - mean) + shift` has gain g and bias `b - mean + shift / g`.
    fn affine(
        &self,
        fused: &Fused<'_>,
        bias: Option<ParameterId>,
        channels: usize,
    ) -> Vec<(f64, f64)> {
        let value = |id: ParameterId, c: usize| f64::from(self.net.parameters[id.0].values[c]);
        let bias = |c| bias.map_or(0.0, |id| value(id, c));
        let Some(norm) = fused.norm else {
            return (0..channels).map(|c| (1.0, bias(c))).collect();
        };
        let statistics = &self.net.statistics[norm.statistics];
        let inverse = statistics.inverse_deviations().zip(&statistics.mean).enumerate();
        inverse
            .map(|(c, (inverse, &mean))| {
                let gain = (1.0 + value(norm.scale, c)) * inverse;
                (gain, bias(c) - f64::from(mean) + value(norm.shift, c) / gain)
            })
            .collect()
    }

    fn activation(&self, fused: &Fused<'_>, to: TensorId) -> Activation {
        let zero_point = self.graph.tensors[to.0].quantization.zero_point;
        let min = if fused.rectified { zero_point } else { CODE_MIN };
        Activation { min: i8::try_from(min).unwrap_or(i8::MIN), max: i8::MAX }
    }

    /// A tensor for `value` that covers its calibrated range.
    fn calibrated(&mut self, name: &str, value: ValueId, shape: Vec<usize>) -> TensorId {
        self.tensor(name.to_owned(), value, shape, covering(self.ranges[value.0]))
    }

    fn tensor(
        &mut self,
        name: String,
        value: ValueId,
        shape: Vec<usize>,
        quantization: Quantization,
    ) -> TensorId {
        let id = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(Tensor { name, shape, dtype: Dtype::I8, quantization });
        self.tensor_of[value.0] = Some(id);
        id
    }

    /// The tensor of a value from an earlier step.
    fn source(&self, value: ValueId) -> Result<TensorId, DeployError> {
        self.tensor_of[value.0]
            .ok_or_else(|| DeployError::Run(format!("value {} is not made", value.0)))
    }

    /// The tensor in this shape, through a reshape if it has another one.
    fn viewed(&mut self, from: TensorId, shape: &[usize]) -> TensorId {
        let tensor = &self.graph.tensors[from.0];
        if tensor.shape == shape {
            return from;
        }
        let name = format!("reshape_{}", self.graph.nodes.len());
        let view = Tensor { name: name.clone(), shape: shape.to_vec(), ..tensor.clone() };
        let to = TensorId(self.graph.tensors.len());
        self.graph.tensors.push(view);
        self.node(&name, Op::Reshape, vec![from], to);
        to
    }

    fn node(&mut self, name: &str, op: Op, inputs: Vec<TensorId>, output: TensorId) {
        self.graph.nodes.push(Node { name: name.to_owned(), op, inputs, output });
    }
}

/// int8 codes over a range around 0, with a code for 0 itself. A value that is always 0 (after a rectifier
/// without positive inputs) has steps of 1.
pub(crate) fn covering(range: Range) -> Quantization {
    let (low, high) = (f64::from(range.low), f64::from(range.high));
    let scale = f32::of((high - low) / f64::from(CODE_MAX - CODE_MIN));
    if !scale.is_normal() {
        return Quantization { scale: 1.0, zero_point: 0 };
    }
    let zero_point = round(f64::from(CODE_MIN) - low / f64::from(scale));
    Quantization { scale, zero_point: zero_point.clamp(CODE_MIN, CODE_MAX) }
}

/// Nearest integer, halves away from zero, saturating.
#[expect(clippy::cast_possible_truncation, reason = "float to integer casts saturate")]
fn round(x: f64) -> i32 {
    libm::round(x) as i32
}

#[cfg(test)]
mod tests {
    use super::{Range, covering};

    #[test]
    fn ranges_are_covered_and_hold_zero() {
        for (low, high) in [(0.0, 4.0), (-3.0, 0.0), (-1.0, 9.0), (-1e-3, 1e3), (0.0, 0.0)] {
            let quantization = covering(Range { low, high });
            let meaning = |code: i32| (code - quantization.zero_point) as f32 * quantization.scale;
            assert!((-128..=127).contains(&quantization.zero_point));
            let half = 0.51 * quantization.scale;
            assert!(meaning(-128) <= low + half && meaning(127) >= high - half, "{low} {high}");
        }
    }
}
