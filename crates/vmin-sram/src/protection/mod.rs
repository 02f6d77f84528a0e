//! Protection: what stands between the cells of a memory and the codes that are read.
//!
//! ```text
//! cells --> rails (which cells fail) --> spares (which cells are used) --> word code --> codes
//!           boost, safe bits,            rows and columns of a bank       parity, SECDED,
//!           layer and bank rails         replaced after a test            error-detecting reads
//! ```
//!
//! Each mechanism is one file and works on what the hardware has: a rail on the threshold of a cell,
//! spares on the fault map of a bank, a [`WordCode`] on the bits of one word. Check bits and spare
//! lines lie in cells of their own, which fail too. Costs are not here (they belong to the
//! accelerator), nor volts: a rail is a [`Threshold`](crate::Threshold).

pub mod closed_form;
mod detecting;
mod parity;
mod rails;
mod read;
mod secded;
mod spares;
mod stored;
#[cfg(test)]
mod tests;
mod word;

pub use detecting::{DetectingReads, Masking};
pub use parity::Parity;
pub use rails::{RailRule, Rails, Which, weakest_banks};
pub use read::{ReadBack, ReadError, WordScheme, Words, read_back};
pub use secded::{Secded, SecdedError};
pub use spares::{Repair, SpareLines, SpareMaps, repaired_faults};
pub use stored::{CodeBit, StoredTensor, Stores, TowardZero};
pub use word::{Decoded, OnDetected, Verdict, WordCode};
