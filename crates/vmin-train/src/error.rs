//! Errors of recipes, data and deployment.

/// Failure of a training run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A value of the recipe is out of its range.
    #[error("`{field}` is {found}, expected {expected}")]
    Value {
        /// Path of the value, such as `clip_fractions[1]`.
        field: String,
        /// Its value.
        found: String,
        /// Its range.
        expected: &'static str,
    },
    /// A layer does not fit its input.
    #[error("layer {layer} (`{kind}`) does not fit its input {input:?}: {reason}")]
    Layer {
        /// Position in execution order, residual branches counted.
        layer: usize,
        /// Kind of layer.
        kind: &'static str,
        /// `[height, width, channels]` of its input.
        input: [usize; 3],
        /// The violated condition.
        reason: &'static str,
    },
    /// The network has more parameters or activations than the limit.
    #[error("the network needs {found} {what}, more than the limit of {limit}")]
    TooLarge {
        /// `parameters` or `values per image`.
        what: &'static str,
        /// Their number.
        found: usize,
        /// The limit.
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
    /// A data set has no images.
    #[error("the {split} set has no images")]
    Empty {
        /// `training` or `test`.
        split: &'static str,
    },
    /// The number of clipping fractions is not the number of weight tensors.
    #[error("`clip_fractions` has {found} values, the network {expected} weight tensors")]
    Fractions {
        /// Values given.
        found: usize,
        /// Weight tensors.
        expected: usize,
    },
    /// The patch of an attack has no place.
    #[error("a patch of {side} x {side} pixels has no free place in images of {height} x {width}")]
    Patch {
        /// Height and width of the patch.
        side: usize,
        /// Rows of the images.
        height: usize,
        /// Columns of the images.
        width: usize,
    },
    /// The chips to train on cannot be sampled, or do not fit the weights.
    #[error("the chips to train on cannot be used: {0}")]
    Chips(String),
    /// The recipe names measured chips, but none were given.
    #[error("the recipe names measured chips; pass them to `Trainer::with_chips`")]
    NoChips,
    /// The recipe has errors in activations, but the network has no integer form and so no activation codes.
    #[error("errors in activations hit the codes that they are deployed as: {0}")]
    NoActivationCodes(#[source] DeployError),
    /// The network to start from does not fit.
    #[error("the network to start from does not fit the recipe: {0}")]
    Start(#[from] crate::StartError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] crate::CheckpointError),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] crate::EngineError),
    /// The loss is not finite.
    #[error("the loss is not finite after epoch {epoch}: lower the learning rate")]
    Diverged {
        /// Epoch, counted from 0.
        epoch: u32,
    },
}

/// Failure to turn a trained network into an integer graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeployError {
    /// There are no images for calibration, or they have another shape.
    #[error(
        "the calibration images do not fit: {images} images of shape {found:?}, the network takes {expected:?}"
    )]
    Images {
        /// Number of images.
        images: usize,
        /// Their shape.
        found: [usize; 3],
        /// Shape that the network expects.
        expected: [usize; 3],
    },
    /// A rectifier or normalization cannot be fused with the step before it.
    #[error("`{step}` cannot be fused: its input is also used elsewhere or comes from no layer")]
    Rectifier {
        /// Name of the step.
        step: String,
    },
    /// A weight is not finite.
    #[error("the weights cannot be quantized: some are no finite numbers")]
    NotFinite,
    /// A requantization factor is not positive and finite.
    #[error("the requantization factor {factor} of `{step}` cannot be represented")]
    Factor {
        /// Name of the step.
        step: String,
        /// The factor.
        factor: f64,
    },
    /// The integer network cannot be run.
    #[error("the integer network does not run: {0}")]
    Run(String),
    /// The errors of integer and float network differ too much.
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
