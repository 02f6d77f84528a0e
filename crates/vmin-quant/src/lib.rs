//! Codes, encodings, quantizers and fixed-point multipliers.
//!
//! A *code* is the m-bit pattern that one quantized value occupies in memory. An [`Encoding`] maps
//! codes to integers; a quantizer maps integers to real numbers. *Requantization* turns an int32 sum
//! into a code; its factors are [`FixedMultiplier`]s.
//!
//! ```text
//! real --[Quantizer | Deployable]--> integer --[Encoding]--> code --[pack]--> memory words
//! int32 sum --[FixedMultiplier]--> int8
//! ```
//!
//! There are two kinds of quantizers. [`Quantizer`] is the float emulation that the papers on
//! robustness against bit errors evaluate. [`Deployable`] yields integers with a scale and an
//! integer zero point, as integer hardware needs them. `examples/bit_flip.rs` takes weights to memory
//! words and back with a flipped bit.
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
//! The crate knows neither memories nor networks. Stored bits are computed in `f64` with basic
//! operations and `libm`, so they are the same on all machines.

pub mod deployable;
pub mod encoding;
pub mod fixed_multiplier;
pub mod quantizer;
pub mod storage;

pub use deployable::{Deployable, Deployed, Granularity, Rounding, Symmetry};
pub use encoding::{EncodeError, Encoding};
pub use fixed_multiplier::{
    FactorError, FixedMultiplier, rounding_divide_by_pot, saturating_rounding_doubling_high_mul,
};
pub use quantizer::{Formula, QuantizeError, Quantizer, Range, Scheme};
pub use storage::{UnpackError, pack, unpack};
