//! Sums to codes with AVX-512: 16 at a time.
//!
//! The doubling high multiplication takes even and odd lanes apart, as the instruction that
//! multiplies int32 to int64 does, and keeps the 32 bits above bit 30 of each product. It is never
//! `i32::MIN` (see [`crate::requantize`]), so that one can be taken off; halving before one is added
//! keeps the rounding shift within 32 bits:
//! `(x + 2^(right - 1)) >> right = ((x >> (right - 1)) + 1) >> 1` for `right > 0`.

use std::arch::x86_64::{
    __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm512_add_epi32, _mm512_add_epi64,
    _mm512_and_si512, _mm512_cvtepi8_epi32, _mm512_cvtepi32_epi8, _mm512_loadu_si512,
    _mm512_mask_blend_epi32, _mm512_max_epi32, _mm512_min_epi32, _mm512_mul_epi32,
    _mm512_set1_epi32, _mm512_set1_epi64, _mm512_slli_epi32, _mm512_slli_epi64, _mm512_sllv_epi32,
    _mm512_srai_epi32, _mm512_srav_epi32, _mm512_srli_epi64, _mm512_sub_epi32,
};

use crate::addition::{Addition, RAISED};
use crate::requantize::{Factor, Requantization, Rounds};

/// Lanes of one vector.
const LANES: usize = 16;

/// A factor per lane.
struct Lanes {
    multiplier: __m512i,
    /// The multipliers of odd lanes, in even lanes.
    odd: __m512i,
    left: __m512i,
    /// One less than the shift to the right, but not below 0.
    halving: __m512i,
    /// 1 where there is a shift to the right, else 0.
    last: __m512i,
}

impl Lanes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new(multiplier: __m512i, left: __m512i, right: __m512i) -> Self {
        let one = _mm512_set1_epi32(1);
        let last = _mm512_min_epi32(right, one);
        Self {
            multiplier,
            odd: _mm512_srli_epi64::<32>(multiplier),
            left,
            halving: _mm512_sub_epi32(right, last),
            last,
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn of(factor: Factor) -> Self {
        Self::new(
            _mm512_set1_epi32(factor.multiplier),
            _mm512_set1_epi32(factor.shift.max(0)),
            _mm512_set1_epi32((-factor.shift).max(0)),
        )
    }

    /// [`crate::requantize::twice`] of each lane.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn twice(&self, sums: __m512i) -> __m512i {
        self.scale(_mm512_sllv_epi32(sums, self.left))
    }

    /// The same without the shift to the left.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn scale(&self, raised: __m512i) -> __m512i {
        let half = _mm512_set1_epi64(1 << 30);
        let even = _mm512_mul_epi32(raised, self.multiplier);
        let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(raised), self.odd);
        let even = _mm512_srli_epi64::<31>(_mm512_add_epi64(even, half));
        let odd = _mm512_slli_epi64::<1>(_mm512_add_epi64(odd, half));
        let high = _mm512_mask_blend_epi32(0xaaaa, even, odd);
        // -1 for a negative value, but only before a shift.
        let negative = _mm512_srai_epi32::<31>(high);
        let nudge = _mm512_and_si512(negative, self.last);
        let halved = _mm512_srav_epi32(_mm512_sub_epi32(high, nudge), self.halving);
        _mm512_srav_epi32(_mm512_add_epi32(halved, self.last), self.last)
    }
}

/// Zero point and clamp.
struct Codes {
    zero_point: __m512i,
    min: __m512i,
    max: __m512i,
}

impl Codes {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn of(rule: &Requantization) -> Self {
        Self {
            zero_point: _mm512_set1_epi32(rule.zero_point),
            min: _mm512_set1_epi32(rule.min),
            max: _mm512_set1_epi32(rule.max),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn write(&self, scaled: __m512i, out: &mut [i8; LANES]) {
        let codes = _mm512_add_epi32(scaled, self.zero_point);
        let codes = _mm512_min_epi32(_mm512_max_epi32(codes, self.min), self.max);
        // SAFETY: sixteen bytes.
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(codes)) }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(from: &[i32; LANES]) -> __m512i {
    // SAFETY: the array is as large as the vector.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_codes(from: &[i8; LANES]) -> __m512i {
    // SAFETY: the array holds the bytes that are read.
    _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
}

/// [`crate::GemmKernel::requantize`] of checked lengths.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn requantize(sums: &[i32], offsets: &[i32], rule: &Requantization, out: &mut [i8]) {
    let n = rule.channels();
    if rule.rounds == Rounds::Once {
        // Fully connected layers: one pixel, a product per weight. The portable loop is fast enough.
        rule.portable(0, sums, offsets, out);
        return;
    }
    let codes = Codes::of(rule);
    let (multipliers, _) = rule.multipliers.as_chunks::<LANES>();
    let (left, _) = rule.left.as_chunks::<LANES>();
    let (right, _) = rule.right.as_chunks::<LANES>();
    let (offsets_whole, _) = offsets.as_chunks::<LANES>();
    for (block, multipliers) in multipliers.iter().enumerate() {
        let lanes = Lanes::new(load(multipliers), load(&left[block]), load(&right[block]));
        let offset = load(&offsets_whole[block]);
        let first = block * LANES;
        for (sums, out) in sums.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let sums = sums[first..].first_chunk::<LANES>();
            let out = out[first..].first_chunk_mut::<LANES>();
            if let (Some(sums), Some(out)) = (sums, out) {
                let sums = _mm512_add_epi32(load(sums), offset);
                codes.write(lanes.twice(sums), out);
            }
        }
    }
    rule.portable(multipliers.len() * LANES, sums, offsets, out);
}

/// [`crate::GemmKernel::add`] of checked lengths.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn add(a: &[i8], b: &[i8], rule: &Addition, out: &mut [i8]) {
    let [(offset_a, factor_a), (offset_b, factor_b)] = rule.inputs;
    let [offset_a, offset_b] = [_mm512_set1_epi32(offset_a), _mm512_set1_epi32(offset_b)];
    let [lanes_a, lanes_b] = [Lanes::of(factor_a), Lanes::of(factor_b)];
    let down = Lanes::new(
        _mm512_set1_epi32(rule.output.multipliers[0]),
        _mm512_set1_epi32(rule.output.left[0]),
        _mm512_set1_epi32(rule.output.right[0]),
    );
    let codes = Codes::of(&rule.output);
    let (a, rest_a) = a.as_chunks::<LANES>();
    let (b, rest_b) = b.as_chunks::<LANES>();
    let (out, rest) = out.as_chunks_mut::<LANES>();
    for ((a, b), out) in a.iter().zip(b).zip(out) {
        let a = _mm512_add_epi32(load_codes(a), offset_a);
        let b = _mm512_add_epi32(load_codes(b), offset_b);
        let a = lanes_a.scale(_mm512_slli_epi32::<RAISED>(a));
        let b = lanes_b.scale(_mm512_slli_epi32::<RAISED>(b));
        codes.write(down.scale(_mm512_add_epi32(a, b)), out);
    }
    rule.portable(rest_a, rest_b, rest);
}
