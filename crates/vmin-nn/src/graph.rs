//! The graph: tensors, weights, operations.
//!
//! Arithmetic follows the int8 rules of LiteRT: `real = scale * (q - zero_point)`, int32
//! accumulators, requantization by a 31-bit multiplier and a shift. Layout of activations is
//! `[height, width, channels]` (or `[features]`), of convolution weights
//! `[out_channels, kernel_height, kernel_width, in_channels_per_group]`.

use vmin_quant::{Encoding, FixedMultiplier};

/// Index of a [`Tensor`] in [`Graph::tensors`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub usize);

/// Index of a [`WeightTensor`] in [`Graph::weights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// Element type of an activation tensor as its file declares it.
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
    /// What the codes mean.
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
/// operation. This is what lies in the weight memory; in memory codes are packed without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// Name from the source file.
    pub name: String,
    /// `[out, kh, kw, in/groups]` for convolutions, `[out, in]` for fully connected layers.
    pub shape: Vec<usize>,
    /// Stored bits per code, 1..=8.
    pub bits: u8,
    /// How a code means an integer.
    pub encoding: Encoding,
    /// One byte per code; bits above `bits` are zero.
    pub codes: Vec<u8>,
    /// Scale per output channel, or one for the whole tensor: `real = scale * (integer - zero_point)`.
    pub scales: Vec<f32>,
    /// Zero point per output channel or one for the whole tensor, in decoded integers.
    pub zero_points: Vec<i32>,
}

/// Clamp of the output codes (a fused activation function), inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Lowest output code.
    pub min: i8,
    /// Highest output code.
    pub max: i8,
}

/// What a convolution connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// Every output channel sees every input channel.
    Dense,
    /// Every output channel sees one input channel (`out = in * multiplier`).
    Depthwise,
}

/// A convolution or, with a 1x1 kernel over a `[features]` tensor seen as `[1, 1, features]`, a
/// fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Dense or depthwise.
    pub kind: ConvKind,
    /// True where the source operation is fully connected; its requantization then rounds once
    /// instead of twice, as LiteRT does ([`crate::exec::Rounding`]).
    pub fully_connected: bool,
    /// Weight codes.
    pub weights: WeightId,
    /// One int32 bias per output channel, at scale `input_scale * weight_scale`.
    pub bias: Vec<i32>,
    /// Requantization per output channel: `input_scale * weight_scale / output_scale`, with a batch
    /// norm's scale folded in here and not in the codes.
    pub multipliers: Vec<FixedMultiplier>,
    /// `[vertical, horizontal]` stride.
    pub stride: [usize; 2],
    /// `[vertical, horizontal]` dilation.
    pub dilation: [usize; 2],
    /// Zero padding before the first row and column: `[top, left]`.
    pub padding: [usize; 2],
    /// Clamp of the output.
    pub activation: Activation,
}

/// Average or maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Mean over the valid elements, rounded half away from zero.
    Average,
    /// Maximum over the valid elements.
    Max,
}

/// A pooling window.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool2d {
    /// Average or maximum.
    pub kind: PoolKind,
    /// `[height, width]` of the window.
    pub window: [usize; 2],
    /// `[vertical, horizontal]` stride.
    pub stride: [usize; 2],
    /// `[top, left]` padding, never counted in the mean.
    pub padding: [usize; 2],
    /// Clamp of the output.
    pub activation: Activation,
}

/// Normalization of groups of channels by the mean and deviation of each image
/// ([`exec`](crate::exec) has the arithmetic).
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorm {
    /// Groups of neighbouring channels; divides their number.
    pub groups: usize,
    /// What is added to the squared deviation, times `N^2 / input_scale^2` for groups of `N` codes: 1 or
    /// more.
    pub epsilon: u64,
    /// Per channel `gain / output_scale`.
    pub gains: Vec<FixedMultiplier>,
    /// Per channel `shift / output_scale`, in units of 2^-16 codes.
    pub offsets: Vec<i32>,
    /// Clamp of the output.
    pub activation: Activation,
}

/// One operation. Shapes of inputs and outputs are those of the node's tensors.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Convolution or fully connected.
    Conv2d(Conv2d),
    /// Pooling.
    Pool2d(Pool2d),
    /// Elementwise sum of two tensors of one shape.
    Add {
        /// Clamp of the output.
        activation: Activation,
    },
    /// Normalization of groups of channels.
    GroupNorm(GroupNorm),
    /// The same elements under another shape.
    Reshape,
    /// Softmax over the last axis.
    Softmax {
        /// Factor of the logits.
        beta: f32,
    },
}

/// An operation with its inputs and its one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name for tables; unique in the graph.
    pub name: String,
    /// What it does.
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
    /// How an 8-bit pixel becomes an input code: `code = pixel - pixel_offset` (normally 128), by
    /// convention of image networks. Images are `[height, width, channels]` u8.
    pub pixel_offset: i32,
}
