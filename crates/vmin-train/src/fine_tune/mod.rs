//! Start of training from a deployed network.
//!
//! ```text
//!  Graph ── layers.rs: compare with the recipe ─────┬─ codes ───────> weights
//!                                                    ├─ multipliers ─┐
//!                                                    └─ biases ──────┴─ norms.rs ──> biases, norms
//! ```
//!
//! Weights are decoded from their codes. A convolution with a batch normalization was deployed as
//! `gain * (sum + bias)`, from which mean and variance do not follow: they are measured again on training images,
//! and scale and shift are chosen to give this gain and bias. So the network computes the same as before, with
//! running averages and with the moments of a batch, and deployed without training it has the same codes.
//!
//! Rejected: gain and bias as fixed constants. That is as exact, but training would have to continue without
//! the batch normalizations it started with.

mod codes;
pub(crate) mod float;
#[cfg(test)]
mod float_tests;
mod layers;
mod norms;
mod regroup;

use vmin_nn::data::Dataset;
use vmin_nn::{Conv2d, Graph, Op, WeightTensor};

use crate::deploy::{Fused, OFFSET_UNIT, fuse};
use crate::network::{Network, ParameterId};
use crate::real::Real;
use crate::{Recipe, TrainError};

/// Tolerance of the gain of a layer without normalization, which is 1 up to the rounding of multipliers and
/// scales.
const GAIN_TOLERANCE: f64 = 1e-3;

/// Failure to start from a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The recipe names a network to start from, but none was given.
    #[error("the recipe starts from `{0}`, which was not given")]
    Missing(String),
    /// The file is not a float network.
    #[error("{0}")]
    File(String),
    /// The float network does not fit the recipe.
    #[error("{}", .0.join("; "))]
    Float(Vec<String>),
    /// The network of the recipe cannot be deployed, so no deployed network fits it.
    #[error("the recipe's network has no integer form")]
    NotDeployable(#[source] crate::DeployError),
    /// The networks take images of another shape or scaling.
    #[error("it takes {found}, the recipe gives {expected}")]
    Input {
        /// Images of the file.
        found: String,
        /// Images of the recipe.
        expected: String,
    },
    /// A step has another kind, size or position.
    #[error("step {step} is {found}, but {expected} in the recipe")]
    Step {
        /// Position from 1, rectifiers and normalizations not counted.
        step: usize,
        /// Step of the file.
        found: String,
        /// Step of the recipe.
        expected: String,
    },
    /// A layer is normalized in the file, but not in the recipe.
    #[error("step {step} has a normalization, but none in the recipe")]
    Normalized {
        /// Position from 1, rectifiers and normalizations not counted.
        step: usize,
    },
    /// Scales or multipliers are not positive.
    #[error("step {step} has a scale of no positive number")]
    Scale {
        /// Position from 1, rectifiers and normalizations not counted.
        step: usize,
    },
}

/// The line `gain * (sum + bias)` of each output channel.
pub(super) struct Affine {
    /// One per channel, positive.
    pub(super) gains: Vec<f64>,
    /// One per channel, before the gain.
    pub(super) biases: Vec<f64>,
}

/// Gives `network`, built from `recipe`, the parameters and running averages of `graph`; `data` are
/// the training images. If the recipe has group normalizations and the graph has none, the graph is treated as a
/// network with batch normalizations (`regroup.rs`).
///
/// # Errors
/// [`TrainError::Start`] if the graph is another network.
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
        if let (Op::GroupNorm(found), Some(norm)) = (&node.op, fused.step.layer.group_norm()) {
            let scale_out = f64::from(graph.tensors[node.output.0].quantization.scale);
            let gains = found.gains.iter().map(|gain| f32::of(gain.real() * scale_out - 1.0));
            network.parameters[norm.scale.0].values = gains.collect();
            let shift = |&offset: &i32| f32::of(f64::from(offset) / OFFSET_UNIT * scale_out);
            network.parameters[norm.shift.0].values = found.offsets.iter().map(shift).collect();
            continue;
        }
        let Some(conv) = node.op.product() else { continue };
        let tensor = &graph.weights[conv.weights.0];
        let Some((weights, bias)) = fused.step.layer.product() else { continue };
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

/// Sets the biases of layers without normalization; the other biases need moments first.
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
            network.parameters[bias.0].values = affine.biases.iter().map(|&b| f32::of(b)).collect();
            Ok(())
        }
        None if there => {
            let (found, expected) = ("a layer with a bias".to_owned(), "one without".to_owned());
            Err(StartError::Step { step, found, expected })
        }
        None => Ok(()),
    }
}

/// Gains and biases of a layer from its multipliers; `None` if a scale is not positive.
fn affine(conv: &Conv2d, tensor: &WeightTensor, [scale_in, scale_out]: [f64; 2]) -> Option<Affine> {
    let channels = tensor.shape[0];
    let scale = |channel| f64::from(of_channel(&tensor.scales, channel));
    let positive = |x: &f64| x.is_finite() && *x > 0.0;
    let channel = |channel: usize| {
        let real = conv.multipliers[if conv.multipliers.len() == 1 { 0 } else { channel }];
        let scale_sum = scale_in * scale(channel);
        let gain = real * scale_out / scale_sum;
        let bias = f64::from(conv.bias[channel]) * scale_sum;
        (positive(&scale_sum) && positive(&gain)).then_some((gain, bias))
    };
    let (gains, biases) =
        (0..channels).map(channel).collect::<Option<Vec<_>>>()?.into_iter().unzip();
    Some(Affine { gains, biases })
}

/// The decoded weights.
fn reals(tensor: &WeightTensor) -> Vec<f32> {
    let per_channel = tensor.codes.len() / tensor.shape[0].max(1);
    let integers = tensor.encoding.decode_table(tensor.bits);
    let channels = tensor.codes.chunks_exact(per_channel.max(1)).enumerate();
    channels
        .flat_map(|(channel, codes)| {
            let scale = f64::from(of_channel(&tensor.scales, channel));
            let zero_point = f64::from(of_channel(&tensor.zero_points, channel));
            let real = move |&code: &u8| {
                f32::of(scale * (f64::from(integers[usize::from(code)]) - zero_point))
            };
            codes.iter().map(real)
        })
        .collect()
}

/// The value of a channel, or the common value of all channels.
fn of_channel<T: Copy>(values: &[T], channel: usize) -> T {
    values[if values.len() == 1 { 0 } else { channel }]
}

#[cfg(test)]
mod tests;
