//! The operators, one file each: settings, rules, shape, slow reference and fast path.
//!
//! A new operator is a file with `impl Operator`, a variant of [`Op`] and a line in `Op::operator`.
//! Its settings derive their form in vmin's own files. Importers then map their operators to it.

mod add;
mod conv;
mod extremum;
mod group_norm;
mod pool;
mod reshape;
mod rounding;
mod softmax;

use serde::{Deserialize, Serialize};
use vmin_kernels::GemmKernel;

use crate::exec::Work;
use crate::{Activation, Graph, LayerShape, Limits, ModelError, Node, Tensor, WeightTensor};

pub use add::Add;
pub use conv::{Conv2d, ConvKind};
pub use extremum::{Extremum, ExtremumKind};
pub use group_norm::GroupNorm;
pub use pool::{Pool2d, PoolKind};
pub use rounding::Rounding;
pub use softmax::Softmax;

/// One operation. Shapes of inputs and outputs are those of the node's tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Op {
    /// Convolution or fully connected.
    Conv2d(Conv2d),
    /// Pooling.
    Pool2d(Pool2d),
    /// Elementwise sum of two tensors of one shape.
    Add(Add),
    /// Elementwise maximum or minimum of two tensors.
    Extremum(Extremum),
    /// Normalization of groups of channels.
    GroupNorm(GroupNorm),
    /// The same elements under another shape.
    Reshape,
    /// Softmax over the last axis.
    Softmax(Softmax),
}

impl Op {
    /// The settings, if the operator multiplies activations with stored weights.
    #[must_use]
    pub const fn product(&self) -> Option<&Conv2d> {
        match self {
            Self::Conv2d(conv) => Some(conv),
            Self::Pool2d(_)
            | Self::Add(_)
            | Self::Extremum(_)
            | Self::GroupNorm(_)
            | Self::Reshape
            | Self::Softmax(_) => None,
        }
    }

    /// The rules and the arithmetic.
    pub(crate) fn operator(&self) -> &dyn Operator {
        match self {
            Self::Conv2d(op) => op,
            Self::Pool2d(op) => op,
            Self::Add(op) => op,
            Self::Extremum(op) => op,
            Self::GroupNorm(op) => op,
            Self::Reshape => &reshape::Reshape,
            Self::Softmax(op) => op,
        }
    }
}

/// Rules, shape and arithmetic of an operator.
pub(crate) trait Operator {
    /// The name in tables.
    fn kind(&self) -> &'static str;

    /// Number of activation inputs.
    fn inputs(&self) -> usize {
        1
    }

    /// How often a vector unit reads each input; 0 if no element moves.
    fn passes(&self) -> usize {
        1
    }

    /// Checks settings, shapes and quantization; the number of inputs is right.
    fn check(&self, at: &At<'_>, limits: &Limits) -> Result<(), ModelError>;

    /// Completes the shape of an elementwise operator.
    fn layer(&self, _: &At<'_>, plain: LayerShape) -> LayerShape {
        plain
    }

    /// Slow, obvious execution with these weight codes: the specification of the fast path.
    fn reference(&self, at: &At<'_>, codes: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8>;

    /// The fast path, prepared for this node.
    fn plan(&self, at: &At<'_>) -> Box<dyn Plan>;
}

/// One node prepared for fast execution; the bits are those of [`Operator::reference`].
pub(crate) trait Plan: Send + Sync {
    /// Sizes of the work buffers: padded input, patches, sums.
    fn work(&self) -> [usize; 3] {
        [0; 3]
    }

    /// Packs decoded weights.
    fn load(&self, _: &dyn GemmKernel, _: &[i32], _: &WeightTensor, _: &[i8]) -> NodeWeights {
        NodeWeights::None
    }

    /// Computes the output.
    fn run(&self, run: Run<'_>);

    /// Packs decoded weights, `fold` taps at a time.
    fn load_folds(&self, _: &dyn GemmKernel, _: &WeightTensor, _: &[i8], _: usize) -> FoldWeights {
        FoldWeights::None
    }

    /// Computes the output of a product; `through` sees its sums each time they leave the array.
    fn run_folds(&self, _: RunFolds<'_>, _: &mut Through<'_>) {}
}

/// A step without work buffers or weights is a closure.
impl<F: Fn(Run<'_>) + Send + Sync> Plan for F {
    fn run(&self, run: Run<'_>) {
        self(run);
    }
}

/// One execution of a node.
pub(crate) struct Run<'a> {
    pub(crate) kernel: &'static dyn GemmKernel,
    pub(crate) weights: &'a NodeWeights,
    /// The second is empty for an operator of one input.
    pub(crate) inputs: [&'a [i8]; 2],
    pub(crate) work: &'a mut Work,
    pub(crate) out: &'a mut [i8],
}

/// Sees the sums of some neighbouring outputs: number of the read, first element, sums.
pub(crate) type Through<'t> = dyn FnMut(u64, usize, &mut [i32]) + 't;

/// One execution of a product whose sums leave the array.
pub(crate) struct RunFolds<'a> {
    pub(crate) kernel: &'static dyn GemmKernel,
    pub(crate) weights: &'a FoldWeights,
    pub(crate) bias: &'a [i32],
    pub(crate) bias_in_memory: bool,
    pub(crate) input: &'a [i8],
    pub(crate) work: &'a mut Work,
    pub(crate) out: &'a mut [i8],
}

/// The packed weights of a product, fold by fold.
pub(crate) enum FoldWeights {
    None,
    /// With the zero point per channel, where any is not zero.
    Matrix(Vec<conv::MatrixFold>, Option<Vec<i32>>),
    /// `[tap][channel]`, less the zero points.
    Depthwise {
        taps: Vec<i16>,
        fold: usize,
    },
}

/// The packed weights of a node.
pub(crate) enum NodeWeights {
    None,
    Matrix(conv::MatrixWeights),
    Depthwise(conv::DepthwiseWeights),
}

/// A node in its graph.
#[derive(Clone, Copy)]
pub(crate) struct At<'g> {
    pub(crate) graph: &'g Graph,
    pub(crate) index: usize,
}

impl<'g> At<'g> {
    pub(crate) fn node(&self) -> &'g Node {
        &self.graph.nodes[self.index]
    }

    pub(crate) fn input(&self, index: usize) -> &'g Tensor {
        &self.graph.tensors[self.node().inputs[index].0]
    }

    pub(crate) fn output(&self) -> &'g Tensor {
        &self.graph.tensors[self.node().output.0]
    }

    fn layer(&self) -> LayerShape {
        self.graph.layer(self.index)
    }

    pub(crate) fn error(&self, rule: &'static str, found: impl ToString) -> ModelError {
        ModelError::node(&self.node().name, rule, found)
    }

    fn check_activation(&self, activation: Activation) -> Result<(), ModelError> {
        if activation.min <= activation.max {
            return Ok(());
        }
        let found = format!("{} > {}", activation.min, activation.max);
        Err(self.error("the clamp is not empty", found))
    }

    /// Every input has the quantization of the output.
    fn check_same_quantization(&self) -> Result<(), ModelError> {
        let b = self.output().quantization;
        for id in &self.node().inputs {
            let a = self.graph.tensors[id.0].quantization;
            if a.zero_point != b.zero_point || (a.scale - b.scale).abs() > 1e-6 {
                let found =
                    format!("{} @ {} -> {} @ {}", a.scale, a.zero_point, b.scale, b.zero_point);
                return Err(self.error("input and output have one quantization", found));
            }
        }
        Ok(())
    }

    /// Both inputs have the shape of the output.
    fn check_same_shapes(&self, rule: &'static str) -> Result<(), ModelError> {
        let [a, b, output] = [self.input(0), self.input(1), self.output()].map(|t| &t.shape);
        if a == output && b == output {
            return Ok(());
        }
        Err(self.error(rule, format!("{a:?}, {b:?}, {output:?}")))
    }
}

/// A sliding window over two axes.
struct Window {
    size: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
}

impl Window {
    /// Every placement of the window covers at least one element of the input.
    fn check(&self, at: &At<'_>) -> Result<(), ModelError> {
        let (input, output) = (at.input(0), at.output());
        for axis in 0..2 {
            let [size, stride] = [self.size[axis], self.stride[axis]];
            let [dilation, padding] = [self.dilation[axis], self.padding[axis]];
            if stride == 0 || dilation == 0 || size == 0 {
                let rule = "windows, strides and dilations are at least 1";
                return Err(at.error(rule, 0));
            }
            let reach = (size - 1).checked_mul(dilation);
            let last = (output.shape[axis] - 1).checked_mul(stride);
            // The first window ends inside the input or later, the last begins before its end.
            let covers = reach.is_some_and(|r| r >= padding)
                && last.is_some_and(|l| l < input.shape[axis].saturating_add(padding));
            if !covers || padding > i32::MAX as usize || reach > Some(i32::MAX as usize) {
                let rule = "every window covers a part of the input";
                let found = format!(
                    "window {size}, stride {stride}, dilation {dilation}, padding {padding}, {} -> {}",
                    input.shape[axis], output.shape[axis]
                );
                return Err(at.error(rule, found));
            }
        }
        Ok(())
    }
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
