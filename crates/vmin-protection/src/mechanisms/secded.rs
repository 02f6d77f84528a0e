//! Single-error correction, double-error detection with a code of Hsiao (IBM J. Res. Dev. 14, 1970).
//!
//! Every column of the parity-check matrix `H = [A | I]` has odd weight and no two are equal. A single
//! error gives its column as syndrome (odd weight), a double error a sum of two columns (even weight,
//! not zero): never taken for a single one. Three errors give an odd syndrome: if a column equals it,
//! that bit is inverted wrongly; this *miscorrection* happens here as it does in hardware.
//!
//! Columns of data bits have weight 3, then 5 and so on, chosen so that the rows stay balanced, which
//! keeps the trees of exclusive-ors shallow.

use serde::Serialize;
use vmin_diagnostic::TableReader;

use crate::mechanism::{Codec, Effect, Mechanism, Price, Shape};
use crate::words::{Decoded, OnDetected, Verdict, WordCode, Words, low_bits};
use crate::{CostKey, ProtectionCosts};

/// `kind = "secded"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Secded {
    /// Data bits of a word, 4 to 128.
    pub data_bits: u32,
    /// What happens to words with more errors.
    pub on_detected: OnDetected,
}

impl Secded {
    fn code(self) -> SecdedCode {
        SecdedCode::new(self.data_bits.clamp(4, 128)).expect("a width in range")
    }
}

impl Mechanism for Secded {
    fn kind(&self) -> &'static str {
        "secded"
    }

    fn describe(&self) -> String {
        let then = match self.on_detected {
            OnDetected::Keep => "",
            OnDetected::Zero => ", else zeroed",
        };
        let word_bits = self.data_bits + self.code().check_bits();
        format!("SECDED({word_bits}, {}){then}", self.data_bits)
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Word(Box::new(self.code()), Words::Cells, self.on_detected)
    }

    fn price(&self, costs: &ProtectionCosts, _: Shape) -> Price {
        let code = self.code();
        let (k, r) = (f64::from(self.data_bits), f64::from(code.check_bits()));
        let encoder_gates = f64::from(code.encoder_xors());
        Price {
            check_share: r / k,
            codec: Some(Codec {
                data_bits: k,
                encoder_gates,
                // The syndrome, a match of r bits and an inversion per data bit.
                decoder_gates: encoder_gates + r + k * (r - 1.0) + k,
                cycles: costs.value(CostKey::CorrectCycles),
            }),
            ..Price::default()
        }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let bits = entry.integer("data_bits", 4..=128);
    let choices = [("keep", OnDetected::Keep), ("zero", OnDetected::Zero)];
    let on_detected = entry.optional_choice("on_detected", &choices);
    if entry.has("on_detected") && on_detected.is_none() {
        return None;
    }
    let data_bits = u32::try_from(bits?.value).ok()?;
    let on_detected = on_detected.map_or(OnDetected::Keep, |choice| choice.value);
    Some(Box::new(Secded { data_bits, on_detected }))
}

/// Most check bits: enough for 128 data bits.
const CHECK_BITS_MAX: u32 = 9;

/// Why there is no such code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SECDED words have 4 to 128 data bits, not {data_bits}")]
pub struct SecdedError {
    /// What was asked for.
    pub data_bits: u32,
}

/// A shortened extended Hamming code of minimum distance 4: (39, 32), (72, 64), (137, 128) and others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecdedCode {
    data_bits: u32,
    check_bits: u32,
    /// Column of each data bit: the check bits it enters.
    columns: Vec<u16>,
    /// Data bits that enter each check bit.
    rows: Vec<u128>,
    /// What each syndrome points to.
    pointed: Vec<Pointed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pointed {
    Nothing,
    Data(u32),
    Check(u32),
}

impl SecdedCode {
    /// The code over `data_bits`, with as few check bits as the distance allows.
    ///
    /// # Errors
    /// `data_bits` is not 4 to 128.
    pub fn new(data_bits: u32) -> Result<Self, SecdedError> {
        if !(4..=128).contains(&data_bits) {
            return Err(SecdedError { data_bits });
        }
        // 2^(r-1) columns of odd weight, r of them of weight 1 for the check bits.
        let check_bits = (4..=CHECK_BITS_MAX)
            .find(|&r| (1 << (r - 1)) - r >= data_bits)
            .ok_or(SecdedError { data_bits })?;
        let columns = balanced_columns(data_bits, check_bits);
        let mut rows = vec![0_u128; check_bits as usize];
        let mut pointed = vec![Pointed::Nothing; 1 << check_bits];
        for (bit, &column) in (0..).zip(&columns) {
            pointed[usize::from(column)] = Pointed::Data(bit);
            for (row, members) in rows.iter_mut().enumerate() {
                if column >> row & 1 == 1 {
                    *members |= 1 << bit;
                }
            }
        }
        for bit in 0..check_bits {
            pointed[1 << bit] = Pointed::Check(bit);
        }
        Ok(Self { data_bits, check_bits, columns, rows, pointed })
    }

    /// Columns of the parity-check matrix, those of the data bits first; bit `i` is row `i`.
    #[must_use]
    pub fn parity_check_columns(&self) -> Vec<u16> {
        self.columns.iter().copied().chain((0..self.check_bits).map(|bit| 1 << bit)).collect()
    }

    /// Two-input exclusive-ors of the encoder, without sharing.
    #[must_use]
    pub fn encoder_xors(&self) -> u32 {
        self.rows.iter().map(|row| row.count_ones().saturating_sub(1)).sum()
    }
}

impl WordCode for SecdedCode {
    fn data_bits(&self) -> u32 {
        self.data_bits
    }

    fn check_bits(&self) -> u32 {
        self.check_bits
    }

    fn encode(&self, data: u128) -> u16 {
        let data = data & low_bits(self.data_bits);
        let bits = self.rows.iter().enumerate();
        bits.fold(0, |check, (row, members)| {
            check | u16::from((data & members).count_ones() % 2 == 1) << row
        })
    }

    fn decode(&self, data: u128, check: u16) -> Decoded {
        let syndrome = self.encode(data) ^ check;
        if syndrome == 0 {
            return Decoded { data, check, verdict: Verdict::Clean };
        }
        // Syndromes beyond the check bits come only from check bits that do not exist.
        match self.pointed.get(usize::from(syndrome)).copied().unwrap_or(Pointed::Nothing) {
            Pointed::Nothing => Decoded { data, check, verdict: Verdict::Detected },
            Pointed::Data(bit) => {
                Decoded { data: data ^ 1 << bit, check, verdict: Verdict::Corrected }
            }
            Pointed::Check(bit) => {
                Decoded { data, check: check ^ 1 << bit, verdict: Verdict::Corrected }
            }
        }
    }
}

/// The lightest odd columns above weight 1; within a weight, each time one that leaves the fullest row
/// emptiest, then the smallest number.
fn balanced_columns(data_bits: u32, check_bits: u32) -> Vec<u16> {
    let mut columns = Vec::with_capacity(data_bits as usize);
    let mut fill = vec![0_u32; check_bits as usize];
    for weight in (3..=check_bits).step_by(2) {
        let mut free: Vec<u16> =
            (1..1_u16 << check_bits).filter(|column| column.count_ones() == weight).collect();
        while columns.len() < data_bits as usize && !free.is_empty() {
            let cost = |column: u16| {
                let squares = fill.iter().enumerate().map(|(row, &count)| {
                    let count = count + u32::from(column >> row & 1);
                    count * count
                });
                (squares.sum::<u32>(), column)
            };
            let best = (0..free.len()).min_by_key(|&index| cost(free[index])).unwrap_or(0);
            let column = free.swap_remove(best);
            for (row, count) in fill.iter_mut().enumerate() {
                *count += u32::from(column >> row & 1);
            }
            columns.push(column);
        }
    }
    columns
}
