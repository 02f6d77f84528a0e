//! The causal closed form.
//!
//! One fold: the stationary tile is shifted in (`R` cycles), `T` vectors follow, the last one needs
//! `(R - 1) + (C - 1)` more cycles to cross the array. Output-stationary folds load nothing, but
//! shift the finished tile out through `R` rows instead; the sum is the same `2R + C + T - 2`. Partial
//! folds cost as much as full ones. `tests/pe_array.rs` compares with the simulated array.
//!
//! ```text
//! plain           |load|---- T ----|cross|load|---- T ----|cross|
//! double buffer   |load|---- T ----|---- T ----|cross|          next tile loads under the stream
//! ```

use super::traffic::{self, Place};
use super::{LayerReport, Overlap, Schedule, banks, fold_costs, registers};
use crate::dataflow::{ArraySize, Extent, Folds};
use crate::{Accelerator, Layer, Work};

/// Most folds of a layer that are followed one by one.
const FOLDS_MAX: u64 = 1 << 26;

/// Cycles of all folds of one product.
pub(crate) fn cycles(array: ArraySize, extent: Extent, double_buffer: bool) -> u64 {
    let folds = Folds::of(extent, array).count();
    let fold = 2 * array.rows() + array.columns() + extent.stream - 2;
    if double_buffer {
        // Each later fold starts when the stream before it has ended and its own tile is in.
        fold + (folds - 1) * extent.stream.max(array.rows())
    } else {
        fold * folds
    }
}

pub(super) fn layer(
    accelerator: &Accelerator,
    schedule: Schedule,
    layer: &Layer,
    place: Place,
) -> LayerReport {
    let array = accelerator.array;
    let mut report = LayerReport::empty(layer);
    match layer.work {
        Work::Gemm(shape) => {
            let extent = schedule.dataflow.extent(shape);
            let folds = Folds::of(extent, array);
            report.folds = folds.count() * shape.groups();
            report.compute_cycles =
                cycles(array, extent, schedule.weight_double_buffer) * shape.groups();
            report.register_bits =
                registers::bits(schedule.dataflow, shape, array, accelerator.accumulator_bits);
            let area = array.elements() * folds.count();
            let used = extent.rows * extent.columns;
            report.mapping_efficiency_pct = 100.0 * used as f64 / area as f64;
            let fold = 2 * array.rows() + array.columns() + extent.stream - 2;
            report.compute_utilization_pct =
                report.mapping_efficiency_pct * extent.stream as f64 / fold as f64;
            let weight_bits = u64::from(layer.weight_bits);
            report.sram_stall_cycles = banks::stall_cycles_per_fold(
                accelerator,
                schedule.dataflow,
                folds,
                extent.stream,
                weight_bits,
            )
            .saturating_mul(report.folds);
        }
        Work::Vector => {
            let elements = layer.inputs.max(layer.outputs);
            report.compute_cycles = elements.div_ceil(accelerator.vector_lanes);
        }
    }
    traffic::count(accelerator, schedule, layer, place, &mut report);
    let busy = report.compute_cycles.saturating_add(report.sram_stall_cycles);
    report.stall_cycles = dram_cycles(accelerator, schedule, layer, &report, busy) - busy;
    report.cycles = busy.saturating_add(report.stall_cycles);
    let capacity = report.cycles as f64 * array.elements() as f64;
    if capacity > 0.0 {
        report.utilization_pct = 100.0 * report.macs as f64 / capacity;
    }
    report
}

/// Cycles with DRAM: at least the `busy` ones of the array and its memories.
fn dram_cycles(
    accelerator: &Accelerator,
    schedule: Schedule,
    layer: &Layer,
    report: &LayerReport,
    busy: u64,
) -> u64 {
    let bytes = report.dram_bytes_read.saturating_add(report.dram_bytes_written);
    let bus = accelerator.dram_cycles(bytes);
    let (shape, double_buffer) = match (layer.work, schedule.overlap) {
        (Work::Gemm(shape), Overlap::Folds) => (shape, true),
        (Work::Gemm(shape), Overlap::None) => (shape, false),
        (Work::Vector, Overlap::None) => return busy.saturating_add(bus),
        // Vector work streams: it overlaps element by element.
        (_, Overlap::Layer) | (Work::Vector, Overlap::Folds) => return busy.max(bus),
    };
    let extent = schedule.dataflow.extent(shape);
    let folds = Folds::of(extent, accelerator.array);
    // Too many folds to follow one by one: a bound takes their place.
    if report.folds > FOLDS_MAX {
        return if double_buffer { busy.max(bus) } else { busy.saturating_add(bus) };
    }
    let waits = report.sram_stall_cycles / report.folds;
    let fold = 2 * accelerator.array.rows() + accelerator.array.columns() + extent.stream - 2;
    let step = if schedule.weight_double_buffer {
        extent.stream.max(accelerator.array.rows())
    } else {
        fold
    };
    let compute = |last: bool| waits + if last { fold } else { step };
    fold_costs::cycles(accelerator, schedule.dataflow, double_buffer, folds, layer, report, compute)
        .max(busy)
}
