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
//! Counts are in elements: int8 activations, weight codes, accumulator sums. What a mapping fetches and
//! spills is counted in [`crate::mapping`].
//!
//! Words are those that the array asks for. The elements that enter or leave it side by side in one cycle
//! begin with a word and take whole words, so sixteen codes of 4 bits take a word of 128 bits as sixteen
//! codes of 8 bits do. Fills of the activation memory and the vector unit use words without gaps.

use super::{LayerReport, Schedule};
use crate::accelerator::Memory;
use crate::dataflow::{Extent, Folds, Operand, Path};
use crate::mapping::{Fetched, Place, Problem};
use crate::{Accelerator, ArraySize, Dataflow, Layer};

/// Where a tensor lives between its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Residence {
    /// In DRAM; it passes through the chip when needed.
    Streamed,
    /// On the chip where it fits: weights between inferences if all of them fit, activations from one
    /// layer to the next as [`crate::mapping`] finds room.
    Resident,
    /// On the chip, its memory taken to be as large as needed: the assumption of resident placement.
    Assumed,
}

impl Residence {
    /// The choices of accelerator files with their words.
    pub const ALL: [(&'static str, Self); 2] =
        [("streamed", Self::Streamed), ("resident", Self::Resident)];
}

const ACTIVATION_BITS: u64 = 8;

const fn bytes(elements: u64, bits: u64) -> u64 {
    elements.saturating_mul(bits).div_ceil(8)
}

/// `part` of `whole` of a count, rounded up.
fn share(count: u64, part: u64, whole: u64) -> u64 {
    let share = (u128::from(count) * u128::from(part)).div_ceil(u128::from(whole.max(1)));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Words of `count` steps in which `elements` lie side by side along a side of the array, block by block.
fn rows(count: u64, elements: u64, side: u64, bits: u64, memory: &Memory) -> u64 {
    let words = |elements: u64| elements.saturating_mul(bits).div_ceil(memory.word_bits);
    let blocks = (elements / side).saturating_mul(words(side)) + words(elements % side);
    blocks.saturating_mul(count)
}

/// Words of an operand that crosses the edge of the array once.
fn words(
    dataflow: Dataflow,
    array: ArraySize,
    extent: Extent,
    operand: Operand,
    bits: u64,
    memory: &Memory,
) -> u64 {
    match dataflow.path(operand) {
        Path::Stays => rows(extent.rows, extent.columns, array.columns(), bits, memory),
        Path::Right => rows(extent.stream, extent.rows, array.rows(), bits, memory),
        Path::Down => rows(extent.stream, extent.columns, array.columns(), bits, memory),
    }
}

/// Counts of work on the vector unit.
pub(super) fn count_vector(
    accelerator: &Accelerator,
    layer: &Layer,
    place: &Place,
    report: &mut LayerReport,
) {
    report.vector_operations = layer.outputs.max(layer.inputs);
    report.sram_reads_ifmap = layer.inputs;
    let activation = &accelerator.memories.activation;
    report.activation_words_read = Some(activation.words(layer.inputs, ACTIVATION_BITS));
    for words in [
        &mut report.weight_words_read,
        &mut report.weight_words_written,
        &mut report.accumulator_words_read,
        &mut report.accumulator_words_written,
    ] {
        *words = Some(0);
    }
    report.sram_writes_filter = Some(0);
    report.dram_reads_filter = Some(0);
    report.dram_sum_transfers = Some(0);
    // Several passes over inputs without room fetch them again.
    let read = place.fetched.saturating_add(place.found);
    let passes = layer.inputs.checked_div(read).unwrap_or(1).max(1);
    let again = if place.fetched <= place.room { 1 } else { passes };
    let kept_words = activation.words(layer.outputs, ACTIVATION_BITS);
    finish(accelerator, layer, place, place.fetched.saturating_mul(again), kept_words, report);
}

/// Counts of a product that moves `fetched`, its stream in so many parts.
pub(super) fn count_product(
    accelerator: &Accelerator,
    schedule: Schedule,
    problem: &Problem<'_>,
    place: &Place,
    fetched: &Fetched,
    streams: u64,
    report: &mut LayerReport,
) {
    let Problem { layer, shape, dataflow, array, .. } = *problem;
    let extent = dataflow.extent(shape);
    let folds: Folds = problem.folds();
    let groups = shape.groups();
    report.vector_operations = layer.outputs;
    // Each part of the stream loads the operand that stays anew. Each pass of a sum writes it once. Each pass
    // but the first reads it before, and the output stage reads it after the last.
    let passes = |operand: Operand| {
        let loads = if dataflow.path(operand) == Path::Stays { streams } else { 1 };
        dataflow.passes(operand, folds) * loads * groups
    };
    let accesses = |operand: Operand| operand.elements(shape.sizes()) * passes(operand);
    report.sram_reads_ifmap = accesses(Operand::Ifmap);
    report.sram_reads_filter = accesses(Operand::Filter);
    report.sram_writes_ofmap = accesses(Operand::Ofmap);
    report.sram_reads_ofmap = report.sram_writes_ofmap;

    let memories = &accelerator.memories;
    let weight_bits = u64::from(layer.weight_bits);
    let once = |operand, bits, memory| words(dataflow, array, extent, operand, bits, memory);
    let filter_words = once(Operand::Filter, weight_bits, &memories.weight);
    let sum_words = once(Operand::Ofmap, accelerator.accumulator_bits, &memories.accumulator);
    let sums = dataflow.passes(Operand::Ofmap, folds) * groups;
    report.weight_words_read = Some(filter_words.saturating_mul(passes(Operand::Filter)));
    report.activation_words_read = Some(
        once(Operand::Ifmap, ACTIVATION_BITS, &memories.activation)
            .saturating_mul(passes(Operand::Ifmap)),
    );
    report.accumulator_words_read = Some(sum_words.saturating_mul(sums));
    report.accumulator_words_written = report.accumulator_words_read;

    // Computed weights lie where activations lie, and are copied into the weight memory.
    let fills = fetched.filter.checked_div(layer.weights).unwrap_or(1);
    let computed = layer.computed_weights;
    let from_dram = if computed {
        layer.weights.saturating_sub(place.weights_found).saturating_mul(fills)
    } else if schedule.weights == Residence::Streamed {
        fetched.filter
    } else {
        0
    };
    let filled = if computed { fetched.filter } else { from_dram };
    report.dram_reads_filter = Some(from_dram);
    report.sram_writes_filter = Some(filled);
    let fills = if filled > 0 { fills * groups } else { 0 };
    report.weight_words_written = Some(filter_words.saturating_mul(fills));
    report.dram_sum_transfers = Some(fetched.sums);
    let kept_words = once(Operand::Ofmap, ACTIVATION_BITS, &memories.activation);
    finish(accelerator, layer, place, fetched.ifmap, kept_words.saturating_mul(groups), report);
}

/// What is fetched and written in the end.
fn finish(
    accelerator: &Accelerator,
    layer: &Layer,
    place: &Place,
    ifmap: u64,
    kept_words: u64,
    report: &mut LayerReport,
) {
    let (written, kept) = (place.written, place.kept.min(layer.outputs));
    let kept_words = share(kept_words, kept, layer.outputs);
    report.inputs_from = place.inputs_from();
    report.outputs_to = place.outputs_to();
    report.dram_reads_ifmap = Some(ifmap);
    report.dram_writes_ofmap = Some(written);
    report.sram_writes_ifmap = Some(ifmap.saturating_add(kept));
    let filled = accelerator.memories.activation.words(ifmap, ACTIVATION_BITS);
    report.activation_words_written = Some(filled.saturating_add(kept_words));
    let sums = bytes(report.dram_sum_transfers.unwrap_or(0), accelerator.accumulator_bits);
    let filter = bytes(report.dram_reads_filter.unwrap_or(0), u64::from(layer.weight_bits));
    report.dram_bytes_read =
        bytes(ifmap, ACTIVATION_BITS).saturating_add(filter).saturating_add(sums);
    report.dram_bytes_written = bytes(written, ACTIVATION_BITS).saturating_add(sums);
}
