//! Exact int8 execution of a graph.
//!
//! ```text
//!  reference.rs   slow and obvious: the specification
//!  executor.rs    the same bits, fast: one Executor per graph and kernel, one LoadedWeights per
//!                 weight set (codes as a faulty memory returns them), one Scratch per thread
//!  sums.rs        single outputs with their partial sums, for a faulty accumulator memory
//! ```
//!
//! The arithmetic is that of LiteRT's reference kernels: `acc = bias + sum (x - zx) * (w - zw)` in
//! wrapping `i32`, requantization (see [`Rounding`]), zero point, clamp.

mod add;
mod depthwise;
mod executor;
pub(crate) mod group_norm;
mod matrix;
mod pool;
pub mod reference;
mod requantize;
mod scratch;
mod softmax;
mod sums;

pub use add::AddParams;
pub use executor::{Executor, LoadedWeights, first_max};
pub use requantize::Rounding;
pub use scratch::Scratch;
pub use softmax::SoftmaxParams;
pub use sums::OutputSums;
