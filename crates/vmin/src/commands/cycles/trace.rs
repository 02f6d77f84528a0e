//! `vmin cycles --trace`: the array at work, cycle by cycle.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::pe_array::{Simulation, render};
use vmin_accel::{ArraySize, Dataflow, Schedule};

use crate::args::CyclesArgs;
use crate::{Failure, answer, files};

/// A tiny product on the array.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Trace {
    dataflow: Dataflow,
    double_buffer: bool,
    rows: u64,
    columns: u64,
    m: u64,
    n: u64,
    k: u64,
    cycles: u64,
    #[serde(skip)]
    title: String,
    #[serde(skip)]
    start: Simulation,
}

pub(super) fn run(
    args: &CyclesArgs,
    schedule: Schedule,
    [rows, columns, m, n, k]: [u64; 5],
) -> Result<Trace, Failure> {
    let side = |side: u64| usize::try_from(side).unwrap_or(usize::MAX);
    let array = ArraySize::new(rows, columns)
        .ok_or_else(|| Failure::input("trace", &vmin_accel::pe_array::SimulationError::Size))?;
    let (a, b) = (vec![1; side(m * k)], vec![1; side(k * n)]);
    let double_buffer = schedule.weight_double_buffer;
    let mut simulation =
        Simulation::new(array, schedule.dataflow, double_buffer, [m, n, k].map(side), a, b)
            .map_err(|error| Failure::input("trace", &error))?;
    let start = simulation.clone();
    simulation.run();
    let title = format!(
        "{} on {rows} x {columns}: m {m}, n {n}, k {k}, {} cycles{}",
        schedule.dataflow.name(),
        simulation.cycle(),
        if double_buffer { ", tiles double-buffered" } else { "" }
    );
    if let Some(path) = &args.trace_out {
        files::write_picture(path, &render::svg(&start, &title), "cycles")?;
    }
    Ok(Trace {
        dataflow: schedule.dataflow,
        double_buffer,
        rows,
        columns,
        m,
        n,
        k,
        cycles: simulation.cycle(),
        title,
        start,
    })
}

impl Trace {
    pub(super) fn show(&self) -> String {
        format!(
            "{}\n`.` idle, `w` loads its next value, `#` multiplies, `v` hands a sum down\n\n{}",
            answer::wrapped(&self.title),
            render::text(&self.start).trim_end()
        )
    }
}
