//! Rounding: the arithmetic of every operator under each name.

use serde::{Deserialize, Serialize};
use vmin_kernels::{Factor, Requantization, Rounds};
use vmin_quant::FixedMultiplier;

use crate::{Activation, Conv2d, ConvKind, Graph, Op, WeightTensor};

/// How the sums of a graph become output codes.
///
/// | operator | `litert-2.3` | `single` | `double` |
/// |---|---|---|---|
/// | convolution, depthwise | rounded twice | once | twice |
/// | fully connected | in double precision | once | twice |
/// | sum of two tensors | twice | once | twice |
///
/// - *In double precision*: the double nearest to `sum * factor`, rounded to an integer, ties away from zero.
/// - *Once*: the 64-bit product with a 31-bit multiplier, one shift, ties up.
/// - *Twice*: a saturating doubling high multiplication with the multiplier, ties up, then a shift, ties away
///   from zero ([`FixedMultiplier::apply`]).
///
/// All other operators have no factor, or one arithmetic under every name: average pools divide integers, ties
/// away from zero; softmax multiplies with high words; group normalization rounds once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rounding {
    /// The reference kernels of LiteRT 2.3.
    #[default]
    #[serde(rename = "litert-2.3")]
    Litert23,
    /// One rounding everywhere: kernels built with `TFLITE_SINGLE_ROUNDING`.
    #[serde(rename = "single")]
    Single,
    /// Two roundings everywhere: gemmlowp's arithmetic.
    #[serde(rename = "double")]
    Double,
}

/// The arithmetic of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arithmetic {
    Fixed(Rounds),
    InDouble,
}

impl Rounding {
    /// Every name with its word.
    pub const ALL: [(&'static str, Self); 3] =
        [("litert-2.3", Self::Litert23), ("single", Self::Single), ("double", Self::Double)];

    /// Its word in files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Litert23 => "litert-2.3",
            Self::Single => "single",
            Self::Double => "double",
        }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn of_product(self, kind: ConvKind) -> Arithmetic {
        match (self, kind) {
            (Self::Litert23, ConvKind::FullyConnected) => Arithmetic::InDouble,
            (Self::Single, _) => Arithmetic::Fixed(Rounds::Once),
            (Self::Litert23, ConvKind::Dense | ConvKind::Depthwise) | (Self::Double, _) => {
                Arithmetic::Fixed(Rounds::Twice)
            }
        }
    }

    pub(super) fn of_sum(self) -> Rounds {
        match self {
            Self::Single => Rounds::Once,
            Self::Litert23 | Self::Double => Rounds::Twice,
        }
    }

    /// `input_scale * weight_scale / output_scale` as the kernels form it.
    ///
    /// Where one scale serves a whole tensor, fixed-point kernels of fully connected layers, and all kernels of
    /// unsigned convolutions, take the product in single precision.
    pub(crate) fn factor(
        self,
        kind: ConvKind,
        weights: &WeightTensor,
        channel: usize,
        [input, output]: [f32; 2],
    ) -> f64 {
        let unsigned = weights.encoding == vmin_quant::Encoding::OffsetBinary;
        let in_single = match (self.of_product(kind), kind) {
            (Arithmetic::InDouble, _) => false,
            (Arithmetic::Fixed(_), ConvKind::FullyConnected) => true,
            (Arithmetic::Fixed(_), ConvKind::Dense | ConvKind::Depthwise) => unsigned,
        };
        let scale = weights.scales[channel % weights.scales.len()];
        let product = match in_single && weights.scales.len() == 1 {
            true => f64::from(input * scale),
            false => f64::from(input) * f64::from(scale),
        };
        product / f64::from(output)
    }
}

impl Graph {
    /// Changes the rounding of a valid graph. Factors of fully connected layers that are quotients of the scales are formed as
    /// the kernels of the new rounding form them.
    pub fn round_as(&mut self, rounding: Rounding) {
        for node in &mut self.nodes {
            let Op::Conv2d(conv) = &mut node.op else { continue };
            let weights = &self.weights[conv.weights.0];
            let scales =
                [node.inputs[0], node.output].map(|id| self.tensors[id.0].quantization.scale);
            for (channel, factor) in conv.multipliers.iter_mut().enumerate() {
                let of = |rounding: Rounding| rounding.factor(conv.kind, weights, channel, scales);
                if *factor == of(self.rounding) {
                    *factor = of(rounding);
                }
            }
        }
        self.rounding = rounding;
    }
}

impl Conv2d {
    /// A sum of output channel `channel`, scaled and rounded; without zero point and clamp.
    ///
    /// # Panics
    /// If the channel or its factor is out of range.
    #[must_use]
    pub fn scaled(&self, rounding: Rounding, channel: usize, sum: i32) -> i32 {
        let factor = self.multipliers[channel];
        match rounding.of_product(self.kind) {
            Arithmetic::Fixed(rounds) => scaled(rounds, fixed(factor), sum),
            // The cast saturates.
            Arithmetic::InDouble => libm::round(f64::from(sum) * factor) as i32,
        }
    }

    /// The rule of the layer for the kernels.
    pub(super) fn requantization(&self, rounding: Rounding, zero_point: i32) -> Requantization {
        let Activation { min, max } = self.activation;
        match rounding.of_product(self.kind) {
            Arithmetic::Fixed(rounds) => {
                let factors: Vec<Factor> =
                    self.multipliers.iter().map(|&f| kernel_factor(fixed(f))).collect();
                Requantization::new(rounds, &factors, zero_point, min, max)
            }
            Arithmetic::InDouble => {
                Requantization::real(self.multipliers.clone(), zero_point, min, max)
            }
        }
    }
}

fn fixed(factor: f64) -> FixedMultiplier {
    FixedMultiplier::from_real(factor).expect("factors of a validated graph have a fixed form")
}

/// `sum` times the factor.
pub(super) fn scaled(rounds: Rounds, multiplier: FixedMultiplier, sum: i32) -> i32 {
    match rounds {
        Rounds::Twice => multiplier.apply(sum),
        Rounds::Once => {
            let shift = (31 - multiplier.shift).clamp(1, 62);
            let product = i64::from(sum) * i64::from(multiplier.multiplier);
            let rounded = (product + (1i64 << (shift - 1))) >> shift;
            rounded.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
        }
    }
}

/// A factor for the kernels.
pub(super) fn kernel_factor(m: FixedMultiplier) -> Factor {
    Factor { multiplier: m.multiplier, shift: m.shift }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WeightId;

    #[test]
    fn all_kernels_have_the_bits_of_the_rule() {
        let edges: Vec<i32> = (0..32)
            .flat_map(|bit| [-3, -2, -1, 0, 1, 2, 3].map(|d| (1i64 << bit) + d))
            .flat_map(|x| [x, -x, x * 5 / 3, x * 7 / 3])
            .map(|x| x as i32)
            .collect();
        // As many channels of one factor as sums, so that whole vectors and a tail are filled.
        let n = edges.len() - 1;
        for kind in [ConvKind::Dense, ConvKind::FullyConnected] {
            for shift in -31..=30 {
                for multiplier in [0, 1 << 30, (1 << 30) + 1, 1_518_500_249, i32::MAX] {
                    let conv = Conv2d {
                        kind,
                        weights: WeightId(0),
                        bias: vec![0; n],
                        multipliers: vec![FixedMultiplier { multiplier, shift }.real(); n],
                        stride: [1, 1],
                        dilation: [1, 1],
                        padding: [0, 0],
                        activation: Activation { min: -128, max: 127 },
                    };
                    for ((_, rounding), zero_point) in Rounding::ALL.into_iter().zip([-128, 0, 3]) {
                        let rule = conv.requantization(rounding, zero_point);
                        let code = |&acc: &i32| {
                            let scaled = conv.scaled(rounding, 0, acc);
                            scaled.wrapping_add(zero_point).clamp(-128, 127) as i8
                        };
                        let expected: Vec<i8> = edges[..n].iter().map(code).collect();
                        for kernel in vmin_kernels::available() {
                            let mut out = vec![0; n];
                            kernel.requantize(&edges[..n], &vec![0; n], &rule, &mut out);
                            assert!(out == expected, "{} {rounding:?} {shift}", kernel.name());
                        }
                    }
                }
            }
        }
    }
}
