//! A convolution in vmin's own files: LiteRT's rounding is left out.

use serde::{Deserialize, Serialize};
use vmin_quant::FixedMultiplier;

use crate::{Activation, ConvKind, RequantizeRounding, WeightId};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conv2d {
    kind: ConvKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    rounding: Option<RequantizeRounding>,
    weights: WeightId,
    bias: Vec<i32>,
    #[serde(with = "crate::import::native::multipliers")]
    multipliers: Vec<FixedMultiplier>,
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
    clamp: Activation,
}

impl From<Conv2d> for super::Conv2d {
    fn from(stored: Conv2d) -> Self {
        let Conv2d { kind, rounding, weights, bias, multipliers, stride, dilation, padding, clamp } =
            stored;
        Self {
            kind,
            rounding: rounding.unwrap_or(kind.litert_rounding()),
            weights,
            bias,
            multipliers,
            stride,
            dilation,
            padding,
            activation: clamp,
        }
    }
}

impl From<super::Conv2d> for Conv2d {
    fn from(conv: super::Conv2d) -> Self {
        Self {
            kind: conv.kind,
            rounding: (conv.rounding != conv.kind.litert_rounding()).then_some(conv.rounding),
            weights: conv.weights,
            bias: conv.bias,
            multipliers: conv.multipliers,
            stride: conv.stride,
            dilation: conv.dilation,
            padding: conv.padding,
            clamp: conv.activation,
        }
    }
}
