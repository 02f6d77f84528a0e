//! Demands: the elements that the array requests in each cycle.
//!
//! Every fold takes equally many cycles, and in each an operand is requested in one of two orders:
//!
//! ```text
//!  held      row by row, the last row of the tile first, all lanes of a row in one cycle
//!  skewed    lane `c` delayed by `c` cycles (see the module `skew`)
//!
//!        ifmap                 filter                ofmap
//!  ws    skewed, lanes k       held, k x n           skewed, lanes n
//!  is    held, k x m           skewed, lanes k       skewed, lanes m
//!  os    skewed, lanes m       skewed, lanes n       skewed, lanes n, rows reversed
//! ```

use super::Window;
use super::skew::Skew;
use super::walk::WALK_MAX;
use crate::dataflow::{ArraySize, Dataflow, Extent, Folds, Operand, Path};

/// Cycles of a fold: the tool lets sums that stay leave before the lower rows have finished them.
pub(crate) const fn fold_cycles(array: ArraySize, dataflow: Dataflow, extent: Extent) -> u64 {
    let rows = if dataflow.sums_stay() { array.rows() } else { 2 * array.rows() };
    rows + array.columns() + extent.stream - 2
}

/// Demands of a product of `[m, n, k]` as the tool counts them, those beyond the edge included.
pub(crate) fn requests(
    array: ArraySize,
    dataflow: Dataflow,
    sizes: [u64; 3],
    operand: Operand,
) -> u64 {
    let [rows, columns, stream] = dataflow.laid(sizes);
    let folds = Folds::of(Extent { rows, columns, stream }, array);
    // Its counter of sums that stay has an addition too many.
    let extra = match dataflow.path(operand) {
        Path::Stays if operand == Operand::Ofmap => {
            folds.count() * (array.rows() + array.columns())
        }
        Path::Stays | Path::Right | Path::Down => 0,
    };
    operand.elements(sizes).saturating_mul(dataflow.passes(operand, folds)).saturating_add(extra)
}

/// One requested element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Cycle since the layer began.
    pub cycle: u64,
    /// Address within the operand; `None` beyond the edge of the input.
    pub address: Option<u64>,
}

/// The elements of an operand that one fold requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    /// Rows from the last to the first, ending in cycle `end - 1` of the fold.
    Held { first_row: u64, rows: u64, first_lane: u64, lanes: u64, end: u64 },
    /// Skewed lanes, the first one starting in cycle `prefix` of the fold.
    Skewed { prefix: u64, first_lane: u64, skew: Skew },
}

impl Tile {
    pub(super) const fn elements(self) -> u64 {
        match self {
            Self::Held { rows, lanes, .. } => rows * lanes,
            Self::Skewed { skew, .. } => skew.elements(),
        }
    }

    /// Cycle within the fold of the element with that index in the order of demands.
    pub(super) fn cycle_of(self, index: u64) -> u64 {
        match self {
            Self::Held { rows, lanes, end, .. } => end - rows + index / lanes,
            Self::Skewed { prefix, skew, .. } => prefix + skew.cycle_of(index),
        }
    }

    /// Elements requested before that cycle of the fold.
    pub(super) fn before(self, cycle: u64) -> u64 {
        match self {
            Self::Held { rows, lanes, end, .. } => {
                lanes * cycle.saturating_sub(end - rows).min(rows)
            }
            Self::Skewed { prefix, skew, .. } => {
                let cycle = cycle.saturating_sub(prefix);
                skew.before(cycle.min(skew.lanes + skew.steps - 1))
            }
        }
    }

    const fn last_cycle(self) -> u64 {
        match self {
            Self::Held { end, .. } => end - 1,
            Self::Skewed { prefix, skew, .. } => prefix + skew.lanes + skew.steps - 2,
        }
    }

    /// Every element as (cycle within the fold, lane, step), lanes and steps being coordinates of the
    /// operand.
    fn for_each(self, mut visit: impl FnMut(u64, u64, u64)) {
        match self {
            Self::Held { first_row, rows, first_lane, lanes, end } => {
                for row in (0..rows).rev() {
                    for lane in 0..lanes {
                        visit(end - 1 - row, first_lane + lane, first_row + row);
                    }
                }
            }
            Self::Skewed { prefix, first_lane, skew } => {
                for cycle in 0..skew.lanes + skew.steps - 1 {
                    let first = (cycle + 1).saturating_sub(skew.steps);
                    for lane in first..skew.lanes.min(cycle + 1) {
                        visit(prefix + cycle, first_lane + lane, cycle - lane);
                    }
                }
            }
        }
    }
}

/// The demands of one layer on one array.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'w> {
    pub(super) array: ArraySize,
    pub(super) dataflow: Dataflow,
    pub(super) window: &'w Window,
    filters: u64,
    pub(super) extent: Extent,
    pub(super) folds: Folds,
    pub(super) fold_cycles: u64,
}

impl<'w> Demand<'w> {
    /// The demands of a layer with so many filters.
    #[must_use]
    pub fn new(array: ArraySize, dataflow: Dataflow, window: &'w Window, filters: u64) -> Self {
        let [rows, columns, stream] = dataflow.laid([window.count(), filters, window.length()]);
        let extent = Extent { rows, columns, stream };
        Self {
            array,
            dataflow,
            window,
            filters,
            extent,
            folds: Folds::of(extent, array),
            fold_cycles: fold_cycles(array, dataflow, extent),
        }
    }

    /// Cycles of all folds.
    #[must_use]
    pub const fn cycles(&self) -> u64 {
        self.fold_cycles * self.folds.count()
    }

    /// The elements that the fold of block of columns `fc` and block of rows `fr` requests.
    pub(super) fn tile(&self, operand: Operand, fc: u64, fr: u64) -> Tile {
        let (rows, columns) = (self.array.rows(), self.array.columns());
        let (first_row, first_column) = (fr * rows, fc * columns);
        let used_rows = rows.min(self.extent.rows - first_row);
        let used_columns = columns.min(self.extent.columns - first_column);
        let steps = self.extent.stream;
        let over_rows = |prefix| Tile::Skewed {
            prefix,
            first_lane: first_row,
            skew: Skew { lanes: used_rows, steps },
        };
        let over_columns = |prefix, steps| Tile::Skewed {
            prefix,
            first_lane: first_column,
            skew: Skew { lanes: used_columns, steps },
        };
        let held = Tile::Held {
            first_row,
            rows: used_rows,
            first_lane: first_column,
            lanes: used_columns,
            end: rows,
        };
        let sums_stay = self.dataflow.sums_stay();
        match (self.dataflow.path(operand), operand) {
            (Path::Stays, Operand::Ifmap | Operand::Filter) => held,
            // The rows leave at the bottom, the last one first; those without work leave nothing.
            (Path::Stays, Operand::Ofmap) => over_columns(steps - 1 + rows - used_rows, used_rows),
            (Path::Right, _) => over_rows(if sums_stay { 0 } else { rows }),
            (Path::Down, Operand::Ifmap | Operand::Filter) => over_columns(0, steps),
            (Path::Down, Operand::Ofmap) => over_columns(2 * rows - 1, steps),
        }
    }

    /// Address of the element at a lane and a step of an operand's tiles.
    pub(super) fn address(&self, operand: Operand, lane: u64, step: u64) -> Option<u64> {
        // The lanes of a tile that stays are its columns.
        let [m, n, k] = self.dataflow.coordinates(match self.dataflow.path(operand) {
            Path::Stays => [step, lane, 0],
            Path::Right => [lane, 0, step],
            Path::Down => [0, lane, step],
        });
        match operand {
            Operand::Ifmap => self.window.address(m, k),
            Operand::Filter => Some(n * self.window.length() + k),
            Operand::Ofmap => Some(m * self.filters + n),
        }
    }

    /// Every demand in order: cycle by cycle, and in a cycle lane by lane. This is SCALE-Sim's trace;
    /// it takes as long as it is long. (Addresses of results are those of a tile, not of the output.)
    pub fn for_each(&self, operand: Operand, mut visit: impl FnMut(Visit)) {
        let mut start = 0;
        for fc in 0..self.folds.columns {
            for fr in 0..self.folds.rows {
                self.tile(operand, fc, fr).for_each(|cycle, lane, step| {
                    visit(Visit {
                        cycle: start + cycle,
                        address: self.address(operand, lane, step),
                    });
                });
                start += self.fold_cycles;
            }
        }
    }

    /// Cycles of the first and the last demand, or `None` beyond [`WALK_MAX`].
    pub(super) fn first_and_last(&self, operand: Operand) -> Option<(u64, u64)> {
        // The first window is whole, so the first demand has an address.
        let first = self.tile(operand, 0, 0).cycle_of(0);
        let mut fold = self.folds.count();
        let mut walked: u64 = 0;
        // A stride that exceeds the kernel can put the last windows wholly beyond the edge.
        while fold > 0 {
            fold -= 1;
            let (fc, fr) = (fold / self.folds.rows, fold % self.folds.rows);
            let (tile, start) = (self.tile(operand, fc, fr), fold * self.fold_cycles);
            if operand != Operand::Ifmap || !self.window.overhangs() {
                return Some((first, start + tile.last_cycle()));
            }
            walked = walked.saturating_add(tile.elements());
            if walked > WALK_MAX {
                return None;
            }
            let mut last = None;
            tile.for_each(|cycle, lane, step| {
                if last.is_none_or(|last| cycle > last)
                    && self.address(operand, lane, step).is_some()
                {
                    last = Some(cycle);
                }
            });
            if let Some(last) = last {
                return Some((first, start + last));
            }
        }
        Some((first, first))
    }

    /// Demands as the tool counts them, those beyond the edge included.
    pub(super) fn requests(&self, operand: Operand) -> u64 {
        let sizes = [self.window.count(), self.filters, self.window.length()];
        requests(self.array, self.dataflow, sizes, operand)
    }
}
