//! Cycles, energy and area of every point of a plan.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use serde::Serialize;
use vmin_accel::accelerator::Variation;
use vmin_accel::cycles::{self, Schedule};
use vmin_accel::{Dataflow, VddReference, area, energy};

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
    /// Sustained DRAM bandwidth, in GB/s.
    pub dram_bandwidth_gb_per_s: f64,
    /// Supply of the lowered rails, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells at that voltage.
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
    /// Whether all weights fit in the weight memory at once.
    pub weights_fit: bool,
    /// Mean test error under bit errors at that voltage, where a sweep's results are given.
    pub rerr_mean: Option<f64>,
    /// Whether the point keeps all limits.
    pub within_limits: bool,
    /// Whether it lies on the Pareto front of the points within the limits.
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
    /// Designs at voltages, in the order of the lists.
    pub points: Vec<Point>,
}

impl Exploration {
    /// The points of the Pareto front, in the order of the space.
    pub fn front(&self) -> impl Iterator<Item = &Point> {
        self.points.iter().filter(|point| point.pareto)
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
    let candidates: Vec<usize> =
        points.iter().filter(|point| point.within_limits).map(|point| point.index).collect();
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
    Ok(Exploration {
        exploration_version: 1,
        name: plan.space.name.clone(),
        model: plan.space.model.value.clone(),
        base: plan.base.name().to_owned(),
        profile: plan.profile.name().to_owned(),
        vdd_reference: plan.profile.reference(),
        objectives: objectives.clone(),
        designs: plan.designs.len(),
        points,
    })
}

/// One design at every voltage: cycles once, energy at each.
fn points(plan: &Plan, index: usize, design: &Variation) -> Vec<Point> {
    let accelerator =
        plan.base.varied(design).expect("`Plan::resolve` has tried every size of every memory");
    let layers = cycles::run(&accelerator, Schedule::of(&accelerator), &plan.layers);
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
            let mut point = Point {
                index: index * plan.supplies.len() + supply_index,
                rows: accelerator.array.rows(),
                columns: accelerator.array.columns(),
                dataflow: accelerator.dataflow,
                vector_lanes: accelerator.vector_lanes,
                weight_kib: kib(memories.weight.bits()),
                activation_kib: kib(memories.activation.bits()),
                accumulator_kib: kib(memories.accumulator.bits()),
                dram_bandwidth_gb_per_s: accelerator.dram.bytes_per_second / 1e9,
                vdd_mv: supply.vdd_mv,
                cell_fault_rate: supply.cell_fault_rate,
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
                weights_fit: plan.weight_bits <= memories.weight.bits(),
                rerr_mean: supply.rerr_mean,
                within_limits: true,
                pareto: false,
            };
            point.within_limits =
                plan.space.limits.iter().all(|&(objective, limit)| objective.of(&point) <= limit);
            point
        })
        .collect()
}
