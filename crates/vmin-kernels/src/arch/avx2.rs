//! AVX2: `pmaddwd` on pairs of int16, which never saturates on int8 inputs but for nothing:
//! `2 * (-128)^2 = 32768` fits int32.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_madd_epi16, _mm256_set1_epi32,
    _mm256_setzero_si256, _mm256_storeu_si256,
};

use crate::GemmKernel;
use crate::packed::{PackedWeights, Panels, panels};

/// Channels per panel: two vectors of eight int32 sums.
const WIDTH: usize = 16;
/// Values per group: a pair of int16 for one `pmaddwd` lane.
const DEPTH: usize = 2;
/// Rows of `a` at a time: four rows of two accumulators, and room for weights.
const ROWS: usize = 4;

/// Exists only where AVX2 does.
pub(crate) struct Avx2(());

impl Avx2 {
    pub(crate) fn new() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl GemmKernel for Avx2 {
    fn name(&self) -> &'static str {
        "avx2"
    }

    fn pack(&self, weights: &[i8], n: usize, k: usize) -> PackedWeights {
        PackedWeights {
            kernel: self.name(),
            n,
            k,
            panels: Panels::Words(panels(weights, n, k, WIDTH, DEPTH)),
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
        // Pairs of int16 of `ROWS` rows, so that one broadcast feeds one lane pair.
        let mut pairs = vec![0i32; groups * ROWS];
        for first in (0..m).step_by(ROWS) {
            let rows = ROWS.min(m - first);
            for row in 0..rows {
                let a = &a[(first + row) * a_stride..][..k];
                for (group, values) in a.chunks(DEPTH).enumerate() {
                    let low = i32::from(values[0]) & 0xffff;
                    let high = i32::from(values.get(1).copied().unwrap_or(0)) << 16;
                    pairs[group * ROWS + row] = low | high;
                }
            }
            for (panel, weights) in panels.chunks_exact(groups * WIDTH * DEPTH).enumerate() {
                let mut sums = [0i32; ROWS * WIDTH];
                // SAFETY: AVX2 is there, or `Self` would not exist; `pairs` holds groups * ROWS and
                // `weights` groups * WIDTH * DEPTH values by construction.
                unsafe { tile(&pairs, weights, groups, &mut sums) };
                let channels = WIDTH.min(n - panel * WIDTH);
                for row in 0..rows {
                    let start = (first + row) * n + panel * WIDTH;
                    out[start..start + channels]
                        .copy_from_slice(&sums[row * WIDTH..row * WIDTH + channels]);
                }
            }
        }
    }
}

/// `ROWS x WIDTH` sums over all groups.
///
/// # Safety
/// The processor must have AVX2; `pairs` must hold `groups * ROWS` values and `weights`
/// `groups * WIDTH * DEPTH`.
#[target_feature(enable = "avx2")]
unsafe fn tile(pairs: &[i32], weights: &[i16], groups: usize, sums: &mut [i32; ROWS * WIDTH]) {
    debug_assert!(pairs.len() >= groups * ROWS && weights.len() >= groups * WIDTH * DEPTH);
    let mut low = [_mm256_setzero_si256(); ROWS];
    let mut high = [_mm256_setzero_si256(); ROWS];
    for group in 0..groups {
        // SAFETY: `group < groups`, and the caller vouches for the lengths.
        unsafe {
            let w = weights.as_ptr().add(group * WIDTH * DEPTH);
            let w0 = _mm256_loadu_si256(w.cast::<__m256i>());
            let w1 = _mm256_loadu_si256(w.add(WIDTH).cast::<__m256i>());
            for row in 0..ROWS {
                let a = _mm256_set1_epi32(*pairs.get_unchecked(group * ROWS + row));
                low[row] = _mm256_add_epi32(low[row], _mm256_madd_epi16(a, w0));
                high[row] = _mm256_add_epi32(high[row], _mm256_madd_epi16(a, w1));
            }
        }
    }
    for row in 0..ROWS {
        let out = &mut sums[row * WIDTH..(row + 1) * WIDTH];
        // SAFETY: `out` holds 16 int32, two vectors.
        unsafe {
            _mm256_storeu_si256(out.as_mut_ptr().cast::<__m256i>(), low[row]);
            _mm256_storeu_si256(out.as_mut_ptr().add(8).cast::<__m256i>(), high[row]);
        }
    }
}
