//! Elementwise maximum and minimum of two tensors.
//!
//! All three tensors have one quantization, so codes compare as the values do and nothing is rounded.

use serde::{Deserialize, Serialize};

use super::{At, Operator, Plan, Run};
use crate::{Limits, ModelError};

/// Maximum or minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtremumKind {
    /// The larger value.
    Maximum,
    /// The smaller value.
    Minimum,
}

/// Elementwise maximum or minimum of two tensors of one shape and quantization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extremum {
    /// Maximum or minimum.
    pub kind: ExtremumKind,
}

impl Operator for Extremum {
    fn kind(&self) -> &'static str {
        match self.kind {
            ExtremumKind::Maximum => "maximum",
            ExtremumKind::Minimum => "minimum",
        }
    }

    fn inputs(&self) -> usize {
        2
    }

    fn check(&self, at: &At<'_>, _: &Limits) -> Result<(), ModelError> {
        at.check_same_shapes("both operands have the shape of the result")?;
        at.check_same_quantization()
    }

    fn reference(&self, _: &At<'_>, _: &[Vec<u8>], inputs: &[&[i8]]) -> Vec<i8> {
        let pairs = inputs[0].iter().zip(inputs[1]);
        pairs.map(|(&a, &b)| self.kind.of(a, b)).collect()
    }

    fn plan(&self, _: &At<'_>) -> Box<dyn Plan> {
        let kind = self.kind;
        Box::new(move |run: Run<'_>| {
            let pairs = run.inputs[0].iter().zip(run.inputs[1]);
            run.out.iter_mut().zip(pairs).for_each(|(out, (&a, &b))| *out = kind.of(a, b));
        })
    }
}

impl ExtremumKind {
    fn of(self, a: i8, b: i8) -> i8 {
        match self {
            Self::Maximum => a.max(b),
            Self::Minimum => a.min(b),
        }
    }
}
