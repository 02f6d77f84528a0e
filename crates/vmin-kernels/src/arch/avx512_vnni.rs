//! AVX-512 VNNI: `vpdpbusd` multiplies unsigned by signed bytes and adds four products to an int32
//! without saturating. Activations become unsigned by adding 128 (flipping the top bit); the
//! surplus `128 * sum(w)` is taken off through the packed offsets.

use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_mask_storeu_epi32, _mm512_set1_epi32,
};

use super::avx512_codes;
use crate::packed::{PackedWeights, Panels, panels};
use crate::{Addition, GemmKernel, Requantization};

/// Channels per panel: one vector of sixteen int32 sums.
const WIDTH: usize = 16;
/// Values per group: the four bytes of one `vpdpbusd` lane.
const DEPTH: usize = 4;
/// Rows of `a` at a time: as many independent sums as hide the latency of `vpdpbusd`.
const ROWS: usize = 12;

/// Exists only where AVX-512 VNNI does.
pub(crate) struct Avx512Vnni(());

impl Avx512Vnni {
    pub(crate) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni"))
        .then_some(Self(()))
    }
}

impl crate::sealed::Sealed for Avx512Vnni {}

impl GemmKernel for Avx512Vnni {
    fn name(&self) -> &'static str {
        "avx512-vnni"
    }

    fn pack(&self, weights: &[i8], n: usize, k: usize) -> PackedWeights {
        let panels = panels::<i8, WIDTH, DEPTH>(weights, n, k);
        let mut offsets = vec![0i32; n.next_multiple_of(WIDTH)];
        if k > 0 {
            for (offset, row) in offsets.iter_mut().zip(weights.chunks_exact(k)) {
                let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(w.into()));
                *offset = sum.wrapping_mul(-128);
            }
        }
        PackedWeights { kernel: self.name(), n, k, panels: Panels::Bytes(panels), offsets }
    }

    fn gemm(&self, a: &[i8], a_stride: usize, m: usize, packed: &PackedWeights, out: &mut [i32]) {
        packed.check(self.name(), a, a_stride, m, out);
        let Panels::Bytes(panels) = &packed.panels else { unreachable!("packed by this kernel") };
        let (n, k) = (packed.n, packed.k);
        let groups = k.div_ceil(DEPTH);
        if n == 0 || groups == 0 {
            out[..m * n].fill(0);
            return;
        }
        let panel_size = groups * WIDTH * DEPTH;
        let mut first = 0;
        while first < m {
            let rows = (m - first).min(ROWS);
            for panel in 0..n.div_ceil(WIDTH) {
                let weights = &panels[panel * panel_size..(panel + 1) * panel_size];
                let offsets = &packed.offsets[panel * WIDTH..(panel + 1) * WIDTH];
                let channels = WIDTH.min(n - panel * WIDTH);
                let tile = Tile {
                    a: &a[first * a_stride..],
                    a_stride,
                    k,
                    weights,
                    offsets,
                    channels,
                    out_stride: n,
                };
                let out = &mut out[first * n + panel * WIDTH..];
                // SAFETY: the instructions are there, or `Self` would not exist; `check` has
                // proved that `rows` rows of `a` and of `out` lie within the slices, and the
                // panel and offsets are cut to size above.
                unsafe {
                    match rows {
                        12 => tile.run::<12>(out),
                        8..12 => tile.run::<8>(out),
                        4..8 => tile.run::<4>(out),
                        2..4 => tile.run::<2>(out),
                        _ => tile.run::<1>(out),
                    }
                }
            }
            first += match rows {
                12 => 12,
                8..12 => 8,
                4..8 => 4,
                2..4 => 2,
                _ => 1,
            };
        }
    }

    fn requantize(&self, sums: &[i32], offsets: &[i32], rule: &Requantization, out: &mut [i8]) {
        rule.check(sums, offsets, out);
        // SAFETY: AVX-512 F and BW are there, or `Self` would not exist.
        unsafe { avx512_codes::requantize(sums, offsets, rule, out) }
    }

    fn add(&self, a: &[i8], b: &[i8], rule: &Addition, out: &mut [i8]) {
        Addition::check(a, b, out);
        // SAFETY: AVX-512 F and BW are there, or `Self` would not exist.
        unsafe { avx512_codes::add(a, b, rule, out) }
    }
}

/// Some rows of `a` against one panel of sixteen channels.
struct Tile<'a> {
    a: &'a [i8],
    a_stride: usize,
    k: usize,
    weights: &'a [i8],
    offsets: &'a [i32],
    channels: usize,
    out_stride: usize,
}

impl Tile<'_> {
    /// # Safety
    /// The processor must have AVX-512 F, BW and VNNI. `a` must hold `R` rows of `k` bytes
    /// `a_stride` apart, `weights` all groups of the panel, `offsets` sixteen values, and `out`
    /// `R` rows of `channels` (1..=16) values `out_stride` apart.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    unsafe fn run<const R: usize>(&self, out: &mut [i32]) {
        debug_assert!(self.a.len() >= (R - 1) * self.a_stride + self.k);
        debug_assert!(out.len() >= (R - 1) * self.out_stride + self.channels);
        let whole = self.k / DEPTH;
        let rest = self.k % DEPTH;
        // SAFETY: the caller vouches for the lengths. Reads of `a` end at byte `k` of row `R - 1`:
        // whole groups of four bytes, then a copy of the `rest` bytes left. Reads of `weights` end
        // with the last group, which packing has filled up to 64 bytes. The mask lets through
        // `channels` values of each row of `out`.
        unsafe {
            let start = _mm512_loadu_si512(self.offsets.as_ptr().cast::<__m512i>());
            let mut sums = [start; R];
            let a = self.a.as_ptr();
            let mut w = self.weights.as_ptr();
            for group in 0..whole {
                let weights = _mm512_loadu_si512(w.cast::<__m512i>());
                for (row, sum) in sums.iter_mut().enumerate() {
                    let bytes =
                        a.add(row * self.a_stride + group * DEPTH).cast::<i32>().read_unaligned();
                    let unsigned = _mm512_set1_epi32(bytes ^ FLIP);
                    *sum = _mm512_dpbusd_epi32(*sum, unsigned, weights);
                }
                w = w.add(WIDTH * DEPTH);
            }
            if rest > 0 {
                let weights = _mm512_loadu_si512(w.cast::<__m512i>());
                for (row, sum) in sums.iter_mut().enumerate() {
                    let mut bytes = [0u8; DEPTH];
                    let tail = a.add(row * self.a_stride + whole * DEPTH).cast::<u8>();
                    std::ptr::copy_nonoverlapping(tail, bytes.as_mut_ptr(), rest);
                    // Weights beyond k are zero, so what stands there does not count.
                    let unsigned = _mm512_set1_epi32(i32::from_le_bytes(bytes) ^ FLIP);
                    *sum = _mm512_dpbusd_epi32(*sum, unsigned, weights);
                }
            }
            let mask = (((1u32 << self.channels) - 1) & 0xffff) as u16;
            for (row, sum) in sums.iter().enumerate() {
                let out = out.as_mut_ptr().add(row * self.out_stride);
                _mm512_mask_storeu_epi32(out, mask, *sum);
            }
        }
    }
}

/// Flips the top bit of four bytes: adds 128 to each int8, giving a uint8.
const FLIP: i32 = i32::from_le_bytes([0x80; 4]);
