//! Runs a network on a chip: corrupts what the placement stores, infers, counts.
//!
//! ```text
//!  graph (codes) ──┐
//!  placement ──────┼─> corrupt ─> codes as read ─> load ─> predict images ─> counts
//!  faults at V ────┘   (bits)                     (pack)   (rayon, chunks)
//! ```
//!
//! Everything decided here is an integer, so results are the same bits for any number of threads
//! and any kernel. Not here: which voltages and chips to try (that is an experiment), and where the
//! codes lie (that is the accelerator's placement).

mod activation_faults;
mod emulator;
mod protected;
mod sum_faults;

pub use activation_faults::ActivationFaults;
pub use emulator::{
    BufferApplied, BufferFaults, Corrupted, Emulator, EmulatorError, ImageRead, Images, Score,
    Stopped,
};
pub use protected::{ChipMaps, ChipShape, ProtectedError, ProtectedMemory, ProtectedRead};
pub use sum_faults::{LoadedSumFaults, SumFaults};
