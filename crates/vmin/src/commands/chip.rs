//! `vmin chip`: make and look into chips.

use std::path::Path;

use serde::Serialize;
use vmin_diagnostic::Diagnostic;
use vmin_sram::{Chip, ChipKey, FaultStatistics, Geometry, Origin, VddLevel};
use vmin_sweep::{WEIGHT_MEMORY, write_whole};

use crate::args::{ChipCommand, Format};
use crate::failure::{Failure, say, with_causes};
use crate::{lookup, print};

/// Largest chip file read.
const CHIP_FILE_BYTES_MAX: u64 = 4 << 30;
/// Voltages stored with a sampled chip, from the profile's highest to the lowest asked for.
const LEVELS: u32 = 16;

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
            write_whole(out, &vmin_sram::file::write(&chip)).map_err(|error| {
                Diagnostic::new("unwritable", format!("cannot write `{}`: {error}", out.display()))
            })?;
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
            show(&chip, &levels?, format.format)
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
    let highest = profile.v_ref_mv().min(*range.end()).max(lowest);
    let mut levels: Vec<VddLevel> = (0..LEVELS)
        .map(|index| {
            let share = f64::from(index) / f64::from(LEVELS - 1);
            let vdd_mv = highest + (lowest - highest) * share;
            VddLevel { vdd_uv: microvolts(vdd_mv), threshold: profile.threshold(vdd_mv) }
        })
        .collect();
    levels.dedup_by_key(|level| level.vdd_uv);
    let floor = profile.threshold(lowest);
    let chip = Chip::sample(profile.population(), key, geometry, floor).map_err(|error| {
        Diagnostic::new("too-large", with_causes(&error))
            .hint("raise `--vdd-mv-min`, or make the chip smaller")
    })?;
    chip.with_levels(levels).map_err(|error| Failure::input("levels", &error))
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

/// The stored level of a voltage.
fn level_at(chip: &Chip, vdd_mv: f64) -> Result<VddLevel, Failure> {
    chip.levels()
        .iter()
        .find(|level| (f64::from(level.vdd_uv) / 1000.0 - vdd_mv).abs() < 5e-4)
        .copied()
        .ok_or_else(|| {
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
