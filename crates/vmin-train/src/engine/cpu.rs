//! The passes on this machine's processor: chunks in parallel, their sums in order.

use vmin_nn::data::Dataset;

use super::{EngineError, Pass, Passes, Room};
use crate::CHUNK_IMAGES;
use crate::bit_errors::DataErrors;
use crate::evaluate::{Score, evaluate};
use crate::network::{
    BatchSum, Forward, Gradients, Network, ValueId, Workspace, backward_batch, forward_batch,
};
use crate::recipe::InputScaling;

/// All threads of the processor.
#[derive(Default)]
pub(super) struct Processor {
    clean: Workspace<f32>,
    perturbed: Workspace<f32>,
}

impl Processor {
    fn room(&mut self, room: Room) -> &mut Workspace<f32> {
        match room {
            Room::Clean => &mut self.clean,
            Room::Perturbed => &mut self.perturbed,
        }
    }
}

impl Passes for Processor {
    fn forward(&mut self, room: Room, pass: &Pass<'_>) -> Result<Forward<f32>, EngineError> {
        let Pass { network, parameters, batch, normalization } = pass;
        let room = self.room(room);
        Ok(forward_batch(network, parameters, batch, CHUNK_IMAGES, *normalization, room))
    }

    fn backward(
        &mut self,
        room: Room,
        pass: &Pass<'_>,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
    ) -> Result<BatchSum<f32>, EngineError> {
        let Pass { network, parameters, batch, normalization } = pass;
        let room = self.room(room);
        Ok(backward_batch(network, parameters, batch, *normalization, forward, through, room))
    }

    fn extremes(&mut self, room: Room, values: &[ValueId]) -> Result<Vec<[f32; 2]>, EngineError> {
        Ok(self.room(room).extremes(values))
    }

    fn evaluate(
        &mut self,
        network: &Network,
        parameters: &[Vec<f32>],
        input: InputScaling,
        data: &Dataset,
        errors: Option<&DataErrors>,
    ) -> Result<Score, EngineError> {
        Ok(evaluate(network, parameters, input, data, errors))
    }
}
