//! Range of every value over some images, which its int8 codes must cover.

use rayon::prelude::*;
use vmin_nn::data::Dataset;

use crate::network::{Network, forward};
use crate::recipe::InputScaling;
use crate::{CHUNK_IMAGES, DeployError};

/// Most images; further images change the extremes very little.
const IMAGES_MAX: usize = 1024;

/// Smallest and largest element of a value, both including 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Range {
    fn with(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// The range of every value over the first images of `data`.
pub(super) fn ranges(
    net: &Network,
    parameters: &[Vec<f32>],
    input: InputScaling,
    data: &Dataset,
) -> Result<Vec<Range>, DeployError> {
    if data.is_empty() || data.shape != net.values[0] {
        return Err(DeployError::Images {
            images: data.len(),
            found: data.shape,
            expected: net.values[0],
        });
    }
    Ok(over(net, parameters, input, data))
}

/// As [`ranges`], for images of the right shape.
pub(crate) fn over(
    net: &Network,
    parameters: &[Vec<f32>],
    input: InputScaling,
    data: &Dataset,
) -> Vec<Range> {
    let size = data.pixels_per_image();
    let pixels = &data.images[..data.len().min(IMAGES_MAX) * size];
    let chunks: Vec<Vec<Range>> = pixels
        .par_chunks(CHUNK_IMAGES * size)
        .map(|pixels| {
            let values = forward(net, parameters, &input.inputs(pixels));
            values.iter().map(|value| extremes(value)).collect()
        })
        .collect();
    let none = vec![Range::default(); net.values.len()];
    // Minimum and maximum do not depend on the order of the chunks.
    chunks.into_iter().fold(none, |all, chunk| {
        all.into_iter().zip(chunk).map(|(range, other)| range.with(other)).collect()
    })
}

fn extremes(values: &[f32]) -> Range {
    values.iter().fold(Range::default(), |range, &x| range.with(Range { low: x, high: x }))
}
