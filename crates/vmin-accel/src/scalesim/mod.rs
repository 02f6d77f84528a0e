//! The off-chip traffic that SCALE-Sim 3.0.0 reports in its CALC mode, without its traces.
//!
//! SCALE-Sim records the addresses that the array requests in every cycle, walks these traces through
//! a model of each buffer, and counts. The three models are:
//!
//! ```text
//!  ifmap, filter   an epoch FIFO: an address not seen in this epoch is a read from DRAM; after
//!                  `50 * floor(bytes / 100)` such reads (half the buffer) the epoch is forgotten
//!  ofmap           lines of `C` words; once more than half the buffer waits, half of it is drained
//! ```
//!
//! Here the order of the demands is known in closed form (modules `skew`, `demand`), so that
//!
//! - an operand whose addresses are all distinct (weights, matrix products, convolutions without
//!   overlap) needs arithmetic per block of columns (`distinct`),
//! - overlapping windows that fit in half the buffer need a count of distinct addresses,
//! - overlapping windows that do not fit are walked, with one stamp per address (`walk`),
//! - outputs need one step per drain (`writes`).
//!
//! The models are SCALE-Sim's, inaccuracies included; `tests/scalesim_traces.rs` compares with slow
//! walks over traces, written from the behaviour of the tool.

mod config;
mod demand;
mod distinct;
mod reports;
mod skew;
mod topology;
mod walk;
mod window;
mod writes;

pub use config::Config;
pub use demand::{Demand, Visit};
pub(crate) use demand::{fold_cycles, requests};
pub use reports::files as report_files;
pub use topology::{TableKind, layers, read_table};
pub use window::Window;

use crate::dataflow::{ArraySize, Dataflow, Extent, Folds, Operand};

/// Mapping efficiency and compute utilization in percent, averaged over the folds one by one as the tool
/// does it, rounding errors included. Folds beyond [`STEPS_MAX`] are not added up; `None` then.
pub(crate) fn utilization_pct(
    array: ArraySize,
    extent: Extent,
    fold_cycles_counted: u64,
) -> Option<(f64, f64)> {
    let folds = Folds::of(extent, array);
    if folds.count() > STEPS_MAX {
        return None;
    }
    let elements = array.elements() as f64;
    let slots = array.elements().checked_mul(fold_cycles_counted)? as f64;
    let (mut mapping, mut compute) = (0.0, 0.0);
    for fc in 0..folds.columns {
        let columns = array.columns().min(extent.columns - fc * array.columns());
        for fr in 0..folds.rows {
            let used = array.rows().min(extent.rows - fr * array.rows()) * columns;
            mapping += used as f64 / elements;
            compute += (used * extent.stream) as f64 / slots;
        }
    }
    let count = folds.count() as f64;
    Some((mapping / count * 100.0, compute / count * 100.0))
}

/// Sizes of SCALE-Sim's three buffers, in bytes (its words are bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// Inputs.
    pub ifmap_bytes: u64,
    /// Weights.
    pub filter_bytes: u64,
    /// Outputs.
    pub ofmap_bytes: u64,
}

/// Most folds, blocks of columns or drains of one layer that are gone through one by one.
const STEPS_MAX: u64 = 1 << 20;

/// Cycles per word at which SCALE-Sim fills a read buffer before the first demand.
const PREFETCH_WORDS_PER_CYCLE: u64 = 10;

/// Distinct addresses read in one epoch: half the buffer, in hundredths of it.
const fn epoch_words(bytes: u64) -> u64 {
    50 * (bytes / 100)
}

/// Transfers of one operand at one side of a buffer. Cycles of prefetches, before the first demand, are
/// negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Span {
    /// First cycle.
    pub start: i64,
    /// Last cycle.
    pub stop: i64,
    /// Words moved.
    pub words: u64,
}

impl Span {
    /// Words per cycle between the first and the last.
    #[must_use]
    pub fn bandwidth(&self) -> f64 {
        self.words as f64 / (self.stop - self.start + 1) as f64
    }
}

/// Both sides of the three buffers for one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Spans {
    /// Demands of the array: `[ifmap, filter, ofmap]`, with the words as counted by the tool.
    pub sram: [Span; 3],
    /// Traffic with DRAM: `[ifmap, filter, ofmap]`.
    pub dram: [Span; 3],
}

impl Spans {
    /// "Total Cycles (incl. prefetch)".
    #[must_use]
    pub fn cycles_with_prefetch(&self) -> i64 {
        self.dram[2].stop - self.dram[0].start.min(self.dram[1].start)
    }
}

/// Result of an epoch FIFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    /// Reads from DRAM.
    pub misses: u64,
    /// Cycle in which an epoch was full for the last time, if ever.
    pub last_full: Option<u64>,
}

impl Epochs {
    /// The DRAM side of a read buffer whose first demand came in cycle `first`.
    fn span(self, first: u64, bytes: u64) -> Span {
        let set = bytes / 100;
        match self.last_full {
            // All that was ever read is fetched before cycle 0, in whole hundredths of the buffer.
            None => Span {
                start: -(self.misses.div_ceil(set) * set)
                    .div_ceil(PREFETCH_WORDS_PER_CYCLE)
                    .cast_signed(),
                stop: -1,
                words: self.misses,
            },
            Some(cycle) => Span {
                start: first.cast_signed()
                    - epoch_words(bytes).div_ceil(PREFETCH_WORDS_PER_CYCLE).cast_signed(),
                stop: cycle.cast_signed() + 1,
                words: self.misses,
            },
        }
    }
}

/// Everything SCALE-Sim 3.0.0 reports about the buffers in one layer, or `None` where it reports
/// nothing: half a read buffer smaller than a side of the array (it divides by zero there), buffers
/// below 100 bytes; or where this would take too long (2^29 demands of overlapping windows, 2^20 drains
/// of the outputs).
#[must_use]
pub fn spans(
    array: ArraySize,
    dataflow: Dataflow,
    window: &Window,
    filters: u64,
    buffers: Buffers,
) -> Option<Spans> {
    let side = array.rows().max(array.columns());
    if [buffers.ifmap_bytes, buffers.filter_bytes].iter().any(|bytes| epoch_words(*bytes) <= side)
        || buffers.ofmap_bytes < 100
    {
        return None;
    }
    let demand = Demand::new(array, dataflow, window, filters);
    let read = |operand: Operand, bytes: u64| {
        let capacity = epoch_words(bytes);
        let distinct = operand == Operand::Filter || window.is_distinct();
        let epochs = if distinct {
            distinct::epochs(&demand, operand, capacity)
        } else if window.addresses() < capacity {
            Some(Epochs { misses: window.addresses(), last_full: None })
        } else {
            walk::epochs(&demand, capacity)
        }?;
        let (first, last) = demand.first_and_last(operand)?;
        let sram = Span {
            start: first.cast_signed() + 1,
            stop: last.cast_signed() + 1,
            words: demand.requests(operand),
        };
        Some((sram, epochs.span(first, bytes)))
    };
    let (ifmap, ifmap_dram) = read(Operand::Ifmap, buffers.ifmap_bytes)?;
    let (filter, filter_dram) = read(Operand::Filter, buffers.filter_bytes)?;
    let (first, last) = demand.first_and_last(Operand::Ofmap)?;
    let ofmap = Span {
        start: first.cast_signed(),
        stop: last.cast_signed(),
        words: demand.requests(Operand::Ofmap),
    };
    let ofmap_dram = writes::drain(&demand, array.columns(), buffers.ofmap_bytes)?;
    Some(Spans { sram: [ifmap, filter, ofmap], dram: [ifmap_dram, filter_dram, ofmap_dram] })
}
