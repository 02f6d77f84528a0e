//! Chips that were measured: every cell errs as it did on silicon.
//!
//! A map is laid over the weight memory from one of its cells on and begins again at its end, as in
//! `vmin eval --chip` and in sweeps. Cells that err at some reads and not at others are drawn anew for
//! every step: a step reads the weights once.

use serde::Serialize;
use vmin_accel::MemoryAt;
use vmin_emulator::source::{Measured as Source, MeasuredChip};
use vmin_sram::{CellErrors, ErrorRates, tile_errors};

use super::chips::refused;
use super::{BitErrors, Pattern};
use crate::TrainError;
use crate::random::{Purpose, Stream};

/// Which measured chips, and at which voltage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Chip files, relative to the recipe: one for `fixed`. For `population` every step meets one of them
    /// from a random cell on. Only the command line reads them; others give the maps to
    /// [`Trainer::with_chips`](crate::Trainer::with_chips).
    pub files: Vec<String>,
    /// The voltage, one at which every chip was measured.
    pub vdd_mv: f64,
    /// First cell under the weights, for `fixed`.
    pub offset_bits: u64,
    /// Leaves out what a cell does at some reads only, as PattBET does: the errors of `fixed` are then the same
    /// in every step.
    pub persistent_only: bool,
}

/// The faulty cells of a measured chip at one voltage.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorMap {
    /// The cells, with how often they err.
    pub errors: Vec<CellErrors>,
    /// Cells of the chip, faulty or not.
    pub cells: u64,
    /// SHA-256 of the file it came from: a run goes on with the same chips only.
    pub sha256: String,
}

/// Which measured chip each step meets.
#[derive(Clone, Debug)]
pub(super) struct MeasuredChips {
    /// Cells of each map.
    cells: Vec<u64>,
    seed: u64,
    at: MemoryAt,
    /// The first cell of the one map of `fixed`.
    fixed: Option<u64>,
}

impl MeasuredChips {
    /// The chips as a source, and which of them each step meets.
    pub(super) fn new(
        errors: &BitErrors,
        measured: &Measured,
        maps: &[ErrorMap],
        seed: u64,
        memory_cells: u64,
    ) -> Result<(Source, Self), TrainError> {
        let (found, expected) = (maps.len(), measured.files.len());
        if found != expected {
            return Err(TrainError::Chips(format!("{found} maps for {expected} files")));
        }
        let at = MemoryAt::new(measured.vdd_mv, 0.0);
        let chip = |map: &ErrorMap| {
            let mut known = map.errors.clone();
            if measured.persistent_only {
                known.iter_mut().for_each(|error| error.rates = persistent(error.rates));
                known.retain(|error| error.rates.is_valid());
            }
            // What is too large is told now, not in the middle of a run.
            tile_errors(&known, map.cells, memory_cells, measured.offset_bits).map_err(refused)?;
            let errors = [(at.vdd_uv(), known)].into();
            Ok(MeasuredChip { sha256: map.sha256.clone(), cells: map.cells, errors })
        };
        let chips = maps.iter().map(chip).collect::<Result<_, TrainError>>()?;
        let fixed = (errors.pattern == Pattern::Fixed).then_some(measured.offset_bits);
        let cells = maps.iter().map(|map| map.cells).collect();
        Ok((Source { chips, seed, kind: None }, Self { cells, seed, at, fixed }))
    }

    /// The chip of a step, its first cell under the weights, and the supply.
    pub(super) fn at(&self, step: u64) -> (u64, u64, MemoryAt) {
        let (chip, first_cell) = match self.fixed {
            Some(first_cell) => (0, first_cell),
            None => {
                let mut stream = Stream::new(self.seed, Purpose::ChipPlace, index(step));
                let chip = stream.below(self.cells.len());
                (chip as u64, stream.below(index(self.cells[chip])) as u64)
            }
        };
        (chip, first_cell, self.at.clone())
    }
}

/// What a cell does at every read.
fn persistent(ErrorRates { p01, p10 }: ErrorRates) -> ErrorRates {
    let [p01, p10] = [p01, p10].map(|p| if p >= 1.0 { p } else { 0.0 });
    ErrorRates { p01, p10 }
}

/// Steps and cells of a chip, which fit where a chip does.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
