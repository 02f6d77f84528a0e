//! The schemes: the steps by which the paper arrives at its robust quantizer.

use super::Formula;

/// A scheme of the paper; each adds one change to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Symmetric, one range for the whole network, signed, truncated.
    Global,
    /// Symmetric, one range for each parameter tensor, signed, truncated.
    Normal,
    /// Asymmetric: the range is from the smallest to the largest weight.
    Asymmetric,
    /// Asymmetric, with unsigned codes in offset binary.
    AsymmetricUnsigned,
    /// The same, with rounding to nearest, halves to even, in place of truncation.
    RQuant,
}

/// The rounding of a real to an integer.
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
        match self {
            Self::Global | Self::Normal => false,
            Self::Asymmetric | Self::AsymmetricUnsigned | Self::RQuant => true,
        }
    }

    /// Whether codes are unsigned.
    #[must_use]
    pub fn is_unsigned(self) -> bool {
        match self {
            Self::Global | Self::Normal | Self::Asymmetric => false,
            Self::AsymmetricUnsigned | Self::RQuant => true,
        }
    }

    pub(super) fn integer(self, formula: Formula) -> Integer {
        match self {
            Self::RQuant => Integer::Nearest,
            Self::AsymmetricUnsigned => formula.unsigned_truncation(),
            Self::Global | Self::Normal | Self::Asymmetric => Integer::TowardsZero,
        }
    }
}
