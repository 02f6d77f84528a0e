//! One parity bit per word: any odd number of errors is seen, none is located.

use super::word::{Decoded, Verdict, WordCode, low_bits};

/// Even parity over 1 to 128 data bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parity {
    data_bits: u32,
}

impl Parity {
    /// Parity over words of `data_bits`; none outside 1 to 128.
    #[must_use]
    pub const fn new(data_bits: u32) -> Option<Self> {
        if data_bits >= 1 && data_bits <= 128 { Some(Self { data_bits }) } else { None }
    }
}

impl WordCode for Parity {
    fn data_bits(&self) -> u32 {
        self.data_bits
    }

    fn check_bits(&self) -> u32 {
        1
    }

    fn encode(&self, data: u128) -> u16 {
        u16::from((data & low_bits(self.data_bits)).count_ones() % 2 == 1)
    }

    fn decode(&self, data: u128, check: u16) -> Decoded {
        let verdict = if self.encode(data) == check { Verdict::Clean } else { Verdict::Detected };
        Decoded { data, check, verdict }
    }
}
