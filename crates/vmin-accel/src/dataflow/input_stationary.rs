//! Input stationary: an input stays in its PE, weights move right, partial sums move down.

use super::{ArraySize, Extent, Fits, Folds, Mapping, OperandReads, Rates, ScalesimRules, Words};
use crate::GemmShape;

pub(super) struct InputStationary;

impl Mapping for InputStationary {
    fn extent(&self, shape: GemmShape) -> Extent {
        Extent { rows: shape.k(), columns: shape.m(), stream: shape.n() }
    }

    fn reads(&self, shape: GemmShape, folds: Folds) -> OperandReads {
        OperandReads { ifmap: shape.m() * shape.k(), filter: shape.k() * shape.n() * folds.columns }
    }

    fn sum_passes(&self, folds: Folds) -> u64 {
        folds.rows
    }

    fn sums_waiting(&self, shape: GemmShape, array: ArraySize) -> u64 {
        shape.n() * shape.m().min(array.columns())
    }

    /// Each input is loaded once in all; the weights return with every block of columns.
    fn fetches(&self, folds: Folds, fits: Fits) -> OperandReads {
        OperandReads { ifmap: 1, filter: if fits.weights { 1 } else { folds.columns } }
    }

    fn rates(&self, array: ArraySize, folds: Folds) -> Rates {
        // Sums of later blocks of rows are read, added to and written back.
        let per_sum = if folds.rows > 1 { 2 } else { 1 };
        Rates {
            load: Words { inputs: array.columns(), ..Words::default() },
            load_steps: array.rows(),
            stream: Words { inputs: 0, weights: array.rows(), sums: per_sum * array.columns() },
            drain: Words::default(),
            drain_steps: 0,
        }
    }

    fn scalesim(&self) -> ScalesimRules {
        ScalesimRules {
            rows_per_fold: 2,
            extra_columns_in_utilization: true,
            extra_writes_per_fold: false,
        }
    }
}
