//! Adversarial bit errors in training: every step finds the wrong bits that raise its own loss (AdvBET).
//!
//! D. Stutz, N. Chandramoorthy, M. Hein, B. Schiele, "Random and Adversarial Bit Error Robustness", TPAMI 2022. The
//! search is that of [`vmin_attack::bits`]; it starts at the codes with the other errors of the step, and sees the
//! moments of the pass without errors, as the pass under errors will.

use serde::Serialize;
use vmin_attack::bits::{self, Flip, Found, Pgd, Ranking, Slope, Victim, Weights};

use super::is_zero;
use crate::codec::Encoded;
use crate::engine::{EngineError, Pass, Passes, Slot};
use crate::network::{Batch, Network, Normalization};
use crate::random::Stream;
use crate::real::Real;
use crate::weights;

/// Divides the share of flips that change where a step of the search does not raise the loss.
const BACKTRACKING: f32 = 1.5;

/// The adversary of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Adversary {
    /// Most wrong bits among all weights, at most one in each; 0 for none.
    pub flips: u32,
    /// Steps of its search, 1 or more, each for a pass over its images.
    pub steps: u32,
    /// Images of the batch that its search sees, 1 or more; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Share of the old direction in the next one, 0 or more and below 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub momentum: f64,
    /// Share of the steps whose search stays within one random weight tensor, 0 to 1. The steepest bits of all
    /// tensors together are seldom the worst.
    #[serde(skip_serializing_if = "is_zero")]
    pub one_tensor: f64,
}

/// What the search sees of a step.
pub(crate) struct Attacked<'a> {
    pub(crate) network: &'a Network,
    /// The parameters without errors.
    pub(crate) parameters: &'a [Vec<f32>],
    pub(crate) inputs: &'a [f32],
    pub(crate) labels: &'a [u8],
    pub(crate) normalization: Normalization<'a, f32>,
    pub(crate) engine: &'a mut dyn Passes,
}

impl Attacked<'_> {
    /// Flips the bits of `stored` that an adversary finds; returns them with the loss of its images.
    pub(crate) fn by(
        self,
        adversary: Adversary,
        stored: &mut [Encoded],
        bits: u8,
        stream: &mut Stream,
    ) -> Result<Found, EngineError> {
        let alone = stream.unit() < adversary.one_tensor;
        let settings = Pgd {
            iterations: adversary.steps as usize,
            step: 0.0,
            momentum: f32::of(adversary.momentum),
            backtracking: BACKTRACKING,
            ranking: Ranking::Gain,
            tensors: alone.then(|| stream.below(stored.len())).into_iter().collect(),
            start: Vec::new(),
        };
        let of = |tensor: &Encoded| {
            let Encoded { codes, encoding, scale, .. } = tensor;
            Weights::all_reachable(codes.clone(), bits, *encoding, vec![*scale])
        };
        let codes: Vec<Weights> = stored.iter().map(of).collect();
        let mut victim = Stored { of: self, tensors: stored.to_vec() };
        let found = bits::pgd(&codes, adversary.flips as usize, &settings, &mut victim)?;
        for &Flip { tensor, index, bit } in &found.flips {
            stored[tensor].codes[index] ^= 1 << bit;
        }
        Ok(found)
    }
}

/// A network by the codes of its weights.
struct Stored<'a> {
    of: Attacked<'a>,
    tensors: Vec<Encoded>,
}

impl Victim for Stored<'_> {
    type Error = EngineError;

    fn loss(&mut self, codes: &[Vec<u8>]) -> Result<f64, EngineError> {
        self.slope(codes).map(|slope| slope.loss)
    }

    fn slope(&mut self, codes: &[Vec<u8>]) -> Result<Slope, EngineError> {
        for (tensor, codes) in self.tensors.iter_mut().zip(codes) {
            tensor.codes.clone_from(codes);
        }
        let Attacked { network, parameters, inputs, labels, normalization, engine } = &mut self.of;
        let parameters = weights::with_codes(network, parameters, &self.tensors);
        let batch = Batch::new(inputs, labels, 1.0 / labels.len() as f32);
        let pass = Pass { network, parameters: &parameters, batch, normalization: *normalization };
        let forward = engine.forward(Slot::Perturbed, &pass)?;
        let sum = engine.backward(Slot::Perturbed, &pass, &forward, None)?;
        let gradients = network.parameters.iter().zip(&sum.gradients);
        let of_weights = gradients.filter(|(parameter, _)| weights::is_weight(parameter));
        let by_integer = of_weights
            .zip(&self.tensors)
            .map(|((_, by_weight), tensor)| by_weight.iter().map(|by| tensor.scale * by).collect());
        Ok(Slope { loss: sum.loss / labels.len() as f64, by_integer: by_integer.collect() })
    }
}

#[cfg(test)]
mod tests {
    use vmin_nn::data::{Split, shapes};

    use super::{Adversary, Attacked};
    use crate::codec::Encoded;
    use crate::engine::{Pass, Slot};
    use crate::network::{Batch, Norm, Normalization};
    use crate::random::{Purpose, Stream};
    use crate::recipe::InputScaling;
    use crate::{Engine, LayerSpec, Network, WeightQuantization, weights};

    #[test]
    fn more_flips_raise_the_loss_more_than_random_ones() {
        let layers = [LayerSpec::Lenet { width: 4, classes: 10, norm: Norm::Group }];
        let data = shapes::generate(shapes::SEED, Split::Train, 24);
        let network = Network::build(&layers, data.shape, 3).expect("builds");
        let inputs = InputScaling { zero_pixel: 120, scale: 0.02 }.inputs(&data.images);
        let parameters = network.parameter_values();
        let clean = weights::stored(&network, &parameters, WeightQuantization::deployable(6));
        let clean = clean.expect("finite");
        let moments = network.running_moments();
        let normalization = Normalization::Constant(&moments);
        let mut engine = Engine::cpu();
        let mut attacked = |adversary: Adversary| {
            let mut stored = clean.clone();
            let attacked = Attacked {
                network: &network,
                parameters: &parameters,
                inputs: &inputs,
                labels: &data.labels,
                normalization,
                engine: engine.passes(),
            };
            let mut stream = Stream::new(1, Purpose::Adversary, 0);
            let found = attacked.by(adversary, &mut stored, 6, &mut stream).expect("runs");
            (found, stored)
        };
        let wrong = |stored: &[Encoded]| {
            let pairs = clean.iter().zip(stored).flat_map(|(a, b)| a.codes.iter().zip(&b.codes));
            let bits = pairs.map(|(a, b)| (a ^ b).count_ones());
            bits.filter(|&bits| bits > 0).collect::<Vec<_>>()
        };
        let loss = |stored: &[Encoded]| {
            let parameters = &weights::with_codes(&network, &parameters, stored);
            let batch = Batch::new(&inputs, &data.labels, 1.0);
            let pass = Pass { network: &network, parameters, batch, normalization };
            let mut engine = Engine::cpu();
            let forward = engine.passes().forward(Slot::Clean, &pass).expect("runs");
            let sum = engine.passes().backward(Slot::Clean, &pass, &forward, None);
            sum.expect("runs").loss / 24.0
        };
        let usual = Adversary { flips: 0, steps: 4, images: None, momentum: 0.0, one_tensor: 0.0 };
        let mut last = loss(&clean);
        for flips in [1, 8, 64] {
            let (found, stored) = attacked(Adversary { flips, ..usual });
            let wrong = wrong(&stored);
            assert!(wrong.len() <= flips as usize && wrong.iter().all(|&bits| bits == 1));
            assert!((found.loss - loss(&stored)).abs() < 1e-6, "{found:?}");
            let mut random = clean.clone();
            let mut stream = Stream::new(1, Purpose::BitErrors, 0);
            for _ in 0..flips {
                let tensor = stream.below(random.len());
                let code = stream.below(random[tensor].codes.len());
                random[tensor].codes[code] ^= 1 << stream.below(6);
            }
            assert!(found.loss > loss(&random) && found.loss > last, "{flips}");
            last = found.loss;
            let (_, alone) = attacked(Adversary { flips, one_tensor: 1.0, ..usual });
            let hit = (0..clean.len()).filter(|&of| clean[of].codes != alone[of].codes);
            assert_eq!(hit.count(), 1, "{flips}");
        }
    }
}
