//! The fixed-point schemes of the bit-error papers, from plain to robust.
//!
//! Facts: D. Stutz, N. Chandramoorthy, M. Hein, B. Schiele, "Bit Error Robustness for
//! Energy-Efficient DNN Accelerators", MLSys 2021, section "Robust Quantization". Each scheme of
//! [`Scheme`] makes one change to the one before it. The authors' released program differs from the
//! printed formulas in details that matter at small ranges; [`Formula`] names both.
//!
//! With m bits and `L = 2^(m-1) - 1` levels on each side:
//!
//! ```text
//! symmetric    delta = qmax / L      v = trunc(w / delta)          w' = delta v
//! asymmetric   the same for N(w) = 2 (w - qmin) / (qmax - qmin) - 1 with qmax = 1, then N undone
//! unsigned     v = trunc or round(w / delta) + L                   w' = delta (v - L)
//! ```

use crate::Encoding;

/// A fixed-point scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// One symmetric range for the whole network, signed codes, truncation.
    Global,
    /// One symmetric range per tensor (the papers' "Normal").
    Normal,
    /// One range `[min, max]` per tensor.
    Asymmetric,
    /// The same with unsigned, offset-binary codes.
    AsymmetricUnsigned,
    /// The same with rounding to nearest: the papers' RQuant.
    RQuant,
}

/// All schemes, in the order in which they build on each other.
pub const SCHEMES: [Scheme; 5] = [
    Scheme::Global,
    Scheme::Normal,
    Scheme::Asymmetric,
    Scheme::AsymmetricUnsigned,
    Scheme::RQuant,
];

/// Which of the two published forms of the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Formula {
    /// As printed: offset `2^(m-1) - 1`, no margin, truncation toward zero.
    Paper,
    /// As released: offset `2^(m-1)`; a margin of 0.001 on the range (relative where the range is
    /// normalised, absolute where it is `max |w|`); unsigned truncation after the offset, which is a
    /// floor; dequantized values clamped to the range.
    Code,
}

/// The margin of [`Formula::Code`].
const MARGIN: f64 = 0.001;

/// The range of a tensor's values: side information, taken as free of errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Smallest value held.
    pub min: f32,
    /// Largest value held.
    pub max: f32,
}

/// Why values cannot be quantized.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QuantizeError {
    /// The formulas divide by `2^(m-1) - 1`.
    #[error("the scheme needs 2 to 8 bits per code, not {bits}")]
    Bits {
        /// What was asked for.
        bits: u8,
    },
    /// A value is NaN or infinite.
    #[error("value {index} is not finite")]
    NotFinite {
        /// Index of the first such value.
        index: usize,
    },
    /// The range is empty, reversed or not finite.
    #[error("the range {min} to {max} is empty or not finite")]
    Range {
        /// Lower end.
        min: f32,
        /// Upper end.
        max: f32,
    },
    /// There are no values to take a range from.
    #[error("an empty tensor has no range")]
    Empty,
}

/// A scheme at a number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantizer {
    scheme: Scheme,
    formula: Formula,
    bits: u8,
}

impl Quantizer {
    /// The scheme with `bits` (2 to 8) bits per code.
    ///
    /// # Errors
    /// If the formulas do not exist at that number of bits.
    pub fn new(scheme: Scheme, formula: Formula, bits: u8) -> Result<Self, QuantizeError> {
        if !(2..=8).contains(&bits) {
            return Err(QuantizeError::Bits { bits });
        }
        Ok(Self { scheme, formula, bits })
    }

    /// How its codes mean integers; offset-binary codes are off by one from
    /// [`Encoding::OffsetBinary`] under [`Formula::Paper`].
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        if self.unsigned() { Encoding::OffsetBinary } else { Encoding::TwosComplement }
    }

    fn unsigned(&self) -> bool {
        matches!(self.scheme, Scheme::AsymmetricUnsigned | Scheme::RQuant)
    }

    fn asymmetric(&self) -> bool {
        self.unsigned() || self.scheme == Scheme::Asymmetric
    }

    fn levels(&self) -> f64 {
        f64::from((1u16 << (self.bits - 1)) - 1)
    }

    fn offset(&self) -> f64 {
        match self.formula {
            Formula::Paper => self.levels(),
            Formula::Code => self.levels() + 1.0,
        }
    }

    /// The range of one tensor. For [`Scheme::Global`] pass all values of the network, or give the
    /// range yourself.
    ///
    /// A tensor of one repeated value has an empty range in the asymmetric schemes, where the
    /// formulas divide by zero; it gets the symmetric range around zero instead, `[-1, 1]` if all
    /// values are zero.
    ///
    /// # Errors
    /// If there is no value or one is not finite.
    pub fn fit(&self, values: &[f32]) -> Result<Range, QuantizeError> {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(QuantizeError::NotFinite { index });
        }
        let (first, rest) = values.split_first().ok_or(QuantizeError::Empty)?;
        let (min, max) =
            rest.iter().fold((*first, *first), |(low, high), &v| (low.min(v), high.max(v)));
        if self.asymmetric() && min < max {
            return Ok(Range { min, max });
        }
        let bound = match min.abs().max(max.abs()) {
            0.0 => 1.0,
            bound => bound,
        };
        Ok(Range { min: -bound, max: bound })
    }

    /// The step in units in which codes are formed: of the normalised range where asymmetric.
    fn delta(&self, range: Range) -> f64 {
        let half = if self.asymmetric() { 1.0 } else { f64::from(range.max) };
        let margin = match self.formula {
            Formula::Paper => 0.0,
            Formula::Code => MARGIN,
        };
        (half + margin) / self.levels()
    }

    fn normalise(&self, value: f64, range: Range) -> f64 {
        if self.asymmetric() {
            let (min, max) = (f64::from(range.min), f64::from(range.max));
            2.0 * (value - min) / (max - min) - 1.0
        } else {
            value
        }
    }

    fn denormalise(&self, value: f64, range: Range) -> f64 {
        if self.asymmetric() {
            let (min, max) = (f64::from(range.min), f64::from(range.max));
            (value + 1.0) / 2.0 * (max - min) + min
        } else {
            value
        }
    }

    /// The codes of `values`; values outside the range are clamped to it first.
    ///
    /// # Errors
    /// If a value or the range is not finite, or the range is empty.
    pub fn quantize(&self, values: &[f32], range: Range) -> Result<Vec<u8>, QuantizeError> {
        self.check(range)?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(QuantizeError::NotFinite { index });
        }
        let delta = self.delta(range);
        Ok(values
            .iter()
            .map(|&value| self.code(value.clamp(range.min, range.max), range, delta))
            .collect())
    }

    fn code(&self, value: f32, range: Range, delta: f64) -> u8 {
        let steps = self.normalise(value.into(), range) / delta;
        let rounded = match (self.scheme, self.formula) {
            (Scheme::RQuant, Formula::Paper) => libm::rint(steps) + self.offset(),
            (Scheme::RQuant, Formula::Code) => libm::rint(steps + self.offset()),
            (Scheme::AsymmetricUnsigned, Formula::Paper) => libm::trunc(steps) + self.offset(),
            (Scheme::AsymmetricUnsigned, Formula::Code) => libm::trunc(steps + self.offset()),
            _ => libm::trunc(steps),
        };
        let top = 2.0 * self.levels() + 1.0;
        let (low, high) =
            if self.unsigned() { (0.0, top) } else { (-self.levels(), self.levels()) };
        #[expect(clippy::cast_possible_truncation, reason = "clamped to at most 9 bits")]
        let integer = rounded.clamp(low, high) as i16;
        // Two's complement in the low `bits` bits.
        integer.to_le_bytes()[0] & (0xff >> (8 - self.bits))
    }

    /// The values that `codes` mean, also codes that clean values never give.
    ///
    /// # Errors
    /// If the range is empty or not finite.
    pub fn dequantize(&self, codes: &[u8], range: Range) -> Result<Vec<f32>, QuantizeError> {
        self.check(range)?;
        let delta = self.delta(range);
        Ok(codes.iter().map(|&code| self.value(code, range, delta)).collect())
    }

    fn value(&self, code: u8, range: Range, delta: f64) -> f32 {
        let integer = if self.unsigned() {
            f64::from(code & (0xff >> (8 - self.bits))) - self.offset()
        } else {
            f64::from(Encoding::TwosComplement.decode(code, self.bits))
        };
        #[expect(clippy::cast_possible_truncation, reason = "weights are held as f32")]
        let value = self.denormalise(delta * integer, range) as f32;
        match self.formula {
            Formula::Paper => value,
            Formula::Code => value.clamp(range.min, range.max),
        }
    }

    fn check(&self, range: Range) -> Result<(), QuantizeError> {
        let Range { min, max } = range;
        let fine = min.is_finite()
            && max.is_finite()
            && min < max
            && (max - min).is_finite()
            && (self.asymmetric() || max > 0.0);
        if fine { Ok(()) } else { Err(QuantizeError::Range { min, max }) }
    }
}
