//! Packing of codes of one to eight bits into bytes.
//!
//! ```text
//! bits = 3:   byte 0            byte 1
//!             c2c2 c1c1c1 c0c0c0 | c5 c4c4c4 c3c3c3 c2      (most significant bit at the left)
//! ```

/// There are fewer bytes than the codes need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes cannot hold {codes} codes of {bits} bits")]
pub struct UnpackError {
    /// Bytes given.
    pub bytes: usize,
    /// Codes asked for.
    pub codes: usize,
    /// Bits per code.
    pub bits: u8,
}

/// Packs the low `bits` (1..=8, clamped) bits of each code: code `i` occupies the bits
/// `i*bits .. (i+1)*bits`, least significant first; the last byte is filled up with zeros.
#[must_use]
pub fn pack(codes: &[u8], bits: u8) -> Vec<u8> {
    let bits = usize::from(bits.clamp(1, 8));
    let mask = 0xffu8 >> (8 - bits);
    let mut bytes = Vec::with_capacity(codes.len() / 8 * bits + bits);
    let (mut waiting, mut count) = (0u16, 0);
    for &code in codes {
        waiting |= u16::from(code & mask) << count;
        count += bits;
        if count >= 8 {
            bytes.push(waiting.to_le_bytes()[0]);
            waiting >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        bytes.push(waiting.to_le_bytes()[0]);
    }
    bytes
}

/// The first `n` codes of `bits` bits (1..=8, clamped) that [`pack`] put into `bytes`.
///
/// # Errors
/// If `bytes` is too short for `n` codes.
pub fn unpack(bytes: &[u8], bits: u8, n: usize) -> Result<Vec<u8>, UnpackError> {
    let bits = bits.clamp(1, 8);
    let width = usize::from(bits);
    let needed = n.checked_mul(width).map(|total| total.div_ceil(8));
    if needed.is_none_or(|needed| needed > bytes.len()) {
        return Err(UnpackError { bytes: bytes.len(), codes: n, bits });
    }
    let mask = 0xffu8 >> (8 - bits);
    let byte = |index: usize| u16::from(bytes.get(index).copied().unwrap_or(0));
    Ok((0..n)
        .map(|i| {
            let (first, shift) = (i * width / 8, i * width % 8);
            let pair = byte(first) | byte(first + 1) << 8;
            (pair >> shift).to_le_bytes()[0] & mask
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_at_every_place() {
        let step = if cfg!(miri) { 4 } else { 1 };
        for bits in (1..=8u8).step_by(step) {
            for n in (0..=17usize).step_by(step * step) {
                for place in 0..n {
                    for code in 0..=(0xffu8 >> (8 - bits)) {
                        let mut codes = vec![0; n];
                        codes[place] = code;
                        let bytes = pack(&codes, bits);
                        assert_eq!(bytes.len(), (n * usize::from(bits)).div_ceil(8));
                        assert_eq!(unpack(&bytes, bits, n), Ok(codes));
                    }
                }
            }
        }
    }

    #[test]
    fn each_bit_lies_where_the_contract_says() {
        for bits in 1..=8usize {
            let width = u8::try_from(bits).expect("at most 8");
            for i in 0..9 {
                for bit in 0..bits {
                    let mut codes = [0; 9];
                    codes[i] = 1 << bit;
                    let bytes = pack(&codes, width);
                    let place = i * bits + bit;
                    for (index, &byte) in bytes.iter().enumerate() {
                        let expected = if index == place / 8 { 1 << (place % 8) } else { 0 };
                        assert_eq!(byte, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn higher_bits_do_not_leak() {
        assert_eq!(pack(&[0xff, 0, 0xff], 2), [0b11_0011]);
    }

    #[test]
    fn too_few_bytes() {
        assert_eq!(unpack(&[0], 3, 3), Err(UnpackError { bytes: 1, codes: 3, bits: 3 }));
        assert!(unpack(&[0; 4], 8, usize::MAX).is_err());
        assert_eq!(unpack(&[], 5, 0), Ok(vec![]));
    }
}
