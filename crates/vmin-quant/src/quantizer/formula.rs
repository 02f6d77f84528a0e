//! The differences between the paper's text and its released code.

use super::scheme::Integer;

/// The paper's text, or its released code. All differences:
///
/// | | `Paper` | `Code` |
/// |---|---|---|
/// | offset of unsigned codes | `2^(m-1) - 1`: clean codes are `0 ..= 2^m - 2` | `2^(m-1)`: `1 ..= 2^m - 1` |
/// | margin | none | 0.001: `step = (qmax + 0.001) / L`, asymmetric schemes `(1 + 0.001) / L` of the normalised weight |
/// | [`Scheme::Global`](super::Scheme::Global) | largest magnitude of the network | always `[-1, 1]` |
/// | truncation of unsigned codes | of the number, towards zero | of the number plus the offset: down |
/// | dequantized reals | may leave the range by a step where flips produce unused codes | clamped to the range |
/// | a tensor of equal weights, asymmetric | not defined; here: exact | divides by zero; here: exact |
///
/// The margin of symmetric schemes is absolute in the code, a tenth of the range for weights clipped
/// to 0.01. Reals are clamped to the range without the margin. The released configuration that is
/// called Normal is in truth global, unsigned and truncated over `[-1, 1]`:
/// [`Scheme::AsymmetricUnsigned`](super::Scheme::AsymmetricUnsigned) with
/// [`Range::symmetric(1.0)`](super::Range::symmetric).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Formula {
    /// The formulas of the paper's text.
    Paper,
    /// The formulas of the released code.
    Code,
}

impl Formula {
    /// All formulas.
    pub const ALL: [Self; 2] = [Self::Paper, Self::Code];

    /// The number that is added to the upper end before the step is computed.
    pub(super) fn margin(self) -> f64 {
        match self {
            Self::Paper => 0.0,
            Self::Code => 0.001,
        }
    }

    /// The integer in offset binary that stands for the middle of the range.
    pub(super) fn unsigned_zero_point(self) -> i32 {
        match self {
            Self::Paper => -1,
            Self::Code => 0,
        }
    }

    /// The upper end that a global range always has.
    pub(super) fn fixed_global_range(self) -> Option<f32> {
        match self {
            Self::Paper => None,
            Self::Code => Some(1.0),
        }
    }

    /// The rounding of unsigned codes that are truncated.
    pub(super) fn unsigned_truncation(self) -> Integer {
        match self {
            Self::Paper => Integer::TowardsZero,
            Self::Code => Integer::Down,
        }
    }

    /// Whether dequantized reals are clamped to the range.
    pub(super) fn clamps_dequantized(self) -> bool {
        match self {
            Self::Paper => false,
            Self::Code => true,
        }
    }
}
