//! Rectifiers become clamps of the step before them.

use crate::DeployError;
use crate::network::{Layer, Network, Step, ValueId};

/// A step of the integer graph.
#[derive(Clone, Debug)]
pub(super) struct Fused<'a> {
    pub(super) step: &'a Step,
    /// The value after the rectifier, if there is one.
    pub(super) output: ValueId,
    /// True if negative results become zero.
    pub(super) rectified: bool,
}

/// The steps in order, each rectifier merged into its producer.
pub(super) fn fuse(net: &Network) -> Result<Vec<Fused<'_>>, DeployError> {
    let mut fused: Vec<Fused<'_>> = Vec::with_capacity(net.steps.len());
    for step in &net.steps {
        if step.layer != Layer::Relu {
            fused.push(Fused { step, output: step.output, rectified: false });
            continue;
        }
        let from = step.inputs[0];
        let readers = net.steps.iter().flat_map(|step| &step.inputs).filter(|&&id| id == from);
        let sole_reader = readers.count() == 1;
        match fused.iter_mut().find(|producer| producer.output == from) {
            Some(producer) if sole_reader => {
                producer.output = step.output;
                producer.rectified = true;
            }
            _ => return Err(DeployError::Rectifier { step: step.name.clone() }),
        }
    }
    Ok(fused)
}
