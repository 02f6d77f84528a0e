//! TFLite operator settings as integers: names, padding, fused activations, multipliers.

use vmin_quant::FixedMultiplier;

use crate::{Activation, ConvKind, ModelError, Quantization, Rounding, Tensor, WeightTensor};

/// The operators that can be imported: the schema's number and name, and the activation inputs.
pub(super) const SUPPORTED: &[(i32, &str, usize)] = &[
    (ADD, "ADD", 2),
    (AVERAGE_POOL_2D, "AVERAGE_POOL_2D", 1),
    (CONV_2D, "CONV_2D", 1),
    (DEPTHWISE_CONV_2D, "DEPTHWISE_CONV_2D", 1),
    (DEQUANTIZE, "DEQUANTIZE", 1),
    (FULLY_CONNECTED, "FULLY_CONNECTED", 1),
    (MAXIMUM, "MAXIMUM", 2),
    (MAX_POOL_2D, "MAX_POOL_2D", 1),
    (MINIMUM, "MINIMUM", 2),
    (QUANTIZE, "QUANTIZE", 1),
    (RESHAPE, "RESHAPE", 1),
    (SOFTMAX, "SOFTMAX", 1),
    (SQUEEZE, "SQUEEZE", 1),
];

pub(super) const ADD: i32 = 0;
pub(super) const AVERAGE_POOL_2D: i32 = 1;
pub(super) const CONV_2D: i32 = 3;
pub(super) const DEPTHWISE_CONV_2D: i32 = 4;
pub(super) const DEQUANTIZE: i32 = 6;
pub(super) const FULLY_CONNECTED: i32 = 9;
pub(super) const MAX_POOL_2D: i32 = 17;
pub(super) const RESHAPE: i32 = 22;
pub(super) const SOFTMAX: i32 = 25;
pub(super) const SQUEEZE: i32 = 43;
pub(super) const MAXIMUM: i32 = 55;
pub(super) const MINIMUM: i32 = 57;
pub(super) const QUANTIZE: i32 = 114;

/// The schema's name of a supported operator.
pub(super) fn operator_name(number: i32) -> Option<&'static str> {
    SUPPORTED.iter().find(|(n, ..)| *n == number).map(|(_, name, _)| *name)
}

/// The number of activation inputs of a supported operator.
pub(super) fn activation_inputs(number: i32) -> usize {
    SUPPORTED.iter().find(|(n, ..)| *n == number).map_or(1, |(.., inputs)| *inputs)
}

/// Two positive settings, `[vertical, horizontal]`.
pub(super) fn positive(
    node: &str,
    rule: &'static str,
    values: [i32; 2],
) -> Result<[usize; 2], ModelError> {
    match values.map(usize::try_from) {
        [Ok(v), Ok(h)] if v > 0 && h > 0 => Ok([v, h]),
        _ => Err(ModelError::node(node, rule, format!("{values:?}"))),
    }
}

/// A sliding window along both axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) size: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
}

impl Window {
    /// Padding before the first row and column, and the output size, for the schema's padding
    /// number: SAME spreads what `ceil(input / stride)` outputs need, the smaller half first.
    pub(super) fn place(
        &self,
        node: &str,
        padding: i8,
        input: [usize; 2],
    ) -> Result<([usize; 2], [usize; 2]), ModelError> {
        let mut before = [0; 2];
        let mut output = [0; 2];
        for axis in 0..2 {
            let reach = (self.size[axis] - 1)
                .checked_mul(self.dilation[axis])
                .and_then(|r| r.checked_add(1))
                .ok_or_else(|| {
                    let found = format!("{:?} x {:?}", self.size, self.dilation);
                    ModelError::node(node, "the dilated window has a size", found)
                })?;
            (before[axis], output[axis]) = match padding {
                0 => {
                    let output = input[axis].div_ceil(self.stride[axis]);
                    let needed = (output.saturating_sub(1))
                        .saturating_mul(self.stride[axis])
                        .saturating_add(reach);
                    (needed.saturating_sub(input[axis]) / 2, output)
                }
                1 => match input[axis].checked_sub(reach) {
                    Some(room) => (0, room / self.stride[axis] + 1),
                    None => {
                        return Err(ModelError::node(
                            node,
                            "without padding the window fits into the input",
                            format!("a window of {reach} in {}", input[axis]),
                        ));
                    }
                },
                other => {
                    let rule = "padding is SAME (0) or VALID (1)";
                    return Err(ModelError::node(node, rule, other));
                }
            };
        }
        Ok((before, output))
    }
}

/// The clamp of a fused activation function on an output tensor.
pub(super) fn activation(
    node: &str,
    function: i8,
    output: Quantization,
) -> Result<Activation, ModelError> {
    let full = Activation { min: i8::MIN, max: i8::MAX };
    let bounds: (Option<f32>, Option<f32>) = match function {
        0 => (None, None),
        1 => (Some(0.0), None),
        2 => (Some(-1.0), Some(1.0)),
        3 => (Some(0.0), Some(6.0)),
        other => {
            return Err(ModelError::node(
                node,
                "fused activations are NONE (0), RELU (1), RELU_N1_TO_1 (2), RELU6 (3)",
                other,
            ));
        }
    };
    let min = bounds.0.map_or(full.min, |real| code_of(real, output));
    let max = bounds.1.map_or(full.max, |real| code_of(real, output));
    Ok(Activation { min, max })
}

/// `zero_point + round(real / scale)`, saturated.
fn code_of(real: f32, q: Quantization) -> i8 {
    let steps = libm::roundf(real / q.scale).clamp(-1e6, 1e6) as i32;
    (steps + q.zero_point).clamp(-128, 127) as i8
}

/// The factors of every output channel under LiteRT's rounding; convolutions hold their fixed-point form.
pub(super) fn multipliers(
    kind: ConvKind,
    input: &Tensor,
    weights: &WeightTensor,
    output: &Tensor,
) -> Result<Vec<f64>, ModelError> {
    let scales = [input, output].map(|tensor| tensor.quantization.scale);
    let of = |channel| {
        let factor = Rounding::Litert23.factor(kind, weights, channel, scales);
        let held = FixedMultiplier::from_real(factor).map_err(|error| {
            let rule = "input scale times weight scale over output scale is below 2^30";
            ModelError::tensor(&weights.name, rule, error.0)
        })?;
        Ok(match kind {
            ConvKind::Dense | ConvKind::Depthwise => held.real(),
            ConvKind::FullyConnected => factor,
        })
    };
    (0..weights.shape[0]).map(of).collect()
}
