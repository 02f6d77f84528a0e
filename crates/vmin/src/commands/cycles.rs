//! `vmin cycles`: cycles, utilization and traffic per layer.

use serde::Serialize;
use vmin_accel::cycles::{self, Totals};
use vmin_accel::{CycleModel, Dataflow, LayerReport, Schedule};

use crate::args::{CycleModelArg, CyclesArgs, DataflowArg, Format};
use crate::failure::Failure;
use crate::{lookup, print};

#[derive(Serialize)]
struct Cycles {
    accelerator: String,
    model: String,
    dataflow: Dataflow,
    cycle_model: CycleModel,
    layers: Vec<LayerReport>,
    totals: Totals,
    latency_us: f64,
}

pub(crate) fn run(args: &CyclesArgs) -> Result<(), Failure> {
    let accelerator = lookup::accelerator(&args.accelerator)?;
    let graph = lookup::model(&args.model, None)?;
    let layers =
        vmin_accel::layers_of_graph(&graph).map_err(|error| Failure::input("model", &error))?;
    let mut schedule = Schedule::of(&accelerator);
    if let Some(dataflow) = args.dataflow {
        schedule.dataflow = match dataflow {
            DataflowArg::Ws => Dataflow::Ws,
            DataflowArg::Os => Dataflow::Os,
            DataflowArg::Is => Dataflow::Is,
        };
    }
    if let Some(model) = args.cycle_model {
        schedule.cycle_model = match model {
            CycleModelArg::Causal => CycleModel::Causal,
            CycleModelArg::ScalesimV3 => CycleModel::ScalesimV3,
        };
    }
    let layers = cycles::run(&accelerator, schedule, &layers);
    let totals = cycles::totals(&layers);
    let cycles = Cycles {
        accelerator: accelerator.name().to_owned(),
        model: args.model.clone(),
        dataflow: schedule.dataflow,
        cycle_model: schedule.cycle_model,
        layers,
        totals,
        latency_us: totals.cycles as f64 / accelerator.clock_mhz,
    };
    match args.format.format {
        Format::Json => print::json(&cycles),
        Format::Csv => print::csv(&cycles.layers),
        Format::Table => show(&cycles, accelerator.clock_mhz),
    }
}

fn show(cycles: &Cycles, clock_mhz: f64) -> Result<(), Failure> {
    let header = [
        "layer",
        "m",
        "n",
        "k",
        "MACs",
        "folds",
        "cycles",
        "stalls",
        "utilization",
        "ifmap reads",
        "filter reads",
        "ofmap writes",
        "DRAM bytes",
    ];
    let rows = cycles.layers.iter().map(|layer| {
        vec![
            layer.name.clone(),
            layer.m.to_string(),
            layer.n.to_string(),
            layer.k.to_string(),
            layer.macs.to_string(),
            layer.folds.to_string(),
            layer.cycles.to_string(),
            layer.stall_cycles.to_string(),
            format!("{:.1} %", layer.utilization_pct),
            layer.sram_reads_ifmap.to_string(),
            layer.sram_reads_filter.to_string(),
            layer.sram_writes_ofmap.to_string(),
            layer.dram_bytes_read.saturating_add(layer.dram_bytes_written).to_string(),
        ]
    });
    let table = print::table(&header, 1, rows);
    let totals = &cycles.totals;
    print::text_line(&format!(
        "{} on {}\n{table}\n{} cycles for {} MACs, {} of them stalls; {:.1} us at {clock_mhz} MHz",
        cycles.model,
        cycles.accelerator,
        totals.cycles,
        totals.macs,
        totals.stall_cycles,
        cycles.latency_us
    ))
}
