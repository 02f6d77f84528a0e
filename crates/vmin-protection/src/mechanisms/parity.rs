//! One parity bit per word: any odd number of errors is seen, none is located; such words become zero.

use serde::Serialize;
use vmin_diagnostic::TableReader;

use crate::mechanism::{Codec, Effect, Mechanism, Price, Shape};
use crate::words::{Decoded, OnDetected, Verdict, WordCode, Words, low_bits};
use crate::{CostKey, ProtectionCosts};

/// `kind = "parity"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Parity {
    /// Data bits of a word, 1 to 128; none: every code is a word.
    pub data_bits: Option<u32>,
}

impl Parity {
    fn bits(self, code_bits: u8) -> u32 {
        self.data_bits.unwrap_or(code_bits.into())
    }
}

impl Mechanism for Parity {
    fn kind(&self) -> &'static str {
        "parity"
    }

    fn describe(&self) -> String {
        match self.data_bits {
            None => "parity per code, zeroed".to_owned(),
            Some(bits) => format!("parity per {bits} bits, zeroed"),
        }
    }

    fn effect(&self, code_bits: u8) -> Effect {
        let words = if self.data_bits.is_some() { Words::Cells } else { Words::Codes };
        let code = ParityCode { data_bits: self.bits(code_bits).clamp(1, 128) };
        Effect::Word(Box::new(code), words, OnDetected::Zero)
    }

    fn price(&self, costs: &ProtectionCosts, shape: Shape) -> Price {
        let k = f64::from(self.bits(shape.code_bits));
        Price {
            check_share: 1.0 / k,
            codec: Some(Codec {
                data_bits: k,
                encoder_gates: k - 1.0,
                // The tree, then a gate per bit that clears it.
                decoder_gates: k + k,
                cycles: costs.value(CostKey::DetectCycles),
            }),
            ..Price::default()
        }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let bits = entry.optional_integer("data_bits", 1..=128);
    if entry.has("data_bits") && bits.is_none() {
        return None;
    }
    let data_bits = bits.map(|bits| u32::try_from(bits.value)).transpose().ok()?;
    Some(Box::new(Parity { data_bits }))
}

/// Even parity over 1 to 128 data bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParityCode {
    data_bits: u32,
}

impl ParityCode {
    /// Parity over words of `data_bits`; none outside 1 to 128.
    #[must_use]
    pub const fn new(data_bits: u32) -> Option<Self> {
        if data_bits >= 1 && data_bits <= 128 { Some(Self { data_bits }) } else { None }
    }
}

impl WordCode for ParityCode {
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
