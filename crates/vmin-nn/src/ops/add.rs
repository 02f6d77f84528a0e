//! Elementwise sum of two int8 tensors of different scales.

use serde::{Deserialize, Serialize};
use vmin_kernels::{Addition, Rounds};
use vmin_quant::FixedMultiplier;

use super::rounding::{kernel_factor, scaled};
use super::{At, Operator, Plan, Run};
use crate::{Activation, Limits, ModelError, Quantization};

/// Elementwise sum of two tensors of one shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// Clamp of the output.
    #[serde(rename = "clamp")]
    pub activation: Activation,
}

impl Operator for Add {
    fn kind(&self) -> &'static str {
        "add"
    }

    fn inputs(&self) -> usize {
        2
    }

    fn check(&self, at: &At<'_>, _: &Limits) -> Result<(), ModelError> {
        at.check_activation(self.activation)?;
        at.check_same_shapes("both addends have the shape of the sum")?;
        if AddParams::new(at).is_none() {
            let rule = "scales of a sum are within a factor of 2^19";
            return Err(at.error(rule, at.output().quantization.scale));
        }
        Ok(())
    }

    fn reference(&self, at: &At<'_>, _: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8> {
        let params = AddParams::new(at).expect(VALID);
        let pairs = inputs[0].iter().zip(inputs[1]);
        pairs.map(|(&a, &b)| params.apply(a, b, self.activation)).collect()
    }

    fn plan(&self, at: &At<'_>) -> Box<dyn Plan> {
        let params = AddParams::new(at).expect(VALID);
        let activation = self.activation;
        match params.rounds {
            Rounds::Twice => {
                let rule = addition(&params, activation);
                Box::new(move |run: Run<'_>| {
                    run.kernel.add(run.inputs[0], run.inputs[1], &rule, run.out);
                })
            }
            Rounds::Once => Box::new(move |run: Run<'_>| {
                let pairs = run.inputs[0].iter().zip(run.inputs[1]);
                let sums = pairs.map(|(&a, &b)| params.apply(a, b, activation));
                run.out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum);
            }),
        }
    }
}

const VALID: &str = "a validated graph's sums have parameters";

/// Bits by which both addends are raised before they are brought to one scale.
const LEFT_SHIFT: u32 = 20;

/// The integers of one sum: both addends are raised by 2^20 and scaled to twice the larger input
/// scale, added, and scaled down to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AddParams {
    inputs: [(i32, FixedMultiplier); 2],
    output: (i32, FixedMultiplier),
    rounds: Rounds,
}

impl AddParams {
    /// `None` where the output scale is so small that the sum would have to be scaled up.
    fn new(at: &At<'_>) -> Option<Self> {
        let [a, b, output] = [at.input(0), at.input(1), at.output()].map(|t| t.quantization);
        Self::of(a, b, output, at.graph.rounding.of_sum())
    }

    fn of(a: Quantization, b: Quantization, output: Quantization, rounds: Rounds) -> Option<Self> {
        let twice_max = 2.0 * f64::from(a.scale.max(b.scale));
        let input = |q: Quantization| {
            let real = f64::from(q.scale) / twice_max;
            FixedMultiplier::from_real(real).ok().map(|m| (-q.zero_point, m))
        };
        let raised = f64::from(1u32 << LEFT_SHIFT) * f64::from(output.scale);
        let down = FixedMultiplier::from_real(twice_max / raised).ok()?;
        let this =
            Self { inputs: [input(a)?, input(b)?], output: (output.zero_point, down), rounds };
        let multipliers = [this.inputs[0].1, this.inputs[1].1, down];
        multipliers.iter().all(|m| m.shift <= 0).then_some(this)
    }

    /// One element.
    fn apply(&self, a: i8, b: i8, activation: Activation) -> i8 {
        self.code(self.scaled(0, a) + self.scaled(1, b), activation)
    }

    /// One addend at the common scale.
    fn scaled(&self, input: usize, x: i8) -> i32 {
        let (offset, multiplier) = self.inputs[input];
        scaled(self.rounds, multiplier, (i32::from(x) + offset) << LEFT_SHIFT)
    }

    /// The output code of a sum at the common scale.
    fn code(&self, sum: i32, activation: Activation) -> i8 {
        let (zero_point, multiplier) = self.output;
        activation.clamp(scaled(self.rounds, multiplier, sum) + zero_point)
    }
}

/// The rule of a sum for the kernels.
fn addition(params: &AddParams, activation: Activation) -> Addition {
    let inputs = params.inputs.map(|(offset, multiplier)| (offset, kernel_factor(multiplier)));
    let (zero_point, down) = params.output;
    Addition::new(inputs, kernel_factor(down), zero_point, activation.min, activation.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_in_all_kernels_have_the_bits_of_the_rule() {
        let pairs = (0..=u16::MAX).map(|i| i.to_le_bytes().map(u8::cast_signed));
        let (a, b): (Vec<i8>, Vec<i8>) = pairs.map(|[a, b]| (a, b)).unzip();
        // Ratios near and far from one, both zero points at their ends, a clamp inside the range.
        let scales = [(0.1, 0.1, 0.2), (0.013, 0.09, 0.05), (1e-6, 3.0, 0.011), (7e-4, 2e-4, 1e3)];
        let activation = Activation { min: -128, max: 127 };
        let relu = Activation { min: -7, max: 100 };
        for (scale_a, scale_b, scale_out) in scales {
            for zeros in [[-128, -128, -128], [127, -128, 127], [3, -4, 0], [127, 127, -128]] {
                let of = |scale: f32, zero_point| Quantization { scale, zero_point };
                let (qa, qb) = (of(scale_a, zeros[0]), of(scale_b, zeros[1]));
                let output = of(scale_out, zeros[2]);
                for activation in [activation, relu] {
                    let params =
                        AddParams::of(qa, qb, output, Rounds::Twice).expect("scales that add");
                    let rule = addition(&params, activation);
                    let pairs = a.iter().zip(&b);
                    let expected: Vec<i8> =
                        pairs.map(|(&a, &b)| params.apply(a, b, activation)).collect();
                    for kernel in vmin_kernels::available() {
                        // All in whole vectors, then all but the first in other places.
                        for from in [0, 1] {
                            let mut out = vec![0; a.len() - from];
                            kernel.add(&a[from..], &b[from..], &rule, &mut out);
                            assert!(out == expected[from..], "{} {qa:?} {qb:?}", kernel.name());
                        }
                    }
                }
            }
        }
    }
}
