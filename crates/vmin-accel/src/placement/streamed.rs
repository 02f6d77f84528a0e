//! Weights that pass through a small buffer, in the order in which the array asks for them.
//!
//! The weight memory is cut into two halves: one is filled while the array reads the other. Every layer
//! is a stream of codes, cut into *loads* of as many whole rows of the array's tile as a half holds;
//! loads take the halves in turn, each from the half's first bit on.
//!
//! ```text
//!  stream of a layer   | load 0          | load 1          | load 2    |
//!  lies in             | half 0, bit 0.. | half 1, bit 0.. | half 0, bit 0.. |    next layer: half 1
//!
//!  ws   per block of n, per block of k:   for k in the block: the n of the block
//!  os   per block of n:                   for all k:          the n of the block
//!  is   per block of k:                   for all n:          the k of the block
//! ```
//!
//! So one bad cell lies under one weight of every load that reaches it. A layer that is fetched more
//! than once per inference (more than two loads, and tiles or a dataflow that need its weights again,
//! [`crate::mapping`]) begins each pass in the half of the first: the same weight meets the same cells.

use vmin_nn::Graph;
use vmin_sram::Geometry;

use crate::dataflow::{Dimension, Operand, Path};
use crate::{Accelerator, ArraySize, Dataflow};

/// Why weights could not be streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A row of the array's tile is larger than half of the weight memory.
    #[error(
        "tensor {tensor} needs {row_bits} bits for one row of a tile, half of the weight memory has \
         {half_bits}"
    )]
    HalfTooSmall {
        /// Which tensor.
        tensor: usize,
        /// Bits of a row.
        row_bits: u64,
        /// Bits of a half.
        half_bits: u64,
    },
    /// Two layers use one tensor; it would have two places.
    #[error("tensor {tensor} is used by several layers, which cannot be streamed")]
    Shared {
        /// Which tensor.
        tensor: usize,
    },
    /// The codes of a tensor are not those of its layer's product.
    #[error("tensor {tensor} has {codes} codes, its layer needs {needed}")]
    Codes {
        /// Which tensor.
        tensor: usize,
        /// Codes it has.
        codes: usize,
        /// Codes of the product.
        needed: usize,
    },
    /// A tensor has codes of 0 or more than 8 bits.
    #[error("tensor {tensor} has codes of {bits} bits, not of 1 to 8")]
    Bits {
        /// Which tensor.
        tensor: usize,
        /// Its bits per code.
        bits: u8,
    },
}

/// Codes that lie in the buffer together, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Load {
    /// Address of the first bit of its first code.
    pub first_bit: u64,
    /// Where it begins in the tensor's stream.
    pub first: usize,
    /// Number of codes.
    pub codes: usize,
}

/// The weights of a layer: code `(group * n + filter) * k + tap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Filters of a group.
    pub n: usize,
    /// Taps of a filter.
    pub k: usize,
    /// Groups.
    pub groups: usize,
}

/// A layer whose weights are streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamedLayer {
    /// Number of its weight tensor.
    pub tensor: usize,
    /// Codes of that tensor.
    pub codes: usize,
    /// Bits per code.
    pub bits: u8,
    /// How the array sees them.
    pub product: Product,
}

/// One tensor's way through the buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StreamedTensor {
    /// Bits per code.
    pub bits: u8,
    /// The tensor's code at each place of the stream: every code once. Empty if no layer uses it.
    pub order: Vec<usize>,
    /// The stream, cut.
    pub loads: Vec<Load>,
}

impl StreamedTensor {
    /// Address of bit 0 of the code at a place of the stream.
    #[must_use]
    pub fn first_bit(&self, place: usize) -> Option<u64> {
        let load = self.loads.partition_point(|load| load.first <= place).checked_sub(1)?;
        let load = self.loads[load];
        let within = place - load.first;
        (within < load.codes).then(|| load.first_bit + within as u64 * u64::from(self.bits))
    }
}

/// A network's weights in a buffer that holds a part of them at a time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct StreamedPlacement {
    /// One entry per weight tensor of the graph.
    pub tensors: Vec<StreamedTensor>,
    /// The weight memory as it is.
    pub geometry: Geometry,
    /// Bits of one half.
    pub half_bits: u64,
}

impl StreamedPlacement {
    /// Streams the weights of `graph` through the weight memory of `accelerator`, whose dataflow
    /// decides the order.
    ///
    /// # Errors
    /// See [`StreamError`].
    ///
    /// # Panics
    /// If the graph does not pass [`Graph::validate`].
    pub fn new(accelerator: &Accelerator, graph: &Graph) -> Result<Self, StreamError> {
        let geometry = accelerator.memories.weight.geometry;
        Self::in_memory(geometry, accelerator.array, accelerator.dataflow, graph)
    }

    /// As [`Self::new`], through a memory of this geometry beside an array of this size.
    ///
    /// # Errors
    /// As for [`Self::new`].
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn in_memory(
        geometry: Geometry,
        array: ArraySize,
        dataflow: Dataflow,
        graph: &Graph,
    ) -> Result<Self, StreamError> {
        let layers = graph.nodes.iter().enumerate().filter_map(|(index, node)| {
            let conv = node.op.product()?;
            let layer = graph.layer(index);
            let weights = &graph.weights[conv.weights.0];
            let product = Product { n: layer.n, k: layer.k, groups: layer.groups };
            Some(StreamedLayer {
                tensor: conv.weights.0,
                codes: weights.codes.len(),
                bits: weights.bits,
                product,
            })
        });
        Self::of_layers(geometry, array, dataflow, graph.weights.len(), layers)
    }

    /// As [`Self::in_memory`], for so many weight tensors of layers in execution order.
    ///
    /// # Errors
    /// As for [`Self::new`]; a tensor beyond their number counts as one of 0 bits.
    pub fn of_layers(
        geometry: Geometry,
        array: ArraySize,
        dataflow: Dataflow,
        tensors: usize,
        layers: impl IntoIterator<Item = StreamedLayer>,
    ) -> Result<Self, StreamError> {
        let half_bits = geometry.cells() / 2;
        let mut tensors = vec![StreamedTensor::default(); tensors];
        let mut half = 0;
        for StreamedLayer { tensor, codes, bits, product } in layers {
            if !(1..=8).contains(&bits) || tensor >= tensors.len() {
                return Err(StreamError::Bits { tensor, bits });
            }
            let needed = product.n.saturating_mul(product.k).saturating_mul(product.groups);
            if needed != codes {
                return Err(StreamError::Codes { tensor, codes, needed });
            }
            if !tensors[tensor].order.is_empty() {
                return Err(StreamError::Shared { tensor });
            }
            let rows = rows(product, array, dataflow);
            let streamed = &mut tensors[tensor];
            streamed.bits = bits;
            streamed.order.reserve_exact(codes);
            let mut used = half_bits;
            for row in rows {
                let row_bits = row.count as u64 * u64::from(bits);
                if row_bits > half_bits {
                    return Err(StreamError::HalfTooSmall { tensor, row_bits, half_bits });
                }
                if used + row_bits > half_bits {
                    let first_bit = half * half_bits;
                    streamed.loads.push(Load { first_bit, first: streamed.order.len(), codes: 0 });
                    half = 1 - half;
                    used = 0;
                }
                used += row_bits;
                if let Some(load) = streamed.loads.last_mut() {
                    load.codes += row.count;
                }
                streamed.order.extend((0..row.count).map(|i| row.first + i * row.step));
            }
        }
        Ok(Self { tensors, geometry, half_bits })
    }

    /// Loads of one inference, each tensor fetched once.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.loads.len()).sum()
    }
}

/// Codes that enter the array side by side: `count` of them from `first`, every `step`.
struct Row {
    first: usize,
    count: usize,
    step: usize,
}

/// The rows of a layer's tiles, in the order of the schedule: what enters side by side comes in blocks as
/// wide as the array, one step after the other.
fn rows(product: Product, array: ArraySize, dataflow: Dataflow) -> impl Iterator<Item = Row> {
    let Product { n, k, groups } = product;
    let [row, column, stream] = dataflow.dimensions();
    let (lanes, steps, side) = match dataflow.path(Operand::Filter) {
        Path::Stays => (column, row, array.columns()),
        Path::Right => (row, stream, array.rows()),
        Path::Down => (column, stream, array.columns()),
    };
    let side = usize::try_from(side).unwrap_or(usize::MAX);
    // Length of a dimension, and codes between its neighbours.
    let along = move |dimension| match dimension {
        Dimension::M => (1, 0),
        Dimension::N => (n, k),
        Dimension::K => (k, 1),
    };
    let ((lanes, between_lanes), (steps, between_steps)) = (along(lanes), along(steps));
    (0..groups).flat_map(move |group| {
        (0..lanes).step_by(side).flat_map(move |lane| {
            (0..steps).map(move |step| Row {
                first: group * n * k + lane * between_lanes + step * between_steps,
                count: side.min(lanes - lane),
                step: between_lanes,
            })
        })
    })
}
