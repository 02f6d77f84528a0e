//! Protection of the weight memory as a designer describes it: mechanisms with their voltages, and
//! what they cost. What they do to bits is [`vmin_sram::protection`].
//!
//! A [`Protection`] is a list from the cells outwards, and a list in another order is refused:
//!
//! ```text
//! rails: boost, safe_bits, layer_rail, bank_rail      any number, each kind once
//! spares                                              at most one
//! parity | secded | detecting_read                    at most one
//! ```

mod costs;
mod energy;
mod read;

pub use costs::{Basis, Cost, CostKey, ProtectionCosts};
pub use energy::{ProtectedEnergy, ProtectedLayers, protected_energy};

use vmin_sram::protection::{Masking, OnDetected};

/// A supply voltage that follows from the swept one; never below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Supply {
    /// This voltage, in mV.
    FixedMv(f64),
    /// The swept voltage and so much more, in mV.
    RaisedByMv(f64),
}

impl Supply {
    /// In mV, when the swept rail is at `vdd_mv`.
    #[must_use]
    pub fn at(self, vdd_mv: f64) -> f64 {
        match self {
            Self::FixedMv(own) => own.max(vdd_mv),
            Self::RaisedByMv(more) => vdd_mv + more.max(0.0),
        }
    }
}

/// One mechanism.
#[derive(Clone, Debug, PartialEq)]
pub enum Mechanism {
    /// The array's rail is raised during every access (Chandramoorthy et al., HPCA 2019).
    Boost {
        /// By so much, in mV.
        raise_mv: f64,
    },
    /// The most significant bits of each code on a rail of their own.
    SafeBits {
        /// How many bits of each code.
        bits: u8,
        /// Their rail.
        supply: Supply,
    },
    /// The cells of some layers on a rail of their own.
    LayerRail {
        /// Which layers: counted from 1 among those with weights, in execution order; rising.
        layers: Vec<usize>,
        /// Their rail.
        supply: Supply,
    },
    /// The banks with most faults, by the chip's own map at the swept voltage, on a rail of their own.
    BankRail {
        /// Share of the banks that hold weights, rounded up to whole banks.
        share: f64,
        /// Their rail.
        supply: Supply,
    },
    /// Spare lines in each bank, allocated after a test.
    Spares {
        /// Spare rows per bank.
        rows: u32,
        /// Spare columns per bank.
        columns: u32,
        /// Voltage of the test, in mV.
        repair_vdd_mv: f64,
    },
    /// A parity bit per word; words with an odd number of errors become zero.
    Parity {
        /// Data bits of a word; none: every code is a word.
        data_bits: Option<u32>,
    },
    /// Single-error correction, double-error detection.
    Secded {
        /// Data bits of a word.
        data_bits: u32,
        /// What happens to words with more errors.
        on_detected: OnDetected,
    },
    /// Sense amplifiers that see which bit failed.
    DetectingRead {
        /// What becomes of the code.
        masking: Masking,
    },
}

impl Mechanism {
    /// Its word in files.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Boost { .. } => "boost",
            Self::SafeBits { .. } => "safe_bits",
            Self::LayerRail { .. } => "layer_rail",
            Self::BankRail { .. } => "bank_rail",
            Self::Spares { .. } => "spares",
            Self::Parity { .. } => "parity",
            Self::Secded { .. } => "secded",
            Self::DetectingRead { .. } => "detecting_read",
        }
    }

    /// Its place from the cells outwards.
    const fn stage(&self) -> u8 {
        match self {
            Self::Boost { .. }
            | Self::SafeBits { .. }
            | Self::LayerRail { .. }
            | Self::BankRail { .. } => 0,
            Self::Spares { .. } => 1,
            Self::Parity { .. } | Self::Secded { .. } | Self::DetectingRead { .. } => 2,
        }
    }
}

/// Why mechanisms do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectionError {
    /// One kind twice.
    #[error("`{kind}` is listed twice")]
    Twice {
        /// Which kind.
        kind: &'static str,
    },
    /// The list does not go from the cells outwards.
    #[error("`{inner}` lies nearer to the cells than `{outer}` and must be listed before it")]
    Order {
        /// Listed too late.
        inner: &'static str,
        /// Listed before it.
        outer: &'static str,
    },
    /// Two mechanisms that both act on words.
    #[error("`{first}` and `{second}` both act on what is read; choose one")]
    TwoOnWords {
        /// The first.
        first: &'static str,
        /// The second.
        second: &'static str,
    },
    /// Words over cells of two rails.
    #[error(
        "`safe_bits` divides every code over two rails, so the words of `{code}` would lie on both"
    )]
    WordOnTwoRails {
        /// The mechanism with words.
        code: &'static str,
    },
}

/// Mechanisms that go together, from the cells outwards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protection {
    mechanisms: Vec<Mechanism>,
}

impl Protection {
    /// Checks that the mechanisms go together.
    ///
    /// # Errors
    /// The first rule they break, with the index of the mechanism that breaks it.
    pub fn new(mechanisms: Vec<Mechanism>) -> Result<Self, (usize, ProtectionError)> {
        for (index, mechanism) in mechanisms.iter().enumerate() {
            let kind = mechanism.kind();
            for earlier in &mechanisms[..index] {
                let error = if earlier.kind() == kind {
                    ProtectionError::Twice { kind }
                } else if earlier.stage() > mechanism.stage() {
                    ProtectionError::Order { inner: kind, outer: earlier.kind() }
                } else if earlier.stage() == 2 && mechanism.stage() == 2 {
                    ProtectionError::TwoOnWords { first: earlier.kind(), second: kind }
                } else if matches!(earlier, Mechanism::SafeBits { .. })
                    && matches!(mechanism, Mechanism::Parity { .. } | Mechanism::Secded { .. })
                {
                    ProtectionError::WordOnTwoRails { code: kind }
                } else {
                    continue;
                };
                return Err((index, error));
            }
        }
        Ok(Self { mechanisms })
    }

    /// From the cells outwards.
    #[must_use]
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }

    /// Supply of the cells' common rail during an access, in mV: the swept voltage, or the boosted one.
    #[must_use]
    pub fn base_mv(&self, vdd_mv: f64) -> f64 {
        let boost = self.mechanisms.iter().find_map(|mechanism| match mechanism {
            Mechanism::Boost { raise_mv } => Some(*raise_mv),
            _ => None,
        });
        vdd_mv + boost.unwrap_or(0.0)
    }

    /// In words, as tables print it.
    #[must_use]
    pub fn describe(&self) -> String {
        let supply = |supply: &Supply| match supply {
            Supply::FixedMv(mv) => format!("at {mv} mV"),
            Supply::RaisedByMv(mv) => format!("+{mv} mV"),
        };
        let words = self.mechanisms.iter().map(|mechanism| match mechanism {
            Mechanism::Boost { raise_mv } => format!("boost +{raise_mv} mV"),
            Mechanism::SafeBits { bits: 1, supply: own } => format!("top bit {}", supply(own)),
            Mechanism::SafeBits { bits, supply: own } => format!("top {bits} bits {}", supply(own)),
            Mechanism::LayerRail { layers, supply: own } => {
                let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
                format!("layers {} {}", layers.join(", "), supply(own))
            }
            Mechanism::BankRail { share, supply: own } => {
                format!("weakest {} % of banks {}", share * 100.0, supply(own))
            }
            Mechanism::Spares { rows, columns, repair_vdd_mv } => format!(
                "{rows} spare rows and {columns} spare columns per bank, tested at {repair_vdd_mv} mV"
            ),
            Mechanism::Parity { data_bits: None } => "parity per code, zeroed".to_owned(),
            Mechanism::Parity { data_bits: Some(bits) } => {
                format!("parity per {bits} bits, zeroed")
            }
            Mechanism::Secded { data_bits, on_detected } => {
                let check = vmin_sram::protection::Secded::new(*data_bits)
                    .map_or(0, |code| vmin_sram::protection::WordCode::check_bits(&code));
                let then = match on_detected {
                    OnDetected::Keep => "",
                    OnDetected::Zero => ", else zeroed",
                };
                format!("SECDED({}, {data_bits}){then}", data_bits + check)
            }
            Mechanism::DetectingRead { masking: Masking::Code } => {
                "detecting reads, codes masked".to_owned()
            }
            Mechanism::DetectingRead { masking: Masking::Bits } => {
                "detecting reads, bits masked".to_owned()
            }
        });
        let words: Vec<String> = words.collect();
        if words.is_empty() { "none".to_owned() } else { words.join("; ") }
    }
}

#[cfg(test)]
mod tests;
