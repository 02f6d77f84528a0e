//! The parameters of the forward pass: the trained floats, clipped and quantized by the recipe.
//!
//! The trained (master) floats are never quantized themselves; gradients taken at the copy are
//! applied to them unchanged (straight-through). Bit errors hit the codes between
//! [`stored`] and [`with_codes`].

use rayon::prelude::*;

use crate::codec::{self, Encoded};
use crate::network::{Network, Parameter, ParameterKind};
use crate::parallel::together;
use crate::recipe::ClipScope;
use crate::{Recipe, WeightQuantization};

/// Clamps every parameter to its bound if the recipe clips.
pub(crate) fn clip(net: &Network, parameters: &mut [Vec<f32>], recipe: &Recipe) {
    let together = together(parameters);
    let tensors = bounds(net, recipe).into_par_iter().zip(parameters);
    tensors.with_min_len(together).for_each(|(bound, values)| {
        values.iter_mut().for_each(|value| *value = value.clamp(-bound, bound));
    });
}

/// The bound of each parameter: `clip`, times the fraction of its weight tensor if the recipe has fractions (a bias has
/// the fraction of its weights), or infinity without clipping.
pub(crate) fn bounds(net: &Network, recipe: &Recipe) -> Vec<f32> {
    let limit = recipe.clip.unwrap_or(f32::INFINITY);
    let mut layers = recipe.clip_fractions.iter().flatten();
    let mut bound = limit;
    let parameters = net.parameters.iter();
    parameters
        .map(|parameter| match (parameter.kind, recipe.clip_scope) {
            (ParameterKind::Weight, _) => {
                bound = limit * layers.next().unwrap_or(&1.0);
                bound
            }
            (ParameterKind::Bias | ParameterKind::Scale, ClipScope::All) => bound,
            (ParameterKind::Bias | ParameterKind::Scale, ClipScope::Weights) => f32::INFINITY,
        })
        .collect()
}

/// The codes of the weights, in the order of the network.
///
/// `None` if a weight is not finite; the loss then reports the divergence.
pub(crate) fn stored(
    net: &Network,
    parameters: &[Vec<f32>],
    quantization: WeightQuantization,
) -> Option<Vec<Encoded>> {
    let pairs = net.parameters.iter().zip(parameters);
    let weights: Vec<&[f32]> = pairs
        .filter(|(parameter, _)| is_weight(parameter))
        .map(|(_, values)| values.as_slice())
        .collect();
    codec::encode(quantization, &weights).ok()
}

/// A copy of the parameters with the weights of these codes; biases stay float, because they are deployed as int32.
pub(crate) fn with_codes(
    net: &Network,
    parameters: &[Vec<f32>],
    encoded: &[Encoded],
) -> Vec<Vec<f32>> {
    let mut encoded = encoded.iter();
    let sources = net.parameters.iter().map(|parameter| match parameter.kind {
        ParameterKind::Weight => encoded.next(),
        ParameterKind::Bias | ParameterKind::Scale => None,
    });
    let pairs: Vec<_> = sources.zip(parameters).collect();
    pairs
        .into_par_iter()
        .with_min_len(together(parameters))
        .map(|(encoded, values)| encoded.map_or_else(|| values.clone(), Encoded::decode))
        .collect()
}

/// A copy of the parameters with decoded weights.
pub(crate) fn quantized(
    net: &Network,
    parameters: &[Vec<f32>],
    quantization: WeightQuantization,
) -> Vec<Vec<f32>> {
    match stored(net, parameters, quantization) {
        Some(encoded) => with_codes(net, parameters, &encoded),
        None => parameters.to_vec(),
    }
}

/// Whether a parameter is stored in the weight memory.
pub(crate) fn is_weight(parameter: &Parameter) -> bool {
    parameter.kind == ParameterKind::Weight
}
