//! AVX2: `pmaddwd` multiplies pairs of int16 and adds the two products as int32. For int8 values
//! the sum is at most `2 * (-128)^2 = 32768`, so nothing saturates.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_storeu_si256,
};

use super::avx2_codes;
use crate::packed::{PackedWeights, Panels, panels};
use crate::{Addition, GemmKernel, Requantization};

/// Channels per panel: two vectors of eight int32 sums.
const WIDTH: usize = 16;
/// Values per group: a pair of int16 for one `pmaddwd` lane.
const DEPTH: usize = 2;
/// Rows of `a` at a time: twelve sums, two vectors of weights and one of `a` fill the registers.
const ROWS: usize = 6;

/// Exists only where AVX2 does.
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl crate::sealed::Sealed for Avx2 {}

impl GemmKernel for Avx2 {
    fn name(&self) -> &'static str {
        "avx2"
    }

    fn pack(&self, weights: &[i8], n: usize, k: usize) -> PackedWeights {
        PackedWeights {
            kernel: self.name(),
            n,
            k,
            panels: Panels::Words(panels::<i16, WIDTH, DEPTH>(weights, n, k)),
            offsets: vec![0; n],
        }
    }

    fn gemm(&self, a: &[i8], a_stride: usize, m: usize, packed: &PackedWeights, out: &mut [i32]) {
        packed.check(self.name(), a, a_stride, m, out);
        let Panels::Words(panels) = &packed.panels else { unreachable!("packed by this kernel") };
        let (n, k) = (packed.n, packed.k);
        let groups = k.div_ceil(DEPTH);
        if n == 0 || groups == 0 {
            out[..m * n].fill(0);
            return;
        }
        // `ROWS` rows as int16, each filled up with a zero to whole groups.
        let width = groups * DEPTH;
        let mut wide = vec![0i16; width * ROWS];
        let mut first = 0;
        while first < m {
            let rows = match m - first {
                ROWS.. => ROWS,
                4.. => 4,
                2.. => 2,
                _ => 1,
            };
            for (row, wide) in wide.chunks_exact_mut(width).take(rows).enumerate() {
                // SAFETY: AVX2 is there, or `Self` would not exist.
                unsafe { widen(&a[(first + row) * a_stride..][..k], wide) };
            }
            for (panel, weights) in panels.chunks_exact(width * WIDTH).enumerate() {
                let out = &mut out[first * n + panel * WIDTH..];
                let channels = WIDTH.min(n - panel * WIDTH);
                // SAFETY: AVX2 is there, or `Self` would not exist; `wide` holds `ROWS >= rows`
                // rows and `weights` one panel of `groups` groups, by construction.
                unsafe {
                    match rows {
                        ROWS => tile::<ROWS>(&wide, weights, groups, out, n, channels),
                        4 => tile::<4>(&wide, weights, groups, out, n, channels),
                        2 => tile::<2>(&wide, weights, groups, out, n, channels),
                        _ => tile::<1>(&wide, weights, groups, out, n, channels),
                    }
                }
            }
            first += rows;
        }
    }

    fn requantize(&self, sums: &[i32], offsets: &[i32], rule: &Requantization, out: &mut [i8]) {
        rule.check(sums, offsets, out);
        // SAFETY: AVX2 is there, or `Self` would not exist.
        unsafe { avx2_codes::requantize(sums, offsets, rule, out) }
    }

    fn add(&self, a: &[i8], b: &[i8], rule: &Addition, out: &mut [i8]) {
        Addition::check(a, b, out);
        // SAFETY: AVX2 is there, or `Self` would not exist.
        unsafe { avx2_codes::add(a, b, rule, out) }
    }
}

/// Copies `from` to the start of `to` as int16.
///
/// # Safety
/// The processor must have AVX2, for which the loop is compiled.
#[target_feature(enable = "avx2")]
unsafe fn widen(from: &[i8], to: &mut [i16]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from.into();
    }
}

/// `R x channels` sums over all groups, to rows of `out` that lie `out_stride` apart.
///
/// # Safety
/// The processor must have AVX2; `wide` must hold `R` rows of `groups * DEPTH` values and `weights`
/// `groups * DEPTH * WIDTH`. The lengths are easily missed by a factor of `DEPTH`: both count int16
/// values, not pairs.
#[target_feature(enable = "avx2")]
unsafe fn tile<const R: usize>(
    wide: &[i16],
    weights: &[i16],
    groups: usize,
    out: &mut [i32],
    out_stride: usize,
    channels: usize,
) {
    debug_assert!(wide.len() >= R * groups * DEPTH);
    debug_assert!(weights.len() >= groups * DEPTH * WIDTH);
    let mut low = [_mm256_setzero_si256(); R];
    let mut high = [_mm256_setzero_si256(); R];
    let (a, mut w) = (wide.as_ptr(), weights.as_ptr());
    for group in 0..groups {
        // SAFETY: `group < groups` and `row < R`; the caller vouches for the lengths.
        unsafe {
            let w0 = _mm256_loadu_si256(w.cast::<__m256i>());
            let w1 = _mm256_loadu_si256(w.add(WIDTH).cast::<__m256i>());
            w = w.add(WIDTH * DEPTH);
            for row in 0..R {
                let pair = a.add((row * groups + group) * DEPTH).cast::<i32>().read_unaligned();
                let pair = _mm256_set1_epi32(pair);
                low[row] = _mm256_add_epi32(low[row], _mm256_madd_epi16(pair, w0));
                high[row] = _mm256_add_epi32(high[row], _mm256_madd_epi16(pair, w1));
            }
        }
    }
    for row in 0..R {
        let mut sums = [0i32; WIDTH];
        // SAFETY: `sums` holds 16 int32, two vectors.
        unsafe {
            _mm256_storeu_si256(sums.as_mut_ptr().cast::<__m256i>(), low[row]);
            _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast::<__m256i>(), high[row]);
        }
        out[row * out_stride..][..channels].copy_from_slice(&sums[..channels]);
    }
}
