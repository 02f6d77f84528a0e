//! Training of the networks that vmin deploys.
//!
//! A [`Recipe`] (a TOML file) names layers, optimizer, schedule and seed; [`train`] fits the network
//! to a data set; [`Trained::deploy`] turns it into the integer [`Graph`](vmin_nn::Graph) that the
//! emulator runs, and checks the integer network against the float one.
//!
//! ```text
//!  Recipe ─ Network ──┐
//!                     ├─ per batch: project → forward copy → chunks → sum in order → step
//!  Dataset ───────────┘                     (weights.rs)   (pass.rs)  (trainer/)   (optimizer.rs)
//!                                                   │
//!                        Trained ── calibrate ── lower ── Graph   (deploy/)
//! ```
//!
//! Every layer has an explicit forward and backward function (one file each in `network/`); there is
//! no tape of closures and no automatic differentiation, so the computation is visible in the code. The
//! functions are generic over f32 and f64: training uses f32, the tests compare each gradient with central
//! differences in f64.
//!
//! **Determinism.** A batch is cut into chunks of [`CHUNK_IMAGES`] images for any number of threads, and their gradients are added in the order of the chunks: any number of threads gives
//! the same bits. Matrix products come from `vmin-kernels`, whose float kernels depend on the
//! instruction set: two *machines* may differ in the last bits, and so after many steps in the
//! weights. A published network is therefore a file, not only a recipe.
//!
//! **Engines.** An [`Engine`] computes the layers: the processor ([`Engine::cpu`]), or a device of another
//! crate, such as an NVIDIA GPU with `vmin-train-cuda`. Engines differ by rounding; [`engine`] tells how to write
//! one.
//!
//! The crate knows nothing of energy, cycles and voltages. Of chips and accelerators it knows the cell of each
//! weight bit and whether that cell is faulty.
//!
//! ```
//! use std::ops::ControlFlow;
//! use vmin_nn::data::{Split, shapes};
//! use vmin_train::{Recipe, train};
//!
//! let recipe = Recipe::from_toml(
//!     r#"
//!     name = "tiny"
//!     seed = 1
//!     epochs = 1
//!     batch_size = 50
//!     schedule = "cosine"
//!     input = { zero_pixel = 128, scale = 0.02 }
//!     network = [
//!       { conv2d = { channels = 4, kernel = 3, stride = 2 } },
//!       "relu",
//!       { fully_connected = { features = 10 } },
//!     ]
//!     "#,
//! )?;
//! let data = shapes::generate(1, Split::Train, 200);
//! let test = shapes::generate(1, Split::Test, 50);
//! let trained = train(&recipe, &data, &test, |metrics| {
//!     assert!(metrics.loss.is_finite());
//!     ControlFlow::Continue(())
//! })?;
//! let graph = trained.lower(&data)?;
//! assert_eq!(graph.weights.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod attack;
pub mod bit_errors;
mod checkpoint;
mod clip;
mod codec;
pub mod deploy;
pub mod engine;
mod error;
mod fine_tune;
mod loss;
mod loss_gradient;
pub mod network;
mod optimizer;
mod parallel;
mod random;
mod real;
mod recipe;
mod schedule;
mod trainer;
mod twin;
mod weights;

pub use attack::FloatVictim;
pub use bit_errors::{Adversary, BitErrors, ErrorMap, Fade, Measured, SumKeeping};
pub use checkpoint::{CHECKPOINT_VERSION, Checkpoint, CheckpointError};
pub use codec::{SchemeFormula, WeightScheme};
pub use engine::{Engine, EngineError};
pub use error::{DeployError, TrainError};
pub use fine_tune::StartError;
pub use fine_tune::float::FloatNetwork;
pub use loss_gradient::{LossGradient, StoredWeights};
pub use network::Network;
pub use optimizer::Sgd;
pub use real::Real;
pub use recipe::{
    BatchSize, ClipScope, ImageAttack, ImageSearch, InputScaling, LayerSpec, LearnedClip,
    PatchSearch, Recipe, Sharpness, StartPixels, TestErrors, WeightPerturbation,
    WeightQuantization, at_key,
};
pub use schedule::Schedule;
pub use trainer::{AutoAugment, EpochMetrics, Trained, Trainer, train};
pub use twin::flatness::{Ascent, Flatness, FlatnessError, UnderNoise};
pub use twin::{Goal, Twin, TwinError, TwinVictim, attackable};

/// Images per chunk of a batch: the unit of parallel work and of the order of summation.
pub const CHUNK_IMAGES: usize = 16;
