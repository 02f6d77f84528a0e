//! Errors in what layers read: pixels and activations, as int8 codes, and partial sums (`sums.rs`).
//!
//! Activations take the codes they are deployed as: one asymmetric int8 range per tensor that the
//! integer network keeps. What a layer, its normalization and its rectifier hand to each other never
//! lies in a memory. The logits do: their largest code is looked for there. Each bit flips on its own, anew for every
//! image, or the same bits of a step in all of its images. Gradients pass from the code that is read to the number that was made (straight-through,
//! without a mask at the ends of the range).

use std::borrow::Cow;

use vmin_nn::Quantization;

use super::DataFaults;
use super::random::flip_all;
use super::sums::{StoredProduct, Sums};
use crate::CHUNK_IMAGES;
use crate::codec::Encoded;
use crate::deploy::{Fused, Range, covering, input_quantization};
use crate::network::{Layer, Memory, Moments, Network, Step, ValueId, forward_with};
use crate::random::{Purpose, Stream};
use crate::recipe::InputScaling;

/// Bits of a pixel and of an activation.
const BITS: u8 = 8;

/// Images by which the range of sums is measured.
const GUARD_IMAGES: usize = 4;

/// Where a value lies in memory, and with which range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// With its own.
    Own,
    /// With that of another value: a pool hands on the codes that it selects or averages.
    As(ValueId),
}

/// The values that lie in memory while the network runs, but for the image.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredValues {
    sources: Vec<(ValueId, Source)>,
    ranged: Vec<ValueId>,
    products: Vec<StoredProduct>,
}

impl StoredValues {
    pub(crate) fn of(steps: &[Fused<'_>]) -> Self {
        let mut stored = Self::default();
        for fused in steps {
            let source = match &fused.step.layer {
                Layer::Pool2d(_) => Source::As(fused.step.inputs[0]),
                Layer::Conv2d(_)
                | Layer::FullyConnected(_)
                | Layer::BatchNorm(_)
                | Layer::GroupNorm(_)
                | Layer::Relu
                | Layer::Add => Source::Own,
            };
            if source == Source::Own {
                stored.ranged.push(fused.output);
            }
            stored.sources.push((fused.output, source));
            if fused.step.layer.product().is_some() {
                stored.products.push(StoredProduct {
                    made: fused.step.output,
                    input: fused.step.inputs[0],
                    bias: fused.step.layer.product().and_then(|(_, bias)| bias),
                    norm: fused.norm.cloned(),
                    rectified: fused.rectified,
                    stored: fused.output,
                });
            }
        }
        stored
    }

    /// The values whose range is wanted.
    pub(crate) fn ranged(&self) -> &[ValueId] {
        &self.ranged
    }

    /// The codes of each value of the network, image and logits among them, by the ranges of [`Self::ranged`].
    pub(crate) fn quantized(
        &self,
        network: &Network,
        input: InputScaling,
        ranges: &[Range],
    ) -> Vec<Option<Quantization>> {
        let mut all = vec![None; network.values.len()];
        all[0] = Some(input_quantization(input));
        for (value, &range) in self.ranged.iter().zip(ranges) {
            all[value.0] = Some(covering(range));
        }
        // In execution order: the value that a pool reads comes before it.
        for &(value, source) in &self.sources {
            if let Source::As(other) = source {
                all[value.0] = all[other.0];
            }
        }
        all
    }

    /// The sums of the products with weights in these codes; `fold` taps are added before a sum leaves the array.
    pub(crate) fn sums(
        &self,
        network: &Network,
        parameters: &[Vec<f32>],
        moments: &[Moments<f32>],
        (codes, weights): (&[Option<Quantization>], &[Encoded]),
        (fold, narrow): (usize, bool),
    ) -> Sums {
        let mut layers: Vec<_> = network.values.iter().map(|_| None).collect();
        for (product, weights) in self.products.iter().zip(weights) {
            layers[product.made.0] =
                product.layer(network, parameters, moments, codes, (weights, narrow));
        }
        Sums { fold, layers }
    }
}

impl Sums {
    /// As [`Self::guard`], by the first images of a batch.
    pub(crate) fn guard_by(
        &mut self,
        network: &Network,
        parameters: &[Vec<f32>],
        moments: &[Moments<f32>],
        inputs: &[f32],
        margin: f64,
    ) {
        let size = network.elements(ValueId(0));
        let images = (inputs.len() / size.max(1)).min(GUARD_IMAGES);
        let values = forward_with(network, parameters, moments, &inputs[..images * size]);
        self.guard(network, parameters, images, margin, |value| values.read(value));
    }
}

/// Probabilities that a bit flips in what layers read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct DataRates {
    pub(crate) inputs: f64,
    pub(crate) activations: f64,
    pub(crate) sums: f64,
}

impl DataRates {
    pub(crate) fn any(self) -> bool {
        self.inputs > 0.0 || self.need_codes()
    }

    /// Whether the errors depend on the codes of activations.
    pub(crate) fn need_codes(self) -> bool {
        self.activations > 0.0 || self.sums > 0.0
    }
}

/// The errors of one step or of one test chip.
#[derive(Debug)]
pub(crate) struct DataErrors {
    pub(crate) rates: DataRates,
    pub(crate) faults: DataFaults,
    /// Shape of every value.
    pub(crate) shapes: Vec<[usize; 3]>,
    /// Codes of every value; empty without errors in activations.
    pub(crate) stored: Vec<Option<Quantization>>,
    /// Empty without errors in sums.
    pub(crate) sums: Sums,
    pub(crate) seed: u64,
    pub(crate) purpose: Purpose,
    /// Number of the step or chip.
    pub(crate) index: usize,
}

impl DataErrors {
    /// Random numbers of a value or, numbered behind all values, of the sums of a value.
    pub(super) fn stream(&self, value: usize, chunk: usize) -> Stream {
        let chunk = if self.faults.last() { 0 } else { chunk };
        Stream::of(self.seed, self.purpose, &[self.index, value, chunk])
    }

    /// Flips bits of the codes of a value: of all images, or the same of every image.
    pub(super) fn flip(&self, value: usize, chunk: usize, codes: &mut [u8], rate: f64) {
        let image: usize = self.shapes[value].iter().product();
        let together = if self.faults.last() { image } else { codes.len() };
        for codes in codes.chunks_mut(together.max(1)) {
            flip_all([codes], BITS, rate, &mut self.stream(value, chunk));
        }
    }

    /// The pixels of a chunk as the first layer reads them. A code is its pixel less 128: their bits
    /// are the same but for the highest, which is inverted in both or in none.
    pub(super) fn pixels<'p>(&self, chunk: usize, pixels: &'p [u8]) -> Cow<'p, [u8]> {
        if self.rates.inputs <= 0.0 {
            return Cow::Borrowed(pixels);
        }
        let mut read = pixels.to_vec();
        self.flip(0, chunk, &mut read, self.rates.inputs);
        Cow::Owned(read)
    }

    /// As [`Self::pixels`], for all chunks of a batch from `first_chunk` on.
    pub(crate) fn batch_pixels(&self, first_chunk: usize, pixels: &[u8]) -> Vec<u8> {
        let image: usize = self.shapes[0].iter().product();
        let chunks = pixels.chunks((CHUNK_IMAGES * image).max(1)).zip(first_chunk..);
        chunks.flat_map(|(pixels, chunk)| self.pixels(chunk, pixels).into_owned()).collect()
    }
}

impl Memory<f32> for DataErrors {
    fn holds(&self, value: ValueId) -> bool {
        let coded = matches!(self.stored.get(value.0), Some(Some(_)));
        self.rates.activations > 0.0 && value.0 > 0 && coded
    }

    fn errs_in_sums(&self, value: ValueId) -> bool {
        self.rates.sums > 0.0 && self.sums.errs(value)
    }

    fn read_sums(
        &self,
        step: &Step,
        chunk: usize,
        parameters: &[Vec<f32>],
        x: &[f32],
        made: &mut [f32],
    ) -> Vec<usize> {
        let mut stream = self.stream(self.shapes.len() + step.output.0, chunk);
        let how = (self.rates.sums, self.faults.last());
        self.sums.read(step, parameters, x, made, how, &mut stream)
    }

    fn read_back(&self, value: ValueId, chunk: usize, made: &[f32], read: &mut Vec<f32>) {
        let Some(Some(quantization)) = self.stored.get(value.0) else { return };
        let mut codes: Vec<u8> = made.iter().map(|&x| code(x, *quantization)).collect();
        self.flip(value.0, chunk, &mut codes, self.rates.activations);
        let meanings: [f32; 256] = std::array::from_fn(|code| real(code, *quantization));
        read.extend(codes.iter().map(|&code| meanings[usize::from(code)]));
    }
}

/// The nearest int8 code, in two's complement; no number at all is stored as the lowest.
#[expect(clippy::cast_possible_truncation, reason = "clamped to int8")]
#[expect(clippy::cast_sign_loss, reason = "the bits of an int8")]
pub(super) fn code(x: f32, quantization: Quantization) -> u8 {
    let integer = libm::roundf(x / quantization.scale) + quantization.zero_point as f32;
    let integer = if integer >= -128.0 { integer.min(127.0) } else { -128.0 };
    integer as i8 as u8
}

/// What a code means.
#[expect(clippy::cast_possible_truncation, reason = "one of 256 codes")]
#[expect(clippy::cast_possible_wrap, reason = "the bits of an int8")]
pub(super) fn real(code: usize, quantization: Quantization) -> f32 {
    let integer = i32::from(code as u8 as i8) - quantization.zero_point;
    quantization.scale * integer as f32
}

#[cfg(test)]
mod tests;
