//! `vmin energy`: energy of one inference per layer and component, at one voltage or many.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::area::{self, ComponentArea};
use vmin_accel::energy::{
    self, ByRail, Clock, Components, EnergyEntry, EnergyReport, OperatingPoint, Rail, Saving, ert,
};
use vmin_accel::mapping::{Home, LoopOrder};
use vmin_accel::{Accelerator, LayerReport, Schedule, VoltageProfile, cycles};
use vmin_diagnostic::Diagnostic;
use vmin_files::write_set;
use vmin_report::{EnergyAtVoltage, EnergyPage, energy_page};
use vmin_sweep::names::Names;

use crate::args::{ClockArg, EnergyArgs, RailsArg};
use crate::failure::{say, unwritable};
use crate::{Answer, Failure, answer, columns, files};

/// Energy of one inference at the least of the voltages asked for, and a summary of all.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Energy {
    accelerator: String,
    profile: String,
    model: String,
    rails: &'static str,
    vdd_mv: f64,
    vdd_nominal_mv: f64,
    #[serde(flatten)]
    report: EnergyReport,
    nominal_total_nj: f64,
    saving: Saving,
    points: Vec<Point>,
    area_mm2: f64,
    area: Vec<ComponentArea>,
    constants: Vec<EnergyEntry>,
    mappings: Vec<LayerMapping>,
    #[serde(skip)]
    rows: Vec<Row>,
    #[serde(skip)]
    least: usize,
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
    vdd_mv: f64,
    cell_fault_rate: f64,
    total_nj: f64,
    latency_us: f64,
    energy_delay_nj_us: f64,
    saving: Saving,
    by_component: Components,
    by_rail: ByRail,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    vdd_mv: f64,
    layer: String,
    component: &'static str,
    energy_nj: f64,
}

/// Prices one inference at each voltage and writes the files that are asked for.
///
/// # Errors
/// A name leads nowhere, a voltage is out of reach, or a file cannot be written.
pub fn run(args: &EnergyArgs) -> Result<Energy, Failure> {
    let accelerator = accelerator(args)?;
    let profile = Names::typed().profile(args.profile.as_str())?;
    for &vdd_mv in &args.vdd_mv.0 {
        profile.check(vdd_mv)?;
    }
    for &(_, vdd_mv) in &args.rail {
        profile.check(vdd_mv)?;
    }
    let graph = Names::typed().model(args.model.as_str())?;
    let layers =
        vmin_accel::layers_of_graph(&graph).map_err(|error| Failure::input("model", &error))?;
    super::cycles::note_unused(&accelerator, &layers);
    let layers = cycles::run(&accelerator, Schedule::of(&accelerator), &layers);
    let at = |point| energy::per_inference(&accelerator, &profile, &layers, &point);
    let nominal = at(OperatingPoint::nominal(&profile));
    let points: Vec<EnergyAtVoltage> = args
        .vdd_mv
        .0
        .iter()
        .map(|&vdd_mv| EnergyAtVoltage {
            vdd_mv,
            report: at(operating_point(args, &profile, vdd_mv)),
        })
        .collect();
    if let Some(point) = points.iter().find(|point| !point.report.total_nj.is_finite()) {
        return Err(Diagnostic::new(
            "no-clock",
            format!("at {} mV nothing conducts: the clock is 0", point.vdd_mv),
        )
        .hint("name a higher voltage, or `--clock fixed`")
        .into());
    }
    let least = (0..points.len())
        .min_by(|&a, &b| points[a].report.total_nj.total_cmp(&points[b].report.total_nj))
        .unwrap_or(0);
    let area = area::components(&accelerator);
    let report = &points[least].report;
    let energy = Energy {
        accelerator: accelerator.name().to_owned(),
        profile: profile.name().to_owned(),
        model: args.model.clone(),
        rails: rails(args.rails),
        vdd_mv: points[least].vdd_mv,
        vdd_nominal_mv: profile.v_ref_mv(),
        report: report.clone(),
        nominal_total_nj: nominal.total_nj,
        saving: energy::saving(&nominal, report),
        points: points.iter().map(|point| summary(point, &profile, &nominal)).collect(),
        area_mm2: area.iter().map(|component| component.area_mm2).sum(),
        area,
        constants: accelerator.energy.entries().to_vec(),
        mappings: layers.iter().map(LayerMapping::of).collect(),
        rows: rows(&points),
        least,
    };
    write(args, &accelerator, &energy, &points)?;
    Ok(energy)
}

impl Answer for Energy {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    fn table(&self) -> String {
        if self.points.len() > 1 { show_curve(self, self.least) } else { show(self) }
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

fn operating_point(args: &EnergyArgs, profile: &VoltageProfile, vdd_mv: f64) -> OperatingPoint {
    let point = match args.rails {
        RailsArg::Weight => OperatingPoint::nominal(profile).with(Rail::Weight, vdd_mv),
        RailsArg::Memories => OperatingPoint::memories(profile, vdd_mv),
        RailsArg::Chip => OperatingPoint::chip(profile, vdd_mv),
    };
    let point = args.rail.iter().fold(point, |point, &(rail, vdd_mv)| point.with(rail, vdd_mv));
    match args.clock {
        ClockArg::Follows => point,
        ClockArg::Fixed => point.with_clock(Clock::Fixed),
    }
}

const fn rails(rails: RailsArg) -> &'static str {
    match rails {
        RailsArg::Weight => "weight memory",
        RailsArg::Memories => "memories",
        RailsArg::Chip => "memories and logic",
    }
}

fn summary(point: &EnergyAtVoltage, profile: &VoltageProfile, nominal: &EnergyReport) -> Point {
    let report = &point.report;
    Point {
        vdd_mv: point.vdd_mv,
        cell_fault_rate: profile.cell_fault_rate(point.vdd_mv),
        total_nj: report.total_nj,
        latency_us: report.latency_us,
        energy_delay_nj_us: report.total_nj * report.latency_us,
        saving: energy::saving(nominal, report),
        by_component: report.by_component,
        by_rail: report.by_rail,
    }
}

fn rows(points: &[EnergyAtVoltage]) -> Vec<Row> {
    let of_layer = |vdd_mv: f64, layer: &energy::LayerEnergy| {
        let name = layer.name.clone();
        layer.by_component.list().map(move |(component, energy_nj)| Row {
            vdd_mv,
            layer: name.clone(),
            component,
            energy_nj,
        })
    };
    points
        .iter()
        .flat_map(|point| {
            point.report.layers.iter().flat_map(move |layer| of_layer(point.vdd_mv, layer))
        })
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
        made.push((path.clone(), ert::export(accelerator).into_bytes()));
    }
    if let Some(path) = &args.export_art {
        made.push((path.clone(), ert::export_area(accelerator).into_bytes()));
    }
    if let Some(path) = &args.report {
        let json = serde_json::to_string(energy).map_err(std::io::Error::from)?;
        let page = energy_page(&EnergyPage {
            model: &energy.model,
            accelerator: &energy.accelerator,
            profile: &energy.profile,
            rails: energy.rails,
            points,
            least: energy.least,
            constants: &energy.constants,
            area: &energy.area,
            json: &json,
        });
        made.push((path.clone(), page.into_bytes()));
    }
    if let Some(path) = &args.parquet {
        made.push((path.clone(), columns::parquet(&energy.rows, &[])?));
    }
    for (path, like) in [
        (&args.export_ert, files::REFERENCE_TABLE),
        (&args.export_art, files::REFERENCE_TABLE),
        (&args.report, files::PAGE),
        (&args.parquet, files::PARQUET),
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

/// Columns that a narrow table lacks.
const SPARE: [&str; 6] = ["vector", "registers", "leakage", "us", "faulty cells", "mac"];

fn show_curve(energy: &Energy, least: usize) -> String {
    let components = energy.report.by_component.list();
    let components = components.map(|(component, _)| component.replace('_', " "));
    let mut header = vec!["mV", "faulty cells", "us"];
    header.extend(components.iter().map(String::as_str));
    header.extend(["total (nJ)", "saved", ""]);
    let rows = energy.points.iter().enumerate().map(|(index, point)| {
        let mut row = vec![
            point.vdd_mv.to_string(),
            answer::rate(point.cell_fault_rate),
            format!("{:.1}", point.latency_us),
        ];
        row.extend(point.by_component.list().iter().map(|(_, nj)| format!("{nj:.1}")));
        row.push(format!("{:.1}", point.total_nj));
        row.push(answer::percent(point.saving.total, 2));
        row.push(if index == least { "<- least".to_owned() } else { String::new() });
        row
    });
    let table = answer::fitted(&header, 0, &SPARE, rows);
    let ends = least == 0 || least + 1 == energy.points.len();
    let end =
        if ends { "; it is an end of the range, the true minimum may lie beyond" } else { "" };
    let notes: String = energy.report.notes.iter().map(|note| format!("\nnote: {note}")).collect();
    format!(
        "{} on {}, {} from {} mV nominal ({})\n{table}\nleast energy {:.2} nJ per inference at {} mV{end}{notes}",
        energy.model,
        energy.accelerator,
        energy.rails,
        energy.vdd_nominal_mv,
        energy.profile,
        energy.report.total_nj,
        energy.vdd_mv,
    )
}

fn show(energy: &Energy) -> String {
    let report = &energy.report;
    let components = report.by_component.list();
    let components = components.map(|(component, _)| component.replace('_', " "));
    let mut header = vec!["layer"];
    header.extend(components.iter().map(String::as_str));
    header.push("total (nJ)");
    let row = |name: &str, list: &[(&str, f64)], total: f64| {
        let mut row = vec![name.to_owned()];
        row.extend(list.iter().map(|(_, nj)| format!("{nj:.2}")));
        row.push(format!("{total:.2}"));
        row
    };
    let mut rows: Vec<_> = report
        .layers
        .iter()
        .map(|layer| row(&layer.name, &layer.by_component.list(), layer.total_nj))
        .collect();
    rows.push(row("all", &report.by_component.list(), report.total_nj));
    let table = answer::fitted(&header, 1, &SPARE, rows);
    let constants = answer::table(
        &["constant", "source", "pJ"],
        2,
        energy.constants.iter().map(|entry| {
            vec![entry.action.name().to_owned(), entry.source.clone(), format!("{:.4}", entry.pj)]
        }),
    );
    let area = answer::table(
        &["area", "source", "mm2"],
        2,
        energy.area.iter().map(|component| {
            vec![
                component.component.to_owned(),
                component.source.clone(),
                format!("{:.4}", component.area_mm2),
            ]
        }),
    );
    let notes: String = report.notes.iter().map(|note| format!("\nnote: {note}")).collect();
    let by_rail: Vec<String> =
        report.by_rail.list().iter().map(|(rail, nj)| format!("{rail} {nj:.2}")).collect();
    let by_rail = by_rail.join(", ");
    format!(
        "{} on {}, {} at {} mV of {} mV ({})\n{table}\n{:.2} nJ per inference, {} less than at the \
         nominal voltage; weight memory accesses {} less; {:.1} us\nby supply (nJ): {by_rail}\n\n{constants}\n\n{area}\n\
         {:.3} mm2 in all, without wires, control and pads{notes}",
        energy.model,
        energy.accelerator,
        energy.rails,
        energy.vdd_mv,
        energy.vdd_nominal_mv,
        energy.profile,
        report.total_nj,
        answer::percent(energy.saving.total, 2),
        answer::percent(energy.saving.weight_memory, 2),
        report.latency_us,
        energy.area_mm2,
    )
}
