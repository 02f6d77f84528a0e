//! A convolution in vmin's own files.

use serde::{Deserialize, Serialize};

use crate::{Activation, ConvKind, WeightId};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conv2d {
    kind: ConvKind,
    weights: WeightId,
    bias: Vec<i32>,
    #[serde(with = "crate::import::native::factors")]
    multipliers: Vec<f64>,
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
    clamp: Activation,
}

impl From<Conv2d> for super::Conv2d {
    fn from(stored: Conv2d) -> Self {
        let Conv2d { kind, weights, bias, multipliers, stride, dilation, padding, clamp } = stored;
        Self { kind, weights, bias, multipliers, stride, dilation, padding, activation: clamp }
    }
}

impl From<super::Conv2d> for Conv2d {
    fn from(conv: super::Conv2d) -> Self {
        Self {
            kind: conv.kind,
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
