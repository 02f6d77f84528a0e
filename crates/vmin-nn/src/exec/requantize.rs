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

/// The requantization of all output channels of a layer, laid out for a loop over channels.
///
/// With a multiplier that is not negative, the doubling high multiplication is
/// `(a * b + 2^30) >> 31`, and a rounding shift is `(x + half - (x < 0)) >> e` for `e > 0`: no
/// branches, the same bits as [`Rounding::apply`] (tested on the edges of every case).
#[derive(Clone, Debug)]
pub(super) struct Requantizer {
    channels: Vec<Channel>,
    rounding: Rounding,
    zero_point: i32,
    min: i32,
    max: i32,
}

/// One factor, prepared for the loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    multiplier: i64,
    /// Added before the last shift.
    half: i64,
    /// -1 where a negative value is nudged away from zero, else 0.
    nudge: i64,
    left: u8,
    right: u8,
}

impl Channel {
    pub(super) fn new(m: FixedMultiplier, rounding: Rounding) -> Self {
        let (left, right) = match rounding {
            Rounding::Twice => (m.shift.clamp(0, 31), (-m.shift).clamp(0, 31)),
            Rounding::Once => (0, (31 - m.shift).clamp(1, 62)),
        };
        Self {
            multiplier: i64::from(m.multiplier),
            half: (1i64 << right) >> 1,
            nudge: if right > 0 { -1 } else { 0 },
            left: left as u8,
            right: right as u8,
        }
    }
}

impl Requantizer {
    pub(super) fn new(conv: &Conv2d, zero_point: i32) -> Self {
        let rounding = Rounding::of(conv);
        Self {
            channels: conv.multipliers.iter().map(|&m| Channel::new(m, rounding)).collect(),
            rounding,
            zero_point,
            min: i32::from(conv.activation.min),
            max: i32::from(conv.activation.max),
        }
    }

    /// Codes of one pixel: `out[c]` of `accumulators[c] + offsets[c]`.
    pub(super) fn apply(&self, accumulators: &[i32], offsets: &[i32], out: &mut [i8]) {
        let lanes = accumulators.iter().zip(offsets).zip(&self.channels).zip(out);
        match self.rounding {
            Rounding::Twice => lanes.for_each(|(((&acc, &offset), channel), out)| {
                *out = self.code(twice(channel, acc.wrapping_add(offset)));
            }),
            Rounding::Once => lanes.for_each(|(((&acc, &offset), c), out)| {
                let product = i64::from(acc.wrapping_add(offset)) * c.multiplier;
                let scaled =
                    ((product + c.half) >> c.right).clamp(i64::from(i32::MIN), i64::from(i32::MAX));
                *out = self.code(scaled as i32);
            }),
        }
    }

    #[inline(always)]
    fn code(&self, scaled: i32) -> i8 {
        scaled.wrapping_add(self.zero_point).clamp(self.min, self.max) as i8
    }
}

/// [`FixedMultiplier::apply`] without branches.
#[inline(always)]
pub(super) fn twice(channel: &Channel, acc: i32) -> i32 {
    let raised = acc.wrapping_shl(u32::from(channel.left));
    let high = (i64::from(raised) * channel.multiplier + (1 << 30)) >> 31;
    let nudge = (high >> 63) & channel.nudge;
    ((high + channel.half + nudge) >> channel.right) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, ConvKind, WeightId};

    #[test]
    fn the_loop_over_channels_has_the_bits_of_the_rule() {
        let edges: Vec<i32> = (0..32)
            .flat_map(|bit| [-3, -2, -1, 0, 1, 2, 3].map(|d| (1i64 << bit) + d))
            .flat_map(|x| [x, -x, x * 5 / 3, x * 7 / 3])
            .map(|x| x as i32)
            .collect();
        for fully_connected in [false, true] {
            for shift in -31..=30 {
                for multiplier in [0, 1 << 30, (1 << 30) + 1, 1_518_500_249, i32::MAX] {
                    let multiplier = FixedMultiplier { multiplier, shift };
                    let conv = Conv2d {
                        kind: ConvKind::Dense,
                        fully_connected,
                        weights: WeightId(0),
                        bias: vec![0],
                        multipliers: vec![multiplier],
                        stride: [1, 1],
                        dilation: [1, 1],
                        padding: [0, 0],
                        activation: Activation { min: -128, max: 127 },
                    };
                    for zero_point in [-128, 0, 3] {
                        let requantizer = Requantizer::new(&conv, zero_point);
                        for &acc in &edges {
                            let mut out = [0];
                            requantizer.apply(&[acc], &[0], &mut out);
                            let scaled = Rounding::of(&conv).apply(multiplier, acc);
                            let code = scaled.wrapping_add(zero_point).clamp(-128, 127);
                            assert_eq!(i32::from(out[0]), code, "{multiplier:?} {acc}");
                        }
                    }
                }
            }
        }
    }
}
