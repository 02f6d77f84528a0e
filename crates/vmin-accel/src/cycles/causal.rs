//! The causal closed form.
//!
//! One fold: the stationary tile is shifted in (`R` cycles), `T` vectors follow, the last one needs
//! `(R - 1) + (C - 1)` more cycles to cross the array. Output-stationary folds load nothing, but
//! shift the finished tile out through `R` rows instead; the sum is the same `2R + C + T - 2`. Partial
//! folds cost as much as full ones. `tests/pe_array.rs` holds the simulation this agrees with.
//!
//! ```text
//! plain           |load|---- T ----|cross|load|---- T ----|cross|
//! double buffer   |load|---- T ----|---- T ----|cross|          next tile loads under the stream
//! ```

use super::traffic::{self, Place};
use super::{LayerReport, Schedule, registers};
use crate::dataflow::{ArraySize, Extent, Folds};
use crate::{Accelerator, Layer, Work};

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
            let extent = schedule.dataflow.mapping().extent(shape);
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
        }
        Work::Vector => {
            let elements = layer.inputs.max(layer.outputs);
            report.compute_cycles = elements.div_ceil(accelerator.vector_lanes);
        }
    }
    traffic::count(accelerator, schedule, layer, place, &mut report);
    // Data for the next tile is fetched while this one is computed; what the bus cannot move in the
    // layer's own time, it makes the array wait for.
    let dram_bytes = report.dram_bytes_read.saturating_add(report.dram_bytes_written);
    let bus_cycles = accelerator.dram_cycles(dram_bytes);
    report.stall_cycles = bus_cycles.saturating_sub(report.compute_cycles);
    report.cycles = report.compute_cycles.saturating_add(report.stall_cycles);
    let capacity = report.cycles as f64 * array.elements() as f64;
    if capacity > 0.0 {
        report.utilization_pct = 100.0 * report.macs as f64 / capacity;
    }
    report
}
