//! The training loop.
//!
//! ```text
//!  batch: clip ─ encode ─┬─ decode ─────────────── forward, backward ── g ──┐
//!                        └─ bit errors ─ decode ── forward, backward ── g~ ─┴─ step (step.rs)
//!         `attack`: a share of the images is changed first, at the same weights (attacked.rs)
//!         `sharpness`, `weight_perturbation`: both passes again at the weights moved along the joint gradient, then the step
//!  epoch: every batch in random order, then the test set, clean and under errors
//! ```
//!
//! All random numbers are functions of (seed, purpose, epoch or step), so that a run from a [`Checkpoint`]
//! cannot differ from an uninterrupted run.

mod attacked;
mod augment;
mod autoaugment;
mod gradient;
mod measure;
mod sharpness;
mod step;

pub use autoaugment::AutoAugment;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use vmin_nn::Graph;
use vmin_nn::data::Dataset;

use crate::bit_errors::{ChipErrors, ErrorMap, StartRule, StoredValues};
use crate::checkpoint::Checkpoint;
use crate::clip::{self, Learned};
use crate::deploy::fuse;
use crate::engine::Engine;
use crate::network::Network;
use crate::random::{Purpose, Stream};
use crate::{
    CheckpointError, FloatNetwork, ImageAttack, Recipe, StartError, TrainError, fine_tune, weights,
};

/// Metrics of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EpochMetrics {
    /// Epoch, counted from 0.
    pub epoch: u32,
    /// Learning rate of its last step.
    pub learning_rate: f32,
    /// Mean cross-entropy over its training images as they were trained on (after an attack, with soft targets), without
    /// bit errors.
    pub loss: f64,
    /// Mean cross-entropy under bit errors, over the steps with errors.
    pub perturbed_loss: Option<f64>,
    /// Share of wrong training images during the epoch, 0..=1.
    pub train_err: f64,
    /// Share of wrong test images after the epoch, with the weights of the forward pass, 0..=1.
    pub err: f64,
    /// Share of wrong test images under the bit errors of `rerr`, mean over its chips.
    pub rerr: Option<f64>,
    /// Learned bounds of the weight tensors in the order of the network, if the recipe learns them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<Vec<f32>>,
    /// Name of the engine: `cpu`, or the name of the GPU.
    #[serde(default = "on_cpu")]
    pub engine: String,
}

/// Engine of metrics from before engines had names.
fn on_cpu() -> String {
    Engine::cpu().name().to_owned()
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Its recipe.
    pub recipe: Recipe,
    /// Layers and final parameters (the master floats, clipped if the recipe clips).
    pub network: Network,
    /// One entry per finished epoch.
    pub epochs: Vec<EpochMetrics>,
}

/// Trains the network of `recipe` on `data`. After each epoch it evaluates `test` and calls `on_epoch`, which may
/// stop the run. The result is the network of the last finished epoch.
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
    let mut trainer = Trainer::new(recipe, data, test)?;
    while let Some(metrics) = trainer.epoch(|_, _| ControlFlow::Continue(()))? {
        if on_epoch(metrics).is_break() {
            break;
        }
    }
    Ok(trainer.finish())
}

/// Initial parameters of a run.
#[derive(Clone, Copy)]
enum Start<'s> {
    Deployed(&'s Graph),
    Float(&'s FloatNetwork),
}

/// A run between two epochs.
pub struct Trainer<'a> {
    recipe: &'a Recipe,
    data: &'a Dataset,
    test: &'a Dataset,
    network: Network,
    /// Master floats.
    parameters: Vec<Vec<f32>>,
    velocities: Vec<Vec<f32>>,
    /// Learned bounds of the weights, if the recipe learns them.
    learned_clip: Option<Learned>,
    steps_done: usize,
    steps_total: usize,
    start: StartRule,
    chips: Option<ChipErrors>,
    /// Digests of the measured chips; those of the checkpoint before [`Self::with_chips`] is called.
    chips_sha256: Vec<String>,
    resumed: bool,
    /// Values in the activation memory, if that or the sums have errors.
    stored: Option<StoredValues>,
    epochs: Vec<EpochMetrics>,
    engine: Engine,
}

impl<'a> Trainer<'a> {
    /// A new run.
    ///
    /// # Errors
    /// As for [`train`], without the loss; [`TrainError::Start`] if the recipe starts from a network.
    pub fn new(
        recipe: &'a Recipe,
        data: &'a Dataset,
        test: &'a Dataset,
    ) -> Result<Self, TrainError> {
        match &recipe.start {
            Some(start) => Err(StartError::Missing(start.clone()).into()),
            None => Self::prepared(recipe, data, test, None),
        }
    }

    /// A new run that starts with the weights, biases and normalizations of a deployed network instead of random
    /// weights.
    ///
    /// # Errors
    /// As for [`Self::new`]; [`TrainError::Start`] if `graph` is not the recipe's network.
    pub fn start_from(
        recipe: &'a Recipe,
        data: &'a Dataset,
        test: &'a Dataset,
        graph: &Graph,
    ) -> Result<Self, TrainError> {
        Self::prepared(recipe, data, test, Some(Start::Deployed(graph)))
    }

    /// A new run that starts from the float network `float` instead of random weights.
    ///
    /// # Errors
    /// As for [`Self::start_from`].
    pub fn start_from_float(
        recipe: &'a Recipe,
        data: &'a Dataset,
        test: &'a Dataset,
        float: &FloatNetwork,
    ) -> Result<Self, TrainError> {
        Self::prepared(recipe, data, test, Some(Start::Float(float)))
    }

    fn prepared(
        recipe: &'a Recipe,
        data: &'a Dataset,
        test: &'a Dataset,
        start: Option<Start<'_>>,
    ) -> Result<Self, TrainError> {
        recipe.validate()?;
        check_sets(data, test)?;
        let mut network = Network::build(&recipe.network, data.shape, recipe.seed)?;
        let found = network.values[network.output().0];
        if found != [1, 1, data.classes] {
            return Err(TrainError::Classes { found, classes: data.classes });
        }
        let tensors = network.parameters.iter().filter(|p| weights::is_weight(p)).count();
        if let Some(fractions) = &recipe.clip_fractions
            && fractions.len() != tensors
        {
            return Err(TrainError::Fractions { found: fractions.len(), expected: tensors });
        }
        if let Some(ImageAttack::Patch(search)) = &recipe.attack {
            let [height, width, _] = data.shape;
            if attacked::area(search).places([height, width]).is_empty() {
                return Err(TrainError::Patch { side: search.side, height, width });
            }
        }
        if let Some(clip) = recipe.activation_clip {
            crate::clip::cut_off(&mut network, clip)?;
        }
        let chips = match (&recipe.bit_errors, recipe.quantization) {
            (Some(errors), Some(quantization)) if errors.measured.is_none() => {
                ChipErrors::new(errors, recipe.seed, &network, quantization.bits, &[])?
            }
            _ => None,
        };
        match start {
            Some(Start::Deployed(graph)) => fine_tune::take(&mut network, recipe, data, graph)?,
            Some(Start::Float(float)) => fine_tune::float::take(&mut network, recipe, float)?,
            None => {}
        }
        let in_training = recipe.bit_errors.as_ref().map(|e| [e.activations_rate, e.sums_rate]);
        let in_test = recipe.rerr.map(|errors| [errors.activations_rate, errors.sums_rate]);
        let mut rates = in_training.into_iter().chain(in_test).flatten();
        let stored = if rates.any(|rate| rate > 0.0) {
            let steps = fuse(&network).map_err(TrainError::NoActivationCodes)?;
            Some(StoredValues::of(&steps))
        } else {
            None
        };
        let parameters = network.parameter_values();
        let learned_clip = recipe.learned_clip.map(|_| Learned::new(&network, recipe));
        let velocities = parameters.iter().map(|values| vec![0.0; values.len()]).collect();
        let loss = recipe.bit_errors.as_ref().map_or(0.0, |errors| errors.start_loss);
        Ok(Self {
            recipe,
            data,
            test,
            network,
            parameters,
            velocities,
            learned_clip,
            steps_done: 0,
            steps_total: steps_before(recipe, data, recipe.epochs),
            start: StartRule { loss, active: false },
            chips,
            chips_sha256: Vec::new(),
            resumed: false,
            stored,
            epochs: Vec::new(),
            engine: Engine::cpu(),
        })
    }

    /// Uses `engine` instead of the processor from now on.
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Sets the measured chips that the recipe names in `bit_errors.measured`, in its order.
    ///
    /// # Errors
    /// [`TrainError::Chips`] if their number differs or they are too large; [`TrainError::Checkpoint`] if the
    /// checkpoint of the run has other chips.
    pub fn with_chips(mut self, maps: &[ErrorMap]) -> Result<Self, TrainError> {
        let digests: Vec<String> = maps.iter().map(|map| map.sha256.clone()).collect();
        if self.resumed && self.chips_sha256 != digests {
            return Err(CheckpointError::OtherChips.into());
        }
        self.chips_sha256 = digests;
        let recipe = self.recipe;
        let errors = recipe.bit_errors.as_ref().filter(|errors| errors.measured.is_some());
        if let (Some(errors), Some(quantization)) = (errors, recipe.quantization) {
            let bits = quantization.bits;
            self.chips = ChipErrors::new(errors, recipe.seed, &self.network, bits, maps)?;
        }
        Ok(self)
    }

    /// Name of the engine, as in [`EpochMetrics::engine`].
    #[must_use]
    pub fn engine(&self) -> &str {
        self.engine.name()
    }

    /// A run that continues from `checkpoint`.
    ///
    /// # Errors
    /// As for [`Self::new`]; [`TrainError::Checkpoint`] if the checkpoint has another recipe or other images, or
    /// does not fit.
    pub fn resume(
        recipe: &'a Recipe,
        data: &'a Dataset,
        test: &'a Dataset,
        checkpoint: Checkpoint,
    ) -> Result<Self, TrainError> {
        let mut trainer = Self::prepared(recipe, data, test, None)?;
        checkpoint.check_origin(recipe, data, test)?;
        let lengths = |values: &[Vec<f32>]| values.iter().map(Vec::len).collect::<Vec<_>>();
        let expected = lengths(&trainer.parameters);
        let epochs = u32::try_from(checkpoint.epochs.len()).unwrap_or(u32::MAX);
        let clips = |learned: &Option<Learned>| {
            learned.as_ref().map(|clip| [clip.bounds.len(), clip.velocities.len()])
        };
        let fits = lengths(&checkpoint.parameters) == expected
            && clips(&checkpoint.clip) == clips(&trainer.learned_clip)
            && lengths(&checkpoint.velocities) == expected
            && trainer.network.running().each_ref().map(|values| lengths(values))
                == checkpoint.statistics.each_ref().map(|values| lengths(values))
            && epochs <= recipe.epochs
            && checkpoint.steps_done == steps_before(recipe, data, epochs);
        if !fits {
            return Err(CheckpointError::Damaged("its sizes are not those of the network").into());
        }
        trainer.parameters = checkpoint.parameters;
        trainer.velocities = checkpoint.velocities;
        trainer.learned_clip = checkpoint.clip;
        trainer.network.set_running(checkpoint.statistics);
        trainer.steps_done = checkpoint.steps_done;
        trainer.start.active = checkpoint.injecting;
        trainer.epochs = checkpoint.epochs;
        trainer.chips_sha256 = checkpoint.chips_sha256;
        trainer.resumed = true;
        Ok(trainer)
    }

    /// State from which another run continues.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            recipe: Checkpoint::recipe_text(self.recipe),
            data_sha256: [self.data.sha256(), self.test.sha256()],
            chips_sha256: self.chips_sha256.clone(),
            parameters: self.parameters.clone(),
            velocities: self.velocities.clone(),
            clip: self.learned_clip.clone(),
            statistics: self.network.running(),
            steps_done: self.steps_done,
            injecting: self.start.active,
            epochs: self.epochs.clone(),
        }
    }

    /// The finished epochs.
    #[must_use]
    pub fn epochs(&self) -> &[EpochMetrics] {
        &self.epochs
    }

    /// Finished steps, and steps of the whole run.
    #[must_use]
    pub fn steps(&self) -> (usize, usize) {
        (self.steps_done, self.steps_total)
    }

    /// Layers and initial parameters.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Trains one epoch; `None` if no epoch is left or `on_step` stopped the run. `on_step` is called after every
    /// step with the number of finished steps and the mean loss of the batch. A stopped run is in the middle of an
    /// epoch and can only continue from an earlier checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] if the loss is not finite, [`TrainError::Engine`] if the engine failed; after
    /// either the run is in the middle of an epoch. [`TrainError::NoChips`] before the first step if the recipe
    /// names measured chips and [`Self::with_chips`] was not called.
    pub fn epoch(
        &mut self,
        mut on_step: impl FnMut(usize, f64) -> ControlFlow<()>,
    ) -> Result<Option<&EpochMetrics>, TrainError> {
        let index = self.epochs.len();
        let epoch = u32::try_from(index).unwrap_or(u32::MAX);
        if epoch >= self.recipe.epochs {
            return Ok(None);
        }
        let measured = self.recipe.bit_errors.as_ref().is_some_and(|e| e.measured.is_some());
        if measured && self.chips.is_none() {
            return Err(TrainError::NoChips);
        }
        let seed = self.recipe.seed;
        let order = Stream::new(seed, Purpose::Shuffle, index).permutation(self.data.len());
        let mut moves = Stream::new(seed, Purpose::Augmentation, index);
        let mut sums = step::EpochSums::default();
        let batches = order.chunks(self.recipe.batch_size_in(epoch));
        let steps = batches.len();
        for (done, batch) in batches.enumerate() {
            // The schedule counts epochs, because batch sizes may change between them.
            let (done, total) = (index * steps + done, self.recipe.epochs as usize * steps);
            let factor = self.recipe.schedule.factor(done, total);
            sums.learning_rate = self.recipe.optimizer.learning_rate * factor;
            let loss = self.step(epoch, batch, &mut moves, &mut sums)?;
            if on_step(self.steps_done, loss).is_break() {
                return Ok(None);
            }
        }
        let metrics = self.measured(epoch, &sums)?;
        self.epochs.push(metrics);
        Ok(self.epochs.last())
    }

    /// The network of the last finished epoch.
    #[must_use]
    pub fn finish(mut self) -> Trained {
        self.clip();
        for (parameter, values) in self.network.parameters.iter_mut().zip(self.parameters) {
            parameter.values = values;
        }
        Trained { recipe: self.recipe.clone(), network: self.network, epochs: self.epochs }
    }

    /// Clips the master floats if the recipe clips.
    fn clip(&mut self) {
        let bounds = match &self.learned_clip {
            Some(learned) => learned.of_parameters(&self.network, self.recipe.clip_scope),
            None => clip::bounds(&self.network, self.recipe),
        };
        clip::clip(&bounds, &mut self.parameters);
    }
}

/// Steps of the first epochs.
fn steps_before(recipe: &Recipe, data: &Dataset, epochs: u32) -> usize {
    let starts = recipe.later_batches.iter().map(|size| size.from_epoch.min(epochs));
    let starts: Vec<u32> = std::iter::once(0).chain(starts).chain([epochs]).collect();
    let steps = starts.windows(2).map(|epochs| {
        let steps = data.len().div_ceil(recipe.batch_size_in(epochs[0]));
        steps.saturating_mul((epochs[1] - epochs[0]) as usize)
    });
    steps.fold(0, usize::saturating_add)
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

#[cfg(test)]
mod tests;
