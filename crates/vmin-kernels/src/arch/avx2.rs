//! AVX2: two vectors per group of a panel.

#![expect(unsafe_code, reason = "intrinsics")]

use std::arch::x86_64::*;

use crate::lanes::{Group, IntegerLanes, Lanes};

/// Lanes of one vector.
pub(crate) const LANES: usize = 8;

/// The mask of the first `count` lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn first(count: usize) -> __m256i {
    assert!(count <= LANES, "more than a vector");
    _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
}

instructions!(
    /// Int8 products: `pmaddwd` multiplies pairs of int16 and adds the two products as int32. For int8
    /// values the sum is at most `2 * (-128)^2 = 32768`, so nothing saturates.
    Avx2, "avx2"
);

impl Lanes<LANES> for Avx2 {
    const NAME: &'static str = "avx2";
    // Twelve sums, two vectors of weights and one of activations fill the registers.
    const ROWS: usize = 6;
    type Factor = Group;
    type Sum = i32;
    type Vector = __m256i;

    intrinsics! {
        fn splat(self, group: Group) -> __m256i {
            let [low, high] = group.map(i16::to_le_bytes);
            _mm256_set1_epi32(i32::from_le_bytes([low[0], low[1], high[0], high[1]]))
        }
        fn factors(self, from: &[Group; LANES]) -> __m256i { _mm256_loadu_si256(from.as_ptr().cast()) }
        fn sums(self, from: &[i32; LANES]) -> __m256i { _mm256_loadu_si256(from.as_ptr().cast()) }
        fn store(self, sums: __m256i, to: &mut [i32; LANES]) {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), sums);
        }
        fn first_sums(self, from: &[i32]) -> __m256i {
            _mm256_maskload_epi32(from.as_ptr(), first(from.len()))
        }
        fn store_first(self, sums: __m256i, to: &mut [i32]) {
            _mm256_maskstore_epi32(to.as_mut_ptr(), first(to.len()), sums);
        }
        fn add(self, a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
        fn multiply_add(self, a: __m256i, b: __m256i, sum: __m256i) -> __m256i {
            _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
        }
    }
}

impl IntegerLanes<LANES> for Avx2 {
    const DEPTH: usize = 2;
    const OFFSET: i32 = 0;

    #[inline(always)]
    fn group(weights: &[i8]) -> Group {
        [weights[0].into(), weights[1].into()]
    }

    #[inline(always)]
    fn activations(self, row: &[i8], groups: &mut [Group]) {
        for (to, &from) in groups.as_flattened_mut().iter_mut().zip(row) {
            *to = from.into();
        }
    }

    intrinsics! {
        fn splat_sum(self, sum: i32) -> __m256i { _mm256_set1_epi32(sum) }
        fn codes(self, from: &[i8; LANES]) -> __m256i {
            _mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().cast()))
        }
        fn store_codes(self, codes: __m256i, to: &mut [i8; LANES]) {
            let (low, high) = (_mm256_castsi256_si128(codes), _mm256_extracti128_si256::<1>(codes));
            let words = _mm_packs_epi32(low, high);
            _mm_storel_epi64(to.as_mut_ptr().cast(), _mm_packs_epi16(words, words));
        }
        fn subtract(self, a: __m256i, b: __m256i) -> __m256i { _mm256_sub_epi32(a, b) }
        fn min(self, a: __m256i, b: __m256i) -> __m256i { _mm256_min_epi32(a, b) }
        fn max(self, a: __m256i, b: __m256i) -> __m256i { _mm256_max_epi32(a, b) }
        fn and(self, a: __m256i, b: __m256i) -> __m256i { _mm256_and_si256(a, b) }
        fn shift_left(self, a: __m256i, by: __m256i) -> __m256i { _mm256_sllv_epi32(a, by) }
        fn shift_right(self, a: __m256i, by: __m256i) -> __m256i { _mm256_srav_epi32(a, by) }
        fn splat_pair(self, pair: i64) -> __m256i { _mm256_set1_epi64x(pair) }
        fn add_pairs(self, a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi64(a, b) }
        fn shift_pairs_left(self, a: __m256i, by: __m256i) -> __m256i { _mm256_sllv_epi64(a, by) }
        fn shift_pairs_right(self, a: __m256i, by: __m256i) -> __m256i { _mm256_srlv_epi64(a, by) }
        fn multiply_even(self, a: __m256i, b: __m256i) -> __m256i { _mm256_mul_epi32(a, b) }
        fn interleave(self, even: __m256i, odd: __m256i) -> __m256i {
            _mm256_blend_epi32::<0xaa>(even, odd)
        }
    }
}

instructions!(
    /// Float products: AVX2 with fused multiply-add.
    Avx2Fma, "avx2", "fma"
);

impl Lanes<LANES> for Avx2Fma {
    const NAME: &'static str = "avx2-fma";
    // Twelve sums, two vectors of a panel and one of values fill the registers.
    const ROWS: usize = 6;
    type Factor = f32;
    type Sum = f32;
    type Vector = __m256;

    intrinsics! {
        fn splat(self, factor: f32) -> __m256 { _mm256_set1_ps(factor) }
        fn factors(self, from: &[f32; LANES]) -> __m256 { _mm256_loadu_ps(from.as_ptr()) }
        fn sums(self, from: &[f32; LANES]) -> __m256 { _mm256_loadu_ps(from.as_ptr()) }
        fn store(self, sums: __m256, to: &mut [f32; LANES]) { _mm256_storeu_ps(to.as_mut_ptr(), sums) }
        fn first_sums(self, from: &[f32]) -> __m256 {
            _mm256_maskload_ps(from.as_ptr(), first(from.len()))
        }
        fn store_first(self, sums: __m256, to: &mut [f32]) {
            _mm256_maskstore_ps(to.as_mut_ptr(), first(to.len()), sums);
        }
        fn add(self, a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        fn multiply_add(self, a: __m256, b: __m256, sum: __m256) -> __m256 { _mm256_fmadd_ps(a, b, sum) }
    }
}
