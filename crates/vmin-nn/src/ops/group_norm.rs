//! Group normalization in integers, with the statistics of each image at run time.
//!
//! A group is `channels / groups` neighbouring channels of all pixels, `N` codes `x` in all. The zero point
//! of the input cancels. With
//!
//! ```text
//!  S = sum x      Q = sum x^2      D = N Q - S^2 + epsilon          exact integers, D >= 1
//!  R = floor(sqrt(floor(2^110 / D)))                                2^55 / sqrt(D)
//!  y = zero point + round(gain (N x - S) R / 2^55 + offset)         halves up, then clamped
//! ```
//!
//! `gain` is `multiplier 2^(shift - 31)` and `offset` a multiple of 2^-16: the argument of `round` is an
//! integer over a power of two, so nothing is rounded before. `(N x - S) / sqrt(D)` is the code less the
//! group's mean over its deviation; an accelerator needs two sums per group, one square root and a product
//! per code.
//!
//! Source of the normalization: Y. Wu, K. He, "Group Normalization", ECCV 2018.

use serde::{Deserialize, Serialize};
use vmin_quant::FixedMultiplier;

use super::{At, Operator, Plan, Run};
use crate::{Activation, Limits, ModelError, Tensor};

/// Binary digits of `R` behind the point.
const ROOT_BITS: u32 = 55;
/// Binary digits of an offset behind the point.
const OFFSET_BITS: u32 = 16;
/// Exponents that keep every product within 127 bits.
const SHIFTS: std::ops::RangeInclusive<i32> = -24..=15;
/// Most codes of a group.
const GROUP_MAX: usize = 1 << 20;
/// Most of `epsilon`.
const EPSILON_MAX: u64 = 1 << 58;

/// Normalization of groups of channels by the mean and deviation of each image
/// (the arithmetic is at the top of this file).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupNorm {
    /// Groups of neighbouring channels; divides their number.
    pub groups: usize,
    /// The addend of the squared deviation, times `N^2 / input_scale^2` for groups of `N` codes: 1 or
    /// more.
    pub epsilon: u64,
    /// Per channel `gain / output_scale`.
    #[serde(with = "crate::import::native::multipliers")]
    pub gains: Vec<FixedMultiplier>,
    /// Per channel `shift / output_scale`, in units of 2^-16 codes.
    pub offsets: Vec<i32>,
    /// Clamp of the output.
    #[serde(rename = "clamp")]
    pub activation: Activation,
}

impl Operator for GroupNorm {
    fn kind(&self) -> &'static str {
        "group_norm"
    }

    /// Once for the sums, once for the codes.
    fn passes(&self) -> usize {
        2
    }

    fn check(&self, at: &At<'_>, _: &Limits) -> Result<(), ModelError> {
        let error = |rule, found: String| Err(at.error(rule, found));
        at.check_activation(self.activation)?;
        let (input, output) = (at.input(0), at.output());
        let &[_, _, channels] = &*output.shape else {
            return error("tensors are [height, width, channels]", format!("{:?}", output.shape));
        };
        if input.shape != output.shape {
            let found = format!("{:?} -> {:?}", input.shape, output.shape);
            return error("a normalization keeps the shape", found);
        }
        if self.groups == 0 || channels % self.groups != 0 {
            let found = format!("{} groups of {channels}", self.groups);
            return error("groups divide the channels", found);
        }
        let of_group = output.elements() / self.groups;
        if of_group > GROUP_MAX {
            return error("a group has at most 2^20 elements", of_group.to_string());
        }
        if !(1..=EPSILON_MAX).contains(&self.epsilon) {
            return error("epsilon is in 1..=2^58", self.epsilon.to_string());
        }
        for (rule, length) in [
            ("one gain per channel", self.gains.len()),
            ("one offset per channel", self.offsets.len()),
        ] {
            if length != channels {
                return error(rule, format!("{length} for {channels}"));
            }
        }
        for gain in &self.gains {
            if gain.multiplier < 0 || !SHIFTS.contains(&gain.shift) {
                return error("gains are positive, their shifts in -24..=15", format!("{gain:?}"));
            }
        }
        Ok(())
    }

    fn reference(&self, at: &At<'_>, _: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8> {
        group_norm(self, at.output(), inputs[0])
    }

    fn plan(&self, at: &At<'_>) -> Box<dyn Plan> {
        Box::new(GroupNormPlan {
            norm: self.clone(),
            zero_point: at.output().quantization.zero_point,
            channels: at.output().shape.last().copied().unwrap_or(1),
        })
    }
}

/// Every element with the sums of its group, taken anew.
fn group_norm(norm: &GroupNorm, to: &Tensor, x: &[i8]) -> Vec<i8> {
    let channels = to.shape.last().copied().unwrap_or(1);
    let of_group = channels / norm.groups;
    let one = |(index, &code): (usize, &i8)| {
        let channel = index % channels;
        let group: Vec<i128> = x
            .iter()
            .enumerate()
            .filter(|(other, _)| other % channels / of_group == channel / of_group)
            .map(|(_, &code)| i128::from(code))
            .collect();
        let count = group.len() as i128;
        let sum: i128 = group.iter().sum();
        let squares: i128 = group.iter().map(|x| x * x).sum();
        let spread = count * squares - sum * sum + i128::from(norm.epsilon);
        let root = ((1_i128 << 110) / spread).isqrt();
        let centred = count * i128::from(code) - sum;
        // gain (N x - S) R / 2^55 + offset + 1/2, over 2^digits.
        let gain = norm.gains[channel];
        let digits = 86 - gain.shift;
        let scaled = i128::from(gain.multiplier) * centred * root;
        let offset = i128::from(norm.offsets[channel]) * (1_i128 << (digits - 16));
        let rounded = (scaled + offset + (1_i128 << (digits - 1))).div_euclid(1_i128 << digits);
        let y = rounded + i128::from(to.quantization.zero_point);
        y.clamp(norm.activation.min.into(), norm.activation.max.into()) as i8
    };
    x.iter().enumerate().map(one).collect()
}

/// The line that a channel of a group is mapped by: `(factor x + term) >> digits`.
#[derive(Clone, Copy)]
struct Line {
    factor: i128,
    term: i128,
    digits: u32,
    min: i64,
    max: i64,
}

impl Line {
    /// The line of a channel whose group has `count` codes of these sums.
    fn of(
        norm: &GroupNorm,
        zero_point: i32,
        channel: usize,
        count: usize,
        [sum, squares]: [i64; 2],
    ) -> Self {
        let count = count as i128;
        let (sum, squares) = (i128::from(sum), i128::from(squares));
        // At least `epsilon`, which is at least 1.
        let spread = (count * squares - sum * sum + i128::from(norm.epsilon)).unsigned_abs();
        let root = ((1_u128 << (2 * ROOT_BITS)) / spread.max(1)).isqrt().cast_signed();
        let gain = norm.gains[channel];
        let slope = root * i128::from(gain.multiplier);
        // A validated shift.
        let digits = (ROOT_BITS.cast_signed() + 31 - gain.shift).unsigned_abs();
        let offset = i128::from(norm.offsets[channel]) << (digits - OFFSET_BITS);
        let zero_point = i128::from(zero_point) << digits;
        let half = 1_i128 << (digits - 1);
        Self {
            factor: slope * count,
            term: offset + zero_point + half - slope * sum,
            digits,
            min: norm.activation.min.into(),
            max: norm.activation.max.into(),
        }
    }

    /// The output code of an input code.
    #[inline]
    fn at(self, x: i8) -> i8 {
        let y = (self.factor * i128::from(x) + self.term) >> self.digits;
        // Clamped to int8.
        y.clamp(self.min.into(), self.max.into()) as i8
    }
}

/// A layer with its geometry.
struct GroupNormPlan {
    norm: GroupNorm,
    zero_point: i32,
    channels: usize,
}

impl Plan for GroupNormPlan {
    fn run(&self, run: Run<'_>) {
        let (input, out) = (run.inputs[0], run.out);
        let Self { norm, zero_point, channels } = self;
        let (channels, of_group) = (*channels, channels / norm.groups);
        let pixels = input.len() / channels;
        for first in (0..channels).step_by(of_group) {
            let mut sums = [0_i64; 2];
            for pixel in input.chunks_exact(channels) {
                // A group has at most 2^20 codes: its part of a pixel stays within 32 bits.
                let [sum, squares] =
                    pixel[first..first + of_group].iter().fold([0_i64; 2], |[sum, squares], &x| {
                        let x = i64::from(x);
                        [sum + x, squares + x * x]
                    });
                sums = [sums[0] + sum, sums[1] + squares];
            }
            for channel in first..first + of_group {
                let line = Line::of(norm, *zero_point, channel, pixels * of_group, sums);
                let codes = input[channel..].iter().step_by(channels);
                let out = out[channel..].iter_mut().step_by(channels);
                if pixels > 2 * TABLE {
                    let table: [i8; TABLE] =
                        std::array::from_fn(|index| line.at((index as u8).cast_signed()));
                    out.zip(codes).for_each(|(y, x)| *y = table[usize::from(x.cast_unsigned())]);
                } else {
                    out.zip(codes).for_each(|(y, &x)| *y = line.at(x));
                }
            }
        }
    }
}

/// Codes of an int8.
const TABLE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dtype, Graph, Node, Op, Quantization, TensorId};

    /// A generator good enough for tests.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *state >> 33
    }

    #[test]
    fn integers_are_the_real_normalization_rounded_once() {
        let mut state = 1;
        for round in 0..2000_u64 {
            let most = if round % 50 == 0 { 20_000 } else { 70 };
            let (pixels, of_group) =
                (1 + random(&mut state) as usize % most, 1 + round as usize % 9);
            let narrow = round % 5 == 0;
            let codes: Vec<i8> = (0..pixels * of_group)
                .map(|_| match (narrow, random(&mut state)) {
                    (true, word) => (word % 3) as i8,
                    (false, word) => (word as u8).cast_signed(),
                })
                .collect();
            let count = codes.len() as f64;
            let scale_in = 0.001 + (random(&mut state) % 1000) as f64 * 1e-4;
            let epsilon = (1e-5 * count * count / (scale_in * scale_in)).round().max(1.0);
            let gain = 0.2 + (random(&mut state) % 10_000) as f64 * 0.01;
            let offset = (random(&mut state) % 200_000) as i32 - 100_000;
            let norm = GroupNorm {
                groups: 1,
                epsilon: epsilon as u64,
                gains: vec![FixedMultiplier::from_real(gain).unwrap(); of_group],
                offsets: vec![offset; of_group],
                activation: Activation { min: -128, max: 127 },
            };
            let sums = codes.iter().fold([0_i64; 2], |[sum, squares], &x| {
                [sum + i64::from(x), squares + i64::from(x) * i64::from(x)]
            });
            let mean = sums[0] as f64 / count;
            let variance = sums[1] as f64 / count - mean * mean + epsilon / (count * count);
            let line = Line::of(&norm, 3, 0, codes.len(), sums);
            for &x in &codes {
                let real = gain * (f64::from(x) - mean) / variance.sqrt()
                    + f64::from(offset) / 65_536.0
                    + 3.0;
                let found = f64::from(line.at(x));
                assert!((found - real.clamp(-128.0, 127.0)).abs() < 0.5 + 1e-4, "{found} {real}");
            }
        }
    }

    #[test]
    fn a_group_of_one_value_is_its_offset() {
        let norm = GroupNorm {
            groups: 1,
            epsilon: 1,
            gains: vec![FixedMultiplier::from_real(30.0).unwrap()],
            offsets: vec![5 << OFFSET_BITS],
            activation: Activation { min: -128, max: 127 },
        };
        for x in i8::MIN..=i8::MAX {
            for count in [1, 7, 1024, GROUP_MAX] {
                let (wide, n) = (i64::from(x), count as i64);
                let line = Line::of(&norm, -2, 0, count, [wide * n, wide * wide * n]);
                assert_eq!(line.at(x), 3);
            }
        }
    }

    /// An image of this height, 24 pixels wide, of 6 channels.
    fn graph(height: usize, norm: GroupNorm) -> Graph {
        let tensor = |name: &str, zero_point| Tensor {
            name: name.into(),
            shape: vec![height, 24, 6],
            dtype: Dtype::I8,
            quantization: Quantization { scale: 0.02, zero_point },
        };
        Graph {
            name: "norm".into(),
            tensors: vec![tensor("in", 5), tensor("out", -20)],
            weights: Vec::new(),
            nodes: vec![Node {
                name: "norm".into(),
                op: Op::GroupNorm(norm),
                inputs: vec![TensorId(0)],
                output: TensorId(1),
            }],
            input: TensorId(0),
            output: TensorId(1),
            rounding: crate::Rounding::default(),
            pixels: None,
        }
    }

    fn norm() -> GroupNorm {
        GroupNorm {
            groups: 2,
            epsilon: 900,
            gains: (0..6)
                .map(|c| FixedMultiplier::from_real(20.0 + f64::from(c)).unwrap())
                .collect(),
            offsets: (0..6).map(|c| (c - 3) << 18).collect(),
            activation: Activation { min: -90, max: 120 },
        }
    }

    #[test]
    fn tables_and_single_codes_are_the_reference() {
        // With 24 rows a channel has enough codes for a table, with 3 it has not.
        for height in [3, 24] {
            let graph = graph(height, norm());
            graph.validate().unwrap();
            let mut state = height as u64;
            let input: Vec<i8> =
                (0..height * 24 * 6).map(|_| (random(&mut state) as u8).cast_signed()).collect();
            let executor = crate::Executor::new(&graph, vmin_kernels::best());
            let all = executor.run_all(&executor.load_clean_weights(), &input);
            assert_eq!(all, crate::exec::reference::run(&graph, &[], &input).unwrap());
            assert!(all[1].iter().any(|&y| y > -90 && y < 120), "not all at the clamp");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let three = FixedMultiplier::from_real(3.0).unwrap();
        let broken = [
            GroupNorm { groups: 4, ..norm() },
            GroupNorm { groups: 0, ..norm() },
            GroupNorm { epsilon: 0, ..norm() },
            GroupNorm { epsilon: EPSILON_MAX + 1, ..norm() },
            GroupNorm { gains: vec![three; 5], ..norm() },
            GroupNorm { offsets: vec![0; 7], ..norm() },
            GroupNorm { gains: vec![FixedMultiplier { shift: 16, ..three }; 6], ..norm() },
            GroupNorm { gains: vec![FixedMultiplier { multiplier: -1, shift: 0 }; 6], ..norm() },
        ];
        for norm in broken {
            let error = graph(3, norm.clone()).validate().expect_err("a broken rule").to_string();
            assert!(error.contains("norm"), "{error}: {norm:?}");
        }
        assert!(graph(20_000, norm()).validate().is_err(), "a group of more than 2^20 codes");
    }

    #[test]
    fn the_ends_of_all_ranges_do_not_overflow() {
        for shift in [*SHIFTS.start(), *SHIFTS.end()] {
            for (offset, epsilon) in [(i32::MIN, 1), (i32::MAX, EPSILON_MAX), (0, 1)] {
                let norm = GroupNorm {
                    groups: 1,
                    epsilon,
                    gains: vec![FixedMultiplier { multiplier: i32::MAX, shift }],
                    offsets: vec![offset],
                    activation: Activation { min: -100, max: 90 },
                };
                for (count, sums) in [
                    (GROUP_MAX, [-128 * GROUP_MAX as i64, 128 * 128 * GROUP_MAX as i64]),
                    (GROUP_MAX, [0, 128 * 128 * GROUP_MAX as i64]),
                    (1, [127, 127 * 127]),
                ] {
                    let line = Line::of(&norm, 127, 0, count, sums);
                    for x in [-128, 0, 127] {
                        assert!((-100..=90).contains(&line.at(x)));
                    }
                }
            }
        }
    }
}
