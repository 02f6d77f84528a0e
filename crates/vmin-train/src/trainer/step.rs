//! One training step: the clean pass, the pass under bit errors, and the update by both gradients.

use super::Trainer;
use super::augment::collect;
use super::gradient::{average, clamp};
use crate::bit_errors::{BitErrors, DataErrors, Method, flip};
use crate::codec::Encoded;
use crate::deploy::Range;
use crate::engine::{Engine, Pass, Passes, Slot};
use crate::network::{Batch, BatchSum, Gradients, Moments, Normalization, ParameterKind};
use crate::random::{Purpose, Stream};
use crate::{TrainError, weights};

/// Sums over the steps of an epoch.
#[derive(Debug, Default)]
pub(super) struct EpochSums {
    /// Cross-entropy without errors.
    pub(super) loss: f64,
    /// Wrong images without errors.
    pub(super) wrong: usize,
    /// Cross-entropy under errors.
    pub(super) perturbed_loss: f64,
    /// Training images under errors.
    pub(super) perturbed_images: usize,
    /// Learning rate of the last step.
    pub(super) learning_rate: f32,
}

/// The images of a step.
struct Images {
    pixels: Vec<u8>,
    inputs: Vec<f32>,
    labels: Vec<u8>,
}

impl Images {
    /// The batch with the mean loss of the images.
    fn batch(&self) -> Batch<'_, f32> {
        let Self { inputs, labels, .. } = self;
        Batch::new(inputs, labels, 1.0 / labels.len() as f32)
    }
}

/// The errors of a step.
struct Hit {
    /// The weights with errors.
    stored: Vec<Encoded>,
    /// Errors in pixels and activations.
    data: Option<DataErrors>,
}

impl Trainer<'_> {
    /// Trains on the images of `batch` at the rate in `sums`; returns their mean loss without errors.
    pub(super) fn step(
        &mut self,
        epoch: u32,
        batch: &[usize],
        moves: &mut Stream,
        sums: &mut EpochSums,
    ) -> Result<f64, TrainError> {
        let pixels = collect(self.data, batch, self.recipe, moves);
        let images = Images {
            inputs: self.recipe.input.inputs(&pixels),
            labels: batch.iter().map(|&image| self.data.labels[image]).collect(),
            pixels,
        };
        let mut engine = std::mem::take(&mut self.engine);
        let moved = self.move_by(&images, epoch, sums.learning_rate, &mut engine);
        self.engine = engine;
        let (clean, perturbed) = moved?;
        let count = batch.len() as f64;
        sums.loss += clean.loss;
        sums.wrong += clean.wrong;
        if let Some(sum) = perturbed {
            sums.perturbed_loss += sum;
            sums.perturbed_images += batch.len();
        }
        let loss = clean.loss / count;
        self.start.observe(loss, perturbed.map(|sum| sum / count));
        self.steps_done += 1;
        Ok(loss)
    }

    /// One or two updates by the gradients without and under errors. Returns the sums without errors, and the loss
    /// under errors if the step had errors.
    fn move_by(
        &mut self,
        images: &Images,
        epoch: u32,
        rate: f32,
        engine: &mut Engine,
    ) -> Result<(BatchSum<f32>, Option<f64>), TrainError> {
        let recipe = self.recipe;
        let engine = engine.passes();
        let (seen, stored) = self.seen(epoch);
        let frozen = self.frozen(epoch);
        let normalization = normalization(frozen.as_deref());
        let pass = Pass {
            network: &self.network,
            parameters: &seen,
            batch: images.batch(),
            normalization,
        };
        let forward = engine.forward(Slot::Clean, &pass)?;
        let errors = recipe.bit_errors.as_ref().zip(stored);
        let errors = errors.filter(|(errors, _)| self.start.active && epoch >= errors.from_epoch);
        let mut clean;
        let perturbed = match errors {
            None => {
                clean = engine.backward(Slot::Clean, &pass, &forward, None)?;
                self.move_along(&clean.gradients, rate);
                None
            }
            Some((errors, stored)) => match errors.method {
                Method::Average => {
                    // Hardware normalizes by the deployed moments, whatever the errors: moments of the batch under
                    // errors would compensate a part of the errors, but only in training.
                    let moments = Normalization::Constant(&forward.moments);
                    let data = self.data_errors(errors, epoch, engine)?;
                    let hit = Hit { stored: self.hit(errors, epoch, stored)?, data };
                    let mut perturbed = self.under_errors(&hit, images, moments, engine)?;
                    let through = Some(&perturbed.gradients);
                    clean = engine.backward(Slot::Clean, &pass, &forward, through)?;
                    clamp(&mut perturbed.gradients, errors.gradient_clamp);
                    average(&mut clean.gradients, &perturbed.gradients);
                    self.move_along(&clean.gradients, rate);
                    Some(perturbed.loss)
                }
                Method::Alternating => {
                    clean = engine.backward(Slot::Clean, &pass, &forward, None)?;
                    self.move_along(&clean.gradients, rate);
                    let (_, Some(stored)) = self.seen(epoch) else {
                        return Err(TrainError::Diverged { epoch });
                    };
                    let ranges: Vec<(f32, f32)> = self.weight_ranges();
                    let data = self.data_errors(errors, epoch, engine)?;
                    let hit = Hit { stored: self.hit(errors, epoch, stored)?, data };
                    let mut perturbed = self.under_errors(&hit, images, normalization, engine)?;
                    clamp(&mut perturbed.gradients, errors.gradient_clamp);
                    self.move_along(&perturbed.gradients, rate);
                    self.project(&ranges);
                    Some(perturbed.loss)
                }
            },
        };
        // Running averages follow clean passes only, because the deployed moments are meant for clean codes and
        // errors differ between chips.
        self.network.absorb(&forward.statistics);
        Ok((clean, perturbed))
    }

    /// The weights with the errors of this step.
    fn hit(
        &self,
        errors: &BitErrors,
        epoch: u32,
        mut stored: Vec<Encoded>,
    ) -> Result<Vec<Encoded>, TrainError> {
        let rate = errors.rate_in(epoch, self.recipe.epochs);
        let bits = self.recipe.storage().bits;
        match &self.chips {
            Some(chips) => {
                chips.apply(&mut stored, bits, rate, self.steps_done as u64)?;
            }
            None => {
                let seed = self.recipe.seed;
                let mut stream = Stream::new(seed, Purpose::BitErrors, self.steps_done);
                flip(&mut stored, bits, rate, &mut stream);
            }
        }
        Ok(stored)
    }

    /// The errors of this step in pixels and activations, if it has any. Activation codes use the ranges of the
    /// clean pass, whose values the engine holds.
    fn data_errors(
        &self,
        errors: &BitErrors,
        epoch: u32,
        engine: &mut dyn Passes,
    ) -> Result<Option<DataErrors>, TrainError> {
        let rates = errors.data_rates_in(epoch, self.recipe.epochs);
        let stored = match self.stored.as_ref().filter(|_| rates.activations > 0.0) {
            Some(stored) => {
                let extremes = engine.extremes(Slot::Clean, stored.ranged())?;
                let ranges: Vec<_> =
                    extremes.into_iter().map(|[low, high]| Range { low, high }).collect();
                stored.quantized(&self.network, self.recipe.input, &ranges)
            }
            None => Vec::new(),
        };
        Ok(rates.any().then_some(DataErrors {
            rates,
            stored,
            seed: self.recipe.seed,
            purpose: Purpose::DataErrors,
            index: self.steps_done,
        }))
    }

    /// The gradient under errors.
    fn under_errors(
        &self,
        hit: &Hit,
        images: &Images,
        normalization: Normalization<'_, f32>,
        engine: &mut dyn Passes,
    ) -> Result<BatchSum<f32>, TrainError> {
        let network = &self.network;
        let parameters = &weights::with_codes(network, &self.parameters, &hit.stored);
        let mut batch = images.batch();
        let read;
        if let Some(errors) = &hit.data {
            let size = self.data.pixels_per_image();
            read = self.recipe.input.inputs(&errors.batch_pixels(0, &images.pixels, size));
            batch = Batch { inputs: &read, memory: Some(errors), ..batch };
        }
        let pass = Pass { network, parameters, batch, normalization };
        let forward = engine.forward(Slot::Perturbed, &pass)?;
        Ok(engine.backward(Slot::Perturbed, &pass, &forward, None)?)
    }

    /// Clips the master floats and returns the parameters of the forward pass, with their codes from the first
    /// quantized epoch on.
    pub(super) fn seen(&mut self, epoch: u32) -> (Vec<Vec<f32>>, Option<Vec<Encoded>>) {
        self.clip();
        let stored = self
            .recipe
            .quantization
            .filter(|quantization| epoch >= quantization.from_epoch)
            .and_then(|quantization| {
                weights::stored(&self.network, &self.parameters, quantization)
            });
        let seen = match &stored {
            Some(stored) => weights::with_codes(&self.network, &self.parameters, stored),
            None => self.parameters.clone(),
        };
        (seen, stored)
    }

    /// Moments of the batch normalizations if the recipe has frozen them.
    fn frozen(&self, epoch: u32) -> Option<Vec<Moments<f32>>> {
        let frozen = self.recipe.norm_frozen_from_epoch.is_some_and(|first| epoch >= first);
        frozen.then(|| self.network.running_moments())
    }

    fn move_along(&mut self, gradients: &Gradients<f32>, rate: f32) {
        let sgd = &self.recipe.optimizer;
        sgd.step(rate, &mut self.parameters, gradients, &mut self.velocities);
    }

    /// Smallest and largest value of each parameter.
    fn weight_ranges(&self) -> Vec<(f32, f32)> {
        let range = |values: &Vec<f32>| {
            let start = (f32::INFINITY, f32::NEG_INFINITY);
            values.iter().fold(start, |(low, high), &w| (low.min(w), high.max(w)))
        };
        self.parameters.iter().map(range).collect()
    }

    /// Clamps each weight tensor to its range; biases have no codes and no range.
    fn project(&mut self, ranges: &[(f32, f32)]) {
        let tensors = self.network.parameters.iter().zip(&mut self.parameters).zip(ranges);
        for ((parameter, values), &(low, high)) in tensors {
            if parameter.kind == ParameterKind::Weight {
                for value in values {
                    *value = value.max(low).min(high);
                }
            }
        }
    }
}

fn normalization(frozen: Option<&[Moments<f32>]>) -> Normalization<'_, f32> {
    frozen.map_or(Normalization::OfBatch, Normalization::Constant)
}
