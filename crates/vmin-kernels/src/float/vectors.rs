//! The float products on vectors, for every instruction set.

#![expect(unsafe_code, reason = "rows are gathered without a check for each")]

use super::{CHAIN_ROWS, FloatKernel, Gather, PANEL, Write, check_outer, check_rows};
use crate::lanes::{Lanes, Task};
use crate::tile::{Product, Vectors, accumulate, vectors, with_count};

impl<L, const N: usize, const V: usize> FloatKernel<f32> for Vectors<L, N, V>
where
    L: Lanes<N, Factor = f32, Sum = f32>,
{
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn rows(
        &self,
        a: Gather<'_, f32>,
        panels: &[f32],
        n: usize,
        write: Write<'_, f32>,
        c: &mut [f32],
        c_at: &[usize],
    ) {
        check_rows(&a, panels, n, &write, c, c_at);
        let (panels, depth) = (panels.as_chunks::<PANEL>().0, a.depth());
        let add = write.adds();
        for (panel, first) in (0..n).step_by(PANEL).enumerate() {
            let (panel, width) = (&panels[panel * depth..][..depth], PANEL.min(n - first));
            let mut start = [0.0; PANEL];
            if let Some(bias) = write.bias() {
                start[..width].copy_from_slice(&bias[first..][..width]);
            }
            let (a, start, c) = (&a, &start, &mut c[first..]);
            for (at, c_at) in a.at.chunks(L::ROWS).zip(c_at.chunks(L::ROWS)) {
                // SAFETY: `check_rows` has checked `a`, of whose rows `at` are some.
                unsafe {
                    Product { a, at, panel, start, add, width, c_at }.compute::<V>(self.0, c);
                }
            }
        }
    }

    fn outer(&self, a: Gather<'_, f32>, b: &[f32], n: usize, dw: &mut [f32]) {
        check_outer(&a, b, n, dw);
        let (rows, depth, lanes) = (a.at.len(), a.depth(), self.0);
        let (b, dw) = (b.as_chunks::<PANEL>().0, dw.as_chunks_mut::<PANEL>().0);
        for panel in 0..n.div_ceil(PANEL) {
            let b = &b[panel * rows..][..rows];
            let dw = &mut dw[panel * depth..][..depth];
            for (at, b) in a.at.chunks(CHAIN_ROWS).zip(b.chunks(CHAIN_ROWS)) {
                for run in 0..a.runs {
                    let dw = &mut dw[run * a.run..][..a.run];
                    for (block, dw) in dw.chunks_mut(L::ROWS).enumerate() {
                        let first = block * L::ROWS;
                        with_count!(dw.len(), L::ROWS, K => {
                            lanes.run(&Terms::<L, N, V, K> { lanes, a: &a, at, run, first, b }, dw);
                        });
                    }
                }
            }
        }
    }
}

/// Adds to `K` groups of `dw`: the sum, over the rows `at`, of `K` values of the run times the row's
/// group of `b`.
struct Terms<'a, L, const N: usize, const V: usize, const K: usize> {
    lanes: L,
    a: &'a Gather<'a, f32>,
    at: &'a [usize],
    run: usize,
    first: usize,
    b: &'a [[f32; PANEL]],
}

impl<L, const N: usize, const V: usize, const K: usize> Task for Terms<'_, L, N, V, K>
where
    L: Lanes<N, Factor = f32, Sum = f32>,
{
    type Out = [f32; PANEL];

    #[inline(always)]
    fn run(&self, dw: &mut [[f32; PANEL]]) {
        let &Self { lanes, a, at, run, first, b } = self;
        let mut sums = [[lanes.splat(0.0); V]; K];
        for (&at, group) in at.iter().zip(b) {
            let group = vectors::<L, N, V>(lanes, group);
            // SAFETY: `outer` has checked `a`, of whose rows `at` are some; it cuts blocks of `K` values
            // from the values of a run, so `first + K` is at most `a.run`.
            let values = unsafe { a.values_of(at, run).get_unchecked(first..first + K) };
            for (&value, sums) in values.iter().zip(&mut sums) {
                accumulate(lanes, value, &group, sums);
            }
        }
        let dw: &mut [_; K] = dw.try_into().expect("a block of `K` values");
        for (dw, sums) in dw.iter_mut().zip(&sums) {
            for (dw, &sum) in dw.as_chunks_mut::<N>().0.iter_mut().zip(sums) {
                lanes.store(lanes.add(lanes.sums(dw), sum), dw);
            }
        }
    }
}
