//! Gradients of the loss by images, by parameters and by the stored codes of weights.
//!
//! Training needs gradients by parameters only. Attacks, which search for the worst bits to flip or the worst
//! pixels, need the others:
//!
//! ```text
//!  StoredWeights ── parameters ──> Network::loss_gradient ──> LossGradient
//!        │                                                        │ .images   by the pixels' inputs
//!        └───────────────── by_code, by_flip <────────────────────┘ .parameters
//! ```
//!
//! A code acts on the loss through its weight: `dL/d(integer) = step * dL/dw`. A flip of bit j is no small
//! change; to first order the loss changes by `dL/dw` times the change of the weight, by which progressive bit
//! search ranks bits (A. S. Rakin, Z. He, D. Fan, "Bit-Flip Attack", ICCV 2019).

use crate::codec::Encoded;
use crate::engine::{Engine, EngineError, Pass, Slot};
use crate::network::{Batch, Network, Normalization, ParameterId};
use crate::{WeightQuantization, weights};

/// Derivatives of the mean cross-entropy of some images.
#[derive(Clone, Debug, PartialEq)]
pub struct LossGradient {
    /// The mean cross-entropy.
    pub loss: f64,
    /// Wrong images.
    pub wrong: usize,
    /// Derivatives by the inputs, one image after the other.
    pub images: Vec<f32>,
    /// Derivatives by the parameters, in the order of [`Network::parameters`].
    pub parameters: Vec<Vec<f32>>,
}

impl Network {
    /// Loss of images at `parameters`, with its derivatives; batch normalizations use their running averages, as
    /// in deployment. `inputs` are whole images ([`InputScaling::inputs`](crate::InputScaling::inputs)), at least
    /// one, with one label each.
    ///
    /// # Errors
    /// [`EngineError`] if the engine failed.
    ///
    /// # Panics
    /// If there are no images, `parameters` or `inputs` do not have the sizes of the network, or a label is none
    /// of its classes.
    pub fn loss_gradient(
        &self,
        engine: &mut Engine,
        parameters: &[Vec<f32>],
        inputs: &[f32],
        labels: &[u8],
    ) -> Result<LossGradient, EngineError> {
        assert!(!labels.is_empty(), "one image or more");
        let classes = self.classes();
        assert!(labels.iter().all(|&label| usize::from(label) < classes), "classes of the network");
        let size: usize = self.values[0].iter().product();
        assert_eq!(inputs.len(), size * labels.len(), "one image of the network for each label");
        let sizes = self.parameters.iter().map(|parameter| parameter.values.len());
        assert!(sizes.eq(parameters.iter().map(Vec::len)), "the parameters of the network");
        let scale = 1.0 / labels.len() as f32;
        let moments = self.running_moments();
        let pass = Pass {
            network: self,
            parameters,
            batch: Batch { image_gradient: true, ..Batch::new(inputs, labels, scale) },
            normalization: Normalization::Constant(&moments),
        };
        let passes = engine.passes();
        let forward = passes.forward(Slot::Clean, &pass)?;
        let sum = passes.backward(Slot::Clean, &pass, &forward, None)?;
        Ok(LossGradient {
            loss: sum.loss / labels.len() as f64,
            wrong: sum.wrong,
            images: sum.images,
            parameters: sum.gradients,
        })
    }
}

/// The stored weight codes of a network, which may be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWeights {
    tensors: Vec<Encoded>,
    parameters: Vec<ParameterId>,
    bits: u8,
}

impl StoredWeights {
    /// The codes of the weights of `network`; `None` if a weight is not finite.
    #[must_use]
    pub fn of(network: &Network, quantization: WeightQuantization) -> Option<Self> {
        let tensors = weights::stored(network, &network.parameter_values(), quantization)?;
        let parameters = network.parameters.iter().enumerate();
        let parameters = parameters.filter(|(_, parameter)| weights::is_weight(parameter));
        let parameters = parameters.map(|(index, _)| ParameterId(index)).collect();
        Some(Self { tensors, parameters, bits: quantization.bits })
    }

    /// Number of weight tensors.
    #[must_use]
    pub fn tensors(&self) -> usize {
        self.tensors.len()
    }

    /// Bits of a code.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// The codes of a tensor.
    #[must_use]
    pub fn codes(&self, tensor: usize) -> &[u8] {
        &self.tensors[tensor].codes
    }

    /// The codes of a tensor, to be changed; bits above [`Self::bits`] are unused and must stay 0.
    pub fn codes_mut(&mut self, tensor: usize) -> &mut [u8] {
        &mut self.tensors[tensor].codes
    }

    /// The parameters of the network with the weights of the current codes.
    #[must_use]
    pub fn parameters(&self, network: &Network) -> Vec<Vec<f32>> {
        weights::with_codes(network, &network.parameter_values(), &self.tensors)
    }

    /// Derivatives of the loss by the integers of the codes of a tensor.
    #[must_use]
    pub fn by_code(&self, gradient: &LossGradient, tensor: usize) -> Vec<f32> {
        let step = self.tensors[tensor].scale;
        self.by_weight(gradient, tensor).iter().map(|dw| step * dw).collect()
    }

    /// Change of the loss, to first order, if `bit` (0 is the least significant) of code `index` of a tensor
    /// flips.
    ///
    /// # Panics
    /// If codes have no such bit.
    #[must_use]
    pub fn by_flip(&self, gradient: &LossGradient, tensor: usize, index: usize, bit: u8) -> f64 {
        assert!(bit < self.bits, "codes have {} bits", self.bits);
        let Encoded { codes, reals, .. } = &self.tensors[tensor];
        let code = codes[index];
        let [before, after] = [code, code ^ (1 << bit)].map(|code| reals[usize::from(code)]);
        f64::from(after - before) * f64::from(self.by_weight(gradient, tensor)[index])
    }

    fn by_weight<'g>(&self, gradient: &'g LossGradient, tensor: usize) -> &'g [f32] {
        &gradient.parameters[self.parameters[tensor].0]
    }
}

#[cfg(test)]
mod tests {
    use vmin_nn::data::{Split, shapes};

    use super::{LossGradient, StoredWeights};
    use crate::recipe::InputScaling;
    use crate::{Engine, LayerSpec, Network, WeightQuantization};

    struct Case {
        network: Network,
        inputs: Vec<f32>,
        labels: Vec<u8>,
    }

    fn case() -> Case {
        let layers = [LayerSpec::Resnet {
            blocks: vec![1, 1],
            width: 4,
            classes: 10,
            norm: crate::network::Norm::Batch,
            shortcut: crate::network::Shortcut::Projection,
        }];
        let data = shapes::generate(shapes::SEED, Split::Train, 24);
        let network = Network::build(&layers, data.shape, 3).expect("builds");
        let input = InputScaling { zero_pixel: 120, scale: 0.02 };
        Case { network, inputs: input.inputs(&data.images), labels: data.labels }
    }

    impl Case {
        fn at(&self, stored: &StoredWeights, inputs: &[f32]) -> LossGradient {
            let parameters = stored.parameters(&self.network);
            let engine = &mut Engine::cpu();
            let gradient = self.network.loss_gradient(engine, &parameters, inputs, &self.labels);
            gradient.expect("on the processor")
        }
    }

    /// Indices of the largest magnitudes.
    fn largest(values: &[f32], count: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..values.len()).collect();
        places.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
        places.truncate(count);
        places
    }

    #[test]
    fn small_changes_of_codes_and_images_do_what_was_told() {
        let case = case();
        let quantization = WeightQuantization::deployable(8);
        let stored = StoredWeights::of(&case.network, quantization).expect("finite");
        let here = case.at(&stored, &case.inputs);
        assert_eq!(here.images.len(), case.inputs.len());
        let agree = |told: f64, seen: f64, what: &str| {
            assert!((told - seen).abs() < 0.05 * told.abs() + 2e-7, "{what}: {told} {seen}");
        };
        // Central differences, so that the curvature of the loss cancels.
        for tensor in 0..stored.tensors() {
            let by_code = stored.by_code(&here, tensor);
            let codes = stored.codes(tensor);
            let inner = |&index: &usize| (1..255).contains(&codes[index]);
            for index in largest(&by_code, 5).into_iter().filter(inner).take(3) {
                let loss = |code: u8| {
                    let mut moved = stored.clone();
                    moved.codes_mut(tensor)[index] = code;
                    case.at(&moved, &case.inputs).loss
                };
                let seen = (loss(codes[index] + 1) - loss(codes[index] - 1)) / 2.0;
                agree(f64::from(by_code[index]), seen, "one integer");
                for bit in 0..8 {
                    // Offset binary: flipping a set bit subtracts.
                    let sign = if codes[index] >> bit & 1 == 1 { -1.0 } else { 1.0 };
                    let told = stored.by_flip(&here, tensor, index, bit);
                    let linear = sign * f64::from(1 << bit) * f64::from(by_code[index]);
                    assert!((told - linear).abs() < 1e-4 * linear.abs(), "{bit}: {told} {linear}");
                }
            }
        }
        for index in largest(&here.images, 5) {
            let loss = |by: f32| {
                let mut moved = case.inputs.clone();
                moved[index] += by;
                case.at(&stored, &moved).loss
            };
            let seen = (loss(0.02) - loss(-0.02)) / 2.0;
            agree(0.02 * f64::from(here.images[index]), seen, "a grey level");
        }
    }

    #[test]
    fn the_images_gradient_does_not_depend_on_threads() {
        let case = case();
        let stored =
            StoredWeights::of(&case.network, WeightQuantization::deployable(4)).expect("finite");
        let on = |threads: usize| {
            let pool =
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            pool.install(|| case.at(&stored, &case.inputs))
        };
        assert_eq!(on(1), on(3));
    }
}
