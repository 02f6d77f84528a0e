//! Group normalizations from a deployed network with batch normalizations.
//!
//! ```text
//!  graph ── as its twin with batch normalizations ──> gain (x - mean) + shift
//!                                                            │ moments of groups, averaged over images
//!                                                            v
//!                                    (1 + scale') (x - group's mean) / group's deviation + shift'
//! ```
//!
//! Both lines are equal if a group of an image has the average moments. Otherwise they differ, and if the recipe
//! clips, scales and shifts are bounded: the network computes something else at first and needs training.

use rayon::prelude::*;
use vmin_nn::data::Dataset;

use crate::network::{BatchNorm, EPSILON, GroupNorm, Layer, Network, Statistics, ValueId, forward};
use crate::real::Real;
use crate::{CHUNK_IMAGES, Recipe, clip};

/// Most images for the average moments.
const IMAGES_MAX: usize = 1024;

/// The same network with batch instead of group normalizations; `None` if it has no group normalization.
pub(super) fn twin(network: &Network) -> Option<Network> {
    let mut twin = network.clone();
    let mut found = false;
    for step in &mut twin.steps {
        let Layer::GroupNorm(GroupNorm { scale, shift, shape, .. }) = step.layer else { continue };
        let (statistics, channels) = (twin.statistics.len(), shape[2]);
        twin.statistics.push(Statistics::standard(channels));
        step.layer = Layer::BatchNorm(BatchNorm { scale, shift, statistics, channels });
        found = true;
    }
    found.then_some(twin)
}

/// Gives `network` the parameters of its `twin`, and scales and shifts with the same effect on average.
pub(super) fn take(network: &mut Network, twin: &Network, recipe: &Recipe, data: &Dataset) {
    let moments = measured(network, twin, recipe, data);
    let bounds = clip::bounds(network, recipe);
    network.parameters.clone_from(&twin.parameters);
    let kept = network.statistics.len();
    network.statistics.clone_from_slice(&twin.statistics[..kept]);
    let mut moments = moments.into_iter();
    for (step, old) in network.steps.iter().zip(&twin.steps) {
        let (Some(new), Some(old)) = (step.layer.group_norm(), old.layer.batch_norm()) else {
            continue;
        };
        let Some(moments) = moments.next() else { return };
        let statistics = &twin.statistics[old.statistics];
        let bound = |id: usize, value: f64| f32::of(value).clamp(-bounds[id], bounds[id]);
        let channels = statistics.inverse_deviations().zip(&statistics.mean).enumerate();
        for (channel, (inverse, &mean)) in channels {
            let [group_mean, group_deviation] = moments[channel / (new.shape[2] / new.groups)];
            let old_scale = f64::from(twin.parameters[old.scale.0].values[channel]);
            let old_shift = f64::from(twin.parameters[old.shift.0].values[channel]);
            let gain = (1.0 + old_scale) * inverse;
            let scale = bound(new.scale.0, gain * group_deviation - 1.0);
            let shift = bound(new.shift.0, old_shift + gain * (group_mean - f64::from(mean)));
            network.parameters[new.scale.0].values[channel] = scale;
            network.parameters[new.shift.0].values[channel] = shift;
        }
    }
}

/// Mean and deviation of each group in the input of each group normalization, in order: averages over images of
/// the mean and variance of an image. Sums run over the chunks in order.
fn measured(
    network: &Network,
    twin: &Network,
    recipe: &Recipe,
    data: &Dataset,
) -> Vec<Vec<[f64; 2]>> {
    let steps = network.steps.iter();
    let norms: Vec<(ValueId, &GroupNorm)> =
        steps.filter_map(|step| Some((step.inputs[0], step.layer.group_norm()?))).collect();
    let size = data.pixels_per_image();
    let images = data.len().min(IMAGES_MAX);
    let parameters = twin.parameter_values();
    let chunks: Vec<Vec<Vec<[f64; 2]>>> = data.images[..images * size]
        .par_chunks((CHUNK_IMAGES * size).max(1))
        .map(|pixels| {
            let values = forward(twin, &parameters, &recipe.input.inputs(pixels));
            norms.iter().map(|(value, norm)| norm.moments_sum(&values[value.0])).collect()
        })
        .collect();
    let count = images.max(1) as f64;
    let mut sums: Vec<Vec<[f64; 2]>> =
        norms.iter().map(|(_, norm)| vec![[0.0; 2]; norm.groups]).collect();
    for chunk in &chunks {
        for (sums, parts) in sums.iter_mut().zip(chunk) {
            for (sum, part) in sums.iter_mut().zip(parts) {
                sum[0] += part[0];
                sum[1] += part[1];
            }
        }
    }
    for [mean, variance] in sums.iter_mut().flatten() {
        *mean /= count;
        *variance = libm::sqrt(*variance / count + EPSILON);
    }
    sums
}
