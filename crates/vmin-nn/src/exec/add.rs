//! Elementwise sum of two int8 tensors of different scales.

use vmin_quant::FixedMultiplier;

use super::requantize::{Channel, Rounding, twice};
use crate::{Activation, Quantization};

/// Bits by which both addends are raised before they are brought to one scale.
const LEFT_SHIFT: u32 = 20;

/// The integers of one sum: both addends are raised by 2^20 and scaled to twice the larger input
/// scale, added, and scaled down to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddParams {
    inputs: [(i32, FixedMultiplier); 2],
    output: (i32, FixedMultiplier),
}

impl AddParams {
    /// `None` where the output scale is so small that the sum would have to be scaled up.
    #[must_use]
    pub fn new(a: Quantization, b: Quantization, output: Quantization) -> Option<Self> {
        let twice_max = 2.0 * f64::from(a.scale.max(b.scale));
        let input = |q: Quantization| {
            let real = f64::from(q.scale) / twice_max;
            FixedMultiplier::from_real(real).ok().map(|m| (-q.zero_point, m))
        };
        let raised = f64::from(1u32 << LEFT_SHIFT) * f64::from(output.scale);
        let down = FixedMultiplier::from_real(twice_max / raised).ok()?;
        let this = Self { inputs: [input(a)?, input(b)?], output: (output.zero_point, down) };
        let multipliers = [this.inputs[0].1, this.inputs[1].1, down];
        multipliers.iter().all(|m| m.shift <= 0).then_some(this)
    }

    /// One element.
    #[must_use]
    #[inline]
    pub fn apply(&self, a: i8, b: i8, activation: Activation) -> i8 {
        self.code(self.scaled(0, a) + self.scaled(1, b), activation)
    }

    /// One addend at the common scale.
    fn scaled(&self, input: usize, x: i8) -> i32 {
        let (offset, multiplier) = self.inputs[input];
        multiplier.apply((i32::from(x) + offset) << LEFT_SHIFT)
    }

    /// The output code of a sum at the common scale.
    #[inline]
    fn code(&self, sum: i32, activation: Activation) -> i8 {
        let (zero_point, multiplier) = self.output;
        let code = multiplier.apply(sum) + zero_point;
        code.clamp(i32::from(activation.min), i32::from(activation.max)) as i8
    }
}

/// A sum with both scaled addends tabulated by code.
pub(super) struct AddTable {
    params: AddParams,
    addends: [[i32; 256]; 2],
    activation: Activation,
}

impl AddTable {
    pub(super) fn new(
        a: Quantization,
        b: Quantization,
        output: Quantization,
        activation: Activation,
    ) -> Option<Self> {
        let params = AddParams::new(a, b, output)?;
        let table =
            |input: usize| std::array::from_fn(|i| params.scaled(input, (i as u8).cast_signed()));
        Some(Self { params, addends: [table(0), table(1)], activation })
    }

    pub(super) fn run(&self, a: &[i8], b: &[i8], out: &mut [i8]) {
        let (zero_point, multiplier) = self.params.output;
        let down = Channel::new(multiplier, Rounding::Twice);
        let (min, max) = (i32::from(self.activation.min), i32::from(self.activation.max));
        let [table_a, table_b] = &self.addends;
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            let [a, b] = [usize::from(a.cast_unsigned()), usize::from(b.cast_unsigned())];
            let code = twice(&down, table_a[a] + table_b[b]) + zero_point;
            *out = code.clamp(min, max) as i8;
        }
    }
}
