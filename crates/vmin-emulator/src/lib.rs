//! Runs a network on a chip: which cells err, what the memories then give back, which predictions follow.
//!
//! ```text
//!  CellSource ── cells of a chip ──┐
//!  Placement ── which cell ────────┼─> OpenChip ── supplies ─> codes, activations, sums as read
//!  Protection ── rails .. words ───┘                             │
//!  Emulator (network, images, kernel) <──────────────────────────┘ ─> Outcome: counts
//! ```
//!
//! There is one way to read a memory through its protection; a memory without protection takes a shortcut,
//! which tests compare with that way. Everything decided here is an integer, so
//! results are the same bits for any number of threads and any kernel.
//!
//! [`Calibration`] fits a network's biases to one chip; `sum_ranges.rs` tells how wide its sums are.
//! Multipliers that are fitted are products, quotients and roots of doubles, rounded alike everywhere.
//!
//! Not here: which voltages and chips to try (that is an experiment), and where codes lie (that is the
//! accelerator's placement). `examples/one_chip.rs` runs one network on one chip.

mod deployment;
mod emulator;
mod memory;
mod moments;
mod noise;
mod readout;
mod recalibrate;
pub mod source;
mod sum_ranges;

pub use deployment::{
    ChipSpec, Deployment, InPart, LOAD, OpenChip, Ordered, Outcome, Placement, Reads, Supplies,
    TrialSpec,
};
pub use emulator::{BufferFaults, Emulator, EmulatorError, ImageRead, Images, Score, Stopped};
pub use memory::ProtectedError;
pub use memory::activations::ActivationFaults;
pub use memory::image::{FaultSite, Image, ImageError};
pub use memory::sums::{LoadedSumFaults, SumFaults, SumRule};
pub use memory::weights::{Corrupted, corrupt};
pub use moments::moments;
pub use noise::{Change, Changes, ImageChanges};
pub use readout::{Class, Confidence, Confidences, Prediction, Readout};
pub use recalibrate::{Calibration, Corrected};
pub use sum_ranges::{bits_of_bounds, channel_bounds, sum_bits, sum_bounds, sum_ranges, widened};
