//! One training step: the clean pass, the pass under bit errors, and the update by both gradients.

use super::Trainer;
use super::augment::collect;
use super::gradient::{add, average, clamp};
use super::sharpness::{ascended, ascent, relative_ascent};
use crate::bit_errors::{Attacked, BitErrors, DataErrors, Method, Sums, flip};
use crate::clip::Seen;
use crate::codec::Encoded;
use crate::deploy::Range;
use crate::engine::{Engine, Forward, Goal, Pass, Passes, Slot};
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
pub(super) struct Images {
    pub(super) pixels: Vec<u8>,
    pub(super) inputs: Vec<f32>,
    pub(super) labels: Vec<u8>,
    /// Shares of the labels in soft targets, if these are soft.
    pub(super) shares: Option<Vec<f32>>,
}

impl Images {
    /// The batch with the mean loss of the images.
    pub(super) fn batch(&self) -> Batch<'_, f32> {
        let Self { inputs, labels, shares, .. } = self;
        let goal = shares.as_deref().map_or(Goal::Label, Goal::Shares);
        Batch { goal, ..Batch::new(inputs, labels, 1.0 / labels.len() as f32) }
    }

    /// Shares of the labels of which only this part is left.
    fn shared(&self, part: Option<f32>) -> Option<Vec<f32>> {
        let Some(part) = part else { return self.shares.clone() };
        let whole = vec![1.0; self.labels.len()];
        let shares = self.shares.as_ref().unwrap_or(&whole);
        Some(shares.iter().map(|share| part * share).collect())
    }
}

/// The errors of a step.
struct Hit {
    /// The parameters with errors in their weights.
    parameters: Vec<Vec<f32>>,
    /// Errors in pixels, activations and sums.
    data: Option<DataErrors>,
    /// Largest magnitude of an element of the gradient.
    clamp: Option<f32>,
    /// Whether the step follows the gradient under errors alone.
    alone: bool,
    /// Share of the labels in the targets, if these fade.
    share: Option<f32>,
}

/// The parameters of the forward pass, and the steps of the codes of their weights; no steps without codes.
struct Forwarded {
    parameters: Vec<Vec<f32>>,
    steps: Vec<f32>,
}

/// The gradients of a step.
struct Joined {
    /// Sums without errors, with the mean gradient without and under errors.
    clean: BatchSum<f32>,
    /// Loss under errors, if the step has errors.
    perturbed: Option<f64>,
    /// Derivatives by learned bounds, if there are such.
    bounds: Vec<f32>,
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
            shares: None,
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
        let steps = stored.iter().flatten().map(|tensor| tensor.scale).collect();
        let seen = Forwarded { parameters: seen, steps };
        let frozen = self.frozen(epoch);
        let normalization = normalization(frozen.as_deref());
        let attacked = self.attacked(images, &seen.parameters, normalization, engine)?;
        let images = attacked.as_ref().unwrap_or(images);
        let at = |parameters| Pass {
            network: &self.network,
            parameters,
            batch: images.batch(),
            normalization,
        };
        let pass = at(&seen.parameters);
        let forward = engine.forward(Slot::Clean, &pass)?;
        let errors = recipe.bit_errors.as_ref().zip(stored);
        let errors = errors
            .filter(|(errors, _)| errors.any() && self.start.active && epoch >= errors.from_epoch);
        let alternating = errors.as_ref().is_some_and(|(e, _)| e.method == Method::Alternating);
        let joint = match &errors {
            Some((errors, stored)) if !alternating => {
                Some(self.hit(errors, epoch, stored.clone(), (&seen, images, &forward), engine)?)
            }
            Some(_) | None => None,
        };
        let mut joined =
            self.joined(&seen, (&pass, &forward), joint.as_ref(), None, images, engine)?;
        let gradients = &joined.clean.gradients;
        let by = match (recipe.sharpness, recipe.weight_perturbation) {
            (Some(sharpness), _) => Some(ascent(gradients, sharpness.rho)),
            (None, Some(moved)) if moved.gamma > 0.0 => {
                let of = (&self.network, &seen.parameters[..]);
                Some(relative_ascent(of, gradients, moved.gamma))
            }
            (None, _) => None,
        };
        if let Some(by) = by {
            let there = ascended(seen.parameters.clone(), Some(&by));
            let pass = at(&there);
            let forward = engine.forward(Slot::Clean, &pass)?;
            let hit = joint.as_ref();
            let worst = self.joined(&seen, (&pass, &forward), hit, Some(&by), images, engine)?;
            (joined.clean.gradients, joined.bounds) = (worst.clean.gradients, worst.bounds);
        }
        self.move_along(&joined.clean.gradients, rate);
        if let (Some(learned), Some(clip)) = (&mut self.learned_clip, recipe.learned_clip) {
            learned.step(&self.network, &recipe.optimizer, clip, rate, &joined.bounds);
        }
        if let (true, Some((errors, _))) = (alternating, errors) {
            let (_, Some(stored)) = self.seen(epoch) else {
                return Err(TrainError::Diverged { epoch });
            };
            let ranges: Vec<(f32, f32)> = self.weight_ranges();
            let hit = self.hit(errors, epoch, stored, (&seen, images, &forward), engine)?;
            let mut perturbed = self.under_errors(&hit, None, images, normalization, engine)?;
            clamp(&mut perturbed.gradients, hit.clamp);
            self.move_along(&perturbed.gradients, rate);
            self.project(&ranges);
            joined.perturbed = Some(perturbed.loss);
        }
        // Running averages follow clean passes only, because the deployed moments are meant for clean codes and
        // errors differ between chips.
        self.network.absorb(&forward.statistics);
        Ok((joined.clean, joined.perturbed))
    }

    /// The gradients of the mean loss without and under the errors `hit`, or without alone, after the forward pass
    /// without errors; `by` moves the parameters of both.
    fn joined(
        &self,
        seen: &Forwarded,
        (pass, forward): (&Pass<'_>, &Forward<f32>),
        hit: Option<&Hit>,
        by: Option<&Gradients<f32>>,
        images: &Images,
        engine: &mut dyn Passes,
    ) -> Result<Joined, TrainError> {
        // Hardware normalizes by the deployed moments, whatever the errors: moments of the batch under errors would
        // compensate a part of the errors, but only in training.
        let moments = Normalization::Constant(&forward.moments);
        let under =
            hit.map(|hit| self.under_errors(hit, by, images, moments, engine)).transpose()?;
        let through = under.as_ref().map(|under| &under.gradients);
        let mut clean = match hit {
            Some(hit) if hit.alone => passed_on(pass, forward, through, images, engine)?,
            Some(_) | None => engine.backward(Slot::Clean, pass, forward, through)?,
        };
        let mut bounds = self.bounds_gradient(&seen.parameters, &seen.steps, &clean.gradients);
        let perturbed = under.as_ref().map(|under| under.loss);
        if let (Some(hit), Some(mut under)) = (hit, under) {
            clamp(&mut under.gradients, hit.clamp);
            let others = self.bounds_gradient(&hit.parameters, &seen.steps, &under.gradients);
            bounds
                .iter_mut()
                .zip(others)
                .for_each(|(bound, other)| *bound = 0.5 * (*bound + other));
            if hit.alone {
                add(&mut clean.gradients, &under.gradients);
            } else {
                average(&mut clean.gradients, &under.gradients);
            }
        }
        Ok(Joined { clean, perturbed, bounds })
    }

    /// The derivatives by learned bounds, from those by the weights of a pass; empty where none are learned.
    fn bounds_gradient(
        &self,
        parameters: &[Vec<f32>],
        steps: &[f32],
        gradients: &Gradients<f32>,
    ) -> Vec<f32> {
        let Some(learned) = &self.learned_clip else { return Vec::new() };
        let seen = Seen { parameters, steps, bits: self.recipe.storage().bits };
        learned.gradient(&self.network, &self.parameters, seen, gradients)
    }

    /// The errors of this step in weights of these codes, and in what layers read after this clean pass.
    fn hit(
        &self,
        errors: &BitErrors,
        epoch: u32,
        mut stored: Vec<Encoded>,
        clean: (&Forwarded, &Images, &Forward<f32>),
        engine: &mut dyn Passes,
    ) -> Result<Hit, TrainError> {
        let data = self.data_errors(errors, epoch, &stored, clean, engine)?;
        let part = errors.part(self.recipe.seed, self.steps_done);
        let rate = part * errors.rate_in(epoch, self.recipe.epochs);
        let right = errors.fade.map(|_| stored.clone());
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
        let adversary = errors.adversary_in(self.steps_done, self.steps_total, part);
        if let Some(adversary) = adversary.filter(|adversary| adversary.flips > 0) {
            let (_, Images { inputs, labels, .. }, forward) = clean;
            let seen = adversary.images.unwrap_or(labels.len()).min(labels.len());
            let attacked = Attacked {
                network: &self.network,
                parameters: &self.parameters,
                inputs: &inputs[..inputs.len() / labels.len() * seen],
                labels: &labels[..seen],
                normalization: Normalization::Constant(&forward.moments),
                engine,
            };
            let mut stream = Stream::new(self.recipe.seed, Purpose::Adversary, self.steps_done);
            attacked.by(adversary, &mut stored, bits, &mut stream)?;
        }
        let parameters = weights::with_codes(&self.network, &self.parameters, &stored);
        let alone = errors.method == Method::Perturbed;
        let share = errors.fade.zip(right).map(|(fade, right)| {
            let pairs = right.iter().zip(&stored).flat_map(|(a, b)| a.codes.iter().zip(&b.codes));
            let (wrong, all) = pairs.fold((0, 0), |(wrong, all), (right, read)| {
                (wrong + usize::from(right != read), all + 1)
            });
            fade.share(wrong, all)
        });
        Ok(Hit { parameters, data, clamp: errors.gradient_clamp, alone, share })
    }

    /// The errors of this step in pixels, activations and sums, if it has any. Activation codes use the ranges of the
    /// clean pass, whose values the engine holds.
    fn data_errors(
        &self,
        errors: &BitErrors,
        epoch: u32,
        weights: &[Encoded],
        (seen, images, forward): (&Forwarded, &Images, &Forward<f32>),
        engine: &mut dyn Passes,
    ) -> Result<Option<DataErrors>, TrainError> {
        let rates = errors.data_rates_in(epoch, self.recipe.epochs);
        let (stored, sums) = match self.stored.as_ref().filter(|_| rates.need_codes()) {
            Some(stored) => {
                let extremes = engine.extremes(Slot::Clean, stored.ranged())?;
                let ranges: Vec<_> =
                    extremes.into_iter().map(|[low, high]| Range { low, high }).collect();
                let codes = stored.quantized(&self.network, self.recipe.input, &ranges);
                let kept = errors.sums_kept;
                let mut sums = stored.sums(
                    &self.network,
                    &self.parameters,
                    &forward.moments,
                    (&codes, weights),
                    (errors.sums_fold, kept.narrow),
                );
                if let Some(margin) = kept.guard.filter(|_| rates.sums > 0.0) {
                    let (parameters, moments) = (&seen.parameters, &forward.moments);
                    sums.guard_by(&self.network, parameters, moments, &images.inputs, margin);
                }
                (codes, sums)
            }
            None => (Vec::new(), Sums::default()),
        };
        Ok(rates.any().then_some(DataErrors {
            rates,
            faults: errors.data_faults,
            shapes: self.network.values.clone(),
            stored,
            sums,
            seed: self.recipe.seed,
            purpose: Purpose::DataErrors,
            index: self.steps_done,
        }))
    }

    /// The gradient under errors, at parameters moved by `by`.
    fn under_errors(
        &self,
        hit: &Hit,
        by: Option<&Gradients<f32>>,
        images: &Images,
        normalization: Normalization<'_, f32>,
        engine: &mut dyn Passes,
    ) -> Result<BatchSum<f32>, TrainError> {
        let network = &self.network;
        let parameters = &ascended(hit.parameters.clone(), by);
        let shares = images.shared(hit.share);
        let goal = shares.as_deref().map_or(Goal::Label, Goal::Shares);
        let mut batch = Batch { goal, ..images.batch() };
        let read;
        if let Some(errors) = &hit.data {
            read = self.recipe.input.inputs(&errors.batch_pixels(0, &images.pixels));
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

/// The sums of a forward pass without the own gradient of its loss: what `through` has by its moments.
fn passed_on(
    pass: &Pass<'_>,
    forward: &Forward<f32>,
    through: Option<&Gradients<f32>>,
    images: &Images,
    engine: &mut dyn Passes,
) -> Result<BatchSum<f32>, TrainError> {
    if forward.statistics.is_empty() {
        let loss = pass.loss(&engine.logits(Slot::Clean, pass)?);
        let gradients = pass.parameters.iter().map(|values| vec![0.0; values.len()]).collect();
        return Ok(BatchSum { gradients, loss: loss.sum, wrong: loss.wrong, images: Vec::new() });
    }
    let Pass { network, parameters, normalization, .. } = *pass;
    let batch = Batch { scale: 0.0, ..images.batch() };
    let pass = Pass { network, parameters, batch, normalization };
    Ok(engine.backward(Slot::Clean, &pass, forward, through)?)
}

fn normalization(frozen: Option<&[Moments<f32>]>) -> Normalization<'_, f32> {
    frozen.map_or(Normalization::OfBatch, Normalization::Constant)
}
