//! Loss and errors of a float network over a data set.

use rayon::prelude::*;
use vmin_nn::data::Dataset;

use crate::CHUNK_IMAGES;
use crate::loss::cross_entropy;
use crate::network::{Network, Values, forward_into};
use crate::recipe::InputScaling;

/// What an evaluation counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// Sum of the cross-entropy.
    pub(crate) loss: f64,
    /// Wrong predictions.
    pub(crate) wrong: usize,
}

/// Evaluates `parameters` on all images; the sum runs over the chunks in order.
pub(crate) fn evaluate(
    net: &Network,
    parameters: &[Vec<f32>],
    input: InputScaling,
    data: &Dataset,
) -> Score {
    let size = data.pixels_per_image();
    let chunks: Vec<Score> = data
        .labels
        .par_chunks(CHUNK_IMAGES)
        .zip(data.images.par_chunks(CHUNK_IMAGES * size))
        .map_init(Values::new, |values, (labels, pixels)| {
            forward_into(net, parameters, &inputs(pixels, input), values);
            let logits = &values[net.output().0];
            let loss = cross_entropy(logits, labels, net.classes(), 1.0);
            Score { loss: loss.sum, wrong: loss.wrong }
        })
        .collect();
    chunks.iter().fold(Score::default(), |sum, chunk| Score {
        loss: sum.loss + chunk.loss,
        wrong: sum.wrong + chunk.wrong,
    })
}

/// Pixels as the network takes them.
pub(crate) fn inputs(pixels: &[u8], input: InputScaling) -> Vec<f32> {
    let zero = f32::from(input.zero_pixel);
    pixels.iter().map(|&pixel| input.scale * (f32::from(pixel) - zero)).collect()
}
