//! `vmin chip`: make and look into chips.

use std::path::Path;

use serde::Serialize;
use vmin_accel::VoltageProfile;
use vmin_diagnostic::Diagnostic;
use vmin_sram::{Chip, ChipKey, FaultStatistics, Geometry, Origin, VddLevel};
use vmin_sweep::{WEIGHT_MEMORY, write_whole};

use crate::args::{ChipCommand, Format};
use crate::failure::{Failure, say, unwritable, with_causes};
use crate::{lookup, print};

/// Largest chip file read.
const CHIP_FILE_BYTES_MAX: u64 = 4 << 30;
/// Distance of the voltages stored with a sampled chip, in mV.
const LEVEL_STEP_MV: f64 = 10.0;
/// Most voltages stored with a sampled chip.
const LEVELS_MAX: u32 = 500;

pub(crate) fn run(command: &ChipCommand) -> Result<(), Failure> {
    match command {
        ChipCommand::Sample {
            profile,
            seed,
            chip,
            rows,
            columns,
            banks,
            vdd_mv_min,
            out,
            format,
        } => {
            let geometry = Geometry::new(*banks, *rows, *columns)
                .map_err(|error| Failure::input("geometry", &error))?;
            let key = ChipKey { seed: *seed, chip: *chip, memory: WEIGHT_MEMORY };
            let chip = sample(profile, *vdd_mv_min, geometry, key)?;
            write_whole(out, &vmin_sram::file::write(&chip))
                .map_err(|error| unwritable(out, &error))?;
            say(&format!("wrote `{}`", out.display()));
            show(&chip, chip.levels(), format.format)
        }
        ChipCommand::Inspect { chip, vdd_mv, format } => {
            let chip = read(chip)?;
            if vdd_mv.is_empty() {
                return show(&chip, chip.levels(), format.format);
            }
            let levels: Result<Vec<VddLevel>, Failure> =
                vdd_mv.iter().map(|&vdd_mv| level_at(&chip, vdd_mv)).collect();
            let mut levels = levels?;
            // Highest first: the figures of the whole chip are those of the last.
            levels.sort_by_key(|level| std::cmp::Reverse(level.vdd_uv));
            levels.dedup();
            show(&chip, &levels, format.format)
        }
    }
}

fn sample(
    profile: &str,
    vdd_mv_min: Option<f64>,
    geometry: Geometry,
    key: ChipKey,
) -> Result<Chip, Failure> {
    let profile = lookup::profile(profile)?;
    let range = profile.vdd_mv_range();
    let lowest = vdd_mv_min.unwrap_or(*range.start());
    lookup::check_voltage(&profile, lowest)?;
    let levels = levels(&profile, lowest, geometry);
    let floor = profile.threshold(lowest);
    let chip = Chip::sample(profile.population(), key, geometry, floor).map_err(|error| {
        Diagnostic::new("too-large", with_causes(&error))
            .hint("raise `--vdd-mv-min`, or make the chip smaller")
    })?;
    chip.with_levels(levels).map_err(|error| Failure::input("levels", &error))
}

/// The voltages stored with a chip: the lowest, and above it round ones up to where less than one
/// cell in a hundred chips is expected to fail.
fn levels(profile: &VoltageProfile, lowest: f64, geometry: Geometry) -> Vec<VddLevel> {
    let highest = *profile.vdd_mv_range().end();
    let level =
        |vdd_mv| VddLevel { vdd_uv: microvolts(vdd_mv), threshold: profile.threshold(vdd_mv) };
    let empty = |vdd_mv| profile.cell_fault_rate(vdd_mv) * (geometry.cells() as f64) < 0.01;
    let first = (lowest / LEVEL_STEP_MV).floor();
    let mut levels: Vec<VddLevel> = (1u32..LEVELS_MAX)
        .map(|index| (first + f64::from(index)) * LEVEL_STEP_MV)
        .take_while(|&vdd_mv| vdd_mv <= highest && !empty(vdd_mv))
        .map(level)
        .collect();
    levels.reverse();
    levels.push(level(lowest));
    levels.dedup_by_key(|level| level.vdd_uv);
    levels
}

/// Nearest whole microvolt; voltages of profiles are far below 4 kV.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "profiles reach from 0 to a few thousand millivolts"
)]
fn microvolts(vdd_mv: f64) -> u32 {
    (vdd_mv * 1000.0).round() as u32
}

fn read(path: &Path) -> Result<Chip, Failure> {
    let unreadable = |error: std::io::Error| {
        Diagnostic::new("unreadable", format!("cannot read the chip `{}`: {error}", path.display()))
            .hint("`vmin chip sample` makes one")
    };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > CHIP_FILE_BYTES_MAX {
        return Err(Diagnostic::new(
            "too-large",
            format!(
                "`{}` has {length} bytes, at most {CHIP_FILE_BYTES_MAX} are read",
                path.display()
            ),
        )
        .into());
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    vmin_sram::file::read(&bytes, &vmin_sram::file::Limits::default()).map_err(|error| {
        Diagnostic::new("bad-chip", format!("`{}`: {}", path.display(), with_causes(&error)))
            .hint("`vmin chip sample` makes chip files")
            .into()
    })
}

/// The level of a voltage: a stored one, or for a chip of a shipped profile any above its lowest.
fn level_at(chip: &Chip, vdd_mv: f64) -> Result<VddLevel, Failure> {
    let stored =
        chip.levels().iter().find(|level| (f64::from(level.vdd_uv) / 1000.0 - vdd_mv).abs() < 5e-4);
    let of_profile = || {
        let Origin::Sampled { population, .. } = chip.origin() else { return None };
        let profile = VoltageProfile::names()
            .contains(&population.name())
            .then(|| VoltageProfile::load(population.name()).ok())??;
        let threshold = profile.threshold(vdd_mv);
        // A user's own profile may bear a shipped name: its curve must be this one.
        let same_curve = chip
            .levels()
            .iter()
            .all(|level| profile.threshold(f64::from(level.vdd_uv) / 1000.0) == level.threshold);
        let known = same_curve
            && profile.population() == population
            && profile.vdd_mv_range().contains(&vdd_mv)
            && threshold >= chip.floor();
        known.then(|| VddLevel { vdd_uv: microvolts(vdd_mv), threshold })
    };
    stored.copied().or_else(of_profile).ok_or_else(|| {
        let known: Vec<String> = chip
            .levels()
            .iter()
            .map(|level| format!("{}", f64::from(level.vdd_uv) / 1000.0))
            .collect();
        Diagnostic::new("out-of-range", format!("the chip has no level at {vdd_mv} mV"))
            .hint(format!("its levels are {} mV", known.join(", ")))
            .into()
    })
}

/// What `chip inspect` prints as JSON.
#[derive(Serialize)]
struct Inspection {
    cells: u64,
    banks: u32,
    rows: u32,
    columns: u32,
    origin: String,
    vdd_mv: Vec<f64>,
    faults: Vec<u64>,
    cell_fault_rate: Vec<f64>,
    /// At the lowest voltage, as are the four that follow.
    columns_hit: u64,
    max_per_column: u64,
    share_banks_without_fault: f64,
    dispersion_per_bank: Option<f64>,
    share_stuck_at_0: Option<f64>,
    nesting_violations: u64,
}

#[derive(Serialize)]
struct LevelRow {
    vdd_mv: f64,
    faults: u64,
    cell_fault_rate: f64,
    columns_hit: u64,
    max_per_column: u64,
    banks_without_fault: u64,
}

fn show(chip: &Chip, levels: &[VddLevel], format: Format) -> Result<(), Failure> {
    let geometry = chip.geometry();
    let mut rows = Vec::with_capacity(levels.len());
    let mut last = None;
    for level in levels {
        let faults = chip.faults(level.threshold).map_err(|e| Failure::input("below-floor", &e))?;
        let statistics =
            FaultStatistics::new(faults, geometry).map_err(|e| Failure::input("chip", &e))?;
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
        Origin::Measured { source, .. } => source.clone(),
        _ => "of unknown origin".to_owned(),
    };
    match format {
        Format::Csv => print::csv(&rows),
        Format::Json => print::json(&Inspection {
            cells: geometry.cells(),
            banks: geometry.banks(),
            rows: geometry.rows(),
            columns: geometry.columns(),
            origin,
            vdd_mv: rows.iter().map(|row| row.vdd_mv).collect(),
            faults: rows.iter().map(|row| row.faults).collect(),
            cell_fault_rate: rows.iter().map(|row| row.cell_fault_rate).collect(),
            columns_hit: last.as_ref().map_or(0, |s| s.columns_hit),
            max_per_column: last.as_ref().map_or(0, |s| s.max_per_column),
            share_banks_without_fault: last
                .as_ref()
                .map_or(1.0, |s| s.banks_without_fault as f64 / s.banks as f64),
            dispersion_per_bank: last.as_ref().and_then(FaultStatistics::dispersion_per_bank),
            share_stuck_at_0: last.as_ref().and_then(FaultStatistics::share_stuck_at_0),
            nesting_violations: match chip.origin() {
                Origin::Measured { nesting_violations, .. } => *nesting_violations,
                // A sampled chip's maps are prefixes of one list.
                _ => 0,
            },
        }),
        Format::Table => {
            let header = [
                "Vdd (mV)",
                "faulty cells",
                "share",
                "columns hit",
                "most in one column",
                "banks without",
            ];
            let table = print::table(
                &header,
                0,
                rows.iter().map(|row| {
                    vec![
                        format!("{}", row.vdd_mv),
                        row.faults.to_string(),
                        print::rate(row.cell_fault_rate),
                        row.columns_hit.to_string(),
                        row.max_per_column.to_string(),
                        row.banks_without_fault.to_string(),
                    ]
                }),
            );
            print::text_line(&format!(
                "{origin}\n{} cells: {} banks of {} rows x {} columns\n{table}",
                geometry.cells(),
                geometry.banks(),
                geometry.rows(),
                geometry.columns()
            ))
        }
    }
}
