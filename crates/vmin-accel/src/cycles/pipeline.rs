//! Folds, their operands and their results on one bus.
//!
//! ```text
//!  bus    | R0 | R1 |      W0 | R2 | W1 | R3 | ...      R: operands of a fold, W: its results
//!  array       | fold 0 |  fold 1      | fold 2 | ...
//! ```
//!
//! With two buffers the operands of fold `f` may come in as soon as fold `f - 2` has ended (fold `f - 1`
//! works out of the other buffer), and its results must be out before fold `f + 2` begins. The bus serves in the
//! order of need: `R0 R1 W0 R2 W1 ...`. Operands arrive a latency after the bus has moved them; the
//! latency does not occupy the bus. With one buffer everything happens one after another.
//! `tests/pipeline.rs` compares with a cycle-by-cycle simulation.

/// Work of one fold for the array and the bus, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldCost {
    /// Transfer of its operands.
    pub read: u64,
    /// Work of the array.
    pub compute: u64,
    /// Transfer of its results.
    pub write: u64,
}

/// Cycles from the first operand on the bus to the last result off it.
#[must_use]
pub fn cycles(folds: impl IntoIterator<Item = FoldCost>, latency: u64, double_buffer: bool) -> u64 {
    let mut pipeline = Pipeline::new(latency, double_buffer);
    for fold in folds {
        pipeline.push(fold);
    }
    pipeline.cycles()
}

/// A pipeline that is fed fold by fold.
///
/// A step depends only on differences between times. Once the same folds repeat and these differences
/// repeat too, everything that follows is the same but later, and [`Self::repeat`] skips it.
///
/// ```
/// use vmin_accel::cycles::pipeline::{FoldCost, Pipeline};
/// let mut pipeline = Pipeline::new(7, true);
/// let fold = FoldCost { read: 20, compute: 10, write: 0 };
/// pipeline.repeat(1 << 40, |pipeline| pipeline.push(fold));
/// assert_eq!(pipeline.cycles(), (20 << 40) + 7 + 10);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pipeline {
    latency: u64,
    double_buffer: bool,
    /// When the bus is free.
    bus: u64,
    /// End of the fold two before and of the fold before, and the results that the latter writes.
    end_before: u64,
    end: u64,
    write: u64,
    /// When the results of the fold two before were out.
    out: u64,
}

/// The state that later steps depend on: when the bus is free and results are out, relative to the end
/// of the last fold, and the results that wait.
type Phase = [u64; 3];

impl Pipeline {
    /// An empty pipeline whose operands arrive `latency` cycles after the bus has moved them.
    #[must_use]
    pub const fn new(latency: u64, double_buffer: bool) -> Self {
        Self { latency, double_buffer, bus: 0, end_before: 0, end: 0, write: 0, out: 0 }
    }

    /// Adds a fold.
    pub fn push(&mut self, fold: FoldCost) {
        if self.double_buffer {
            self.overlap(fold);
            return;
        }
        let wait = if fold.read > 0 { self.latency } else { 0 };
        self.end = self
            .end
            .saturating_add(fold.read)
            .saturating_add(wait)
            .saturating_add(fold.compute)
            .saturating_add(fold.write);
    }

    fn overlap(&mut self, fold: FoldCost) {
        let ready = if fold.read > 0 {
            self.bus = self.bus.max(self.end_before).saturating_add(fold.read);
            self.bus.saturating_add(self.latency)
        } else {
            0
        };
        let begin = self.end.max(ready).max(self.out);
        // The results of the fold before leave after these operands came in.
        if self.write > 0 {
            self.bus = self.bus.max(self.end).saturating_add(self.write);
            self.out = self.bus;
        }
        self.end_before = self.end;
        self.end = begin.saturating_add(fold.compute);
        self.write = fold.write;
    }

    /// The effect of calling `once` `count` times. It must push the same folds at every call.
    pub fn repeat(&mut self, count: u64, mut once: impl FnMut(&mut Self)) {
        // With two buffers the phase may alternate between two values.
        let mut before = [(self.phase(), self.end); 2];
        let mut done = 0;
        while done < count {
            once(self);
            done += 1;
            let phase = self.phase();
            for (period, (known, end)) in (1..).zip(before) {
                let rounds = (count - done) / period;
                if known == phase && rounds > 0 {
                    self.delay((self.end - end).saturating_mul(rounds));
                    done += rounds * period;
                    break;
                }
            }
            before = [(phase, self.end), before[0]];
        }
    }

    /// Moves times that lie too far back to matter to the earliest ones that do.
    fn phase(&mut self) -> Phase {
        if !self.double_buffer {
            return [0; 3];
        }
        self.bus = self.bus.max(self.end_before);
        self.out = self.out.max(self.end);
        [self.bus.wrapping_sub(self.end), self.out - self.end, self.write]
    }

    fn delay(&mut self, cycles: u64) {
        for time in [&mut self.bus, &mut self.end_before, &mut self.end, &mut self.out] {
            *time = time.saturating_add(cycles);
        }
    }

    /// Cycles until all folds are done and their results are off the bus.
    #[must_use]
    pub fn cycles(&self) -> u64 {
        if !self.double_buffer {
            return self.end;
        }
        let bus = match self.write {
            0 => self.bus,
            write => self.bus.max(self.end).saturating_add(write),
        };
        self.end.max(bus)
    }
}
