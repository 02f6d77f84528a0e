//! The parameters of the forward pass: the trained floats, clipped and quantized by the recipe.
//!
//! The trained (master) floats are never quantized themselves; gradients taken at the copy are
//! applied to them unchanged (straight-through). Bit errors hit the codes between
//! [`stored`] and [`with_codes`].

use rayon::prelude::*;

use crate::WeightQuantization;
use crate::codec::{self, Encoded};
use crate::network::{Network, Parameter, ParameterKind};
use crate::parallel::together;

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
