//! Placement: which cells hold which code.
//!
//! `resident` is the assumption of the source papers: the whole model lies in one weight memory at
//! fixed addresses. Tensors follow each other in memory order ([`ResidentPlacement`]); which cell a bit of
//! that order lies in is the layout's affair ([`AddressMap`]).

mod address_map;
mod resident;

pub use address_map::{AddressMap, AddressMapError, Interleaving};
pub use resident::{Alignment, PlacedTensor, PlacementError, ResidentPlacement};
