//! From a trained float network to the integer graph that runs on the accelerator.
//!
//! ```text
//!  parameters ── codes.rs ──> weight codes ─┐            (offset binary, one scale per tensor)
//!  images ── calibrate.rs ──> ranges ───────┼─ lower.rs ──> Graph ── check.rs ── Deployed
//!  steps ── fusion.rs ──> fused steps ──────┘
//! ```
//!
//! A rectifier becomes the clamp of the step before it. Biases are int32 at the scale of their
//! accumulator. A batch normalization puts its scale into the multipliers, never into the codes, so that
//! the memory holds the code range that training made robust.

mod calibrate;
mod check;
pub mod codes;
#[cfg(test)]
mod fake_quantized_tests;
mod fusion;
mod lower;

pub(crate) use calibrate::{Range, over};
pub use check::integer_errors;
pub(crate) use fusion::{Fused, fuse};
pub(crate) use lower::{OFFSET_UNIT, covering, input_quantization};

use vmin_nn::Graph;
use vmin_nn::data::Dataset;

use crate::{DeployError, Trained, weights};

/// Largest allowed difference between the errors of the integer and the float network, in
/// percentage points.
pub const ACCURACY_LIMIT_POINTS: f64 = 0.3;

/// An integer network with its test errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// The network.
    pub graph: Graph,
    /// Test error of the float network, 0..=1.
    pub float_err: f64,
    /// Test error of the integer network, 0..=1.
    pub integer_err: f64,
}

impl Trained {
    /// Quantizes the network, runs it on `test` and compares it with the float network. Weights are
    /// quantized by the recipe (8 bits by default), activations to int8 with ranges from `calibration`.
    ///
    /// # Errors
    ///
    /// [`DeployError::Accuracy`] if the errors of the integer and the float network are more than
    /// [`ACCURACY_LIMIT_POINTS`] apart; other variants for networks without an integer form.
    pub fn deploy(&self, calibration: &Dataset, test: &Dataset) -> Result<Deployed, DeployError> {
        let deployed = self.compare(calibration, test)?;
        deployed.check()?;
        Ok(deployed)
    }

    /// As [`Self::deploy`], without the check [`Deployed::check`].
    ///
    /// # Errors
    ///
    /// [`DeployError`] but not [`DeployError::Accuracy`].
    pub fn compare(&self, calibration: &Dataset, test: &Dataset) -> Result<Deployed, DeployError> {
        check::compare(self, self.lower(calibration)?, test)
    }

    /// The integer graph without the comparison.
    ///
    /// # Errors
    ///
    /// [`DeployError`] but not [`DeployError::Accuracy`].
    pub fn lower(&self, calibration: &Dataset) -> Result<Graph, DeployError> {
        let steps = fusion::fuse(&self.network)?;
        let parameters = self.network.parameter_values();
        let stored = weights::stored(&self.network, &parameters, self.recipe.storage())
            .ok_or(DeployError::NotFinite)?;
        let seen = weights::with_codes(&self.network, &parameters, &stored);
        let ranges = calibrate::ranges(&self.network, &seen, self.recipe.input, calibration)?;
        lower::lower(self, stored, &steps, &ranges)
    }

    /// The parameters of the last evaluation: decoded from their codes, or the floats if the last epoch
    /// trained without quantization.
    fn seen(&self) -> Vec<Vec<f32>> {
        let values = self.network.parameter_values();
        match self
            .recipe
            .quantization
            .filter(|quantization| (quantization.from_epoch as usize) < self.epochs.len())
        {
            Some(quantization) => weights::quantized(&self.network, &values, quantization),
            None => values,
        }
    }
}

impl Deployed {
    /// Checks that both networks agree.
    ///
    /// # Errors
    ///
    /// [`DeployError::Accuracy`] if their errors are more than [`ACCURACY_LIMIT_POINTS`] apart.
    pub fn check(&self) -> Result<(), DeployError> {
        let points = 100.0 * (self.integer_err - self.float_err);
        if points.abs() <= ACCURACY_LIMIT_POINTS {
            return Ok(());
        }
        Err(DeployError::Accuracy {
            integer_pct: 100.0 * self.integer_err,
            float_pct: 100.0 * self.float_err,
            limit_points: ACCURACY_LIMIT_POINTS,
        })
    }
}
