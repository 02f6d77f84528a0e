//! The float twin of a deployed integer network: nearly the same function, with derivatives.
//!
//! ```text
//!  Graph ─ build.rs ─> Twin { Network without normalizations by running averages, a place for every code }
//!  codes ─ Twin::parameters ─> real weights ─┐
//!  pixels ─ Twin::inputs ────> real inputs ──┴─> Network::loss_gradient ─> Twin::by_integer, .images
//! ```
//!
//! The twin computes with the real numbers that the codes mean and cuts values off where the integer network saturates;
//! it does not round activations. So its derivatives are straight-through estimates for the integer network
//! (Y. Bengio, N. Leonard, A. Courville, arXiv 1308.3432). Logits are not cut off, because a saturated logit has
//! no derivative.
//!
//! Uses: attacks on deployed networks, and flatness. Rejected: derivatives of the integer arithmetic itself, operator
//! by operator: they are these, at activations that differ by roundings, and would be a second engine.

mod build;
mod kernel;
#[cfg(test)]
mod tests;
mod victim;

use vmin_nn::{Graph, ModelError};

pub use victim::{Goal, TwinVictim, attackable};

use crate::engine::{Engine, EngineError};
use crate::network::{Network, ParameterId};
use crate::{LossGradient, Real};
use kernel::Embedding;

/// Why a network has no twin.
#[derive(Debug, thiserror::Error)]
#[error("it has no derivatives: {}", .problems.join("; "))]
pub struct TwinError {
    /// Each operator without derivatives, with the reason.
    pub problems: Vec<String>,
}

/// A weight tensor in one product.
#[derive(Clone, Debug)]
struct Use {
    parameter: ParameterId,
    /// Real effective weight of an integer step, per output channel.
    steps: Vec<f64>,
    embedding: Embedding,
}

/// A weight tensor.
#[derive(Clone, Debug)]
struct Tensor {
    integers: [i8; 256],
    /// Per output channel.
    zero_points: Vec<i32>,
    uses: Vec<Use>,
}

/// The float twin of a graph.
#[derive(Clone, Debug)]
pub struct Twin {
    network: Network,
    parameters: Vec<Vec<f32>>,
    tensors: Vec<Tensor>,
    scale: f32,
    zero_point: i32,
}

impl Twin {
    /// The twin of a graph.
    ///
    /// # Errors
    /// All operators without derivatives.
    pub fn of(graph: &Graph) -> Result<Self, TwinError> {
        build::twin(graph)
    }

    /// Its layers; parameters are effective weights (with the gain of a folded normalization) and biases.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The parameters where the memory gives back these codes, per weight tensor of the graph.
    ///
    /// # Panics
    /// If `codes` are not those of the graph's weights.
    #[must_use]
    pub fn parameters(&self, codes: &[Vec<u8>]) -> Vec<Vec<f32>> {
        assert_eq!(codes.len(), self.tensors.len(), "the weights of the graph");
        let mut parameters = self.parameters.clone();
        for (tensor, codes) in self.tensors.iter().zip(codes) {
            for of in &tensor.uses {
                let values = &mut parameters[of.parameter.0];
                let channel = |index| of.embedding.channel(index);
                for (index, &code) in codes.iter().enumerate() {
                    let integer = i32::from(tensor.integers[usize::from(code)])
                        - tensor.zero_points[channel(index)];
                    let real = of.steps[channel(index)] * f64::from(integer);
                    values[of.embedding.place(index)] = f32::of(real);
                }
            }
        }
        parameters
    }

    /// The real inputs of u8 pixels, by the graph's rule.
    ///
    /// # Errors
    /// The graph has no rule.
    pub fn inputs(&self, graph: &Graph, pixels: &[u8]) -> Result<Vec<f32>, ModelError> {
        let real = |code: i8| self.scale * (i32::from(code) - self.zero_point) as f32;
        Ok(graph.input_codes(pixels)?.into_iter().map(real).collect())
    }

    /// Loss of images and its derivatives where the memory gives back these codes.
    ///
    /// # Errors
    /// The engine failed.
    ///
    /// # Panics
    /// As [`Network::loss_gradient`].
    pub fn slope(
        &self,
        engine: &mut Engine,
        codes: &[Vec<u8>],
        inputs: &[f32],
        labels: &[u8],
    ) -> Result<LossGradient, EngineError> {
        self.network.loss_gradient(engine, &self.parameters(codes), inputs, labels)
    }

    /// Derivatives of a loss by the integers of the codes, per weight tensor of the graph.
    #[must_use]
    pub fn by_integer(&self, gradient: &LossGradient) -> Vec<Vec<f32>> {
        let of_tensor = |tensor: &Tensor| {
            let mut by = Vec::new();
            for of in &tensor.uses {
                let gradient = &gradient.parameters[of.parameter.0];
                by.resize(of.embedding.codes(), 0.0);
                for (index, by) in by.iter_mut().enumerate() {
                    let step = f32::of(of.steps[of.embedding.channel(index)]);
                    *by += step * gradient[of.embedding.place(index)];
                }
            }
            by
        };
        self.tensors.iter().map(of_tensor).collect()
    }
}
