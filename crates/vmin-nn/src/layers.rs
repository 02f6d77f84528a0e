//! The layers of a graph as an accelerator sees them: shapes and matrix products, no values.

use crate::graph::{Conv2d, ConvKind, Graph, Op, PoolKind};

/// What kind of work a layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerKind {
    /// Dense convolution.
    Conv,
    /// One input channel per output channel.
    Depthwise,
    /// Matrix times vector.
    FullyConnected,
    /// Elementwise sum.
    Add,
    /// Mean over a window.
    AveragePool,
    /// Maximum over a window.
    MaxPool,
    /// Normalization of groups of channels.
    GroupNorm,
    /// Softmax.
    Softmax,
    /// Same elements, other shape.
    Reshape,
}

impl LayerKind {
    /// The name in tables: `conv`, `depthwise`, `fully_connected`, `add`, `average_pool`,
    /// `max_pool`, `group_norm`, `softmax`, `reshape`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Conv => "conv",
            Self::Depthwise => "depthwise",
            Self::FullyConnected => "fully_connected",
            Self::Add => "add",
            Self::AveragePool => "average_pool",
            Self::MaxPool => "max_pool",
            Self::GroupNorm => "group_norm",
            Self::Softmax => "softmax",
            Self::Reshape => "reshape",
        }
    }

    /// True for the layers that hold weights and multiply.
    #[must_use]
    pub fn has_weights(self) -> bool {
        matches!(self, Self::Conv | Self::Depthwise | Self::FullyConnected)
    }
}

/// One node as shapes and as a matrix product `[m, k] x [k, n]`, repeated `groups` times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// The node's name.
    pub name: String,
    /// Index into [`Graph::nodes`].
    pub node: usize,
    /// Kind of work.
    pub kind: LayerKind,
    /// First input, `[height, width, channels]`; a vector is `[1, 1, features]`.
    pub input: [usize; 3],
    /// Output, `[height, width, channels]`.
    pub output: [usize; 3],
    /// Window `[height, width]`; `[1, 1]` where there is none.
    pub kernel: [usize; 2],
    /// `[vertical, horizontal]`.
    pub stride: [usize; 2],
    /// `[top, left]`.
    pub padding: [usize; 2],
    /// `[vertical, horizontal]`.
    pub dilation: [usize; 2],
    /// Independent matrix products: the input channels of a depthwise convolution, else 1.
    pub groups: usize,
    /// Multiply-accumulates for one image, padding positions included; 0 without weights.
    pub macs: u64,
    /// Weight codes; 0 without weights.
    pub weights: usize,
    /// Output pixels.
    pub m: usize,
    /// Filters of one group; 0 without weights.
    pub n: usize,
    /// Products per output element; 0 without weights.
    pub k: usize,
}

/// The last axis as channels, the one before as width, all others as height.
#[must_use]
pub fn height_width_channels(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [] => [1, 1, 1],
        [c] => [1, 1, c],
        [w, c] => [1, w, c],
        [ref outer @ .., w, c] => [outer.iter().product(), w, c],
    }
}

impl Graph {
    /// Every node as a [`LayerShape`], in execution order.
    ///
    /// # Panics
    /// If the graph does not pass [`Graph::validate`].
    #[must_use]
    pub fn layers(&self) -> Vec<LayerShape> {
        (0..self.nodes.len()).map(|node| self.layer(node)).collect()
    }

    /// One node as a [`LayerShape`].
    ///
    /// # Panics
    /// If `node` is out of range or the graph does not pass [`Graph::validate`].
    #[must_use]
    pub fn layer(&self, node: usize) -> LayerShape {
        let n = &self.nodes[node];
        let input = height_width_channels(&self.tensors[n.inputs[0].0].shape);
        let output = height_width_channels(&self.tensors[n.output.0].shape);
        let plain = LayerShape {
            name: n.name.clone(),
            node,
            kind: LayerKind::Reshape,
            input,
            output,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            macs: 0,
            weights: 0,
            m: output[0] * output[1],
            n: 0,
            k: 0,
        };
        match &n.op {
            Op::Conv2d(conv) => self.conv_layer(conv, plain),
            Op::Pool2d(pool) => LayerShape {
                kind: match pool.kind {
                    PoolKind::Average => LayerKind::AveragePool,
                    PoolKind::Max => LayerKind::MaxPool,
                },
                kernel: pool.window,
                stride: pool.stride,
                padding: pool.padding,
                ..plain
            },
            Op::Add { .. } => LayerShape { kind: LayerKind::Add, ..plain },
            Op::GroupNorm(_) => LayerShape { kind: LayerKind::GroupNorm, ..plain },
            Op::Reshape => plain,
            Op::Softmax { .. } => LayerShape { kind: LayerKind::Softmax, ..plain },
        }
    }

    fn conv_layer(&self, conv: &Conv2d, plain: LayerShape) -> LayerShape {
        let shape = &self.weights[conv.weights.0].shape;
        let weights: usize = shape.iter().product();
        let filters = shape[0];
        let k = weights.checked_div(filters).unwrap_or(0);
        let (input, output) = if conv.fully_connected {
            ([1, 1, k], [1, 1, filters])
        } else {
            (plain.input, plain.output)
        };
        let (kind, groups) = match (conv.fully_connected, conv.kind) {
            (true, _) => (LayerKind::FullyConnected, 1),
            (false, ConvKind::Dense) => (LayerKind::Conv, 1),
            (false, ConvKind::Depthwise) => (LayerKind::Depthwise, input[2]),
        };
        let m = output[0] * output[1];
        LayerShape {
            kind,
            input,
            output,
            kernel: if conv.fully_connected { [1, 1] } else { [shape[1], shape[2]] },
            stride: conv.stride,
            padding: conv.padding,
            dilation: conv.dilation,
            groups,
            macs: (m as u64).saturating_mul(weights as u64),
            weights,
            m,
            n: filters.checked_div(groups).unwrap_or(0),
            k,
            ..plain
        }
    }

    /// Multiply-accumulates of one inference.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.layers().iter().map(|l| l.macs).fold(0, u64::saturating_add)
    }

    /// Multiply-accumulates of one node.
    #[must_use]
    pub fn node_macs(&self, node: usize) -> u64 {
        self.layer(node).macs
    }

    /// Weight codes of all tensors together.
    #[must_use]
    pub fn weights_total(&self) -> usize {
        self.weights.iter().map(|w| w.codes.len()).sum()
    }
}
