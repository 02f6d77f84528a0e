//! The training loop.

use std::ops::ControlFlow;

use vmin_nn::data::Dataset;

use crate::evaluate::{evaluate, inputs};
use crate::network::{BatchSum, Network, batch_gradient};
use crate::random::{Purpose, Stream};
use crate::{CHUNK_IMAGES, Recipe, TrainError, weights};

/// What one epoch did.
#[derive(Clone, Debug, PartialEq)]
pub struct EpochMetrics {
    /// Epoch, from 0.
    pub epoch: u32,
    /// Learning rate of its last step.
    pub learning_rate: f32,
    /// Mean cross-entropy over its training steps.
    pub loss: f64,
    /// Share of training images that were wrong when they were trained on, 0..=1.
    pub train_err: f64,
    /// Share of test images that are wrong after the epoch (as the forward pass sees the weights).
    pub err: f64,
    /// The same under bit errors, by methods that measure it.
    pub rerr: Option<f64>,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// What it was trained by.
    pub recipe: Recipe,
    /// Layers and final parameters (the master floats, clipped where the recipe clips).
    pub network: Network,
    /// One entry per finished epoch.
    pub epochs: Vec<EpochMetrics>,
}

/// Trains the network of `recipe` on `data`; after each epoch measures `test` and calls `on_epoch`,
/// which may stop the run early. The network is that of the last finished epoch.
///
/// The result is the same for any number of rayon threads.
///
/// # Errors
///
/// [`TrainError`] for a recipe out of range, layers that do not fit the data, sets that do not fit
/// each other, or a loss that is not finite.
pub fn train(
    recipe: &Recipe,
    data: &Dataset,
    test: &Dataset,
    mut on_epoch: impl FnMut(&EpochMetrics) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    recipe.validate()?;
    check_sets(data, test)?;
    let network = Network::build(&recipe.network, data.shape, recipe.seed)?;
    let found = network.values[network.output().0];
    if found != [1, 1, data.classes] {
        return Err(TrainError::Classes { found, classes: data.classes });
    }
    let mut run = Run::new(recipe, network, data);
    let mut epochs = Vec::new();
    for epoch in 0..recipe.epochs {
        let metrics = run.epoch(epoch, test)?;
        let flow = on_epoch(&metrics);
        epochs.push(metrics);
        if flow.is_break() {
            break;
        }
    }
    Ok(Trained { recipe: recipe.clone(), network: run.finish(), epochs })
}

fn check_sets(data: &Dataset, test: &Dataset) -> Result<(), TrainError> {
    for (split, set) in [("training", data), ("test", test)] {
        if set.is_empty() {
            return Err(TrainError::Empty { split });
        }
    }
    if (data.shape, data.classes) != (test.shape, test.classes) {
        return Err(TrainError::Split {
            train: data.shape,
            train_classes: data.classes,
            test: test.shape,
            test_classes: test.classes,
        });
    }
    Ok(())
}

/// The state between two steps.
struct Run<'a> {
    recipe: &'a Recipe,
    data: &'a Dataset,
    network: Network,
    /// Master floats.
    parameters: Vec<Vec<f32>>,
    velocities: Vec<Vec<f32>>,
    steps_done: usize,
    steps_total: usize,
}

impl<'a> Run<'a> {
    fn new(recipe: &'a Recipe, network: Network, data: &'a Dataset) -> Self {
        let parameters = network.parameter_values();
        let velocities = parameters.iter().map(|values| vec![0.0; values.len()]).collect();
        let steps_total = data.len().div_ceil(recipe.batch_size) * recipe.epochs as usize;
        Self { recipe, data, network, parameters, velocities, steps_done: 0, steps_total }
    }

    fn epoch(&mut self, epoch: u32, test: &Dataset) -> Result<EpochMetrics, TrainError> {
        let index = epoch as usize;
        let seed = self.recipe.seed;
        let order = Stream::new(seed, Purpose::Shuffle, index).permutation(self.data.len());
        let mut moves = Stream::new(seed, Purpose::Augmentation, index);
        let (mut loss, mut wrong, mut learning_rate) = (0.0, 0, 0.0);
        for batch in order.chunks(self.recipe.batch_size) {
            let pixels = self.collect(batch, &mut moves);
            let labels: Vec<u8> = batch.iter().map(|&image| self.data.labels[image]).collect();
            let seen = self.seen(epoch);
            let step = gradient(&self.network, &seen, &inputs(&pixels, self.recipe.input), &labels);
            let factor = self.recipe.schedule.factor(self.steps_done, self.steps_total);
            learning_rate = self.recipe.optimizer.learning_rate * factor;
            let sgd = &self.recipe.optimizer;
            sgd.step(learning_rate, &mut self.parameters, &step.gradients, &mut self.velocities);
            self.network.absorb(&step.statistics);
            self.steps_done += 1;
            loss += step.loss;
            wrong += step.wrong;
        }
        let images = self.data.len() as f64;
        let loss = loss / images;
        let seen = self.seen(epoch);
        let score = evaluate(&self.network, &seen, self.recipe.input, test);
        if !loss.is_finite() || !score.loss.is_finite() {
            return Err(TrainError::Diverged { epoch });
        }
        Ok(EpochMetrics {
            epoch,
            learning_rate,
            loss,
            train_err: wrong as f64 / images,
            err: score.wrong as f64 / test.len() as f64,
            rerr: None,
        })
    }

    /// Clips the master floats and gives what the forward pass sees of them.
    fn seen(&mut self, epoch: u32) -> Vec<Vec<f32>> {
        if let Some(limit) = self.recipe.clip {
            weights::clip(&mut self.parameters, limit);
        }
        match self.recipe.quantization {
            Some(quantization) if epoch >= quantization.from_epoch => {
                weights::quantized(&self.network, &self.parameters, quantization.bits)
            }
            _ => self.parameters.clone(),
        }
    }

    /// The pixels of a batch, each image moved by up to `shift_pixels`.
    fn collect(&self, batch: &[usize], moves: &mut Stream) -> Vec<u8> {
        let most = self.recipe.shift_pixels;
        let mut pixels = Vec::with_capacity(batch.len() * self.data.pixels_per_image());
        for &image in batch {
            let image = self.data.image(image);
            if most == 0 {
                pixels.extend_from_slice(image);
            } else {
                let [down, right] = [(); 2].map(|()| moves.below(2 * most + 1));
                append_moved(&mut pixels, image, self.data.shape, [down, right], most);
            }
        }
        pixels
    }

    fn finish(mut self) -> Network {
        if let Some(limit) = self.recipe.clip {
            weights::clip(&mut self.parameters, limit);
        }
        for (parameter, values) in self.network.parameters.iter_mut().zip(self.parameters) {
            parameter.values = values;
        }
        self.network
    }
}

/// Appends `image` moved by `moved - most` pixels, repeating its edges.
fn append_moved(
    pixels: &mut Vec<u8>,
    image: &[u8],
    [height, width, channels]: [usize; 3],
    moved: [usize; 2],
    most: usize,
) {
    let source = |at: usize, by: usize, size: usize| (at + by).saturating_sub(most).min(size - 1);
    for y in 0..height {
        for x in 0..width {
            let from = source(y, moved[0], height) * width + source(x, moved[1], width);
            pixels.extend_from_slice(&image[from * channels..(from + 1) * channels]);
        }
    }
}

/// The gradient of the mean loss of a batch: chunks in parallel, their sum in order.
fn gradient(
    net: &Network,
    parameters: &[Vec<f32>],
    inputs: &[f32],
    labels: &[u8],
) -> BatchSum<f32> {
    batch_gradient(net, parameters, inputs, labels, 1.0 / labels.len() as f32, CHUNK_IMAGES)
}
