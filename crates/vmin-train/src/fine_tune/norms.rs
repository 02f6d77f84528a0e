//! Batch normalizations from their deployed gains and biases.

use rayon::prelude::*;
use vmin_nn::data::Dataset;

use super::Affine;
use crate::network::{BatchNorm, EPSILON, Network, ValueId, forward};
use crate::real::Real;
use crate::{CHUNK_IMAGES, Recipe, clip};

/// Most images for the moments.
const IMAGES_MAX: usize = 1024;

/// A normalization with known gain and bias.
pub(super) struct Folded<'a> {
    pub(super) norm: &'a BatchNorm,
    /// Its input.
    pub(super) input: ValueId,
    pub(super) affine: Affine,
}

/// Gives each normalization the moments of its input, and the scale and shift that with these moments give
/// the deployed gain and bias.
///
/// If the recipe clips, a scale or shift beyond the bound is set to the bound and variance or mean is adjusted
/// instead: with running averages the network computes the same.
pub(super) fn take_apart(
    network: &mut Network,
    recipe: &Recipe,
    data: &Dataset,
    folded: &[Folded<'_>],
) {
    if folded.is_empty() {
        return;
    }
    // First with mean 0 and variance 1, which can express every gain and bias.
    for folded in folded {
        let channels = folded.norm.channels;
        set(network, folded, &vec![[0.0, 1.0]; channels], [f32::INFINITY; 2]);
    }
    let moments = measured(network, recipe, data, folded);
    let bounds = clip::bounds(network, recipe);
    for (folded, moments) in folded.iter().zip(&moments) {
        let bounds = [bounds[folded.norm.scale.0], bounds[folded.norm.shift.0]];
        set(network, folded, moments, bounds);
    }
}

/// `gain (x + bias)` as `(1 + scale) (x - mean) / sqrt(variance + epsilon) + shift`.
fn set(
    network: &mut Network,
    folded: &Folded<'_>,
    moments: &[[f64; 2]],
    [scale_bound, shift_bound]: [f32; 2],
) {
    let Folded { norm, affine, .. } = folded;
    let channels = affine.gains.iter().zip(&affine.biases).zip(moments).enumerate();
    for (channel, ((&gain, &bias), &[mean, variance])) in channels {
        let scale = f32::of(gain * libm::sqrt(variance + EPSILON) - 1.0);
        let bounded = scale.clamp(-scale_bound, scale_bound);
        // With a scale of -1 no variance gives the gain.
        let yields = bounded != scale && bounded > -1.0;
        let (scale, variance) = if yields {
            let deviation = (1.0 + f64::from(bounded)) / gain;
            (bounded, (deviation * deviation - EPSILON).max(0.0))
        } else {
            (scale, variance)
        };
        let shift = f32::of(gain * (bias + mean));
        let bounded = shift.clamp(-shift_bound, shift_bound);
        let mean = if bounded == shift { mean } else { f64::from(bounded) / gain - bias };
        network.parameters[norm.scale.0].values[channel] = scale;
        network.parameters[norm.shift.0].values[channel] = bounded;
        let statistics = &mut network.statistics[norm.statistics];
        (statistics.mean[channel], statistics.variance[channel]) =
            (f32::of(mean), f32::of(variance));
    }
}

/// Mean and unbiased variance of each normalized channel, over the first images of `data`.
/// Sums run over the chunks in order.
fn measured(
    network: &Network,
    recipe: &Recipe,
    data: &Dataset,
    folded: &[Folded<'_>],
) -> Vec<Vec<[f64; 2]>> {
    let size = data.pixels_per_image();
    let pixels = &data.images[..data.len().min(IMAGES_MAX) * size];
    let parameters = network.parameter_values();
    let chunks: Vec<Vec<Sums>> = pixels
        .par_chunks((CHUNK_IMAGES * size).max(1))
        .map(|pixels| {
            let values = forward(network, &parameters, &recipe.input.inputs(pixels));
            folded.iter().map(|f| Sums::of(&values[f.input.0], f.norm.channels)).collect()
        })
        .collect();
    let none = folded.iter().map(|folded| Sums::of(&[], folded.norm.channels)).collect();
    let sums: Vec<Sums> = chunks.iter().fold(none, |mut all: Vec<Sums>, chunk| {
        all.iter_mut().zip(chunk).for_each(|(all, chunk)| all.add(chunk));
        all
    });
    sums.iter().map(Sums::moments).collect()
}

/// Sum and sum of squares of each channel.
struct Sums {
    channels: Vec<[f64; 2]>,
    pixels: usize,
}

impl Sums {
    fn of(values: &[f32], channels: usize) -> Self {
        let mut sums = vec![[0.0; 2]; channels];
        for pixel in values.chunks_exact(channels) {
            for (sums, &x) in sums.iter_mut().zip(pixel) {
                let x = f64::from(x);
                sums[0] += x;
                sums[1] += x * x;
            }
        }
        Self { channels: sums, pixels: values.len() / channels }
    }

    fn add(&mut self, other: &Self) {
        for (sums, other) in self.channels.iter_mut().zip(&other.channels) {
            sums[0] += other[0];
            sums[1] += other[1];
        }
        self.pixels += other.pixels;
    }

    fn moments(&self) -> Vec<[f64; 2]> {
        let count = self.pixels.max(1) as f64;
        let moments = |&[sum, squares]: &[f64; 2]| {
            let mean = sum / count;
            let variance = (squares / count - mean * mean).max(0.0);
            [mean, variance * count / (count - 1.0).max(1.0)]
        };
        self.channels.iter().map(moments).collect()
    }
}
