//! Fusion: a rectifier becomes a clamp of the step before it, a batch normalization the multipliers of that
//! step. A group normalization remains a step.

use crate::DeployError;
use crate::network::{BatchNorm, Layer, Network, Step, ValueId};

/// A step of the integer graph.
#[derive(Clone, Debug)]
pub(crate) struct Fused<'a> {
    pub(crate) step: &'a Step,
    /// The value after the rectifier, if there is one.
    pub(crate) output: ValueId,
    /// The batch normalization between the step and the rectifier.
    pub(crate) norm: Option<&'a BatchNorm>,
    /// Whether negative results become 0.
    pub(crate) rectified: bool,
}

impl Fused<'_> {
    /// Whether a batch normalization can become part of this step: only convolutions have multipliers per channel,
    /// and the rectifier comes last.
    fn takes_norm(&self) -> bool {
        self.norm.is_none() && !self.rectified && matches!(self.step.layer, Layer::Conv2d(_))
    }
}

/// The steps in order, each rectifier and batch normalization merged into its producer.
pub(crate) fn fuse(net: &Network) -> Result<Vec<Fused<'_>>, DeployError> {
    let mut fused: Vec<Fused<'_>> = Vec::with_capacity(net.steps.len());
    for step in &net.steps {
        let norm = match &step.layer {
            Layer::BatchNorm(norm) => Some(norm),
            Layer::Relu => None,
            Layer::Conv2d(_)
            | Layer::FullyConnected(_)
            | Layer::GroupNorm(_)
            | Layer::Add
            | Layer::Pool2d(_) => {
                fused.push(Fused { step, output: step.output, norm: None, rectified: false });
                continue;
            }
        };
        let from = step.inputs[0];
        let readers = net.steps.iter().flat_map(|step| &step.inputs).filter(|&&id| id == from);
        let sole_reader = readers.count() == 1;
        match fused.iter_mut().find(|producer| producer.output == from) {
            Some(producer) if sole_reader && (norm.is_none() || producer.takes_norm()) => {
                producer.output = step.output;
                match norm {
                    Some(norm) => producer.norm = Some(norm),
                    None => producer.rectified = true,
                }
            }
            _ => return Err(DeployError::Rectifier { step: step.name.clone() }),
        }
    }
    Ok(fused)
}
