//! The passes on the processor of this machine: chunks in parallel, their sums in order.

use super::{EngineError, Evaluation, Pass, Passes, Score, Slot};
use crate::CHUNK_IMAGES;
use crate::network::{
    BatchSum, Forward, Gradients, ValueId, Workspace, backward_batch, forward_batch,
};

/// All threads of the processor.
#[derive(Default)]
pub(super) struct Processor {
    clean: Workspace<f32>,
    perturbed: Workspace<f32>,
}

impl Processor {
    fn workspace(&mut self, slot: Slot) -> &mut Workspace<f32> {
        match slot {
            Slot::Clean => &mut self.clean,
            Slot::Perturbed => &mut self.perturbed,
        }
    }
}

impl Passes for Processor {
    fn forward(&mut self, slot: Slot, pass: &Pass<'_>) -> Result<Forward<f32>, EngineError> {
        let Pass { network, parameters, batch, normalization } = pass;
        let workspace = self.workspace(slot);
        Ok(forward_batch(network, parameters, batch, CHUNK_IMAGES, *normalization, workspace))
    }

    fn logits(&mut self, slot: Slot, pass: &Pass<'_>) -> Result<Vec<f32>, EngineError> {
        Ok(self.workspace(slot).values(pass.network.output()))
    }

    fn backward(
        &mut self,
        slot: Slot,
        pass: &Pass<'_>,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
    ) -> Result<BatchSum<f32>, EngineError> {
        let Pass { network, parameters, batch, normalization } = pass;
        let workspace = self.workspace(slot);
        Ok(backward_batch(network, parameters, batch, *normalization, forward, through, workspace))
    }

    fn extremes(&mut self, slot: Slot, values: &[ValueId]) -> Result<Vec<[f32; 2]>, EngineError> {
        Ok(self.workspace(slot).extremes(values))
    }

    fn evaluate(&mut self, evaluation: &Evaluation<'_>) -> Result<Score, EngineError> {
        Ok(evaluation.on_processor())
    }
}
