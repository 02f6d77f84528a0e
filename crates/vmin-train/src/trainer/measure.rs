//! Evaluation on the test set after an epoch.

use super::step::EpochSums;
use super::{EpochMetrics, Trainer};
use crate::bit_errors::{DataErrors, DataRates, Sums, flip};
use crate::deploy::over;
use crate::engine::Evaluation;
use crate::random::{Purpose, Stream};
use crate::{TrainError, weights};

impl Trainer<'_> {
    pub(super) fn measured(
        &mut self,
        epoch: u32,
        sums: &EpochSums,
    ) -> Result<EpochMetrics, TrainError> {
        let images = self.data.len() as f64;
        let loss = sums.loss / images;
        let (seen, _) = self.seen(epoch);
        let (input, engine) = (self.recipe.input, self.engine.passes());
        let evaluation = Evaluation::new(&self.network, &seen, input, self.test);
        let score = engine.evaluate(&evaluation)?;
        if !loss.is_finite() || !score.loss.is_finite() || !sums.perturbed_loss.is_finite() {
            return Err(TrainError::Diverged { epoch });
        }
        let perturbed = sums.perturbed_images;
        Ok(EpochMetrics {
            epoch,
            learning_rate: sums.learning_rate,
            loss,
            perturbed_loss: (perturbed > 0).then(|| sums.perturbed_loss / perturbed as f64),
            train_err: sums.wrong as f64 / images,
            err: score.wrong as f64 / self.test.len() as f64,
            rerr: self.robust_error(epoch)?,
            clip: self.learned_clip.as_ref().map(|learned| learned.bounds.clone()),
            engine: self.engine.name().to_owned(),
        })
    }

    /// Mean error under independent bit flips, over the same chips in every epoch.
    pub(super) fn robust_error(&mut self, epoch: u32) -> Result<Option<f64>, TrainError> {
        let Some(wanted) = self.recipe.rerr else { return Ok(None) };
        let storage = self.recipe.storage();
        let stored_codes = weights::stored(&self.network, &self.parameters, storage)
            .ok_or(TrainError::Diverged { epoch })?;
        let rates = DataRates {
            inputs: wanted.inputs_rate,
            activations: wanted.activations_rate,
            sums: wanted.sums_rate,
        };
        // The ranges of deployment.
        let quantized = self.stored.as_ref().filter(|_| rates.need_codes()).map(|stored| {
            let seen = weights::with_codes(&self.network, &self.parameters, &stored_codes);
            let ranges = over(&self.network, &seen, self.recipe.input, self.data);
            let ranges: Vec<_> = stored.ranged().iter().map(|value| ranges[value.0]).collect();
            stored.quantized(&self.network, self.recipe.input, &ranges)
        });
        let sums = || {
            let stored = self.stored.as_ref().filter(|_| rates.sums > 0.0);
            let Some((stored, codes)) = stored.zip(quantized.as_deref()) else {
                return Sums::default();
            };
            let moments = self.network.running_moments();
            let codes = (codes, &stored_codes[..]);
            let kept = wanted.sums_kept;
            let how = (wanted.sums_fold, kept.narrow);
            let mut sums = stored.sums(&self.network, &self.parameters, &moments, codes, how);
            if let Some(margin) = kept.guard {
                let seen = weights::with_codes(&self.network, &self.parameters, &stored_codes);
                let inputs = self.recipe.input.inputs(self.data.image(0));
                sums.guard_by(&self.network, &seen, &moments, &inputs, margin);
            }
            sums
        };
        let mut wrong = 0;
        for chip in 0..wanted.chips {
            let mut stored = stored_codes.clone();
            let mut stream = Stream::new(self.recipe.seed, Purpose::TestChip, chip as usize);
            flip(&mut stored, storage.bits, wanted.rate, &mut stream);
            let seen = weights::with_codes(&self.network, &self.parameters, &stored);
            let errors = rates.any().then(|| DataErrors {
                rates,
                faults: wanted.data_faults,
                shapes: self.network.values.clone(),
                sums: sums(),
                stored: quantized.clone().unwrap_or_default(),
                seed: self.recipe.seed,
                purpose: Purpose::TestData,
                index: chip as usize,
            });
            let (input, errors) = (self.recipe.input, errors.as_ref());
            let engine = self.engine.passes();
            let evaluation = Evaluation::new(&self.network, &seen, input, self.test);
            wrong += engine.evaluate(&evaluation.under(errors))?.wrong;
        }
        Ok(Some(wrong as f64 / (self.test.len() as f64 * f64::from(wanted.chips))))
    }
}
