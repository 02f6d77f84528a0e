//! The causal closed form.
//!
//! One fold: the stationary tile is shifted in (`R` cycles), `T` vectors follow, the last one needs
//! `(R - 1) + (C - 1)` more cycles to cross the array. Output-stationary folds load nothing, but
//! shift the finished tile out through `R` rows instead; the sum is the same `2R + C + T - 2`. Partial
//! folds cost as much as full ones. `tests/pe_array.rs` compares with the simulated array.
//!
//! ```text
//! plain           |load|---- T ----|cross|load|---- T ----|cross|
//! double buffer   |load|---- T ----|---- T ----|cross|          next tile loads under the stream
//! ```

use super::{LayerReport, Overlap, Schedule, banks, fold_costs, registers, traffic};
use crate::dataflow::{ArraySize, Dimension, Folds};
use crate::energy;
use crate::mapping::{self, Mapping, Objective, Place, Problem};
use crate::{Accelerator, GemmShape, Layer, Work};

/// Most folds of a layer that are followed one by one.
const FOLDS_MAX: u64 = 1 << 26;

/// The stream of each fold, in parts: `whole` parts of `length` steps and one of the rest.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    whole: u64,
    length: u64,
    rest: u64,
}

impl Streams {
    fn of(problem: &Problem<'_>, mapping: Mapping) -> Self {
        let all = problem.dataflow.extent(problem.shape).stream;
        let length = if problem.streams() == Dimension::M { mapping.m_tile } else { all };
        Self { whole: all / length, length, rest: all % length }
    }

    const fn count(self) -> u64 {
        self.whole + if self.rest > 0 { 1 } else { 0 }
    }

    const fn last(self) -> u64 {
        if self.rest > 0 { self.rest } else { self.length }
    }

    /// The sum over all parts of what a part of some length needs.
    fn sum(self, of: impl Fn(u64) -> u64) -> u64 {
        let rest = if self.rest > 0 { of(self.rest) } else { 0 };
        self.whole.saturating_mul(of(self.length)).saturating_add(rest)
    }
}

/// Cycles of a fold whose operands stream for so many.
pub(super) const fn fold_cycles(array: ArraySize, stream: u64) -> u64 {
    2 * array.rows() + array.columns() + stream - 2
}

/// Cycles of all folds of one product.
fn cycles(array: ArraySize, folds: Folds, streams: Streams, double_buffer: bool) -> u64 {
    let folds = folds.count();
    if double_buffer {
        // Each later fold starts when the stream before it has ended and its own tile is in.
        let step = |stream: u64| stream.max(array.rows());
        let steps = streams.sum(step) * folds;
        steps - step(streams.last()) + fold_cycles(array, streams.last())
    } else {
        streams.sum(|stream| fold_cycles(array, stream)) * folds
    }
}

pub(super) fn layer(
    accelerator: &Accelerator,
    schedule: Schedule,
    layer: &Layer,
    place: &Place,
) -> LayerReport {
    match layer.work {
        Work::Gemm(shape) => on_array(accelerator, schedule, layer, shape, place),
        Work::Vector => {
            let mut report = LayerReport::empty(layer);
            let elements = layer.inputs.max(layer.outputs);
            report.compute_cycles = elements.div_ceil(accelerator.vector_lanes);
            traffic::count_vector(accelerator, layer, place, &mut report);
            // Vector work streams: it overlaps element by element.
            let bus = bus_cycles(accelerator, &report);
            let cycles = match schedule.overlap {
                Overlap::None => report.compute_cycles.saturating_add(bus),
                Overlap::Layer | Overlap::Folds => report.compute_cycles.max(bus),
            };
            finish(accelerator, &mut report, cycles);
            report
        }
    }
}

/// The mapping of a product with the least cost.
fn on_array(
    accelerator: &Accelerator,
    schedule: Schedule,
    layer: &Layer,
    shape: GemmShape,
    place: &Place,
) -> LayerReport {
    let problem = Problem::new(accelerator, schedule, layer, shape, [place.room, place.found]);
    let rule = accelerator.mapping.of(&layer.name);
    let tried = mapping::candidates(&problem, rule);
    let run =
        |mapping: Mapping| (product(accelerator, schedule, &problem, place, mapping), mapping);
    let (mut best, mut chosen) = run(tried[0]);
    if tried.len() > 1 {
        let mut least = cost(accelerator, &best);
        for &mapping in &tried[1..] {
            let (report, mapping) = run(mapping);
            let own = cost(accelerator, &report);
            if own < least {
                (best, chosen, least) = (report, mapping, own);
            }
        }
    }
    let busy = best.compute_cycles.saturating_add(best.sram_stall_cycles);
    let cycles = dram_cycles(accelerator, schedule, &problem, chosen, &best).max(busy);
    finish(accelerator, &mut best, cycles);
    best
}

/// What a mapping is judged by: the objective, then what breaks ties.
pub(crate) fn cost(accelerator: &Accelerator, report: &LayerReport) -> [f64; 2] {
    let busy = report.compute_cycles.saturating_add(report.sram_stall_cycles);
    // Whatever the transfers overlap with, they take the bus.
    let cycles = busy.max(bus_cycles(accelerator, report));
    let energy = energy::reference_nj(accelerator, report, cycles);
    let bytes = report.dram_bytes_read.saturating_add(report.dram_bytes_written);
    let cost = match accelerator.mapping.objective {
        Objective::Energy => [energy, cycles as f64],
        Objective::Time => [cycles as f64, energy],
        Objective::Dram => [bytes as f64, energy],
    };
    // Without DRAM a mapping that needs it is none.
    if accelerator.dram.is_none() { [bytes as f64, cost[0]] } else { cost }
}

/// Counts of a product without its waits for DRAM.
fn product(
    accelerator: &Accelerator,
    schedule: Schedule,
    problem: &Problem<'_>,
    place: &Place,
    mapping: Mapping,
) -> LayerReport {
    let Problem { layer, shape, dataflow, array, .. } = *problem;
    let mut report = LayerReport::empty(layer);
    let (extent, folds) = (dataflow.extent(shape), problem.folds());
    let streams = Streams::of(problem, mapping);
    report.loop_order = Some(mapping.order);
    report.m_tile = Some(mapping.m_tile);
    report.n_tile = Some(mapping.n_tile);
    report.k_tile = Some(shape.k());
    report.folds = folds.count() * shape.groups() * streams.count();
    report.compute_cycles =
        cycles(array, folds, streams, schedule.weight_double_buffer) * shape.groups();
    report.register_bits =
        registers::bits(dataflow, shape, array, accelerator.accumulator_bits, streams.count());
    let area = array.elements() * folds.count();
    report.mapping_efficiency_pct = 100.0 * (extent.rows * extent.columns) as f64 / area as f64;
    let fold = streams.sum(|stream| fold_cycles(array, stream));
    report.compute_utilization_pct =
        report.mapping_efficiency_pct * extent.stream as f64 / fold as f64;
    let waits = |stream| {
        let bits = u64::from(layer.weight_bits);
        banks::stall_cycles_per_fold(accelerator, dataflow, folds, stream, bits)
    };
    report.sram_stall_cycles = streams.sum(waits).saturating_mul(folds.count() * shape.groups());
    let fetched = problem.fetched(mapping);
    let parts = streams.count();
    traffic::count_product(accelerator, schedule, problem, place, &fetched, parts, &mut report);
    report
}

fn bus_cycles(accelerator: &Accelerator, report: &LayerReport) -> u64 {
    accelerator.dram_cycles(report.dram_bytes_read.saturating_add(report.dram_bytes_written))
}

/// All cycles of a layer, and its utilization.
fn finish(accelerator: &Accelerator, report: &mut LayerReport, cycles: u64) {
    report.cycles = cycles;
    let busy = report.compute_cycles.saturating_add(report.sram_stall_cycles);
    report.stall_cycles = cycles.saturating_sub(busy);
    let capacity = cycles as f64 * accelerator.array.elements() as f64;
    if capacity > 0.0 {
        report.utilization_pct = 100.0 * report.macs as f64 / capacity;
    }
}

/// Cycles with DRAM.
fn dram_cycles(
    accelerator: &Accelerator,
    schedule: Schedule,
    problem: &Problem<'_>,
    mapping: Mapping,
    report: &LayerReport,
) -> u64 {
    let busy = report.compute_cycles.saturating_add(report.sram_stall_cycles);
    let bus = bus_cycles(accelerator, report);
    let double_buffer = match schedule.overlap {
        Overlap::Folds => true,
        Overlap::None => false,
        Overlap::Layer => return busy.max(bus),
    };
    // Too many folds to follow one by one: a bound takes their place.
    if report.folds > FOLDS_MAX {
        return if double_buffer { busy.max(bus) } else { busy.saturating_add(bus) };
    }
    let (array, folds) = (accelerator.array, problem.folds());
    let compute = |stream: u64, last: bool| {
        let bits = u64::from(problem.layer.weight_bits);
        let waits =
            banks::stall_cycles_per_fold(accelerator, problem.dataflow, folds, stream, bits);
        waits
            + if last || !schedule.weight_double_buffer {
                fold_cycles(array, stream)
            } else {
                stream.max(array.rows())
            }
    };
    fold_costs::cycles(accelerator, double_buffer, problem, mapping, report, compute)
}
