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
//! `tests/pipeline.rs` holds the cycle-by-cycle simulation that this agrees with.

/// What one fold asks of array and bus, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FoldCost {
    /// The bus brings its operands.
    pub read: u64,
    /// The array works.
    pub compute: u64,
    /// The bus takes its results away.
    pub write: u64,
}

/// Cycles from the first operand on the bus to the last result off it.
#[must_use]
pub fn cycles(folds: impl IntoIterator<Item = FoldCost>, latency: u64, double_buffer: bool) -> u64 {
    if double_buffer { overlapped(folds, latency) } else { serial(folds, latency) }
}

fn serial(folds: impl IntoIterator<Item = FoldCost>, latency: u64) -> u64 {
    folds.into_iter().fold(0, |end: u64, fold| {
        let wait = if fold.read > 0 { latency } else { 0 };
        end.saturating_add(fold.read)
            .saturating_add(wait)
            .saturating_add(fold.compute)
            .saturating_add(fold.write)
    })
}

fn overlapped(folds: impl IntoIterator<Item = FoldCost>, latency: u64) -> u64 {
    let mut bus = 0_u64;
    // End of the fold two before, of the fold before, and what that has to write.
    let (mut end_before, mut end, mut write) = (0_u64, 0_u64, 0_u64);
    // When the results of the folds two before and before were out.
    let (mut out_before, mut out) = (0_u64, 0_u64);
    for fold in folds {
        let ready = if fold.read > 0 {
            bus = bus.max(end_before).saturating_add(fold.read);
            bus.saturating_add(latency)
        } else {
            0
        };
        let begin = end.max(ready).max(out_before);
        // The results of the fold before leave after these operands came in.
        if write > 0 {
            bus = bus.max(end).saturating_add(write);
            out = bus;
        }
        out_before = out;
        end_before = end;
        end = begin.saturating_add(fold.compute);
        write = fold.write;
    }
    if write > 0 {
        bus = bus.max(end).saturating_add(write);
    }
    end.max(bus)
}
