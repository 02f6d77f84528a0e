//! Design spaces: cycles, energy and area of every combination of array, memories, dataflow and voltage,
//! and the Pareto front.
//!
//! ```text
//!  space.toml ─> Space ─> Plan ─────────────> explore ─> Exploration ─> explore.json, .csv
//!                (words)  (names resolved,    │
//!                          every design       ├ cycles once per design
//!                          checked)           └ energy once per design and voltage
//! ```
//!
//! A design is an accelerator with some of its numbers replaced ([`vmin_accel::accelerator::Variation`]); a
//! point is a design at a supply voltage. No inference runs: the error under bit errors, if it is an
//! objective, comes from the results of a sweep of the same network on the same cells. `examples/pareto.rs` explores a small
//! space.
//!
//! Not here: figures, training.

mod explore;
mod objective;
mod pareto;
mod plan;
mod space;

pub use explore::{Exploration, Point, Stopped, explore};
pub use objective::Objective;
pub use pareto::front;
pub use plan::Plan;
pub use space::{POINTS_MAX, Space};

/// An example of a design space; `vmin explore` without a file runs it.
pub const DEMO: &str = include_str!("demo.toml");
