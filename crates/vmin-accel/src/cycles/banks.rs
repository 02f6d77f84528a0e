//! Cycles that the array waits for the on-chip memories.
//!
//! In one cycle a memory serves `banks x ports x word` bits. If the array accesses more, it waits: a step
//! of the load, the stream or the drain of a fold takes as many cycles as the slowest memory needs. A
//! memory without `ports` in its file never makes the array wait.
//!
//! Two words of one step never conflict in one bank while another bank idles, because the words of a
//! step are neighbours and neighbours lie in different banks:
//!
//! ```text
//!  step t of ws    inputs  A[t, k0 .. k0 + R]     neighbours in a row of A
//!                  sums    C[t, n0 .. n0 + C]     neighbours in a row of C
//!  load            weights B[k, n0 .. n0 + C]     neighbours in a row of B
//! ```
//!
//! The diagonal front of the array comes out of shift registers at its edge, not out of diagonal
//! addresses. The words of one step lie side by side, each such vector from the beginning of a word (`is`
//! and `os` read columns of `A`: it lies transposed for them). So `w` words need
//! `ceil(w / (banks x ports))` cycles. Other layouts of the rows have bank conflicts that are not modelled.

use crate::accelerator::Memory;
use crate::dataflow::{Folds, Operand, Path};
use crate::{Accelerator, Dataflow};

/// Cycles that a fold of `stream` steps waits for the memories.
pub(super) fn stall_cycles_per_fold(
    accelerator: &Accelerator,
    dataflow: Dataflow,
    folds: Folds,
    stream: u64,
    weight_bits: u64,
) -> u64 {
    let (memories, array) = (&accelerator.memories, accelerator.array);
    let step = |operand, words: u64| match operand {
        Operand::Ifmap => cycles_per_step(&memories.activation, words * 8),
        Operand::Filter => cycles_per_step(&memories.weight, words * weight_bits),
        Operand::Ofmap => {
            cycles_per_step(&memories.accumulator, words * accelerator.accumulator_bits)
        }
    };
    // Later blocks of rows read the sums that move down, add to them and write them back.
    let down = dataflow.operand(Path::Down);
    let per_sum = if down == Operand::Ofmap && folds.rows > 1 { 2 } else { 1 };
    let moving = step(dataflow.operand(Path::Right), array.rows())
        .max(step(down, per_sum * array.columns()));
    // The tile that stays is loaded, or drained, row by row.
    let staying = step(dataflow.operand(Path::Stays), array.columns());
    let extra = |cycles: u64, steps: u64| (cycles - 1).saturating_mul(steps);
    extra(staying, array.rows()).saturating_add(extra(moving, stream))
}

fn cycles_per_step(memory: &Memory, bits: u64) -> u64 {
    let Some(ports) = memory.ports else { return 1 };
    let supply = u64::from(memory.geometry.banks()) * ports * memory.word_bits;
    bits.div_ceil(supply.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks over the words of one step: each goes to the next bank, which has so many ports.
    fn walked(memory: &Memory, first_word: u64, bits: u64, ports: u64) -> u64 {
        let banks = u64::from(memory.geometry.banks());
        let mut asked = vec![0_u64; banks as usize];
        for word in first_word..first_word + bits.div_ceil(memory.word_bits) {
            asked[(word % banks) as usize] += 1;
        }
        asked.iter().map(|words| words.div_ceil(ports)).max().unwrap_or(0).max(1)
    }

    #[test]
    fn neighbours_never_conflict_wherever_they_begin() {
        let mut memory = Accelerator::load("nvdla-small").unwrap().memories.activation;
        for ports in 1..4 {
            memory.ports = Some(ports);
            for bits in [1, 63, 64, 65, 1024, 1025, 2048, 5000] {
                for first_word in 0..40 {
                    let expected = walked(&memory, first_word, bits, ports);
                    assert_eq!(cycles_per_step(&memory, bits), expected, "{bits} {ports}");
                }
            }
        }
    }
}
