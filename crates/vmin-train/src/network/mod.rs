//! A network as a list of steps over values, like the deployed graph.
//!
//! The network owns its parameters, but every pass gets them as an argument, because training uses copies:
//! quantized (straight-through) and with bit errors. Each layer has its own file with its forward and backward
//! function; `pass.rs` calls them.

mod add;
mod batch;
mod batch_norm;
mod build;
mod conv2d;
mod fully_connected;
mod group_norm;
mod memory;
mod panels;
mod pass;
mod phases;
mod pool;
mod relu;
mod zoo;

pub use batch::{Batch, BatchSum, Forward, Normalization};
pub use batch_norm::{BatchNorm, Moments, Statistics, Sums};
pub use conv2d::Conv2d;
pub use fully_connected::FullyConnected;
pub use group_norm::{GroupMoments, GroupNorm};
pub use pass::Gradients;
pub use pool::Pool2d;
pub use zoo::{Norm, Shortcut};

pub(crate) use batch::{Workspace, backward_batch, forward_batch};
pub(crate) use batch_norm::EPSILON;
pub(crate) use memory::{Memory, Values};
pub(crate) use pass::{forward, forward_into, forward_with};

use crate::real::Real;

/// Index of a [`Parameter`] in [`Network::parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterId(pub usize);

/// Index of a value (an activation tensor) in [`Network::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// Form of a parameter at deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Codes in the weight memory.
    Weight,
    /// An int32 outside the weight memory.
    Bias,
    /// A scale of a normalization less one: part of the requantization multipliers.
    Scale,
}

/// A trained tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// `layer/weight` or `layer/bias`.
    pub name: String,
    /// Its form at deployment.
    pub kind: ParameterKind,
    /// Shape in the layout of the deployed graph.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// One layer with its geometry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Convolution.
    Conv2d(Conv2d),
    /// Fully connected.
    FullyConnected(FullyConnected),
    /// Batch normalization.
    BatchNorm(BatchNorm),
    /// Group normalization.
    GroupNorm(GroupNorm),
    /// Rectifier.
    Relu,
    /// Sum of two values.
    Add,
    /// Pooling.
    Pool2d(Pool2d),
}

impl Layer {
    /// Weights and bias of a layer with a weight matrix.
    #[must_use]
    pub fn product(&self) -> Option<(ParameterId, Option<ParameterId>)> {
        match self {
            Self::Conv2d(layer) => Some((layer.weights, layer.bias)),
            Self::FullyConnected(layer) => Some((layer.weights, Some(layer.bias))),
            Self::BatchNorm(_) | Self::GroupNorm(_) | Self::Relu | Self::Add | Self::Pool2d(_) => {
                None
            }
        }
    }

    /// The batch normalization, if it is one.
    #[must_use]
    pub fn batch_norm(&self) -> Option<&BatchNorm> {
        match self {
            Self::BatchNorm(norm) => Some(norm),
            Self::Conv2d(_)
            | Self::FullyConnected(_)
            | Self::GroupNorm(_)
            | Self::Relu
            | Self::Add
            | Self::Pool2d(_) => None,
        }
    }

    /// The group normalization, if it is one.
    #[must_use]
    pub fn group_norm(&self) -> Option<&GroupNorm> {
        match self {
            Self::GroupNorm(norm) => Some(norm),
            Self::Conv2d(_)
            | Self::FullyConnected(_)
            | Self::BatchNorm(_)
            | Self::Relu
            | Self::Add
            | Self::Pool2d(_) => None,
        }
    }
}

/// A layer applied to earlier values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Unique name.
    pub name: String,
    /// Its layer.
    pub layer: Layer,
    /// One value, or two for [`Layer::Add`].
    pub inputs: Vec<ValueId>,
    /// Its output; no other step has the same.
    pub output: ValueId,
}

/// Layers, shapes and parameters. Value 0 is the input, the last value the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Shape `[height, width, channels]` of every value.
    pub values: Vec<[usize; 3]>,
    /// Steps in execution order.
    pub steps: Vec<Step>,
    /// Trained tensors in memory order.
    pub parameters: Vec<Parameter>,
    /// Running averages of every batch normalization, in execution order.
    pub statistics: Vec<Statistics>,
    /// The lowest and the highest number of every value, at which it is cut off; infinite if nowhere.
    pub limits: Vec<[f32; 2]>,
}

impl Network {
    /// The logits.
    #[must_use]
    pub fn output(&self) -> ValueId {
        ValueId(self.values.len() - 1)
    }

    /// Elements of one value for one image.
    #[must_use]
    pub fn elements(&self, value: ValueId) -> usize {
        self.values[value.0].iter().product()
    }

    /// Number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.elements(self.output())
    }

    /// Number of trained values.
    #[must_use]
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(|parameter| parameter.values.len()).sum()
    }

    /// Multiplications per image.
    #[must_use]
    pub fn macs(&self) -> usize {
        let macs = self.steps.iter().map(|step| match &step.layer {
            Layer::Conv2d(layer) => layer.macs(),
            Layer::FullyConnected(layer) => layer.inputs * layer.outputs,
            Layer::BatchNorm(_)
            | Layer::GroupNorm(_)
            | Layer::Relu
            | Layer::Add
            | Layer::Pool2d(_) => 0,
        });
        macs.sum()
    }

    /// Moves the running averages towards the statistics of a batch.
    pub(crate) fn absorb(&mut self, batch: &[Statistics]) {
        for (running, batch) in self.statistics.iter_mut().zip(batch) {
            running.absorb(batch);
        }
    }

    /// Moments of the batch normalizations outside of training: their running averages.
    #[must_use]
    pub fn running_moments<T: Real>(&self) -> Vec<Moments<T>> {
        self.statistics.iter().map(Moments::running).collect()
    }

    /// Running means, then running variances, of the batch normalizations.
    pub(crate) fn running(&self) -> [Vec<Vec<f32>>; 2] {
        let means = self.statistics.iter().map(|running| running.mean.clone());
        let variances = self.statistics.iter().map(|running| running.variance.clone());
        [means.collect(), variances.collect()]
    }

    /// Replaces the values of [`Self::running`] by values of the same sizes.
    pub(crate) fn set_running(&mut self, [means, variances]: [Vec<Vec<f32>>; 2]) {
        for (running, (mean, variance)) in
            self.statistics.iter_mut().zip(means.into_iter().zip(variances))
        {
            (running.mean, running.variance) = (mean, variance);
        }
    }

    /// Ranges of steps; all but the first start with a batch normalization.
    fn stages(&self) -> Vec<std::ops::Range<usize>> {
        let norm = |&step: &usize| self.steps[step].layer.batch_norm().is_some();
        let mut starts: Vec<usize> = (1..self.steps.len()).filter(norm).collect();
        starts.insert(0, 0);
        let ends = starts[1..].iter().copied().chain([self.steps.len()]);
        starts.iter().zip(ends).map(|(&start, end)| start..end).collect()
    }

    /// A copy of all parameter values.
    #[must_use]
    pub fn parameter_values(&self) -> Vec<Vec<f32>> {
        self.parameters.iter().map(|parameter| parameter.values.clone()).collect()
    }
}

#[cfg(test)]
mod gradient_tests;
