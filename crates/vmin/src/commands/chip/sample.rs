//! `vmin chip sample`: sample a chip from a profile's population.

use vmin_accel::Memory;
use vmin_accel::VoltageProfile;
use vmin_accel::voltage::ReadingError;
use vmin_diagnostic::Diagnostic;
use vmin_sram::{Chip, ChipKey, Geometry, VddLevel};
use vmin_sweep::chip_file::microvolts;
use vmin_sweep::names::Names;

use super::inspect::{Inspection, inspection};
use crate::Failure;
use crate::args::chip::SampleArgs;
use crate::failure::{say, with_causes};

/// Distance of the voltages stored with a sampled chip, in mV.
const LEVEL_STEP_MV: f64 = 10.0;
/// Most voltages stored with a sampled chip.
const LEVELS_MAX: u32 = 500;

/// Samples a chip and writes it.
///
/// # Errors
/// The options do not fit the profile or each other, or the chip cannot be written.
pub fn run(args: &SampleArgs) -> Result<Inspection, Failure> {
    let geometry = Geometry::new(args.banks, args.rows, args.columns)
        .map_err(|error| Failure::input("geometry", &error))?;
    let key = ChipKey { seed: args.seed, chip: args.chip, memory: Memory::Weight.number() };
    let chip = sample(args, geometry, key)?;
    super::write(&args.out, &chip)?;
    inspection(&chip, chip.levels())
}

fn sample(args: &SampleArgs, geometry: Geometry, key: ChipKey) -> Result<Chip, Failure> {
    let profile = Names::typed().profile(args.profile.as_str())?;
    let lowest = args.vdd_mv_min.unwrap_or(*profile.vdd_mv_range().start());
    profile.check(lowest)?;
    if let Some(note) = profile.kind_note() {
        say(&format!("note: {note}"));
    }
    let levels = levels(&profile, lowest, geometry);
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
