//! What the forward pass sees of the trained floats: clipped, and quantized where the recipe says.
//!
//! The trained (master) floats are never quantized themselves; gradients taken at the copy are
//! applied to them unchanged (straight-through). A method that trains under bit errors corrupts the
//! codes between the two halves of [`quantized`].

use crate::deploy::codes::rquant;
use crate::network::{Network, ParameterKind};

/// Clamps every parameter to `[-limit, limit]`.
pub(crate) fn clip(parameters: &mut [Vec<f32>], limit: f32) {
    for value in parameters.iter_mut().flatten() {
        *value = value.clamp(-limit, limit);
    }
}

/// A copy whose weights are what `bits`-bit codes mean; biases stay float, as they are deployed in
/// int32.
pub(crate) fn quantized(net: &Network, parameters: &[Vec<f32>], bits: u8) -> Vec<Vec<f32>> {
    let pairs = net.parameters.iter().zip(parameters);
    pairs
        .map(|(parameter, values)| match parameter.kind {
            // A tensor that holds a NaN has no codes; the loss then reports the divergence.
            ParameterKind::Weight => rquant(bits)
                .quantize(values, 1)
                .and_then(|codes| codes.dequantize())
                .unwrap_or_else(|_| values.clone()),
            ParameterKind::Bias | ParameterKind::Scale => values.clone(),
        })
        .collect()
}
