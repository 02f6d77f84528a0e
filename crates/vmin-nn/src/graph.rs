//! The graph: tensors, weights, operations.
//!
//! Arithmetic follows the int8 rules of LiteRT: `real = scale * (q - zero_point)`, int32
//! accumulators, requantization by a 31-bit multiplier and a shift. Layout of activations is
//! `[height, width, channels]` (or `[features]`), of convolution weights
//! `[out_channels, kernel_height, kernel_width, in_channels_per_group]`.

use serde::{Deserialize, Serialize};
use vmin_quant::Encoding;

use crate::{Op, Pixels, Rounding};

/// Index of a [`Tensor`] in [`Graph::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub usize);

/// Index of a [`WeightTensor`] in [`Graph::weights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WeightId(pub usize);

/// Declared element type of an activation tensor.
///
/// Execution always holds `i8`; an unsigned tensor is held shifted by 128 (code and zero point).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Signed 8 bit.
    I8,
    /// Unsigned 8 bit, held as `q - 128`.
    U8,
}

/// Affine quantization of an activation tensor: `real = scale * (q - zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantization {
    /// Size of one step.
    pub scale: f32,
    /// The code that means zero, `-128..=127`.
    pub zero_point: i32,
}

/// An activation tensor for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name from the source file.
    pub name: String,
    /// Shape without the batch axis: `[height, width, channels]` or `[features]`.
    pub shape: Vec<usize>,
    /// Declared element type.
    pub dtype: Dtype,
    /// Scale and zero point of the codes.
    pub quantization: Quantization,
}

impl Tensor {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The codes of one weight tensor, one code per byte (low `bits` bits used), in the layout of its
/// operation. The weight memory stores them, packed without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// Name from the source file.
    pub name: String,
    /// `[out, kh, kw, in/groups]` for convolutions, `[out, in]` for fully connected layers.
    pub shape: Vec<usize>,
    /// Stored bits per code, 1..=8.
    pub bits: u8,
    /// Encoding of integers as codes.
    pub encoding: Encoding,
    /// One byte per code; bits above `bits` are zero.
    pub codes: Vec<u8>,
    /// Scale per output channel, or one for the whole tensor: `real = scale * (integer - zero_point)`.
    pub scales: Vec<f32>,
    /// Zero point per output channel or one for the whole tensor, in decoded integers.
    pub zero_points: Vec<i32>,
}

/// Clamp of the output codes (a fused activation function), inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[i8; 2]", into = "[i8; 2]")]
pub struct Activation {
    /// Lowest output code.
    pub min: i8,
    /// Highest output code.
    pub max: i8,
}

impl Activation {
    /// The nearest code within the bounds.
    #[must_use]
    #[inline]
    pub fn clamp(self, code: i32) -> i8 {
        code.clamp(self.min.into(), self.max.into()) as i8
    }
}

impl From<[i8; 2]> for Activation {
    fn from([min, max]: [i8; 2]) -> Self {
        Self { min, max }
    }
}

impl From<Activation> for [i8; 2] {
    fn from(activation: Activation) -> Self {
        [activation.min, activation.max]
    }
}

/// An operation with its inputs and its one output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Name for tables; unique in the graph.
    pub name: String,
    /// The operator with its settings.
    pub op: Op,
    /// Activation inputs.
    pub inputs: Vec<TensorId>,
    /// Activation output.
    pub output: TensorId,
}

/// A network with int8 activations. Nodes are in execution order.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name for tables.
    pub name: String,
    /// All activation tensors.
    pub tensors: Vec<Tensor>,
    /// All weight tensors, in memory order.
    pub weights: Vec<WeightTensor>,
    /// Operations in execution order.
    pub nodes: Vec<Node>,
    /// The one input.
    pub input: TensorId,
    /// The one output.
    pub output: TensorId,
    /// How sums become codes.
    pub rounding: Rounding,
    /// How the pixels of `[height, width, channels]` u8 images become input codes; none where nothing
    /// tells it.
    pub pixels: Option<Pixels>,
}
