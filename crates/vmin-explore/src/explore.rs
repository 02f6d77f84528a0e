//! Cycles, energy and area of every point of a plan.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use vmin_accel::accelerator::Variation;
use vmin_accel::energy::{self, Sourced};
use vmin_accel::{Dataflow, VddReference, area, cycles};
use vmin_sweep::accuracy::{self, CLEAN, Least, NOMINAL};
use vmin_sweep::{Kept, Placement};

use crate::plan::Plan;
use crate::{Objective, front};

/// The exploration was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// One design at one voltage.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Point {
    /// Index in the space, from 0.
    pub index: usize,
    /// Rows of processing elements.
    pub rows: u64,
    /// Columns of processing elements.
    pub columns: u64,
    /// Dataflow.
    pub dataflow: Dataflow,
    /// Elements per cycle of the vector unit.
    pub vector_lanes: u64,
    /// Size of the weight memory, in KiB.
    pub weight_kib: f64,
    /// Size of the activation memory, in KiB.
    pub activation_kib: f64,
    /// Size of the accumulator memory, in KiB.
    pub accumulator_kib: f64,
    /// Sustained DRAM bandwidth, in GB/s; 0 without DRAM.
    pub dram_bandwidth_gb_per_s: f64,
    /// Supply of the lowered rails, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells at the lowest supply of a memory.
    pub cell_fault_rate: f64,
    /// Cycles of one inference, stalls among them.
    pub cycles: u64,
    /// Cycles waiting for DRAM.
    pub stall_cycles: u64,
    /// Multiply-accumulates per cycle and processing element, in percent.
    pub utilization_pct: f64,
    /// Bytes between chip and DRAM per inference.
    pub dram_bytes: u64,
    /// Time of one inference, in us.
    pub latency_us: f64,
    /// Energy of one inference, in nJ.
    pub energy_nj: f64,
    /// Energy times time, in nJ us.
    pub energy_delay_nj_us: f64,
    /// On-chip memory, in KiB.
    pub on_chip_kib: f64,
    /// Area estimate of array, vector unit and memories, in mm2.
    pub area_mm2: f64,
    /// Processing elements.
    pub processing_elements: u64,
    /// Whether the clock is too fast for the cycle time of a memory, at the memory's supply.
    pub clock_too_fast: bool,
    /// Whether all weights fit in the weight memory at once.
    pub weights_fit: bool,
    /// The placement of the weights that is priced.
    pub placement: Placement,
    /// Faulty cells expected under the weights and in the other lowered memories at that voltage.
    pub faulty_cells_expected: f64,
    /// Whether the accuracy is kept there.
    pub accuracy: Kept,
    /// Mean test error under bit errors, where a sweep of the same cells has that voltage.
    pub rerr_mean: Option<f64>,
    /// Share of that sweep's chips within its budget.
    #[serde(rename = "yield")]
    pub yield_fraction: Option<f64>,
    /// Share of the population that it shows to be within it.
    pub yield_shown: Option<f64>,
    /// Whether the point keeps all limits.
    pub within_limits: bool,
    /// Whether it lies on the Pareto front of the candidates: see [`Exploration::candidates`].
    pub pareto: bool,
}

/// Every point of a space.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exploration {
    /// Version of this layout.
    pub exploration_version: u32,
    /// `name` of the space.
    pub name: String,
    /// Network.
    pub model: String,
    /// Accelerator whose numbers were varied.
    pub base: String,
    /// Voltage profile.
    pub profile: String,
    /// What a millivolt of that profile is.
    pub vdd_reference: VddReference,
    /// Objectives that were minimized.
    pub objectives: Vec<Objective>,
    /// Number of designs.
    pub designs: usize,
    /// Remarks that a reader must know.
    pub notes: Vec<String>,
    /// Where the numbers of the base design come from.
    pub sources: Vec<Sourced>,
    /// What is known of the accuracy, in words.
    pub accuracy: String,
    /// Which points are candidates for the front, in words.
    pub candidates: String,
    /// The candidate within the limits that keeps the accuracy and takes the least energy; if the sweep shows its target
    /// at some, none where the sampled chips only reach it.
    pub least_energy: Option<usize>,
    /// The one where the sampled chips reach the target, if it takes less.
    pub least_energy_reached: Option<usize>,
    /// The point within the limits that takes the least energy, whatever its accuracy.
    pub least_energy_of_all: Option<usize>,
    /// Designs at voltages, in the order of the lists.
    pub points: Vec<Point>,
}

impl Exploration {
    /// The points of the Pareto front, in the order of the space.
    pub fn front(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(|point| point.pareto)
    }

    /// The least energy that keeps the accuracy, and those that keep it less surely or not, where they are others, each
    /// with its words.
    pub fn least(&self) -> impl Iterator<Item = (&'static str, &Point)> {
        let kept = [self.least_energy, self.least_energy_reached];
        let of_all = self.least_energy_of_all.filter(|&index| !kept.contains(&Some(index)));
        let kept = self.least_energy.map(|index| ("least energy that keeps the accuracy", index));
        let of_all = of_all.map(|index| ("least energy of all, whatever the accuracy", index));
        let reached = self.least_energy_reached;
        let reached =
            reached.map(|index| ("least where the sampled chips only reach the target", index));
        kept.into_iter()
            .chain(reached)
            .chain(of_all)
            .map(|(words, index)| (words, &self.points[index]))
    }

    /// Writes the contents of `explore.csv`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_csv(&self, out: impl Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        self.points.iter().try_for_each(|point| writer.serialize(point))?;
        writer.flush()
    }

    /// Writes the contents of `explore.json`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut out, self)?;
        writeln!(out)
    }
}

/// Evaluates every point on the current rayon pool; the same bits for any pool.
///
/// # Errors
/// [`Stopped`] soon after `stop` was set.
pub fn explore(plan: &Plan, stop: &AtomicBool) -> Result<Exploration, Stopped> {
    let of_designs: Vec<Vec<Point>> = plan
        .designs
        .par_iter()
        .enumerate()
        .map(|(index, design)| {
            if stop.load(Ordering::Relaxed) {
                Err(Stopped)
            } else {
                Ok(points(plan, index, design))
            }
        })
        .collect::<Result<_, _>>()?;
    let mut points = Vec::with_capacity(plan.points());
    points.extend(of_designs.into_iter().flatten());
    let objectives = &plan.space.objectives;
    let (is_candidate, candidate_words) = candidates(plan);
    let candidates = points.iter().filter(|point| point.is_allowed() && is_candidate(point));
    let candidates: Vec<usize> = candidates.map(|point| point.index).collect();
    let values: Vec<f64> = candidates
        .iter()
        .flat_map(|&index| {
            objectives.iter().map(|objective| objective.of(&points[index])).collect::<Vec<_>>()
        })
        .collect();
    let values: Vec<&[f64]> = values.chunks_exact(objectives.len()).collect();
    for member in front(&values) {
        points[candidates[member]].pareto = true;
    }
    let allowed = points.iter().filter(|point| point.is_allowed());
    let allowed = allowed.map(|point| (point.index, point.energy_nj, point.accuracy));
    let least = Least::of(&allowed.collect::<Vec<_>>());
    let lowered = accuracy::memories_on(&plan.base, plan.space.rails.rails());
    let accuracy = match &plan.accuracy {
        _ if !accuracy::any(&lowered) => NOMINAL.to_owned(),
        Some(accuracy) => accuracy.words(),
        None => format!(
            "no results of a sweep are given: the accuracy is known only where it is `clean`; {CLEAN}"
        ),
    };
    Ok(Exploration {
        exploration_version: 2,
        accuracy,
        candidates: candidate_words.to_owned(),
        least_energy: least.kept,
        least_energy_reached: least.reached,
        least_energy_of_all: least.of_all,
        name: plan.space.name.clone(),
        model: plan.space.model.value.clone(),
        base: plan.base.name().to_owned(),
        profile: plan.profile.name().to_owned(),
        vdd_reference: plan.profile.reference(),
        objectives: objectives.clone(),
        designs: plan.designs.len(),
        notes: plan.notes(),
        sources: energy::sources(&plan.base, &plan.profile),
        points,
    })
}

impl Point {
    /// What must be said wherever the point is named the best; starts with a comma.
    #[must_use]
    pub const fn caveat(&self) -> &'static str {
        energy::clock_caveat(self.clock_too_fast)
    }

    /// Within the limits, and able to hold the weights that are to stay in its memory.
    const fn is_allowed(&self) -> bool {
        let holds = match self.placement {
            Placement::Streamed => true,
            Placement::Resident => self.weights_fit,
        };
        self.within_limits && holds
    }
}

/// Which points within the limits are candidates for the front.
fn candidates(plan: &Plan) -> (fn(&Point) -> bool, &'static str) {
    let weighs = |objective| plan.space.weighs(objective);
    match plan.accuracy {
        Some(_) if weighs(Objective::Rerr) => (
            |point| point.rerr_mean.is_some(),
            "candidates have a measured error (`rerr` is weighed)",
        ),
        None if weighs(Objective::CellFaultRate) => (
            |_| true,
            "all are candidates, also of unknown accuracy (`cell_fault_rate` is weighed)",
        ),
        Some(_) | None => (|point| point.accuracy.keeps(), "candidates keep the accuracy"),
    }
}

/// One design at every voltage: cycles once, energy at each.
fn points(plan: &Plan, index: usize, design: &Variation) -> Vec<Point> {
    let (accelerator, schedule, placement) = plan.design(design);
    let layers = cycles::run(&accelerator, schedule, &plan.layers)
        .expect("`Plan::resolve` has left out the designs that are too small");
    let fits = plan.accuracy.as_ref().is_some_and(|accuracy| {
        accuracy.check_design(&plan.graph, &accelerator, placement).is_ok()
    });
    let lowered = accuracy::memories_on(&accelerator, plan.space.rails.rails());
    let cells = accuracy::data_cells(&accelerator, plan.weight_bits, placement);
    let totals = cycles::totals(&layers);
    let memories = &accelerator.memories;
    let kib = |bits: u64| bits as f64 / 8192.0;
    let elements = accelerator.array.elements();
    let area_mm2 = area::total_mm2(&accelerator);
    let macs_possible = totals.cycles.max(1) as f64 * elements as f64;
    plan.supplies
        .iter()
        .enumerate()
        .map(|(supply_index, supply)| {
            let report = energy::per_inference(
                &accelerator,
                &plan.profile,
                &layers,
                &supply.operating_point,
            );
            let at = accuracy::supplies(&accelerator, &supply.operating_point);
            let faulty_cells =
                accuracy::faulty_cells_expected(&plan.profile, &cells, &at, &lowered);
            let verdict =
                accuracy::verdict(plan.accuracy.as_ref(), fits, &at, &lowered, Some(faulty_cells));
            let lowest = at.iter().map(|(_, vdd_mv)| *vdd_mv).fold(f64::INFINITY, f64::min);
            let mut point = Point {
                index: index * plan.supplies.len() + supply_index,
                rows: accelerator.array.rows(),
                columns: accelerator.array.columns(),
                dataflow: accelerator.dataflow,
                vector_lanes: accelerator.vector_lanes,
                weight_kib: kib(memories.weight.bits()),
                activation_kib: kib(memories.activation.bits()),
                accumulator_kib: kib(memories.accumulator.bits()),
                dram_bandwidth_gb_per_s: accelerator
                    .dram
                    .map_or(0.0, |dram| dram.bytes_per_second / 1e9),
                vdd_mv: supply.vdd_mv,
                cell_fault_rate: plan.profile.cell_fault_rate(lowest),
                cycles: totals.cycles,
                stall_cycles: totals.stall_cycles,
                utilization_pct: 100.0 * totals.macs as f64 / macs_possible,
                dram_bytes: totals.dram_bytes,
                latency_us: report.latency_us,
                energy_nj: report.total_nj,
                energy_delay_nj_us: report.total_nj * report.latency_us,
                on_chip_kib: kib(accelerator.on_chip_bits()),
                area_mm2,
                processing_elements: elements,
                clock_too_fast: !energy::slow_memories(
                    &accelerator,
                    &plan.profile,
                    &supply.operating_point,
                )
                .is_empty(),
                weights_fit: plan.weight_bits <= memories.weight.bits(),
                placement,
                faulty_cells_expected: faulty_cells,
                accuracy: verdict.accuracy,
                rerr_mean: verdict.rerr_mean,
                yield_fraction: verdict.yield_fraction,
                yield_shown: verdict.yield_shown,
                within_limits: true,
                pareto: false,
            };
            point.within_limits =
                plan.space.limits.iter().all(|&(objective, limit)| objective.of(&point) <= limit);
            point
        })
        .collect()
}
