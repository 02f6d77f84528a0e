//! Independent flips, as the papers model them.

use crate::codec::Encoded;
use crate::random::Stream;

/// Flips each of the `bits` low bits of every code with probability `rate` (up to 0.5), tensor
/// after tensor, from the least significant bit on; returns the number of flips.
///
/// The distance to the next flip is geometric: one logarithm per flip in place of a number per bit.
pub(crate) fn flip(tensors: &mut [Encoded], bits: u8, rate: f64, stream: &mut Stream) -> u64 {
    flip_all(tensors.iter_mut().map(|tensor| tensor.codes.as_mut_slice()), bits, rate, stream)
}

/// As [`flip`], of bare codes.
pub(crate) fn flip_all<'a>(
    tensors: impl IntoIterator<Item = &'a mut [u8]>,
    bits: u8,
    rate: f64,
    stream: &mut Stream,
) -> u64 {
    if rate <= 0.0 {
        return 0;
    }
    let width = u64::from(bits);
    let log_kept = libm::log1p(-rate);
    let mut flips = 0;
    let mut next = skip(log_kept, stream);
    for codes in tensors {
        let length = codes.len() as u64 * width;
        while next < length {
            let (code, bit) = (next / width, next % width);
            // Below the number of codes, which is a usize.
            codes[code as usize] ^= 1 << bit;
            flips += 1;
            next = next.saturating_add(1).saturating_add(skip(log_kept, stream));
        }
        next -= length;
    }
    flips
}

/// Numbers of the bits, of so many, that flip with probability `rate` each, rising.
pub(super) fn flips(bits: usize, rate: f64, stream: &mut Stream) -> impl Iterator<Item = usize> {
    let log_kept = libm::log1p(-rate);
    let mut next = if rate > 0.0 { skip(log_kept, stream) } else { u64::MAX };
    std::iter::from_fn(move || {
        // Below the number of bits, which is a usize.
        let bit = usize::try_from(next).ok().filter(|&bit| bit < bits)?;
        next = next.saturating_add(1).saturating_add(skip(log_kept, stream));
        Some(bit)
    })
}

/// Bits that are kept before the next flip: `floor(ln u / ln(1 - rate))` with `u` in `(0, 1]`.
#[expect(clippy::cast_possible_truncation, reason = "a saturating cast: no bit lies that far")]
#[expect(clippy::cast_sign_loss, reason = "a quotient of two logarithms of at most 1")]
fn skip(log_kept: f64, stream: &mut Stream) -> u64 {
    libm::floor(libm::log(1.0 - stream.unit()) / log_kept) as u64
}
