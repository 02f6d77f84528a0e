//! One batch: clean, under bit errors, and what becomes of the two gradients.

use super::Trainer;
use super::augment::collect;
use super::gradient::{average, clamp, gradient};
use crate::bit_errors::{BitErrors, Method, flip};
use crate::codec::Encoded;
use crate::evaluate::inputs;
use crate::network::{BatchSum, Gradients, Moments, Normalization, ParameterKind};
use crate::random::{Purpose, Stream};
use crate::{TrainError, weights};

/// What an epoch sums over its steps.
#[derive(Debug, Default)]
pub(super) struct EpochSums {
    /// Cross-entropy without errors.
    pub(super) loss: f64,
    /// Wrong images without errors.
    pub(super) wrong: usize,
    /// Cross-entropy under errors.
    pub(super) perturbed_loss: f64,
    /// Images that were trained on under errors.
    pub(super) perturbed_images: usize,
    /// Of the last step.
    pub(super) learning_rate: f32,
}

/// A batch as the network takes it.
struct Batch {
    inputs: Vec<f32>,
    labels: Vec<u8>,
}

fn normalization(frozen: Option<&[Moments<f32>]>) -> Normalization<'_, f32> {
    frozen.map_or(Normalization::OfBatch, Normalization::Constant)
}

impl Batch {
    fn pair(&self) -> (&[f32], &[u8]) {
        (&self.inputs, &self.labels)
    }
}

impl Trainer<'_> {
    /// Trains on the images of `batch`; returns their mean loss without errors.
    pub(super) fn step(
        &mut self,
        epoch: u32,
        batch: &[usize],
        moves: &mut Stream,
        sums: &mut EpochSums,
    ) -> Result<f64, TrainError> {
        let pixels = collect(self.data, batch, self.recipe, moves);
        let images = Batch {
            inputs: inputs(&pixels, self.recipe.input),
            labels: batch.iter().map(|&image| self.data.labels[image]).collect(),
        };
        let (seen, stored) = self.seen(epoch);
        let frozen = self.frozen(epoch);
        let normalization = normalization(frozen.as_deref());
        let clean =
            gradient(&self.network, &seen, images.pair(), normalization, &mut self.workspace);
        // Running averages follow the passes without errors only: what is deployed is meant for
        // clean codes, and errors differ from chip to chip.
        self.network.absorb(&clean.statistics);
        let count = batch.len() as f64;
        let factor = self.recipe.schedule.factor(self.steps_done, self.steps_total);
        sums.learning_rate = self.recipe.optimizer.learning_rate * factor;
        sums.loss += clean.loss;
        sums.wrong += clean.wrong;
        let loss = clean.loss / count;
        let recipe = self.recipe;
        let perturbed = match (&recipe.bit_errors, stored) {
            (Some(errors), Some(stored)) if self.start.active && epoch >= errors.from_epoch => {
                Some(self.perturbed_step(errors, epoch, clean, stored, &images, sums)?)
            }
            _ => {
                self.move_along(&clean.gradients, sums.learning_rate);
                None
            }
        };
        if let Some(sum) = perturbed {
            sums.perturbed_loss += sum;
            sums.perturbed_images += batch.len();
        }
        self.start.observe(loss, perturbed.map(|sum| sum / count));
        self.steps_done += 1;
        Ok(loss)
    }

    /// One or two steps along the gradients without and under errors; returns the sum of the loss
    /// under errors.
    fn perturbed_step(
        &mut self,
        errors: &BitErrors,
        epoch: u32,
        mut clean: BatchSum<f32>,
        stored: Vec<Encoded>,
        images: &Batch,
        sums: &EpochSums,
    ) -> Result<f64, TrainError> {
        let rate = sums.learning_rate;
        match errors.method {
            Method::Average => {
                let mut perturbed = self.under_errors(errors, epoch, stored, images)?;
                clamp(&mut perturbed.gradients, errors.gradient_clamp);
                average(&mut clean.gradients, &perturbed.gradients);
                self.move_along(&clean.gradients, rate);
                Ok(perturbed.loss)
            }
            Method::Alternating => {
                self.move_along(&clean.gradients, rate);
                let (_, Some(stored)) = self.seen(epoch) else {
                    return Err(TrainError::Diverged { epoch });
                };
                let ranges: Vec<(f32, f32)> = self.weight_ranges();
                let mut perturbed = self.under_errors(errors, epoch, stored, images)?;
                clamp(&mut perturbed.gradients, errors.gradient_clamp);
                self.move_along(&perturbed.gradients, rate);
                self.project(&ranges);
                Ok(perturbed.loss)
            }
        }
    }

    /// The gradient where `stored` has the errors of this step.
    fn under_errors(
        &mut self,
        errors: &BitErrors,
        epoch: u32,
        mut stored: Vec<Encoded>,
        images: &Batch,
    ) -> Result<BatchSum<f32>, TrainError> {
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
        let corrupted = weights::with_codes(&self.network, &self.parameters, &stored);
        let frozen = self.frozen(epoch);
        let normalization = normalization(frozen.as_deref());
        let room = &mut self.workspace;
        Ok(gradient(&self.network, &corrupted, images.pair(), normalization, room))
    }

    /// Clips the master floats and gives what the forward pass sees of them, and their codes from
    /// the epoch on in which quantization begins.
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

    /// What batch normalizations go by where the recipe has frozen them.
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

    /// Clamps each weight tensor to its range; biases, which hold no codes, go where they go.
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
