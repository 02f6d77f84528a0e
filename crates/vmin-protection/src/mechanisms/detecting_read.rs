//! Reads that detect which bit failed: double-sampling sense amplifiers, as in Minerva (Reagen et al.,
//! ISCA 2016, after Razor). No check bits; each column tells that its bit is wrong.
//!
//! Every error is taken as detected. What then happens to the code is the paper's choice of two:
//! the whole code becomes zero (*word masking*), or the wrong bits are replaced so that the value moves
//! toward zero (*bit masking*; for two's complement, by the sign bit).

use serde::Serialize;
use vmin_diagnostic::TableReader;

use crate::mechanism::{Codec, Effect, Mechanism, Price, Shape};
use crate::words::{Stored, TowardZero};
use crate::{CostKey, ProtectionCosts};

/// `kind = "detecting_read"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DetectingRead {
    /// What becomes of the code.
    pub masking: Masking,
}

impl Mechanism for DetectingRead {
    fn kind(&self) -> &'static str {
        "detecting_read"
    }

    fn describe(&self) -> String {
        match self.masking {
            Masking::Code => "detecting reads, codes masked".to_owned(),
            Masking::Bits => "detecting reads, bits masked".to_owned(),
        }
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Detect(DetectingReads { masking: self.masking })
    }

    fn price(&self, costs: &ProtectionCosts, shape: Shape) -> Price {
        // A gate per bit that masks it; no word, so counted as one of a code.
        Price {
            access_share: costs.value(CostKey::DetectingReadShare),
            codec: Some(Codec {
                data_bits: shape.code_bits.into(),
                encoder_gates: 0.0,
                decoder_gates: 2.0 * f64::from(shape.code_bits),
                cycles: costs.value(CostKey::DetectCycles),
            }),
            ..Price::default()
        }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let choices = [("code", Masking::Code), ("bits", Masking::Bits)];
    Some(Box::new(DetectingRead { masking: entry.choice("mask", &choices)?.value }))
}

/// What becomes of a code with detected bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
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
    /// The code as used: `read` are the bits as read, `wrong` marks the detected ones; the code is number
    /// `code` of `tensor`. Bits beyond the width of its codes are zero in all of them.
    #[must_use]
    pub fn used(self, read: u32, wrong: u32, tensor: &Stored, code: usize) -> u32 {
        let sign = 1_u32 << (tensor.bits.clamp(1, 32) - 1);
        if wrong == 0 {
            return read;
        }
        if self.masking == Masking::Code || wrong & sign != 0 {
            return tensor.zero(code);
        }
        let fill = match tensor.toward_zero {
            TowardZero::SignBit => read & sign != 0,
            TowardZero::NotSignBit => read & sign == 0,
            TowardZero::Clear => false,
        };
        if fill { read | wrong } else { read & !wrong }
    }
}
