//! Chip files: reading one, and its fault map at a voltage.

use std::path::{Path, PathBuf};

use vmin_accel::{Memory, VoltageProfile};
use vmin_diagnostic::with_causes;
use vmin_emulator::Placement;
use vmin_files::ReadError;
use vmin_sram::file::{ChipFileError, ChipFileLimits};
use vmin_sram::{BelowFloor, CellErrors, CellKind, Chip, FaultKind, FaultyCell, Origin, VddLevel};

/// Most voltages of a chip named in a message.
const NAMED_MAX: usize = 64;

/// Why a chip file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChipFileProblem {
    /// The file cannot be loaded.
    #[error(transparent)]
    Unread(#[from] ReadError),
    /// Its bytes are not a chip.
    #[error("`{}`: {}", path.display(), with_causes(error))]
    Bad {
        /// The file.
        path: PathBuf,
        /// The problem.
        error: ChipFileError,
    },
}

impl ChipFileProblem {
    /// Short name of the problem, for diagnostics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unread(error) => error.code(),
            Self::Bad { .. } => "bad-chip",
        }
    }
}

/// A chip and the file it came from.
#[derive(Clone, Debug)]
pub struct ChipFile {
    /// The file's name as the user wrote it.
    pub name: String,
    /// The chip.
    pub chip: Chip,
    /// SHA-256 of the file's bytes.
    pub sha256: String,
}

/// Loads a chip file; `name` names it in messages.
///
/// # Errors
/// It cannot be loaded, is too large or is not a chip file.
pub fn read(path: &Path, name: &str) -> Result<ChipFile, ChipFileProblem> {
    let bytes = vmin_files::bytes("chip", path)?;
    let chip = vmin_sram::file::read(&bytes, &ChipFileLimits::default())
        .map_err(|error| ChipFileProblem::Bad { path: path.to_owned(), error })?;
    Ok(ChipFile { name: name.to_owned(), chip, sha256: vmin_files::sha256(&bytes) })
}

/// The level of a voltage in mV: a stored one, or any above the lowest for a chip of a shipped profile.
#[must_use]
pub fn level_at(chip: &Chip, vdd_mv: f64) -> Option<VddLevel> {
    let stored =
        chip.levels().iter().find(|level| (f64::from(level.vdd_uv) / 1000.0 - vdd_mv).abs() < 5e-4);
    let of_profile = || {
        let Origin::Sampled { population, .. } = chip.origin() else { return None };
        let profile = VoltageProfile::names()
            .contains(&population.name())
            .then(|| VoltageProfile::load(population.name()).ok())??;
        let threshold = profile.threshold(vdd_mv);
        // A user's own profile may have a shipped name, so its curve is compared.
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
    stored.copied().or_else(of_profile)
}

/// The voltages stored with a chip, in mV, falling.
pub fn levels_mv(chip: &Chip) -> impl Iterator<Item = f64> + use<'_> {
    chip.levels().iter().map(|level| f64::from(level.vdd_uv) / 1000.0)
}

/// The voltages stored with a chip in words, such as `900, 880 mV`.
#[must_use]
pub fn levels_words(chip: &Chip) -> String {
    let named: Vec<String> = levels_mv(chip).take(NAMED_MAX).map(|mv| mv.to_string()).collect();
    let more = chip.levels().len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} mV{more}", named.join(", "))
}

/// The faulty cells at a level by address, with their error rates. Those of a measured chip are as measured
/// and need not nest; a cell of a sampled chip errs at every read, as those of its population do.
///
/// # Errors
/// The level lies below the lowest of the chip.
pub fn errors_at(chip: &Chip, level: &VddLevel) -> Result<Vec<CellErrors>, BelowFloor> {
    let index = chip.levels().iter().position(|known| known == level);
    if let Some(index) = chip.maps().and(index) {
        return Ok(chip.cell_errors(index));
    }
    let faults = chip.faults(level.threshold)?;
    let kind = chip.kind();
    let of = |&cell: &FaultyCell| CellErrors { cell, rates: kind.rates(cell.preferred) };
    let mut errors: Vec<CellErrors> = faults.iter().map(of).collect();
    errors.sort_unstable_by_key(|error| error.cell.address);
    Ok(errors)
}

/// What the cells of a map do, if all do the same: how often they err does not matter.
#[must_use]
pub fn kind_of<'e>(errors: impl IntoIterator<Item = &'e CellErrors>) -> Option<FaultKind> {
    let mut kinds = errors.into_iter().map(|error| match error.rates.kind() {
        CellKind::Flip => Some(FaultKind::Flip),
        CellKind::StuckAt0 | CellKind::StuckAt1 => Some(FaultKind::StuckAt),
        CellKind::Mixed => None,
    });
    let first = kinds.next()??;
    kinds.all(|kind| kind == Some(first)).then_some(first)
}

/// Share of a map's `cells` that are expected to err at one read: a cell that errs at one read in ten counts
/// for a tenth.
#[must_use]
pub fn expected_rate(errors: &[CellErrors], cells: u64) -> f64 {
    errors.iter().map(|error| f64::from(error.rates.largest())).sum::<f64>() / cells as f64
}

/// A remark where a map is smaller than the memories that it is laid over, so that its cells serve more than once.
#[must_use]
pub fn repeated_note(map_cells: u64, placement: &Placement) -> Option<String> {
    let ends = Memory::ALL.iter().filter_map(|&(word, memory)| {
        let cells = placement.cells(memory);
        (cells > 0).then(|| (word, placement.first_cells.get(memory) + cells))
    });
    let ends: Vec<(&str, u64)> = ends.collect();
    let end = ends.iter().map(|&(_, end)| end).max()?;
    if map_cells >= end {
        return None;
    }
    Some(match ends.len() {
        1 => format!("the map of {map_cells} cells is repeated over a memory of {end}"),
        _ => format!(
            "the map of {map_cells} cells is repeated over memories of {end} cells in all: several of them lie in the \
             same cells of the chip"
        ),
    })
}

/// Nearest whole microvolt; voltages of profiles are far below 4 kV.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "profiles reach from 0 to a few thousand millivolts"
)]
pub fn microvolts(vdd_mv: f64) -> u32 {
    (vdd_mv * 1000.0).round() as u32
}
