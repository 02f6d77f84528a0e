//! Codes, encodings, quantizers and requantization.
//!
//! A *code* is the m-bit pattern that one quantized value occupies in memory; an [`Encoding`] says
//! which integer it means, a [`Quantizer`] which real value. In memory codes lie [`pack`]ed without
//! gaps. [`FixedMultiplier`] takes int32 sums back to int8 as deployed networks do.
//!
//! ```
//! use vmin_quant::{Formula, Quantizer, Scheme};
//!
//! let weights = [-0.5, 0.0, 0.3, 1.0];
//! let rquant = Quantizer::new(Scheme::RQuant, Formula::Paper, 4)?;
//! let range = rquant.fit(&weights)?;
//! let codes = rquant.quantize(&weights, range)?;
//! let back = rquant.dequantize(&codes, range)?;
//! assert!(weights.iter().zip(back).all(|(w, b)| (w - b).abs() <= 1.5 / 14.0 / 2.0 + 1e-6));
//! # Ok::<(), vmin_quant::QuantizeError>(())
//! ```
//!
//! Not here: memory, networks.

mod encoding;
mod packing;
mod requantize;
mod scheme;

pub use encoding::Encoding;
pub use packing::{pack, unpack};
pub use requantize::{
    FactorError, FixedMultiplier, rounding_divide_by_pot, saturating_rounding_doubling_high_mul,
};
pub use scheme::{Formula, QuantizeError, Quantizer, Range, SCHEMES, Scheme};
