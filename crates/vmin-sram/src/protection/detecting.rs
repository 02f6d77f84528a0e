//! Reads that detect which bit failed: double-sampling sense amplifiers, as in Minerva (Reagen et al.,
//! ISCA 2016, after Razor). No check bits; each column tells that its bit is wrong.
//!
//! Every error is taken as detected. What then happens to the code is the paper's choice of two:
//! the whole code becomes zero (*word masking*), or the wrong bits are replaced so that the value moves
//! toward zero (*bit masking*; for two's complement, by the sign bit).

use super::stored::TowardZero;

/// What becomes of a code with detected bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Masking {
    /// The code becomes the one that means zero.
    Code,
    /// Wrong bits are replaced toward zero; a code whose sign bit is wrong becomes zero, for nobody
    /// then knows its direction.
    Bits,
}

/// Error-detecting reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DetectingReads {
    /// What becomes of a code with detected bits.
    pub masking: Masking,
}

impl DetectingReads {
    /// The code as used: `read` are the bits as read, `wrong` marks the detected ones, `zero` is the
    /// code that means zero. Bits from `bits` on are zero in all of them.
    #[must_use]
    pub fn used(self, read: u8, wrong: u8, bits: u8, zero: u8, toward_zero: TowardZero) -> u8 {
        let sign = 1_u8 << (bits.clamp(1, 8) - 1);
        if wrong == 0 {
            return read;
        }
        if self.masking == Masking::Code || wrong & sign != 0 {
            return zero;
        }
        let fill = match toward_zero {
            TowardZero::SignBit => read & sign != 0,
            TowardZero::NotSignBit => read & sign == 0,
            TowardZero::Clear => false,
        };
        if fill { read | wrong } else { read & !wrong }
    }
}
