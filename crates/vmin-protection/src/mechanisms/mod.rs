//! The mechanisms, one file each, and the list of them.

mod bank_rail;
mod boost;
mod detecting_read;
mod invert_rows;
mod layer_rail;
mod parity;
mod safe_bits;
mod secded;
mod spares;

pub use bank_rail::BankRail;
pub use boost::Boost;
pub use detecting_read::{DetectingRead, DetectingReads, Masking};
pub use invert_rows::InvertRows;
pub use layer_rail::LayerRail;
pub use parity::{Parity, ParityCode};
pub use safe_bits::SafeBits;
pub use secded::{Secded, SecdedCode, SecdedError};
pub use spares::{Repair, SpareFaults, SpareLines, Spares, repaired_faults};

use crate::mechanism::Reader;

/// The words of all mechanisms, from the cells outwards.
#[must_use]
pub fn words() -> String {
    ALL.map(|(kind, _)| format!("`{kind}`")).join(", ")
}

/// Every mechanism with its word in files.
pub const ALL: [(&str, Reader); 9] = [
    ("boost", boost::read),
    ("safe_bits", safe_bits::read),
    ("layer_rail", layer_rail::read),
    ("bank_rail", bank_rail::read),
    ("spares", spares::read),
    ("invert_rows", invert_rows::read),
    ("parity", parity::read),
    ("secded", secded::read),
    ("detecting_read", detecting_read::read),
];
