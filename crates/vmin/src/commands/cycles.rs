//! `vmin cycles`: cycles, utilization and traffic per layer.

mod trace;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
pub use trace::Trace;
use vmin_accel::cycles::{self, Totals};
use vmin_accel::mapping::{self, LoopOrder, LowerBound, TensorHome};
use vmin_accel::scalesim::{self, TableKind};
use vmin_accel::{Accelerator, CycleModel, Dataflow, DoesNotFit, Layer, LayerReport, Schedule};
use vmin_diagnostic::Diagnostic;
use vmin_nn::Graph;
use vmin_sweep::names::Names;

use crate::args::{CycleModelArg, CyclesArgs, WorkArgs};
use crate::failure::{say, unwritable};
use crate::{Answer, Failure, answer, columns, files};

/// Counts that some cycle models lack.
const COUNTS: [&str; 15] = [
    "sram_writes_ifmap",
    "sram_writes_filter",
    "dram_reads_ifmap",
    "dram_reads_filter",
    "dram_writes_ofmap",
    "dram_sum_transfers",
    "m_tile",
    "n_tile",
    "k_tile",
    "weight_words_read",
    "weight_words_written",
    "activation_words_read",
    "activation_words_written",
    "accumulator_words_read",
    "accumulator_words_written",
];

/// Cycles and traffic of a network, or of a tiny product shown cycle by cycle.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CyclesAnswer {
    /// Layer by layer.
    Layers(Box<Cycles>),
    /// Cycle by cycle.
    Trace(Box<Trace>),
}

impl Answer for CyclesAnswer {
    fn csv(&self) -> Result<String, Failure> {
        match self {
            Self::Layers(cycles) => answer::csv(&cycles.layers),
            Self::Trace(trace) => answer::csv(&[trace]),
        }
    }

    fn table(&self) -> String {
        match self {
            Self::Layers(cycles) => show(cycles),
            Self::Trace(trace) => trace.show(),
        }
    }
}

/// Cycles and traffic of the layers of a network.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cycles {
    /// Name of the accelerator.
    pub accelerator: String,
    /// The network, as named.
    pub model: String,
    /// Images at once.
    pub batch: u64,
    /// The dataflow.
    pub dataflow: Dataflow,
    /// The cycle model.
    pub cycle_model: CycleModel,
    /// One report a layer.
    pub layers: Vec<LayerReport>,
    /// Every activation tensor, and what of it stays on the chip; none in SCALE-Sim's model.
    pub tensors: Vec<TensorHome>,
    /// Least bytes from and to DRAM; absent in SCALE-Sim's model.
    pub dram_lower_bound: Option<LowerBound>,
    /// Their sums.
    pub totals: Totals,
    /// Time of all layers.
    pub latency_us: f64,
    #[serde(skip)]
    clock_mhz: f64,
    #[serde(skip)]
    has_dram: bool,
}

/// Maps layers to an accelerator and counts.
///
/// # Errors
/// A name leads nowhere, the options do not fit each other, or a file cannot be written.
pub fn run(args: &CyclesArgs) -> Result<CyclesAnswer, Failure> {
    let accelerator = Names::typed().accelerator(args.accelerator.as_str())?;
    let schedule = schedule(args, &accelerator)?;
    if let Some(case) = args.trace {
        return trace::run(args, schedule, case).map(|trace| CyclesAnswer::Trace(Box::new(trace)));
    }
    let Work { name, layers, .. } = work(&args.work)?;
    let layers: Vec<Layer> = layers
        .iter()
        .map(|layer| layer.batched(args.batch))
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::input("batch", &error))?;
    note_unused(&accelerator, &layers);
    let tensors = mapping::tensors(&accelerator, schedule, &layers);
    let causal = schedule.cycle_model == CycleModel::Causal;
    let dram_lower_bound = causal.then(|| mapping::lower_bound(&accelerator, schedule, &layers));
    let layers = cycles::run(&accelerator, schedule, &layers)
        .map_err(|error| does_not_fit(&error, args.batch))?;
    let totals = cycles::totals(&layers);
    let uncounted: Vec<_> =
        layers.iter().filter(|layer| layer.macs > 0 && layer.spans.is_none()).collect();
    if let (Some(first), CycleModel::ScalesimV3) = (uncounted.first(), schedule.cycle_model) {
        say(&format!(
            "note: without DRAM traffic: {} of {} layers, first `{}`; half a memory holds less than a side of the \
             array, or SCALE-Sim's buffers would be followed for too long",
            uncounted.len(),
            layers.len(),
            first.name
        ));
    }
    let cycles = Cycles {
        accelerator: accelerator.name().to_owned(),
        model: name,
        batch: args.batch,
        dataflow: schedule.dataflow,
        cycle_model: schedule.cycle_model,
        layers,
        tensors,
        dram_lower_bound,
        totals,
        latency_us: totals.cycles as f64 / accelerator.clock_mhz,
        clock_mhz: accelerator.clock_mhz,
        has_dram: accelerator.dram.is_some(),
    };
    if let Some(folder) = &args.reports {
        for (name, text) in scalesim::report_files(&cycles.layers) {
            let path = folder.join(name);
            std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
            files::write(&path, text.as_bytes(), files::NOTHING)?;
        }
    }
    if let Some(path) = &args.report {
        let page = page(&cycles, &accelerator)?;
        files::write(path, page.as_bytes(), files::Output::page("cycles"))?;
    }
    if let Some(path) = &args.parquet {
        let bytes = columns::parquet(&cycles.layers, &COUNTS, "cycles")?;
        files::write(path, &bytes, files::Output::parquet("cycles"))?;
    }
    Ok(CyclesAnswer::Layers(Box::new(cycles)))
}

/// A network that is too large for a chip without DRAM.
pub(super) fn does_not_fit(error: &DoesNotFit, batch: u64) -> Failure {
    let problem = Diagnostic::new("does-not-fit", error.to_string());
    let problem = if let (DoesNotFit::Layer { .. }, 2..) = (error, batch) {
        problem.hint(format!("take fewer images at once than `--batch {batch}`"))
    } else {
        problem
    };
    problem.hint(error.hint()).into()
}

/// Says which prescribed tiles are for no layer of the network.
pub(super) fn note_unused(accelerator: &Accelerator, layers: &[Layer]) {
    for name in accelerator.mapping.unused(layers) {
        say(&format!(
            "note: no layer is called `{name}`, for which `{}` has tiles",
            accelerator.name()
        ));
    }
}

/// A workload; without a network its weights have no values.
pub(super) struct Work {
    pub(super) name: String,
    pub(super) layers: Vec<Layer>,
    pub(super) graph: Option<Graph>,
}

/// The workload that is named.
pub(super) fn work(args: &WorkArgs) -> Result<Work, Failure> {
    let table = |path: &String, kind| -> Result<_, Failure> {
        let source = scalesim::read_table(path)?;
        let layers = scalesim::layers(&source, kind)?;
        Ok(Work { name: path.clone(), layers, graph: None })
    };
    match args {
        WorkArgs { topology: Some(path), .. } => table(path, TableKind::Topology),
        WorkArgs { gemm: Some(path), .. } => table(path, TableKind::Gemm),
        WorkArgs { attention: Some(attention), .. } => {
            let layers = attention
                .layers("attention")
                .map_err(|error| Failure::input("attention", &error))?;
            let name = format!(
                "attention of {} tokens of {} in {} heads",
                attention.sequence, attention.d_model, attention.heads
            );
            Ok(Work { name, layers, graph: None })
        }
        WorkArgs { model, .. } => {
            let name = model.as_deref().unwrap_or(Path::new(""));
            let graph = Names::typed().model(name)?;
            let layers = vmin_accel::layers_of_graph(&graph)
                .map_err(|error| Failure::input("model", &error))?;
            Ok(Work { name: name.display().to_string(), layers, graph: Some(graph) })
        }
    }
}

fn schedule(args: &CyclesArgs, accelerator: &Accelerator) -> Result<Schedule, Failure> {
    let mut schedule = Schedule::of(accelerator);
    if let Some(dataflow) = args.dataflow {
        schedule.dataflow = dataflow;
    }
    if let Some(model) = args.cycle_model {
        schedule.cycle_model = match model {
            CycleModelArg::Causal => CycleModel::Causal,
            CycleModelArg::ScalesimV3 => CycleModel::ScalesimV3,
        };
    }
    let scalesim = schedule.cycle_model == CycleModel::ScalesimV3;
    if scalesim
        && accelerator.cycle_model == CycleModel::Causal
        && args.accelerator.ends_with(".cfg")
    {
        return Err(Diagnostic::new(
            "scalesim-user",
            format!("`{}` limits the bandwidth (`InterfaceBandwidth: USER`)", args.accelerator),
        )
        .hint(
            "`scalesim-v3` reproduces `CALC` only: change it there, or use `--cycle-model causal`",
        )
        .into());
    }
    if scalesim && args.batch > 1 {
        return Err(Diagnostic::new("scalesim-batch", "SCALE-Sim knows no batches")
            .hint("use `--batch 1`, or `--cycle-model causal`")
            .into());
    }
    if !scalesim && args.reports.is_some() {
        return Err(Diagnostic::new(
            "scalesim-reports",
            "SCALE-Sim's reports need SCALE-Sim's cycle model",
        )
        .hint("add `--cycle-model scalesim-v3`")
        .into());
    }
    Ok(schedule)
}

fn page(cycles: &Cycles, accelerator: &Accelerator) -> Result<String, Failure> {
    let json = serde_json::to_string(cycles).map_err(std::io::Error::from)?;
    let setting = format!(
        "dataflow {}, cycle model {}, batch {}",
        cycles.dataflow.name(),
        model_word(cycles.cycle_model),
        cycles.batch
    );
    Ok(vmin_report::accelerator::page(&vmin_report::accelerator::Run {
        model: &cycles.model,
        accelerator: &cycles.accelerator,
        setting: &setting,
        clock_mhz: accelerator.clock_mhz,
        peak_macs_per_cycle: accelerator.array.elements() as f64,
        dram_bytes_per_cycle: cycles::dram_bytes_per_cycle(accelerator, cycles.cycle_model),
        layers: &cycles.layers,
        json: &json,
    }))
}

fn model_word(model: CycleModel) -> &'static str {
    CycleModel::ALL.iter().find(|(_, known)| *known == model).map_or("", |(word, _)| word)
}

/// The loops over tiles, the outer one first, with what one tile covers.
fn tiles(layer: &LayerReport) -> String {
    let (Some(order), Some(m), Some(n)) = (layer.loop_order, layer.m_tile, layer.n_tile) else {
        return String::new();
    };
    match order {
        LoopOrder::MOutside => format!("m {m}, n {n}"),
        LoopOrder::NOutside => format!("n {n}, m {m}"),
    }
}

fn homes(layer: &LayerReport) -> String {
    match (layer.inputs_from, layer.outputs_to) {
        (Some(from), Some(to)) => format!("{}, {}", from.name(), to.name()),
        (_, _) => String::new(),
    }
}

fn show(cycles: &Cycles) -> String {
    let crossing = if cycles.has_dram { "DRAM bytes" } else { "bytes in/out" };
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
        "tiles",
        "inputs / outputs",
        crossing,
        "MACs/byte",
        "bound by",
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
            layer.stall_cycles.saturating_add(layer.sram_stall_cycles).to_string(),
            format!("{:.1} %", layer.utilization_pct),
            layer.sram_reads_ifmap.to_string(),
            layer.sram_reads_filter.to_string(),
            layer.sram_writes_ofmap.to_string(),
            tiles(layer),
            homes(layer),
            layer.dram_bytes_read.saturating_add(layer.dram_bytes_written).to_string(),
            layer.macs_per_byte.map_or_else(String::new, |value| format!("{value:.1}")),
            layer.bound_by.name().to_owned(),
        ]
    });
    let spare = [
        "ofmap writes",
        "filter reads",
        "ifmap reads",
        "MACs/byte",
        "folds",
        "inputs / outputs",
        "tiles",
        crossing,
        "bound by",
        "k",
        "n",
        "m",
    ];
    let table = answer::fitted(&header, 1, &spare, rows);
    let totals = &cycles.totals;
    let bound = cycles.dram_lower_bound.map_or_else(String::new, |bound| {
        let words = if cycles.has_dram { "DRAM bytes" } else { "bytes in and out of the chip" };
        format!("\n{} {words}, of at least {}", totals.dram_bytes, bound.bytes)
    });
    let sums = answer::wrapped(&format!(
        "{} cycles for {} MACs, {} of them stalls; {:.1} us at {} MHz",
        totals.cycles,
        totals.macs,
        totals.stall_cycles.saturating_add(totals.sram_stall_cycles),
        cycles.latency_us,
        cycles.clock_mhz
    ));
    format!(
        "{} on {}, {}, {}\n{table}\n{sums}{bound}",
        cycles.model,
        cycles.accelerator,
        cycles.dataflow.name(),
        model_word(cycles.cycle_model)
    )
}
