//! Input stationary: an input stays in its PE, weights move right, partial sums move down.

use super::{ArraySize, Extent, Fits, Folds, Mapping, OperandReads, ScalesimRules};
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

    fn scalesim(&self) -> ScalesimRules {
        ScalesimRules {
            rows_per_fold: 2,
            extra_columns_in_utilization: true,
            extra_writes_per_fold: false,
        }
    }
}
