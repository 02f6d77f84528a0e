//! Layers for an accelerator model: shapes and matrix products, without values.

use crate::Graph;
use crate::ops::At;

/// One node as shapes and as a matrix product `[m, k] x [k, n]`, repeated `groups` times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// The node's name.
    pub name: String,
    /// Index into [`Graph::nodes`].
    pub node: usize,
    /// Kind of work, for tables: `conv`, `depthwise`, `fully_connected`, or the operator's name.
    pub kind: &'static str,
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
    /// Elements that a vector unit reads; 0 with weights.
    pub vector_reads: usize,
    /// Elements that a vector unit writes; 0 with weights.
    pub vector_writes: usize,
}

impl LayerShape {
    /// True for the layers that hold weights and multiply.
    #[must_use]
    pub fn has_weights(&self) -> bool {
        self.weights > 0
    }
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

    /// The layer that uses a weight tensor, by its name.
    #[must_use]
    pub fn layer_of(&self, tensor: usize) -> String {
        let uses = |node: &&crate::Node| node.op.product().is_some_and(|op| op.weights.0 == tensor);
        let node = self.nodes.iter().find(uses);
        node.map_or_else(|| self.weights[tensor].name.clone(), |node| node.name.clone())
    }

    /// One node as a [`LayerShape`].
    ///
    /// # Panics
    /// If `node` is out of range or the graph does not pass [`Graph::validate`].
    #[must_use]
    pub fn layer(&self, node: usize) -> LayerShape {
        let at = At { graph: self, index: node };
        let op = at.node().op.operator();
        let output = height_width_channels(&at.output().shape);
        let inputs: usize = at.node().inputs.iter().map(|id| self.tensors[id.0].elements()).sum();
        let plain = LayerShape {
            name: at.node().name.clone(),
            node,
            kind: op.kind(),
            input: height_width_channels(&at.input(0).shape),
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
            vector_reads: inputs * op.passes(),
            vector_writes: if op.passes() == 0 { 0 } else { at.output().elements() },
        };
        op.layer(&at, plain)
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
