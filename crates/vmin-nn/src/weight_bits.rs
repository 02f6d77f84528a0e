//! The same network with another number of bits per weight.

use vmin_quant::{Encoding, FixedMultiplier};

use crate::{Conv2d, Graph, ModelError, Op, WeightTensor};

/// `graph` with weights of `bits` bits: each weight is dequantized and quantized again,
/// symmetrically, with as many scales as before; multipliers and biases follow the new scales,
/// so a batch norm folded into a multiplier stays there. Encodings are kept.
///
/// # Errors
/// `bits` outside 2..=8, or a graph that breaks a rule of [`Graph::validate`] before or after.
pub fn with_weight_bits(graph: &Graph, bits: u8) -> Result<Graph, ModelError> {
    graph.validate()?;
    if !(2..=8).contains(&bits) {
        return Err(ModelError::graph("weights get 2..=8 bits", bits));
    }
    let mut result = graph.clone();
    for weights in &mut result.weights {
        quantize_again(weights, bits);
    }
    for node in &mut result.nodes {
        let Op::Conv2d(conv) = &mut node.op else { continue };
        let id = conv.weights.0;
        follow(conv, &graph.weights[id].scales, &result.weights[id].scales).map_err(|factor| {
            ModelError::node(&node.name, "requantization factors are below 2^30", factor)
        })?;
    }
    result.validate()?;
    Ok(result)
}

fn quantize_again(weights: &mut WeightTensor, bits: u8) {
    let highest = (1i32 << (bits - 1)) - 1;
    let per_channel = weights.codes.len() / weights.shape[0];
    let channel = |index: usize| index / per_channel;
    let integers: Vec<i32> = weights
        .codes
        .iter()
        .enumerate()
        .map(|(i, &code)| {
            let zero = weights.zero_points[channel(i) % weights.zero_points.len()];
            i32::from(weights.encoding.decode(code, weights.bits)) - zero
        })
        .collect();
    let groups = weights.scales.len();
    let mut largest = vec![0i32; groups];
    for (i, integer) in integers.iter().enumerate() {
        let group = &mut largest[channel(i) % groups];
        *group = (*group).max(integer.abs());
    }
    // A group of zeros keeps its scale.
    let ratio = |group: usize| match largest[group] {
        0 => 1.0,
        largest => f64::from(largest) / f64::from(highest),
    };
    for (i, (code, &integer)) in weights.codes.iter_mut().zip(&integers).enumerate() {
        let steps = libm::round(f64::from(integer) / ratio(channel(i) % groups)) as i32;
        *code = encode(weights.encoding, bits, steps.clamp(-highest, highest));
    }
    for (group, scale) in weights.scales.iter_mut().enumerate() {
        *scale = (f64::from(*scale) * ratio(group)) as f32;
    }
    weights.zero_points = vec![0];
    weights.bits = bits;
}

/// The code of an integer in `-(2^(bits-1) - 1) ..= 2^(bits-1) - 1`.
fn encode(encoding: Encoding, bits: u8, integer: i32) -> u8 {
    let half = 1i32 << (bits - 1);
    let code = match encoding {
        Encoding::TwosComplement => integer & (2 * half - 1),
        Encoding::OffsetBinary => integer + half,
        Encoding::SignMagnitude if integer < 0 => half - integer,
        Encoding::SignMagnitude => integer,
    };
    code as u8
}

/// Multipliers and biases at the new scales.
fn follow(conv: &mut Conv2d, old: &[f32], new: &[f32]) -> Result<(), f64> {
    let ratio = |c: usize| match old[c % old.len()] {
        // A dead channel.
        0.0 => 1.0,
        old => f64::from(new[c % new.len()]) / f64::from(old),
    };
    for (c, factor) in conv.multipliers.iter_mut().enumerate() {
        let held = FixedMultiplier::from_real(*factor * ratio(c)).map_err(|error| error.0)?;
        *factor = held.real();
    }
    for (c, bias) in conv.bias.iter_mut().enumerate() {
        let scaled = libm::round(f64::from(*bias) / ratio(c));
        *bias = scaled.clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_is_the_inverse_of_decode() {
        for encoding in [Encoding::TwosComplement, Encoding::OffsetBinary, Encoding::SignMagnitude]
        {
            for bits in 2..=8u8 {
                let highest = (1i32 << (bits - 1)) - 1;
                for integer in -highest..=highest {
                    let code = encode(encoding, bits, integer);
                    assert_eq!(u16::from(code) >> bits, 0);
                    assert_eq!(i32::from(encoding.decode(code, bits)), integer);
                }
            }
        }
    }
}
