//! Addition of two int8 tensors with different scales: the rule and its portable form.
//!
//! The offset of each addend is added to it; the result is multiplied by 2^20 and by a factor that brings
//! both addends to one scale. Their sum is scaled down to the output. All three factors are at most one
//! and round twice.

use crate::requantize::{Factor, Requantization, Rounds, twice};

/// Bits by which both addends are raised before they are brought to one scale.
pub(crate) const RAISED: i32 = 20;

/// The rule by which two codes become the code of their sum.
#[derive(Clone, Debug)]
pub struct Addition {
    /// Offset and factor of each addend.
    pub(crate) inputs: [(i32, Factor); 2],
    /// Factor of the sum.
    pub(crate) factor: Factor,
    /// The same factor with zero point and clamp, for one channel.
    pub(crate) output: Requantization,
    /// Every scaled addend, indexed by its code as uint8.
    scaled: [[i32; 256]; 2],
}

impl Addition {
    /// Offset and factor of each addend; factor, zero point and clamp of the sum.
    ///
    /// # Panics
    /// If a factor is out of its range or shifts left, an offset lies outside -128..=128, or
    /// `min > max`.
    #[must_use]
    pub fn new(
        inputs: [(i32, Factor); 2],
        output: Factor,
        zero_point: i32,
        min: i8,
        max: i8,
    ) -> Self {
        let factors = [inputs[0].1, inputs[1].1, output];
        assert!(factors.iter().all(|factor| factor.shift <= 0), "no factor shifts left");
        assert!(
            inputs.iter().all(|(offset, _)| (-128..=128).contains(offset)),
            "offsets lie in -128..=128"
        );
        let scaled = inputs.map(|(offset, factor)| {
            std::array::from_fn(|code| {
                let x = i32::from((code as u8).cast_signed());
                twice(factor.multiplier, 0, -factor.shift, (x + offset) << RAISED)
            })
        });
        let rule = Requantization::new(Rounds::Twice, &[output], zero_point, min, max);
        // The factors of the addends are checked as that of the output is.
        let _ = Requantization::new(Rounds::Twice, &[factors[0], factors[1]], 0, min, max);
        Self { inputs, factor: output, output: rule, scaled }
    }

    /// Checks the lengths on which every kernel relies before it accesses memory.
    pub(crate) fn check(a: &[i8], b: &[i8], out: &[i8]) {
        assert!(a.len() == out.len() && b.len() == out.len(), "three tensors of one length");
    }

    pub(crate) fn portable(&self, a: &[i8], b: &[i8], out: &mut [i8]) {
        let [of_a, of_b] = &self.scaled;
        let (multiplier, right) = (self.output.multipliers[0], self.output.right[0]);
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            let [a, b] = [usize::from(a.cast_unsigned()), usize::from(b.cast_unsigned())];
            *out = self.output.code(twice(multiplier, 0, right, of_a[a] + of_b[b]));
        }
    }
}
