//! Spare rows and columns: each bank replaces some of its lines after a test of the chip.
//!
//! ```text
//!            column 0 .. columns-1 | spare columns
//! row 0      . . . x . . .         | . .
//! ..         . . . . . . .         | . .
//! row rows-1 . . . . x . .         | . .
//! -----------------------------
//! spare rows . . . . . . .           their cells fail too
//! ```
//!
//! The test happens once, at the repair voltage. A line with more faults than the bank has spares of
//! the other kind left *must* be repaired by its own kind; then the fullest line comes first. Finding
//! the best assignment is NP-complete (Kuo and Fuchs, IEEE Design & Test 1987), and testers use such
//! greedy ones. Spare lines with fewest faults of their own are used first. Below the repair voltage
//! further cells fail, in spare lines as elsewhere.

use std::collections::BTreeMap;

use serde::Serialize;
use vmin_diagnostic::{Diagnostic, TableReader};
use vmin_sram::{Fault, Geometry, GeometryError, Position};

use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::rails::VDD_MV_MAX;
use crate::{CostKey, ProtectionCosts};

/// `kind = "spares"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spares {
    /// Spare rows per bank.
    pub rows: u32,
    /// Spare columns per bank.
    pub columns: u32,
    /// Voltage of the test, in mV.
    pub repair_vdd_mv: f64,
}

impl Mechanism for Spares {
    fn kind(&self) -> &'static str {
        "spares"
    }

    fn describe(&self) -> String {
        let Self { rows, columns, repair_vdd_mv } = self;
        format!(
            "{rows} spare rows and {columns} spare columns per bank, tested at {repair_vdd_mv} mV"
        )
    }

    fn effect(&self, _: u8) -> Effect {
        let Self { rows, columns, repair_vdd_mv } = *self;
        Effect::Spares(SpareLines { rows, columns }, repair_vdd_mv)
    }

    fn startup(&self) -> Option<String> {
        Some("memory test, allocation of spare lines".to_owned())
    }

    fn price(&self, costs: &ProtectionCosts, shape: Shape) -> Price {
        let of = |spares: u32, lines: u32| f64::from(spares) / f64::from(lines);
        let Shape { geometry, .. } = shape;
        Price {
            access_share: costs.value(CostKey::SpareCompareShare),
            idle_share: of(self.rows, geometry.rows()) + of(self.columns, geometry.columns()),
            ..Price::default()
        }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let most = i64::from(SpareLines::MAX);
    let rows = entry.integer("rows", 0..=most);
    let columns = entry.integer("columns", 0..=most);
    let repair = entry.number("repair_vdd_mv", 1.0..=VDD_MV_MAX);
    let narrow = |value: i64| u32::try_from(value).ok();
    let (rows, columns) = (rows?, columns?);
    if (rows.value, columns.value) == (0, 0) {
        entry.report_at(
            columns.span,
            Diagnostic::new("out-of-range", "`spares` has no rows and no columns")
                .allowed("expected at least one spare row or column"),
        );
        return None;
    }
    Some(Box::new(Spares {
        rows: narrow(rows.value)?,
        columns: narrow(columns.value)?,
        repair_vdd_mv: repair?.value,
    }))
}

/// Spares of each bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpareLines {
    /// Rows, at most [`Self::MAX`].
    pub rows: u32,
    /// Columns, at most [`Self::MAX`].
    pub columns: u32,
}

impl SpareLines {
    /// Most spares of a kind in one bank.
    pub const MAX: u32 = 256;

    /// The cells of the spare rows, as a memory of their own; none if there are no such rows.
    ///
    /// # Errors
    /// They are more cells than a memory may have.
    pub fn row_geometry(self, memory: Geometry) -> Result<Option<Geometry>, GeometryError> {
        if self.rows == 0 {
            return Ok(None);
        }
        Geometry::new(memory.banks(), self.rows, memory.columns()).map(Some)
    }

    /// The cells of the spare columns, as a memory of their own; none if there are no such columns.
    ///
    /// # Errors
    /// They are more cells than a memory may have.
    pub fn column_geometry(self, memory: Geometry) -> Result<Option<Geometry>, GeometryError> {
        if self.columns == 0 {
            return Ok(None);
        }
        Geometry::new(memory.banks(), memory.rows(), self.columns).map(Some)
    }
}

/// Fault maps of the spare lines, addresses as in [`SpareLines::row_geometry`] and
/// [`SpareLines::column_geometry`].
#[derive(Clone, Copy, Debug, Default)]
pub struct SpareFaults<'a> {
    /// Of the spare rows.
    pub rows: &'a [Fault],
    /// Of the spare columns.
    pub columns: &'a [Fault],
}

/// Which lines of which bank were replaced by which spares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// (bank, row) to spare row of that bank.
    rows: BTreeMap<(u32, u32), u32>,
    /// (bank, column) to spare column of that bank.
    columns: BTreeMap<(u32, u32), u32>,
    /// Faulty cells that lay in replaced lines.
    pub cells_repaired: u64,
    /// Faulty cells for which no spare was left.
    pub cells_unrepaired: u64,
}

impl Repair {
    /// Allocates spares against `faults`, the memory's map at the repair voltage; `spares` are the
    /// maps of the spare lines at that voltage.
    #[must_use]
    pub fn allocate(
        geometry: Geometry,
        lines: SpareLines,
        faults: &[Fault],
        spares: SpareFaults<'_>,
    ) -> Self {
        let mut of_banks: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
        for fault in faults {
            if let Some(Position { bank, row, column }) = geometry.position(fault.address) {
                of_banks.entry(bank).or_default().push((row, column));
            }
        }
        let mut repair = Self::default();
        for (bank, cells) in of_banks {
            let row_order = best_first(lines.rows, spares.rows, |address| {
                let at = lines.row_geometry(geometry).ok()??.position(address)?;
                (at.bank == bank).then_some(at.row)
            });
            let column_order = best_first(lines.columns, spares.columns, |address| {
                let at = lines.column_geometry(geometry).ok()??.position(address)?;
                (at.bank == bank).then_some(at.column)
            });
            let chosen = Chosen::of(&cells, lines);
            let left = cells.iter().filter(|&&(row, column)| {
                !chosen.rows.contains(&row) && !chosen.columns.contains(&column)
            });
            let left = left.count() as u64;
            repair.cells_unrepaired += left;
            repair.cells_repaired += cells.len() as u64 - left;
            let rows = chosen.rows.iter().zip(row_order);
            repair.rows.extend(rows.map(|(&row, spare)| ((bank, row), spare)));
            let columns = chosen.columns.iter().zip(column_order);
            repair.columns.extend(columns.map(|(&column, spare)| ((bank, column), spare)));
        }
        repair
    }

    /// Replaced rows over all banks.
    #[must_use]
    pub fn rows_used(&self) -> usize {
        self.rows.len()
    }

    /// Replaced columns over all banks.
    #[must_use]
    pub fn columns_used(&self) -> usize {
        self.columns.len()
    }
}

/// Lines of one bank to replace, in order of choice.
#[derive(Default)]
struct Chosen {
    rows: Vec<u32>,
    columns: Vec<u32>,
}

impl Chosen {
    fn of(cells: &[(u32, u32)], lines: SpareLines) -> Self {
        let mut chosen = Self::default();
        let mut open = cells.to_vec();
        loop {
            let rows_left = lines.rows - chosen.rows.len() as u32;
            let columns_left = lines.columns - chosen.columns.len() as u32;
            let row = fullest(open.iter().map(|&(row, _)| row));
            let column = fullest(open.iter().map(|&(_, column)| column));
            let (Some(row), Some(column)) = (row, column) else { return chosen };
            // What must be repaired by its own kind, then the fullest; rows win a tie.
            let row_must = rows_left > 0 && row.0 > columns_left as usize;
            let column_must = columns_left > 0 && column.0 > rows_left as usize;
            let by_row = if row_must != column_must { row_must } else { row.0 >= column.0 };
            if rows_left > 0 && (by_row || columns_left == 0) {
                chosen.rows.push(row.1);
                open.retain(|&(r, _)| r != row.1);
            } else if columns_left > 0 {
                chosen.columns.push(column.1);
                open.retain(|&(_, c)| c != column.1);
            } else {
                return chosen;
            }
        }
    }
}

/// The line named most often, the lowest of several: (times, line).
fn fullest(lines: impl Iterator<Item = u32>) -> Option<(usize, u32)> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for line in lines {
        *counts.entry(line).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(line, count)| (count, line))
        .max_by_key(|&(count, line)| (count, core::cmp::Reverse(line)))
}

/// Spares of one bank, those with fewest faults of their own first.
fn best_first(
    count: u32,
    faults: &[Fault],
    line: impl Fn(u64) -> Option<u32>,
) -> impl Iterator<Item = u32> {
    let mut own = vec![0_u64; count as usize];
    for line in faults.iter().filter_map(|fault| line(fault.address)) {
        own[line as usize] += 1;
    }
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_by_key(|&spare| (own[spare as usize], spare));
    order.into_iter()
}

/// The fault map that the rest of the memory sees: of `faults` those in lines still in use, and those
/// of the spares at the places of the lines that they replace (all three maps at one voltage). Where a
/// replaced row crosses a replaced column, the spare row is used.
#[must_use]
pub fn repaired_faults(
    geometry: Geometry,
    lines: SpareLines,
    repair: &Repair,
    faults: &[Fault],
    spares: SpareFaults<'_>,
) -> Vec<Fault> {
    let mut seen: Vec<Fault> = faults
        .iter()
        .filter(|fault| {
            geometry.position(fault.address).is_some_and(|Position { bank, row, column }| {
                !repair.rows.contains_key(&(bank, row))
                    && !repair.columns.contains_key(&(bank, column))
            })
        })
        .copied()
        .collect();
    let mut place = |fault: &Fault, position: Position| {
        if let Some(address) = geometry.address(position) {
            seen.push(Fault { address, ..*fault });
        }
    };
    let replaced_rows: BTreeMap<(u32, u32), u32> =
        repair.rows.iter().map(|(&(bank, row), &spare)| ((bank, spare), row)).collect();
    let replaced_columns: BTreeMap<(u32, u32), u32> =
        repair.columns.iter().map(|(&(bank, column), &spare)| ((bank, spare), column)).collect();
    if let Ok(Some(memory)) = lines.row_geometry(geometry) {
        for fault in spares.rows {
            let Some(Position { bank, row: spare, column }) = memory.position(fault.address) else {
                continue;
            };
            if let Some(&row) = replaced_rows.get(&(bank, spare)) {
                place(fault, Position { bank, row, column });
            }
        }
    }
    if let Ok(Some(memory)) = lines.column_geometry(geometry) {
        for fault in spares.columns {
            let Some(Position { bank, row, column: spare }) = memory.position(fault.address) else {
                continue;
            };
            if let Some(&column) = replaced_columns.get(&(bank, spare))
                && !repair.rows.contains_key(&(bank, row))
            {
                place(fault, Position { bank, row, column });
            }
        }
    }
    seen
}
