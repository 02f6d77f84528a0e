//! Placement: which cells hold which code.
//!
//! `resident` is the assumption of the source papers: the whole model lies in one weight memory at
//! fixed addresses.

mod resident;

pub use resident::{PlacedTensor, PlacementError, ResidentPlacement};
