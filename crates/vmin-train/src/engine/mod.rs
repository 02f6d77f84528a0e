//! What computes the passes of a training run: this machine's processor, or a GPU.
//!
//! ```text
//!  trainer: recipe, images, codes, errors, optimizer, random numbers      always on the processor
//!      │ Pass (network, parameters, images, normalization)     ▲ moments, gradients, loss
//!      v                                                       │
//!  Passes: forward and backward through the layers             cpu.rs │ device/
//! ```
//!
//! Only layers run elsewhere; whatever a recipe can say is the same on every engine, and so are all random
//! numbers. A pass of two engines differs by rounding; codes at a rounding edge then fall apart, and whole runs
//! with them.

mod cpu;
#[cfg(any(test, feature = "cuda"))]
mod device;

use vmin_nn::data::Dataset;

use crate::bit_errors::DataErrors;
use crate::evaluate::Score;
use crate::network::{Batch, BatchSum, Forward, Gradients, Network, Normalization, ValueId};
use crate::recipe::InputScaling;

/// Why an engine cannot be had, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The program was built without it.
    #[error("this program was built without the cargo feature `cuda`")]
    NotBuilt,
    /// A library that CUDA consists of, or a device, is missing.
    #[error("{0}")]
    Absent(String),
    /// The device refused something.
    #[error("the GPU failed to {doing}: {reason}")]
    Failed {
        /// What it was to do.
        doing: &'static str,
        /// What it said.
        reason: String,
    },
}

/// What computes the passes.
pub struct Engine {
    passes: Box<dyn Passes + Send>,
    name: String,
    note: Option<String>,
}

impl Engine {
    /// This machine's processor, all threads.
    #[must_use]
    pub fn cpu() -> Self {
        Self { passes: Box::<cpu::Processor>::default(), name: "cpu".to_owned(), note: None }
    }

    /// The first CUDA device. Takes the driver, NVRTC, cuBLAS and, if it is there, cuDNN from the folders of the
    /// environment variable `VMIN_CUDA_LIBRARIES` (separated as in `PATH`), from where the loader finds them,
    /// from Python's packages of NVIDIA or from the toolkit. With the environment variable `VMIN_WITHOUT_CUDNN`
    /// it goes without cuDNN.
    ///
    /// # Errors
    /// [`EngineError::NotBuilt`] without the cargo feature `cuda`, [`EngineError::Absent`] without a device
    /// or its libraries.
    pub fn cuda() -> Result<Self, EngineError> {
        #[cfg(feature = "cuda")]
        {
            let device = device::cuda::Cuda::new()?;
            let (name, note) = (device.name(), device.note());
            Ok(Self { passes: Box::new(device::OnDevice::new(device)), name, note })
        }
        #[cfg(not(feature = "cuda"))]
        Err(EngineError::NotBuilt)
    }

    /// `cpu`, or the name of the GPU and of the library that computes its convolutions.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why a GPU goes without cuDNN.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    pub(crate) fn passes(&mut self) -> &mut dyn Passes {
        &mut *self.passes
    }

    #[cfg(test)]
    pub(crate) fn emulated() -> Option<Self> {
        let device = device::host::Host::new()?;
        let passes = Box::new(device::OnDevice::new(device));
        Some(Self { passes, name: "emulated".to_owned(), note: None })
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::cpu()
    }
}

/// A pass over a batch.
pub(crate) struct Pass<'a> {
    pub(crate) network: &'a Network,
    /// What the forward pass sees.
    pub(crate) parameters: &'a [Vec<f32>],
    pub(crate) batch: Batch<'a, f32>,
    pub(crate) normalization: Normalization<'a, f32>,
}

/// Which of a step's two passes: the values of both are kept until they went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Clean,
    Perturbed,
}

/// Forward and backward through the layers.
pub(crate) trait Passes {
    /// All values of the batch, which stay in the room.
    fn forward(&mut self, room: Room, pass: &Pass<'_>) -> Result<Forward<f32>, EngineError>;

    /// The gradient of the scaled loss after [`Self::forward`] of the same pass; `through` as in
    /// [`backward_batch`](crate::network::backward_batch).
    fn backward(
        &mut self,
        room: Room,
        pass: &Pass<'_>,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
    ) -> Result<BatchSum<f32>, EngineError>;

    /// Smallest and largest element of some values of the last forward pass as they were made, both
    /// including 0.
    fn extremes(&mut self, room: Room, values: &[ValueId]) -> Result<Vec<[f32; 2]>, EngineError>;

    /// Loss and wrong images of a set, read with these errors, normalized by running averages.
    fn evaluate(
        &mut self,
        network: &Network,
        parameters: &[Vec<f32>],
        input: InputScaling,
        data: &Dataset,
        errors: Option<&DataErrors>,
    ) -> Result<Score, EngineError>;
}
