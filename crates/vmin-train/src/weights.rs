//! What the forward pass sees of the trained floats: clipped, and quantized where the recipe says.
//!
//! The trained (master) floats are never quantized themselves; gradients taken at the copy are
//! applied to them unchanged (straight-through). Bit errors hit the codes between
//! [`stored`] and [`with_codes`].

use crate::WeightQuantization;
use crate::codec::{self, Encoded};
use crate::network::{Network, Parameter, ParameterKind};

/// Clamps every parameter to `[-limit, limit]`, times the fraction of its layer where there are
/// fractions (one per weight tensor; a bias has that of its weights).
pub(crate) fn clip(
    net: &Network,
    parameters: &mut [Vec<f32>],
    limit: f32,
    fractions: Option<&[f32]>,
) {
    for (bound, values) in bounds(net, limit, fractions).into_iter().zip(parameters) {
        for value in values {
            *value = value.clamp(-bound, bound);
        }
    }
}

/// What [`clip`] clamps each parameter to.
pub(crate) fn bounds(net: &Network, limit: f32, fractions: Option<&[f32]>) -> Vec<f32> {
    let mut layers = fractions.into_iter().flatten();
    let mut bound = limit;
    let parameters = net.parameters.iter();
    parameters
        .map(|parameter| {
            if parameter.kind == ParameterKind::Weight {
                bound = limit * layers.next().unwrap_or(&1.0);
            }
            bound
        })
        .collect()
}

/// The weights as the memory holds them, in the order of the network.
///
/// `None` if one of them is no finite number; the loss then reports the divergence.
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

/// A copy whose weights are what these codes mean; biases stay float, as they are deployed in int32.
pub(crate) fn with_codes(
    net: &Network,
    parameters: &[Vec<f32>],
    encoded: &[Encoded],
) -> Vec<Vec<f32>> {
    let mut encoded = encoded.iter();
    let pairs = net.parameters.iter().zip(parameters);
    pairs
        .map(|(parameter, values)| match parameter.kind {
            ParameterKind::Weight => encoded.next().map_or_else(|| values.clone(), Encoded::decode),
            ParameterKind::Bias | ParameterKind::Scale => values.clone(),
        })
        .collect()
}

/// A copy whose weights are what their codes mean.
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

/// True for tensors that lie in the weight memory.
pub(crate) fn is_weight(parameter: &Parameter) -> bool {
    parameter.kind == ParameterKind::Weight
}
