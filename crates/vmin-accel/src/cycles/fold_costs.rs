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

/// Bytes dealt to parts.
#[derive(Clone, Copy)]
struct Shares {
    each: u64,
    one_more: u64,
}

impl Shares {
    const fn of(total: u64, parts: u64) -> Self {
        match total.checked_div(parts) {
            Some(each) => Self { each, one_more: total % parts },
            None => Self { each: 0, one_more: 0 },
        }
    }

    const fn at(self, part: u64) -> u64 {
        self.each + if part < self.one_more { 1 } else { 0 }
    }
}

/// Bytes of one group per pass over an operand, and how many passes there are.
fn passes(fetched: Option<u64>, elements: u64, bits: u64, groups: u64) -> (u64, u64) {
    let fetched = fetched.unwrap_or(0);
    let passes = if elements == 0 { 1 } else { fetched.div_ceil(elements).max(1) };
    (fetched.saturating_mul(bits).div_ceil(8) / passes / groups, passes)
}

/// Bus cycles of transfers; the same few sizes come again and again.
struct Bus<'a> {
    accelerator: &'a Accelerator,
    known: [(u64, u64); 4],
}

impl Bus<'_> {
    fn cycles(&mut self, bytes: u64) -> u64 {
        if bytes == 0 {
            return 0;
        }
        let slot = usize::from((bytes & 3) as u8);
        if self.known[slot].0 != bytes {
            self.known[slot] = (bytes, self.accelerator.dram_cycles(bytes));
        }
        self.known[slot].1
    }
}

/// Cycles of a layer whose folds take `compute(last of its group)` cycles, with what the bus moves for it.
pub(super) fn cycles(
    accelerator: &Accelerator,
    schedule: Schedule,
    folds: Folds,
    layer: &Layer,
    report: &LayerReport,
    compute: impl Fn(bool) -> u64,
) -> u64 {
    let groups = report.groups.max(1);
    let dataflow = schedule.dataflow;
    let (ifmap, ifmap_passes) = passes(report.dram_reads_ifmap, layer.inputs, 8, groups);
    let weight_bits = u64::from(report.weight_bits);
    let (filter, filter_passes) =
        passes(report.dram_reads_filter, layer.weights, weight_bits, groups);
    // What stays comes with every fold; what passes by, with each fold of the first passes.
    let (held, passing, passing_passes) = match dataflow {
        Dataflow::Ws => (filter, ifmap, ifmap_passes),
        Dataflow::Is => (ifmap, filter, filter_passes),
        Dataflow::Os => (0, ifmap, ifmap_passes),
    };
    let held = Shares::of(held, folds.count());
    let passing = Shares::of(passing, folds.rows);
    let column = Shares::of(if dataflow == Dataflow::Os { filter } else { 0 }, folds.columns);
    let results = report.dram_writes_ofmap.unwrap_or(0) / groups;
    let results_os = Shares::of(if dataflow == Dataflow::Os { results } else { 0 }, folds.count());
    let results = Shares::of(if dataflow == Dataflow::Os { 0 } else { results }, folds.columns);
    let sums = report.dram_sum_transfers.unwrap_or(0).saturating_mul(accelerator.accumulator_bits);
    let sums = Shares::of(sums / 8 / groups, (folds.rows - 1) * folds.columns);

    let mut bus = Bus { accelerator, known: [(0, 0); 4] };
    let (mut fc, mut fr, mut index) = (0, 0, 0);
    let cost = |_| {
        let mut read = held.at(index);
        if fc < passing_passes {
            read += passing.at(fr);
        }
        if fr < filter_passes {
            read += column.at(fc);
        }
        let mut write = results_os.at(index);
        let spill = fc * (folds.rows - 1) + fr;
        if fr > 0 {
            read += sums.at(spill - 1);
        }
        let last_row = fr + 1 == folds.rows;
        write += if last_row { results.at(fc) } else { sums.at(spill) };
        let last = index + 1 == folds.count();
        (index, fr) = (index + 1, fr + 1);
        if last_row {
            (fr, fc) = (0, fc + 1);
        }
        if last {
            (index, fc) = (0, 0);
        }
        FoldCost { read: bus.cycles(read), compute: compute(last), write: bus.cycles(write) }
    };
    let latency = accelerator.dram_latency_cycles();
    let double_buffer = schedule.overlap == Overlap::Folds;
    pipeline::cycles((0..folds.count() * groups).map(cost), latency, double_buffer)
}
