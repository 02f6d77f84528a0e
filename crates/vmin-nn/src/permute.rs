//! The order of channels, which a network leaves free inside itself.
//!
//! Output channels of a layer change places by its rows of weights; whatever reads them takes its columns in the
//! same order, and every output is what it was:
//!
//! ```text
//!  producer [out, kh, kw, in] ── rows ──> tensor [.., channels] ── columns ──> consumer [out, kh, kw, in]
//!                                           │ same channels
//!                       pools, sums, depthwise convolutions, other shapes
//! ```
//!
//! Channels of the network's input and output stay, and so do those that a layer takes apart: a reshape that
//! gives the last axis another length, groups of a normalization, several outputs per depthwise input, weights
//! that several layers share.

use crate::{Conv2d, ConvKind, Graph, ModelError, Op, TensorId};

/// Channels that may change places together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelGroup {
    /// How many.
    pub channels: usize,
    /// Tensors whose last axis they are.
    pub tensors: Vec<TensorId>,
    /// Nodes whose weights have a row, `[out, ..]`, for each.
    pub producers: Vec<usize>,
    /// Nodes whose weights have columns, `[.., in]`, for each.
    pub consumers: Vec<usize>,
}

/// Tensors with the same channels point at the first of them.
struct Ties {
    first: Vec<usize>,
    fixed: Vec<bool>,
}

impl Ties {
    fn root(&self, mut tensor: usize) -> usize {
        while self.first[tensor] != tensor {
            tensor = self.first[tensor];
        }
        tensor
    }

    fn tie(&mut self, a: TensorId, b: TensorId) {
        let [a, b] = [self.root(a.0), self.root(b.0)];
        let [first, other] = [a.min(b), a.max(b)];
        self.first[other] = first;
        self.fixed[first] |= self.fixed[other];
    }

    fn fix(&mut self, tensor: TensorId) {
        let root = self.root(tensor.0);
        self.fixed[root] = true;
    }
}

fn channels(graph: &Graph, tensor: TensorId) -> usize {
    graph.tensors[tensor.0].shape.last().copied().unwrap_or(1)
}

fn ties(graph: &Graph) -> Ties {
    let count = graph.tensors.len();
    let mut ties = Ties { first: (0..count).collect(), fixed: vec![false; count] };
    ties.fix(graph.input);
    ties.fix(graph.output);
    let mut readers = vec![0; graph.weights.len()];
    for conv in graph.nodes.iter().filter_map(|node| node.op.product()) {
        readers[conv.weights.0] += 1;
    }
    for node in &graph.nodes {
        let [from, to] = [node.inputs[0], node.output];
        let keeps = match &node.op {
            Op::Conv2d(conv) => {
                let out = graph.weights[conv.weights.0].shape[0];
                let mut free = readers[conv.weights.0] == 1 && channels(graph, to) == out;
                match conv.kind {
                    ConvKind::Dense | ConvKind::FullyConnected => {}
                    ConvKind::Depthwise if channels(graph, from) == out => ties.tie(from, to),
                    ConvKind::Depthwise => free = false,
                }
                if !free {
                    ties.fix(from);
                    ties.fix(to);
                }
                continue;
            }
            Op::GroupNorm(norm) => [1, channels(graph, to)].contains(&norm.groups),
            Op::Reshape => channels(graph, from) == channels(graph, to),
            Op::Pool2d(_) | Op::Add(_) | Op::Extremum(_) | Op::Softmax(_) => true,
        };
        for &from in &node.inputs {
            if keeps {
                ties.tie(from, to);
            } else {
                ties.fix(from);
                ties.fix(to);
            }
        }
    }
    ties
}

impl Graph {
    /// The groups of two and more channels whose order is free, by their first tensor.
    ///
    /// # Panics
    /// If the graph does not pass [`Graph::validate`].
    #[must_use]
    pub fn channel_groups(&self) -> Vec<ChannelGroup> {
        let ties = ties(self);
        let roots = (0..self.tensors.len()).filter(|&tensor| {
            ties.root(tensor) == tensor
                && !ties.fixed[tensor]
                && channels(self, TensorId(tensor)) > 1
        });
        let group = |root: usize| {
            let within = |tensor: TensorId| ties.root(tensor.0) == root;
            let products = |which: &dyn Fn(usize, &Conv2d) -> bool| {
                let is_one = |&node: &usize| {
                    self.nodes[node].op.product().is_some_and(|conv| which(node, conv))
                };
                (0..self.nodes.len()).filter(is_one).collect()
            };
            ChannelGroup {
                channels: channels(self, TensorId(root)),
                tensors: (0..self.tensors.len()).map(TensorId).filter(|&t| within(t)).collect(),
                producers: products(&|node, _| within(self.nodes[node].output)),
                consumers: products(&|node, conv| {
                    conv.kind != ConvKind::Depthwise && within(self.nodes[node].inputs[0])
                }),
            }
        };
        roots.map(group).collect()
    }

    /// The same function with channels in another order: place `p` of group `g` of
    /// [`Self::channel_groups`] gets channel `orders[g][p]`.
    ///
    /// # Errors
    /// There is not one order per group, or one does not name each channel once.
    ///
    /// # Panics
    /// If the graph does not pass [`Graph::validate`].
    pub fn permuted(&self, orders: &[Vec<usize>]) -> Result<Self, ModelError> {
        let groups = self.channel_groups();
        if orders.len() != groups.len() {
            let found = format!("{} for {}", orders.len(), groups.len());
            return Err(ModelError::graph("one order per group of channels", found));
        }
        let mut of_tensor: Vec<Option<&[usize]>> = vec![None; self.tensors.len()];
        for (group, order) in groups.iter().zip(orders) {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..group.channels) {
                let found = format!("{order:?} for {} channels", group.channels);
                return Err(ModelError::graph("an order names each channel once", found));
            }
            for tensor in &group.tensors {
                of_tensor[tensor.0] = Some(order);
            }
        }
        let mut graph = self.clone();
        for node in &mut graph.nodes {
            let [columns, rows] = [node.inputs[0], node.output].map(|tensor| of_tensor[tensor.0]);
            match &mut node.op {
                Op::Conv2d(conv) => {
                    let weights = &mut graph.weights[conv.weights.0];
                    if let (Some(columns), ConvKind::Dense | ConvKind::FullyConnected) =
                        (columns, conv.kind)
                    {
                        let taps = weights.codes.chunks_exact(columns.len());
                        weights.codes = taps.flat_map(|taps| ordered(taps, 1, columns)).collect();
                    }
                    if let Some(rows) = rows {
                        let per_row = weights.codes.len() / rows.len();
                        weights.codes = ordered(&weights.codes, per_row, rows);
                        weights.scales = per_channel(&weights.scales, rows);
                        weights.zero_points = per_channel(&weights.zero_points, rows);
                        conv.bias = ordered(&conv.bias, 1, rows);
                        conv.multipliers = ordered(&conv.multipliers, 1, rows);
                    }
                }
                Op::GroupNorm(norm) => {
                    if let Some(rows) = rows {
                        norm.gains = ordered(&norm.gains, 1, rows);
                        norm.offsets = ordered(&norm.offsets, 1, rows);
                    }
                }
                Op::Pool2d(_) | Op::Add(_) | Op::Extremum(_) | Op::Reshape | Op::Softmax(_) => {}
            }
        }
        Ok(graph)
    }
}

/// Runs of `length` values in another order.
fn ordered<T: Copy>(values: &[T], length: usize, order: &[usize]) -> Vec<T> {
    order.iter().flat_map(|&from| &values[from * length..][..length]).copied().collect()
}

/// One value per channel, or one for all.
fn per_channel<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
    if values.len() == 1 { values.to_vec() } else { ordered(values, 1, order) }
}
