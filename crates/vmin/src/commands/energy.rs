//! `vmin energy`: energy of one inference per layer and component, at one voltage or many.

mod text;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::area::{self, ComponentArea};
use vmin_accel::energy::{
    self, ByRail, Clock, Components, EnergyEntry, EnergyReport, OperatingPoint, Rail, Saving,
    Sourced, ert,
};
use vmin_accel::mapping::{Home, LoopOrder};
use vmin_accel::{
    Accelerator, CycleModel, LayerReport, PerMemory, Schedule, VoltageProfile, cycles,
};
use vmin_diagnostic::{Diagnostic, Located};
use vmin_files::write_set;
use vmin_nn::Graph;
use vmin_report::{EnergyAtVoltage, EnergyPage, energy_page};
use vmin_sweep::accuracy::{self, CLEAN, Least, NOMINAL, priced_placement};
use vmin_sweep::names::Names;
use vmin_sweep::{Accuracy, Placement, Verdict};

use self::text::{show, show_curve, supplies};
use super::cycles::{Work, work};
use crate::args::{ClockArg, EnergyArgs, PlacementArg};
use crate::failure::{say, unwritable};
use crate::{Answer, Failure, answer, columns, files};

/// Energy of one inference where it is least and the accuracy is kept, and a summary of all voltages.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Energy {
    accelerator: String,
    profile: String,
    model: String,
    /// The placement of the weights that is priced.
    placement: Placement,
    /// The swept supply at the point below; absent where every lowered rail has a voltage of its own.
    vdd_mv: Option<f64>,
    supplies_mv: SuppliesMv,
    vdd_nominal_mv: f64,
    #[serde(flatten)]
    report: EnergyReport,
    nominal_total_nj: f64,
    saving: Saving,
    #[serde(flatten)]
    verdict: Verdict,
    /// Where the accuracy comes from.
    accuracy_source: String,
    /// Whether the clock is too fast for the cycle time of a memory, at the memory's supply.
    clock_too_fast: bool,
    /// Down to this swept supply fewer than one faulty cell is expected in the lowered memories.
    clean_down_to_mv: Option<f64>,
    /// The point of the least energy among those that keep the accuracy; if the sweep shows its target at some of them,
    /// not among those where the sampled chips only reach it.
    least: Option<usize>,
    /// The point of the least energy where the sampled chips reach the target, if it takes less than `least`.
    least_reached: Option<usize>,
    /// The point of the least energy, whatever its accuracy.
    least_of_all: usize,
    points: Vec<Point>,
    area_mm2: f64,
    area: Vec<ComponentArea>,
    constants: Vec<EnergyEntry>,
    sources: Vec<Sourced>,
    mappings: Vec<LayerMapping>,
    #[serde(skip)]
    rows: Vec<Row>,
}

/// The voltage of each supply, in mV.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct SuppliesMv {
    logic: f64,
    weight: f64,
    activation: f64,
    accumulator: f64,
    io: f64,
}

impl From<&OperatingPoint> for SuppliesMv {
    fn from(point: &OperatingPoint) -> Self {
        Self {
            logic: point.vdd_mv(Rail::Logic),
            weight: point.vdd_mv(Rail::Weight),
            activation: point.vdd_mv(Rail::Activation),
            accumulator: point.vdd_mv(Rail::Accumulator),
            io: point.vdd_mv(Rail::Io),
        }
    }
}

/// The tiles that a layer runs in, and where its tensors live; nothing in SCALE-Sim's model.
#[derive(Debug, Serialize, JsonSchema)]
struct LayerMapping {
    layer: String,
    loop_order: Option<LoopOrder>,
    m_tile: Option<u64>,
    n_tile: Option<u64>,
    k_tile: Option<u64>,
    inputs_from: Option<Home>,
    outputs_to: Option<Home>,
}

impl LayerMapping {
    fn of(layer: &LayerReport) -> Self {
        Self {
            layer: layer.name.clone(),
            loop_order: layer.loop_order,
            m_tile: layer.m_tile,
            n_tile: layer.n_tile,
            k_tile: layer.k_tile,
            inputs_from: layer.inputs_from,
            outputs_to: layer.outputs_to,
        }
    }
}

/// One of several voltages.
#[derive(Debug, Serialize, JsonSchema)]
struct Point {
    vdd_mv: Option<f64>,
    supplies_mv: SuppliesMv,
    /// At the lowest supply of a memory.
    cell_fault_rate: f64,
    #[serde(flatten)]
    verdict: Verdict,
    /// Whether the clock is too fast for the cycle time of a memory, at the memory's supply.
    clock_too_fast: bool,
    total_nj: f64,
    latency_us: f64,
    energy_delay_nj_us: f64,
    saving: Saving,
    by_component: Components,
    by_rail: ByRail,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    vdd_mv: Option<f64>,
    layer: String,
    component: &'static str,
    energy_nj: f64,
    accuracy: &'static str,
    faulty_cells_expected: Option<f64>,
    rerr_mean: Option<f64>,
    #[serde(rename = "yield")]
    yield_fraction: Option<f64>,
    yield_shown: Option<f64>,
    clock_too_fast: bool,
}

/// What is priced, and what of it decides the accuracy.
struct Priced<'a> {
    args: &'a EnergyArgs,
    accelerator: Accelerator,
    profile: VoltageProfile,
    work: Work,
    placement: Placement,
    accuracy: Option<Accuracy>,
}

/// Prices one inference at each voltage and writes the files that are asked for.
///
/// # Errors
/// A name leads nowhere, a voltage is out of reach, the sweep is of something else, or a file cannot be written.
pub fn run(args: &EnergyArgs) -> Result<Energy, Failure> {
    let accelerator = accelerator(args)?;
    let vmin_mv = args.vmin_mv.map(|value| Located { value, span: 0..0 });
    let profile = Names::typed().profile(args.profile.as_str())?;
    let profile = Names::typed().with_vmin(profile, vmin_mv.as_ref())?;
    let of_network = args.accuracy.as_deref().filter(|_| args.work.model.is_some());
    let accuracy = of_network.map(Accuracy::read).transpose()?;
    if let Some(accuracy) = &accuracy {
        // Before voltages are refused: with another V_min, others are in reach.
        accuracy.check_profile(&profile).map_err(|differs| accuracy.refused(&differs))?;
    }
    for vdd_mv in args.vdd_mv.0.iter().chain(args.rail.iter().map(|(_, vdd_mv)| vdd_mv)) {
        profile.check(*vdd_mv)?;
    }
    let twice =
        args.rail.iter().enumerate().find(|(index, (rail, _))| {
            args.rail[..*index].iter().any(|(earlier, _)| earlier == rail)
        });
    if let Some((_, (rail, _))) = twice {
        let message = format!("`--rail` names `{}` twice", rail.word());
        return Err(Diagnostic::new("repeated", message).hint("leave one of the two away").into());
    }
    let work = work(&args.work)?;
    super::cycles::note_unused(&accelerator, &work.layers);
    let schedule = schedule(args, &accelerator)?;
    let placement = priced_placement(&accelerator, schedule, &work.layers);
    let layers = cycles::run(&accelerator, schedule, &work.layers)
        .map_err(|error| super::cycles::does_not_fit(&error, 1))?;
    if args.accuracy.is_some() && work.graph.is_none() {
        let message = "the weights of this workload have no values, so no sweep can be of it";
        return Err(Diagnostic::new("accuracy", message)
            .hint("leave `--accuracy` away, or name a network with `--model`")
            .into());
    }
    note_weights(&accelerator, &work, placement);
    let priced = Priced { args, accelerator, profile, work, placement, accuracy };
    let Priced { accelerator, profile, .. } = &priced;
    priced.check()?;
    let at = |point: &OperatingPoint| energy::per_inference(accelerator, profile, &layers, point);
    let nominal = at(&OperatingPoint::nominal(profile));
    let points: Vec<EnergyAtVoltage> = args
        .vdd_mv
        .0
        .iter()
        .map(|&vdd_mv| {
            let point = operating_point(args, profile, vdd_mv)?;
            let verdict = priced.verdict(&point);
            let slow = energy::slow_memories(accelerator, profile, &point);
            let clock_too_fast = !slow.is_empty();
            Ok(EnergyAtVoltage { vdd_mv, point, report: at(&point), verdict, clock_too_fast })
        })
        .collect::<Result<_, Failure>>()?;
    if let Some(point) = points.iter().find(|point| !point.report.total_nj.is_finite()) {
        return Err(Diagnostic::new(
            "no-clock",
            format!("at {} mV nothing conducts: the clock is 0", point.vdd_mv),
        )
        .hint("name a higher voltage, or `--clock fixed`")
        .into());
    }
    let known = points.iter().enumerate();
    let known = known.map(|(index, point)| (index, point.report.total_nj, point.verdict.accuracy));
    let least = Least::of(&known.collect::<Vec<_>>());
    let Least { kept, reached, of_all } = least;
    let least_of_all = of_all.unwrap_or(0);
    let shown = &points[kept.unwrap_or(least_of_all)];
    let area = area::components(accelerator);
    let summaries: Vec<Point> =
        points.iter().map(|point| summary(point, &priced, &nominal)).collect();
    let energy = Energy {
        accelerator: accelerator.name().to_owned(),
        profile: profile.name().to_owned(),
        model: priced.work.name.clone(),
        placement,
        vdd_mv: follows(args).then_some(shown.vdd_mv),
        supplies_mv: (&shown.point).into(),
        vdd_nominal_mv: profile.v_ref_mv(),
        report: shown.report.clone(),
        nominal_total_nj: nominal.total_nj,
        saving: energy::saving(&nominal, &shown.report),
        verdict: shown.verdict,
        accuracy_source: priced.source(&points),
        clock_too_fast: shown.clock_too_fast,
        clean_down_to_mv: priced.clean_down_to_mv(),
        least: kept,
        least_reached: reached,
        least_of_all,
        points: summaries,
        area_mm2: area.iter().map(|component| component.area_mm2).sum(),
        area,
        constants: accelerator.energy.entries().to_vec(),
        sources: energy::sources(accelerator, profile),
        mappings: layers.iter().map(LayerMapping::of).collect(),
        rows: rows(args, &points),
    };
    write(args, accelerator, &energy, &points)?;
    Ok(energy)
}

/// Says where a network is larger than the weight memory.
fn note_weights(accelerator: &Accelerator, work: &Work, placement: Placement) {
    let memory = accelerator.memories.weight.bits();
    let Some(bits) = work.graph.as_ref().map(weight_bits).filter(|&bits| bits > memory) else {
        return;
    };
    let kib = |bits: u64| bits as f64 / 8192.0;
    let what = match placement {
        Placement::Streamed => "they are fetched for every inference",
        Placement::Resident => "they are priced as if they did",
    };
    say(&format!(
        "note: the weights of {:.1} KiB do not fit in the weight memory of {:.1} KiB: {what}",
        kib(bits),
        kib(memory)
    ));
}

impl Priced<'_> {
    /// Refuses a sweep of something else, and voltages that move nothing.
    fn check(&self) -> Result<(), Failure> {
        let Self { args, accelerator, profile, work, placement, accuracy } = self;
        if !follows(args) && args.vdd_mv.0.len() > 1 {
            let message = "the voltages of `--vdd-mv` move no supply";
            return Err(Diagnostic::new("no-rail", message)
                .hint("`--rail` holds each lowered one: name one voltage, or lower others with `--rails`")
                .into());
        }
        let (Some(accuracy), Some(graph)) = (accuracy, &work.graph) else { return Ok(()) };
        let lowest = args.vdd_mv.0.iter().copied().fold(f64::INFINITY, f64::min);
        let at_lowest = accuracy::supplies(accelerator, &operating_point(args, profile, lowest)?);
        let lowered = at_lowest.map(|vdd_mv| *vdd_mv < profile.v_ref_mv());
        accuracy
            .check(graph, profile, &lowered)
            .and_then(|()| accuracy.check_design(graph, accelerator, *placement))
            .map_err(|differs| accuracy.refused(&differs).into())
    }

    /// The memories on rails that are lowered.
    fn lowered(&self) -> PerMemory<bool> {
        let own = self.args.rail.iter().map(|&(rail, _)| rail);
        let rails: Vec<Rail> = self.args.rails.rails().iter().copied().chain(own).collect();
        accuracy::memories_on(&self.accelerator, &rails)
    }

    /// Faulty cells expected in the lowered memories, if the weights are known.
    fn faulty_cells(&self, point: &OperatingPoint) -> Option<f64> {
        let graph = self.work.graph.as_ref()?;
        let cells = accuracy::data_cells(&self.accelerator, weight_bits(graph), self.placement);
        let supplies = accuracy::supplies(&self.accelerator, point);
        let lowered = self.lowered();
        Some(accuracy::faulty_cells_expected(&self.profile, &cells, &supplies, &lowered))
    }

    fn verdict(&self, point: &OperatingPoint) -> Verdict {
        let supplies = accuracy::supplies(&self.accelerator, point);
        let faulty_cells = self.faulty_cells(point);
        let accuracy = self.accuracy.as_ref();
        accuracy::verdict(accuracy, true, &supplies, &self.lowered(), faulty_cells)
    }

    fn clean_down_to_mv(&self) -> Option<f64> {
        let follows = follows(self.args) && accuracy::any(&self.lowered());
        self.work.graph.as_ref().filter(|_| follows)?;
        accuracy::clean_down_to_mv(&self.profile, |vdd_mv| {
            let point = operating_point(self.args, &self.profile, vdd_mv).ok();
            point.and_then(|point| self.faulty_cells(&point)).unwrap_or(f64::INFINITY)
        })
    }

    /// Where the accuracy comes from, in words.
    fn source(&self, points: &[EnergyAtVoltage]) -> String {
        let has_numbers = |point: &&EnergyAtVoltage| point.verdict.rerr_mean.is_some();
        match (&self.accuracy, &self.work.graph) {
            (_, Some(_)) if !accuracy::any(&self.lowered()) => NOMINAL.to_owned(),
            (Some(accuracy), _) => match points.len() - points.iter().filter(has_numbers).count() {
                0 => accuracy.words(),
                without => format!(
                    "{}; it has no numbers at {without} of {} voltages here, those that it has: {}",
                    accuracy.words(),
                    points.len(),
                    accuracy.swept()
                ),
            },
            (None, None) => {
                "accuracy and faulty cells unknown: the weights have no values".to_owned()
            }
            (None, Some(_)) => match self.clean_down_to_mv() {
                Some(mv) => format!(
                    "accuracy unknown below {mv} mV, where `{}` expects one faulty cell or more; {CLEAN}; \
                     `--accuracy DIR` takes it from a sweep",
                    self.profile.name()
                ),
                None => format!(
                    "accuracy known only where it is `clean`; {CLEAN}; `--accuracy DIR` takes it from a sweep"
                ),
            },
        }
    }
}

fn weight_bits(graph: &Graph) -> u64 {
    graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum()
}

/// How the layers run: as the accelerator's file says, but for the placement that is asked for.
fn schedule(args: &EnergyArgs, accelerator: &Accelerator) -> Result<Schedule, Failure> {
    let schedule = Schedule::of(accelerator);
    let placement = match args.placement {
        None => return Ok(schedule),
        Some(PlacementArg::Resident) => Placement::Resident,
        Some(PlacementArg::Streamed) => Placement::Streamed,
    };
    if placement == Placement::Resident && schedule.cycle_model == CycleModel::ScalesimV3 {
        return Err(Diagnostic::new("placement", "SCALE-Sim's model streams all weights")
            .hint("leave `--placement` away, or set `cycle_model = \"causal\"` in the accelerator's file")
            .into());
    }
    Ok(Schedule { weights: placement.residence(), ..schedule })
}

/// Whether a supply has the voltage of `--vdd-mv`.
fn follows(args: &EnergyArgs) -> bool {
    let is_own = |rail: &Rail| args.rail.iter().any(|(own, _)| own == rail);
    !args.rails.rails().iter().all(is_own)
}

impl Answer for Energy {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    fn table(&self) -> String {
        if self.points.len() > 1 { show_curve(self) } else { show(self) }
    }
}

/// The accelerator, with the energies of a reference table if one is given.
fn accelerator(args: &EnergyArgs) -> Result<Accelerator, Failure> {
    let accelerator = Names::typed().accelerator(args.accelerator.as_str())?;
    let Some(path) = &args.ert else { return Ok(accelerator) };
    let source = vmin_files::text("reference table", path)
        .map_err(|error| error.diagnostic().hint("name an `ERT.yaml` of Accelergy"))?;
    let names = args.ert_map.iter().cloned().collect();
    let (accelerator, notes) = ert::import(&accelerator, &source, &names)?;
    for note in notes {
        say(&format!("note: {note}"));
    }
    Ok(accelerator)
}

fn operating_point(
    args: &EnergyArgs,
    profile: &VoltageProfile,
    vdd_mv: f64,
) -> Result<OperatingPoint, Failure> {
    let point = args.rails.at(profile, vdd_mv).map_err(|error| {
        Diagnostic::new("no-law", error.to_string()).hint("leave logic nominal: `--rails memories`")
    })?;
    let point = args.rail.iter().fold(point, |point, &(rail, vdd_mv)| point.with(rail, vdd_mv));
    Ok(match args.clock {
        ClockArg::Follows => point,
        ClockArg::Fixed => point.with_clock(Clock::Fixed),
    })
}

fn summary(point: &EnergyAtVoltage, priced: &Priced<'_>, nominal: &EnergyReport) -> Point {
    let report = &point.report;
    let supplies = accuracy::supplies(&priced.accelerator, &point.point);
    let lowest = supplies.iter().map(|(_, vdd_mv)| *vdd_mv).fold(f64::INFINITY, f64::min);
    Point {
        vdd_mv: follows(priced.args).then_some(point.vdd_mv),
        supplies_mv: (&point.point).into(),
        cell_fault_rate: priced.profile.cell_fault_rate(lowest),
        verdict: point.verdict,
        clock_too_fast: point.clock_too_fast,
        total_nj: report.total_nj,
        latency_us: report.latency_us,
        energy_delay_nj_us: report.total_nj * report.latency_us,
        saving: energy::saving(nominal, report),
        by_component: report.by_component,
        by_rail: report.by_rail,
    }
}

fn rows(args: &EnergyArgs, points: &[EnergyAtVoltage]) -> Vec<Row> {
    let of_layer = |point: &EnergyAtVoltage, layer: &energy::LayerEnergy| {
        let (vdd_mv, verdict) = (follows(args).then_some(point.vdd_mv), point.verdict);
        let name = layer.name.clone();
        layer.by_component.list().map(move |(component, energy_nj)| Row {
            vdd_mv,
            layer: name.clone(),
            component,
            energy_nj,
            accuracy: verdict.accuracy.word(),
            faulty_cells_expected: verdict.faulty_cells_expected,
            rerr_mean: verdict.rerr_mean,
            yield_fraction: verdict.yield_fraction,
            yield_shown: verdict.yield_shown,
            clock_too_fast: point.clock_too_fast,
        })
    };
    points
        .iter()
        .flat_map(|point| point.report.layers.iter().flat_map(move |layer| of_layer(point, layer)))
        .collect()
}

/// Writes the files asked for, all or none.
fn write(
    args: &EnergyArgs,
    accelerator: &Accelerator,
    energy: &Energy,
    points: &[EnergyAtVoltage],
) -> Result<(), Failure> {
    let mut made: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    if let Some(path) = &args.export_ert {
        made.push((path.clone(), files::ENERGIES.headed(&ert::export(accelerator)).into_bytes()));
    }
    if let Some(path) = &args.export_art {
        made.push((path.clone(), files::AREAS.headed(&ert::export_area(accelerator)).into_bytes()));
    }
    if let Some(path) = &args.report {
        let json = serde_json::to_string(energy).map_err(std::io::Error::from)?;
        let page = energy_page(&EnergyPage {
            model: &energy.model,
            accelerator: &energy.accelerator,
            profile: &energy.profile,
            supplies: &supplies(&energy.points, energy.vdd_nominal_mv),
            placement: energy.placement.word(),
            points,
            least: energy.least,
            least_reached: energy.least_reached,
            least_of_all: energy.least_of_all,
            accuracy: &energy.accuracy_source,
            sources: &energy.sources,
            area: &energy.area,
            json: &json,
        });
        made.push((path.clone(), page.into_bytes()));
    }
    if let Some(path) = &args.parquet {
        made.push((path.clone(), columns::parquet(&energy.rows, &[], "energy")?));
    }
    for (path, like) in [
        (&args.export_ert, files::ENERGIES),
        (&args.export_art, files::AREAS),
        (&args.report, files::Output::page("energy")),
        (&args.parquet, files::Output::parquet("energy")),
    ] {
        path.as_deref().map_or(Ok(()), |path| files::check(path, like))?;
    }
    let set: Vec<(PathBuf, &[u8])> =
        made.iter().map(|(path, bytes)| (path.clone(), bytes.as_slice())).collect();
    write_set(&set).map_err(|(path, error)| unwritable(&path, &error))?;
    for (path, _) in &made {
        say(&format!("wrote `{}`", Path::display(path)));
    }
    Ok(())
}
