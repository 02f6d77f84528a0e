//! Errors of chips: the weights lie in one memory, tensor after tensor, code after code.

use vmin_sram::{
    Chip, ChipKey, CodeTensor, FaultKind, Geometry, Population, Threshold, VarianceShares,
    apply_all,
};

use super::{BitErrors, FaultKindChoice, Pattern};
use crate::TrainError;
use crate::codec::Encoded;
use crate::random::{Purpose, Stream};

/// The memory of the weights, as `vmin eval` and `vmin sweep` number it.
const WEIGHT_MEMORY: u32 = 0;

/// Draws chips and applies their faults.
#[derive(Clone, Debug)]
pub(crate) struct ChipErrors {
    population: Population,
    geometry: Geometry,
    kind: FaultKind,
    key: ChipKey,
    /// The one chip of `fixed`, with all cells that are ever asked for.
    fixed: Option<Chip>,
}

impl ChipErrors {
    /// Prepares chips that hold `codes` codes of `bits` bits; `None` where `errors` takes no chips.
    ///
    /// # Errors
    /// [`TrainError::Chips`] for a population or a memory that does not exist.
    pub(crate) fn new(
        errors: &BitErrors,
        recipe_seed: u64,
        codes: u64,
        bits: u8,
    ) -> Result<Option<Self>, TrainError> {
        if errors.pattern == Pattern::Random {
            return Ok(None);
        }
        let chosen = errors.population;
        let refuse = |error: &dyn std::error::Error| TrainError::Chips(error.to_string());
        let shares = VarianceShares::with_cell_as_rest(
            chosen.die,
            chosen.bank,
            chosen.column,
            chosen.half_column,
        )
        .map_err(|error| refuse(&error))?;
        let population = Population::new("training", shares, chosen.share_stuck_at_0)
            .map_err(|error| refuse(&error))?;
        let bank_cells = (u64::from(chosen.rows) * u64::from(chosen.columns)).max(1);
        let banks = codes.saturating_mul(bits.into()).div_ceil(bank_cells).max(1);
        let banks = u32::try_from(banks).unwrap_or(u32::MAX);
        let geometry =
            Geometry::new(banks, chosen.rows, chosen.columns).map_err(|error| refuse(&error))?;
        let seed = errors
            .chip_seed
            .unwrap_or_else(|| Stream::new(recipe_seed, Purpose::ChipSeed, 0).word());
        let kind = match errors.fault_kind {
            FaultKindChoice::Flip => FaultKind::Flip,
            FaultKindChoice::StuckAt => FaultKind::StuckAt,
        };
        let key = ChipKey { seed, chip: errors.chip, memory: WEIGHT_MEMORY };
        let mut chips = Self { population, geometry, kind, key, fixed: None };
        let first = chips.sample(0, errors.rate)?;
        chips.fixed = (errors.pattern == Pattern::Fixed).then_some(first);
        Ok(Some(chips))
    }

    fn sample(&self, step: u64, rate: f64) -> Result<Chip, TrainError> {
        let refuse = |error: &dyn std::error::Error| TrainError::Chips(error.to_string());
        let threshold = Threshold::from_rate(rate).map_err(|error| refuse(&error))?;
        let key = ChipKey { chip: self.key.chip.wrapping_add(step), ..self.key };
        Chip::sample(&self.population, key, self.geometry, threshold)
            .map_err(|error| refuse(&error))
    }

    /// Corrupts the codes as the chip of this step does at this rate; returns the bits that changed.
    pub(crate) fn apply(
        &self,
        tensors: &mut [Encoded],
        bits: u8,
        rate: f64,
        step: u64,
    ) -> Result<u64, TrainError> {
        let refuse = |error: &dyn std::error::Error| TrainError::Chips(error.to_string());
        let sampled;
        let chip = match &self.fixed {
            Some(chip) => chip,
            None => {
                sampled = self.sample(step, rate)?;
                &sampled
            }
        };
        let threshold = Threshold::from_rate(rate).map_err(|error| refuse(&error))?;
        let faults = chip.faults(threshold).map_err(|error| refuse(&error))?;
        let mut first_bit = 0;
        let mut placed: Vec<CodeTensor<'_>> = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let length = tensor.codes.len() as u64 * u64::from(bits);
            placed.push(CodeTensor { codes: &mut tensor.codes, bits, first_bit });
            first_bit += length;
        }
        let applied = apply_all(faults, self.kind, &mut placed).map_err(|error| refuse(&error))?;
        Ok(applied.iter().map(|tensor| tensor.bits_flipped).sum())
    }
}
