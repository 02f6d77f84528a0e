//! Convolutions and fully connected layers.

mod depthwise;
mod matrix;
mod stored;

use serde::{Deserialize, Serialize};
use vmin_quant::FixedMultiplier;

use super::{At, Operator, Plan, Window, position};
use crate::error::check_limit;
use crate::layers::height_width_channels;
use crate::{Activation, LayerShape, Limits, ModelError, WeightId, WeightTensor};

pub(crate) use depthwise::DepthwiseWeights;
pub(crate) use matrix::{MatrixFold, MatrixWeights};

/// The connections of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvKind {
    /// Every output channel sees every input channel.
    Dense,
    /// Every output channel sees one input channel (`out = in * multiplier`).
    Depthwise,
    /// Every output feature sees every input element; the window is 1x1.
    FullyConnected,
}

/// A convolution or, with a 1x1 kernel over a `[features]` tensor seen as `[1, 1, features]`, a
/// fully connected layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "stored::Conv2d", into = "stored::Conv2d")]
pub struct Conv2d {
    /// Dense, depthwise or fully connected.
    pub kind: ConvKind,
    /// Weight codes.
    pub weights: WeightId,
    /// One int32 bias per output channel, at scale `input_scale * weight_scale`.
    pub bias: Vec<i32>,
    /// Factor per output channel: `input_scale * weight_scale / output_scale`, with a batch norm's scale
    /// folded in here and not in the codes. The graph's [`Rounding`](crate::Rounding) takes its nearest fixed-point form, or
    /// the factor itself.
    pub multipliers: Vec<f64>,
    /// `[vertical, horizontal]` stride.
    pub stride: [usize; 2],
    /// `[vertical, horizontal]` dilation.
    pub dilation: [usize; 2],
    /// Zero padding before the first row and column: `[top, left]`.
    pub padding: [usize; 2],
    /// Clamp of the output.
    pub activation: Activation,
}

impl Operator for Conv2d {
    fn kind(&self) -> &'static str {
        match self.kind {
            ConvKind::Dense => "conv",
            ConvKind::Depthwise => "depthwise",
            ConvKind::FullyConnected => "fully_connected",
        }
    }

    fn check(&self, at: &At<'_>, limits: &Limits) -> Result<(), ModelError> {
        let (input, output) = (at.input(0), at.output());
        let error = |rule, found: String| Err(at.error(rule, found));
        let Some(weights) = at.graph.weights.get(self.weights.0) else {
            return error("the weights are a weight tensor", self.weights.0.to_string());
        };
        at.check_activation(self.activation)?;
        let (filters, per_filter) = match (self.kind, &*weights.shape) {
            (ConvKind::FullyConnected, &[out, features]) => {
                if input.elements() != features || output.elements() != out {
                    let found = format!("{:?} -> {:?}", input.shape, output.shape);
                    return error("features are those of the weights", found);
                }
                if (self.stride, self.dilation, self.padding) != ([1, 1], [1, 1], [0, 0]) {
                    return error("a fully connected layer has no window", format!("{self:?}"));
                }
                (out, features)
            }
            (ConvKind::Dense | ConvKind::Depthwise, &[out, kh, kw, per_group]) => {
                let (&[_, _, from], &[_, _, to]) = (&*input.shape, &*output.shape) else {
                    let found = format!("{:?} -> {:?}", input.shape, output.shape);
                    return error("tensors are [height, width, channels]", found);
                };
                let fits = match self.kind {
                    ConvKind::Dense | ConvKind::FullyConnected => per_group == from,
                    ConvKind::Depthwise => per_group == 1 && out % from == 0,
                };
                if !fits || to != out {
                    let found = format!("{from} -> {to} channels through {:?}", weights.shape);
                    return error("channels are those of the weights", found);
                }
                let window = Window {
                    size: [kh, kw],
                    stride: self.stride,
                    dilation: self.dilation,
                    padding: self.padding,
                };
                window.check(at)?;
                (out, kh * kw * per_group)
            }
            (_, shape) => {
                return error("weights have the rank of the layer", format!("{shape:?}"));
            }
        };
        let what = || format!("length of a dot product of `{}`", at.node().name);
        check_limit(what, per_filter, limits.dot_length_max)?;
        for (what, length) in [
            ("one bias per output channel", self.bias.len()),
            ("one multiplier per output channel", self.multipliers.len()),
        ] {
            if length != filters {
                return error(what, format!("{length} for {filters}"));
            }
        }
        for &factor in &self.multipliers {
            if FixedMultiplier::from_real(factor).is_err() {
                return error("multipliers are at least 0 and below 2^30", factor.to_string());
            }
        }
        Ok(())
    }

    fn layer(&self, at: &At<'_>, plain: LayerShape) -> LayerShape {
        let shape = &at.graph.weights[self.weights.0].shape;
        let weights: usize = shape.iter().product();
        let filters = shape[0];
        let k = weights.checked_div(filters).unwrap_or(0);
        let (input, output, kernel, groups) = match self.kind {
            ConvKind::FullyConnected => ([1, 1, k], [1, 1, filters], [1, 1], 1),
            ConvKind::Dense => (plain.input, plain.output, [shape[1], shape[2]], 1),
            ConvKind::Depthwise => {
                (plain.input, plain.output, [shape[1], shape[2]], plain.input[2])
            }
        };
        let m = output[0] * output[1];
        LayerShape {
            input,
            output,
            kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups,
            macs: (m as u64).saturating_mul(weights as u64),
            weights,
            m,
            n: filters.checked_div(groups).unwrap_or(0),
            k,
            vector_reads: 0,
            vector_writes: 0,
            ..plain
        }
    }

    fn reference(&self, at: &At<'_>, codes: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8> {
        let tensor = &at.graph.weights[self.weights.0];
        let weights = integers(tensor, &codes[self.weights.0]);
        match self.kind {
            ConvKind::FullyConnected => fully_connected(self, at, &weights, inputs[0]),
            ConvKind::Dense | ConvKind::Depthwise => {
                convolution(self, at, &weights, &tensor.shape, inputs[0])
            }
        }
    }

    fn plan(&self, at: &At<'_>) -> Box<dyn Plan> {
        match self.kind {
            ConvKind::Dense | ConvKind::FullyConnected => {
                Box::new(matrix::MatrixPlan::new(at, self))
            }
            ConvKind::Depthwise => Box::new(depthwise::DepthwisePlan::new(at, self)),
        }
    }
}

/// The weights as integers less their zero points.
fn integers(weights: &WeightTensor, codes: &[u8]) -> Vec<i32> {
    let per_channel = weights.codes.len() / weights.shape[0];
    let integer = |(index, &code): (usize, &u8)| {
        let channel = (index / per_channel) % weights.zero_points.len();
        i32::from(weights.encoding.decode(code, weights.bits)) - weights.zero_points[channel]
    };
    codes.iter().enumerate().map(integer).collect()
}

fn requantize(conv: &Conv2d, at: &At<'_>, channel: usize, acc: i32) -> i8 {
    let scaled = conv.scaled(at.graph.rounding, channel, acc);
    conv.activation.clamp(scaled.wrapping_add(at.output().quantization.zero_point))
}

fn fully_connected(conv: &Conv2d, at: &At<'_>, weights: &[i32], x: &[i8]) -> Vec<i8> {
    let zero = at.input(0).quantization.zero_point;
    let rows = weights.chunks(x.len()).enumerate();
    let row = |(channel, row): (usize, &[i32])| {
        let products = row.iter().zip(x).map(|(&w, &x)| w * (i32::from(x) - zero));
        let acc = products.fold(conv.bias[channel], i32::wrapping_add);
        requantize(conv, at, channel, acc)
    };
    rows.map(row).collect()
}

fn convolution(conv: &Conv2d, at: &At<'_>, weights: &[i32], shape: &[usize], x: &[i8]) -> Vec<i8> {
    let (from, to) = (at.input(0), at.output());
    let [in_h, in_w, in_c] = height_width_channels(&from.shape);
    let [out_h, out_w, out_c] = height_width_channels(&to.shape);
    let [kh, kw, per_group] = [shape[1], shape[2], shape[3]];
    let ([sv, sh], [dv, dh], [pt, pl]) = (conv.stride, conv.dilation, conv.padding);
    let zero = from.quantization.zero_point;
    let mut out = Vec::with_capacity(out_h * out_w * out_c);
    for oy in 0..out_h {
        for ox in 0..out_w {
            for channel in 0..out_c {
                let mut acc = conv.bias[channel];
                for ky in 0..kh {
                    let Some(iy) = position(oy, sv, ky, dv, pt, in_h) else { continue };
                    for kx in 0..kw {
                        let Some(ix) = position(ox, sh, kx, dh, pl, in_w) else { continue };
                        for c in 0..per_group {
                            let in_channel = match conv.kind {
                                ConvKind::Dense | ConvKind::FullyConnected => c,
                                ConvKind::Depthwise => channel / (out_c / in_c),
                            };
                            let x = i32::from(x[(iy * in_w + ix) * in_c + in_channel]) - zero;
                            let w = weights[((channel * kh + ky) * kw + kx) * per_group + c];
                            acc = acc.wrapping_add(x * w);
                        }
                    }
                }
                out.push(requantize(conv, at, channel, acc));
            }
        }
    }
    out
}
