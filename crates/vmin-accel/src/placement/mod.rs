//! Placement: which cells hold which code.
//!
//! `resident` is the assumption of the source papers: the whole model lies in one weight memory at
//! fixed addresses. Tensors follow each other in memory order ([`ResidentPlacement`]); which cell a bit of
//! that order lies in is the layout's affair ([`AddressMap`]).
//!
//! `streamed`: weights pass through the memory that there is ([`StreamedPlacement`]), so that one bad
//! cell lies under many weights. Activations have cells of their own ([`ActivationPlacement`]),
//! and so have partial sums ([`SumPlacement`]).

mod activations;
mod address_map;
mod resident;
mod stream_faults;
mod streamed;
mod sums;
mod weights;

pub use activations::{ActivationPlacement, PlacedActivation};
pub use address_map::{AddressMap, AddressMapError, Interleaving};
pub use resident::{Alignment, PlacedTensor, PlacementError, ResidentPlacement};
pub use streamed::{Load, Product, StreamError, StreamedLayer, StreamedPlacement, StreamedTensor};
pub use sums::{PlacedSums, SUM_BITS, SumError, SumPlacement};
pub use weights::WeightPlacement;
