//! Training that begins from a deployed network.
//!
//! ```text
//!  Graph ── layers.rs: is it the recipe's network? ──┬─ codes ───────> weights
//!                                                    ├─ multipliers ─┐
//!                                                    └─ biases ──────┴─ norms.rs ──> biases, norms
//! ```
//!
//! Weights become what their codes mean. A convolution with a batch normalization was deployed as
//! `gain * (sum + bias)`, which does not say what its mean and variance were: they are measured
//! again on training images, and scale and shift are what then gives this gain and this bias. So the
//! network computes what it did, both by running averages and by the moments of a batch, and
//! deployed untrained it has the same codes again.
//!
//! Rejected: keeping gain and bias as fixed constants. That is as exact, but a network that trained
//! with batch normalization would have to go on without.

mod codes;
pub(crate) mod float;
#[cfg(test)]
mod float_tests;
mod layers;
mod norms;
mod regroup;

use vmin_nn::data::Dataset;
use vmin_nn::{Conv2d, Graph, Op, WeightTensor};
use vmin_quant::FixedMultiplier;

use crate::deploy::{Fused, OFFSET_UNIT, fuse};
use crate::network::{Layer, Network, ParameterId};
use crate::{Recipe, TrainError};

/// Gains of a layer without normalization are 1 but for the rounding of multipliers and scales.
const GAIN_TOLERANCE: f64 = 1e-3;

/// Why a network cannot be started from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The recipe names a network to start from, but none was given.
    #[error("the recipe starts from `{0}`, which was not given")]
    Missing(String),
    /// The file could not be read as a float network.
    #[error("{0}")]
    File(String),
    /// A float network that is not the recipe's.
    #[error("{}", .0.join("; "))]
    Float(Vec<String>),
    /// The recipe's own network cannot be deployed, so no deployed network can be it.
    #[error("the recipe's network has no integer form")]
    NotDeployable(#[source] crate::DeployError),
    /// Images of another shape or scale.
    #[error("it takes {found}, the recipe gives {expected}")]
    Input {
        /// What the file takes.
        found: String,
        /// What the recipe gives.
        expected: String,
    },
    /// A step of another kind, size or place.
    #[error("step {step} is {found}, but {expected} in the recipe")]
    Step {
        /// Position from 1, rectifiers and normalizations not counted.
        step: usize,
        /// What the file has.
        found: String,
        /// What the recipe has.
        expected: String,
    },
    /// A layer of the file is normalized, that of the recipe is not.
    #[error("step {step} has a normalization, but none in the recipe")]
    Normalized {
        /// Position from 1, rectifiers and normalizations not counted.
        step: usize,
    },
    /// Scales or multipliers that are no positive numbers.
    #[error("step {step} has a scale of no positive number")]
    Scale {
        /// Position from 1, rectifiers and normalizations not counted.
        step: usize,
    },
}

/// What `gain * (sum + bias)` makes of the sums of each output channel.
pub(super) struct Affine {
    /// One per channel, positive.
    pub(super) gains: Vec<f64>,
    /// One per channel, before the gain.
    pub(super) biases: Vec<f64>,
}

/// Gives `network`, built from `recipe`, the parameters and running averages of `graph`; `data` are
/// the training images. Where the recipe normalizes by groups and the graph has no such step, the graph is
/// read as one with batch normalizations (`regroup.rs`).
///
/// # Errors
/// [`TrainError::Start`] where the graph is not that network.
pub(crate) fn take(
    network: &mut Network,
    recipe: &Recipe,
    data: &Dataset,
    graph: &Graph,
) -> Result<(), TrainError> {
    let grouped = graph.nodes.iter().any(|node| matches!(node.op, Op::GroupNorm(_)));
    if let (false, Some(mut twin)) = (grouped, regroup::twin(network)) {
        take(&mut twin, recipe, data, graph)?;
        regroup::take(network, &twin, recipe, data);
        return Ok(());
    }
    let origin = network.clone();
    let steps = fuse(&origin).map_err(StartError::NotDeployable)?;
    layers::check_input(&origin, recipe.input, graph)?;
    let nodes = layers::matched(&origin, &steps, graph)?;
    let mut sources: Vec<(&WeightTensor, ParameterId)> = Vec::new();
    let mut folded: Vec<norms::Folded<'_>> = Vec::new();
    for (index, (fused, node)) in steps.iter().zip(nodes).enumerate() {
        if let (Op::GroupNorm(found), Layer::GroupNorm(norm)) = (&node.op, &fused.step.layer) {
            let scale_out = f64::from(graph.tensors[node.output.0].quantization.scale);
            let gains = found.gains.iter().map(|gain| narrow(real(*gain) * scale_out - 1.0));
            network.parameters[norm.scale.0].values = gains.collect();
            let shift = |&offset: &i32| narrow(f64::from(offset) / OFFSET_UNIT * scale_out);
            network.parameters[norm.shift.0].values = found.offsets.iter().map(shift).collect();
            continue;
        }
        let Op::Conv2d(conv) = &node.op else { continue };
        let tensor = &graph.weights[conv.weights.0];
        let (weights, bias) = match &fused.step.layer {
            Layer::Conv2d(layer) => (layer.weights, layer.bias),
            Layer::FullyConnected(layer) => (layer.weights, Some(layer.bias)),
            _ => continue,
        };
        let scales = [node.inputs[0], node.output];
        let scales = scales.map(|id| f64::from(graph.tensors[id.0].quantization.scale));
        let affine = affine(conv, tensor, scales).ok_or(StartError::Scale { step: index + 1 })?;
        network.parameters[weights.0].values = reals(tensor);
        sources.push((tensor, weights));
        place(network, fused, bias, affine, index + 1, &mut folded)?;
    }
    codes::settle(network, &sources, recipe);
    norms::take_apart(network, recipe, data, &folded);
    Ok(())
}

/// Biases where there is no normalization; otherwise they wait for its moments.
fn place<'a>(
    network: &mut Network,
    fused: &Fused<'a>,
    bias: Option<ParameterId>,
    affine: Affine,
    step: usize,
    folded: &mut Vec<norms::Folded<'a>>,
) -> Result<(), StartError> {
    if let Some(norm) = fused.norm {
        folded.push(norms::Folded { norm, input: fused.step.output, affine });
        return Ok(());
    }
    if affine.gains.iter().any(|gain| (gain - 1.0).abs() > GAIN_TOLERANCE) {
        return Err(StartError::Normalized { step });
    }
    let there = affine.biases.iter().any(|&bias| bias != 0.0);
    match bias {
        Some(bias) => {
            network.parameters[bias.0].values = affine.biases.iter().map(|&b| narrow(b)).collect();
            Ok(())
        }
        None if there => {
            let (found, expected) = ("a layer with a bias".to_owned(), "one without".to_owned());
            Err(StartError::Step { step, found, expected })
        }
        None => Ok(()),
    }
}

/// What the multipliers and biases of a layer say; `None` if a scale is no positive number.
fn affine(conv: &Conv2d, tensor: &WeightTensor, [scale_in, scale_out]: [f64; 2]) -> Option<Affine> {
    let channels = tensor.shape[0];
    let scale = |channel| f64::from(of_channel(&tensor.scales, channel));
    let positive = |x: &f64| x.is_finite() && *x > 0.0;
    let channel = |channel: usize| {
        let multiplier = conv.multipliers[if conv.multipliers.len() == 1 { 0 } else { channel }];
        let real = real(multiplier);
        let scale_sum = scale_in * scale(channel);
        let gain = real * scale_out / scale_sum;
        let bias = f64::from(conv.bias[channel]) * scale_sum;
        (positive(&scale_sum) && positive(&gain)).then_some((gain, bias))
    };
    let (gains, biases) =
        (0..channels).map(channel).collect::<Option<Vec<_>>>()?.into_iter().unzip();
    Some(Affine { gains, biases })
}

fn real(multiplier: FixedMultiplier) -> f64 {
    libm::ldexp(f64::from(multiplier.multiplier), multiplier.shift - 31)
}

/// What the codes mean.
fn reals(tensor: &WeightTensor) -> Vec<f32> {
    let per_channel = tensor.codes.len() / tensor.shape[0].max(1);
    let integers = tensor.encoding.decode_table(tensor.bits);
    let channels = tensor.codes.chunks_exact(per_channel.max(1)).enumerate();
    channels
        .flat_map(|(channel, codes)| {
            let scale = f64::from(of_channel(&tensor.scales, channel));
            let zero_point = f64::from(of_channel(&tensor.zero_points, channel));
            let real = move |&code: &u8| {
                narrow(scale * (f64::from(integers[usize::from(code)]) - zero_point))
            };
            codes.iter().map(real)
        })
        .collect()
}

/// The value of a channel, or that of all.
fn of_channel<T: Copy>(values: &[T], channel: usize) -> T {
    values[if values.len() == 1 { 0 } else { channel }]
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose")]
pub(super) fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests;
