//! Output stationary: a sum stays in its PE, inputs move right, weights move down; a finished tile
//! is shifted out downwards.

use super::{ArraySize, Extent, Fits, Folds, Mapping, OperandReads, Rates, ScalesimRules, Words};
use crate::GemmShape;

pub(super) struct OutputStationary;

impl Mapping for OutputStationary {
    fn extent(&self, shape: GemmShape) -> Extent {
        Extent { rows: shape.m(), columns: shape.n(), stream: shape.k() }
    }

    fn reads(&self, shape: GemmShape, folds: Folds) -> OperandReads {
        OperandReads {
            ifmap: shape.m() * shape.k() * folds.columns,
            filter: shape.k() * shape.n() * folds.rows,
        }
    }

    fn sum_passes(&self, _folds: Folds) -> u64 {
        1
    }

    fn sums_waiting(&self, _shape: GemmShape, _array: ArraySize) -> u64 {
        0
    }

    /// The inputs return with every block of columns, the weights of a block with every block of rows.
    fn fetches(&self, folds: Folds, fits: Fits) -> OperandReads {
        OperandReads {
            ifmap: if fits.inputs { 1 } else { folds.columns },
            filter: if fits.weights || fits.weight_block { 1 } else { folds.rows },
        }
    }

    fn rates(&self, array: ArraySize, _folds: Folds) -> Rates {
        Rates {
            load: Words::default(),
            load_steps: 0,
            stream: Words { inputs: array.rows(), weights: array.columns(), sums: 0 },
            drain: Words { sums: array.columns(), ..Words::default() },
            drain_steps: array.rows(),
        }
    }

    /// SCALE-Sim lets results leave `R` cycles before the lower rows have finished them, and counts
    /// its output writes with an addition too many.
    fn scalesim(&self) -> ScalesimRules {
        ScalesimRules {
            rows_per_fold: 1,
            extra_columns_in_utilization: false,
            extra_writes_per_fold: true,
        }
    }
}
