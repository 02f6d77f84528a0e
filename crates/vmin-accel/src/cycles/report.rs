//! Counts of a layer.

use serde::Serialize;

use super::Bound;
use crate::mapping::{Home, LoopOrder};
use crate::scalesim::Spans;
use crate::{Accelerator, Layer, Memory, Work};

/// Cycles and traffic of one layer of one inference. Counts without `bytes` in their name are in
/// elements: int8 activations, weight codes, accumulator sums.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct LayerReport {
    /// The layer's name.
    pub name: String,
    /// Output pixels; 0 for vector work.
    pub m: u64,
    /// Output channels per group; 0 for vector work.
    pub n: u64,
    /// Length of the sums; 0 for vector work.
    pub k: u64,
    /// Independent products; 0 for vector work.
    pub groups: u64,
    /// Multiply-accumulates of all groups.
    pub macs: u64,
    /// Bits per weight code.
    pub weight_bits: u8,
    /// Folds: how often the array is filled.
    pub folds: u64,
    /// All cycles, stalls among them.
    pub cycles: u64,
    /// Cycles of the array or the vector unit alone.
    pub compute_cycles: u64,
    /// Cycles in which all wait for DRAM.
    pub stall_cycles: u64,
    /// Cycles in which the array waits for the on-chip memories.
    pub sram_stall_cycles: u64,
    /// Multiply-accumulates as a share of those that the array could do in `cycles`, in percent.
    pub utilization_pct: f64,
    /// Processing elements with work, averaged over the folds, in percent.
    pub mapping_efficiency_pct: f64,
    /// Mapping efficiency times the share of a fold in which operands stream, in percent.
    pub compute_utilization_pct: f64,
    /// Activations read by the array or vector unit.
    pub sram_reads_ifmap: u64,
    /// Weight codes read by the array.
    pub sram_reads_filter: u64,
    /// Sums read back from the accumulator memory (never, in SCALE-Sim).
    pub sram_reads_ofmap: u64,
    /// Activations written to the activation memory; absent where the model does not count fills.
    pub sram_writes_ifmap: Option<u64>,
    /// Weight codes written to the weight memory; absent where the model does not count fills.
    pub sram_writes_filter: Option<u64>,
    /// Sums written by the array.
    pub sram_writes_ofmap: u64,
    /// Activations fetched from DRAM; absent where the model does not count it.
    pub dram_reads_ifmap: Option<u64>,
    /// Weight codes fetched from DRAM.
    pub dram_reads_filter: Option<u64>,
    /// Output activations written to DRAM.
    pub dram_writes_ofmap: Option<u64>,
    /// Partial sums that went to DRAM and came back for lack of accumulator memory.
    pub dram_sum_transfers: Option<u64>,
    /// Bytes from DRAM.
    pub dram_bytes_read: u64,
    /// Bytes to DRAM.
    pub dram_bytes_written: u64,
    /// Element operations of the vector unit (requantization of sums, pooling, sums).
    pub vector_operations: u64,
    /// Bits written to registers between processing elements (causal model only).
    pub register_bits: u64,
    /// The outer and the inner loop over tiles; absent for vector work.
    pub loop_order: Option<LoopOrder>,
    /// Rows of a tile of results.
    pub m_tile: Option<u64>,
    /// Columns of a tile of results.
    pub n_tile: Option<u64>,
    /// Taps of a tile: all of them.
    pub k_tile: Option<u64>,
    /// Where the layer finds its inputs.
    pub inputs_from: Option<Home>,
    /// Where its outputs go.
    pub outputs_to: Option<Home>,
    /// Words read from the weight memory; here and below those that the array asks for, absent where
    /// the model does not count them.
    pub weight_words_read: Option<u64>,
    /// Words written to the weight memory.
    pub weight_words_written: Option<u64>,
    /// Words read from the activation memory.
    pub activation_words_read: Option<u64>,
    /// Words written to the activation memory.
    pub activation_words_written: Option<u64>,
    /// Words read from the accumulator memory.
    pub accumulator_words_read: Option<u64>,
    /// Words written to the accumulator memory.
    pub accumulator_words_written: Option<u64>,
    /// Multiply-accumulates per byte from and to DRAM; absent if nothing moves or nothing multiplies.
    pub macs_per_byte: Option<f64>,
    /// Multiply-accumulates per cycle that array and DRAM allow (the roof over this layer).
    pub attainable_macs_per_cycle: f64,
    /// Multiply-accumulates per cycle reached.
    pub achieved_macs_per_cycle: f64,
    /// The resource that limits the layer.
    pub bound_by: Bound,
    /// Times and counts at both sides of the buffers as SCALE-Sim reports them, for one group (that
    /// model only).
    #[serde(skip)]
    pub spans: Option<Spans>,
}

impl LayerReport {
    pub(super) fn empty(layer: &Layer) -> Self {
        let (m, n, k, groups) = match layer.work {
            Work::Gemm(shape) => (shape.m(), shape.n(), shape.k(), shape.groups()),
            Work::Vector => (0, 0, 0, 0),
        };
        Self {
            name: layer.name.clone(),
            m,
            n,
            k,
            groups,
            macs: layer.macs(),
            weight_bits: layer.weight_bits,
            folds: 0,
            cycles: 0,
            compute_cycles: 0,
            stall_cycles: 0,
            sram_stall_cycles: 0,
            utilization_pct: 0.0,
            mapping_efficiency_pct: 0.0,
            compute_utilization_pct: 0.0,
            sram_reads_ifmap: 0,
            sram_reads_filter: 0,
            sram_reads_ofmap: 0,
            sram_writes_ifmap: None,
            sram_writes_filter: None,
            sram_writes_ofmap: 0,
            dram_reads_ifmap: None,
            dram_reads_filter: None,
            dram_writes_ofmap: None,
            dram_sum_transfers: None,
            dram_bytes_read: 0,
            dram_bytes_written: 0,
            vector_operations: 0,
            register_bits: 0,
            loop_order: None,
            m_tile: None,
            n_tile: None,
            k_tile: None,
            inputs_from: None,
            outputs_to: None,
            weight_words_read: None,
            weight_words_written: None,
            activation_words_read: None,
            activation_words_written: None,
            accumulator_words_read: None,
            accumulator_words_written: None,
            macs_per_byte: None,
            attainable_macs_per_cycle: 0.0,
            achieved_macs_per_cycle: 0.0,
            bound_by: Bound::Compute,
            spans: None,
        }
    }

    /// Words read from and written to a memory: those that the array asks for, or the elements without
    /// gaps where the model does not count words.
    #[must_use]
    pub fn words(&self, accelerator: &Accelerator, memory: Memory) -> [u64; 2] {
        let on_chip = accelerator.memories.get(memory);
        let (bits, words, elements) = match memory {
            Memory::Weight => (
                u64::from(self.weight_bits),
                [self.weight_words_read, self.weight_words_written],
                [Some(self.sram_reads_filter), self.sram_writes_filter],
            ),
            Memory::Activation => (
                8,
                [self.activation_words_read, self.activation_words_written],
                [Some(self.sram_reads_ifmap), self.sram_writes_ifmap],
            ),
            Memory::Accumulator => (
                accelerator.accumulator_bits,
                [self.accumulator_words_read, self.accumulator_words_written],
                [Some(self.sram_reads_ofmap), Some(self.sram_writes_ofmap)],
            ),
        };
        [0, 1].map(|way: usize| {
            words[way].unwrap_or_else(|| on_chip.words(elements[way].unwrap_or(0), bits))
        })
    }

    /// Elements per cycle between the on-chip memories and the array: `[ifmap, filter, ofmap]`.
    #[must_use]
    pub fn sram_bandwidth(&self) -> [f64; 3] {
        let cycles = self.cycles.max(1) as f64;
        [self.sram_reads_ifmap, self.sram_reads_filter, self.sram_writes_ofmap]
            .map(|count| count as f64 / cycles)
    }
}

/// Sums over the layers of one inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Totals {
    /// Multiply-accumulates.
    pub macs: u64,
    /// Cycles, stalls among them.
    pub cycles: u64,
    /// Cycles waiting for DRAM.
    pub stall_cycles: u64,
    /// Cycles waiting for on-chip memories.
    pub sram_stall_cycles: u64,
    /// Bytes from and to DRAM.
    pub dram_bytes: u64,
}

/// Adds the layers up (saturating, for lists that no network has).
#[must_use]
pub fn totals(layers: &[LayerReport]) -> Totals {
    layers.iter().fold(Totals::default(), |sum, layer| Totals {
        macs: sum.macs.saturating_add(layer.macs),
        cycles: sum.cycles.saturating_add(layer.cycles),
        stall_cycles: sum.stall_cycles.saturating_add(layer.stall_cycles),
        sram_stall_cycles: sum.sram_stall_cycles.saturating_add(layer.sram_stall_cycles),
        dram_bytes: sum
            .dram_bytes
            .saturating_add(layer.dram_bytes_read)
            .saturating_add(layer.dram_bytes_written),
    })
}
