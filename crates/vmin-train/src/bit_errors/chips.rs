//! Errors of chips: the weights lie in one memory, tensor after tensor, code after code, or pass through a
//! smaller one.

use vmin_accel::placement::{Product, StreamedLayer};
use vmin_accel::{ArraySize, Dataflow, StreamedPlacement};
use vmin_sram::{
    Chip, ChipKey, CodeTensor, FaultKind, Geometry, Population, Threshold, VarianceShares,
    apply_all,
};

use super::{BitErrors, DataflowChoice, FaultKindChoice, Pattern, Streaming};
use crate::TrainError;
use crate::codec::Encoded;
use crate::network::{Layer, Network};
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
    /// How weights pass through the memory, if it does not hold them all.
    streamed: Option<StreamedPlacement>,
}

impl ChipErrors {
    /// Prepares chips for the weights of `network` in codes of `bits` bits; `None` where `errors` takes no
    /// chips.
    ///
    /// # Errors
    /// [`TrainError::Chips`] for a population or a memory that does not exist.
    pub(crate) fn new(
        errors: &BitErrors,
        recipe_seed: u64,
        network: &Network,
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
        let layers = layers(network, bits);
        let codes: u64 = layers.iter().map(|layer| layer.codes as u64).sum();
        let needed = codes.saturating_mul(bits.into()).div_ceil(bank_cells).max(1);
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        let banks = chosen.streamed.map_or(needed, |streaming| streaming.banks);
        let geometry =
            Geometry::new(banks, chosen.rows, chosen.columns).map_err(|error| refuse(&error))?;
        let stream = |Streaming { array: [rows, columns], dataflow, .. }| {
            let array = ArraySize::new(rows, columns)
                .ok_or_else(|| TrainError::Chips(format!("an array of {rows} x {columns}")))?;
            let dataflow = match dataflow {
                DataflowChoice::Ws => Dataflow::Ws,
                DataflowChoice::Os => Dataflow::Os,
                DataflowChoice::Is => Dataflow::Is,
            };
            let tensors = layers.len();
            StreamedPlacement::of_layers(geometry, array, dataflow, tensors, layers.clone())
                .map_err(|error| refuse(&error))
        };
        let streamed = chosen.streamed.map(stream).transpose()?;
        let seed = errors
            .chip_seed
            .unwrap_or_else(|| Stream::new(recipe_seed, Purpose::ChipSeed, 0).word());
        let kind = match errors.fault_kind {
            FaultKindChoice::Flip => FaultKind::Flip,
            FaultKindChoice::StuckAt => FaultKind::StuckAt,
        };
        let key = ChipKey { seed, chip: errors.chip, memory: WEIGHT_MEMORY };
        let mut chips = Self { population, geometry, kind, key, fixed: None, streamed };
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
        if let Some(streamed) = &self.streamed {
            let codes = tensors.iter_mut().map(|tensor| tensor.codes.as_mut_slice());
            let applied =
                streamed.apply(faults, self.kind, codes).map_err(|error| refuse(&error))?;
            return Ok(applied.bits_flipped);
        }
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

/// The layers with weights, in the order of their tensors.
fn layers(network: &Network, bits: u8) -> Vec<StreamedLayer> {
    let products = network.steps.iter().filter_map(|step| {
        let weights = match &step.layer {
            Layer::Conv2d(layer) => layer.weights,
            Layer::FullyConnected(layer) => layer.weights,
            _ => return None,
        };
        let parameter = &network.parameters[weights.0];
        let (n, codes) = (parameter.shape[0], parameter.values.len());
        Some((codes, Product { n, k: codes / n.max(1), groups: 1 }))
    });
    products
        .enumerate()
        .map(|(tensor, (codes, product))| StreamedLayer { tensor, codes, bits, product })
        .collect()
}
