//! From a trained float network to the integer graph that runs on the accelerator.
//!
//! ```text
//!  parameters ── codes.rs ──> weight codes ─┐            (offset binary, one scale per tensor)
//!  images ── calibrate.rs ──> ranges ───────┼─ lower.rs ──> Graph ── check.rs ── Deployed
//!  steps ── fusion.rs ──> fused steps ──────┘
//! ```
//!
//! A rectifier becomes the clamp of the step before it. Biases are int32 at the scale of their
//! accumulator. A layer that normalizes will put its scale into the multipliers, never into the
//! codes, so that the code range which training made robust is what the memory holds.

mod calibrate;
mod check;
pub mod codes;
mod fusion;
mod lower;

pub use check::integer_errors;

use vmin_nn::Graph;
use vmin_nn::data::Dataset;

use crate::{DeployError, Trained, weights};

/// Largest allowed difference between the errors of the integer and the float network, in
/// percentage points.
pub const ACCURACY_LIMIT_POINTS: f64 = 0.3;

/// Bits per weight code where the recipe does not say.
const BITS_DEFAULT: u8 = 8;

/// An integer network and what the check of it found.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// The network.
    pub graph: Graph,
    /// Share of the test images on which the float network errs, 0..=1.
    pub float_err: f64,
    /// Share of the test images on which the integer network errs, 0..=1.
    pub integer_err: f64,
}

impl Trained {
    /// Quantizes the network: weights to the bits of the recipe (8 if it says nothing), activations
    /// to int8 with ranges taken from `calibration`. Then runs it on `test` and compares.
    ///
    /// # Errors
    ///
    /// [`DeployError::Accuracy`] if the integer network errs more than [`ACCURACY_LIMIT_POINTS`]
    /// beyond the float one; others for networks that have no integer form.
    pub fn deploy(&self, calibration: &Dataset, test: &Dataset) -> Result<Deployed, DeployError> {
        let graph = self.lower(calibration)?;
        let deployed = check::compare(self, graph, test)?;
        let points = 100.0 * (deployed.integer_err - deployed.float_err);
        if points > ACCURACY_LIMIT_POINTS {
            return Err(DeployError::Accuracy {
                integer_pct: 100.0 * deployed.integer_err,
                float_pct: 100.0 * deployed.float_err,
                limit_points: ACCURACY_LIMIT_POINTS,
            });
        }
        Ok(deployed)
    }

    /// The integer graph without the comparison.
    ///
    /// # Errors
    ///
    /// [`DeployError`] but not [`DeployError::Accuracy`].
    pub fn lower(&self, calibration: &Dataset) -> Result<Graph, DeployError> {
        let bits = self.bits();
        let steps = fusion::fuse(&self.network)?;
        let seen = weights::quantized(&self.network, &self.network.parameter_values(), bits);
        let ranges = calibrate::ranges(&self.network, &seen, self.recipe.input, calibration)?;
        lower::lower(self, bits, &steps, &ranges)
    }

    fn bits(&self) -> u8 {
        self.recipe.quantization.map_or(BITS_DEFAULT, |quantization| quantization.bits)
    }

    /// The parameters as the last epoch evaluated them.
    fn seen(&self) -> Vec<Vec<f32>> {
        let values = self.network.parameter_values();
        let quantization = self.recipe.quantization;
        match quantization
            .filter(|quantization| (quantization.from_epoch as usize) < self.epochs.len())
        {
            Some(quantization) => weights::quantized(&self.network, &values, quantization.bits),
            None => values,
        }
    }
}
