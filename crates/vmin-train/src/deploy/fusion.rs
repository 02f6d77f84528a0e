//! Rectifiers become clamps of the step before them, batch normalizations its multipliers. A group
//! normalization is a step of its own.

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
    /// True if negative results become zero.
    pub(crate) rectified: bool,
}

impl Fused<'_> {
    /// Whether a rectifier or a normalization can become part of this step: normalizations only of
    /// convolutions, before a rectifier.
    fn takes(&self, layer: &Layer) -> bool {
        let fresh = self.norm.is_none() && !self.rectified;
        !matches!(layer, Layer::BatchNorm(_))
            || fresh && matches!(self.step.layer, Layer::Conv2d(_))
    }
}

/// The steps in order, each rectifier and batch normalization merged into its producer.
pub(crate) fn fuse(net: &Network) -> Result<Vec<Fused<'_>>, DeployError> {
    let mut fused: Vec<Fused<'_>> = Vec::with_capacity(net.steps.len());
    for step in &net.steps {
        if !matches!(step.layer, Layer::Relu | Layer::BatchNorm(_)) {
            fused.push(Fused { step, output: step.output, norm: None, rectified: false });
            continue;
        }
        let from = step.inputs[0];
        let readers = net.steps.iter().flat_map(|step| &step.inputs).filter(|&&id| id == from);
        let sole_reader = readers.count() == 1;
        match fused.iter_mut().find(|producer| producer.output == from) {
            Some(producer) if sole_reader && producer.takes(&step.layer) => {
                producer.output = step.output;
                match &step.layer {
                    Layer::BatchNorm(norm) => producer.norm = Some(norm),
                    _ => producer.rectified = true,
                }
            }
            _ => return Err(DeployError::Rectifier { step: step.name.clone() }),
        }
    }
    Ok(fused)
}
