//! Loss and errors of a float network over a data set.

use std::borrow::Cow;

use rayon::prelude::*;
use vmin_nn::data::Dataset;

use super::{EngineError, Pass};
use crate::CHUNK_IMAGES;
use crate::bit_errors::DataErrors;
use crate::loss::cross_entropy;
use crate::network::{Batch, Memory, Network, Normalization, Values, forward_into};
use crate::recipe::InputScaling;

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Sum of the cross-entropy over the images.
    pub loss: f64,
    /// Wrong images.
    pub wrong: usize,
}

impl Score {
    fn add(self, other: Self) -> Self {
        Self { loss: self.loss + other.loss, wrong: self.wrong + other.wrong }
    }
}

/// A data set to evaluate a network on.
pub struct Evaluation<'a> {
    network: &'a Network,
    parameters: &'a [Vec<f32>],
    input: InputScaling,
    data: &'a Dataset,
    errors: Option<&'a DataErrors>,
}

impl<'a> Evaluation<'a> {
    /// All images of `data` with these parameter values, without errors in pixels and activations.
    #[must_use]
    pub fn new(
        network: &'a Network,
        parameters: &'a [Vec<f32>],
        input: InputScaling,
        data: &'a Dataset,
    ) -> Self {
        Self { network, parameters, input, data, errors: None }
    }

    /// The same under errors in pixels and activations.
    pub(crate) fn under(self, errors: Option<&'a DataErrors>) -> Self {
        Self { errors, ..self }
    }

    /// Layers and shapes.
    #[must_use]
    pub fn network(&self) -> &'a Network {
        self.network
    }

    /// Values of the parameters, in the order of [`Network::parameters`].
    #[must_use]
    pub fn parameters(&self) -> &'a [Vec<f32>] {
        self.parameters
    }

    /// Evaluates batch by batch, at most `images` images (a multiple of [`CHUNK_IMAGES`]) each; `logits` computes
    /// the logits of one batch.
    ///
    /// # Errors
    /// The first error of `logits`.
    ///
    /// # Panics
    /// If `images` is 0.
    pub fn by_batches(
        &self,
        images: usize,
        mut logits: impl FnMut(&Pass<'_>) -> Result<Vec<f32>, EngineError>,
    ) -> Result<Score, EngineError> {
        let Self { network, parameters, .. } = *self;
        let moments = network.running_moments();
        let mut score = Score::default();
        for (index, (labels, pixels)) in self.parts(images).enumerate() {
            let first_chunk = index * images / CHUNK_IMAGES;
            let inputs = self.input.inputs(&self.pixels(first_chunk, pixels));
            let memory = self.errors.map(|errors| errors as &dyn Memory<f32>);
            let batch = Batch { memory, first_chunk, ..Batch::new(&inputs, labels, 1.0) };
            let normalization = Normalization::Constant(&moments);
            let pass = Pass { network, parameters, batch, normalization };
            let loss = pass.loss(&logits(&pass)?);
            score = score.add(Score { loss: loss.sum, wrong: loss.wrong });
        }
        Ok(score)
    }

    /// Evaluates on the processor, chunks in parallel; their sums are added in order.
    pub(crate) fn on_processor(&self) -> Score {
        let Self { network, parameters, .. } = *self;
        let chunks: Vec<Score> = self
            .parts(CHUNK_IMAGES)
            .collect::<Vec<_>>()
            .into_par_iter()
            .enumerate()
            .map_init(Values::new, |values, (chunk, (labels, pixels))| {
                let inputs = self.input.inputs(&self.pixels(chunk, pixels));
                let memory = self.errors.map(|errors| (errors as &dyn Memory<f32>, chunk));
                forward_into(network, parameters, &inputs, memory, values);
                let logits = values.read(network.output());
                let loss = cross_entropy(logits, labels, network.classes(), 1.0);
                Score { loss: loss.sum, wrong: loss.wrong }
            })
            .collect();
        chunks.into_iter().fold(Score::default(), Score::add)
    }

    /// Labels and pixels of so many images after so many.
    fn parts(&self, images: usize) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let pixels = self.data.images.chunks(images * self.data.pixels_per_image());
        self.data.labels.chunks(images).zip(pixels)
    }

    /// The pixels of some chunks as the first layer reads them.
    fn pixels(&self, first_chunk: usize, pixels: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(errors) = self.errors else { return Cow::Borrowed(pixels) };
        Cow::Owned(errors.batch_pixels(first_chunk, pixels))
    }
}
