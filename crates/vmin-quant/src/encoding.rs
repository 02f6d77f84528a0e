//! Encodings of integers as m-bit codes.

/// A map from m-bit codes (m = 1..=8) to integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Two's complement, `-2^(m-1) ..= 2^(m-1)-1`.
    TwosComplement,
    /// The integer is `code - 2^(m-1)`.
    OffsetBinary,
    /// The top bit is the sign, the rest the magnitude; there are two zeros.
    SignMagnitude,
}

impl Encoding {
    /// The integer of the low `bits` bits of `code`; higher bits are ignored.
    #[must_use]
    pub fn decode(self, code: u8, bits: u8) -> i8 {
        let half = 1i16 << (bits.clamp(1, 8) - 1);
        let code = i16::from(code) & (2 * half - 1);
        let value = match self {
            Self::TwosComplement => (code ^ half) - half,
            Self::OffsetBinary => code - half,
            Self::SignMagnitude if code & half == 0 => code,
            Self::SignMagnitude => -(code & (half - 1)),
        };
        i8::try_from(value).expect("a code of at most 8 bits stands for -128..=127")
    }

    /// The code of `value` in `bits` bits; zero in [`Self::SignMagnitude`] is the positive zero.
    ///
    /// # Errors
    /// If `bits` is not 1..=8, or `value` lies outside [`Self::min`]..=[`Self::max`].
    pub fn encode(self, value: i32, bits: u8) -> Result<u8, EncodeError> {
        if !(1..=8).contains(&bits) {
            return Err(EncodeError::Bits { bits });
        }
        let (min, max) = (self.min(bits), self.max(bits));
        if !(min..=max).contains(&value) {
            return Err(EncodeError::OutOfRange { value, min, max, bits });
        }
        let half = 1i32 << (bits - 1);
        let code = match self {
            Self::TwosComplement => value & (2 * half - 1),
            Self::OffsetBinary => value + half,
            Self::SignMagnitude if value < 0 => half | -value,
            Self::SignMagnitude => value,
        };
        Ok(code.to_le_bytes()[0])
    }

    /// The smallest integer that has a code of `bits` bits (1..=8, clamped).
    #[must_use]
    pub fn min(self, bits: u8) -> i32 {
        let half = 1i32 << (bits.clamp(1, 8) - 1);
        match self {
            Self::TwosComplement | Self::OffsetBinary => -half,
            Self::SignMagnitude => 1 - half,
        }
    }

    /// The largest integer that has a code of `bits` bits (1..=8, clamped): `2^(bits-1) - 1`.
    #[must_use]
    pub fn max(self, bits: u8) -> i32 {
        (1i32 << (bits.clamp(1, 8) - 1)) - 1
    }

    /// The integers of all codes, indexed by code.
    #[must_use]
    pub fn decode_table(self, bits: u8) -> [i8; 256] {
        std::array::from_fn(|code| self.decode(code.to_le_bytes()[0], bits))
    }
}

/// An integer that has no code, or a width that codes cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Codes have 1 to 8 bits.
    #[error("a code of {bits} bits does not exist; allowed are 1..=8")]
    Bits {
        /// The bits asked for.
        bits: u8,
    },
    /// The integer is outside the range of the encoding.
    #[error("{value} does not fit {bits} bits; allowed are {min}..={max}")]
    OutOfRange {
        /// The integer.
        value: i32,
        /// The smallest allowed.
        min: i32,
        /// The largest allowed.
        max: i32,
        /// Bits per code.
        bits: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 3] =
        [Encoding::TwosComplement, Encoding::OffsetBinary, Encoding::SignMagnitude];

    #[test]
    fn every_integer_survives_and_every_other_is_refused() {
        for encoding in ALL {
            for bits in 1..=8 {
                for value in (-300..=300).step_by(if cfg!(miri) { 7 } else { 1 }) {
                    let fits = (encoding.min(bits)..=encoding.max(bits)).contains(&value);
                    match encoding.encode(value, bits) {
                        Ok(code) => {
                            assert!(fits && u32::from(code) < 1 << bits);
                            assert_eq!(i32::from(encoding.decode(code, bits)), value);
                        }
                        Err(error) => {
                            assert!(!fits);
                            assert!(matches!(error, EncodeError::OutOfRange { .. }));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_code_survives_but_the_negative_zero() {
        for encoding in ALL {
            for bits in 1..=8u8 {
                let table = encoding.decode_table(bits);
                for code in 0..=255u8 {
                    let low = code & (0xff >> (8 - bits));
                    let value = encoding.decode(code, bits);
                    assert_eq!(value, encoding.decode(low, bits), "higher bits are ignored");
                    assert_eq!(value, table[usize::from(code)]);
                    let negative_zero =
                        encoding == Encoding::SignMagnitude && low == 1 << (bits - 1);
                    let expected = if negative_zero { 0 } else { low };
                    assert_eq!(encoding.encode(value.into(), bits), Ok(expected));
                }
            }
        }
    }

    #[test]
    fn known_codes() {
        assert_eq!(Encoding::TwosComplement.decode(0x80, 8), -128);
        assert_eq!(Encoding::OffsetBinary.decode(0, 4), -8);
        assert_eq!(Encoding::SignMagnitude.decode(0xff, 8), -127);
        assert_eq!(Encoding::SignMagnitude.decode(0x80, 8), 0);
    }

    #[test]
    fn bits_are_checked() {
        for bits in [0, 9, 255] {
            assert_eq!(Encoding::TwosComplement.encode(0, bits), Err(EncodeError::Bits { bits }));
        }
    }
}
