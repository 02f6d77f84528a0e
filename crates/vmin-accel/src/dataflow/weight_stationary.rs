//! Weight stationary: a weight stays in its PE, inputs move right, partial sums move down.

use super::{ArraySize, Extent, Fits, Folds, Mapping, OperandReads, Rates, ScalesimRules, Words};
use crate::GemmShape;

pub(super) struct WeightStationary;

impl Mapping for WeightStationary {
    fn extent(&self, shape: GemmShape) -> Extent {
        Extent { rows: shape.k(), columns: shape.n(), stream: shape.m() }
    }

    fn reads(&self, shape: GemmShape, folds: Folds) -> OperandReads {
        OperandReads { ifmap: shape.m() * shape.k() * folds.columns, filter: shape.k() * shape.n() }
    }

    fn sum_passes(&self, folds: Folds) -> u64 {
        folds.rows
    }

    fn sums_waiting(&self, shape: GemmShape, array: ArraySize) -> u64 {
        shape.m() * shape.n().min(array.columns())
    }

    /// Each weight is loaded once in all; the inputs return with every block of columns.
    fn fetches(&self, folds: Folds, fits: Fits) -> OperandReads {
        OperandReads { ifmap: if fits.inputs { 1 } else { folds.columns }, filter: 1 }
    }

    fn rates(&self, array: ArraySize, folds: Folds) -> Rates {
        // Sums of later blocks of rows are read, added to and written back.
        let per_sum = if folds.rows > 1 { 2 } else { 1 };
        Rates {
            load: Words { weights: array.columns(), ..Words::default() },
            load_steps: array.rows(),
            stream: Words { inputs: array.rows(), weights: 0, sums: per_sum * array.columns() },
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
