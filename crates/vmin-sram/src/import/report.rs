//! The report of an import.

use crate::chip::{Chip, Origin};
use crate::measured_maps::CellKind;
use crate::statistics::FaultStatistics;

/// A parsed file.
#[derive(Clone, Debug, PartialEq)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Name of its format.
    pub format: &'static str,
    /// Whether it was compressed.
    pub gzip: bool,
    /// Its voltage in mV, if it has one.
    pub vdd_mv: Option<f64>,
    /// Faulty bits in it as they stand there; 0 for lists.
    pub faults: u64,
}

impl FileReport {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), format: "", gzip: false, vdd_mv: None, faults: 0 }
    }
}

/// The map at one voltage.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelReport {
    /// Supply voltage in mV.
    pub vdd_mv: f64,
    /// Faulty cells.
    pub faults: u64,
    /// Of them stuck at 0.
    pub stuck_at_0: u64,
    /// Of them stuck at 1.
    pub stuck_at_1: u64,
    /// Of them inverting what they store.
    pub flip: u64,
    /// Of them erring both ways with different probabilities.
    pub mixed: u64,
    /// Of them always erring, in a direction at least.
    pub persistent: u64,
    /// Columns with a fault.
    pub columns_hit: u64,
    /// Faults of the worst column.
    pub max_per_column: u64,
}

/// The report of an import.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportReport {
    /// The files, in their order.
    pub files: Vec<FileReport>,
    /// The voltages, falling.
    pub levels: Vec<LevelReport>,
    /// Cells of the memory.
    pub cells: u64,
    /// Different cells that failed at some voltage.
    pub faulty_cells: u64,
    /// Cells that fail at some voltage and not at a lower one.
    pub nesting_violations: u64,
    /// Cells that err in both directions, at one voltage or at two.
    pub both_directions: u64,
    /// Share that tends to 0 of the cells at the lowest voltage that tend to a value; none without such cells.
    pub share_stuck_at_0: Option<f64>,
    /// Whether words repeated their lower half and were folded.
    pub folded: bool,
    /// Neighbouring voltages in mV whose maps are the same, and not empty.
    pub identical_maps: Vec<(f64, f64)>,
    /// Assumptions, and unusual findings.
    pub notes: Vec<String>,
}

pub(super) fn report(
    chip: &Chip,
    files: Vec<FileReport>,
    mut notes: Vec<String>,
    folded: bool,
) -> ImportReport {
    let runs = chip.maps().map_or(&[][..], |maps| maps.runs());
    let vdd_mv = |level: usize| f64::from(chip.levels()[level].vdd_uv) / 1000.0;
    let levels: Vec<LevelReport> =
        (0..chip.levels().len()).map(|level| level_report(chip, level)).collect();
    // Between two levels nothing changes if no run ends above and none begins below.
    let mut changes = vec![false; levels.len() + 1];
    for run in runs {
        changes[usize::from(run.first_level)] = true;
        changes[usize::from(run.last_level) + 1] = true;
    }
    let identical_maps: Vec<(f64, f64)> = (1..levels.len())
        .filter(|&level| !changes[level] && levels[level].faults > 0)
        .map(|level| (vdd_mv(level - 1), vdd_mv(level)))
        .collect();
    for (high, low) in &identical_maps {
        notes.push(format!("the maps at {high} and {low} mV are the same: is one a copy?"));
    }
    let both = |runs: &[crate::Run]| {
        runs.iter().any(|run| run.rates.p01 > 0.0) && runs.iter().any(|run| run.rates.p10 > 0.0)
    };
    let both_directions =
        runs.chunk_by(|a, b| a.address == b.address).filter(|runs| both(runs)).count() as u64;
    let nesting_violations = match chip.origin() {
        Origin::Measured { nesting_violations, .. } => *nesting_violations,
        Origin::Sampled { .. } => 0,
    };
    let share_stuck_at_0 = chip.share_stuck_at_0(levels.len().saturating_sub(1));
    ImportReport {
        files,
        levels,
        cells: chip.geometry().cells(),
        faulty_cells: chip.cells().len() as u64,
        nesting_violations,
        both_directions,
        share_stuck_at_0,
        folded,
        identical_maps,
        notes,
    }
}

fn level_report(chip: &Chip, level: usize) -> LevelReport {
    let faults = chip.measured_faults(level).unwrap_or_default();
    // Cells of a chip lie inside its memory.
    let statistics = FaultStatistics::new(&faults, chip.geometry()).unwrap_or_default();
    let mut kinds = [0_u64; 4];
    let mut persistent = 0;
    for (_, rates) in chip.errors_at(level).into_iter().flatten() {
        let kind = match rates.kind() {
            CellKind::StuckAt0 => 0,
            CellKind::StuckAt1 => 1,
            CellKind::Flip => 2,
            CellKind::Mixed => 3,
        };
        kinds[kind] += 1;
        persistent += u64::from(rates.p01 == 1.0 || rates.p10 == 1.0);
    }
    LevelReport {
        vdd_mv: f64::from(chip.levels()[level].vdd_uv) / 1000.0,
        faults: statistics.faults,
        stuck_at_0: kinds[0],
        stuck_at_1: kinds[1],
        flip: kinds[2],
        mixed: kinds[3],
        persistent,
        columns_hit: statistics.columns_hit,
        max_per_column: statistics.max_per_column,
    }
}
