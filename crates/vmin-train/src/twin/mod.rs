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
pub(crate) mod flatness;
mod kernel;
#[cfg(test)]
mod tests;
mod victim;

use vmin_nn::{Graph, ModelError};

pub use victim::{Goal, TwinVictim, attackable};

use crate::engine::{Engine, EngineError};
use crate::network::{Network, ParameterId};
use crate::{FloatVictim, LossGradient, Real};
use kernel::Embedding;

/// Why a network has no twin.
#[derive(Debug, thiserror::Error)]
#[error("it has no derivatives: {}", .problems.join("; "))]
pub struct TwinError {
    /// Each operator without derivatives, with the reason.
    pub problems: Vec<String>,
}

/// Moves of weights in integer steps, per weight tensor.
pub(crate) type Moved = Vec<Vec<f32>>;

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
    bits: u8,
    integers: [i8; 256],
    /// Per output channel.
    zero_points: Vec<i32>,
    /// Real stored weight of an integer step, per output channel.
    scales: Vec<f32>,
    /// Codes of an output channel.
    per_channel: usize,
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
        let none: Moved = codes.iter().map(|codes| vec![0.0; codes.len()]).collect();
        self.parameters_moved(codes, &none)
    }

    /// The same with each weight moved by so many integer steps.
    ///
    /// # Panics
    /// As [`Self::parameters`], and if `moved` has other sizes.
    #[must_use]
    pub(crate) fn parameters_moved(&self, codes: &[Vec<u8>], moved: &Moved) -> Vec<Vec<f32>> {
        assert_eq!(codes.len(), self.tensors.len(), "the weights of the graph");
        let mut parameters = self.parameters.clone();
        for ((tensor, codes), moved) in self.tensors.iter().zip(codes).zip(moved) {
            assert_eq!(codes.len(), moved.len(), "a move for each weight");
            for of in &tensor.uses {
                let values = &mut parameters[of.parameter.0];
                let channel = |index| of.embedding.channel(index);
                for (index, &code) in codes.iter().enumerate() {
                    let integer = i32::from(tensor.integers[usize::from(code)])
                        - tensor.zero_points[channel(index)];
                    let integer = f64::from(integer) + f64::from(moved[index]);
                    let real = of.steps[channel(index)] * integer;
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

    /// The twin as a victim of adversarial images, at [`Self::parameters`].
    ///
    /// # Errors
    /// The graph has no rule for pixels.
    pub fn image_victim<'a>(
        &'a self,
        graph: &Graph,
        parameters: &'a [Vec<f32>],
        engine: &'a mut Engine,
    ) -> Result<FloatVictim<'a>, ModelError> {
        // A line through black and white of each channel: rounding and saturation of pixels have no derivative.
        let [_, _, channels] = self.network.values[0];
        let ends = [0, u8::MAX].map(|pixel| {
            let image = vec![pixel; self.network.values[0].iter().product()];
            self.inputs(graph, &image)
        });
        let [black, white] = ends;
        let (black, white) = (black?, white?);
        let line = |channel: usize| [white[channel] - black[channel], black[channel]];
        let lines = (0..channels).map(line).collect();
        Ok(FloatVictim::with_lines(&self.network, parameters, lines, engine))
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

    /// Bits of the codes of a weight tensor.
    #[must_use]
    pub fn bits(&self, tensor: usize) -> u8 {
        self.tensors[tensor].bits
    }

    /// Real stored weight of an integer step of a code.
    fn scale_of(&self, tensor: usize, index: usize) -> f64 {
        let of = &self.tensors[tensor];
        f64::from(of.scales[index / of.per_channel.max(1)])
    }

    /// Euclidean norm of the stored weights of a tensor.
    fn norm(&self, tensor: usize, codes: &[u8]) -> f64 {
        let of = &self.tensors[tensor];
        let integer = |(index, &code): (usize, &u8)| {
            let zero_point = of.zero_points[index / of.per_channel.max(1)];
            (i32::from(of.integers[usize::from(code)]) - zero_point) as f32
        };
        let integers: Vec<f32> = codes.iter().enumerate().map(integer).collect();
        self.norm_of(tensor, &integers)
    }

    /// Euclidean norm of integer steps in a tensor, as stored weights.
    fn norm_of(&self, tensor: usize, steps: &[f32]) -> f64 {
        let real = |(index, &steps): (usize, &f32)| self.scale_of(tensor, index) * f64::from(steps);
        libm::sqrt(steps.iter().enumerate().map(real).map(|real| real * real).sum())
    }
}
