//! The traffic of a layer, distributed over its tiles and their folds.
//!
//! [`super::traffic`] counts how much a layer moves. A tile moves an equal share of what every tile moves, the
//! first one of the layer what stays for all. Within a tile this module decides which fold moves it:
//!
//! ```text
//!  operand that stays        comes with every fold, once
//!  operand that moves right  comes with the first block of columns, or with all
//!  operand that moves down   comes with the first block of rows, or with all
//!  spilled sums              return after the first block of rows
//!  results                   leave with every fold if sums stay, else with the last block of rows
//! ```
//!
//! Shares are equal; the first ones take the remainder.

use super::LayerReport;
use super::pipeline::{FoldCost, Pipeline};
use crate::Accelerator;
use crate::dataflow::{Extent, Folds, Operand, Path};
use crate::mapping::{Mapping, Problem, Reuse};

/// Bytes divided among parts.
#[derive(Clone, Copy)]
struct Shares {
    each: u64,
    one_more: u64,
}

impl Shares {
    const fn of(total: u64, parts: u64) -> Self {
        match total.checked_div(parts) {
            Some(each) => Self { each, one_more: total % parts },
            None => Self { each: 0, one_more: 0 },
        }
    }

    const fn at(self, part: u64) -> u64 {
        self.each + if part < self.one_more { 1 } else { 0 }
    }
}

/// Costs of the folds of one tile. Constant over long stretches: where a share runs out, and in the
/// first and the last rows and columns, the cost changes, elsewhere not.
struct Costs<'a> {
    accelerator: &'a Accelerator,
    folds: Folds,
    /// Per fold.
    held: Shares,
    results_of_folds: Shares,
    /// Per block of rows, in the first so many passes.
    right: Shares,
    right_passes: u64,
    /// Per block of columns, with the first so many blocks of rows.
    down: Shares,
    down_passes: u64,
    /// Per block of columns.
    results: Shares,
    /// Per fold that is not in the last block of rows.
    sums: Shares,
    /// Cycles of the array, of every fold and of the last.
    step: u64,
    last_step: u64,
}

impl Costs<'_> {
    /// Cost of the fold in block `fr` of rows and block `fc` of columns.
    fn at(&self, fc: u64, fr: u64) -> FoldCost {
        let rows = self.folds.rows;
        let index = fc * rows + fr;
        let mut read = self.held.at(index);
        if fc < self.right_passes {
            read += self.right.at(fr);
        }
        if fr < self.down_passes {
            read += self.down.at(fc);
        }
        let spill = fc * (rows - 1) + fr;
        if fr > 0 {
            read += self.sums.at(spill - 1);
        }
        let write = self.results_of_folds.at(index)
            + if fr + 1 == rows { self.results.at(fc) } else { self.sums.at(spill) };
        let bus = |bytes| if bytes == 0 { 0 } else { self.accelerator.dram_cycles(bytes) };
        let last = index + 1 == self.folds.count();
        let compute = if last { self.last_step } else { self.step };
        FoldCost { read: bus(read), compute, write: bus(write) }
    }

    /// Blocks of columns from which on a column may cost something else than the one before.
    fn column_edges(&self) -> Vec<u64> {
        let Folds { rows, columns } = self.folds;
        let mut edges =
            vec![self.right_passes, self.down.one_more, self.results.one_more, columns - 1];
        // The column in which a share per fold runs out is one by itself.
        let per_fold = [
            (self.held.one_more, rows),
            (self.results_of_folds.one_more, rows),
            (self.sums.one_more, rows - 1),
        ];
        for (last, of_column) in per_fold {
            let column = last.checked_div(of_column).unwrap_or(0);
            edges.extend([column, column + 1]);
        }
        sorted(edges, columns)
    }

    /// Blocks of rows of column `fc` from which on a fold may cost something else.
    fn row_edges(&self, fc: u64) -> Vec<u64> {
        let rows = self.folds.rows;
        let sums = self.sums.one_more.saturating_sub(fc * (rows - 1));
        let edges = vec![
            1,
            rows - 1,
            self.held.one_more.saturating_sub(fc * rows),
            self.results_of_folds.one_more.saturating_sub(fc * rows),
            self.right.one_more,
            self.down_passes,
            sums,
            sums.saturating_add(1),
        ];
        sorted(edges, rows)
    }

    /// Feeds the folds of one tile.
    fn push(&self, pipeline: &mut Pipeline) {
        for columns in self.column_edges().windows(2) {
            let rows = self.row_edges(columns[0]);
            let runs: Vec<(u64, FoldCost)> =
                rows.windows(2).map(|run| (run[1] - run[0], self.at(columns[0], run[0]))).collect();
            pipeline.repeat(columns[1] - columns[0], |pipeline| {
                for &(count, cost) in &runs {
                    pipeline.repeat(count, |pipeline| pipeline.push(cost));
                }
            });
        }
    }
}

/// Stretches of `0..end` that begin at the edges inside it.
fn sorted(mut edges: Vec<u64>, end: u64) -> Vec<u64> {
    edges.retain(|edge| *edge < end);
    edges.extend([0, end]);
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Tiles of one size that follow one another.
#[derive(Clone, Copy)]
struct Run {
    count: u64,
    size: u64,
    /// The first of all tiles, or the last.
    first: bool,
    last: bool,
}

/// `size` in tiles, the first and the last by themselves.
fn runs(size: u64, tile: u64) -> Vec<Run> {
    let count = size.div_ceil(tile);
    let rest = size - (count - 1) * tile;
    if count == 1 {
        return vec![Run { count, size, first: true, last: true }];
    }
    let run = |count, size, first, last| Run { count, size, first, last };
    let mut runs = vec![run(1, tile, true, false)];
    if count > 2 {
        runs.push(run(count - 2, tile, false, false));
    }
    runs.push(run(1, rest, false, true));
    runs
}

/// Bytes of one group that come or go with so many tiles; the first one takes the remainder.
fn share(total: u64, tiles: u64, first: bool) -> u64 {
    total / tiles + if first { total % tiles } else { 0 }
}

/// Cycles of a layer whose folds take `compute(stream, last of its group)` cycles, with its transfers on
/// the bus.
pub(super) fn cycles(
    accelerator: &Accelerator,
    double_buffer: bool,
    problem: &Problem<'_>,
    mapping: Mapping,
    report: &LayerReport,
    compute: impl Fn(u64, bool) -> u64,
) -> u64 {
    let [m, n, _] = problem.shape.sizes();
    let groups = problem.shape.groups();
    let of_group = |elements: Option<u64>, bits: u64| {
        elements.unwrap_or(0).saturating_mul(bits).div_ceil(8) / groups
    };
    let fetched = problem.fetched(mapping);
    let moved = Moved {
        ifmap: of_group(report.dram_reads_ifmap, 8),
        ifmap_reuse: fetched.ifmap_reuse,
        filter: of_group(report.dram_reads_filter, u64::from(report.weight_bits)),
        filter_reuse: fetched.filter_reuse,
        sums: of_group(report.dram_sum_transfers, accelerator.accumulator_bits),
        results: of_group(report.dram_writes_ofmap, 8),
        m_tiles: m.div_ceil(mapping.m_tile),
        n_tiles: n.div_ceil(mapping.n_tile),
    };
    let tiles: Vec<(u64, Vec<(u64, Costs<'_>)>)> = runs(n, mapping.n_tile)
        .into_iter()
        .map(|of_n| {
            let of_m = runs(m, mapping.m_tile).into_iter().map(|of_m| {
                (of_m.count, costs(accelerator, problem, &moved, of_m, of_n, &compute))
            });
            (of_n.count, of_m.collect())
        })
        .collect();
    let mut pipeline = Pipeline::new(accelerator.dram_latency_cycles(), double_buffer);
    pipeline.repeat(groups, |pipeline| {
        for (n_tiles, of_m) in &tiles {
            pipeline.repeat(*n_tiles, |pipeline| {
                for (m_tiles, costs) in of_m {
                    pipeline.repeat(*m_tiles, |pipeline| costs.push(pipeline));
                }
            });
        }
    });
    pipeline.cycles()
}

/// Bytes that one group moves, and with which tiles.
struct Moved {
    ifmap: u64,
    ifmap_reuse: Reuse,
    filter: u64,
    filter_reuse: Reuse,
    sums: u64,
    results: u64,
    m_tiles: u64,
    n_tiles: u64,
}

/// Costs of the folds of one tile.
fn costs<'a>(
    accelerator: &'a Accelerator,
    problem: &Problem<'_>,
    moved: &Moved,
    of_m: Run,
    of_n: Run,
    compute: impl Fn(u64, bool) -> u64,
) -> Costs<'a> {
    let dataflow = problem.dataflow;
    let [rows, columns, stream] = dataflow.laid([of_m.size, of_n.size, problem.shape.k()]);
    let folds = Folds::of(Extent { rows, columns, stream }, accelerator.array);
    let (first, tiles) = (of_m.first && of_n.first, moved.m_tiles * moved.n_tiles);
    // Bytes of this tile, and the passes they come in.
    let ifmap = match moved.ifmap_reuse {
        Reuse::Layer if of_n.first => (share(moved.ifmap, moved.m_tiles, first), 1),
        Reuse::Layer => (0, 1),
        Reuse::Tile => (share(moved.ifmap, tiles, first), 1),
        Reuse::Block => (share(moved.ifmap, tiles, first), dataflow.passes(Operand::Ifmap, folds)),
    };
    let filter = match moved.filter_reuse {
        Reuse::Layer if of_m.first => (share(moved.filter, moved.n_tiles, first), 1),
        Reuse::Layer => (0, 1),
        Reuse::Tile => (share(moved.filter, tiles, first), 1),
        Reuse::Block => {
            (share(moved.filter, tiles, first), dataflow.passes(Operand::Filter, folds))
        }
    };
    let operand = |path| match dataflow.operand(path) {
        Operand::Ifmap => ifmap,
        Operand::Filter => filter,
        // Sums begin in the array.
        Operand::Ofmap => (0, 1),
    };
    let held = Shares::of(operand(Path::Stays).0, folds.count());
    let (right, right_passes) = operand(Path::Right);
    let (down, down_passes) = operand(Path::Down);
    let results = share(moved.results, tiles, first);
    let (of_folds, of_columns) = if dataflow.sums_stay() { (results, 0) } else { (0, results) };
    let between = (folds.rows - 1) * folds.columns;
    Costs {
        accelerator,
        folds,
        held,
        results_of_folds: Shares::of(of_folds, folds.count()),
        right: Shares::of(right / right_passes, folds.rows),
        right_passes,
        down: Shares::of(down / down_passes, folds.columns),
        down_passes,
        results: Shares::of(of_columns, folds.columns),
        sums: Shares::of(share(moved.sums, tiles, first), between),
        step: compute(stream, false),
        last_step: compute(stream, of_m.last && of_n.last),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cycles::pipeline;

    fn shares() -> impl Strategy<Value = (u64, u64)> {
        prop_oneof![Just((0, 0)), (0_u64..40, 0_u64..60)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn stretches_cost_what_their_folds_cost(
            (rows, columns, groups) in (1_u64..14, 1_u64..14, 1_u64..6),
            [held, results_of_folds, right, down, results, sums] in prop::array::uniform6(shares()),
            (right_passes, down_passes) in (0_u64..16, 0_u64..16),
            (step, more, latency) in (1_u64..30, 0_u64..9, 0_u64..20),
            double_buffer in any::<bool>(),
        ) {
            let accelerator = Accelerator::load("gemmini-16").unwrap();
            let shares = |(each, one_more)| Shares { each, one_more };
            let costs = Costs {
                accelerator: &accelerator,
                folds: Folds { rows, columns },
                held: shares(held),
                results_of_folds: shares(results_of_folds),
                right: shares(right),
                right_passes,
                down: shares(down),
                down_passes,
                results: shares(results),
                sums: shares(sums),
                step,
                last_step: step + more,
            };
            let mut pipeline = Pipeline::new(latency, double_buffer);
            pipeline.repeat(groups, |pipeline| costs.push(pipeline));
            // The slow twin: every fold by itself.
            let one_by_one = (0..groups)
                .flat_map(|_| (0..columns).flat_map(|fc| (0..rows).map(move |fr| (fc, fr))))
                .map(|(fc, fr)| costs.at(fc, fr));
            let expected = pipeline::cycles(one_by_one, latency, double_buffer);
            prop_assert_eq!(pipeline.cycles(), expected);
        }
    }
}
