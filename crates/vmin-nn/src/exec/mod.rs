//! Exact int8 execution of a graph.
//!
//! ```text
//!  reference.rs   runs the slow references of the operators: the specification
//!  executor.rs    runs their fast paths, with the same bits: one Executor per graph and kernel, one
//!                 LoadedWeights per weight set (codes as a faulty memory returns them), one Scratch
//!                 per thread
//!  step.rs        one node by itself, and the sums of all its outputs
//!  sums.rs        single outputs with their partial sums: the slow twin, fast where few are needed
//! ```
//!
//! The arithmetic is that of LiteRT's reference kernels: `acc = bias + sum (x - zx) * (w - zw)` in
//! wrapping `i32`, requantization (see [`Rounding`](crate::Rounding)), zero point, clamp.

mod executor;
pub mod reference;
mod scratch;
mod step;
mod sums;

pub use executor::{Executor, LoadedWeights, first_max};
pub use scratch::Scratch;
pub(crate) use scratch::Work;
pub use step::{LayerSums, Step};
pub use sums::OutputSums;
