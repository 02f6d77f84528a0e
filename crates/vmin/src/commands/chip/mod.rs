//! `vmin chip`: make and look into chips.

mod draw;
mod export;
mod fit;
mod import;
mod inspect;
mod sample;

use std::path::Path;

pub(crate) use draw::DrawArgs;
pub(crate) use export::ExportArgs;
pub(crate) use fit::FitArgs;
pub(crate) use import::ImportArgs;

use vmin_accel::VoltageProfile;
use vmin_diagnostic::Diagnostic;
use vmin_sram::{Chip, ChipKey, FaultyCell, Geometry, Origin, VddLevel};
use vmin_sweep::WEIGHT_MEMORY;

use crate::args::ChipCommand;
use crate::failure::{Failure, with_causes};

/// Largest chip file read.
const CHIP_FILE_BYTES_MAX: u64 = 4 << 30;

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
            sample::run(profile, *vdd_mv_min, geometry, key, out, format.format)
        }
        ChipCommand::Import(args) => import::run(args),
        ChipCommand::Export(args) => export::run(args),
        ChipCommand::Fit(args) => fit::run(args),
        ChipCommand::Draw(args) => draw::run(args),
        ChipCommand::Inspect { chip, vdd_mv, format } => inspect::run(chip, vdd_mv, format.format),
    }
}

/// Reads a chip file.
pub(crate) fn read(path: &Path) -> Result<Chip, Failure> {
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

/// The fault map at a level of the chip, as it was measured if it was.
pub(crate) fn faults_at(chip: &Chip, level: &VddLevel) -> Result<Vec<FaultyCell>, Failure> {
    let index = chip.levels().iter().position(|known| known == level);
    // What was measured need not nest.
    if let Some(faults) = chip.maps().and(index).and_then(|index| chip.measured_faults(index)) {
        return Ok(faults);
    }
    let faults = chip.faults(level.threshold).map_err(|e| Failure::input("below-floor", &e))?;
    Ok(faults.to_vec())
}

/// The level of a voltage: a stored one, or for a chip of a shipped profile any above its lowest.
pub(crate) fn level_at(chip: &Chip, vdd_mv: f64) -> Result<VddLevel, Failure> {
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

/// Nearest whole microvolt; voltages of profiles are far below 4 kV.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "profiles reach from 0 to a few thousand millivolts"
)]
fn microvolts(vdd_mv: f64) -> u32 {
    (vdd_mv * 1000.0).round() as u32
}
