//! The quantizers of the papers on robustness against random bit errors.
//!
//! Source: D. Stutz, N. Chandramoorthy, M. Hein, B. Schiele, "Bit Error Robustness for
//! Energy-Efficient DNN Accelerators", MLSys 2021, section 4.1, and its released code. The schemes
//! are the steps by which the paper arrives at RQuant; [`Formula`] chooses between the text and the
//! code where they differ.
//!
//! With `L = 2^(m-1) - 1` and the range `[qmin, qmax]` of one parameter tensor:
//!
//! ```text
//! symmetric    x = w / qmax                            integer = T(x * L)    real = integer / L * qmax
//! asymmetric   x = 2 (w - qmin) / (qmax - qmin) - 1    integer = T(x * L)    real by inversion of x
//! ```
//!
//! `T` truncates or rounds, half to even. The integer is stored in two's complement or in unsigned
//! offset binary. The arithmetic is `f64`: at exact ties, a code may differ by one from that of the
//! released single precision code.

mod error;
mod formula;
mod range;
mod scheme;

pub use error::QuantizeError;
pub use formula::Formula;
pub use range::Range;
pub use scheme::Scheme;

use crate::Encoding;
use scheme::Integer;

/// A scheme with a formula and a number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quantizer {
    scheme: Scheme,
    formula: Formula,
    bits: u8,
}

impl Quantizer {
    /// A quantizer to codes of `bits` bits.
    ///
    /// # Errors
    /// If `bits` is not 2..=8: with one bit there are `2^0 - 1 = 0` steps on each side of zero, and
    /// both formulas divide by that number.
    pub fn new(scheme: Scheme, formula: Formula, bits: u8) -> Result<Self, QuantizeError> {
        if (2..=8).contains(&bits) {
            Ok(Self { scheme, formula, bits })
        } else {
            Err(QuantizeError::Bits { bits })
        }
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The formula.
    #[must_use]
    pub fn formula(&self) -> Formula {
        self.formula
    }

    /// Bits per code, 2..=8.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The encoding of the codes.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        if self.scheme.is_unsigned() { Encoding::OffsetBinary } else { Encoding::TwosComplement }
    }

    /// The decoded integer that stands for the middle of the range: 0, but -1 in the paper's
    /// unsigned formula, whose offset is `2^(m-1) - 1` where [`Encoding::OffsetBinary`] has
    /// `2^(m-1)`.
    #[must_use]
    pub fn zero_point(&self) -> i32 {
        if self.scheme.is_unsigned() { self.formula.unsigned_zero_point() } else { 0 }
    }

    /// The difference of the real numbers of neighbouring integers.
    #[must_use]
    pub fn step(&self, range: &Range) -> f64 {
        self.half_width(range) / self.levels()
    }

    /// The range of one tensor; for [`Scheme::Global`] pass the weights of the whole network.
    ///
    /// # Errors
    /// If `weights` is empty or holds a NaN or an infinity.
    pub fn fit(&self, weights: &[f32]) -> Result<Range, QuantizeError> {
        let adaptive = Range::of(weights)?;
        let largest = adaptive.min().abs().max(adaptive.max().abs());
        match self.scheme {
            Scheme::Global => {
                Range::symmetric(self.formula.fixed_global_range().unwrap_or(largest))
            }
            Scheme::Normal => Range::symmetric(largest),
            Scheme::Asymmetric | Scheme::AsymmetricUnsigned | Scheme::RQuant => Ok(adaptive),
        }
    }

    /// The codes of `weights`, one byte each; the top `8 - bits` bits are zero. A weight outside
    /// `range` gets the nearest code. If the range is a single point, every weight gets the code of
    /// [`Self::zero_point`].
    ///
    /// # Errors
    /// If a weight is NaN or infinite.
    pub fn quantize(&self, weights: &[f32], range: &Range) -> Result<Vec<u8>, QuantizeError> {
        weights
            .iter()
            .enumerate()
            .map(|(index, &weight)| {
                if !weight.is_finite() {
                    return Err(QuantizeError::NotFinite { index, value: weight });
                }
                Ok(self.code(weight, range))
            })
            .collect()
    }

    /// The real numbers of `codes`; bits above the width are ignored. Codes that no clean weight has
    /// are allowed. If the range is a single point, the result is that point, apart from the margin of
    /// [`Formula::Code`].
    #[must_use]
    pub fn dequantize(&self, codes: &[u8], range: &Range) -> Vec<f32> {
        let table: [f32; 256] = std::array::from_fn(|code| self.real(code.to_le_bytes()[0], range));
        codes.iter().map(|&code| table[usize::from(code)]).collect()
    }

    fn code(&self, weight: f32, range: &Range) -> u8 {
        let half_width = self.half_width(range);
        let scaled = if half_width > 0.0 {
            // Multiplied before it is divided, so that the ends of the range become exactly -L and L.
            self.centred(weight, range) * self.levels() / half_width
        } else {
            0.0
        };
        let zero_point = self.zero_point();
        let integer = match self.scheme.integer(self.formula) {
            Integer::TowardsZero => libm::trunc(scaled),
            Integer::Down => libm::floor(scaled),
            Integer::Nearest => libm::rint(scaled),
        } + f64::from(zero_point);
        let encoding = self.encoding();
        let (min, max) = (encoding.min(self.bits), encoding.max(self.bits));
        #[expect(clippy::cast_possible_truncation, reason = "clamped to at most 8 bits")]
        let integer = integer.clamp(min.into(), max.into()) as i32;
        encoding.encode(integer, self.bits).expect("clamped to what the encoding holds")
    }

    fn real(&self, code: u8, range: &Range) -> f32 {
        let integer = i32::from(self.encoding().decode(code, self.bits)) - self.zero_point();
        let centred = f64::from(integer) * self.half_width(range) / self.levels();
        let real = range.centre() + centred;
        #[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
        if self.formula.clamps_dequantized() {
            real.clamp(range.min().into(), range.max().into()) as f32
        } else {
            real as f32
        }
    }

    /// `weight` less the middle of the range, exact at both ends.
    fn centred(&self, weight: f32, range: &Range) -> f64 {
        let weight = f64::from(weight);
        ((weight - f64::from(range.min())) - (f64::from(range.max()) - weight)) / 2.0
    }

    /// Half of the range plus the margin.
    fn half_width(&self, range: &Range) -> f64 {
        let half = (f64::from(range.max()) - f64::from(range.min())) / 2.0;
        let margin = self.formula.margin();
        // The asymmetric schemes add the margin after the normalisation to [-1, 1].
        if self.scheme.is_asymmetric() { half * (1.0 + margin) } else { half + margin }
    }

    /// `L`, the number of steps from the middle to an end.
    fn levels(&self) -> f64 {
        f64::from((1i32 << (self.bits - 1)) - 1)
    }
}
