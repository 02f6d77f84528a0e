//! Errors of chips: the weights lie in one memory, tensor after tensor, code after code, or pass through a
//! smaller one.

use std::borrow::Cow;

use vmin_accel::placement::{Product, StreamedLayer};
use vmin_accel::{ArraySize, StreamedPlacement};
use vmin_sram::{CodeTensor, FaultKind, FaultyCell, Geometry, apply_all};

use super::measured::{ErrorMap, MeasuredChips};
use super::sampled::Sampled;
use super::{BitErrors, Pattern, Streaming};
use crate::TrainError;
use crate::codec::Encoded;
use crate::network::Network;
use crate::random::{Purpose, Stream};

/// The memory of the weights, as `vmin eval` and `vmin sweep` number it.
pub(super) const WEIGHT_MEMORY: u32 = 0;

/// Cells that err in the same way.
pub(super) type Part<'a> = (Cow<'a, [FaultyCell]>, FaultKind);

/// Chips under the weights of a network.
#[derive(Clone, Debug)]
pub(crate) struct ChipErrors {
    cells: Cells,
    /// How weights pass through the memory, if it does not hold them all.
    streamed: Option<StreamedPlacement>,
}

/// Where faulty cells come from.
#[derive(Clone, Debug)]
enum Cells {
    Sampled(Box<Sampled>),
    Measured(MeasuredChips),
}

/// What cannot be had, in words.
pub(super) fn refused<E: std::error::Error>(error: E) -> TrainError {
    TrainError::Chips(error.to_string())
}

impl ChipErrors {
    /// Prepares chips for the weights of `network` in codes of `bits` bits; `None` where `errors` takes no
    /// chips. `maps` are those of the measured chips, if `errors` names such.
    ///
    /// # Errors
    /// [`TrainError::Chips`] for a population or a memory that does not exist, or too few maps.
    pub(crate) fn new(
        errors: &BitErrors,
        recipe_seed: u64,
        network: &Network,
        bits: u8,
        maps: &[ErrorMap],
    ) -> Result<Option<Self>, TrainError> {
        if errors.pattern == Pattern::Random {
            return Ok(None);
        }
        let chosen = errors.population;
        let layers = layers(network, bits);
        let bank_cells = (u64::from(chosen.rows) * u64::from(chosen.columns)).max(1);
        let codes: u64 = layers.iter().map(|layer| layer.codes as u64).sum();
        let needed = codes.saturating_mul(bits.into()).div_ceil(bank_cells).max(1);
        let needed = u32::try_from(needed).unwrap_or(u32::MAX);
        let banks = chosen.streamed.map_or(needed, |streaming| streaming.banks);
        let geometry = Geometry::new(banks, chosen.rows, chosen.columns).map_err(refused)?;
        let seed = errors
            .chip_seed
            .unwrap_or_else(|| Stream::new(recipe_seed, Purpose::ChipSeed, 0).word());
        let cells = match &errors.measured {
            Some(measured) => {
                // Weights that stay take up no more of it than their bits.
                let bits = codes.saturating_mul(bits.into());
                let cells = if chosen.streamed.is_some() { geometry.cells() } else { bits };
                Cells::Measured(MeasuredChips::new(errors, measured, maps, seed, cells)?)
            }
            None => Cells::Sampled(Box::new(Sampled::new(errors, seed, geometry)?)),
        };
        let stream = |streaming| streamed(streaming, geometry, layers);
        Ok(Some(Self { cells, streamed: chosen.streamed.map(stream).transpose()? }))
    }

    /// Corrupts the codes as the chip of this step does, a drawn one at this rate; returns the bits that
    /// changed.
    pub(crate) fn apply(
        &self,
        tensors: &mut [Encoded],
        bits: u8,
        rate: f64,
        step: u64,
    ) -> Result<u64, TrainError> {
        let parts = match &self.cells {
            Cells::Sampled(chips) => chips.faults(rate, step)?,
            Cells::Measured(chips) => chips.faults(step)?,
        };
        let mut changed = 0;
        // No cell is in two parts.
        for (faults, kind) in parts {
            changed += self.apply_part(&faults, kind, tensors, bits)?;
        }
        Ok(changed)
    }

    fn apply_part(
        &self,
        faults: &[FaultyCell],
        kind: FaultKind,
        tensors: &mut [Encoded],
        bits: u8,
    ) -> Result<u64, TrainError> {
        if let Some(streamed) = &self.streamed {
            let codes = tensors.iter_mut().map(|tensor| tensor.codes.as_mut_slice());
            return Ok(streamed.apply(faults, kind, codes).map_err(refused)?.bits_flipped);
        }
        let mut first_bit = 0;
        let mut placed: Vec<CodeTensor<'_>> = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            let length = tensor.codes.len() as u64 * u64::from(bits);
            placed.push(CodeTensor { codes: &mut tensor.codes, bits, first_bit });
            first_bit += length;
        }
        let applied = apply_all(faults, kind, &mut placed).map_err(refused)?;
        Ok(applied.iter().map(|tensor| tensor.bits_flipped).sum())
    }
}

fn streamed(
    Streaming { array: [rows, columns], dataflow, .. }: Streaming,
    geometry: Geometry,
    layers: Vec<StreamedLayer>,
) -> Result<StreamedPlacement, TrainError> {
    let array = ArraySize::new(rows, columns)
        .ok_or_else(|| TrainError::Chips(format!("an array of {rows} x {columns}")))?;
    StreamedPlacement::of_layers(geometry, array, dataflow, layers.len(), layers).map_err(refused)
}

/// The layers with weights, in the order of their tensors.
fn layers(network: &Network, bits: u8) -> Vec<StreamedLayer> {
    let products = network.steps.iter().filter_map(|step| {
        let (weights, _) = step.layer.product()?;
        let parameter = &network.parameters[weights.0];
        let (n, codes) = (parameter.shape[0], parameter.values.len());
        Some((codes, Product { n, k: codes / n.max(1), groups: 1 }))
    });
    products
        .enumerate()
        .map(|(tensor, (codes, product))| StreamedLayer { tensor, codes, bits, product })
        .collect()
}
