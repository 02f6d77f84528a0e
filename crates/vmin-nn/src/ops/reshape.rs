//! The same elements under another shape.

use super::{At, Operator, Plan, Run};
use crate::{Limits, ModelError};

/// See the top of this file.
pub(super) struct Reshape;

impl Operator for Reshape {
    fn kind(&self) -> &'static str {
        "reshape"
    }

    /// Nothing moves.
    fn passes(&self) -> usize {
        0
    }

    fn check(&self, at: &At<'_>, _: &Limits) -> Result<(), ModelError> {
        let (input, output) = (at.input(0), at.output());
        if input.elements() != output.elements() || input.dtype != output.dtype {
            let found = format!("{:?} to {:?}", input.shape, output.shape);
            return Err(at.error("a reshape keeps elements and type", found));
        }
        at.check_same_quantization()
    }

    fn reference(&self, _: &At<'_>, _: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8> {
        inputs[0].to_vec()
    }

    fn plan(&self, _: &At<'_>) -> Box<dyn Plan> {
        Box::new(|run: Run<'_>| run.out.copy_from_slice(run.inputs[0]))
    }
}
