//! Traffic of the causal model between DRAM, the three on-chip memories and the array.
//!
//! ```text
//!          fill            reads_ifmap
//!  DRAM ---------> activation ----------> array ---> sums ---> accumulator --+
//!    |     fill            reads_filter     ^   <-- read back --             |
//!    +-----------> weight ------------------+                                |
//!    ^                                                 output stage (int8)   |
//!    +---------------------------------------------------------------------- +
//! ```
//!
//! Counts are in elements: int8 activations, weight codes, accumulator sums. An operand that fits wholly
//! in its memory is fetched once, any other once per pass of the fold order. Sums beyond the
//! accumulator's size spill to DRAM between passes.

use super::{LayerReport, PartialSums, Schedule};
use crate::accelerator::Memory;
use crate::dataflow::{Folds, Operand, Path};
use crate::{Accelerator, GemmShape, Layer, Work};

/// Where a tensor lives between its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Residence {
    /// In DRAM; it passes through the chip when needed.
    Streamed,
    /// On the chip: weights between inferences, activations from one layer to the next where the
    /// tensors of both layers fit in the activation memory.
    Resident,
}

impl Residence {
    /// Every choice with its word.
    pub const ALL: [(&'static str, Self); 2] =
        [("streamed", Self::Streamed), ("resident", Self::Resident)];
}

/// Position of a layer: the first reads its inputs from DRAM, the last writes its outputs there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) first: bool,
    pub(super) last: bool,
}

const fn bytes(elements: u64, bits: u64) -> u64 {
    elements.saturating_mul(bits).div_ceil(8)
}

pub(super) fn count(
    accelerator: &Accelerator,
    schedule: Schedule,
    layer: &Layer,
    place: Place,
    report: &mut LayerReport,
) {
    let memories = &accelerator.memories;
    let activation_bits = 8;
    let computed = if layer.computed_weights { layer.weights } else { 0 };
    let both = layer.inputs.saturating_add(layer.outputs).saturating_add(computed);
    let both = both.saturating_mul(activation_bits);
    let on_chip = schedule.activations == Residence::Resident && both <= memories.activation.bits();
    let read_inputs = place.first || !on_chip;
    let write_outputs = place.last || !on_chip;

    let fetches = match layer.work {
        Work::Gemm(shape) => {
            report.vector_operations = layer.outputs;
            count_product(accelerator, schedule, layer, shape, on_chip, report)
        }
        Work::Vector => {
            report.vector_operations = layer.outputs.max(layer.inputs);
            report.sram_reads_ifmap = layer.inputs;
            1
        }
    };
    let dram_reads_ifmap = if read_inputs { layer.inputs.saturating_mul(fetches) } else { 0 };
    let dram_writes_ofmap = if write_outputs { layer.outputs } else { 0 };
    report.dram_reads_ifmap = Some(dram_reads_ifmap);
    report.dram_writes_ofmap = Some(dram_writes_ofmap);
    let kept = if write_outputs { 0 } else { layer.outputs };
    report.sram_writes_ifmap = Some(dram_reads_ifmap.saturating_add(kept));

    let spill = report.dram_sum_transfers.unwrap_or(0);
    let weight_bits = u64::from(layer.weight_bits);
    let sums = bytes(spill, accelerator.accumulator_bits);
    report.dram_bytes_read = bytes(dram_reads_ifmap, activation_bits)
        .saturating_add(bytes(report.dram_reads_filter.unwrap_or(0), weight_bits))
        .saturating_add(sums);
    report.dram_bytes_written = bytes(dram_writes_ofmap, activation_bits).saturating_add(sums);
}

/// Counts of a product; returns how often its inputs are fetched.
fn count_product(
    accelerator: &Accelerator,
    schedule: Schedule,
    layer: &Layer,
    shape: GemmShape,
    on_chip: bool,
    report: &mut LayerReport,
) -> u64 {
    let memories = &accelerator.memories;
    let dataflow = schedule.dataflow;
    let array = accelerator.array;
    let extent = dataflow.extent(shape);
    let folds = Folds::of(extent, array);
    let groups = shape.groups();
    let accesses = |operand: Operand| {
        operand.elements(shape.sizes()) * dataflow.passes(operand, folds) * groups
    };
    report.sram_reads_ifmap = accesses(Operand::Ifmap);
    report.sram_reads_filter = accesses(Operand::Filter);
    // Each pass of a sum writes it once. Each pass but the first reads it before, and the output stage
    // reads it after the last.
    report.sram_writes_ofmap = accesses(Operand::Ofmap);
    report.sram_reads_ofmap = accesses(Operand::Ofmap);

    let weight_bits = u64::from(layer.weight_bits);
    let fetches = |operand, elements: u64, bits: u64, memory: &Memory| {
        let fits = |elements: u64| elements.saturating_mul(bits) <= memory.bits();
        // The folds of one block of columns follow one another.
        let block = extent.stream * extent.columns.min(array.columns());
        let once = match dataflow.path(operand) {
            Path::Stays => true,
            Path::Right => fits(elements),
            Path::Down => fits(elements) || fits(block),
        };
        if once { 1 } else { dataflow.passes(operand, folds) }
    };
    let fetched = layer.weights.saturating_mul(fetches(
        Operand::Filter,
        layer.weights,
        weight_bits,
        &memories.weight,
    ));
    let computed = layer.computed_weights;
    // Computed weights lie where activations lie, and are copied into the weight memory.
    let from_dram = if computed { !on_chip } else { schedule.weights == Residence::Streamed };
    let from_dram = if from_dram { fetched } else { 0 };
    report.dram_reads_filter = Some(from_dram);
    report.sram_writes_filter = Some(if computed { fetched } else { from_dram });

    let room = match schedule.partial_sums {
        PartialSums::Accumulator => memories.accumulator.bits() / accelerator.accumulator_bits,
        PartialSums::Spill => 0,
    };
    // The part of each block of sums that has no room leaves and returns between passes. The last
    // block of columns may be a narrow one.
    let over = |columns: u64| (extent.stream * columns).saturating_sub(room);
    let spill = over(array.columns().min(extent.columns))
        .saturating_mul(extent.columns / array.columns())
        .saturating_add(over(extent.columns % array.columns()))
        .saturating_mul(dataflow.passes(Operand::Ofmap, folds) - 1)
        .saturating_mul(groups);
    report.dram_sum_transfers = Some(spill);
    fetches(Operand::Ifmap, layer.inputs, 8, &memories.activation)
}
