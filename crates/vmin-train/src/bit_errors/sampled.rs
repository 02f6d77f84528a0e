//! Chips drawn from a population.

use std::borrow::Cow;

use vmin_sram::{
    Chip, ChipKey, FaultKind, FaultyCell, Geometry, Population, Threshold, VarianceShares,
};

use super::chips::{Part, WEIGHT_MEMORY, refused};
use super::{BitErrors, FaultKindChoice, Pattern};
use crate::TrainError;

/// A population, and which of its chips.
#[derive(Clone, Debug)]
pub(super) struct Sampled {
    population: Population,
    geometry: Geometry,
    kind: FaultKind,
    key: ChipKey,
    /// The one chip of `fixed`, with all cells that are ever asked for.
    fixed: Option<Chip>,
}

impl Sampled {
    /// The chips of `errors`, of which `seed` is the seed.
    pub(super) fn new(
        errors: &BitErrors,
        seed: u64,
        geometry: Geometry,
    ) -> Result<Self, TrainError> {
        let chosen = errors.population;
        let shares = VarianceShares::with_cell_as_rest(
            chosen.die,
            chosen.bank,
            chosen.column,
            chosen.half_column,
        )
        .map_err(refused)?;
        let population =
            Population::new("training", shares, chosen.share_stuck_at_0).map_err(refused)?;
        let kind = match errors.fault_kind {
            FaultKindChoice::Flip => FaultKind::Flip,
            FaultKindChoice::StuckAt => FaultKind::StuckAt,
        };
        let key = ChipKey { seed, chip: errors.chip, memory: WEIGHT_MEMORY };
        let mut chips = Self { population, geometry, kind, key, fixed: None };
        let first = chips.chip(0, errors.cell_rate())?;
        chips.fixed = (errors.pattern == Pattern::Fixed).then_some(first);
        Ok(chips)
    }

    fn chip(&self, step: u64, rate: f64) -> Result<Chip, TrainError> {
        let threshold = Threshold::from_rate(rate).map_err(refused)?;
        let key = ChipKey { chip: self.key.chip.wrapping_add(step), ..self.key };
        Chip::sample(&self.population, key, self.geometry, threshold).map_err(refused)
    }

    /// The faulty cells of the chip of this step at this rate.
    pub(super) fn faults(&self, rate: f64, step: u64) -> Result<Vec<Part<'_>>, TrainError> {
        let threshold = Threshold::from_rate(rate).map_err(refused)?;
        let cells: Cow<'_, [FaultyCell]> = match &self.fixed {
            Some(chip) => chip.faults(threshold).map_err(refused)?.into(),
            None => self.chip(step, rate)?.faults(threshold).map_err(refused)?.to_vec().into(),
        };
        Ok(vec![(cells, self.kind)])
    }
}
