//! The memory hierarchy: which tensors stay on the chip, and in which tiles each layer runs.
//!
//! ```text
//!  for each layer                                  liveness: which tensors stay, which spill
//!    for each group
//!      for each tile of m, for each tile of n      [`Mapping`]: tile sizes and which loop is outside
//!        for each block of columns                 the array's folds, as [`crate::dataflow`] has them
//!          for each block of rows
//!            stream
//! ```
//!
//! Tiles keep the order in which the emulated memories are used:
//!
//! - *Weights.* Within a tile of `n` the folds run in the dataflow's own order, and tiles follow one another.
//!   So every pass over the weights meets them in the order of [`crate::StreamedPlacement`], in the halves
//!   that it gives them. A tile of `n` that is used for several tiles of `m` takes at most half of the
//!   memory: it lies in two of its loads, which are there at the same time.
//! - *Sums.* A tile of `m` has at most as many rows of sums as the accumulator memory. Its rows follow those of
//!   the tile before, around the end of the memory, which are the words of [`crate::placement::SumPlacement`].
//!   `k` is never split between two blocks of columns, so a sum meets its folds in the same order.
//!
//! Input-stationary arrays have one mapping, without tiles of `n`: their streams run over `n`, and cutting
//! them would reorder the weights. Their sums spill where `n` rows of them have no room.

mod bound;
mod inputs;
mod liveness;
mod mapper;
mod problem;
#[cfg(test)]
mod walk;

pub use bound::{LowerBound, lower_bound};
pub use liveness::{Home, TensorHome, tensors};
pub use mapper::{MappingRules, Objective, Rule};

pub(crate) use liveness::{Place, from_outside, places};
pub(crate) use mapper::candidates;
pub(crate) use problem::{Fetched, Problem, Reuse};

/// The tile loop that is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
pub enum LoopOrder {
    /// Tiles of `m`; each one meets all weights.
    #[serde(rename = "m-n")]
    MOutside,
    /// Tiles of `n`; each one meets all inputs.
    #[serde(rename = "n-m")]
    NOutside,
}

impl LoopOrder {
    /// Every order with its word, the outer loop first.
    pub const ALL: [(&'static str, Self); 2] = [("m-n", Self::MOutside), ("n-m", Self::NOutside)];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MOutside => "m-n",
            Self::NOutside => "n-m",
        }
    }
}

/// The tiles of a product (of one group). `k` is never cut but by the array's own folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The outer loop.
    pub order: LoopOrder,
    /// Rows of a tile of results.
    pub m_tile: u64,
    /// Columns of a tile of results.
    pub n_tile: u64,
}
