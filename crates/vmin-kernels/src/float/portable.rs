//! The specification of the float products: plain loops over the same chains.

use super::{CHAIN_ROWS, Float, FloatKernel, Gather, PANEL, Write, check_outer, check_rows};

/// The kernel for any processor and any [`Float`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl crate::sealed::Sealed for Portable {}

impl<T: Float> FloatKernel<T> for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn rows(
        &self,
        a: Gather<'_, T>,
        panels: &[T],
        n: usize,
        write: Write<'_, T>,
        c: &mut [T],
        c_at: &[usize],
    ) {
        check_rows(&a, panels, n, &write, c, c_at);
        let size = a.depth() * PANEL;
        for first in (0..n).step_by(PANEL) {
            let panel = &panels[first * a.depth()..][..size];
            let width = PANEL.min(n - first);
            for (&from, &to) in a.at.iter().zip(c_at) {
                let mut sums = [T::default(); PANEL];
                if let Some(bias) = write.bias() {
                    sums[..width].copy_from_slice(&bias[first..][..width]);
                }
                for run in 0..a.runs {
                    let values = &a.values[from + run * a.stride..][..a.run];
                    let weights = panel[run * a.run * PANEL..].chunks_exact(PANEL);
                    for (&value, weights) in values.iter().zip(weights) {
                        for (sum, &weight) in sums.iter_mut().zip(weights) {
                            *sum = value.fused(weight, *sum);
                        }
                    }
                }
                for (c, &sum) in c[to + first..][..width].iter_mut().zip(&sums) {
                    *c = if write.adds() { *c + sum } else { sum };
                }
            }
        }
    }

    fn outer(&self, a: Gather<'_, T>, b: &[T], n: usize, dw: &mut [T]) {
        check_outer(&a, b, n, dw);
        let (rows, depth) = (a.at.len(), a.depth());
        for panel in 0..n.div_ceil(PANEL) {
            let b = &b[panel * rows * PANEL..][..rows * PANEL];
            let dw = &mut dw[panel * depth * PANEL..][..depth * PANEL];
            for (at, b) in a.at.chunks(CHAIN_ROWS).zip(b.chunks(CHAIN_ROWS * PANEL)) {
                for (k, dw) in dw.chunks_exact_mut(PANEL).enumerate() {
                    let offset = k / a.run * a.stride + k % a.run;
                    let mut sums = [T::default(); PANEL];
                    for (&at, b) in at.iter().zip(b.chunks_exact(PANEL)) {
                        let value = a.values[at + offset];
                        for (sum, &b) in sums.iter_mut().zip(b) {
                            *sum = value.fused(b, *sum);
                        }
                    }
                    dw.iter_mut().zip(&sums).for_each(|(dw, &sum)| *dw = *dw + sum);
                }
            }
        }
    }
}
