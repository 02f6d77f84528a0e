//! Design spaces: every combination of array, memories, dataflow and voltage, costed, with its Pareto
//! front.
//!
//! ```text
//!  space.toml ─> Space ─> Plan ─────────────> explore ─> Exploration ─> explore.json, .csv
//!                (words)  (names resolved,    │
//!                          every design       ├ cycles once per design
//!                          checked)           └ energy once per design and voltage
//! ```
//!
//! A design is an accelerator with some of its numbers replaced ([`vmin_accel::accelerator::Variation`]); a
//! point is a design at a supply voltage. Nothing is inferred here: where accuracy is to be weighed
//! too, it comes from the results of a sweep over the same voltages.
//!
//! Not here: drawing; the search for weights that survive.

mod explore;
mod objective;
mod pareto;
mod plan;
mod space;

pub use explore::{Exploration, Point, Stopped, explore};
pub use objective::Objective;
pub use pareto::front;
pub use plan::Plan;
pub use space::{POINTS_MAX, Rails, Space};

/// An example of a design space, also what `vmin explore` runs without a file.
pub const DEMO: &str = include_str!("demo.toml");
