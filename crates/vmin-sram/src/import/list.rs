//! Tables with a row per faulty cell and voltage, for all file types.
//!
//! | column | other names | |
//! |---|---|---|
//! | `bank`, `row`, `column` | `block`; `wordline`, `wl`; `col`, `bitline`, `bl` | of the cell, from 0 |
//! | `address`, `bit` | `addr`, `word` | in place of them: word and bit, as in a dump |
//! | `vdd_mv` | `vdd`, `voltage`, `v` | supply voltage, with a unit as in `vdd_v` or `Voltage (V)` |
//! | `kind` | `type`, `fault`, `fault_kind` | `flip`, `stuck_at_0` or `sa0`, `stuck_at_1` or `sa1` |
//! | `probability` | `prob`, `p` | probability of the error, 1 without the column |
//!
//! Names are compared without case, spaces and units. [`ImportOptions::columns`](super::ImportOptions) maps others.
//! The size of the memory, voltages without a fault and the source are
//! *properties*, `key=value`: `geometry=B x R x C`, `levels_mv=590,580`, `source=...`, `licence=...`.

use std::collections::BTreeSet;

use super::voltage::{VddUnit, microvolts};
use super::{ImportProblem, Importer, Meaning};
use crate::geometry::{Geometry, Position};
use crate::measured_maps::ErrorRates;

/// Names of the columns, as files of the project have them.
pub(crate) const COLUMNS: [&str; 8] =
    ["bank", "row", "column", "vdd_mv", "kind", "probability", "address", "bit"];
pub(super) const VDD: usize = 3;
pub(super) const KIND: usize = 4;
pub(super) const PROBABILITY: usize = 5;
const ADDRESS: usize = 6;

/// Other names of the columns, in the order of [`COLUMNS`].
const OTHER_NAMES: [&[&str]; 8] = [
    &["block", "bram"],
    &["wordline", "wl"],
    &["col", "bitline", "bl"],
    &["vdd", "voltage", "v", "supply"],
    &["type", "fault", "fault_kind", "fault_type"],
    &["prob", "p"],
    &["addr", "word"],
    &[],
];

/// Names of a column with the voltage at which a cell first fails.
const FIRST_FAILS: [&str; 7] = [
    "vfail",
    "v_fail",
    "fail_voltage",
    "failure_voltage",
    "voltage_of_failure",
    "first_fail_voltage",
    "voltage_at_which_it_first_fails",
];

/// Options of the command line for lists, whatever the file type.
pub(super) const OPTIONS: &[&str] = &[
    "--vdd-mv",
    "--word-bits",
    "--words-per-bank",
    "--column-mux",
    "--banks",
    "--rows",
    "--columns",
    "--levels-mv",
    "--failure-kind",
    "--columns-named",
    "--meaning",
];

/// Banks, rows and columns have 21 bits each in an address until the memory is known.
const COORDINATE_BITS: u32 = 21;

/// The properties of the lists.
#[derive(Debug, Default)]
pub(super) struct Found {
    geometry: Option<Geometry>,
    pub(super) source: Option<String>,
    pub(super) licence: Option<String>,
    highest: [u32; 3],
}

/// A row of a list.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Bank, row and column.
    pub(super) place: [u64; 3],
    pub(super) vdd_mv: f64,
    pub(super) rates: ErrorRates,
}

/// Where the columns of a table are.
pub(super) struct Places {
    at: [Option<usize>; 8],
    unit: VddUnit,
    /// The voltage of all rows, without a column of voltages.
    vdd_mv: Option<f64>,
    /// The rates of a fault, without a column of kinds.
    rates: Option<ErrorRates>,
    word_bits: u64,
    words_per_bank: Option<u64>,
    column_mux: u64,
}

/// A value of a row, whatever holds it.
pub(super) trait Value {
    fn whole(&self) -> Option<u64>;
    fn number(&self) -> Option<f64>;
    fn text(&self) -> String;
}

impl Places {
    /// The row with these values; `line` is for messages.
    pub(super) fn row<V: Value>(
        &self,
        line: u64,
        value: impl Fn(usize) -> Option<V>,
    ) -> Result<Row, ImportProblem> {
        let field = |column: usize| self.at[column].and_then(&value);
        let unexpected = |column: usize, expected| {
            let text = field(column).map_or(String::new(), |value| value.text());
            let short: String = text.chars().take(40).collect();
            let found = format!("{} `{}`", COLUMNS[column], short.escape_default());
            ImportProblem::Text { line, found, expected }
        };
        let whole = |column: usize| {
            let found = field(column).and_then(|value| value.whole());
            found.ok_or_else(|| unexpected(column, "a whole number from 0"))
        };
        let place = if self.at[ADDRESS].is_some() {
            let (word, bit) = (whole(ADDRESS)?, whole(ADDRESS + 1)?);
            if bit >= self.word_bits {
                return Err(unexpected(ADDRESS + 1, "a bit of a word (`--word-bits`)"));
            }
            let per_bank = self.words_per_bank.unwrap_or(u64::MAX);
            let (bank, word) = (word / per_bank, word % per_bank);
            let mux = self.column_mux;
            [bank, word / mux, bit * mux + word % mux]
        } else {
            let bank = if self.at[0].is_some() { whole(0)? } else { 0 };
            [bank, whole(1)?, whole(2)?]
        };
        let vdd_mv = match self.vdd_mv {
            Some(vdd_mv) => vdd_mv,
            None => {
                let found = field(VDD).and_then(|value| value.number());
                self.unit.millivolts(found.ok_or_else(|| unexpected(VDD, "a voltage"))?)
            }
        };
        let probability = match self.at[PROBABILITY] {
            None => 1.0,
            Some(_) => field(PROBABILITY)
                .and_then(|value| value.number())
                .filter(|p| (0.0..=1.0).contains(p))
                .ok_or_else(|| unexpected(PROBABILITY, "a probability from 0 to 1"))?,
        };
        let rates = match self.rates {
            // Rates are singles.
            Some(ErrorRates { p01, p10 }) => {
                let p = probability as f32;
                ErrorRates { p01: p01 * p, p10: p10 * p }
            }
            None => {
                let kind = field(KIND).map_or(String::new(), |value| value.text());
                rates(&kind, probability as f32)
                    .ok_or_else(|| unexpected(KIND, "`flip`, `stuck_at_0` or `stuck_at_1`"))?
            }
        };
        Ok(Row { place, vdd_mv, rates })
    }
}

/// A name of a column without case, spaces and unit, and the unit.
fn normal(name: &str) -> (String, Option<VddUnit>) {
    let lower = name.trim().trim_start_matches('\u{feff}').to_ascii_lowercase();
    let unit = |text: &str| match text.trim() {
        "v" | "volt" | "volts" => Some(VddUnit::Volts),
        "mv" | "millivolt" | "millivolts" => Some(VddUnit::Millivolts),
        _ => None,
    };
    let (stem, in_brackets) = match lower.split_once(['(', '[']) {
        Some((stem, rest)) => (stem, unit(rest.trim_end_matches([')', ']']))),
        None => (lower.as_str(), None),
    };
    let stem = stem.trim().replace([' ', '-'], "_");
    match stem.rsplit_once('_') {
        Some((before, last)) if in_brackets.is_none() && unit(last).is_some() => {
            (before.to_owned(), unit(last))
        }
        _ => (stem, in_brackets),
    }
}

/// The column that a name of a table stands for.
fn column_named(name: &str) -> Option<usize> {
    let (stem, _) = normal(name);
    let known = |column: &usize| {
        COLUMNS[*column] == stem
            || COLUMNS[*column].strip_suffix("_mv") == Some(&stem)
            || OTHER_NAMES[*column].contains(&&*stem)
            || *column == VDD && FIRST_FAILS.contains(&&*stem)
    };
    (0..COLUMNS.len()).find(known)
}

/// True if a line names two columns of a list or more; which ones are missing is told later.
pub(super) fn is_header(line: &str) -> bool {
    let names = line.split(separator(line));
    let columns = names.filter_map(|name| column_named(name.trim().trim_matches('"')));
    columns.collect::<BTreeSet<_>>().len() > 1
}

/// The separator of a line's fields.
pub(super) fn separator(line: &str) -> char {
    [';', '\t'].into_iter().find(|&separator| line.contains(separator)).unwrap_or(',')
}

/// The rates of a row's kind and probability; none if they are neither.
fn rates(kind: &str, probability: f32) -> Option<ErrorRates> {
    let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect();
    let p = if probability == 0.0 { 0.0 } else { probability };
    match kind.to_ascii_lowercase().as_str() {
        "flip" | "bitflip" => Some(ErrorRates::flip(p)),
        "stuckat0" | "sa0" => Some(ErrorRates::stuck_at_0(p)),
        "stuckat1" | "sa1" => Some(ErrorRates::stuck_at_1(p)),
        _ => None,
    }
}

impl Importer {
    /// Places of the columns of the file `index` by their names.
    pub(super) fn places<'a>(
        &mut self,
        index: usize,
        file: &str,
        names: impl Iterator<Item = &'a str>,
    ) -> Result<Places, ImportProblem> {
        let names: Vec<&str> = names.collect();
        let mut at = [None; 8];
        let wanted = self.options.columns.clone();
        for (column, name) in &wanted {
            let of = COLUMNS.iter().position(|known| known == column).ok_or_else(|| {
                let known = COLUMNS.join(", ");
                ImportProblem::Table(format!("`{column}` is no column of a list; {known} are"))
            })?;
            let place = names.iter().position(|found| found.trim() == name);
            at[of] = Some(place.ok_or_else(|| {
                ImportProblem::Table(format!("it has no column `{}`", name.escape_default()))
            })?);
        }
        for (place, name) in names.iter().enumerate() {
            if at.contains(&Some(place)) {
                continue;
            }
            match column_named(name) {
                Some(column) if at[column].is_none() => at[column] = Some(place),
                Some(_) if wanted.is_empty() => {
                    let name = name.escape_default();
                    return Err(ImportProblem::Table(format!("it has two columns like `{name}`")));
                }
                None if wanted.is_empty() => {
                    return Err(ImportProblem::Column { name: name.escape_default().to_string() });
                }
                Some(_) | None => {}
            }
        }
        let words = at[ADDRESS].is_some();
        let cell: &[usize] = match (words, self.geometry()?.map(Geometry::banks)) {
            (true, _) => &[ADDRESS, ADDRESS + 1],
            (false, Some(2..)) => &[0, 1, 2],
            (false, _) => &[1, 2],
        };
        if let Some(&missing) = cell.iter().find(|&&column| at[column].is_none()) {
            return Err(ImportProblem::NoColumn { name: COLUMNS[missing] });
        }
        if !words {
            for option in ["--word-bits", "--words-per-bank", "--column-mux"] {
                self.no_effect(option, "the list has rows and columns, not words and bits")?;
            }
            if at[0].is_none() {
                let note =
                    "the list has no column `bank`: its cells are taken for those of one bank";
                if !self.notes.iter().any(|known| known == note) {
                    self.notes.push(note.to_owned());
                }
            }
        }
        if at[KIND].is_some() {
            self.no_effect("--failure-kind", "the list has a column of kinds")?;
        }
        if self.options.meaning == Meaning::PerLevel {
            self.no_effect("--levels-mv", "it cuts voltages of failure (`--meaning first-fails`)")?;
        }
        if at[KIND].is_none() && self.options.failure_rates.is_none() {
            return Err(ImportProblem::NoColumn { name: COLUMNS[KIND] });
        }
        let (unit, vdd_mv) = match at[VDD] {
            None => {
                let told = self.voltage(index, file).map_err(|problem| {
                    let missing = ImportProblem::NoColumn { name: COLUMNS[VDD] };
                    if problem == ImportProblem::NoVoltage { missing } else { problem }
                })?;
                self.collector.level(told)?;
                (VddUnit::Millivolts, Some(f64::from(told) / 1000.0))
            }
            Some(place) => {
                self.no_effect("--vdd-mv", "the list has a column of voltages")?;
                let name = names[place].escape_default();
                let first_fails = FIRST_FAILS.contains(&&*normal(names[place]).0);
                if first_fails && self.options.meaning == Meaning::PerLevel {
                    let text = format!(
                        "its column `{name}` says where cells first fail: add `--meaning first-fails`"
                    );
                    return Err(ImportProblem::Table(text));
                }
                let unit = match (normal(names[place]).1, self.options.vdd_unit) {
                    (Some(own), Some(told)) if own != told => {
                        let text = format!("its column `{name}` has a unit, and another is given");
                        return Err(ImportProblem::Table(text));
                    }
                    (own, told) => own.or(told),
                };
                (unit.ok_or_else(|| ImportProblem::ListUnit { name: name.to_string() })?, None)
            }
        };
        let options = &self.options;
        Ok(Places {
            rates: options.failure_rates.filter(|_| at[KIND].is_none()),
            at,
            unit,
            vdd_mv,
            word_bits: options.word_bits.into(),
            words_per_bank: options.words_per_bank.map(u64::from),
            column_mux: u64::from(options.column_mux.max(1)),
        })
    }

    /// Takes a row; one of probability 0 only says that the voltage was measured.
    pub(super) fn add_row(&mut self, row: Row) -> Result<(), ImportProblem> {
        let mut vdd_uv = microvolts(row.vdd_mv)?;
        if self.options.meaning == Meaning::FirstFails && !self.options.levels_mv.is_empty() {
            let mut levels = Vec::new();
            for &level in &self.options.levels_mv {
                levels.push(microvolts(level)?);
                self.collector.level(levels[levels.len() - 1])?;
            }
            // Fails below the lowest level.
            let Some(&first) = levels.iter().filter(|&&level| level <= vdd_uv).max() else {
                return Ok(());
            };
            vdd_uv = first;
        }
        let level = self.collector.level(vdd_uv)?;
        let mut address = 0;
        for (axis, &value) in row.place.iter().enumerate() {
            if value >> COORDINATE_BITS != 0 {
                let expected = "below 2,097,152";
                let what = ["bank", "row", "column"][axis];
                return Err(ImportProblem::Option { what, found: value, expected });
            }
            // Below 2^21.
            self.list.highest[axis] = self.list.highest[axis].max(value as u32);
            address = address << COORDINATE_BITS | value;
        }
        if row.rates.p01.max(row.rates.p10) > 0.0 {
            self.collector.push(level, address, row.rates)?;
        }
        Ok(())
    }

    /// The memory, as given or as the list says.
    fn geometry(&self) -> Result<Option<Geometry>, ImportProblem> {
        match (self.options.geometry, self.list.geometry) {
            (Some(told), Some(own)) if told != own => {
                let (banks, rows, columns) = (own.banks(), own.rows(), own.columns());
                Err(ImportProblem::OtherSize { banks, rows, columns })
            }
            (told, own) => Ok(told.or(own)),
        }
    }

    /// Takes a property; unknown ones are ignored, as other tools write their own.
    pub(super) fn add_property(&mut self, key: &str, value: &str) -> Result<(), ImportProblem> {
        let bad = || ImportProblem::Table(format!("the property `{key}` is `{value}`"));
        match key {
            "geometry" => {
                let sizes: Vec<u32> =
                    value.split('x').filter_map(|size| size.trim().parse().ok()).collect();
                let [banks, rows, columns] = sizes[..] else { return Err(bad()) };
                let geometry = Geometry::new(banks, rows, columns)?;
                match self.list.geometry {
                    Some(first) if first != geometry => {
                        return Err(ImportProblem::Table(
                            "its memory is of another size than that of the file before".to_owned(),
                        ));
                    }
                    _ => self.list.geometry = Some(geometry),
                }
            }
            "levels_mv" => {
                for level in value.split(',').filter(|level| !level.trim().is_empty()) {
                    let vdd_mv = level.trim().parse().map_err(|_| bad())?;
                    self.collector.level(microvolts(vdd_mv)?)?;
                }
            }
            "source" => self.list.source = Some(unescape(value)),
            "licence" => self.list.licence = Some(unescape(value)),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish_list(&mut self) -> Result<Geometry, ImportProblem> {
        if self.options.meaning == Meaning::FirstFails {
            self.collector.extend_downwards();
        }
        if self.collector.is_empty() {
            return Err(ImportProblem::NoRows);
        }
        let [bank, row, column] = self.list.highest;
        let geometry = self.geometry()?.ok_or(ImportProblem::NoGeometry { bank, row, column })?;
        let (banks, rows, columns) = (geometry.banks(), geometry.rows(), geometry.columns());
        self.collector.place(|packed| {
            let part = |shift: u32| (packed >> shift) as u32 & ((1 << COORDINATE_BITS) - 1);
            let (bank, row) = (part(2 * COORDINATE_BITS), part(COORDINATE_BITS));
            let column = part(0);
            let address = geometry.address(Position { bank, row, column });
            let outside = ImportProblem::Outside { bank, row, column, banks, rows, columns };
            address.map(Some).ok_or(outside)
        })?;
        Ok(geometry)
    }
}

/// A text on one line: backslash, newline and carriage return escaped.
pub(crate) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, c == '\\') {
            (c, false) => c,
            (_, true) => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => '\\',
            },
        });
    }
    out
}
