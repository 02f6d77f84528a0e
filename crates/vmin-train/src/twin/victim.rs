//! A deployed network as the victim of bit flips.

use rayon::prelude::*;
use vmin_attack::bits::{Slope, Victim, Weights};
use vmin_nn::Graph;

use super::Twin;
use crate::CHUNK_IMAGES;
use crate::engine::{Engine, EngineError};
use crate::loss::cross_entropy;
use crate::network::{Values, forward_into};

/// The weights of a graph with all bits in reach of an attack.
#[must_use]
pub fn attackable(graph: &Graph) -> Vec<Weights> {
    let of = graph.weights.iter();
    of.map(|of| Weights::all_reachable(of.codes.clone(), of.bits, of.encoding, of.scales.clone()))
        .collect()
}

/// What an attack on bits wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Any wrong class: raises the mean cross-entropy.
    AnyError,
    /// This class for every image: lowers the mean cross-entropy of it.
    Class(u8),
}

/// The twin of a deployed network, with the images by which an attack chooses.
pub struct TwinVictim<'a> {
    twin: &'a Twin,
    engine: Engine,
    inputs: &'a [f32],
    /// The labels whose loss is told.
    labels: Vec<u8>,
    sign: f32,
}

impl<'a> TwinVictim<'a> {
    /// The victim with real inputs ([`Twin::inputs`]) and labels of some images, at least one.
    #[must_use]
    pub fn new(twin: &'a Twin, inputs: &'a [f32], labels: &[u8], goal: Goal) -> Self {
        let (labels, sign) = match goal {
            Goal::AnyError => (labels.to_vec(), 1.0),
            Goal::Class(class) => (vec![class; labels.len()], -1.0),
        };
        Self { twin, engine: Engine::cpu(), inputs, labels, sign }
    }
}

impl Victim for TwinVictim<'_> {
    type Error = EngineError;

    fn loss(&mut self, codes: &[Vec<u8>]) -> Result<f64, EngineError> {
        let Self { twin, inputs, labels, sign, .. } = self;
        let parameters = twin.parameters(codes);
        let network = &twin.network;
        let size: usize = network.values[0].iter().product();
        let chunks: Vec<f64> = inputs
            .par_chunks(CHUNK_IMAGES * size)
            .zip(labels.par_chunks(CHUNK_IMAGES))
            .map_init(Values::new, |values, (inputs, labels)| {
                forward_into(network, &parameters, inputs, None, values);
                let logits = values.read(network.output());
                cross_entropy(logits, labels, network.classes(), 1.0).sum
            })
            .collect();
        // In the order of the chunks: the same bits for any number of threads.
        Ok(f64::from(*sign) * chunks.iter().sum::<f64>() / labels.len() as f64)
    }

    fn slope(&mut self, codes: &[Vec<u8>]) -> Result<Slope, EngineError> {
        let gradient = self.twin.slope(&mut self.engine, codes, self.inputs, &self.labels)?;
        let mut by_integer = self.twin.by_integer(&gradient);
        by_integer.iter_mut().flatten().for_each(|by| *by *= self.sign);
        Ok(Slope { loss: f64::from(self.sign) * gradient.loss, by_integer })
    }
}
