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
