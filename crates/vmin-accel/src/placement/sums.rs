//! Where partial sums lie in the accumulator memory.
//!
//! The array adds as many taps of a product as it has rows (weight and input stationary) and passes the
//! sums on; they wait in the accumulator memory until the next fold has come to them. One block of the
//! array's columns is worked off before the next begins, so blocks take the same words, row by row:
//!
//! ```text
//!  ws, os   word of (pixel m, filter n) = m * columns + n mod columns     filters across the columns
//!  is       word of (pixel m, filter n) = n * columns + m mod columns     pixels across the columns
//! ```
//!
//! What reaches beyond the last word begins again at the first: tiles of pixels ([`crate::mapping`]) have at
//! most as many rows as the memory and follow one another around it; sums that spill come back in pieces.
//! Output-stationary arrays keep sums inside; only the finished ones pass through the memory. The groups of
//! a grouped product follow one another in the same words. A sum's word is read once per fold but the
//! first, once more by the requantization, and at the very beginning if it held the bias. (The cycle model
//! counts no access for the bias, neither in traffic nor in energy.)

use vmin_nn::Graph;
use vmin_sram::Geometry;

use crate::dataflow::Dimension;
use crate::{Accelerator, ArraySize, Dataflow};

/// Bits of a sum.
pub const SUM_BITS: u64 = 32;

/// Why sums could not be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SumError {
    /// The accelerator's sums are not those of the emulated arithmetic.
    #[error("the accelerator keeps sums of {bits} bits, only sums of {SUM_BITS} can err")]
    Bits {
        /// Bits of its sums.
        bits: u64,
    },
    /// The memory does not hold one sum.
    #[error("the accumulator memory of {cells} bits holds no sum of {SUM_BITS}")]
    TooSmall {
        /// Bits of the memory.
        cells: u64,
    },
}

/// The sums of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PlacedSums {
    /// Outputs of the layer.
    pub outputs: usize,
    /// Taps that are added before a sum leaves the array.
    pub fold: usize,
    /// Folds of the taps.
    pub folds: usize,
    /// Output channels.
    channels: usize,
    /// Filters of one group.
    filters: usize,
    columns: u64,
    words: u64,
    pixels_across: bool,
}

impl PlacedSums {
    /// The word that holds the sum of an output element, in the order `[pixel, channel]`.
    #[must_use]
    pub const fn word(&self, element: usize) -> u64 {
        let pixel = (element / self.channels) as u64;
        let filter = (element % self.channels % self.filters) as u64;
        let (along, across) = if self.pixels_across { (filter, pixel) } else { (pixel, filter) };
        (along * self.columns + across % self.columns) % self.words
    }

    /// Words that hold a sum at some time, counted from the first.
    #[must_use]
    pub fn words_used(&self) -> u64 {
        let last = (0..self.outputs).map(|element| self.word(element)).max();
        last.map_or(0, |last| last + 1)
    }

    /// How often an inference reads the words of this layer.
    #[must_use]
    pub const fn reads(&self, bias_in_memory: bool) -> u64 {
        self.outputs as u64 * (self.folds as u64 + bias_in_memory as u64)
    }
}

/// The partial sums of a network in the accumulator memory.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct SumPlacement {
    /// One entry per node of the graph; none where a node is no product.
    pub layers: Vec<Option<PlacedSums>>,
    /// The memory.
    pub geometry: Geometry,
}

impl SumPlacement {
    /// Places the sums of `graph` on `accelerator`, whose dataflow decides when they leave the array.
    ///
    /// # Errors
    /// See [`SumError`].
    ///
    /// # Panics
    /// If the graph does not pass [`Graph::validate`].
    pub fn new(accelerator: &Accelerator, graph: &Graph) -> Result<Self, SumError> {
        if accelerator.accumulator_bits != SUM_BITS {
            return Err(SumError::Bits { bits: accelerator.accumulator_bits });
        }
        let geometry = accelerator.memories.accumulator.geometry;
        Self::in_memory(geometry, accelerator.array, accelerator.dataflow, graph)
    }

    /// As [`Self::new`], in a memory of this geometry beside an array of this size.
    ///
    /// # Errors
    /// The memory holds no sum.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn in_memory(
        geometry: Geometry,
        array: ArraySize,
        dataflow: Dataflow,
        graph: &Graph,
    ) -> Result<Self, SumError> {
        let words = geometry.cells() / SUM_BITS;
        if words == 0 {
            return Err(SumError::TooSmall { cells: geometry.cells() });
        }
        let rows = usize::try_from(array.rows()).unwrap_or(usize::MAX);
        let [_, across, _] = dataflow.dimensions();
        let place = |(index, node): (usize, &vmin_nn::Node)| {
            node.op.product()?;
            let layer = graph.layer(index);
            let fold = if dataflow.sums_stay() { layer.k } else { rows.min(layer.k) };
            Some(PlacedSums {
                outputs: graph.tensors[node.output.0].elements(),
                fold,
                folds: layer.k.div_ceil(fold),
                channels: layer.n * layer.groups,
                filters: layer.n,
                columns: array.columns(),
                words,
                pixels_across: across == Dimension::M,
            })
        };
        let layers = graph.nodes.iter().enumerate().map(place).collect();
        Ok(Self { layers, geometry })
    }

    /// The sums of `graph` on `accelerator` in a share of its accumulator memory's rows; they may come to lie in any
    /// of them.
    ///
    /// # Errors
    /// See [`SumError`].
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn within(accelerator: &Accelerator, graph: &Graph, share: f64) -> Result<Self, SumError> {
        let placed = Self::new(&accelerator.with_sums_in(share), graph)?;
        Ok(Self { geometry: accelerator.memories.accumulator.geometry, ..placed })
    }

    /// Bits that an inference reads from the memory.
    #[must_use]
    pub fn bits_read(&self, bias_in_memory: bool) -> u64 {
        let reads = self.layers.iter().flatten().map(|layer| layer.reads(bias_in_memory));
        reads.sum::<u64>() * SUM_BITS
    }
}
