//! What can be wrong with a recipe, its data or its deployment.

/// Why a network could not be trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe file does not parse.
    #[error("the recipe does not parse")]
    Recipe(#[source] Box<toml::de::Error>),
    /// A number of the recipe is out of its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Value {
        /// Path of the field.
        field: &'static str,
        /// Its value.
        found: String,
        /// Its range.
        expected: &'static str,
    },
    /// A layer does not fit what comes before it.
    #[error("layer {layer} (`{kind}`) does not fit its input {input:?}: {reason}")]
    Layer {
        /// Position in execution order, residual branches counted.
        layer: usize,
        /// Kind of layer.
        kind: &'static str,
        /// `[height, width, channels]` that reach it.
        input: [usize; 3],
        /// What does not fit.
        reason: &'static str,
    },
    /// More parameters or activations than the limit.
    #[error("the network needs {found} {what}, more than the limit of {limit}")]
    TooLarge {
        /// `parameters` or `values per image`.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The network does not end in one value per class.
    #[error("the network ends in shape {found:?}, the data set has {classes} classes")]
    Classes {
        /// Shape of the last value.
        found: [usize; 3],
        /// Classes of the data.
        classes: usize,
    },
    /// Training and test images differ in shape or classes.
    #[error(
        "training images are {train:?} in {train_classes} classes, test images {test:?} in {test_classes}"
    )]
    Split {
        /// Shape of the training images.
        train: [usize; 3],
        /// Classes of the training set.
        train_classes: usize,
        /// Shape of the test images.
        test: [usize; 3],
        /// Classes of the test set.
        test_classes: usize,
    },
    /// A set without images.
    #[error("the {split} set has no images")]
    Empty {
        /// Which one.
        split: &'static str,
    },
    /// Not one clipping fraction per weight tensor.
    #[error("`clip_fractions` has {found} values, the network {expected} weight tensors")]
    Fractions {
        /// Values given.
        found: usize,
        /// Weight tensors.
        expected: usize,
    },
    /// The chips to train on cannot be drawn, or not laid under the weights.
    #[error("the chips to train on cannot be used: {0}")]
    Chips(String),
    /// The recipe names measured chips and got none.
    #[error("the recipe names measured chips, which were not given: `Trainer::with_chips`")]
    NoChips,
    /// Errors in activations of a network that has no integer form, and so no codes of activations.
    #[error("errors in activations hit the codes that they are deployed as: {0}")]
    NoActivationCodes(#[source] DeployError),
    /// A network that cannot be started from.
    #[error("the network to start from does not fit the recipe: {0}")]
    Start(#[from] crate::StartError),
    /// A checkpoint that cannot be gone on from.
    #[error(transparent)]
    Checkpoint(#[from] crate::CheckpointError),
    /// A GPU that failed.
    #[error(transparent)]
    Engine(#[from] crate::EngineError),
    /// The loss is no number any more.
    #[error("the loss is not finite after epoch {epoch}: lower the learning rate")]
    Diverged {
        /// Epoch, from 0.
        epoch: u32,
    },
}

/// Why a trained network could not become an integer graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// No image to calibrate activation ranges on, or images of another shape.
    #[error(
        "the calibration images do not fit: {images} images of shape {found:?}, the network takes {expected:?}"
    )]
    Images {
        /// Number of images.
        images: usize,
        /// Their shape.
        found: [usize; 3],
        /// What the network takes.
        expected: [usize; 3],
    },
    /// A rectifier or normalization that cannot become part of the step before it.
    #[error("`{step}` cannot be fused: its input is also used elsewhere or comes from no layer")]
    Rectifier {
        /// Name of the step.
        step: String,
    },
    /// A weight is no finite number.
    #[error("the weights cannot be quantized: some are no finite numbers")]
    NotFinite,
    /// A requantization factor is no positive finite number.
    #[error("the requantization factor {factor} of `{step}` cannot be held")]
    Factor {
        /// Name of the step.
        step: String,
        /// The factor.
        factor: f64,
    },
    /// The integer network cannot be run.
    #[error("the integer network does not run: {0}")]
    Run(String),
    /// The integer network does not err as the float network does.
    #[error(
        "the integer network errs on {integer_pct:.2} % of the images, the float network on {float_pct:.2} %: more than {limit_points} points apart"
    )]
    Accuracy {
        /// Error of the integer network in per cent.
        integer_pct: f64,
        /// Error of the float network in per cent.
        float_pct: f64,
        /// Allowed difference in points.
        limit_points: f64,
    },
}
