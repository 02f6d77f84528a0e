//! Stored words and how they are read back.
//!
//! ```text
//! codes --encode--> words: k data bits, r check bits
//!                      |  faulty cells of both
//!                      v
//! codes <--decode-- words as read
//! ```

pub mod closed_form;
mod code;
mod mask;
mod read;
mod stored;

pub(crate) use code::low_bits;
pub use code::{Decoded, OnDetected, Verdict, WordCode};
pub use mask::{Bits, Mask};
pub use read::{Faults, ReadBack, ReadError, Scheme, Words, check_widths, compile, read_back};
pub use stored::{CodeBit, Codes, OneTensor, Stored, Stores, Sum, TowardZero};
