//! The list of faulty cells as comma-separated text, which holds everything.

use core::fmt::Write;

use super::{ExportFile, millivolts};
use crate::chip::{Chip, Origin};
use crate::import::{COLUMNS, escape};
use crate::measured_maps::{CellKind, ErrorRates};

/// One file. Voltages fall; within one, cells are in the order of their addresses.
#[must_use]
pub fn list(chip: &Chip) -> ExportFile {
    let geometry = chip.geometry();
    let levels: Vec<String> = chip.levels().iter().map(|level| millivolts(level.vdd_uv)).collect();
    let mut text = format!(
        "# vmin list of faulty cells\n# geometry={} x {} x {}\n# levels_mv={}\n",
        geometry.banks(),
        geometry.rows(),
        geometry.columns(),
        levels.join(",")
    );
    if let Origin::Measured { source, .. } = chip.origin() {
        property(&mut text, "source", source);
    }
    if let Some(maps) = chip.maps() {
        property(&mut text, "licence", maps.licence());
    }
    text += &COLUMNS[..6].join(",");
    text.push('\n');
    for (index, vdd_mv) in levels.iter().enumerate() {
        let mut errors: Vec<(u64, ErrorRates)> = chip
            .errors_at(index)
            .into_iter()
            .flatten()
            .map(|(cell, rates)| (cell.address, rates))
            .collect();
        errors.sort_unstable_by_key(|(address, _)| *address);
        for (address, rates) in errors {
            let Some(position) = geometry.position(address) else { continue };
            let both = [("stuck_at_0", rates.p10), ("stuck_at_1", rates.p01)];
            let rows = match rates.kind() {
                CellKind::Flip => &[("flip", rates.p01)][..],
                CellKind::StuckAt0 => &both[..1],
                CellKind::StuckAt1 => &both[1..],
                CellKind::Mixed => &both,
            };
            for (kind, p) in rows {
                let (bank, row, column) = (position.bank, position.row, position.column);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{bank},{row},{column},{vdd_mv},{kind},{p}");
            }
        }
    }
    ExportFile { name: "faults.csv".to_owned(), bytes: text.into_bytes() }
}

fn property(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "# {key}={}", escape(value));
}
