//! Loss and errors of a float network over a data set.

use std::borrow::Cow;

use rayon::prelude::*;
use vmin_nn::data::Dataset;

use crate::CHUNK_IMAGES;
use crate::bit_errors::DataErrors;
use crate::loss::cross_entropy;
use crate::network::{Memory, Network, Values, forward_into};
use crate::recipe::InputScaling;

/// What an evaluation counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// Sum of the cross-entropy.
    pub(crate) loss: f64,
    /// Wrong predictions.
    pub(crate) wrong: usize,
}

/// Evaluates `parameters` on all images, read with these errors; the sum runs over the chunks in
/// order.
pub(crate) fn evaluate(
    net: &Network,
    parameters: &[Vec<f32>],
    input: InputScaling,
    data: &Dataset,
    errors: Option<&DataErrors>,
) -> Score {
    let size = data.pixels_per_image();
    let chunks: Vec<Score> = data
        .labels
        .par_chunks(CHUNK_IMAGES)
        .zip(data.images.par_chunks(CHUNK_IMAGES * size))
        .enumerate()
        .map_init(Values::new, |values, (chunk, (labels, pixels))| {
            let pixels =
                errors.map_or(Cow::Borrowed(pixels), |errors| errors.pixels(chunk, pixels));
            let memory = errors.map(|errors| (errors as &dyn Memory<f32>, chunk));
            forward_into(net, parameters, &inputs(&pixels, input), memory, values);
            let logits = values.read(net.output());
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
