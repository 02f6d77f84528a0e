//! Chips that were measured: every cell errs as it did on silicon.
//!
//! A map is laid over the weight memory from one of its cells on and begins again at its end, as in
//! `vmin eval --chip` and in sweeps. Cells that err at some reads and not at others are drawn anew for
//! every step: a step reads the weights once.

use serde::Serialize;
use vmin_sram::{CellErrors, ChipKey, ErrorRates, FaultKind, draw_faults, tile_errors};

use super::chips::{Part, WEIGHT_MEMORY, refused};
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

/// Maps over the weight memory.
#[derive(Clone, Debug)]
pub(super) struct MeasuredChips {
    maps: Vec<ErrorMap>,
    memory_cells: u64,
    seed: u64,
    /// The one map of `fixed`, laid over the memory.
    fixed: Option<Vec<CellErrors>>,
}

impl MeasuredChips {
    pub(super) fn new(
        errors: &BitErrors,
        measured: &Measured,
        maps: &[ErrorMap],
        seed: u64,
        memory_cells: u64,
    ) -> Result<Self, TrainError> {
        let (found, expected) = (maps.len(), measured.files.len());
        if found != expected {
            return Err(TrainError::Chips(format!("{found} maps for {expected} files")));
        }
        let kept = |map: &ErrorMap| {
            let mut map = map.clone();
            if measured.persistent_only {
                map.errors.iter_mut().for_each(|error| error.rates = persistent(error.rates));
                map.errors.retain(|error| error.rates.is_valid());
            }
            map
        };
        let maps: Vec<ErrorMap> = maps.iter().map(kept).collect();
        let mut chips = Self { maps, memory_cells, seed, fixed: None };
        for chip in 0..chips.maps.len() {
            // What is too large is told now, not in the middle of a run.
            let laid = chips.laid(chip, measured.offset_bits)?;
            chips.fixed = (errors.pattern == Pattern::Fixed).then_some(laid);
        }
        Ok(chips)
    }

    /// A map over the memory, which begins at its cell `offset`.
    fn laid(&self, chip: usize, offset: u64) -> Result<Vec<CellErrors>, TrainError> {
        let ErrorMap { errors, cells, .. } = &self.maps[chip];
        tile_errors(errors, *cells, self.memory_cells, offset).map_err(refused)
    }

    /// The cells that err in this step.
    pub(super) fn faults(&self, step: u64) -> Result<Vec<Part<'static>>, TrainError> {
        let moved;
        let (chip, errors) = match &self.fixed {
            Some(errors) => (0, errors),
            None => {
                let mut stream = Stream::new(self.seed, Purpose::ChipPlace, index(step));
                let chip = stream.below(self.maps.len());
                let offset = stream.below(index(self.maps[chip].cells)) as u64;
                moved = self.laid(chip, offset)?;
                (chip, &moved)
            }
        };
        let key = ChipKey { seed: self.seed, chip: chip as u64, memory: WEIGHT_MEMORY };
        let drawn = draw_faults(errors, key, step);
        Ok(vec![
            (drawn.inverting.into(), FaultKind::Flip),
            (drawn.stuck.into(), FaultKind::StuckAt),
        ])
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
