//! Attacks: searches for the bits to flip, or the pixels to change, that do a network the most harm.
//!
//! An attack sees its victim through a trait that tells losses and gradients, so the same search runs against a float
//! network in training and against a deployed integer network in its memories.
//!
//! [`bits`] searches among stored codes, [`image`] among images near a given one, [`patch`] among images with a patch.

#![forbid(unsafe_code)]

pub mod bits;
pub mod image;
mod norm;
pub mod patch;
mod random;

pub use norm::Norm;
