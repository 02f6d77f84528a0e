//! Codes, encodings, quantizers and requantization.
//!
//! A *code* is the m-bit pattern that one quantized value occupies in memory; an [`Encoding`] says
//! which integer it means.

pub mod encoding;
pub mod requantize;

pub use encoding::Encoding;
pub use requantize::{
    FactorError, FixedMultiplier, rounding_divide_by_pot, saturating_rounding_doubling_high_mul,
};
