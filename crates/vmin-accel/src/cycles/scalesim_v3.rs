//! The numbers of SCALE-Sim 3.0.0 in its CALC mode, from the closed forms behind its traces.
//!
//! Its inaccuracies are kept, because these numbers are for comparison: the total is the index of the last cycle,
//! output-stationary folds end before their sums are complete, partial sums are written every pass
//! and never read back, and the output counter of output-stationary runs is too high.
//!
//! Its DRAM counts come out of models of the buffers ([`crate::scalesim`]) whose words are bytes. It does
//! not report fills of the buffers; they are taken to be its fetches. Where it has no number, the
//! columns stay empty.

use super::LayerReport;
use crate::dataflow::{ArraySize, Dataflow, Folds, Operand};
use crate::scalesim::{self, Buffers, Window};
use crate::{Accelerator, GemmShape, Layer, Work};

pub(super) fn layer(accelerator: &Accelerator, dataflow: Dataflow, layer: &Layer) -> LayerReport {
    let mut report = LayerReport::empty(layer);
    match layer.work {
        Work::Gemm(shape) => {
            product(accelerator.array, dataflow, shape, &mut report);
            off_chip(accelerator, dataflow, layer, shape, &mut report);
        }
        // SCALE-Sim knows no vector unit; the layer takes no time there.
        Work::Vector => {}
    }
    report
}

fn product(array: ArraySize, dataflow: Dataflow, shape: GemmShape, report: &mut LayerReport) {
    let groups = shape.groups();
    let extent = dataflow.extent(shape);
    let folds = Folds::of(extent, array);

    let fold = scalesim::fold_cycles(array, dataflow, extent);
    // A 1 x 1 array and a single step end at cycle 0, which would make its utilisation infinite.
    let total = (fold * folds.count()).saturating_sub(1).max(1);
    report.folds = folds.count() * groups;
    report.compute_cycles = total * groups;
    report.cycles = report.compute_cycles;

    let requests = |operand| scalesim::requests(array, dataflow, shape.sizes(), operand) * groups;
    report.sram_reads_ifmap = requests(Operand::Ifmap);
    report.sram_reads_filter = requests(Operand::Filter);
    report.sram_writes_ofmap = requests(Operand::Ofmap);

    // One group: all groups are alike.
    let macs = shape.macs() / groups;
    let slots = total
        .checked_mul(array.elements())
        .map_or_else(|| total as f64 * array.elements() as f64, |slots| slots as f64);
    report.utilization_pct = (100 * macs) as f64 / slots;
    report.mapping_efficiency_pct =
        100.0 * (extent.rows * extent.columns) as f64 / (array.elements() * folds.count()) as f64;
    // Where sums move, it divides by more cycles than a fold takes.
    let duration = fold + if dataflow.sums_stay() { 0 } else { array.columns() - 1 };
    report.compute_utilization_pct =
        report.mapping_efficiency_pct * extent.stream as f64 / duration as f64;
    if let Some((mapping, compute)) = scalesim::utilization_pct(array, extent, duration) {
        report.mapping_efficiency_pct = mapping;
        report.compute_utilization_pct = compute;
    }
}

fn off_chip(
    accelerator: &Accelerator,
    dataflow: Dataflow,
    layer: &Layer,
    shape: GemmShape,
    report: &mut LayerReport,
) {
    let window = layer.window.filter(|_| layer.images == 1);
    let window = window.unwrap_or_else(|| Window::product(shape.m(), shape.k()));
    let memories = &accelerator.memories;
    let buffers = Buffers {
        ifmap_bytes: memories.activation.bits() / 8,
        filter_bytes: memories.weight.bits() / 8,
        ofmap_bytes: memories.accumulator.bits() / 8,
    };
    let spans = scalesim::spans(accelerator.array, dataflow, &window, shape.n(), buffers);
    let [ifmap, filter, ofmap] = [0, 1, 2].map(|operand: usize| {
        spans.map(|spans| spans.dram[operand].words.saturating_mul(shape.groups()))
    });
    report.dram_reads_ifmap = ifmap;
    report.dram_reads_filter = filter;
    report.dram_writes_ofmap = ofmap;
    report.sram_writes_ifmap = ifmap;
    report.sram_writes_filter = filter;
    report.dram_bytes_read = ifmap.unwrap_or(0).saturating_add(filter.unwrap_or(0));
    report.dram_bytes_written = ofmap.unwrap_or(0);
    report.spans = spans;
}
