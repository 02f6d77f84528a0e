//! Slow, obvious execution: the specification of every fast path.

use crate::exec::{AddParams, Rounding, SoftmaxParams};
use crate::layers::height_width_channels;
use crate::{
    Activation, Conv2d, ConvKind, Dtype, Graph, GroupNorm, Node, Op, Pool2d, PoolKind, Tensor,
};

/// Why a run was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input does not have the elements of the input tensor.
    #[error("the network takes {expected} input elements, found {found}")]
    Input {
        /// Elements of the input tensor.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// A weight set does not fit the graph.
    #[error("weight tensor {tensor} has {expected} codes, found {found}")]
    Weights {
        /// Index in [`Graph::weights`] (the number of tensors if that is wrong).
        tensor: usize,
        /// Codes of the graph's tensor.
        expected: usize,
        /// Codes given.
        found: usize,
    },
}

/// Runs `graph` with the weight `codes` (one vector per weight tensor, one code per byte) on one
/// input and returns every activation tensor in the order of [`Graph::tensors`].
///
/// # Errors
/// Lengths that do not fit the graph.
///
/// # Panics
/// If the graph does not pass [`Graph::validate`].
pub fn run(graph: &Graph, codes: &[Vec<u8>], input: &[i8]) -> Result<Vec<Vec<i8>>, RunError> {
    check_lengths(graph, codes, input)?;
    let mut tensors: Vec<Vec<i8>> = graph.tensors.iter().map(|t| vec![0; t.elements()]).collect();
    tensors[graph.input.0].copy_from_slice(input);
    for node in &graph.nodes {
        let result = run_node(graph, codes, node, &tensors);
        tensors[node.output.0] = result;
    }
    Ok(tensors)
}

/// Refuses a weight set or an input whose lengths do not fit the graph.
pub(crate) fn check_lengths(
    graph: &Graph,
    codes: &[Vec<u8>],
    input: &[i8],
) -> Result<(), RunError> {
    let expected = graph.tensors[graph.input.0].elements();
    if input.len() != expected {
        return Err(RunError::Input { expected, found: input.len() });
    }
    if codes.len() != graph.weights.len() {
        let (expected, found) = (graph.weights.len(), codes.len());
        return Err(RunError::Weights { tensor: expected, expected, found });
    }
    for (tensor, (weights, codes)) in graph.weights.iter().zip(codes).enumerate() {
        let (expected, found) = (weights.codes.len(), codes.len());
        if expected != found {
            return Err(RunError::Weights { tensor, expected, found });
        }
    }
    Ok(())
}

fn run_node(graph: &Graph, codes: &[Vec<u8>], node: &Node, tensors: &[Vec<i8>]) -> Vec<i8> {
    let from = &graph.tensors[node.inputs[0].0];
    let to = &graph.tensors[node.output.0];
    let x = &tensors[node.inputs[0].0];
    match &node.op {
        Op::Conv2d(conv) => {
            let weights = integers(graph, codes, conv);
            if conv.fully_connected {
                fully_connected(conv, &weights, from, to, x)
            } else {
                convolution(conv, &weights, &graph.weights[conv.weights.0].shape, from, to, x)
            }
        }
        Op::Pool2d(pool) => pooling(pool, from, to, x),
        Op::Add { activation } => {
            let other = &graph.tensors[node.inputs[1].0];
            let params = AddParams::new(from.quantization, other.quantization, to.quantization)
                .expect("a validated graph's sums have parameters");
            let pairs = x.iter().zip(&tensors[node.inputs[1].0]);
            pairs.map(|(&a, &b)| params.apply(a, b, *activation)).collect()
        }
        Op::GroupNorm(norm) => group_norm(norm, to, x),
        Op::Reshape => x.clone(),
        Op::Softmax { beta } => {
            let params = SoftmaxParams::new(*beta, from.quantization.scale)
                .expect("a validated graph's softmax has parameters");
            let length = from.shape.last().copied().unwrap_or(1);
            let mut out = vec![0; x.len()];
            for (out, row) in out.chunks_mut(length).zip(x.chunks(length)) {
                params.apply(row, out);
            }
            out
        }
    }
}

/// Every element with the sums of its group, taken anew, in the words of `group_norm.rs`.
fn group_norm(norm: &GroupNorm, to: &Tensor, x: &[i8]) -> Vec<i8> {
    let channels = to.shape.last().copied().unwrap_or(1);
    let of_group = channels / norm.groups;
    let one = |(index, &code): (usize, &i8)| {
        let channel = index % channels;
        let group: Vec<i128> = x
            .iter()
            .enumerate()
            .filter(|(other, _)| other % channels / of_group == channel / of_group)
            .map(|(_, &code)| i128::from(code))
            .collect();
        let count = group.len() as i128;
        let sum: i128 = group.iter().sum();
        let squares: i128 = group.iter().map(|x| x * x).sum();
        let spread = count * squares - sum * sum + i128::from(norm.epsilon);
        let root = ((1_i128 << 110) / spread).isqrt();
        let centred = count * i128::from(code) - sum;
        // gain (N x - S) R / 2^55 + offset + 1/2, over 2^digits.
        let gain = norm.gains[channel];
        let digits = 86 - gain.shift;
        let scaled = i128::from(gain.multiplier) * centred * root;
        let offset = i128::from(norm.offsets[channel]) * (1_i128 << (digits - 16));
        let rounded = (scaled + offset + (1_i128 << (digits - 1))).div_euclid(1_i128 << digits);
        let y = rounded + i128::from(to.quantization.zero_point);
        y.clamp(norm.activation.min.into(), norm.activation.max.into()) as i8
    };
    x.iter().enumerate().map(one).collect()
}

/// The weights as integers less their zero points.
fn integers(graph: &Graph, codes: &[Vec<u8>], conv: &Conv2d) -> Vec<i32> {
    let weights = &graph.weights[conv.weights.0];
    let per_channel = weights.codes.len() / weights.shape[0];
    let integer = |(index, &code): (usize, &u8)| {
        let channel = (index / per_channel) % weights.zero_points.len();
        i32::from(weights.encoding.decode(code, weights.bits)) - weights.zero_points[channel]
    };
    codes[conv.weights.0].iter().enumerate().map(integer).collect()
}

fn requantize(conv: &Conv2d, channel: usize, acc: i32, to: &Tensor) -> i8 {
    let scaled = Rounding::of(conv).apply(conv.multipliers[channel], acc);
    clamp(scaled.wrapping_add(to.quantization.zero_point), conv.activation)
}

fn clamp(code: i32, activation: Activation) -> i8 {
    code.clamp(i32::from(activation.min), i32::from(activation.max)) as i8
}

fn fully_connected(
    conv: &Conv2d,
    weights: &[i32],
    from: &Tensor,
    to: &Tensor,
    x: &[i8],
) -> Vec<i8> {
    let zero = from.quantization.zero_point;
    let rows = weights.chunks(x.len()).enumerate();
    let row = |(channel, row): (usize, &[i32])| {
        let products = row.iter().zip(x).map(|(&w, &x)| w * (i32::from(x) - zero));
        let acc = products.fold(conv.bias[channel], i32::wrapping_add);
        requantize(conv, channel, acc, to)
    };
    rows.map(row).collect()
}

/// Position in an axis of `length`, or `None` in the padding.
fn position(
    out: usize,
    stride: usize,
    tap: usize,
    dilation: usize,
    padding: usize,
    length: usize,
) -> Option<usize> {
    (out * stride + tap * dilation).checked_sub(padding).filter(|&p| p < length)
}

fn convolution(
    conv: &Conv2d,
    weights: &[i32],
    shape: &[usize],
    from: &Tensor,
    to: &Tensor,
    x: &[i8],
) -> Vec<i8> {
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
                                ConvKind::Dense => c,
                                ConvKind::Depthwise => channel / (out_c / in_c),
                            };
                            let x = i32::from(x[(iy * in_w + ix) * in_c + in_channel]) - zero;
                            let w = weights[((channel * kh + ky) * kw + kx) * per_group + c];
                            acc = acc.wrapping_add(x * w);
                        }
                    }
                }
                out.push(requantize(conv, channel, acc, to));
            }
        }
    }
    out
}

fn pooling(pool: &Pool2d, from: &Tensor, to: &Tensor, x: &[i8]) -> Vec<i8> {
    let [in_h, in_w, channels] = height_width_channels(&from.shape);
    let [out_h, out_w, _] = height_width_channels(&to.shape);
    let ([sv, sh], [pt, pl]) = (pool.stride, pool.padding);
    let mut out = Vec::with_capacity(out_h * out_w * channels);
    for oy in 0..out_h {
        for ox in 0..out_w {
            for c in 0..channels {
                let mut values = Vec::new();
                for ky in 0..pool.window[0] {
                    let Some(iy) = position(oy, sv, ky, 1, pt, in_h) else { continue };
                    for kx in 0..pool.window[1] {
                        let Some(ix) = position(ox, sh, kx, 1, pl, in_w) else { continue };
                        values.push(i32::from(x[(iy * in_w + ix) * channels + c]));
                    }
                }
                let value = match pool.kind {
                    PoolKind::Max => values.iter().copied().max().unwrap_or(-128),
                    PoolKind::Average => mean(values.iter().sum(), values.len() as i32, from.dtype),
                };
                out.push(clamp(value, pool.activation));
            }
        }
    }
    out
}

/// The mean of `count` codes, rounded half away from the zero of the declared element type.
pub(crate) fn mean(sum: i32, count: i32, dtype: Dtype) -> i32 {
    let shift = match dtype {
        Dtype::I8 => 0,
        Dtype::U8 => 128,
    };
    let sum = sum + shift * count;
    let half = if sum > 0 { count / 2 } else { -(count / 2) };
    (sum + half) / count - shift
}
