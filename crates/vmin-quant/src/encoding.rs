//! How an m-bit code means an integer.

/// How an m-bit code (m = 1..=8) means an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `-2^(m-1) ..= 2^(m-1)-1`.
    TwosComplement,
    /// `code - 2^(m-1)`.
    OffsetBinary,
    /// Top bit is the sign, the rest the magnitude; two zeros.
    SignMagnitude,
}

impl Encoding {
    /// The integer that the low `bits` bits of `code` mean; higher bits are ignored.
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
        i8::try_from(value).expect("a code of at most 8 bits means -128..=127")
    }

    /// The integer of every byte, indexed by code.
    #[must_use]
    pub fn decode_table(self, bits: u8) -> [i8; 256] {
        std::array::from_fn(|code| self.decode(code.to_le_bytes()[0], bits))
    }
}
