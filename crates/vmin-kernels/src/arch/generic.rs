//! The specification of the int8 kernels, in portable Rust.

use crate::packed::PackedWeights;
use crate::{Addition, GemmKernel, Requantization};

/// The kernel for any processor.
pub(crate) struct Generic;

impl crate::sealed::Sealed for Generic {}

impl GemmKernel for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn pack(&self, weights: &[i8], n: usize, k: usize) -> PackedWeights {
        assert_eq!(Some(weights.len()), n.checked_mul(k), "weights are n x k");
        PackedWeights {
            kernel: self.name(),
            n,
            k,
            panels: weights.iter().map(|&w| w.into()).collect(),
            offsets: vec![0; n],
        }
    }

    fn gemm(&self, a: &[i8], a_stride: usize, m: usize, packed: &PackedWeights, out: &mut [i32]) {
        packed.check(self.name(), a, a_stride, m, out);
        let (n, k) = (packed.n, packed.k);
        if n == 0 {
            return;
        }
        let mut wide = vec![0i16; k];
        for (row, out) in out.chunks_exact_mut(n).take(m).enumerate() {
            for (wide, &a) in wide.iter_mut().zip(&a[row * a_stride..]) {
                *wide = a.into();
            }
            for (channel, out) in out.iter_mut().enumerate() {
                *out = dot(&wide, &packed.panels[channel * k..(channel + 1) * k]);
            }
        }
    }

    fn requantize(&self, sums: &[i32], offsets: &[i32], rule: &Requantization, out: &mut [i8]) {
        rule.check(sums, offsets, out);
        rule.portable(0, sums, offsets, out);
    }

    fn add(&self, a: &[i8], b: &[i8], rule: &Addition, out: &mut [i8]) {
        Addition::check(a, b, out);
        rule.portable(a, b, out);
    }
}

/// The dot product. Both sides are int16, so that compilers multiply and add pairs of values.
fn dot(a: &[i16], w: &[i16]) -> i32 {
    a.iter().zip(w).fold(0i32, |sum, (&a, &w)| sum.wrapping_add(i32::from(a) * i32::from(w)))
}
