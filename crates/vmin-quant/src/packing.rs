//! Codes in memory: without gaps, least significant bit first.

/// Packs the low `bits` (1 to 8) bits of each code: code `i` occupies bits `i * bits` up to
/// `(i + 1) * bits` of the result, counted from bit 0 of byte 0.
///
/// # Panics
/// If `bits` is not 1 to 8.
#[must_use]
pub fn pack(codes: &[u8], bits: u8) -> Vec<u8> {
    assert!((1..=8).contains(&bits), "a code has 1 to 8 bits");
    let width = usize::from(bits);
    let mut packed = vec![0u8; (codes.len() * width).div_ceil(8)];
    for (index, &code) in codes.iter().enumerate() {
        let (byte, shift) = (index * width / 8, index * width % 8);
        let placed = u16::from(code & (0xff >> (8 - bits))) << shift;
        let [low, high] = placed.to_le_bytes();
        packed[byte] |= low;
        if high != 0 {
            packed[byte + 1] |= high;
        }
    }
    packed
}

/// The first `count` codes of `packed`, or `None` if there are fewer.
///
/// # Panics
/// If `bits` is not 1 to 8.
#[must_use]
pub fn unpack(packed: &[u8], bits: u8, count: usize) -> Option<Vec<u8>> {
    assert!((1..=8).contains(&bits), "a code has 1 to 8 bits");
    let width = usize::from(bits);
    if count.checked_mul(width)?.div_ceil(8) > packed.len() {
        return None;
    }
    let code = |index: usize| {
        let (byte, shift) = (index * width / 8, index * width % 8);
        let pair = [packed[byte], packed.get(byte + 1).copied().unwrap_or(0)];
        (u16::from_le_bytes(pair) >> shift).to_le_bytes()[0] & (0xff >> (8 - bits))
    };
    Some((0..count).map(code).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_the_bit_string_of_the_codes() {
        for bits in 1..=8u8 {
            for count in 0..40 {
                let codes: Vec<u8> =
                    (0..count).map(|i: u32| (i * 83 + 29) as u8 & (0xff >> (8 - bits))).collect();
                let packed = pack(&codes, bits);
                for (index, code) in codes.iter().enumerate() {
                    for bit in 0..usize::from(bits) {
                        let place = index * usize::from(bits) + bit;
                        assert_eq!((packed[place / 8] >> (place % 8)) & 1, (code >> bit) & 1);
                    }
                }
                assert_eq!(unpack(&packed, bits, codes.len()), Some(codes));
            }
        }
        assert_eq!(unpack(&[0], 3, 3), None);
    }
}
