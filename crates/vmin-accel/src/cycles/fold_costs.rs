//! The traffic of a layer, dealt to its folds.
//!
//! [`super::traffic`] knows how much a layer moves; here it is decided with which fold it moves:
//!
//! ```text
//!             operands come                           results leave
//!  held       with every fold, once                   -
//!  passing    with each fold of every pass            -
//!  os filter  with the first block of rows, or all    -
//!  sums       spilled ones return after the first     with the last block of rows (ws, is),
//!             block of rows                           with every fold (os)
//! ```
//!
//! Shares are even; what does not divide goes to the first ones.

use super::pipeline::{self, FoldCost};
use super::{LayerReport, Overlap, Schedule};
use crate::dataflow::{Dataflow, Folds};
use crate::{Accelerator, Layer};

/// Elements of `total`, dealt to `parts`, that fall to one.
const fn share(total: u64, parts: u64, part: u64) -> u64 {
    total / parts + if part < total % parts { 1 } else { 0 }
}

/// An operand: bytes per pass, and passes over the blocks of columns.
#[derive(Clone, Copy)]
struct Operand {
    bytes: u64,
    passes: u64,
}

impl Operand {
    /// Bytes with a fold of an operand that stays: once, dealt to all folds.
    const fn held(self, folds: Folds, fc: u64, fr: u64) -> u64 {
        share(self.bytes, folds.count(), fc * folds.rows + fr)
    }

    /// Bytes with a fold of an operand that passes by: in the first `passes` blocks of columns.
    const fn passing(self, folds: Folds, fc: u64, fr: u64) -> u64 {
        if fc < self.passes { share(self.bytes, folds.rows, fr) } else { 0 }
    }

    /// Bytes with a fold of the weights of one block of columns: with the first `passes` blocks of rows.
    const fn per_column(self, folds: Folds, fc: u64, fr: u64) -> u64 {
        if fr < self.passes { share(self.bytes, folds.columns, fc) } else { 0 }
    }
}

/// Cycles of a layer whose folds take `compute(fold)` cycles, with what the bus moves for it.
pub(super) fn cycles(
    accelerator: &Accelerator,
    schedule: Schedule,
    folds: Folds,
    layer: &Layer,
    report: &LayerReport,
    compute: impl Fn(u64) -> u64,
) -> u64 {
    let groups = report.groups.max(1);
    let double_buffer = schedule.overlap == Overlap::Folds;
    let one_pass = |total: Option<u64>, elements: u64, bits: u64| {
        let total = total.unwrap_or(0);
        let passes = if elements == 0 { 1 } else { total.div_ceil(elements).max(1) };
        Operand { bytes: total.saturating_mul(bits).div_ceil(8) / passes / groups, passes }
    };
    let weight_bits = u64::from(report.weight_bits);
    let ifmap = one_pass(report.dram_reads_ifmap, layer.inputs, 8);
    let filter = one_pass(report.dram_reads_filter, layer.weights, weight_bits);
    let results = report.dram_writes_ofmap.unwrap_or(0) / groups;
    let sums =
        report.dram_sum_transfers.unwrap_or(0).saturating_mul(accelerator.accumulator_bits) / 8;
    let sums = sums / groups;
    let returning = (folds.rows - 1) * folds.columns;

    let cost = |index: u64| {
        let index = index % folds.count();
        let (fc, fr) = (index / folds.rows, index % folds.rows);
        let back = |fr: u64| {
            if fr == 0 || returning == 0 {
                0
            } else {
                share(sums, returning, fc * (folds.rows - 1) + fr - 1)
            }
        };
        let (operands, out) = match schedule.dataflow {
            Dataflow::Ws => {
                (filter.held(folds, fc, fr) + ifmap.passing(folds, fc, fr), fr + 1 == folds.rows)
            }
            Dataflow::Is => {
                (ifmap.held(folds, fc, fr) + filter.passing(folds, fc, fr), fr + 1 == folds.rows)
            }
            Dataflow::Os => (ifmap.passing(folds, fc, fr) + filter.per_column(folds, fc, fr), true),
        };
        let writes = match schedule.dataflow {
            Dataflow::Os => share(results, folds.count(), index),
            _ if out => share(results, folds.columns, fc),
            _ => 0,
        };
        let spilled = if fr + 1 < folds.rows { back(fr + 1) } else { 0 };
        FoldCost {
            read: accelerator.dram_cycles(operands + back(fr)),
            compute: compute(index),
            write: accelerator.dram_cycles(writes + spilled),
        }
    };
    let latency = accelerator.dram_latency_cycles();
    pipeline::cycles((0..folds.count() * groups).map(cost), latency, double_buffer)
}
