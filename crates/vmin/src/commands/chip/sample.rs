//! `vmin chip sample`: sample chips from a profile's population.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::Memory;
use vmin_accel::VoltageProfile;
use vmin_accel::voltage::ReadingError;
use vmin_diagnostic::Diagnostic;
use vmin_sram::{Chip, ChipKey, Geometry, Origin, VddLevel};
use vmin_sweep::chip_file::microvolts;
use vmin_sweep::names::Names;

use super::inspect::{Inspection, inspection};
use crate::args::chip::SampleArgs;
use crate::failure::{make_folder, say, with_causes};
use crate::{Answer, Failure, answer};

/// Distance of the voltages stored with a sampled chip, in mV.
const LEVEL_STEP_MV: f64 = 10.0;
/// Most voltages stored with a sampled chip.
const LEVELS_MAX: u32 = 500;

/// Samples a chip, or a lot of them, and writes each.
///
/// # Errors
/// The options do not fit the profile or each other, or the chip cannot be written.
pub fn run(args: &SampleArgs) -> Result<Sampled, Failure> {
    let geometry = Geometry::new(args.banks, args.rows, args.columns)
        .map_err(|error| Failure::input("geometry", &error))?;
    let key = |chip| ChipKey { seed: args.seed, chip, memory: Memory::Weight.number() };
    let profile = Names::typed().profile(args.profile.as_str())?;
    if let Some(note) = profile.kind_note() {
        say(&format!("note: {note}"));
    }
    let Some(count) = args.count else {
        if args.out.to_string_lossy().contains("{}") {
            let message = "`{}` stands for the numbers of several chips, and one is sampled";
            return Err(Diagnostic::new("pattern", message)
                .hint("add `--count N`, or name one file")
                .into());
        }
        let chip = sample(args, &profile, geometry, key(args.chip))?;
        super::write(&args.out, &chip)?;
        return Ok(Sampled::One(Box::new(inspection(&chip, chip.levels())?)));
    };
    let paths = Numbered::new(&args.out)?;
    let last = args.chip.checked_add(u64::from(count) - 1).ok_or_else(|| {
        Diagnostic::new("out-of-range", format!("no chip has a number above {}", u64::MAX))
    })?;
    let origin = match args.read_noise_mv {
        Some(_) => Origin::Measured { source: String::new(), nesting_violations: 0 },
        None => Origin::Sampled { population: profile.population().clone(), key: key(args.chip) },
    };
    // Before the first chip is written.
    for path in (args.chip..=last).map(|number| paths.of(number)) {
        super::check(&path, &origin)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_folder(folder)?;
        }
    }
    let rows = (args.chip..=last).map(|number| {
        let chip = sample(args, &profile, geometry, key(number))?;
        let path = paths.of(number);
        super::write(&path, &chip)?;
        let lowest = chip.levels().last();
        let faults = lowest.map(|level| super::faults_at(&chip, level)).transpose()?;
        Ok(LotRow {
            chip: number,
            file: path.display().to_string(),
            vdd_mv: lowest.map(|level| f64::from(level.vdd_uv) / 1000.0),
            faults: faults.map_or(0, |faults| faults.len() as u64),
        })
    });
    let rows = rows.collect::<Result<Vec<_>, Failure>>()?;
    Ok(Sampled::Lot(Lot { cells: geometry.cells(), rows }))
}

/// One chip of a population, or several.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Sampled {
    /// One, with its figures.
    One(Box<Inspection>),
    /// Several, with `--count`.
    Lot(Lot),
}

/// Several chips of a population.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Lot {
    /// Cells of each chip.
    cells: u64,
    /// One row a chip.
    rows: Vec<LotRow>,
}

/// One chip of several.
#[derive(Debug, Serialize, JsonSchema)]
struct LotRow {
    /// Number of the chip in the population.
    chip: u64,
    /// Its file.
    file: String,
    /// Its lowest voltage, in mV.
    vdd_mv: Option<f64>,
    /// Faulty cells there.
    faults: u64,
}

impl Answer for Sampled {
    fn csv(&self) -> Result<String, Failure> {
        match self {
            Self::One(one) => one.csv(),
            Self::Lot(lot) => answer::csv(&lot.rows),
        }
    }

    fn table(&self) -> String {
        let lot = match self {
            Self::One(one) => return one.table(),
            Self::Lot(lot) => lot,
        };
        let rows = lot.rows.iter().map(|row| {
            let vdd_mv = row.vdd_mv.map_or_else(String::new, |mv| mv.to_string());
            vec![row.file.clone(), row.chip.to_string(), vdd_mv, row.faults.to_string()]
        });
        let table = answer::table(&["file", "chip", "lowest mV", "faulty cells"], 1, rows);
        format!("{} chips of {} cells\n{table}", lot.rows.len(), lot.cells)
    }
}

/// Names of chip files by number.
struct Numbered {
    pattern: String,
}

impl Numbered {
    /// A folder, which is made, or a name with `{}`.
    fn new(out: &Path) -> Result<Self, Failure> {
        let text = out.to_str().ok_or_else(|| {
            Diagnostic::new("not-utf8", format!("`{}` is not UTF-8", out.display()))
                .hint("chips of a lot have names that are texts")
        })?;
        let is_folder = || out.is_dir() || text.ends_with('/') || out.extension().is_none();
        let pattern = match text.contains("{}") {
            true => text.to_owned(),
            false if is_folder() => format!("{}/chip-{{}}.chip", text.trim_end_matches('/')),
            false => {
                return Err(Diagnostic::new(
                    "pattern",
                    format!("`{text}` has no place for the number of a chip"),
                )
                .hint("write `{}` where it goes, as in `lot/chip-{}.chip`, or name a folder")
                .into());
            }
        };
        Ok(Self { pattern })
    }

    fn of(&self, number: u64) -> PathBuf {
        self.pattern.replace("{}", &number.to_string()).into()
    }
}

fn sample(
    args: &SampleArgs,
    profile: &VoltageProfile,
    geometry: Geometry,
    key: ChipKey,
) -> Result<Chip, Failure> {
    let lowest = args.vdd_mv_min.unwrap_or(*profile.vdd_mv_range().start());
    profile.check(lowest)?;
    let levels = levels(profile, lowest, geometry);
    let too_large = |error: &dyn std::error::Error| {
        Diagnostic::new("too-large", with_causes(error))
            .hint("raise `--vdd-mv-min`, or make the chip smaller")
    };
    if let Some(noise_mv) = args.read_noise_mv {
        let vdd_uv: Vec<u32> = levels.iter().map(|level| level.vdd_uv).collect();
        return profile.read_chip(key, geometry, &vdd_uv, noise_mv).map_err(|error| match &error {
            ReadingError::Sample(error) => too_large(error).into(),
            ReadingError::Chip(_) => Failure::input("levels", &error),
        });
    }
    let floor = profile.threshold(lowest);
    let chip = Chip::sample(profile.population(), key, geometry, floor)
        .map_err(|error| too_large(&error))?;
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
