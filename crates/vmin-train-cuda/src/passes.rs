//! The passes of a training run on a device.

use vmin_train::engine::{BatchSum, Evaluation, Forward, Gradients, Pass, Passes, Score, Slot};
use vmin_train::network::ValueId;
use vmin_train::{CHUNK_IMAGES, EngineError};

use crate::device::Device;
use crate::layers::Values;

/// Most images of one pass of an evaluation.
const EVALUATED_IMAGES: usize = 32 * CHUNK_IMAGES;
/// Most floats of their values, 1 GiB.
const EVALUATED_FLOATS: usize = 1 << 28;

/// The passes on a device.
pub(crate) struct OnDevice<D: Device> {
    device: D,
    clean: Values<D>,
    perturbed: Values<D>,
}

impl<D: Device> OnDevice<D> {
    pub(crate) fn new(device: D) -> Self {
        Self { device, clean: Values::default(), perturbed: Values::default() }
    }

    /// The device and the values of a slot.
    fn slot(&mut self, slot: Slot) -> (&mut D, &mut Values<D>) {
        let values = match slot {
            Slot::Clean => &mut self.clean,
            Slot::Perturbed => &mut self.perturbed,
        };
        (&mut self.device, values)
    }
}

impl<D: Device> Passes for OnDevice<D> {
    fn forward(&mut self, slot: Slot, pass: &Pass<'_>) -> Result<Forward<f32>, EngineError> {
        let (device, values) = self.slot(slot);
        values.take_parameters(device, pass.parameters)?;
        values.forward(device, pass)
    }

    fn logits(&mut self, slot: Slot, pass: &Pass<'_>) -> Result<Vec<f32>, EngineError> {
        let (device, values) = self.slot(slot);
        values.read(device, pass.network.output())
    }

    fn backward(
        &mut self,
        slot: Slot,
        pass: &Pass<'_>,
        forward: &Forward<f32>,
        through: Option<&Gradients<f32>>,
    ) -> Result<BatchSum<f32>, EngineError> {
        let (device, values) = self.slot(slot);
        let logits = values.read(device, pass.network.output())?;
        let loss = pass.loss(&logits);
        let gradients = values.backward(device, pass, forward, through, &loss.dlogits)?;
        let images =
            if pass.batch.image_gradient { values.image_gradient(device)? } else { Vec::new() };
        Ok(BatchSum { gradients, loss: loss.sum, wrong: loss.wrong, images })
    }

    fn extremes(&mut self, slot: Slot, values: &[ValueId]) -> Result<Vec<[f32; 2]>, EngineError> {
        let (device, kept) = self.slot(slot);
        let of = |&value| {
            let made = kept.made(device, value)?;
            Ok(made.iter().fold([0.0_f32; 2], |[low, high], &x| [low.min(x), high.max(x)]))
        };
        values.iter().map(of).collect()
    }

    fn evaluate(&mut self, evaluation: &Evaluation<'_>) -> Result<Score, EngineError> {
        let network = evaluation.network();
        let (device, values) = self.slot(Slot::Perturbed);
        values.take_parameters(device, evaluation.parameters())?;
        let floats: usize = (0..network.values.len()).map(|v| network.elements(ValueId(v))).sum();
        let images = (EVALUATED_FLOATS / floats.max(1)).clamp(CHUNK_IMAGES, EVALUATED_IMAGES);
        evaluation.by_batches(images / CHUNK_IMAGES * CHUNK_IMAGES, |pass| {
            values.forward(device, pass)?;
            values.read(device, network.output())
        })
    }
}
