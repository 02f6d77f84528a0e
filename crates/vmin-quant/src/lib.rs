//! Codes, encodings, quantizers and requantization.
//!
//! A *code* is the m-bit pattern that one quantized value occupies in memory; an [`Encoding`] says
//! which integer it means; a quantizer says which real number that integer stands for.
//!
//! ```text
//! real --[Quantizer | Deployable]--> integer --[Encoding]--> code --[pack]--> memory words
//! int32 sum --[FixedMultiplier]--> int8
//! ```
//!
//! Two kinds of quantizers live here. [`Quantizer`] is the float emulation that the papers on
//! robustness against bit errors evaluate. [`Deployable`] yields integers with a scale and an
//! integer zero point, which integer hardware runs.
//!
//! ```
//! use vmin_quant::{Formula, Quantizer, Scheme};
//!
//! let quantizer = Quantizer::new(Scheme::RQuant, Formula::Paper, 8)?;
//! let weights = [-0.5, 0.0, 0.25, 0.5];
//! let range = quantizer.fit(&weights)?;
//! let codes = quantizer.quantize(&weights, &range)?;
//! assert_eq!(codes, [0, 127, 191, 254]);
//! assert_eq!(quantizer.dequantize(&codes, &range)[0], -0.5);
//! # Ok::<(), vmin_quant::QuantizeError>(())
//! ```
//!
//! The crate knows neither memories nor networks. What decides a stored bit is computed in `f64`
//! with basic operations and `libm`, so that all machines store the same bits.

pub mod deployable;
pub mod encoding;
pub mod quantizer;
pub mod requantize;
pub mod storage;

pub use deployable::{Deployable, Deployed, Granularity, Rounding, Symmetry};
pub use encoding::{EncodeError, Encoding};
pub use quantizer::{Formula, QuantizeError, Quantizer, Range, Scheme};
pub use requantize::{
    FactorError, FixedMultiplier, rounding_divide_by_pot, saturating_rounding_doubling_high_mul,
};
pub use storage::{UnpackError, pack, unpack};
