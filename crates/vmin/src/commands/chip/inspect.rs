//! `vmin chip inspect`: the figures of a chip's fault maps.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_sram::{Chip, FaultKind, FaultStatistics, Origin, VddLevel};
use vmin_sweep::statistics::rate_words;
use vmin_sweep::{ReadErrors, chip_file};

use super::{faults_at, level_at, read};
use crate::args::chip::InspectArgs;
use crate::{Answer, Failure, answer};

/// Counts the faults of a chip at the voltages asked for, or at all it was written with.
///
/// # Errors
/// The chip cannot be read, or does not know such a voltage.
pub fn run(InspectArgs { chip, vdd_mv, .. }: &InspectArgs) -> Result<Inspection, Failure> {
    let chip = read(chip)?;
    if vdd_mv.is_empty() {
        return inspection(&chip, chip.levels());
    }
    let levels: Result<Vec<VddLevel>, Failure> =
        vdd_mv.iter().map(|&vdd_mv| level_at(&chip, vdd_mv)).collect();
    let mut levels = levels?;
    // Highest first: the figures of the whole chip are those of the last.
    levels.sort_by_key(|level| std::cmp::Reverse(level.vdd_uv));
    levels.dedup();
    inspection(&chip, &levels)
}

/// The figures of a chip's fault maps.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Inspection {
    cells: u64,
    banks: u32,
    rows: u32,
    columns: u32,
    origin: String,
    /// What its faulty cells do: `flip`, `stuck_at`, or `measured` where they differ.
    fault_kind: &'static str,
    vdd_mv: Vec<f64>,
    faults: Vec<u64>,
    cell_fault_rate: Vec<f64>,
    /// At the lowest voltage, as are the four that follow.
    columns_hit: u64,
    max_per_column: u64,
    share_banks_without_fault: f64,
    dispersion_per_bank: Option<f64>,
    /// Of the cells that hold a value; absent where cells invert what they store.
    share_stuck_at_0: Option<f64>,
    nesting_violations: u64,
    #[serde(skip)]
    levels: Vec<LevelRow>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct LevelRow {
    vdd_mv: f64,
    faults: u64,
    cell_fault_rate: f64,
    columns_hit: u64,
    max_per_column: u64,
    banks_without_fault: u64,
}

/// What the faulty cells of a chip do, as `eval` names it.
fn fault_kind(chip: &Chip) -> &'static str {
    if let Origin::Sampled { .. } = chip.origin() {
        return chip.kind().word();
    }
    let lowest = chip.levels().len().saturating_sub(1);
    chip_file::kind_of(&chip.cell_errors(lowest))
        .map_or(ReadErrors::Measured.word(), FaultKind::word)
}

/// Share of 0 among the faulty cells at a level that hold a value; none where cells invert what they store.
fn share_stuck_at_0(chip: &Chip, level: &VddLevel) -> Option<f64> {
    let stored = chip.levels().iter().position(|known| known == level);
    if let Some(stored) = stored {
        return chip.share_stuck_at_0(stored);
    }
    let faults = chip.faults(level.threshold).ok().filter(|_| chip.kind() == FaultKind::StuckAt)?;
    FaultStatistics::new(faults, chip.geometry()).ok()?.share_stuck_at_0()
}

/// The figures of the maps at `levels`, highest first.
pub(super) fn inspection(chip: &Chip, levels: &[VddLevel]) -> Result<Inspection, Failure> {
    let geometry = chip.geometry();
    let mut rows = Vec::with_capacity(levels.len());
    let mut last = None;
    for level in levels {
        let faults = faults_at(chip, level)?;
        let statistics =
            FaultStatistics::new(&faults, geometry).map_err(|e| Failure::input("chip", &e))?;
        rows.push(LevelRow {
            vdd_mv: f64::from(level.vdd_uv) / 1000.0,
            faults: statistics.faults,
            cell_fault_rate: statistics.cell_fault_rate(geometry),
            columns_hit: statistics.columns_hit,
            max_per_column: statistics.max_per_column,
            banks_without_fault: statistics.banks_without_fault,
        });
        last = Some(statistics);
    }
    let origin = match chip.origin() {
        Origin::Sampled { population, key } => {
            format!("chip {} of seed {} of population {}", key.chip, key.seed, population.name())
        }
        Origin::Measured { source, .. } => {
            match chip
                .maps()
                .map(vmin_sram::MeasuredMaps::licence)
                .filter(|licence| !licence.is_empty())
            {
                Some(licence) => format!("{source} ({licence})"),
                None => source.clone(),
            }
        }
    };
    Ok(Inspection {
        cells: geometry.cells(),
        banks: geometry.banks(),
        rows: geometry.rows(),
        columns: geometry.columns(),
        origin,
        fault_kind: fault_kind(chip),
        vdd_mv: rows.iter().map(|row| row.vdd_mv).collect(),
        faults: rows.iter().map(|row| row.faults).collect(),
        cell_fault_rate: rows.iter().map(|row| row.cell_fault_rate).collect(),
        columns_hit: last.as_ref().map_or(0, |s| s.columns_hit),
        max_per_column: last.as_ref().map_or(0, |s| s.max_per_column),
        share_banks_without_fault: last
            .as_ref()
            .map_or(1.0, |s| s.banks_without_fault as f64 / s.banks as f64),
        dispersion_per_bank: last.as_ref().and_then(FaultStatistics::dispersion_per_bank),
        share_stuck_at_0: levels.last().and_then(|level| share_stuck_at_0(chip, level)),
        nesting_violations: match chip.origin() {
            Origin::Measured { nesting_violations, .. } => *nesting_violations,
            // A sampled chip's maps are prefixes of one list.
            Origin::Sampled { .. } => 0,
        },
        levels: rows,
    })
}

impl Answer for Inspection {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.levels)
    }

    fn table(&self) -> String {
        let header = [
            "Vdd (mV)",
            "faulty cells",
            "share",
            "columns hit",
            "most in one column",
            "banks without",
        ];
        let table = answer::table(
            &header,
            0,
            self.levels.iter().map(|row| {
                vec![
                    format!("{}", row.vdd_mv),
                    row.faults.to_string(),
                    rate_words(row.cell_fault_rate),
                    row.columns_hit.to_string(),
                    row.max_per_column.to_string(),
                    row.banks_without_fault.to_string(),
                ]
            }),
        );
        format!(
            "{}\n{} cells: {} banks of {} rows x {} columns; faults: {}\n{table}",
            self.origin, self.cells, self.banks, self.rows, self.columns, self.fault_kind
        )
    }
}
