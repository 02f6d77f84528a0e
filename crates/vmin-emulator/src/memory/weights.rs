//! Weights as the memory gives them back.

use vmin_accel::placement::WeightPlacement;
use vmin_nn::{Graph, WeightTensor};
use vmin_protection::words::{ReadBack, Stored, TowardZero};
use vmin_quant::Encoding;
use vmin_sram::{Applied, ApplyError, ChipKey, CodeTensor, FaultKind, FaultyCell};

use super::contents::Contents;
use super::{Arrays, Damage, Powered, ProtectedError};
use crate::source::Errors;

/// The codes that a chip gives back.
#[derive(Clone, Debug)]
pub struct Corrupted {
    /// Codes per weight tensor.
    pub codes: Vec<Vec<u8>>,
    /// How many faulty cells lie under them and how many bits changed.
    pub applied: Applied,
}

/// The codes as they are written.
pub(crate) fn written(graph: &Graph) -> Vec<Vec<u8>> {
    graph.weights.iter().map(|weights| weights.codes.clone()).collect()
}

/// The codes where cells err in these ways, addresses being those of the placement's own order; no cell may
/// be in two lists.
///
/// # Errors
/// The placement does not fit the codes.
pub fn corrupt(
    graph: &Graph,
    placement: &WeightPlacement,
    parts: &[(&[FaultyCell], FaultKind)],
) -> Result<Corrupted, ApplyError> {
    let mut codes = written(graph);
    let mut applied = Applied::default();
    for &(faults, kind) in parts {
        match placement {
            WeightPlacement::Resident(placement) => {
                let mut tensors: Vec<CodeTensor<'_>> = codes
                    .iter_mut()
                    .zip(&graph.weights)
                    .zip(&placement.tensors)
                    .map(|((codes, weights), placed)| CodeTensor {
                        codes,
                        bits: weights.bits,
                        first_bit: placed.first_bit,
                    })
                    .collect();
                for of_tensor in vmin_sram::apply_all(faults, kind, &mut tensors)? {
                    applied += of_tensor;
                }
            }
            WeightPlacement::Streamed(placement) => {
                let tensors = codes.iter_mut().map(Vec::as_mut_slice);
                applied += placement.apply(faults, kind, tensors)?;
            }
        }
    }
    Ok(Corrupted { codes, applied })
}

/// Checks that a placement is that of this network.
pub(crate) fn check(graph: &Graph, placement: &WeightPlacement) -> Result<(), ProtectedError> {
    let placed = match placement {
        WeightPlacement::Resident(placement) => placement.tensors.len(),
        WeightPlacement::Streamed(placement) => placement.tensors.len(),
    };
    let tensors = graph.weights.len();
    if placed != tensors {
        return Err(ProtectedError::PlacedTensors { placed, tensors });
    }
    corrupt(graph, placement, &[(&[], FaultKind::Flip)])?;
    Ok(())
}

/// The codes with each bit inverted at random, as [`vmin_sram::flip_at_random`] says; a layer is a
/// weight tensor.
fn flip_at_random(graph: &Graph, rate: f64, key: ChipKey, read: u64) -> Corrupted {
    let mut codes = written(graph);
    let mut applied = Applied::default();
    for ((layer, codes), weights) in (0u32..).zip(&mut codes).zip(&graph.weights) {
        applied += vmin_sram::flip_at_random(codes, weights.bits, rate, key, read, layer);
    }
    Corrupted { codes, applied }
}

/// The weights of a chip at a read, through whatever protects them.
pub(crate) fn read(
    graph: &Graph,
    placement: &WeightPlacement,
    contents: &[Contents<'_>],
    powered: &Powered<'_>,
    read: u64,
) -> Corrupted {
    let Arrays { protected, layout, reads, .. } = powered.arrays;
    if protected.stages.is_plain()
        && let [(_, errors)] = &powered.levels[..]
    {
        if let Errors::AnyBit(rate) = errors {
            return flip_at_random(graph, *rate, *reads, read);
        }
        let mut parts = errors.at_read(*reads, read);
        if !layout.is_identity() {
            for (cells, _) in &mut parts {
                *cells = layout.faulty_bits(cells).into();
            }
        }
        let parts: Vec<_> = parts.iter().map(|(cells, kind)| (&cells[..], *kind)).collect();
        return corrupt(graph, placement, &parts).expect("placed codes");
    }
    let mut codes = written(graph);
    let mut done = ReadBack::default();
    for contents in contents {
        let faults = powered.compiled(contents, &|tensor, code| codes[tensor][code].into(), read);
        done += faults.read(&protected.stages.scheme, &protected.stored, &mut codes[..]);
    }
    let applied = Applied { cells_hit: done.cells_hit, bits_flipped: done.bits_flipped };
    Corrupted { codes, applied }
}

/// Codes of the weight tensors of a network, with their zeros.
pub(crate) fn stored(graph: &Graph) -> Vec<Stored> {
    let of = |weights: &WeightTensor| Stored {
        codes: weights.codes.len(),
        bits: weights.bits,
        zeros: zeros(weights),
        toward_zero: match weights.encoding {
            Encoding::TwosComplement => TowardZero::SignBit,
            Encoding::OffsetBinary => TowardZero::NotSignBit,
            Encoding::SignMagnitude => TowardZero::Clear,
        },
    };
    graph.weights.iter().map(of).collect()
}

/// The damage of wrong weights, per tensor: scales relative to the largest, squared, in steps of 2^-20.
pub(crate) fn damage(graph: &Graph) -> Vec<Damage> {
    let scale = |weights: &WeightTensor| {
        weights.scales.iter().map(|&scale| f64::from(scale)).fold(0.0, f64::max)
    };
    let largest = graph.weights.iter().map(scale).fold(f64::MIN_POSITIVE, f64::max);
    let of = |weights: &WeightTensor| {
        let relative = scale(weights) / largest;
        let values = weights.encoding.decode_table(weights.bits);
        Damage {
            values: values.iter().map(|&value| value.into()).collect(),
            // At most 2^20.
            weight: (relative * relative * f64::from(1 << 20)).ceil() as u64,
        }
    };
    graph.weights.iter().map(of).collect()
}

/// The codes that mean zero, one per channel where they differ.
fn zeros(weights: &WeightTensor) -> Vec<u32> {
    let code = |&zero: &i32| {
        let nearest =
            zero.clamp(weights.encoding.min(weights.bits), weights.encoding.max(weights.bits));
        weights.encoding.encode(nearest, weights.bits).unwrap_or(0).into()
    };
    let mut zeros: Vec<u32> = weights.zero_points.iter().map(code).collect();
    if zeros.windows(2).all(|pair| pair[0] == pair[1]) {
        zeros.truncate(1);
    }
    if zeros.is_empty() {
        zeros.push(code(&0));
    }
    zeros
}
