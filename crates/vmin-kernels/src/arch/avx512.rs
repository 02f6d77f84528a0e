//! AVX-512: one vector per group of a panel.

#![expect(unsafe_code, reason = "intrinsics")]

use std::arch::x86_64::*;

use crate::lanes::{Group, IntegerLanes, Lanes};

/// Lanes of one vector.
pub(crate) const LANES: usize = 16;

/// The mask of the first `count` lanes.
#[inline(always)]
fn first(count: usize) -> u16 {
    assert!(count <= LANES, "more than a vector");
    ((1u32 << count) - 1) as u16
}

instructions!(
    /// Int8 products: `vpdpbusd` multiplies unsigned by signed bytes and adds four products to an
    /// int32 without saturating. Activations become unsigned by adding 128 (flipping the top bit); the
    /// surplus `128 * sum(w)` is subtracted through the packed offsets.
    Avx512Vnni, "avx512f", "avx512bw", "avx512vnni"
);

impl Lanes<LANES> for Avx512Vnni {
    const NAME: &'static str = "avx512-vnni";
    // As many independent sums as the latency of `vpdpbusd` needs.
    const ROWS: usize = 12;
    type Factor = Group;
    type Sum = i32;
    type Vector = __m512i;

    intrinsics! {
        fn splat(self, group: Group) -> __m512i {
            let [low, high] = group.map(i16::to_le_bytes);
            _mm512_set1_epi32(i32::from_le_bytes([low[0], low[1], high[0], high[1]]))
        }
        fn factors(self, from: &[Group; LANES]) -> __m512i { _mm512_loadu_si512(from.as_ptr().cast()) }
        fn sums(self, from: &[i32; LANES]) -> __m512i { _mm512_loadu_si512(from.as_ptr().cast()) }
        fn store(self, sums: __m512i, to: &mut [i32; LANES]) {
            _mm512_storeu_si512(to.as_mut_ptr().cast(), sums);
        }
        fn first_sums(self, from: &[i32]) -> __m512i {
            _mm512_maskz_loadu_epi32(first(from.len()), from.as_ptr())
        }
        fn store_first(self, sums: __m512i, to: &mut [i32]) {
            _mm512_mask_storeu_epi32(to.as_mut_ptr(), first(to.len()), sums);
        }
        fn add(self, a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
        fn multiply_add(self, a: __m512i, b: __m512i, sum: __m512i) -> __m512i {
            _mm512_dpbusd_epi32(sum, a, b)
        }
    }
}

impl IntegerLanes<LANES> for Avx512Vnni {
    const DEPTH: usize = 4;
    const OFFSET: i32 = 128;

    #[inline(always)]
    fn group(weights: &[i8]) -> Group {
        [0, 2].map(|i| i16::from_le_bytes([weights[i], weights[i + 1]].map(i8::cast_unsigned)))
    }

    intrinsics! {
        fn activations(self, row: &[i8], groups: &mut [Group]) {
            let flip = _mm512_set1_epi8(-128);
            let (values, rest) = row.as_chunks::<64>();
            let (groups, last) = groups.split_at_mut(values.len() * LANES);
            for (values, groups) in values.iter().zip(groups.as_chunks_mut::<LANES>().0) {
                let flipped = _mm512_xor_si512(_mm512_loadu_si512(values.as_ptr().cast()), flip);
                _mm512_storeu_si512(groups.as_mut_ptr().cast(), flipped);
            }
            // The weights beyond a row are zero, so the activations there do not matter.
            let values = _mm512_maskz_loadu_epi8((1 << rest.len()) - 1, rest.as_ptr());
            let flipped = _mm512_xor_si512(values, flip);
            _mm512_mask_storeu_epi32(last.as_mut_ptr().cast(), first(last.len()), flipped);
        }
        fn splat_sum(self, sum: i32) -> __m512i { _mm512_set1_epi32(sum) }
        fn codes(self, from: &[i8; LANES]) -> __m512i {
            _mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))
        }
        fn store_codes(self, codes: __m512i, to: &mut [i8; LANES]) {
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(codes));
        }
        fn subtract(self, a: __m512i, b: __m512i) -> __m512i { _mm512_sub_epi32(a, b) }
        fn min(self, a: __m512i, b: __m512i) -> __m512i { _mm512_min_epi32(a, b) }
        fn max(self, a: __m512i, b: __m512i) -> __m512i { _mm512_max_epi32(a, b) }
        fn and(self, a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
        fn shift_left(self, a: __m512i, by: __m512i) -> __m512i { _mm512_sllv_epi32(a, by) }
        fn shift_right(self, a: __m512i, by: __m512i) -> __m512i { _mm512_srav_epi32(a, by) }
        fn splat_pair(self, pair: i64) -> __m512i { _mm512_set1_epi64(pair) }
        fn add_pairs(self, a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi64(a, b) }
        fn shift_pairs_left(self, a: __m512i, by: __m512i) -> __m512i { _mm512_sllv_epi64(a, by) }
        fn shift_pairs_right(self, a: __m512i, by: __m512i) -> __m512i { _mm512_srlv_epi64(a, by) }
        fn multiply_even(self, a: __m512i, b: __m512i) -> __m512i { _mm512_mul_epi32(a, b) }
        fn interleave(self, even: __m512i, odd: __m512i) -> __m512i {
            _mm512_mask_blend_epi32(0xaaaa, even, odd)
        }
    }
}

instructions!(
    /// Float products with fused multiply-add.
    Avx512, "avx512f"
);

impl Lanes<LANES> for Avx512 {
    const NAME: &'static str = "avx512";
    const ROWS: usize = 12;
    type Factor = f32;
    type Sum = f32;
    type Vector = __m512;

    intrinsics! {
        fn splat(self, factor: f32) -> __m512 { _mm512_set1_ps(factor) }
        fn factors(self, from: &[f32; LANES]) -> __m512 { _mm512_loadu_ps(from.as_ptr()) }
        fn sums(self, from: &[f32; LANES]) -> __m512 { _mm512_loadu_ps(from.as_ptr()) }
        fn store(self, sums: __m512, to: &mut [f32; LANES]) { _mm512_storeu_ps(to.as_mut_ptr(), sums) }
        fn first_sums(self, from: &[f32]) -> __m512 {
            _mm512_maskz_loadu_ps(first(from.len()), from.as_ptr())
        }
        fn store_first(self, sums: __m512, to: &mut [f32]) {
            _mm512_mask_storeu_ps(to.as_mut_ptr(), first(to.len()), sums);
        }
        fn add(self, a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn multiply_add(self, a: __m512, b: __m512, sum: __m512) -> __m512 { _mm512_fmadd_ps(a, b, sum) }
    }
}
