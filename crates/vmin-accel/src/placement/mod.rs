//! Placement: which cells hold which code.
//!
//! `resident` is the assumption of the source papers: the whole model lies in one weight memory at
//! fixed addresses. `streamed`: weights pass through the memory that there is, so that one bad cell
//! lies under many weights.

mod activations;
mod resident;
mod streamed;

pub use activations::{ActivationPlacement, PlacedActivation};
pub use resident::{PlacedTensor, PlacementError, ResidentPlacement};
pub use streamed::{Load, StreamError, StreamedPlacement, StreamedTensor};
