//! Errors of chips: the weights lie in one memory, tensor after tensor, code after code, or pass through a
//! smaller one.

use std::sync::Arc;

use vmin_accel::placement::{Product, StreamedLayer};
use vmin_accel::{ArraySize, Memory, MemoryAt, StreamedPlacement};
use vmin_emulator::source::{CellSource, Part, SampledChips, Site};
use vmin_sram::{
    ChipKey, CodeTensor, FaultKind, FaultyCell, Geometry, Population, VarianceShares, apply_all,
};

use super::measured::{ErrorMap, MeasuredChips};
use super::{BitErrors, FaultKindChoice, Pattern, Streaming};
use crate::TrainError;
use crate::codec::Encoded;
use crate::network::Network;
use crate::random::{Purpose, Stream};

/// The weight memory, as `vmin eval` and `vmin sweep` number it.
const WEIGHTS: u32 = Memory::Weight.number();

/// Chips under the weights of a network, from the same sources as those of `vmin eval` and `vmin sweep`.
#[derive(Clone, Debug)]
pub(crate) struct ChipErrors {
    source: Arc<dyn CellSource>,
    geometry: Geometry,
    pick: Pick,
    /// How weights pass through the memory, if it does not hold them all.
    streamed: Option<StreamedPlacement>,
    /// Codes are written as the nearest ones that the cells can hold.
    closest: bool,
}

/// The chip of a step.
#[derive(Clone, Debug)]
enum Pick {
    /// Always this one of a population.
    Fixed(u64),
    /// Of a population, the next one after this in every step.
    Next(u64),
    /// A measured one.
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
        let (source, geometry, pick): (Arc<dyn CellSource>, _, _) = match &errors.measured {
            Some(measured) => {
                // Weights that stay take up no more of it than their bits.
                let bits = codes.saturating_mul(bits.into());
                let cells = if chosen.streamed.is_some() { geometry.cells() } else { bits };
                let (source, chips) = MeasuredChips::new(errors, measured, maps, seed, cells)?;
                let row = u32::try_from(cells.max(1)).map_err(refused)?;
                (
                    Arc::new(source),
                    Geometry::new(1, 1, row).map_err(refused)?,
                    Pick::Measured(chips),
                )
            }
            None => {
                let shares = VarianceShares::with_cell_as_rest(
                    chosen.die,
                    chosen.bank,
                    chosen.column,
                    chosen.half_column,
                )
                .map_err(refused)?;
                let population = Population::new("training", shares, chosen.share_stuck_at_0)
                    .map_err(refused)?;
                let kind = match errors.fault_kind {
                    FaultKindChoice::Flip => FaultKind::Flip,
                    FaultKindChoice::StuckAt => FaultKind::StuckAt,
                };
                let pick = match errors.pattern {
                    Pattern::Fixed => Pick::Fixed(errors.chip),
                    Pattern::Random | Pattern::Population => Pick::Next(errors.chip),
                };
                let source = SampledChips { population, seed, kind };
                // What is too large is told now, not in the middle of a run.
                let site = Site { chip: errors.chip, region: WEIGHTS, geometry, first_cell: 0 };
                let at = MemoryAt::new(0.0, errors.cell_rate());
                source.cells(site, at.threshold).map(drop).map_err(refused)?;
                (Arc::new(source), geometry, pick)
            }
        };
        let stream = |streaming| streamed(streaming, geometry, layers);
        Ok(Some(Self {
            source,
            geometry,
            pick,
            streamed: chosen.streamed.map(stream).transpose()?,
            closest: errors.closest_codes,
        }))
    }

    /// Makes of the codes what the chip of this step holds, a drawn one at this rate; returns the bits that
    /// changed.
    pub(crate) fn apply(
        &self,
        tensors: &mut [Encoded],
        bits: u8,
        rate: f64,
        step: u64,
    ) -> Result<u64, TrainError> {
        if !self.closest {
            return self.corrupt(tensors, bits, rate, step);
        }
        // A cell that reads alike whatever it stores is stuck.
        let of = |code: u8| {
            let mut read = tensors.to_vec();
            read.iter_mut().for_each(|tensor| tensor.codes.fill(code));
            self.corrupt(&mut read, bits, rate, step).map(|_| read)
        };
        let all = u8::MAX >> (8 - bits);
        let (zeros, ones) = (of(0)?, of(all)?);
        let mut changed = 0;
        for ((tensor, zeros), ones) in tensors.iter_mut().zip(zeros).zip(ones) {
            for (index, (held, one)) in zeros.codes.into_iter().zip(ones.codes).enumerate() {
                let stuck = !(held ^ one) & all;
                let code = tensor.codes[index];
                if (code ^ held) & stuck != 0 {
                    tensor.codes[index] = closest(&tensor.reals, code, (stuck, held), all);
                    changed += u64::from((tensor.codes[index] ^ code).count_ones());
                }
            }
        }
        Ok(changed)
    }

    /// Corrupts the codes as the chip of this step does.
    fn corrupt(
        &self,
        tensors: &mut [Encoded],
        bits: u8,
        rate: f64,
        step: u64,
    ) -> Result<u64, TrainError> {
        let (chip, first_cell, at) = match &self.pick {
            Pick::Fixed(chip) => (*chip, 0, MemoryAt::new(0.0, rate)),
            Pick::Next(first) => (first.wrapping_add(step), 0, MemoryAt::new(0.0, rate)),
            Pick::Measured(chips) => chips.at(step),
        };
        let site = Site { chip, region: WEIGHTS, geometry: self.geometry, first_cell };
        let cells = self.source.cells(site, at.threshold).map_err(refused)?;
        let errors = cells.errors(&at);
        let key = ChipKey { seed: self.source.seed(), chip, memory: WEIGHTS };
        let parts: Vec<Part<'_>> = errors.at_read(key, step);
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

/// The code nearest in value to `code` whose `stuck` bits are those of `held`; of two equally near that of the smaller
/// magnitude, as `closest_code` chooses.
fn closest(reals: &[f32; 256], code: u8, (stuck, held): (u8, u8), all: u8) -> u8 {
    let real = |code: u8| reals[usize::from(code)];
    let fits = (0..=all).filter(|other| (other ^ held) & stuck == 0);
    let nearer = |&a: &u8, &b: &u8| {
        let [to_a, to_b] = [a, b].map(|other| (real(other) - real(code)).abs());
        to_a.total_cmp(&to_b).then(real(a).abs().total_cmp(&real(b).abs())).then(a.cmp(&b))
    };
    fits.min_by(nearer).unwrap_or(code)
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
