//! Weights as the memory gives them back.

use vmin_accel::placement::WeightPlacement;
use vmin_nn::{ChannelGroup, Graph, WeightTensor};
use vmin_protection::store::{Axis, Channels, Damage, Storage};
use vmin_protection::words::{Codes, ReadBack, Stored, TowardZero};
use vmin_quant::Encoding;
use vmin_sram::{Applied, ApplyError, ChipKey, CodeTensor, FaultKind, FaultyCell};

use super::contents::Contents;
use super::image::{Image, ImageError};
use super::{Arrays, Powered, ProtectedError};
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
    if powered.is_plain()
        && let [(_, errors)] = &powered.at.data[..]
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
    let storage = storage(graph, contents, powered);
    let mut codes = written(graph);
    let mut done = ReadBack::default();
    for contents in contents {
        for &(tensor, code, written) in storage.codes(contents.number) {
            codes[..].set(tensor, code, written);
        }
        let faults = powered.compiled(contents, read, storage);
        done += faults.read(&protected.stages.scheme, &protected.stored, &mut codes[..]);
    }
    let wrong = |(codes, weights): (&Vec<u8>, &WeightTensor)| -> u64 {
        let bits = codes.iter().zip(&weights.codes).map(|(read, code)| (read ^ code).count_ones());
        bits.map(u64::from).sum()
    };
    let bits_flipped = codes.iter().zip(&graph.weights).map(wrong).sum();
    Corrupted { codes, applied: Applied { cells_hit: done.cells_hit, bits_flipped } }
}

/// The codes that are written in place of those of the network, by content, where `images` lie in the memory.
pub(crate) fn stored_as(
    graph: &Graph,
    contents: &[Contents<'_>],
    powered: &Powered<'_>,
    images: &[Image],
    storage: &mut Storage,
) -> Result<(), ImageError> {
    let mut codes = written(graph);
    powered.read_images(contents, images, storage, &mut codes)?;
    storage.contents.values_mut().for_each(|of| of.codes.clear());
    for contents in contents {
        let mut others: Vec<(usize, usize, u32)> = Vec::new();
        for (tensor, place) in contents.codes() {
            let code = storage.code_at(tensor, place);
            let written = codes[tensor][code];
            if written != graph.weights[tensor].codes[code] {
                others.push((tensor, code, written.into()));
            }
        }
        others.sort_unstable();
        if !others.is_empty() {
            storage.contents.entry(contents.number).or_default().codes = others;
        }
    }
    Ok(())
}

/// How the bits of the weights are stored.
pub(crate) fn storage<'a>(
    graph: &Graph,
    contents: &[Contents<'_>],
    powered: &'a Powered<'_>,
) -> &'a Storage {
    powered.storage(contents, Some(&|tensor, code| graph.weights[tensor].codes[code].into()))
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

/// The damage of wrong weights, per tensor and channel: what a step of a weight moves the output, in steps of the
/// output and for an input of a given number of steps, relative to the largest, squared, in steps of 2^-20.
pub(crate) fn damage(graph: &Graph) -> Vec<Damage> {
    let mut steps: Vec<Vec<f64>> =
        graph.weights.iter().map(|of| vec![1.0; of.scales.len().max(1)]).collect();
    for node in &graph.nodes {
        let Some(product) = node.op.product() else { continue };
        let scale =
            |tensor: vmin_nn::TensorId| f64::from(graph.tensors[tensor.0].quantization.scale);
        let through = scale(node.inputs[0]) / scale(node.output);
        let tensor = product.weights.0;
        let of = graph.weights[tensor].scales.iter().map(|&of| f64::from(of) * through);
        steps[tensor] = of.collect();
    }
    let largest = steps.iter().flatten().copied().fold(f64::MIN_POSITIVE, f64::max);
    let of = |(weights, steps): (&WeightTensor, Vec<f64>)| {
        let values = weights.encoding.decode_table(weights.bits);
        // At most 2^20.
        let weight = |step: f64| ((step / largest).powi(2) * f64::from(1 << 20)).ceil() as u64;
        let weights_of = steps.into_iter().map(weight).collect();
        let values = values.iter().map(|&value| value.into()).collect();
        Damage::new(values, weights_of, weights.codes.len())
    };
    graph.weights.iter().zip(steps).map(of).collect()
}

/// How far weights that read as `codes` lie from the network's: the root of the summed damage over that of all weights
/// reading as zero.
pub(crate) fn deviation(graph: &Graph, codes: &[Vec<u8>]) -> f64 {
    let (mut wrong, mut all) = (0_u128, 0_u128);
    let tensors = graph.weights.iter().zip(codes).zip(damage(graph));
    for ((weights, codes), damage) in tensors {
        let zeros = zeros(weights);
        let run = weights.codes.len().div_ceil(zeros.len()).max(1);
        for (index, (&wanted, &read)) in weights.codes.iter().zip(codes).enumerate() {
            wrong += u128::from(damage.of(index, wanted.into(), read.into()));
            all += u128::from(damage.of(index, wanted.into(), zeros[index / run]));
        }
    }
    if wrong == 0 { 0.0 } else { (wrong as f64 / all.max(1) as f64).sqrt() }
}

/// The channels whose order is free, with their axes in the weights.
pub(crate) fn channels(graph: &Graph) -> Vec<Channels> {
    let tensor = |node: usize| Some(graph.nodes[node].op.product()?.weights.0);
    let of = |group: ChannelGroup| {
        let count = group.channels;
        let row = |tensor: usize| graph.weights[tensor].codes.len() / count;
        let rows = group.producers.iter().filter_map(|&node| tensor(node));
        let rows = rows.map(|tensor| Axis { tensor, stride: row(tensor) });
        let columns = group.consumers.iter().filter_map(|&node| tensor(node));
        let columns = columns.map(|tensor| Axis { tensor, stride: 1 });
        Channels { count, axes: rows.chain(columns).collect() }
    };
    graph.channel_groups().into_iter().map(of).collect()
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
