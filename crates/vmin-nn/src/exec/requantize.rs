//! From an accumulator to an output code.

use vmin_quant::FixedMultiplier;

use crate::Conv2d;

/// How often a requantization rounds.
///
/// LiteRT's reference kernels round twice in convolutions and sums and once in fully connected
/// layers; about one output in a thousand differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// A saturating rounding doubling high multiplication, then a rounding shift: ties away from
    /// zero both times. [`FixedMultiplier::apply`].
    Twice,
    /// One 64-bit product, one shift, ties up.
    Once,
}

impl Rounding {
    /// The rounding of a layer.
    #[must_use]
    pub fn of(conv: &Conv2d) -> Self {
        if conv.fully_connected { Self::Once } else { Self::Twice }
    }

    /// `accumulator` times the factor.
    #[must_use]
    pub fn apply(self, multiplier: FixedMultiplier, accumulator: i32) -> i32 {
        match self {
            Self::Twice => multiplier.apply(accumulator),
            Self::Once => once(multiplier, accumulator),
        }
    }
}

#[inline]
fn once(multiplier: FixedMultiplier, accumulator: i32) -> i32 {
    let shift = (31 - multiplier.shift).clamp(1, 62);
    let product = i64::from(accumulator) * i64::from(multiplier.multiplier);
    let rounded = (product + (1i64 << (shift - 1))) >> shift;
    rounded.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}
