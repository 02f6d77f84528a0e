//! SCALE-Sim's output buffer: lines of as many words as the array has columns.
//!
//! Results fill lines. When more than half of the buffer waits and no drain runs, the open line is
//! closed as it is, and half a buffer of lines is drained, one line per cycle. A line closed early is
//! counted as a full one unless it is the last of its drain; that is where the reported writes
//! exceed the results. Between drains nothing happens but counting, so the time to answer grows with
//! the number of drains.

use std::collections::VecDeque;

use super::demand::Demand;
use super::{STEPS_MAX, Span};
use crate::dataflow::Operand;

/// Lines closed together; the last one lacks `missing` words.
struct Lines {
    count: u64,
    missing: u64,
}

struct Buffer {
    columns: u64,
    lines_per_drain: u64,
    waiting: VecDeque<Lines>,
    written: u64,
    first: Option<u64>,
    last: u64,
}

impl Buffer {
    /// Closes `words` words as lines.
    fn close(&mut self, words: u64) {
        if words > 0 {
            let count = words.div_ceil(self.columns);
            self.waiting.push_back(Lines { count, missing: count * self.columns - words });
        }
    }

    /// Drains up to half a buffer from `cycle` on; words drained and the last cycle.
    fn drain(&mut self, cycle: u64) -> (u64, u64) {
        let (mut lines, mut missing) = (0, 0);
        while lines < self.lines_per_drain
            && let Some(front) = self.waiting.front_mut()
        {
            let take = front.count.min(self.lines_per_drain - lines);
            lines += take;
            front.count -= take;
            missing = if front.count == 0 { front.missing } else { 0 };
            if front.count == 0 {
                self.waiting.pop_front();
            }
        }
        let words = lines * self.columns - missing;
        self.written += words;
        let end = cycle + lines.max(1) - 1;
        self.first = Some(self.first.map_or(cycle, |first| first.min(cycle)));
        self.last = self.last.max(end);
        (words, end)
    }
}

/// The DRAM side of the output buffer. `None` if the buffer would make the array wait, which does not
/// happen: a drain empties at least as many words per cycle as the array writes.
pub(super) fn drain(demand: &Demand<'_>, columns: u64, bytes: u64) -> Option<Span> {
    let drained = bytes - bytes.div_ceil(2);
    let mut buffer = Buffer {
        columns,
        lines_per_drain: drained.div_ceil(columns),
        waiting: VecDeque::new(),
        written: 0,
        first: None,
        last: 0,
    };
    let order = Order::new(demand);
    if order.words / drained.max(1) > STEPS_MAX {
        return None;
    }
    let (mut stored, mut closed) = (0_u64, 0_u64);
    // Words in the buffer; lines closed early make the tool count more out than went in.
    let mut used = 0_i64;
    let mut busy_until = 0;
    loop {
        // No drain begins while one runs.
        let next = order.before(busy_until).max(stored);
        used += (next - stored).cast_signed();
        stored = next;
        if used >= bytes.cast_signed() {
            return None;
        }
        let missing = u64::try_from(drained.cast_signed() + 1 - used).unwrap_or(0).max(1);
        if missing > order.words - stored {
            break;
        }
        stored += missing;
        used += missing.cast_signed();
        let cycle = order.cycle_of(stored - 1);
        buffer.close(stored - closed);
        closed = stored;
        let (words, end) = buffer.drain(cycle);
        used -= words.cast_signed();
        busy_until = end;
    }
    buffer.close(order.words - closed);
    let mut cycle = demand.cycles() - 1;
    while !buffer.waiting.is_empty() {
        cycle = buffer.drain(cycle).1 + 1;
    }
    Some(Span {
        start: buffer.first?.cast_signed(),
        stop: buffer.last.cast_signed(),
        words: buffer.written,
    })
}

/// The results in the order in which they leave.
struct Order<'d> {
    demand: &'d Demand<'d>,
    /// Words of a fold, and of all folds of a block of columns, that is not the last.
    fold_words: u64,
    block_words: u64,
    words: u64,
}

impl<'d> Order<'d> {
    fn new(demand: &'d Demand<'d>) -> Self {
        let folds = demand.folds;
        let block = |fc| {
            let tile = |fr| demand.tile(Operand::Ofmap, fc, fr).elements();
            tile(0) * (folds.rows - 1) + tile(folds.rows - 1)
        };
        Self {
            demand,
            fold_words: demand.tile(Operand::Ofmap, 0, 0).elements(),
            block_words: block(0),
            words: block(0) * (folds.columns - 1) + block(folds.columns - 1),
        }
    }

    /// Words of a full fold in block of columns `fc`.
    fn fold_words(&self, fc: u64) -> u64 {
        if fc + 1 < self.demand.folds.columns {
            self.fold_words
        } else {
            self.demand.tile(Operand::Ofmap, fc, 0).elements()
        }
    }

    /// Words that leave before `cycle`.
    fn before(&self, cycle: u64) -> u64 {
        let folds = self.demand.folds;
        let fold = cycle / self.demand.fold_cycles;
        if fold >= folds.count() {
            return self.words;
        }
        let (fc, fr) = (fold / folds.rows, fold % folds.rows);
        let tile = self.demand.tile(Operand::Ofmap, fc, fr);
        fc * self.block_words
            + fr * self.fold_words(fc)
            + tile.before(cycle % self.demand.fold_cycles)
    }

    /// Cycle in which the word with that index leaves.
    fn cycle_of(&self, index: u64) -> u64 {
        let folds = self.demand.folds;
        let fc = (index / self.block_words).min(folds.columns - 1);
        let index = index - fc * self.block_words;
        let fold_words = self.fold_words(fc);
        let fr = (index / fold_words).min(folds.rows - 1);
        let tile = self.demand.tile(Operand::Ofmap, fc, fr);
        let fold = fc * folds.rows + fr;
        fold * self.demand.fold_cycles + tile.cycle_of(index - fr * fold_words)
    }
}
