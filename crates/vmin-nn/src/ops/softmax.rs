//! int8 softmax in fixed point.
//!
//! The exponential and the reciprocal are those of LiteRT's reference kernel: `exp` of a negative
//! Q5.26 number as a polynomial on [-1/4, 0) times one tabulated factor per set bit of the rest,
//! and the reciprocal by three Newton steps. `Qa.b` is an `i32` with `a` integer and `b` fraction bits.

use serde::{Deserialize, Serialize};
use vmin_quant::{
    FixedMultiplier, rounding_divide_by_pot, saturating_rounding_doubling_high_mul as mul,
};

use super::{At, Operator, Plan, Run};
use crate::{Limits, ModelError};

/// Softmax over the last axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softmax {
    /// Factor of the logits.
    #[serde(with = "crate::import::native::decimal")]
    pub beta: f32,
}

impl Operator for Softmax {
    fn kind(&self) -> &'static str {
        "softmax"
    }

    fn check(&self, at: &At<'_>, _: &Limits) -> Result<(), ModelError> {
        let (input, output) = (at.input(0), at.output());
        let q = output.quantization;
        if q.zero_point != -128 || q.scale != 1.0 / 256.0 {
            let rule = "a softmax has scale 1/256 and its lowest code as zero point";
            let found = format!("scale {}, zero point {}", q.scale, q.zero_point);
            return Err(at.error(rule, found));
        }
        let length = input.shape.last().copied().unwrap_or(0);
        if input.shape != output.shape || length > SoftmaxParams::LENGTH_MAX {
            let rule = "a softmax keeps the shape, of at most 4095 classes";
            let found = format!("{:?} -> {:?}", input.shape, output.shape);
            return Err(at.error(rule, found));
        }
        if SoftmaxParams::new(self.beta, input.quantization.scale).is_none() {
            let rule = "beta is positive and beta times scale above 2^-26";
            return Err(at.error(rule, self.beta));
        }
        Ok(())
    }

    fn reference(&self, at: &At<'_>, _: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8> {
        let mut out = vec![0; inputs[0].len()];
        self.rows(at)(inputs[0], &mut out);
        out
    }

    fn plan(&self, at: &At<'_>) -> Box<dyn Plan> {
        let rows = self.rows(at);
        Box::new(move |run: Run<'_>| rows(run.inputs[0], run.out))
    }
}

impl Softmax {
    /// The softmax of every row of a tensor.
    fn rows(&self, at: &At<'_>) -> impl Fn(&[i8], &mut [i8]) + use<> {
        let params = SoftmaxParams::new(self.beta, at.input(0).quantization.scale)
            .expect("a validated graph's softmax has parameters");
        let length = at.input(0).shape.last().copied().unwrap_or(1);
        move |input, out| {
            for (out, row) in out.chunks_mut(length).zip(input.chunks(length)) {
                params.apply(row, out);
            }
        }
    }
}

/// Integer bits of a scaled difference of logits.
const DIFFERENCE_BITS: u32 = 5;
/// Integer bits of the sum of exponentials.
const SUM_BITS: i32 = 12;

/// The integers of one softmax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SoftmaxParams {
    multiplier: FixedMultiplier,
    /// Differences below this one have an exponential of zero.
    difference_min: i32,
}

impl SoftmaxParams {
    /// Most classes whose exponentials, each at most one, still sum in Q12.19.
    const LENGTH_MAX: usize = 4095;

    /// `None` where `beta` or `beta * scale` is not positive or too small to be held.
    fn new(beta: f32, scale: f32) -> Option<Self> {
        let real = f64::from(beta) * f64::from(scale) * f64::from(1u32 << (31 - DIFFERENCE_BITS));
        if !(real > 1.0 && real.is_finite()) {
            return None;
        }
        // From beta * scale = 16 on, a difference of one code is out of the range of Q5.26.
        if real >= f64::from(1 << 30) {
            let multiplier = FixedMultiplier { multiplier: 0, shift: 0 };
            return Some(Self { multiplier, difference_min: 0 });
        }
        let multiplier = FixedMultiplier::from_real(real).ok()?;
        let shift = u32::try_from(multiplier.shift).ok().filter(|&s| s <= 31)?;
        let reach = (i64::from((1 << DIFFERENCE_BITS) - 1) << (31 - DIFFERENCE_BITS)) >> shift;
        let difference_min = i32::try_from(-reach).ok()?;
        Some(Self { multiplier, difference_min })
    }

    /// `exp(beta * scale * difference)` in Q0.31 for a difference of codes that is not positive.
    fn exp(&self, difference: i32) -> Option<i32> {
        if difference < self.difference_min {
            return None;
        }
        let raised = difference.wrapping_shl(self.multiplier.shift as u32);
        Some(exp_of_negative(mul(raised, self.multiplier.multiplier)))
    }

    /// Softmax over one row of codes.
    fn apply(&self, row: &[i8], out: &mut [i8]) {
        let max = row.iter().copied().max().map_or(0, i32::from);
        let exps = row.iter().map(|&x| self.exp(i32::from(x) - max));
        let sum = exps
            .flatten()
            .fold(0i32, |sum, e| sum.wrapping_add(rounding_divide_by_pot(e, SUM_BITS)));
        let (reciprocal, integer_bits) = reciprocal(sum);
        let shift = integer_bits + 31 - 8;
        for (out, &x) in out.iter_mut().zip(row) {
            *out = match self.exp(i32::from(x) - max) {
                None => i8::MIN,
                Some(exp) => {
                    let probability = shift_right_rounding(mul(reciprocal, exp), shift);
                    (probability - 128).clamp(-128, 127) as i8
                }
            };
        }
    }
}

/// Rounds half away from zero, for shifts that may leave nothing of an `i32`.
fn shift_right_rounding(x: i32, shift: i32) -> i32 {
    if shift > 31 { 0 } else { rounding_divide_by_pot(x, shift) }
}

/// `1 / sum` for a positive sum in Q12.19: a factor in Q0.31 and the bits to shift it down by.
fn reciprocal(sum: i32) -> (i32, i32) {
    let headroom = sum.leading_zeros();
    let mantissa = (sum as u32).checked_shl(headroom).unwrap_or(0);
    let fraction = mantissa.wrapping_sub(1 << 31) as i32;
    (one_over_one_plus(fraction), SUM_BITS - headroom as i32)
}

/// `1 / (1 + x)` for `x` in [0, 1) as Q0.31, by Newton's iteration from `48/17 - 32/17 d`.
fn one_over_one_plus(x: i32) -> i32 {
    const ONE_Q2: i32 = 1 << 29;
    let sum = i64::from(x) + i64::from(i32::MAX);
    let half_denominator = ((sum + if sum >= 0 { 1 } else { -1 }) / 2) as i32;
    let mut estimate = 1_515_870_810i32.wrapping_add(mul(half_denominator, -1_010_580_540));
    for _ in 0..3 {
        let rest = ONE_Q2.wrapping_sub(mul(half_denominator, estimate));
        // A product of two Q2.29 numbers is Q4.27.
        estimate = estimate.wrapping_add(shift_left_saturating(mul(estimate, rest), 2));
    }
    // Halving turns Q2.29 into Q1.30 without touching the bits.
    shift_left_saturating(estimate, 1)
}

fn shift_left_saturating(x: i32, bits: u32) -> i32 {
    (i64::from(x) << bits).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// `exp(x)` in Q0.31 for `x <= 0` in Q5.26.
fn exp_of_negative(x: i32) -> i32 {
    /// Q0.31 values of `exp(-2^k)` for k = -2 ..= 4.
    const FACTORS: [i32; 7] =
        [1_672_461_947, 1_302_514_674, 790_015_084, 290_630_308, 39_332_535, 720_401, 242];
    const FRACTION_BITS: u32 = 31 - DIFFERENCE_BITS;
    const QUARTER: i32 = 1 << (FRACTION_BITS - 2);
    if x == 0 {
        return i32::MAX;
    }
    let near = (x & (QUARTER - 1)) - QUARTER;
    let far = near.wrapping_sub(x);
    let mut result = exp_near_zero(shift_left_saturating(near, DIFFERENCE_BITS));
    for (k, factor) in FACTORS.into_iter().enumerate() {
        if far & (1 << (FRACTION_BITS - 2 + k as u32)) != 0 {
            result = mul(result, factor);
        }
    }
    result
}

/// `exp(x)` for `x` in [-1/4, 0), both Q0.31: the Taylor polynomial of degree 4 around -1/8.
fn exp_near_zero(x: i32) -> i32 {
    const EXP_MINUS_EIGHTH: i32 = 1_895_147_668;
    const THIRD: i32 = 715_827_883;
    let x = x.wrapping_add(1 << 28);
    let x2 = mul(x, x);
    let x3 = mul(x2, x);
    let x4_over_4 = rounding_divide_by_pot(mul(x2, x2), 2);
    let upper = rounding_divide_by_pot(mul(x4_over_4.wrapping_add(x3), THIRD).wrapping_add(x2), 1);
    EXP_MINUS_EIGHTH.wrapping_add(mul(EXP_MINUS_EIGHTH, x.wrapping_add(upper)))
}
