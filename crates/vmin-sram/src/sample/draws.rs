//! From random words to uniforms, normals, preferred values and skips.

use rand_core::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::normal;

/// Calls `hit(stream, index)` for each index below `count` with probability `q`, in rising order.
#[inline]
pub(crate) fn for_each_hit(
    stream: &mut Xoshiro256PlusPlus,
    q: f64,
    count: u64,
    mut hit: impl FnMut(&mut Xoshiro256PlusPlus, u64),
) {
    if q <= 0.0 {
        return;
    }
    if q >= 1.0 {
        (0..count).for_each(|index| hit(stream, index));
        return;
    }
    // Cells are below 2^35.
    let length = count as f64;
    let first = unit(stream);
    // -ln u >= 1 - u and -ln (1 - q) <= q / (1 - q): most groups have no hit in most bands, and for
    // them this settles it without a logarithm.
    if (1.0 - first) * (1.0 - q) >= length * q {
        return;
    }
    let scale = 1.0 / libm::log1p(-q);
    let mut skip = libm::log(first) * scale;
    let mut index = 0;
    loop {
        // Cells are below 2^35.
        if skip >= (count - index) as f64 {
            return;
        }
        // The skip is not negative and below 2^35.
        let step = skip as u64;
        index += step;
        hit(stream, index);
        index += 1;
        skip = libm::log(unit(stream)) * scale;
    }
}

/// Uniform in (0, 1], steps of 2^-53.
#[inline]
pub(crate) fn unit(stream: &mut Xoshiro256PlusPlus) -> f64 {
    // 53 bits are exact.
    let steps = ((stream.next_u64() >> 11) + 1) as f64;
    steps * (1.0 / 9_007_199_254_740_992.0)
}

/// Uniform in (0, 1) from the high 40 bits of a draw.
#[inline]
pub(crate) fn high_40_bits(draw: u64) -> f64 {
    // 41 bits are exact.
    let steps = ((draw >> 24) * 2 + 1) as f64;
    steps * (1.0 / 2_199_023_255_552.0)
}

pub(crate) fn standard_normal(stream: &mut Xoshiro256PlusPlus) -> f64 {
    // 53 bits are exact.
    let steps = ((stream.next_u64() >> 12) * 2 + 1) as f64;
    normal::quantile(steps * (1.0 / 9_007_199_254_740_992.0))
}

/// Decides the preferred value from the low 24 bits of a draw, which the score does not use.
pub(crate) struct PreferredValue {
    zeros_of_2_24: u64,
}

impl PreferredValue {
    pub(crate) fn new(share_stuck_at_0: f64) -> Self {
        // A probability times 2^24.
        let zeros_of_2_24 = libm::round(share_stuck_at_0 * 16_777_216.0) as u64;
        Self { zeros_of_2_24 }
    }

    #[inline]
    pub(crate) fn preferred(&self, draw: u64) -> bool {
        (draw & 0xff_ffff) >= self.zeros_of_2_24
    }
}
