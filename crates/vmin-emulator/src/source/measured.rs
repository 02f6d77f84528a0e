//! Chips that were measured: every cell errs as it did on silicon.

use std::collections::BTreeMap;

use vmin_accel::MemoryAt;
use vmin_protection::MapKind;
use vmin_sram::{CellErrors, FaultKind, SampleError, Threshold, tile_errors};

use super::{CellSource, Cells, Errors, Site};

/// A measured chip: its faulty cells at each supply of the plan.
#[derive(Clone, Debug)]
pub struct MeasuredChip {
    /// SHA-256 of the file it came from.
    pub sha256: String,
    /// Cells of its map, faulty or not.
    pub cells: u64,
    /// The faulty cells with their error rates, by supply in whole microvolts.
    pub errors: BTreeMap<u32, Vec<CellErrors>>,
}

/// Measured chips, by number. A map begins again where it ends.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The chips.
    pub chips: Vec<MeasuredChip>,
    /// Seed of the reads of cells that err at some reads only.
    pub seed: u64,
    /// What every faulty cell does as often as it was measured to err, if not what was measured.
    pub kind: Option<FaultKind>,
}

struct Laid<'s> {
    chip: &'s MeasuredChip,
    site: Site,
    kind: Option<FaultKind>,
}

impl CellSource for Measured {
    fn cells(&self, site: Site, _: Threshold) -> Result<Box<dyn Cells + '_>, SampleError> {
        let chip = &self.chips[site.chip as usize];
        Ok(Box::new(Laid { chip, site, kind: self.kind }))
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn reads(&self, chip: u32) -> u64 {
        let digits =
            self.chips[chip as usize].sha256.chars().filter_map(|digit| digit.to_digit(16));
        digits.take(16).fold(0, |key, digit| key << 4 | u64::from(digit))
    }

    fn identity(&self, chip: u32) -> serde_json::Value {
        let Self { chips, seed, kind } = self;
        let kind = kind.map(|kind| kind == FaultKind::StuckAt);
        serde_json::json!(["measured", chips[chip as usize].sha256, seed, kind])
    }

    fn map_kind(&self) -> MapKind {
        let errors = self.chips.iter().flat_map(|chip| chip.errors.values().flatten());
        let invert = || {
            let mut kinds = errors.filter_map(CellErrors::usual).peekable();
            kinds.peek().is_some() && kinds.all(|kind| kind == FaultKind::Flip)
        };
        match self.kind {
            Some(kind) => super::map_kind(kind),
            None if invert() => MapKind::Inverting,
            None => MapKind::Stuck,
        }
    }
}

/// A cell that errs as often as it was measured, in the way of `kind`.
fn alike(error: CellErrors, kind: FaultKind) -> CellErrors {
    CellErrors { rates: error.rates.as_kind(kind, error.cell.preferred), ..error }
}

impl Cells for Laid<'_> {
    fn errors(&self, at: &MemoryAt) -> Errors<'_> {
        let errors = self.chip.errors.get(&at.vdd_uv()).map_or(&[][..], Vec::as_slice);
        let cells = self.chip.cells.max(1);
        let Site { geometry, first_cell, .. } = self.site;
        let laid = tile_errors(errors, cells, geometry.cells(), first_cell % cells)
            .expect("planning has checked the size");
        match self.kind {
            Some(kind) => {
                Errors::Sometimes(laid.into_iter().map(|error| alike(error, kind)).collect())
            }
            None => Errors::Sometimes(laid),
        }
    }
}
