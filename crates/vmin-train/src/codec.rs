//! Quantization of weights, in training and at deployment.
//!
//! Every scheme here has an integer zero point, so that training and integer hardware use the same
//! weights: `real = scale * (integer - zero_point)`. The asymmetric schemes of the papers have a
//! range whose zero lies between two codes; their range is widened to hold 0 and moved by at most
//! half a step until 0 falls on a code.
//!
//! ```text
//!  weights ── encode ──> codes ── (bit errors) ──> reals[code]
//!                          └─ range of the clean weights ──┘
//! ```
//!
//! A tensor keeps the table from its codes to real numbers. Codes with bit errors use the table of the
//! clean weights, because the ranges are not stored in the faulty memory.

use rayon::prelude::*;
use serde::Serialize;
use vmin_quant::{Deployed, Encoding, Formula, QuantizeError, Quantizer, Range, Scheme};

use crate::WeightQuantization;
use crate::deploy::codes::rquant;
use crate::parallel::together;
use crate::real::Real;

/// Map from codes to real numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightScheme {
    /// One asymmetric range per tensor, offset binary, rounded, all codes in use: RQuant with the
    /// integer zero point of integer hardware.
    #[default]
    Deployable,
    /// One symmetric range for all weights, two's complement, truncated.
    Global,
    /// One symmetric range per tensor, two's complement, truncated.
    Normal,
    /// One asymmetric range per tensor, two's complement, truncated.
    Asymmetric,
    /// As `Asymmetric`, in offset binary.
    AsymmetricUnsigned,
    /// As `AsymmetricUnsigned`, rounded to nearest: RQuant with the papers' `2^m - 1` codes.
    Rquant,
}

impl WeightScheme {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 6] = [
        ("deployable", Self::Deployable),
        ("global", Self::Global),
        ("normal", Self::Normal),
        ("asymmetric", Self::Asymmetric),
        ("asymmetric_unsigned", Self::AsymmetricUnsigned),
        ("rquant", Self::Rquant),
    ];
}

/// Source of a formula where the papers' text and their released code differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemeFormula {
    /// The text.
    #[default]
    Paper,
    /// The released code.
    Code,
}

impl SchemeFormula {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 2] = [("paper", Self::Paper), ("code", Self::Code)];
}

/// A weight tensor as stored in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Encoded {
    /// One code per weight.
    pub(crate) codes: Vec<u8>,
    /// Real number of each code, by the range of the clean weights.
    pub(crate) reals: [f32; 256],
    /// Distance between neighbouring integers.
    pub(crate) scale: f32,
    /// Decoded integer of the real number 0.
    pub(crate) zero_point: i32,
    /// Map from codes to integers.
    pub(crate) encoding: Encoding,
}

impl Encoded {
    /// Real numbers of the current codes.
    pub(crate) fn decode(&self) -> Vec<f32> {
        self.codes.iter().map(|&code| self.reals[usize::from(code)]).collect()
    }
}

/// The codes of `tensors`, all weights of a network.
///
/// # Errors
/// If a weight is not finite or a tensor is empty.
pub(crate) fn encode(
    quantization: WeightQuantization,
    tensors: &[&[f32]],
) -> Result<Vec<Encoded>, QuantizeError> {
    let together = together::<f32>(tensors);
    let parallel = tensors.par_iter().with_min_len(together);
    let Some(scheme) = papers_scheme(quantization.scheme) else {
        return parallel.map(|weights| deployable(quantization.bits, weights)).collect();
    };
    let quantizer = Quantizer::new(scheme, formula(quantization), quantization.bits)?;
    let common = match scheme {
        Scheme::Global => Some(quantizer.fit(&tensors.concat())?),
        Scheme::Normal | Scheme::Asymmetric | Scheme::AsymmetricUnsigned | Scheme::RQuant => None,
    };
    let encoded = parallel.map(|weights| {
        let range = match common {
            Some(range) => range,
            None => quantizer.fit(weights)?,
        };
        papers(quantizer, weights, range)
    });
    encoded.collect()
}

/// Smallest and largest integer of clean weights, and whether the scheme truncates over an asymmetric
/// range.
pub(crate) fn integers(quantization: WeightQuantization) -> Option<([i32; 2], bool)> {
    let bits = quantization.bits;
    let Some(scheme) = papers_scheme(quantization.scheme) else {
        let encoding = Encoding::OffsetBinary;
        return Some(([encoding.min(bits), encoding.max(bits)], false));
    };
    let quantizer = Quantizer::new(scheme, formula(quantization), bits).ok()?;
    let (middle, half) = (quantizer.zero_point(), (1 << (bits - 1)) - 1);
    let truncates = match scheme {
        Scheme::Asymmetric | Scheme::AsymmetricUnsigned => true,
        Scheme::Global | Scheme::Normal | Scheme::RQuant => false,
    };
    Some(([middle - half, middle + half], truncates))
}

fn formula(quantization: WeightQuantization) -> Formula {
    match quantization.formula {
        SchemeFormula::Paper => Formula::Paper,
        SchemeFormula::Code => Formula::Code,
    }
}

fn papers_scheme(scheme: WeightScheme) -> Option<Scheme> {
    match scheme {
        WeightScheme::Deployable => None,
        WeightScheme::Global => Some(Scheme::Global),
        WeightScheme::Normal => Some(Scheme::Normal),
        WeightScheme::Asymmetric => Some(Scheme::Asymmetric),
        WeightScheme::AsymmetricUnsigned => Some(Scheme::AsymmetricUnsigned),
        WeightScheme::Rquant => Some(Scheme::RQuant),
    }
}

fn deployable(bits: u8, weights: &[f32]) -> Result<Encoded, QuantizeError> {
    let Deployed { codes, scales, zero_points, encoding, .. } =
        rquant(bits).quantize(weights, 1)?;
    let (scale, zero_point) = (scales[0], zero_points[0]);
    Ok(Encoded {
        codes,
        reals: table(bits, encoding, scale, zero_point),
        scale,
        zero_point,
        encoding,
    })
}

fn papers(quantizer: Quantizer, weights: &[f32], range: Range) -> Result<Encoded, QuantizeError> {
    let moved = quantizer.scheme().is_asymmetric();
    let range = if moved { nudged(quantizer, range)? } else { range };
    let (bits, encoding) = (quantizer.bits(), quantizer.encoding());
    let step = quantizer.step(&range);
    let scale = f32::of(step);
    if !scale.is_normal() {
        // All weights are 0, or so small that the step underflows.
        return deployable(bits, weights);
    }
    let middle = f64::midpoint(range.min().into(), range.max().into());
    // Below 2^9 in magnitude: the range holds 0.
    let zero_point = quantizer.zero_point() - round(middle / step);
    // Moving the range cuts off up to half a step at one end; weights there would be truncated to an unused
    // code, one step beyond the end.
    let inside: Vec<f32> = weights.iter().map(|w| w.clamp(range.min(), range.max())).collect();
    let codes = quantizer.quantize(if moved { &inside } else { weights }, &range)?;
    // The papers' released code also clamps decoded weights to the range. Integer hardware does not, so training
    // does not either.
    let reals = table(bits, encoding, scale, zero_point);
    Ok(Encoded { codes, reals, scale, zero_point, encoding })
}

/// The range widened to hold 0 and moved by at most half a step so that 0 is a code.
fn nudged(quantizer: Quantizer, range: Range) -> Result<Range, QuantizeError> {
    let (low, high) = (range.min().min(0.0), range.max().max(0.0));
    let range = Range::new(low, high)?;
    let step = quantizer.step(&range);
    if !f32::of(step).is_normal() {
        return Ok(range);
    }
    let middle = f64::midpoint(low.into(), high.into());
    let moved = libm::round(middle / step) * step - middle;
    Range::new(f32::of(f64::from(low) + moved), f32::of(f64::from(high) + moved))
}

fn table(bits: u8, encoding: Encoding, scale: f32, zero_point: i32) -> [f32; 256] {
    encoding
        .decode_table(bits)
        .map(|integer| f32::of(f64::from(scale) * (f64::from(integer) - f64::from(zero_point))))
}

#[expect(clippy::cast_possible_truncation, reason = "a small integer; a saturating cast of others")]
fn round(x: f64) -> i32 {
    libm::round(x) as i32
}

#[cfg(test)]
mod tests;
