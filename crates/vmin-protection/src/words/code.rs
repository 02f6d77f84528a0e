//! The contract of a code over words.

/// What a decoder says of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// No error seen. There may be one that the code cannot see.
    Clean,
    /// One bit was inverted. It may have been the wrong one.
    Corrected,
    /// There are errors that the code cannot locate.
    Detected,
}

/// A word after its decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decoded {
    /// The data bits.
    pub data: u128,
    /// The check bits.
    pub check: u16,
    /// What the decoder says.
    pub verdict: Verdict,
}

/// A code over words: data bits in, check bits beside them, data bits back.
///
/// Bits of `data` from [`Self::data_bits`] on, and of `check` from [`Self::check_bits`] on, are zero
/// in and out. Decoding what [`Self::encode`] gave changes nothing and is [`Verdict::Clean`]. An
/// implementation is a pure function of the bits: it does not know which cells are faulty.
pub trait WordCode: core::fmt::Debug + Send + Sync {
    /// Data bits of a word, 1 to 128.
    fn data_bits(&self) -> u32;
    /// Check bits of a word, 1 to 16.
    fn check_bits(&self) -> u32;
    /// The check bits of `data`.
    fn encode(&self, data: u128) -> u16;
    /// What comes out of the decoder for these bits as read.
    fn decode(&self, data: u128, check: u16) -> Decoded;
}

/// What happens to a word whose errors were seen but cannot be located.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDetected {
    /// It is used as read.
    Keep,
    /// Its bits become those of the code that means zero.
    Zero,
}

/// The lowest `bits` bits set, for at most 128 bits.
pub(crate) const fn low_bits(bits: u32) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}
