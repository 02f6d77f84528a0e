//! Whether the on-chip memories keep pace with the array.
//!
//! In one cycle a memory gives `banks x ports x word` bits. What the array asks for beyond that makes
//! it wait: a step of the load, the stream or the drain of a fold takes as many cycles as the slowest
//! memory needs. A memory without `ports` in its file keeps pace.

use crate::Accelerator;
use crate::accelerator::Memory;
use crate::dataflow::{Rates, Words};

/// Cycles that a fold of `stream` steps waits for the memories.
pub(super) fn stall_cycles_per_fold(
    accelerator: &Accelerator,
    rates: Rates,
    stream: u64,
    weight_bits: u64,
) -> u64 {
    let memories = &accelerator.memories;
    let step = |words: Words| {
        cycles_per_step(&memories.activation, words.inputs * 8)
            .max(cycles_per_step(&memories.weight, words.weights * weight_bits))
            .max(cycles_per_step(&memories.accumulator, words.sums * accelerator.accumulator_bits))
    };
    let extra = |words: Words, steps: u64| (step(words) - 1).saturating_mul(steps);
    extra(rates.load, rates.load_steps)
        .saturating_add(extra(rates.stream, stream))
        .saturating_add(extra(rates.drain, rates.drain_steps))
}

fn cycles_per_step(memory: &Memory, bits: u64) -> u64 {
    let Some(ports) = memory.ports else { return 1 };
    let supply = u64::from(memory.geometry.banks()) * ports * memory.word_bits;
    bits.div_ceil(supply.max(1)).max(1)
}
