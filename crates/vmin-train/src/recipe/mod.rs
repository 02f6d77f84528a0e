//! Recipes: everything about a training run except the images.
//!
//! `file.rs` parses recipe files, `values.rs` checks ranges. Checkpoints hold a recipe as JSON and compare it by value;
//! the JSON has the keys and words of the file.

mod attack;
mod file;
mod values;

pub use attack::{ImageAttack, ImageSearch, PatchSearch, WeightPerturbation};
pub use file::at_key;

use serde::Serialize;
use vmin_diagnostic::{Diagnostics, Source};

use crate::bit_errors::{BitErrors, DataFaults, SumKeeping, is_usual_fold, is_zero};
use crate::codec::{SchemeFormula, WeightScheme};
use crate::network::{Norm, Shortcut};
use crate::{AutoAugment, Schedule, Sgd};

/// Bits per weight code if the recipe does not name them.
const BITS_DEFAULT: u8 = 8;

/// A training run without its images, as a recipe file describes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// Name of the network.
    pub name: String,
    /// Images as in `--data`; only the command line uses it.
    pub data: Option<String>,
    /// A network to start from instead of random weights, as in `--model`; a path is relative to the
    /// recipe. Only the command line uses it; library users pass the graph to
    /// [`Trainer::start_from`](crate::Trainer::start_from).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Pixel scaling of the network in `start` if that is a float network of another program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_pixels: Option<StartPixels>,
    /// Seed of the initial weights, the order of images and the augmentation.
    pub seed: u64,
    /// Passes over the training images, 1 or more.
    pub epochs: u32,
    /// Images per step, 1 or more. The last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Other batch sizes from later epochs on, in order: a larger batch instead of a lower learning rate
    /// (S. L. Smith et al., "Don't Decay the Learning Rate, Increase the Batch Size", ICLR 2018).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub later_batches: Vec<BatchSize>,
    /// Step rule.
    pub optimizer: Sgd,
    /// Decay of the learning rate.
    pub schedule: Schedule,
    /// Every parameter (see `clip_scope`) is clipped to `[-clip, clip]` before each step and at the end (CLIPPING,
    /// "Bit Error Robustness for Energy-Efficient DNN Accelerators", section 4.2).
    pub clip: Option<f32>,
    /// One factor of `clip` per weight tensor in network order, above 0 up to 1; a bias has that of
    /// its weights. In the journal version of the paper (per-layer clipping): the largest magnitude
    /// of the tensor in a network trained without clipping, over that of the widest tensor.
    pub clip_fractions: Option<Vec<f32>>,
    /// Parameters to which `clip` applies.
    #[serde(skip_serializing_if = "ClipScope::is_all")]
    pub clip_scope: ClipScope,
    /// Learns the bounds of the weight tensors, from `clip` and `clip_fractions` or from their largest weights on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learned_clip: Option<LearnedClip>,
    /// Activations that lie in memory, logits too, are cut off at this magnitude: it bounds the range of their codes
    /// as `clip` bounds that of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_clip: Option<f32>,
    /// Steps along the gradient at the worst nearby weights, for twice the passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sharpness: Option<Sharpness>,
    /// Trains on images that an attack changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attack: Option<ImageAttack>,
    /// Steps along the gradient at weights moved against the network, for twice the passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_perturbation: Option<WeightPerturbation>,
    /// Trains on quantized copies of the weights, straight-through.
    pub quantization: Option<WeightQuantization>,
    /// Trains under bit errors in the quantized weights.
    pub bit_errors: Option<BitErrors>,
    /// From this epoch on (counted from 0) batch normalizations use their running averages in training as
    /// in deployment. They no longer stabilize training, so the learning rate must be low by then.
    pub norm_frozen_from_epoch: Option<u32>,
    /// Measures the test error under bit errors after each epoch.
    pub rerr: Option<TestErrors>,
    /// Shifts each image by up to this many pixels in each direction, edges repeated.
    pub shift_pixels: usize,
    /// Mirrors each image from left to right with probability one half.
    pub mirror: bool,
    /// Changes each image by a learnt policy of pairs of operations; pixels from outside the image are
    /// `input.zero_pixel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoaugment: Option<AutoAugment>,
    /// Height and width of a square around a random pixel that is filled with `input.zero_pixel` (Cutout, T. DeVries and G. W. Taylor, 2017); 0 for none.
    pub cutout_pixels: usize,
    /// Scaling of pixels to inputs.
    pub input: InputScaling,
    /// The layers from input to logits.
    pub network: Vec<LayerSpec>,
}

/// Images per step from an epoch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BatchSize {
    /// The epoch, 1 or more; earlier epochs use `batch_size`.
    pub from_epoch: u32,
    /// Images per step, 1 or more.
    pub images: usize,
}

/// Parameters that weight clipping clips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipScope {
    /// Every parameter, as in the papers, which store all of them in the weight memory.
    #[default]
    All,
    /// The parameters in the weight memory of this project: neither biases nor scales and shifts of
    /// normalizations.
    Weights,
}

impl ClipScope {
    /// Every value with its word in a recipe.
    const WORDS: [(&str, Self); 2] = [("all", Self::All), ("weights", Self::Weights)];

    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// Learned bounds of weights (WCAT).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LearnedClip {
    /// Weight decay of the bounds, per step and rate, 0 or more and below 1.
    pub decay: f32,
}

/// Sharpness-aware steps (SAM).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sharpness {
    /// Euclidean length of the ascent over all parameters together, above 0; 0.05 in the paper.
    pub rho: f32,
}

/// Quantization of the weights in the forward pass; the gradient passes through unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WeightQuantization {
    /// Bits per code, 2..=8.
    pub bits: u8,
    /// First epoch (from 0) that trains on quantized weights.
    pub from_epoch: u32,
    /// Map from codes to real numbers.
    pub scheme: WeightScheme,
    /// Formula of the papers' text or of their code where the two differ; unused by `deployable`.
    pub formula: SchemeFormula,
}

impl WeightQuantization {
    /// `bits` bits of the default scheme from the first epoch on.
    #[must_use]
    pub fn deployable(bits: u8) -> Self {
        let (scheme, formula) = (WeightScheme::Deployable, SchemeFormula::Paper);
        Self { bits, from_epoch: 0, scheme, formula }
    }
}

/// Independent bit flips in the test after an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TestErrors {
    /// Probability that a bit of a weight flips, above 0 and up to 0.5; 0 where only activations,
    /// inputs or sums have errors.
    pub rate: f64,
    /// Probability that a bit of an activation flips, 0 up to 0.5.
    #[serde(skip_serializing_if = "is_zero")]
    pub activations_rate: f64,
    /// Probability that a bit of an input pixel flips, 0 up to 0.5.
    #[serde(skip_serializing_if = "is_zero")]
    pub inputs_rate: f64,
    /// Probability that a bit of a partial sum flips, 0 up to 0.5.
    #[serde(skip_serializing_if = "is_zero")]
    pub sums_rate: f64,
    /// Taps that the array adds before a sum leaves it.
    #[serde(skip_serializing_if = "is_usual_fold")]
    pub sums_fold: usize,
    /// How the words of sums are kept.
    #[serde(flatten)]
    pub sums_kept: SumKeeping,
    /// Which bits of activations, inputs and sums flip on a chip.
    #[serde(skip_serializing_if = "DataFaults::is_transient")]
    pub data_faults: DataFaults,
    /// Number of chips, the same chips in every epoch, 1 to 10,000.
    pub chips: u32,
}

/// `x = scale * (pixel - zero_pixel)`: exactly the input quantization of the deployed graph.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InputScaling {
    /// The pixel that means 0, also the value of padding; near the mean of the images.
    pub zero_pixel: u8,
    /// Size of one grey level; one over the standard deviation is usual.
    pub scale: f32,
}

impl InputScaling {
    /// Pixels as inputs of the network.
    #[must_use]
    pub fn inputs(self, pixels: &[u8]) -> Vec<f32> {
        let zero = f32::from(self.zero_pixel);
        pixels.iter().map(|&pixel| self.scale * (f32::from(pixel) - zero)).collect()
    }
}

/// Pixel scaling of a float network: `(pixel / 255 - mean) / std` per channel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StartPixels {
    /// Mean per channel.
    pub mean: Vec<f64>,
    /// Standard deviation per channel, positive.
    pub std: Vec<f64>,
}

/// One layer of a recipe; sizes of inputs follow from what comes before.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerSpec {
    /// A convolution with bias and zero padding of half the kernel.
    Conv2d {
        /// Output channels.
        channels: usize,
        /// Height and width of the kernel, odd.
        kernel: usize,
        /// Stride in both directions.
        stride: usize,
        /// Whether each output channel has a bias; useless before a normalization.
        bias: bool,
    },
    /// Batch normalization with trained scale and shift.
    BatchNorm,
    /// Group normalization with trained scale and shift.
    GroupNorm {
        /// Groups of neighbouring channels. If absent: the first of 32, 24, 16, 8 (each at most half the
        /// channels) that divides the channels.
        groups: Option<usize>,
    },
    /// LeNet: two 5x5 convolutions and a hidden layer, including the last layer.
    Lenet {
        /// Channels of the first convolution, 64 in the papers' code.
        width: usize,
        /// Number of classes.
        classes: usize,
        /// Normalization after each convolution.
        norm: Norm,
    },
    /// SimpleNet of the robust-quantization papers, including the last layer.
    Simplenet {
        /// Channels of the first convolution: 64 for CIFAR-10, 32 for MNIST.
        width: usize,
        /// Number of classes.
        classes: usize,
        /// Normalization after each convolution.
        norm: Norm,
    },
    /// ResNet of basic blocks, including the last layer.
    Resnet {
        /// Blocks per stage: `[1, 1, 1]` is ResNet-8, `[3, 3, 3]` ResNet-20.
        blocks: Vec<usize>,
        /// Channels of the first stage.
        width: usize,
        /// Number of classes.
        classes: usize,
        /// Normalization after each convolution.
        norm: Norm,
        /// Shortcut of a block that changes the shape.
        shortcut: Shortcut,
    },
    /// Every `stride`-th pixel, with channels of zeros on both sides (K. He et al. 2016, option A): a trained
    /// 1x1 convolution that starts as this selection.
    Subsample {
        /// Output channels, at least as many as inputs.
        channels: usize,
        /// Stride in both directions.
        stride: usize,
    },
    /// Rectifier.
    Relu,
    /// Maximum over windows that tile the image.
    MaxPool {
        /// Height and width of the window.
        window: usize,
    },
    /// Average over windows that tile the image.
    AveragePool {
        /// Height and width of the window.
        window: usize,
    },
    /// Average over the whole image.
    GlobalAveragePool,
    /// Sum of `body` and `shortcut`, which must end in the same shape.
    Residual {
        /// Layers of the first branch, at least one.
        body: Vec<Self>,
        /// Layers of the second branch; empty for the identity.
        shortcut: Vec<Self>,
    },
    /// Fully connected with bias.
    FullyConnected {
        /// Number of outputs.
        features: usize,
    },
}

impl Recipe {
    /// Parses and checks the text of a recipe file, as [`Self::parse`] does.
    ///
    /// # Errors
    /// All problems of the text.
    pub fn from_toml(text: &str) -> Result<Self, Diagnostics> {
        Self::parse(&Source::new("recipe", text))
    }

    /// The recipe's quantization of weights, or that of deployment if it names none.
    pub(crate) fn storage(&self) -> WeightQuantization {
        self.quantization.unwrap_or_else(|| WeightQuantization::deployable(BITS_DEFAULT))
    }

    /// Images per step in an epoch.
    pub(crate) fn batch_size_in(&self, epoch: u32) -> usize {
        let begun = self.later_batches.iter().rev().find(|size| size.from_epoch <= epoch);
        begun.map_or(self.batch_size, |size| size.images)
    }
}
