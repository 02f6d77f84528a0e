//! AVX2 and FMA: a panel is two vectors.

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps,
};

use super::{CHAIN_ROWS, FloatKernel, Gather, PANEL, Write, check_outer, check_rows, with_count};

/// Vectors per panel.
const VECTORS: usize = PANEL / 8;
/// Rows of a block of `rows`, terms of a block of `outer`: as many sums as hide the latency.
const BLOCK: usize = 4;

type Sums = [__m256; VECTORS];

/// Exists only where its instructions do.
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
    }
}

impl crate::sealed::Sealed for Avx2 {}

impl FloatKernel<f32> for Avx2 {
    fn name(&self) -> &'static str {
        "avx2-fma"
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
        let depth = a.depth();
        for first in (0..n).step_by(PANEL) {
            let width = PANEL.min(n - first);
            let panel = &panels[first * depth..][..depth * PANEL];
            let mut start = [0.0; PANEL];
            if let Write::Biased(bias) = write {
                start[..width].copy_from_slice(&bias[first..][..width]);
            }
            let add = matches!(write, Write::Add);
            for (at, to) in a.at.chunks(BLOCK).zip(c_at.chunks(BLOCK)) {
                let mut sums = [[0.0; PANEL]; BLOCK];
                let out = &mut sums;
                // SAFETY: the processor has the instructions, as `Self` exists; `check_rows` made
                // sure that every row lies in the values and the panel has `depth` groups.
                unsafe { with_count!(at.len(), row_block(&a, at, panel, &start, out), [1 2 3 4]) };
                for (&to, sums) in to.iter().zip(&sums) {
                    let c = &mut c[to + first..][..width];
                    match (add, <&mut [f32; PANEL]>::try_from(&mut *c)) {
                        (false, Ok(c)) => *c = *sums,
                        (true, Ok(c)) => c.iter_mut().zip(sums).for_each(|(c, sum)| *c += sum),
                        (false, Err(_)) => c.copy_from_slice(&sums[..width]),
                        (true, Err(_)) => c.iter_mut().zip(sums).for_each(|(c, sum)| *c += sum),
                    }
                }
            }
        }
    }

    fn outer(&self, a: Gather<'_, f32>, b: &[f32], n: usize, dw: &mut [f32]) {
        check_outer(&a, b, n, dw);
        let (rows, depth) = (a.at.len(), a.depth());
        for panel in 0..n.div_ceil(PANEL) {
            let b = &b[panel * rows * PANEL..][..rows * PANEL];
            let dw = &mut dw[panel * depth * PANEL..][..depth * PANEL];
            for (at, b) in a.at.chunks(CHAIN_ROWS).zip(b.chunks(CHAIN_ROWS * PANEL)) {
                for run in 0..a.runs {
                    let dw = &mut dw[run * a.run * PANEL..][..a.run * PANEL];
                    for (block, dw) in dw.chunks_mut(BLOCK * PANEL).enumerate() {
                        let offset = run * a.stride + block * BLOCK;
                        let count = dw.len() / PANEL;
                        // SAFETY: the processor has the instructions, as `Self` exists;
                        // `check_outer` made sure that `count` values from `offset` on lie in every
                        // row; `b` has a group for each of `at`, `dw` one for each value.
                        unsafe {
                            with_count!(count, term_block(a.values, at, offset, b, dw), [1 2 3 4]);
                        }
                    }
                }
            }
        }
    }
}

/// The sums of `COUNT` rows over a panel.
///
/// # Safety
/// The processor has the instructions; `at` has `COUNT` rows that lie in the values; `panel` has a
/// group per value of a row.
#[target_feature(enable = "avx2,fma")]
unsafe fn row_block<const COUNT: usize>(
    a: &Gather<'_, f32>,
    at: &[usize],
    panel: &[f32],
    start: &[f32; PANEL],
    out: &mut [[f32; PANEL]; BLOCK],
) {
    // SAFETY: all reads are of `COUNT` rows and of groups of the panel, which exist by contract.
    unsafe {
        let mut sums: [Sums; COUNT] = [load(start.as_ptr()); COUNT];
        let mut weights = panel.as_ptr();
        for run in 0..a.runs {
            let rows: [*const f32; COUNT] =
                std::array::from_fn(|i| a.values.as_ptr().add(at[i] + run * a.stride));
            for k in 0..a.run {
                let group = load(weights);
                weights = weights.add(PANEL);
                for (row, sums) in rows.iter().zip(&mut sums) {
                    accumulate(*row.add(k), &group, sums);
                }
            }
        }
        for (out, sums) in out.iter_mut().zip(&sums) {
            store(out.as_mut_ptr(), sums);
        }
    }
}

/// Adds to `COUNT` groups of `dw` the sums over the rows.
///
/// # Safety
/// The processor has the instructions; `COUNT` values from `at[i] + offset` on lie in the values;
/// `b` has a group per row and `dw` has `COUNT` groups.
#[target_feature(enable = "avx2,fma")]
unsafe fn term_block<const COUNT: usize>(
    values: &[f32],
    at: &[usize],
    offset: usize,
    b: &[f32],
    dw: &mut [f32],
) {
    // SAFETY: all reads and writes are of values and groups that exist by contract.
    unsafe {
        let mut sums: [Sums; COUNT] = [zero(); COUNT];
        let mut groups = b.as_ptr();
        let values = values.as_ptr().add(offset);
        for &at in at {
            let group = load(groups);
            groups = groups.add(PANEL);
            let values = values.add(at);
            for (i, sums) in sums.iter_mut().enumerate() {
                accumulate(*values.add(i), &group, sums);
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let place = dw.as_mut_ptr().add(i * PANEL);
            store(place, &plus(&load(place), sums));
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn zero() -> Sums {
    [_mm256_setzero_ps(); VECTORS]
}

/// # Safety
/// A group of [`PANEL`] values lies at `from`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load(from: *const f32) -> Sums {
    // SAFETY: the vectors of a group, by contract.
    std::array::from_fn(|v| unsafe { _mm256_loadu_ps(from.add(v * 8)) })
}

/// # Safety
/// A group of [`PANEL`] values may be written at `to`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store(to: *mut f32, sums: &Sums) {
    for (v, &sum) in sums.iter().enumerate() {
        // SAFETY: the vectors of a group, by contract.
        unsafe { _mm256_storeu_ps(to.add(v * 8), sum) };
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn accumulate(value: f32, group: &Sums, sums: &mut Sums) {
    let value = _mm256_set1_ps(value);
    for (sum, &group) in sums.iter_mut().zip(group) {
        *sum = _mm256_fmadd_ps(value, group, *sum);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma")]
fn plus(a: &Sums, b: &Sums) -> Sums {
    std::array::from_fn(|v| _mm256_add_ps(a[v], b[v]))
}
