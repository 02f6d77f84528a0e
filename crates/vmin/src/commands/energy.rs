//! `vmin energy`: energy of one inference per layer and component.

use serde::Serialize;
use vmin_accel::energy::{self, EnergyEntry, EnergyReport, OperatingPoint, Saving};

use crate::args::{EnergyArgs, Format};
use crate::failure::Failure;
use crate::{lookup, print};

#[derive(Serialize)]
struct Energy<'a> {
    accelerator: String,
    profile: String,
    model: String,
    vdd_mv: f64,
    vdd_nominal_mv: f64,
    #[serde(flatten)]
    report: &'a EnergyReport,
    nominal_total_nj: f64,
    saving: Saving,
    constants: &'a [EnergyEntry],
}

#[derive(Serialize)]
struct Row {
    layer: String,
    component: &'static str,
    energy_nj: f64,
}

pub(crate) fn run(args: &EnergyArgs) -> Result<(), Failure> {
    let accelerator = lookup::accelerator(&args.accelerator)?;
    let profile = lookup::profile(&args.profile)?;
    lookup::check_voltage(&profile, args.vdd_mv)?;
    let graph = lookup::model(&args.model, None)?;
    let layers = accelerator.map_graph(&graph).map_err(|error| Failure::input("model", &error))?;
    let at = |point| energy::per_inference(&accelerator, &profile, &layers, &point);
    let nominal = at(OperatingPoint::nominal(&profile));
    let report = at(OperatingPoint::weight_memory(&profile, args.vdd_mv));
    let saving = energy::saving(&nominal, &report);
    let energy = Energy {
        accelerator: accelerator.name().to_owned(),
        profile: profile.name().to_owned(),
        model: args.model.clone(),
        vdd_mv: args.vdd_mv,
        vdd_nominal_mv: profile.v_ref_mv(),
        report: &report,
        nominal_total_nj: nominal.total_nj,
        saving,
        constants: accelerator.energy.entries(),
    };
    match args.format.format {
        Format::Json => print::json(&energy),
        Format::Csv => {
            let rows: Vec<Row> = report
                .layers
                .iter()
                .flat_map(|layer| {
                    layer.by_component.list().map(|(component, energy_nj)| Row {
                        layer: layer.name.clone(),
                        component,
                        energy_nj,
                    })
                })
                .collect();
            print::csv(&rows)
        }
        Format::Table => show(&energy),
    }
}

fn show(energy: &Energy<'_>) -> Result<(), Failure> {
    let report = energy.report;
    let mut header = vec!["layer"];
    header.extend(report.by_component.list().map(|(component, _)| component));
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
    let table = print::table(&header, 1, rows);
    let constants = print::table(
        &["constant", "source", "pJ"],
        2,
        energy.constants.iter().map(|entry| {
            vec![entry.action.name().to_owned(), entry.source.clone(), format!("{:.4}", entry.pj)]
        }),
    );
    let notes: String = report.notes.iter().map(|note| format!("\nnote: {note}")).collect();
    print::text_line(&format!(
        "{} on {}, weight memory at {} mV of {} mV ({})\n{table}\n{:.2} nJ per inference, {} less \
         than at the nominal voltage; weight memory accesses {} less; {:.1} us\n\n{constants}{notes}",
        energy.model,
        energy.accelerator,
        energy.vdd_mv,
        energy.vdd_nominal_mv,
        energy.profile,
        report.total_nj,
        print::percent(energy.saving.total, 2),
        print::percent(energy.saving.weight_memory, 2),
        report.latency_us
    ))
}
