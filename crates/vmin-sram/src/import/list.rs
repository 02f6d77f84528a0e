//! Tables with a row per faulty cell and voltage, for all file types.
//!
//! | column | |
//! |---|---|
//! | `bank`, `row`, `column` | of the cell, from 0 |
//! | `vdd_mv` | supply voltage |
//! | `kind` | `flip`, `stuck_at_0` or `stuck_at_1` |
//! | `probability` | probability of the error, 1 without the column |
//!
//! The size of the memory, voltages without a fault and the source are
//! *properties*, `key=value`: `geometry=B x R x C`, `levels_mv=590,580`, `source=...`, `licence=...`.

use super::voltage::microvolts;
use super::{ImportProblem, Importer};
use crate::geometry::{Geometry, Position};
use crate::measured_maps::ErrorRates;

/// Names of the columns; the last may be absent.
pub(crate) const COLUMNS: [&str; 6] = ["bank", "row", "column", "vdd_mv", "kind", "probability"];

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
    pub(super) place: [u64; 3],
    pub(super) vdd_mv: f64,
    pub(super) rates: ErrorRates,
}

/// Position of each column of [`COLUMNS`].
pub(super) fn places<'a>(
    names: impl Iterator<Item = &'a str>,
) -> Result<[Option<usize>; 6], ImportProblem> {
    let mut places = [None; 6];
    for (place, name) in names.enumerate() {
        let Some(column) = COLUMNS.iter().position(|column| column.eq_ignore_ascii_case(name))
        else {
            return Err(ImportProblem::Table(format!(
                "it has a column `{}`; bank, row, column, vdd_mv, kind and probability are known",
                name.escape_default()
            )));
        };
        if places[column].replace(place).is_some() {
            return Err(ImportProblem::Table(format!("it has two columns `{name}`")));
        }
    }
    match places[..5].iter().position(Option::is_none) {
        Some(missing) => {
            Err(ImportProblem::Table(format!("it has no column `{}`", COLUMNS[missing])))
        }
        None => Ok(places),
    }
}

/// The rates of a row's kind and probability; none if they are neither.
pub(super) fn rates(kind: &str, probability: f32) -> Option<ErrorRates> {
    let valid = (0.0..=1.0).contains(&probability);
    let p = if probability == 0.0 { 0.0 } else { probability };
    match kind {
        "flip" if valid => Some(ErrorRates::flip(p)),
        "stuck_at_0" if valid => Some(ErrorRates::stuck_at_0(p)),
        "stuck_at_1" if valid => Some(ErrorRates::stuck_at_1(p)),
        _ => None,
    }
}

impl Importer {
    /// Takes a row; one of probability 0 only says that the voltage was measured.
    pub(super) fn add_row(&mut self, row: Row) -> Result<(), ImportProblem> {
        let level = self.collector.level(microvolts(row.vdd_mv)?)?;
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
        let [bank, row, column] = self.list.highest;
        let geometry = self
            .options
            .geometry
            .or(self.list.geometry)
            .ok_or(ImportProblem::NoGeometry { bank, row, column })?;
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
