//! How the inputs of each layer vary together, on calibration images.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use vmin_kernels::GemmKernel;
use vmin_nn::exec::Executor;
use vmin_nn::{Conv2d, ConvKind, Graph, Node};
use vmin_protection::mechanisms::SIDE_MAX;
use vmin_protection::store::Moments;

use crate::emulator::{EmulatorError, Stopped};

/// Outputs of a layer that are looked at, spread over images and places; of each image at least one.
const OUTPUTS: usize = 8192;

/// Inputs of these outputs that are held.
const INPUTS: usize = 1 << 24;

/// Parts of a squared step of the input: 255 steps squared fit 32 bits.
const UNIT: i128 = 256;

/// The windows of a layer on its input: for each output place the inputs of all codes of a channel.
struct Windows<'g> {
    conv: &'g Conv2d,
    input: [usize; 3],
    output: [usize; 2],
    /// Codes of a channel, as `[height, width, channels]`.
    window: [usize; 3],
    zero: i16,
}

impl<'g> Windows<'g> {
    /// None where a node is no product, or its windows are too large.
    fn of(graph: &'g Graph, node: &'g Node) -> Option<Self> {
        let conv = node.op.product()?;
        let shape = &graph.weights[conv.weights.0].shape;
        let from = &graph.tensors[node.inputs[0].0];
        let (input, output, window) = match (conv.kind, &shape[..]) {
            (ConvKind::Dense | ConvKind::Depthwise, &[_, height, width, inputs]) => {
                let [from, to] = [&from.shape, &graph.tensors[node.output.0].shape];
                let (&[h, w, c], &[oh, ow, _]) = (&from[..], &to[..]) else { return None };
                ([h, w, c], [oh, ow], [height, width, inputs])
            }
            (_, shape) => {
                let inputs = *shape.last()?;
                ([1, 1, inputs], [1, 1], [1, 1, inputs])
            }
        };
        let side = window.iter().product::<usize>();
        // A zero point is a code.
        let zero = from.quantization.zero_point as i16;
        (1..=SIDE_MAX).contains(&side).then_some(Self { conv, input, output, window, zero })
    }

    fn side(&self) -> usize {
        self.window.iter().product()
    }

    /// Channels of the input that have windows of their own; one if a window covers all.
    fn groups(&self) -> usize {
        if self.conv.kind == ConvKind::Depthwise { self.input[2] } else { 1 }
    }

    /// Adds the windows of one image at `count` places from `first` on, one behind the other.
    fn add(
        &self,
        codes: &[i8],
        group: usize,
        places: impl Iterator<Item = usize>,
        to: &mut Vec<i16>,
    ) {
        let Conv2d { stride, dilation, padding, .. } = self.conv;
        let [height, width, channels] = self.input;
        let at = |axis: usize, out: usize, tap: usize, length: usize| {
            let place = (out * stride[axis] + tap * dilation[axis]).checked_sub(padding[axis]);
            place.filter(|place| *place < length)
        };
        for place in places {
            let [y, x] = [place / self.output[1], place % self.output[1]];
            for tap in 0..self.window[0] * self.window[1] {
                let row = at(0, y, tap / self.window[1], height);
                let column = at(1, x, tap % self.window[1], width);
                let inputs: Range<usize> = group..group + self.window[2];
                match row.zip(column) {
                    Some((row, column)) => {
                        let of = &codes[(row * width + column) * channels..][inputs];
                        to.extend(of.iter().map(|&code| i16::from(code) - self.zero));
                    }
                    None => to.extend(inputs.map(|_| 0)),
                }
            }
        }
    }
}

/// The moments of the inputs of each weight tensor, in 1/256 of a squared step, on images of
/// `[height, width, channels]` pixels and without errors: about the mean, or about zero. None of layers with
/// windows of more than [`SIDE_MAX`] codes, and of weights that several layers share.
///
/// # Errors
/// The graph has no rule for pixels, or `stop` was set.
pub fn moments(
    graph: &Graph,
    pixels: &[u8],
    about_mean: bool,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
) -> Result<Vec<Moments>, EmulatorError> {
    let inputs = graph.input_codes(pixels);
    let inputs = inputs.map_err(|error| EmulatorError::Pixels(error.to_string()))?;
    let codes: Vec<_> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let executor = Executor::new(graph, kernel);
    let weights = executor.load_weights(&codes);
    let size = graph.tensors[graph.input.0].elements();
    let images = inputs.len() / size;
    let all: Vec<Option<Windows<'_>>> =
        graph.nodes.iter().map(|node| Windows::of(graph, node)).collect();
    // Per node and group, the windows of one image.
    let of_image = |(image, input): (usize, &[i8])| -> Result<Vec<Vec<Vec<i16>>>, Stopped> {
        if stop.load(Ordering::Relaxed) {
            return Err(Stopped);
        }
        let tensors = executor.run_all(&weights, input);
        let of_node = |(windows, node): (&Option<Windows<'_>>, &Node)| {
            let Some(windows) = windows else { return Vec::new() };
            let places = windows.output.iter().product::<usize>();
            let held = OUTPUTS.min(INPUTS / windows.side() / windows.groups());
            let count = (held / images).clamp(1, places);
            let of_group = |group: usize| {
                let mut seen = Vec::new();
                // Other places of each image.
                let chosen = (0..count).map(|at| (at * places / count + image) % places);
                windows.add(&tensors[node.inputs[0].0], group, chosen, &mut seen);
                seen
            };
            (0..windows.groups()).map(of_group).collect()
        };
        Ok(all.iter().zip(&graph.nodes).map(of_node).collect())
    };
    let seen = inputs.par_chunks_exact(size).enumerate().map(of_image);
    let seen = seen.collect::<Result<Vec<_>, Stopped>>()?;
    let mut moments = vec![Moments::default(); graph.weights.len()];
    let mut readers = vec![0; graph.weights.len()];
    for (node, windows) in all.iter().enumerate() {
        let Some(windows) = windows else { continue };
        let (side, tensor) = (windows.side(), windows.conv.weights.0);
        let channels = graph.weights[tensor].shape[0];
        let of_group = |group: usize| {
            let windows = seen.iter().flat_map(|image| image[node][group].chunks_exact(side));
            matrix(&windows.collect::<Vec<_>>(), side, about_mean)
        };
        let groups = windows.groups();
        let matrices: Vec<Vec<i32>> = (0..groups).map(of_group).collect();
        // A depthwise channel reads one channel of the input.
        let of = if groups == 1 { 0..1 } else { 0..channels };
        let of = of.flat_map(|channel| &matrices[channel * groups / channels]).copied();
        readers[tensor] += 1;
        moments[tensor] = if readers[tensor] == 1 {
            Moments::new(side, of.collect())
        } else {
            Moments::default()
        };
    }
    Ok(moments)
}

/// The moments of windows of `side` inputs, row by row.
fn matrix(windows: &[&[i16]], side: usize, about_mean: bool) -> Vec<i32> {
    let column = |index: usize| windows.iter().map(|window| window[index]).collect::<Vec<i16>>();
    let columns: Vec<Vec<i16>> = (0..side).map(column).collect();
    let sum = |column: &[i16]| column.iter().map(|&input| i64::from(input)).sum::<i64>();
    let sums: Vec<i128> = columns.iter().map(|column| sum(column).into()).collect();
    let count = windows.len().max(1) as i128;
    let moment = |a: usize, b: usize| {
        // 2^14 products of at most 2^16 fit 32 bits.
        let parts = columns[a].chunks(1 << 14).zip(columns[b].chunks(1 << 14));
        let products = |(a, b): (&[i16], &[i16])| -> i64 {
            a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>().into()
        };
        let products: i64 = parts.map(products).sum();
        let mean = if about_mean { sums[a] * sums[b] } else { 0 };
        ((count * i128::from(products) - mean) * UNIT / (count * count)) as i32
    };
    let row = |a: usize| (0..=a).map(|b| moment(a, b)).collect::<Vec<i32>>();
    let half: Vec<Vec<i32>> = (0..side).into_par_iter().map(row).collect();
    let whole = (0..side * side).map(|at| {
        let [a, b] = [at / side, at % side];
        half[a.max(b)][a.min(b)]
    });
    whole.collect()
}
