//! What to train and how: the content of a recipe file.

use serde::{Deserialize, Serialize};

use crate::network::Norm;
use crate::{Schedule, Sgd, TrainError};

/// A training run, up to the data. Read from TOML with [`Recipe::from_toml`]; unknown fields are
/// refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the network.
    pub name: String,
    /// Seed of the initial weights, the order of images and the augmentation.
    pub seed: u64,
    /// Passes over the training images, 1 or more.
    pub epochs: u32,
    /// Images per step, 1 or more. The last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Step rule.
    #[serde(default)]
    pub optimizer: Sgd,
    /// Fall of the learning rate.
    pub schedule: Schedule,
    /// Every parameter is clipped to `[-clip, clip]` before each step and at the end (CLIPPING,
    /// "Bit Error Robustness for Energy-Efficient DNN Accelerators", section 4.2).
    #[serde(default)]
    pub clip: Option<f32>,
    /// Trains on quantized copies of the weights, straight-through.
    #[serde(default)]
    pub quantization: Option<WeightQuantization>,
    /// Images are moved by up to this many pixels in each direction, edges repeated.
    #[serde(default)]
    pub shift_pixels: usize,
    /// How pixels become inputs.
    pub input: InputScaling,
    /// The layers from input to logits.
    pub network: Vec<LayerSpec>,
}

/// Quantization of the weights in the forward pass; the gradient passes through unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightQuantization {
    /// Bits per code, 2..=8.
    pub bits: u8,
    /// First epoch (from 0) that trains on quantized weights.
    #[serde(default)]
    pub from_epoch: u32,
}

/// `x = scale * (pixel - zero_pixel)`: exactly the input quantization of the deployed graph.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputScaling {
    /// The pixel that means 0 (also what padding is), near the mean.
    pub zero_pixel: u8,
    /// Size of one grey level; one over the standard deviation is usual.
    pub scale: f32,
}

/// One layer of a recipe; sizes of inputs follow from what comes before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum LayerSpec {
    /// A convolution with bias and zero padding of half the kernel.
    Conv2d {
        /// Output channels.
        channels: usize,
        /// Height and width of the kernel, odd.
        kernel: usize,
        /// Stride in both directions.
        #[serde(default = "one")]
        stride: usize,
        /// Whether each output channel has a bias; of no use before a normalization.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// Batch normalization with trained scale and shift.
    BatchNorm,
    /// Two 5x5 convolutions and a hidden layer, with the last layer.
    Lenet {
        /// Channels of the first convolution, 64 in the papers' code.
        width: usize,
        /// Number of classes.
        classes: usize,
        /// What follows each convolution.
        #[serde(default)]
        norm: Norm,
    },
    /// SimpleNet of the robust-quantization papers, with the last layer.
    Simplenet {
        /// Channels of the first convolution: 64 for CIFAR-10, 32 for MNIST.
        width: usize,
        /// Number of classes.
        classes: usize,
        /// What follows each convolution.
        #[serde(default)]
        norm: Norm,
    },
    /// ResNet of basic blocks, with the last layer.
    Resnet {
        /// Blocks per stage: `[1, 1, 1]` is ResNet-8, `[3, 3, 3]` ResNet-20.
        blocks: Vec<usize>,
        /// Channels of the first stage.
        width: usize,
        /// Number of classes.
        classes: usize,
        /// What follows each convolution.
        #[serde(default)]
        norm: Norm,
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
    /// Sum of `body` and `shortcut`, which end in one shape.
    Residual {
        /// Layers of the first branch, at least one.
        body: Vec<Self>,
        /// Layers of the second branch; empty hands the input on.
        #[serde(default)]
        shortcut: Vec<Self>,
    },
    /// Fully connected with bias.
    FullyConnected {
        /// Number of outputs.
        features: usize,
    },
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

impl Recipe {
    /// Parses and validates a recipe.
    ///
    /// # Errors
    ///
    /// [`TrainError::Recipe`] with the parser's place and reason, or [`TrainError::Value`].
    pub fn from_toml(text: &str) -> Result<Self, TrainError> {
        let recipe: Self =
            toml::from_str(text).map_err(|error| TrainError::Recipe(Box::new(error)))?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    ///
    /// [`TrainError::Value`] for the first number out of its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let check = |field, fine: bool, found: &dyn std::fmt::Display, expected| {
            let found = found.to_string();
            if fine { Ok(()) } else { Err(TrainError::Value { field, found, expected }) }
        };
        let sgd = &self.optimizer;
        let positive = |x: f32| x.is_finite() && x > 0.0;
        check("epochs", self.epochs > 0, &self.epochs, "1 or more")?;
        check("batch_size", self.batch_size > 0, &self.batch_size, "1 or more")?;
        let rate = sgd.learning_rate;
        check("optimizer.learning_rate", positive(rate), &rate, "positive and finite")?;
        let momentum = sgd.momentum;
        check("optimizer.momentum", (0.0..1.0).contains(&momentum), &momentum, "0 up to, not 1")?;
        let decay = sgd.weight_decay;
        check("optimizer.weight_decay", (0.0..1.0).contains(&decay), &decay, "0 up to, not 1")?;
        if let Some(clip) = self.clip {
            check("clip", positive(clip), &clip, "positive and finite")?;
        }
        if let Some(quantization) = self.quantization {
            let bits = quantization.bits;
            check("quantization.bits", (2..=8).contains(&bits), &bits, "2..=8")?;
        }
        check("input.scale", positive(self.input.scale), &self.input.scale, "positive and finite")?;
        if let Schedule::Step { factor, milestones } = &self.schedule {
            check("schedule.step.factor", positive(*factor), factor, "positive and finite")?;
            for milestone in milestones {
                let fine = *milestone > 0.0 && *milestone < 1.0;
                check("schedule.step.milestones", fine, milestone, "between 0 and 1")?;
            }
        }
        Ok(())
    }
}
