//! Weights that are quantized to the codes they were decoded from.
//!
//! A code is decoded to the middle, or to one end, of the interval that it covers. So the range of the decoded
//! weights is not quite the range of the original weights:
//!
//! ```text
//!  weights   |-·--·---·-·-|         range, maybe cut off by `clip`: not on the grid of codes
//!  meanings  | · ·  ·  · ·  |       on the grid: up to half a step beyond the range
//! ```

use vmin_nn::WeightTensor;

use crate::codec::{Encoded, integers};
use crate::network::{Network, ParameterId};
use crate::{Recipe, clip, weights};

/// Most rounds of moving weights whose code changed.
const ROUNDS: usize = 3;

/// Share of the width by which a moved range is narrowed, so that its zero cannot fall between two
/// codes.
const NARROWED: f32 = 1e-6;

/// Moves weights by at most half a step so that the recipe quantizes them to their codes again.
///
/// 1. The ends of the range move to the bounds of the recipe, and to their old places for schemes that
///    truncate over an asymmetric range.
/// 2. A weight moves half a step for each integer of its difference: in schemes that truncate, the last bit of
///    the scale decides the integer at the end of a step.
///
/// Tensors that the recipe quantizes differently, with other bits or over another range, stay as they are.
pub(super) fn settle(
    network: &mut Network,
    sources: &[(&WeightTensor, ParameterId)],
    recipe: &Recipe,
) {
    let quantization = recipe.storage();
    let bounds = clip::bounds(network, recipe);
    let Some((ends, truncates)) = integers(quantization) else { return };
    for &(tensor, parameter) in sources {
        let bound = bounds[parameter.0];
        if tensor.scales.len() == 1 && tensor.bits == quantization.bits {
            let values = &mut network.parameters[parameter.0].values;
            let lost = if truncates { lost_end(tensor, ends) } else { None };
            place_ends(values, tensor.scales[0], lost, bound);
        }
    }
    for _ in 0..ROUNDS {
        let parameters = network.parameter_values();
        let Some(stored) = weights::stored(network, &parameters, quantization) else { return };
        let mut moved = false;
        for (&(tensor, parameter), stored) in sources.iter().zip(&stored) {
            if alike(tensor, stored, quantization.bits) {
                moved |= correct(&mut network.parameters[parameter.0].values, tensor, stored);
            }
        }
        if !moved {
            return;
        }
    }
}

/// The end of the range that no code reaches, as one step down or up.
fn lost_end(tensor: &WeightTensor, [low, high]: [i32; 2]) -> Option<f32> {
    let table = tensor.encoding.decode_table(tensor.bits);
    let integers = tensor.codes.iter().map(|&code| i32::from(table[usize::from(code)]));
    let (first, last) = (integers.clone().min()?, integers.max()?);
    match (first - low, high - last) {
        (1, 0) => Some(-1.0),
        (0, 1) => Some(1.0),
        _ => None,
    }
}

/// Moves the smallest and the largest weights to the ends of the range.
fn place_ends(values: &mut [f32], step: f32, lost: Option<f32>, bound: f32) {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut to_low, mut to_high) = (low, high);
    // The old range was moved by an unknown amount of up to half a step.
    if let Some(direction) = lost {
        let far = [0.25, 0.75];
        to_low -= step * far[usize::from(direction < 0.0)];
        to_high += step * far[usize::from(direction > 0.0)];
    }
    let width = (to_high - to_low) * (1.0 - NARROWED);
    let near = |x: f32| x.abs() < 0.01 * step;
    if near(low - 0.5 * step + bound) && near(high + 0.5 * step - bound) {
        // Both ends were clipped half way between two codes: the same numbers are rounded the same way.
        (to_low, to_high) = (-bound, bound);
    } else if to_low < -bound && to_low + 0.51 * step >= -bound {
        to_low = -bound;
        to_high = (width - bound).min(bound);
    } else if to_high > bound && to_high - 0.51 * step <= bound {
        to_high = bound;
        to_low = (bound - width).max(-bound);
    }
    for value in values {
        if *value == low {
            *value = to_low;
        } else if *value == high {
            *value = to_high;
        }
    }
}

/// Whether a tensor has its old quantization, up to single codes.
fn alike(tensor: &WeightTensor, stored: &Encoded, bits: u8) -> bool {
    tensor.scales.len() == 1
        && tensor.bits == bits
        && tensor.encoding == stored.encoding
        && tensor.zero_points[0] == stored.zero_point
        && (stored.scale / tensor.scales[0] - 1.0).abs() < 0.01
}

/// Moves weights half a step for each integer of their difference; true if any weight moved.
fn correct(values: &mut [f32], tensor: &WeightTensor, stored: &Encoded) -> bool {
    let integers = tensor.encoding.decode_table(tensor.bits);
    let mut moved = false;
    for (value, (&wanted, &found)) in values.iter_mut().zip(tensor.codes.iter().zip(&stored.codes))
    {
        let steps = integers[usize::from(wanted)].wrapping_sub(integers[usize::from(found)]);
        *value += 0.5 * stored.scale * f32::from(steps);
        moved |= wanted != found;
    }
    moved
}
