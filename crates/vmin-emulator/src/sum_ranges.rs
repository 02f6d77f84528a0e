//! Which partial sums a network can have, and which it has.
//!
//! The bound holds for every image and for taps in any order, since each tap adds at least the least and at
//! most the most that its input codes allow, or nothing:
//!
//! ```text
//!  bias + sum over taps of min(0, least) <= partial sum <= bias + sum over taps of max(0, most)
//! ```

use rayon::prelude::*;
use vmin_accel::placement::SumPlacement;
use vmin_kernels::GemmKernel;
use vmin_nn::exec::{Executor, LayerSums};
use vmin_nn::{Graph, ModelError};

/// Lowest and highest partial sum that a node can have under these weight codes, as if sums had no limit;
/// none if the node is no product.
///
/// # Panics
/// If `node` is out of range, `codes` do not have the lengths of the graph's, or the graph does not pass
/// [`Graph::validate`].
#[must_use]
pub fn sum_bounds(graph: &Graph, codes: &[Vec<u8>], node: usize) -> Option<[i64; 2]> {
    let conv = graph.nodes[node].op.product()?;
    let tensor = &graph.weights[conv.weights.0];
    let input_zero = graph.tensors[graph.nodes[node].inputs[0].0].quantization.zero_point;
    let table = tensor.encoding.decode_table(tensor.bits);
    let taps = tensor.codes.len() / tensor.shape[0];
    let of_channel = |(channel, row): (usize, &[u8])| {
        let zero = tensor.zero_points[channel % tensor.zero_points.len()];
        let weights = row.iter().map(|&code| i32::from(table[usize::from(code)]) - zero);
        channel_bounds(conv.bias[channel], weights, input_zero)
    };
    // An input code can be its zero point, so that the least is never above 0, nor the most below.
    let channels = codes[conv.weights.0].chunks_exact(taps).enumerate().map(of_channel);
    channels.reduce(|[low, high], [a, b]| [low.min(a), high.max(b)])
}

/// As [`sum_bounds`], of one output: its bias, its weights less their zero point, and the zero point of its inputs.
#[must_use]
pub fn channel_bounds(
    bias: i32,
    weights: impl IntoIterator<Item = i32>,
    input_zero: i32,
) -> [i64; 2] {
    let inputs = [i8::MIN, i8::MAX].map(|code| i64::from(code) - i64::from(input_zero));
    weights.into_iter().fold([bias.into(); 2], |[low, high], weight| {
        let [a, b] = inputs.map(|input| input * i64::from(weight));
        [low + a.min(b), high + a.max(b)]
    })
}

/// Bits of a two's complement accumulator that holds both ends.
#[must_use]
pub fn bits_of_bounds(bounds: [i64; 2]) -> u8 {
    // The sign, and the bits below the first that differs from it: at most 64.
    bounds.map(|sum| 65 - (sum ^ sum >> 63).leading_zeros()).into_iter().max().unwrap_or(1) as u8
}

/// Bits of a two's complement accumulator in which no partial sum of a node overflows, with the graph's own
/// weights; none where a node is no product. Sums of 32 bits that can overflow need more than 32.
///
/// # Panics
/// As [`sum_bounds`].
#[must_use]
pub fn sum_bits(graph: &Graph) -> Vec<Option<u8>> {
    let codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let bits = |node| sum_bounds(graph, &codes, node).map(bits_of_bounds);
    (0..graph.nodes.len()).map(bits).collect()
}

/// Lowest and highest partial sum of each node that the memory gives back for images of
/// `[height, width, channels]` pixels, without faults; none where a node is no product. Both ends move outwards
/// by `margin` times the distance between them.
///
/// # Errors
/// The graph has no rule for pixels.
///
/// # Panics
/// If the graph is not that of `placement`, or `margin` is negative or no number.
pub fn sum_ranges(
    graph: &Graph,
    placement: &SumPlacement,
    bias_in_memory: bool,
    pixels: &[u8],
    margin: f64,
    kernel: &'static dyn GemmKernel,
) -> Result<Vec<Option<[i32; 2]>>, ModelError> {
    assert!(margin >= 0.0, "a margin is at least 0");
    let codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let executor = Executor::new(graph, kernel);
    let weights = executor.load_weights(&codes);
    let layers =
        placement.layers.iter().enumerate().map(|(node, placed)| {
            LayerSums::new(graph, node, &codes, placed.as_ref()?.fold, kernel)
        });
    let layers: Vec<Option<LayerSums>> = layers.collect();
    let none = || vec![None; graph.nodes.len()];
    let inputs = graph.input_codes(pixels)?;
    let of_image = |mut seen: Vec<Option<[i32; 2]>>, input: &[i8]| {
        let tensors = executor.run_all(&weights, input);
        for ((layer, node), seen) in layers.iter().zip(&graph.nodes).zip(&mut seen) {
            let Some(layer) = layer else { continue };
            let _ = layer.run(&tensors[node.inputs[0].0], bias_in_memory, |_, _, sums| {
                *seen = sums.iter().fold(*seen, |seen, &sum| union(seen, Some([sum; 2])));
            });
        }
        seen
    };
    let seen = inputs
        .par_chunks_exact(graph.tensors[graph.input.0].elements())
        .fold(none, of_image)
        .reduce(none, |a, b| a.into_iter().zip(b).map(|(a, b)| union(a, b)).collect());
    Ok(seen.into_iter().map(|range| Some(widened(range?, margin))).collect())
}

fn union(a: Option<[i32; 2]>, b: Option<[i32; 2]>) -> Option<[i32; 2]> {
    match (a, b) {
        (Some([low, high]), Some([lower, higher])) => Some([low.min(lower), high.max(higher)]),
        (range, None) | (None, range) => range,
    }
}

/// A range whose ends move outwards by `margin` times the distance between them.
#[must_use]
pub fn widened([low, high]: [i32; 2], margin: f64) -> [i32; 2] {
    // Differences of i32 are exact in f64, the casts saturate.
    let room = ((f64::from(high) - f64::from(low)) * margin).ceil();
    [(f64::from(low) - room) as i32, (f64::from(high) + room) as i32]
}
