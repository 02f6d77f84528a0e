//! The steps in which the paper assembles its robust quantizer.

use super::Formula;

/// Each scheme adds one change to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Symmetric, one range for the whole network, signed, truncated.
    Global,
    /// Symmetric, one range for each parameter tensor, signed, truncated.
    Normal,
    /// The range is from the smallest to the largest weight.
    Asymmetric,
    /// Unsigned codes in offset binary.
    AsymmetricUnsigned,
    /// Rounding to nearest, half to even, in place of truncation.
    RQuant,
}

/// How a real becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integer {
    TowardsZero,
    Down,
    Nearest,
}

impl Scheme {
    /// All schemes, in the order of the paper.
    pub const ALL: [Self; 5] =
        [Self::Global, Self::Normal, Self::Asymmetric, Self::AsymmetricUnsigned, Self::RQuant];

    /// Whether the range may lie unevenly around zero.
    #[must_use]
    pub fn is_asymmetric(self) -> bool {
        self >= Self::Asymmetric
    }

    /// Whether codes are unsigned.
    #[must_use]
    pub fn is_unsigned(self) -> bool {
        self >= Self::AsymmetricUnsigned
    }

    pub(super) fn integer(self, formula: Formula) -> Integer {
        match self {
            Self::RQuant => Integer::Nearest,
            Self::AsymmetricUnsigned => formula.unsigned_truncation(),
            Self::Global | Self::Normal | Self::Asymmetric => Integer::TowardsZero,
        }
    }
}
