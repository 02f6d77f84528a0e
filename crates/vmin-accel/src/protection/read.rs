//! Mechanisms as files name them.

use vmin_diagnostic::{Diagnostic, TableReader};
use vmin_sram::protection::{Masking, OnDetected, Secded, SpareLines};

use super::{Mechanism, Protection, Supply};

/// Highest supply voltage that a file may name, in mV.
const VDD_MV_MAX: f64 = 5_000.0;
/// Most layers of a network.
const LAYERS_MAX: f64 = 100_000.0;

#[derive(Clone, Copy)]
enum Kind {
    Boost,
    SafeBits,
    LayerRail,
    BankRail,
    Spares,
    Parity,
    Secded,
    DetectingRead,
}

const KINDS: [(&str, Kind); 8] = [
    ("boost", Kind::Boost),
    ("safe_bits", Kind::SafeBits),
    ("layer_rail", Kind::LayerRail),
    ("bank_rail", Kind::BankRail),
    ("spares", Kind::Spares),
    ("parity", Kind::Parity),
    ("secded", Kind::Secded),
    ("detecting_read", Kind::DetectingRead),
];

impl Protection {
    /// Reads the list of tables `key`; a missing list is no protection. Problems are reported to the
    /// reader, and then there is no value.
    #[must_use]
    pub fn read(table: &TableReader<'_>, key: &str) -> Option<Self> {
        let mut spans = Vec::new();
        let mut mechanisms = Vec::new();
        for entry in table.tables(key) {
            spans.push(entry.span());
            mechanisms.push(mechanism(&entry));
            entry.finish();
        }
        let mechanisms: Vec<Mechanism> = mechanisms.into_iter().collect::<Option<_>>()?;
        match Self::new(mechanisms) {
            Ok(protection) => Some(protection),
            Err((index, error)) => {
                let problem = Diagnostic::new("protection", error.to_string()).hint(
                    "list mechanisms from the cells outwards: rails (`boost`, `safe_bits`, \
                     `layer_rail`, `bank_rail`), then `spares`, then one of `parity`, `secded`, \
                     `detecting_read`",
                );
                match spans.get(index).cloned().flatten() {
                    Some(span) => table.report_at(span, problem),
                    None => table.report(problem),
                }
                None
            }
        }
    }
}

fn mechanism(entry: &TableReader<'_>) -> Option<Mechanism> {
    Some(match entry.choice("kind", &KINDS)?.value {
        Kind::Boost => {
            Mechanism::Boost { raise_mv: entry.number("raise_mv", 0.0..=VDD_MV_MAX)?.value }
        }
        Kind::SafeBits => {
            let bits = entry.integer("bits", 1..=8);
            let supply = supply(entry);
            Mechanism::SafeBits { bits: u8::try_from(bits?.value).ok()?, supply: supply? }
        }
        Kind::LayerRail => {
            let layers = layers(entry);
            let supply = supply(entry);
            Mechanism::LayerRail { layers: layers?, supply: supply? }
        }
        Kind::BankRail => {
            let share = entry.number("share", 0.0..=1.0);
            let supply = supply(entry);
            Mechanism::BankRail { share: share?.value, supply: supply? }
        }
        Kind::Spares => {
            let most = i64::from(SpareLines::MAX);
            let rows = entry.integer("rows", 0..=most);
            let columns = entry.integer("columns", 0..=most);
            let repair = entry.number("repair_vdd_mv", 1.0..=VDD_MV_MAX);
            let narrow = |value: i64| u32::try_from(value).ok();
            Mechanism::Spares {
                rows: narrow(rows?.value)?,
                columns: narrow(columns?.value)?,
                repair_vdd_mv: repair?.value,
            }
        }
        Kind::Parity => {
            let bits = entry.optional_integer("data_bits", 1..=128);
            let data_bits = bits.map(|bits| u32::try_from(bits.value)).transpose().ok()?;
            if entry.has("data_bits") && data_bits.is_none() {
                return None;
            }
            Mechanism::Parity { data_bits }
        }
        Kind::Secded => {
            let bits = entry.integer("data_bits", 4..=128);
            let choices = [("keep", OnDetected::Keep), ("zero", OnDetected::Zero)];
            let on_detected = entry.optional_choice("on_detected", &choices);
            if entry.has("on_detected") && on_detected.is_none() {
                return None;
            }
            let data_bits = u32::try_from(bits?.value).ok()?;
            Secded::new(data_bits).ok()?;
            let on_detected = on_detected.map_or(OnDetected::Keep, |choice| choice.value);
            Mechanism::Secded { data_bits, on_detected }
        }
        Kind::DetectingRead => {
            let choices = [("code", Masking::Code), ("bits", Masking::Bits)];
            Mechanism::DetectingRead { masking: entry.choice("mask", &choices)?.value }
        }
    })
}

/// `vdd_mv = ...` or `raise_mv = ...`, one of them.
fn supply(entry: &TableReader<'_>) -> Option<Supply> {
    let fixed = entry.optional_number("vdd_mv", 1.0..=VDD_MV_MAX);
    let raised = entry.optional_number("raise_mv", 0.0..=VDD_MV_MAX);
    match (fixed, raised) {
        (Some(mv), None) if !entry.has("raise_mv") => Some(Supply::FixedMv(mv.value)),
        (None, Some(mv)) if !entry.has("vdd_mv") => Some(Supply::RaisedByMv(mv.value)),
        (None, None) if entry.has("vdd_mv") != entry.has("raise_mv") => None,
        _ => {
            let problem = Diagnostic::new("supply", "the rail needs a voltage").allowed(
                "expected either `vdd_mv` (a fixed supply) or `raise_mv` (above the swept one)",
            );
            match entry.span() {
                Some(span) => entry.report_at(span, problem),
                None => entry.report(problem),
            }
            None
        }
    }
}

fn layers(entry: &TableReader<'_>) -> Option<Vec<usize>> {
    let numbers = entry.numbers("layers", 1.0..=LAYERS_MAX)?;
    let mut layers = Vec::with_capacity(numbers.value.len());
    let mut whole = true;
    for number in &numbers.value {
        if number.value.fract() != 0.0 {
            whole = false;
            entry.report_at(
                number.span.clone(),
                Diagnostic::new("wrong-value", format!("{} numbers no layer", number.value))
                    .allowed("expected whole numbers: 1 is the first layer with weights"),
            );
        }
        // 1 to LAYERS_MAX.
        layers.push(number.value as usize);
    }
    layers.sort_unstable();
    layers.dedup();
    whole.then_some(layers)
}
