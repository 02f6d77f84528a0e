//! What to train and how: the content of a recipe file.

use serde::{Deserialize, Serialize};

use crate::bit_errors::{
    BitErrors, ChipPopulation, FaultKindChoice, Measured, Pattern, Streaming, is_zero,
};
use crate::codec::{SchemeFormula, WeightScheme};
use crate::network::{Norm, Shortcut};
use crate::{AutoAugment, Schedule, Sgd, TrainError};

/// Bits per weight code where the recipe does not say.
const BITS_DEFAULT: u8 = 8;

/// Most chips that an epoch is measured on.
const CHIPS_MAX: u32 = 10_000;

/// A training run, up to the data. Read from TOML with [`Recipe::from_toml`]; unknown fields are
/// refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Name of the network.
    pub name: String,
    /// Images by the words of `--data`; only the command line reads it.
    #[serde(default)]
    pub data: Option<String>,
    /// A network to start from in place of random weights, by the words of `--model`; a path is
    /// relative to the recipe. Only the command line reads it; others give the graph to
    /// [`Trainer::start_from`](crate::Trainer::start_from).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Pixels as the network took them that `start` names, where that is a float network of another
    /// program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_pixels: Option<StartPixels>,
    /// Seed of the initial weights, the order of images and the augmentation.
    pub seed: u64,
    /// Passes over the training images, 1 or more.
    pub epochs: u32,
    /// Images per step, 1 or more. The last step of an epoch may have fewer.
    pub batch_size: usize,
    /// Other sizes from an epoch on, their epochs rising: a larger batch in place of a lower learning rate
    /// (S. L. Smith et al., "Don't Decay the Learning Rate, Increase the Batch Size", ICLR 2018).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_batches: Vec<BatchSize>,
    /// Step rule.
    #[serde(default)]
    pub optimizer: Sgd,
    /// Fall of the learning rate.
    pub schedule: Schedule,
    /// Every parameter (see `clip_scope`) is clipped to `[-clip, clip]` before each step and at the end (CLIPPING,
    /// "Bit Error Robustness for Energy-Efficient DNN Accelerators", section 4.2).
    #[serde(default)]
    pub clip: Option<f32>,
    /// One factor of `clip` per weight tensor in network order, above 0 up to 1; a bias has that of
    /// its weights. In the journal version of the paper (per-layer clipping): the largest magnitude
    /// of the tensor in a network trained without clipping, over that of the widest tensor.
    #[serde(default)]
    pub clip_fractions: Option<Vec<f32>>,
    /// Which parameters `clip` is about.
    #[serde(default, skip_serializing_if = "ClipScope::is_all")]
    pub clip_scope: ClipScope,
    /// Trains on quantized copies of the weights, straight-through.
    #[serde(default)]
    pub quantization: Option<WeightQuantization>,
    /// Trains under bit errors in the quantized weights.
    #[serde(default)]
    pub bit_errors: Option<BitErrors>,
    /// From this epoch on (from 0) batch normalizations go by their running averages, in training
    /// as in deployment. What they kept stable they no longer do: by then the learning rate must be
    /// low.
    #[serde(default)]
    pub norm_frozen_from_epoch: Option<u32>,
    /// Measures the test error under bit errors after each epoch.
    #[serde(default)]
    pub rerr: Option<TestErrors>,
    /// Images are moved by up to this many pixels in each direction, edges repeated.
    #[serde(default)]
    pub shift_pixels: usize,
    /// Mirrors each image from left to right with probability one half.
    #[serde(default)]
    pub mirror: bool,
    /// Changes each image by a learnt policy of pairs of operations; what comes in from beyond the
    /// edges is `input.zero_pixel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoaugment: Option<AutoAugment>,
    /// Height and width of a square around a random pixel that is painted over with
    /// `input.zero_pixel` (Cutout, T. DeVries and G. W. Taylor, 2017); 0 for none.
    #[serde(default)]
    pub cutout_pixels: usize,
    /// How pixels become inputs.
    pub input: InputScaling,
    /// The layers from input to logits.
    pub network: Vec<LayerSpec>,
}

/// Images per step from an epoch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSize {
    /// The epoch, 1 or more: before it `batch_size` holds.
    pub from_epoch: u32,
    /// Images per step, 1 or more.
    pub images: usize,
}

/// What weight clipping clips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipScope {
    /// Every parameter, as in the papers, which store all of them in the weight memory.
    #[default]
    All,
    /// What lies in the weight memory here: not biases, nor scales and shifts of normalizations.
    Weights,
}

impl ClipScope {
    fn is_all(&self) -> bool {
        *self == Self::All
    }
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
    /// Which real number a code means.
    #[serde(default)]
    pub scheme: WeightScheme,
    /// Whose formula, where the papers' text and code differ; without meaning for `deployable`.
    #[serde(default)]
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

/// Independent flips when an epoch is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestErrors {
    /// Probability that a bit of a weight flips, above 0 and up to 0.5; 0 where only activations or
    /// inputs have errors.
    pub rate: f64,
    /// Probability that a bit of an activation flips, 0 up to 0.5.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub activations_rate: f64,
    /// Probability that a bit of an input pixel flips, 0 up to 0.5.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inputs_rate: f64,
    /// Chips, the same in every epoch, 1 up to 10,000.
    pub chips: u32,
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

/// Pixels of a float network: `(pixel / 255 - mean) / std` per channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartPixels {
    /// Mean per channel.
    pub mean: Vec<f64>,
    /// Standard deviation per channel, positive.
    pub std: Vec<f64>,
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
    /// Group normalization with trained scale and shift.
    GroupNorm {
        /// Groups of neighbouring channels; if absent the first of 32, 24, 16, 8, or half the channels if
        /// that is less, that divides the channels.
        #[serde(default)]
        groups: Option<usize>,
    },
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
        /// How the input of a block that grows joins its output.
        #[serde(default)]
        shortcut: Shortcut,
    },
    /// Every `stride`-th pixel, with channels of zeros on both sides (K. He et al. 2016, option A): a 1x1
    /// convolution that begins as this selection.
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

    /// The recipe's quantization of weights, or that of deployment if it names none.
    pub(crate) fn storage(&self) -> WeightQuantization {
        self.quantization.unwrap_or_else(|| WeightQuantization::deployable(BITS_DEFAULT))
    }

    /// Images per step in an epoch.
    pub(crate) fn batch_size_in(&self, epoch: u32) -> usize {
        let begun = self.later_batches.iter().rev().find(|size| size.from_epoch <= epoch);
        begun.map_or(self.batch_size, |size| size.images)
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    ///
    /// [`TrainError::Value`] for the first number out of its range.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// All numbers that are out of their range, each a [`TrainError::Value`].
    #[must_use]
    pub fn problems(&self) -> Vec<TrainError> {
        let mut problems = Problems(Vec::new());
        let sgd = &self.optimizer;
        let positive = |x: f32| x.is_finite() && x > 0.0;
        problems.unless(!self.name.is_empty(), "name", &"empty", "a name");
        let expected = "1 or more, or 0 beside `start`";
        problems.unless(self.epochs > 0 || self.start.is_some(), "epochs", &self.epochs, expected);
        if let Some(StartPixels { mean, std }) = &self.start_pixels {
            problems.unless(self.start.is_some(), "start_pixels", &"alone", "`start` beside it");
            for mean in mean {
                problems.unless(mean.is_finite(), "start_pixels.mean", mean, "finite");
            }
            for std in std {
                let fine = std.is_finite() && *std > 0.0;
                problems.unless(fine, "start_pixels.std", std, "positive and finite");
            }
        }
        problems.unless(self.batch_size > 0, "batch_size", &self.batch_size, "1 or more");
        let mut last = 0;
        for BatchSize { from_epoch, images } in &self.later_batches {
            problems.unless(*images > 0, "later_batches.images", images, "1 or more");
            let expected = "1 or more, below `epochs`, and later than the one before";
            let fine = *from_epoch > last && *from_epoch < self.epochs;
            problems.unless(fine, "later_batches.from_epoch", from_epoch, expected);
            last = *from_epoch;
        }
        let rate = sgd.learning_rate;
        problems.unless(positive(rate), "optimizer.learning_rate", &rate, "positive and finite");
        let below_one = |x: f32| (0.0..1.0).contains(&x);
        let momentum = sgd.momentum;
        problems.unless(below_one(momentum), "optimizer.momentum", &momentum, "0 up to, not 1");
        let decay = sgd.weight_decay;
        problems.unless(below_one(decay), "optimizer.weight_decay", &decay, "0 up to, not 1");
        if let Some(clip) = self.clip {
            problems.unless(positive(clip), "clip", &clip, "positive and finite");
        }
        if let Some(fractions) = &self.clip_fractions {
            problems.unless(self.clip.is_some(), "clip_fractions", &"alone", "`clip` beside it");
            for fraction in fractions {
                let fine = *fraction > 0.0 && *fraction <= 1.0;
                problems.unless(fine, "clip_fractions", fraction, "above 0 up to 1");
            }
        }
        if let Some(quantization) = self.quantization {
            let bits = quantization.bits;
            problems.unless((2..=8).contains(&bits), "quantization.bits", &bits, "2..=8");
        }
        let scale = self.input.scale;
        problems.unless(positive(scale), "input.scale", &scale, "positive and finite");
        if let Schedule::Step { factor, milestones } = &self.schedule {
            let field = "schedule.step.factor";
            problems.unless(positive(*factor), field, factor, "positive and finite");
            for milestone in milestones {
                let fine = *milestone > 0.0 && *milestone < 1.0;
                problems.unless(fine, "schedule.step.milestones", milestone, "between 0 and 1");
            }
        }
        if let Some(errors) = &self.bit_errors {
            problems.bit_errors(errors, self.quantization.is_some());
        }
        if let Some(rerr) = self.rerr {
            let others = [rerr.activations_rate, rerr.inputs_rate];
            let names = ["rerr.rate", "rerr.activations_rate", "rerr.inputs_rate"];
            problems.rates(names, rerr.rate, others, true);
            let fine = (1..=CHIPS_MAX).contains(&rerr.chips);
            problems.unless(fine, "rerr.chips", &rerr.chips, "1 up to 10000");
        }
        problems.0
    }
}

fn is_rate(rate: f64) -> bool {
    rate > 0.0 && rate <= 0.5
}

struct Problems(Vec<TrainError>);

impl Problems {
    fn unless(
        &mut self,
        fine: bool,
        field: &'static str,
        found: &dyn std::fmt::Display,
        expected: &'static str,
    ) {
        if !fine {
            self.0.push(TrainError::Value { field, found: found.to_string(), expected });
        }
    }

    /// Rates of weights, activations and inputs. That of the weights may be 0 beside another that
    /// is not, where no chip is drawn with it.
    fn rates(
        &mut self,
        names: [&'static str; 3],
        weights: f64,
        others: [f64; 2],
        without_chip: bool,
    ) {
        self.data_rates([names[1], names[2]], others);
        let elsewhere = without_chip && others.iter().any(|&rate| rate != 0.0);
        let (fine, expected) = if elsewhere {
            (is_rate(weights) || weights == 0.0, "0 up to 0.5")
        } else {
            (is_rate(weights), "above 0 up to 0.5")
        };
        self.unless(fine, names[0], &weights, expected);
    }

    /// Rates of activations and inputs.
    fn data_rates(&mut self, names: [&'static str; 2], rates: [f64; 2]) {
        for (name, rate) in names.iter().zip(rates) {
            self.unless(is_rate(rate) || rate == 0.0, name, &rate, "0 up to 0.5");
        }
    }

    /// Measured chips, beside which nothing may be said that would mean nothing.
    fn measured(&mut self, errors: &BitErrors, measured: &Measured) {
        let rate = errors.cell_rate();
        let expected = "none beside `measured`: the voltage says which cells are faulty";
        self.unless(errors.rate.is_none(), "bit_errors.rate", &rate, expected);
        let others = [errors.activations_rate, errors.inputs_rate];
        let fixed = errors.pattern == Pattern::Fixed;
        let fine = errors.pattern != Pattern::Random;
        let expected = "`fixed` or `population`, as `measured` names chips";
        self.unless(fine, "bit_errors.pattern", &"random", expected);
        let files = measured.files.len();
        let (fine, expected) = if fixed {
            (files == 1, "one, as `pattern` is `fixed`")
        } else {
            (files > 0, "one or more")
        };
        self.unless(fine, "bit_errors.measured.files", &format!("{files} files"), expected);
        let (offset, vdd_mv) = (measured.offset_bits, measured.vdd_mv);
        let expected = "nothing, as `pattern` is `population`: every step begins at another cell";
        self.unless(fixed || offset == 0, "bit_errors.measured.offset_bits", &offset, expected);
        let fine = vdd_mv.is_finite() && vdd_mv > 0.0;
        self.unless(fine, "bit_errors.measured.vdd_mv", &vdd_mv, "positive and finite");
        let fine = errors.fault_kind == FaultKindChoice::Flip;
        let expected = "nothing beside `measured`: cells err as they were measured";
        self.unless(fine, "bit_errors.fault_kind", &"stuck_at", expected);
        let chip = errors.chip;
        self.unless(chip == 0, "bit_errors.chip", &chip, "nothing beside `measured`");
        let data = others.iter().any(|&rate| rate != 0.0);
        let expected = "nothing beside `measured`, but for rates of activations and inputs";
        self.unless(data || !errors.curricular, "bit_errors.curricular", &true, expected);
        let own = errors.population;
        let rest = ChipPopulation {
            rows: own.rows,
            columns: own.columns,
            streamed: own.streamed,
            ..ChipPopulation::default()
        };
        let expected = "only `rows`, `columns` and `streamed` beside `measured`";
        self.unless(own == rest, "bit_errors.population", &"a population", expected);
    }

    fn bit_errors(&mut self, errors: &BitErrors, quantized: bool) {
        let expected = "`quantization` in the recipe: errors hit codes";
        self.unless(quantized, "bit_errors", &"alone", expected);
        let others = [errors.activations_rate, errors.inputs_rate];
        let names = ["bit_errors.rate", "bit_errors.activations_rate", "bit_errors.inputs_rate"];
        let without_chip = errors.pattern == Pattern::Random;
        match (&errors.measured, errors.rate) {
            (Some(measured), _) => {
                self.data_rates([names[1], names[2]], others);
                self.measured(errors, measured);
            }
            (None, Some(rate)) => self.rates(names, rate, others, without_chip),
            (None, None) if without_chip && others.iter().any(|&rate| rate != 0.0) => {
                self.data_rates([names[1], names[2]], others);
            }
            (None, None) => {
                let expected = "a rate above 0 up to 0.5, or chips that were `measured`";
                self.unless(false, names[0], &"missing", expected);
            }
        }
        let loss = errors.start_loss;
        if let Some(clamp) = errors.gradient_clamp {
            let fine = clamp.is_finite() && clamp > 0.0;
            self.unless(fine, "bit_errors.gradient_clamp", &clamp, "positive and finite");
        }
        let fine = loss.is_finite() && loss > 0.0;
        self.unless(fine, "bit_errors.start_loss", &loss, "positive and finite");
        let chips = errors.pattern != Pattern::Random;
        let fine = chips || errors.measured.is_some() || errors.fault_kind == FaultKindChoice::Flip;
        let expected = "`flip`, as `pattern` is `random`: cells of no chip prefer no value";
        self.unless(fine, "bit_errors.fault_kind", &"stuck_at", expected);
        let population = errors.population;
        let shares = [population.die, population.bank, population.column, population.half_column];
        let sum: f64 = shares.iter().sum();
        // Beside measured chips there are none.
        let fine =
            errors.measured.is_some() || shares.iter().all(|share| *share >= 0.0) && sum <= 0.99;
        let expected = "shares of 0 or more with a sum of at most 0.99";
        self.unless(fine, "bit_errors.population", &format!("{shares:?}"), expected);
        let prefers = population.share_stuck_at_0;
        let fine = errors.measured.is_some() || (0.0..=1.0).contains(&prefers);
        self.unless(fine, "bit_errors.population.share_stuck_at_0", &prefers, "0 up to 1");
        for (field, size) in [
            ("bit_errors.population.rows", population.rows),
            ("bit_errors.population.columns", population.columns),
        ] {
            self.unless((1..=1 << 20).contains(&size), field, &size, "1 up to 1048576");
        }
        if let Some(Streaming { banks, array: [rows, columns], .. }) = population.streamed {
            let field = "bit_errors.population.streamed.banks";
            self.unless(banks > 0, field, &banks, "1 or more");
            let fine = rows > 0 && columns > 0;
            let field = "bit_errors.population.streamed.array";
            self.unless(fine, field, &format!("[{rows}, {columns}]"), "two sides of 1 or more");
        }
    }
}
