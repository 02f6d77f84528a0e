//! Engines: the processor, or a device of another crate, computes the layers of a training run.
//!
//! ```text
//!  trainer: recipe, images, codes, bit errors, optimizer, random numbers      always on the processor
//!      │ Pass (network, parameters, images, normalization)     ▲ moments, gradients, loss
//!      v                                                       │
//!  Passes: forward and backward through the layers             cpu.rs │ another crate (vmin-train-cuda)
//! ```
//!
//! Every key of a recipe has the same meaning on every engine, and all engines get the same random numbers. Two
//! engines round differently. A weight at a rounding edge then gets another code, and after some steps the two
//! networks differ.
//!
//! # Writing an engine
//!
//! Implement [`Passes`] and wrap it in [`Engine::new`]. An engine
//!
//! - walks [`Network::steps`] and computes each [`Layer`](crate::network::Layer) from the public sizes of its
//!   struct; batch and group normalizations offer their arithmetic on sums
//!   ([`BatchNorm::moments`](crate::network::BatchNorm::moments),
//!   [`BatchNorm::lines`](crate::network::BatchNorm::lines) and so on), so that a device only has to sum and to
//!   apply lines;
//! - asks [`Pass::errs_in_sums`] after each step, and lets [`Pass::read_sums`] change its outputs then, because the
//!   memory of partial sums may have errors;
//! - asks [`Pass::read_back`] after each step what the following steps read, because the memory of activations may
//!   have errors;
//! - gets loss and derivatives of the logits from [`Pass::loss`].
//!
//! `vmin-train-cuda` is such an engine; its tests compare every pass with the processor's.

mod cpu;
mod evaluation;

pub use evaluation::{Evaluation, Score};

pub use crate::loss::Loss;
pub use crate::network::{Batch, BatchSum, Forward, Gradients, Moments, Normalization, Sums};

use rayon::prelude::*;

use crate::CHUNK_IMAGES;
use crate::loss::cross_entropy;
use crate::network::{Network, Step, ValueId};

/// Why an engine is missing or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The device or one of its libraries is missing.
    #[error("{0}")]
    Absent(String),
    /// The device reported an error.
    #[error("the GPU failed to {doing}: {reason}")]
    Failed {
        /// The operation that failed.
        doing: &'static str,
        /// The error of the device.
        reason: String,
    },
}

/// Computes the passes of a training run.
pub struct Engine {
    passes: Box<dyn Passes + Send>,
    name: String,
    note: Option<String>,
}

impl Engine {
    /// An engine by its passes. The name goes into [`EpochMetrics::engine`](crate::EpochMetrics::engine), the
    /// note to the user.
    #[must_use]
    pub fn new(passes: Box<dyn Passes + Send>, name: String, note: Option<String>) -> Self {
        Self { passes, name, note }
    }

    /// The processor of this machine with all its threads.
    #[must_use]
    pub fn cpu() -> Self {
        Self::new(Box::<cpu::Processor>::default(), "cpu".to_owned(), None)
    }

    /// `cpu`, or the name of the device and of the library that computes its convolutions.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A limitation of this engine on this machine, such as a missing library.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// The passes, for a loop other than [`Trainer`](crate::Trainer).
    pub fn passes(&mut self) -> &mut dyn Passes {
        &mut *self.passes
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::cpu()
    }
}

/// One of the two passes of a training step. Both keep their activations until their backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The pass without errors.
    Clean,
    /// The pass under bit errors, and every evaluation.
    Perturbed,
}

/// Input of a pass over a batch.
pub struct Pass<'a> {
    /// Layers and shapes.
    pub network: &'a Network,
    /// Values of the parameters in this pass, in the order of [`Network::parameters`].
    pub parameters: &'a [Vec<f32>],
    /// Images and labels.
    pub batch: Batch<'a, f32>,
    /// Moments of the batch normalizations.
    pub normalization: Normalization<'a, f32>,
}

impl Pass<'_> {
    /// Whether the activation memory changes a value, so that [`Self::read_back`] needs the value.
    #[must_use]
    pub fn changes(&self, value: ValueId) -> bool {
        self.batch.memory.is_some_and(|memory| memory.holds(value))
    }

    /// The value as the following steps read it, errors of the activation memory included; `None` if it is as
    /// the step computed it. `made` holds the value of all images of the batch.
    #[must_use]
    pub fn read_back(&self, value: ValueId, made: &[f32]) -> Option<Vec<f32>> {
        let memory = self.batch.memory.filter(|memory| memory.holds(value))?;
        let chunks = made.par_chunks(CHUNK_IMAGES * self.network.elements(value)).enumerate();
        let read = chunks.map(|(chunk, made)| {
            let mut read = Vec::new();
            memory.read_back(value, self.batch.first_chunk + chunk, made, &mut read);
            read
        });
        Some(read.collect::<Vec<_>>().concat())
    }

    /// Whether sums of the product that makes a value are read wrongly, so that [`Self::read_sums`] must change it.
    #[must_use]
    pub fn errs_in_sums(&self, value: ValueId) -> bool {
        self.batch.memory.is_some_and(|memory| memory.errs_in_sums(value))
    }

    /// Makes of the outputs of a product those of its sums as the accumulator memory returns them. `x` is its input as
    /// read and `made` its outputs, of all images of the batch. Returns the elements of `made` that have no derivative:
    /// the backward pass sets theirs to 0 before it goes through the step.
    pub fn read_sums(&self, step: &Step, x: &[f32], made: &mut [f32]) -> Vec<usize> {
        let Some(memory) = self.batch.memory else { return Vec::new() };
        let [of_x, of_made] =
            [step.inputs[0], step.output].map(|value| CHUNK_IMAGES * self.network.elements(value));
        let chunks = made.par_chunks_mut(of_made).zip(x.par_chunks(of_x)).enumerate();
        let cut_off = chunks.map(|(chunk, (made, x))| {
            let number = self.batch.first_chunk + chunk;
            let cut_off = memory.read_sums(step, number, self.parameters, x, made);
            cut_off.into_iter().map(|element| chunk * of_made + element).collect::<Vec<_>>()
        });
        cut_off.collect::<Vec<_>>().concat()
    }

    /// Loss, wrong images and derivatives of the batch from its logits.
    #[must_use]
    pub fn loss(&self, logits: &[f32]) -> Loss<f32> {
        let Batch { labels, scale, .. } = self.batch;
        cross_entropy(logits, labels, self.network.classes(), scale)
    }
}

/// Forward and backward passes through the layers.
pub trait Passes {
    /// Computes all values of the batch and keeps them in the slot.
    ///
    /// # Errors
    /// [`EngineError::Failed`], as for all methods, if the device failed.
    fn forward(&mut self, slot: Slot, pass: &Pass<'_>) -> Result<Forward<f32>, EngineError>;

    /// The logits of all images after [`Self::forward`] of the same slot and pass.
    ///
    /// # Errors
    /// [`EngineError::Failed`] if the device failed.
    fn logits(&mut self, slot: Slot, pass: &Pass<'_>) -> Result<Vec<f32>, EngineError>;

    /// The gradient of the scaled loss after [`Self::forward`] of the same slot and pass.
    ///
    /// `through` holds the gradients of a pass that used the moments of this pass as constants. The derivatives
    /// of its loss by these moments are added, so that both gradients together are the gradient of the sum of
    /// both losses.
    ///
    /// # Errors
    /// [`EngineError::Failed`] if the device failed.
    fn backward(
        &mut self,
        slot: Slot,
        pass: &Pass<'_>,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
    ) -> Result<BatchSum<f32>, EngineError>;

    /// Smallest and largest element of some values of the slot as the steps computed them, both including 0.
    ///
    /// # Errors
    /// [`EngineError::Failed`] if the device failed.
    fn extremes(&mut self, slot: Slot, values: &[ValueId]) -> Result<Vec<[f32; 2]>, EngineError>;

    /// Loss and wrong images of a data set. Batch normalizations use their running averages.
    ///
    /// # Errors
    /// [`EngineError::Failed`] if the device failed.
    fn evaluate(&mut self, evaluation: &Evaluation<'_>) -> Result<Score, EngineError>;
}
