//! Requantization: from a sum to an output code.

use serde::{Deserialize, Serialize};
use vmin_kernels::{Factor, Requantization, Rounds};
use vmin_quant::FixedMultiplier;

use crate::{Activation, Conv2d};

/// The rounding from a sum to an output code.
///
/// LiteRT's reference kernels round twice in convolutions and additions and once in fully connected
/// layers; about one output in a thousand differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequantizeRounding {
    /// A saturating rounding doubling high multiplication, then a rounding shift: ties away from
    /// zero both times. [`FixedMultiplier::apply`].
    Double,
    /// One 64-bit product, one shift, ties up.
    Single,
}

impl RequantizeRounding {
    /// `accumulator` times the factor.
    #[must_use]
    pub fn apply(self, multiplier: FixedMultiplier, accumulator: i32) -> i32 {
        match self {
            Self::Double => multiplier.apply(accumulator),
            Self::Single => once(multiplier, accumulator),
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

/// The rule of a layer for the kernels.
pub(crate) fn requantization(conv: &Conv2d, zero_point: i32) -> Requantization {
    let rounds = match conv.rounding {
        RequantizeRounding::Double => Rounds::Twice,
        RequantizeRounding::Single => Rounds::Once,
    };
    let factors: Vec<Factor> = conv.multipliers.iter().map(|&m| factor(m)).collect();
    let Activation { min, max } = conv.activation;
    Requantization::new(rounds, &factors, zero_point, min, max)
}

/// A factor for the kernels.
pub(super) fn factor(m: FixedMultiplier) -> Factor {
    Factor { multiplier: m.multiplier, shift: m.shift }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConvKind, WeightId};

    #[test]
    fn all_kernels_have_the_bits_of_the_rule() {
        let edges: Vec<i32> = (0..32)
            .flat_map(|bit| [-3, -2, -1, 0, 1, 2, 3].map(|d| (1i64 << bit) + d))
            .flat_map(|x| [x, -x, x * 5 / 3, x * 7 / 3])
            .map(|x| x as i32)
            .collect();
        // As many channels of one factor as sums, so that whole vectors and a tail are filled.
        let n = edges.len() - 1;
        for rounding in [RequantizeRounding::Double, RequantizeRounding::Single] {
            for shift in -31..=30 {
                for multiplier in [0, 1, 1 << 30, (1 << 30) + 1, 1_518_500_249, i32::MAX] {
                    let multiplier = FixedMultiplier { multiplier, shift };
                    let conv = Conv2d {
                        kind: ConvKind::Dense,
                        rounding,
                        weights: WeightId(0),
                        bias: vec![0; n],
                        multipliers: vec![multiplier; n],
                        stride: [1, 1],
                        dilation: [1, 1],
                        padding: [0, 0],
                        activation: Activation { min: -128, max: 127 },
                    };
                    for zero_point in [-128, 0, 3] {
                        let rule = requantization(&conv, zero_point);
                        let code = |&acc: &i32| {
                            let scaled = rounding.apply(multiplier, acc);
                            scaled.wrapping_add(zero_point).clamp(-128, 127) as i8
                        };
                        let expected: Vec<i8> = edges[..n].iter().map(code).collect();
                        for kernel in vmin_kernels::available() {
                            let mut out = vec![0; n];
                            kernel.requantize(&edges[..n], &vec![0; n], &rule, &mut out);
                            assert!(out == expected, "{} {multiplier:?}", kernel.name());
                        }
                    }
                }
            }
        }
    }
}
