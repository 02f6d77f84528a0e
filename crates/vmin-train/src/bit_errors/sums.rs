//! Errors in partial sums: words of 32 bits that wait in the accumulator memory between the folds of a product.
//!
//! The bias is written first. The array adds `fold` taps at a time, in the order of the weights; a sum is read before
//! each fold and once more by the requantization, as in [`vmin_nn::exec::OutputSums`] with the bias in memory. Only outputs with errors are computed
//! again:
//!
//! ```text
//!  sum = flips(bias)                      the deployed one, which a batch normalization is part of
//!  sum = flips(sum + taps of a fold)      fold by fold, modulo 2^32
//!  output                                 cut off at the ends of the deployed codes; then it has no derivative
//! ```
//!
//! Words may be kept as `narrow_sums` and `sum_guard` keep them, by the same rule ([`SumRule`]): as many cells as the
//! layer's sums can need, and reads clamped into the range of its sums. That range is measured on some images of the
//! step, where the accelerator measures it once on calibration images.
//!
//! Differences to the accelerator: sums without an error are not clamped; the sums are those of the float pass, rounded to the accumulator's unit (exact
//! where inputs are codes); every output has a word of its own, though outputs of several columns and layers
//! share words there.

use vmin_emulator::{SumRule, bits_of_bounds, channel_bounds, widened};
use vmin_nn::Quantization;

use super::random::flips;
use crate::codec::Encoded;
use crate::network::{BatchNorm, Layer, Moments, Network, ParameterId, Step, ValueId};
use crate::random::Stream;

/// Bits of a sum.
const BITS: usize = 32;

/// The product layers whose sums have errors.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Taps that are added before a sum leaves the array.
    pub(super) fold: usize,
    /// One entry per value of the network; none where a value is no output of a product.
    pub(super) layers: Vec<Option<SumLayer>>,
}

/// What the deployed layer makes of its sums.
#[derive(Debug)]
pub(super) struct SumLayer {
    /// What 1 in the accumulator means.
    unit: f64,
    /// Per channel: what the deployed bias adds to an output of the float product.
    more: Vec<f64>,
    /// Per channel: outputs of the float product at the ends of the deployed codes.
    ends: Vec<[f32; 2]>,
    /// How words are kept.
    rule: SumRule,
}

/// A product and what becomes of its output in the deployed network.
#[derive(Clone, Debug)]
pub(super) struct StoredProduct {
    pub(super) made: ValueId,
    pub(super) input: ValueId,
    pub(super) bias: Option<ParameterId>,
    pub(super) norm: Option<BatchNorm>,
    pub(super) rectified: bool,
    pub(super) stored: ValueId,
}

impl StoredProduct {
    /// The layer with weights in these codes, in words as narrow as it allows if `narrow`; `codes` are those of all
    /// values. None without codes.
    pub(super) fn layer(
        &self,
        network: &Network,
        parameters: &[Vec<f32>],
        moments: &[Moments<f32>],
        codes: &[Option<Quantization>],
        (weights, narrow): (&Encoded, bool),
    ) -> Option<SumLayer> {
        let (input, stored) = (codes[self.input.0]?, codes[self.stored.0]?);
        let lowest = if self.rectified { stored.zero_point } else { -128 };
        let ends = [lowest, 127].map(|code| stored.scale * (code - stored.zero_point) as f32);
        let channels = network.values[self.made.0][2];
        let [gains, terms] = match &self.norm {
            None => [vec![1.0; channels], vec![0.0; channels]],
            Some(norm) => {
                let [scale, shift] = [norm.scale, norm.shift].map(|id| &parameters[id.0]);
                norm.lines(scale, shift, &moments[norm.statistics])
            }
        };
        // A gain that is not positive has no deployed form.
        let gains = gains.iter().map(|&gain| if gain > 0.0 { gain } else { f32::MIN_POSITIVE });
        let lines: Vec<(f32, f32)> = gains.zip(terms).collect();
        let unit = f64::from(input.scale) * f64::from(weights.scale);
        let more: Vec<f64> =
            lines.iter().map(|&(gain, term)| f64::from(term) / f64::from(gain)).collect();
        let mut rule = SumRule::NONE;
        if narrow {
            let own = self.bias.map_or(&[][..], |bias| &parameters[bias.0]);
            let bias = |channel| {
                integer((own.get(channel).map_or(0.0, |&b| f64::from(b)) + more[channel]) / unit)
            };
            rule.bits = word_bits(weights, bias, input.zero_point, channels);
        }
        Some(SumLayer {
            unit,
            more,
            rule,
            ends: lines
                .iter()
                .map(|&(gain, term)| {
                    ends.map(|end| ((end - term) / gain).clamp(-f32::MAX, f32::MAX))
                })
                .collect(),
        })
    }
}

/// Cells that the words of a layer need; `bias` is the integer of a channel.
fn word_bits(
    weights: &Encoded,
    bias: impl Fn(usize) -> i32,
    input_zero: i32,
    channels: usize,
) -> u8 {
    let taps = (weights.codes.len() / channels.max(1)).max(1);
    let rows = weights.codes.chunks_exact(taps).enumerate();
    let bounds = rows.map(|(channel, row)| {
        let whole = |&code: &u8| {
            integer(f64::from(weights.reals[usize::from(code)]) / f64::from(weights.scale))
        };
        channel_bounds(bias(channel), row.iter().map(whole), input_zero)
    });
    bounds.map(bits_of_bounds).max().unwrap_or(32).min(32)
}

/// Wrong bits of the sum of one output at a read, after so many folds: 0 is that of the bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hit {
    output: usize,
    read: usize,
    mask: u32,
}

impl Sums {
    /// How the words of the product that makes a value are kept.
    #[cfg(test)]
    pub(super) fn rule(&self, value: ValueId) -> Option<SumRule> {
        self.layers.get(value.0)?.as_ref().map(|layer| layer.rule)
    }

    /// The bits that flip in the sums of a product, output by output at each read.
    #[cfg(test)]
    pub(super) fn masks(
        &self,
        network: &Network,
        value: ValueId,
        rate: f64,
        stream: &mut Stream,
    ) -> Vec<(usize, Vec<u32>)> {
        let step = network.steps.iter().find(|step| step.output == value).expect("a step");
        let parameters = network.parameter_values();
        let product = Product::of(&step.layer, &parameters).expect("a product");
        let reads = product.taps().div_ceil(self.fold) + 1;
        let hits = single(network.elements(value), reads, rate, stream);
        let of_output = |hits: &[Hit]| {
            let mut masks = vec![0; reads];
            hits.iter().for_each(|hit| masks[hit.read] = hit.mask);
            (hits[0].output, masks)
        };
        hits.chunk_by(|a, b| a.output == b.output).map(of_output).collect()
    }

    pub(super) fn errs(&self, value: ValueId) -> bool {
        matches!(self.layers.get(value.0), Some(Some(_)))
    }

    /// Clamps what is read into the range that sums have on these images, each end moved outwards by `margin`
    /// times their distance. `read` gives the values that the layers of an image read.
    pub(super) fn guard<'x>(
        &mut self,
        network: &Network,
        parameters: &[Vec<f32>],
        images: usize,
        margin: f64,
        read: impl Fn(ValueId) -> &'x [f32],
    ) {
        for step in &network.steps {
            let (Some(Some(layer)), Some(product)) =
                (self.layers.get_mut(step.output.0), Product::of(&step.layer, parameters))
            else {
                continue;
            };
            let x = read(step.inputs[0]);
            let mut seen: Option<[i32; 2]> = None;
            for output in 0..images * network.elements(step.output) {
                let (place, channel) = (output / product.output[2], output % product.output[2]);
                let own = product.bias.get(channel).map_or(0.0, |&bias| f64::from(bias));
                let mut sum = own + layer.more[channel];
                for first in (0..=product.taps()).step_by(self.fold) {
                    let whole = integer(sum / layer.unit);
                    let [low, high] = seen.unwrap_or([whole; 2]);
                    seen = Some([low.min(whole), high.max(whole)]);
                    let last = product.taps().min(first + self.fold);
                    sum += product.sum(x, place, channel, first..last);
                }
                let whole = integer(sum / layer.unit);
                seen = seen.map(|[low, high]| [low.min(whole), high.max(whole)]);
            }
            layer.rule.range = widened(seen.unwrap_or(SumRule::NONE.range), margin);
        }
    }

    /// Makes of the right outputs of a product those of the sums as read; returns the outputs that were cut off.
    /// Bits flip at this rate, anew at every read, or (`persistent`) the same bits of an output at every read and
    /// in every image.
    pub(super) fn read(
        &self,
        step: &Step,
        parameters: &[Vec<f32>],
        x: &[f32],
        made: &mut [f32],
        (rate, persistent): (f64, bool),
        stream: &mut Stream,
    ) -> Vec<usize> {
        let (Some(Some(layer)), Some(product)) =
            (self.layers.get(step.output.0), Product::of(&step.layer, parameters))
        else {
            return Vec::new();
        };
        let reads = product.taps().div_ceil(self.fold) + 1;
        let per_image = product.output.iter().product();
        let hits = if persistent {
            lasting(per_image, made.len() / per_image, reads, rate, stream)
        } else {
            single(made.len(), reads, rate, stream)
        };
        let mut cut_off = Vec::new();
        for hits in hits.chunk_by(|a, b| a.output == b.output) {
            let output = hits[0].output;
            let wrong = self.output(layer, &product, x, made[output], hits);
            let [low, high] = layer.ends[output % product.output[2]];
            if !(low..=high).contains(&wrong) {
                cut_off.push(output);
            }
            made[output] = wrong.max(low).min(high);
        }
        cut_off
    }

    /// The output of the product if its sum is read with these errors.
    fn output(
        &self,
        layer: &SumLayer,
        product: &Product<'_>,
        x: &[f32],
        right: f32,
        hits: &[Hit],
    ) -> f32 {
        let (place, channel) =
            (hits[0].output / product.output[2], hits[0].output % product.output[2]);
        let more = layer.more[channel];
        let mut sum = product.bias.get(channel).map_or(0.0, |&bias| f64::from(bias)) + more;
        let (mut taps, mut error) = (0, 0_i32);
        let used = u32::MAX >> (32 - u32::from(layer.rule.bits));
        let mut at = |read: usize, mask: u32| {
            let last = product.taps().min(read * self.fold);
            sum += product.sum(x, place, channel, taps..last);
            taps = last;
            let whole = integer(sum / layer.unit);
            let written = layer.rule.cut(whole.wrapping_add(error)).cast_unsigned();
            error = layer.rule.read((written ^ mask & used).cast_signed()).wrapping_sub(whole);
        };
        if layer.rule == SumRule::NONE {
            hits.iter().for_each(|hit| at(hit.read, hit.mask));
        } else {
            let mut later = hits.iter().peekable();
            for read in 0..=product.taps().div_ceil(self.fold) {
                let hit = later.next_if(|hit| hit.read == read);
                at(read, hit.map_or(0, |hit| hit.mask));
            }
        }
        let whole = integer((f64::from(right) + more) / layer.unit);
        let moved = f64::from(whole.wrapping_add(error)) - f64::from(whole);
        narrow(f64::from(right) + layer.unit * moved)
    }
}

/// Hits of single reads, output by output, read by read.
fn single(outputs: usize, reads: usize, rate: f64, stream: &mut Stream) -> Vec<Hit> {
    let mut hits: Vec<Hit> = Vec::new();
    for bit in flips(outputs * reads * BITS, rate, stream) {
        let (output, read, mask) = (bit / BITS / reads, bit / BITS % reads, 1 << (bit % BITS));
        match hits.last_mut() {
            Some(last) if (last.output, last.read) == (output, read) => last.mask |= mask,
            Some(_) | None => hits.push(Hit { output, read, mask }),
        }
    }
    hits
}

/// Hits of the same bits at every read of every image.
fn lasting(
    outputs: usize,
    images: usize,
    reads: usize,
    rate: f64,
    stream: &mut Stream,
) -> Vec<Hit> {
    let cells = single(outputs, 1, rate, stream);
    let of_image = |image: usize| {
        let place = move |hit: &Hit| Hit { output: image * outputs + hit.output, ..*hit };
        let every = move |hit: Hit| (0..reads).map(move |read| Hit { read, ..hit });
        cells.iter().map(place).flat_map(every)
    };
    (0..images).flat_map(of_image).collect()
}

/// A convolution or, as one over a single pixel, a fully connected layer.
struct Product<'p> {
    weights: &'p [f32],
    bias: &'p [f32],
    input: [usize; 3],
    output: [usize; 3],
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl<'p> Product<'p> {
    fn of(layer: &Layer, parameters: &'p [Vec<f32>]) -> Option<Self> {
        let values = |id: ParameterId| parameters[id.0].as_slice();
        match layer {
            Layer::Conv2d(layer) => Some(Self {
                weights: values(layer.weights),
                bias: layer.bias.map_or(&[], values),
                input: layer.input,
                output: layer.output,
                kernel: layer.kernel,
                stride: layer.stride,
                padding: layer.padding,
            }),
            Layer::FullyConnected(layer) => Some(Self {
                weights: values(layer.weights),
                bias: values(layer.bias),
                input: [1, 1, layer.inputs],
                output: [1, 1, layer.outputs],
                kernel: 1,
                stride: 1,
                padding: 0,
            }),
            Layer::BatchNorm(_)
            | Layer::GroupNorm(_)
            | Layer::Relu
            | Layer::Add
            | Layer::Pool2d(_) => None,
        }
    }

    fn taps(&self) -> usize {
        self.kernel * self.kernel * self.input[2]
    }

    /// The products of some taps at a place (a pixel of an image) and a channel of the output.
    fn sum(&self, x: &[f32], place: usize, channel: usize, taps: std::ops::Range<usize>) -> f64 {
        let [height, width, channels] = self.input;
        let (image, pixel) =
            (place / (self.output[0] * self.output[1]), place % (self.output[0] * self.output[1]));
        let x = &x[image * height * width * channels..][..height * width * channels];
        let weights = &self.weights[channel * self.taps()..][..self.taps()];
        let (row, column) = (pixel / self.output[1], pixel % self.output[1]);
        let mut sum = 0.0;
        let mut tap = taps.start;
        while tap < taps.end {
            let (position, within) = (tap / channels, tap % channels);
            let count = (channels - within).min(taps.end - tap);
            let y = (row * self.stride + position / self.kernel).checked_sub(self.padding);
            let left = (column * self.stride + position % self.kernel).checked_sub(self.padding);
            if let (Some(y), Some(left)) = (y.filter(|&y| y < height), left.filter(|&x| x < width))
            {
                let from = (y * width + left) * channels + within;
                let pairs = weights[tap..tap + count].iter().zip(&x[from..from + count]);
                sum += pairs.map(|(&weight, &x)| f64::from(weight) * f64::from(x)).sum::<f64>();
            }
            tap += count;
        }
        sum
    }
}

/// The nearest integer, modulo 2^32.
#[expect(clippy::cast_possible_truncation, reason = "what the accumulator keeps of a sum")]
fn integer(sum: f64) -> i32 {
    libm::round(sum) as i64 as i32
}

#[expect(clippy::cast_possible_truncation, reason = "rounds")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
pub(super) mod tests;
