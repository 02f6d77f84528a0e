//! When each fold starts.

use crate::dataflow::Dataflow;

/// Folds in time, seen from the corner of the array.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Cycle in which the first moving operand of each fold enters.
    starts: Vec<i64>,
    /// Cycles before a start in which a tile is loaded.
    load: i64,
    /// Cycles of a stream.
    stream: i64,
    /// Extent of the dimensions on rows and columns, and size of the array.
    extent: [usize; 2],
    array: [usize; 2],
    cycles: u64,
}

impl Schedule {
    pub(super) fn new(
        array: [usize; 2],
        dataflow: Dataflow,
        double_buffer: bool,
        sizes: [usize; 3],
    ) -> Self {
        let [extent @ .., stream] = dataflow.laid(sizes);
        let [rows, columns] = array;
        let loads = !dataflow.sums_stay();
        // From the start of a stream until its last result has left the far corner.
        let out = if loads { stream + rows + columns - 2 } else { stream + 2 * rows + columns - 2 };
        let load = if loads { rows } else { 0 };
        // Between two starts: the spare registers must be filled (or empty) again, or else all is done.
        let gap = if double_buffer { stream.max(rows) } else { load + out };
        let folds = extent[0].div_ceil(rows) * extent[1].div_ceil(columns);
        let starts: Vec<i64> = (0..folds).map(|fold| (load + fold * gap) as i64).collect();
        let cycles = (load + (folds - 1) * gap + out) as u64;
        Self { starts, load: load as i64, stream: stream as i64, extent, array, cycles }
    }

    pub(super) const fn cycles(&self) -> u64 {
        self.cycles
    }

    /// First row and column of a fold's tile; blocks of rows go first.
    pub(super) fn corner(&self, fold: usize) -> [usize; 2] {
        let blocks = self.extent[0].div_ceil(self.array[0]);
        [fold % blocks * self.array[0], fold / blocks * self.array[1]]
    }

    /// Whether a PE has work in a fold.
    pub(super) fn works(&self, fold: usize, row: usize, column: usize) -> bool {
        let [r, c] = self.corner(fold);
        r + row < self.extent[0] && c + column < self.extent[1]
    }

    /// The last fold whose start plus `delay` is not after `time`, and the cycles since then.
    fn since(&self, time: i64, delay: i64) -> Option<(usize, i64)> {
        let fold = self.starts.partition_point(|start| start + delay <= time).checked_sub(1)?;
        Some((fold, time - self.starts[fold] - delay))
    }

    fn within(&self, time: i64, delay: i64, length: i64) -> Option<(usize, usize)> {
        let (fold, step) = self.since(time, delay)?;
        if step < length { Some((fold, usize::try_from(step).ok()?)) } else { None }
    }

    /// Fold and step of the operand that streams.
    pub(super) fn streaming(&self, time: i64) -> Option<(usize, usize)> {
        self.within(time, 0, self.stream)
    }

    /// Fold and step of the tile that is loaded.
    pub(super) fn loading(&self, time: i64) -> Option<(usize, usize)> {
        self.within(time, -self.load, self.load)
    }

    /// The fold whose stream ended in the cycle before.
    pub(super) fn finished(&self, time: i64) -> Option<usize> {
        self.within(time, self.stream, 1).map(|(fold, _)| fold)
    }

    /// Fold and step of the sums that leave a column, `rows` being those of the array.
    pub(super) fn draining(&self, time: i64, rows: usize) -> Option<(usize, usize)> {
        let rows = rows as i64;
        self.within(time, self.stream + rows - 1, rows)
    }
}
