//! `vmin compare`: several finished sweeps side by side.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::Diagnostic;
use vmin_report::{COMPARED_MAX, Compared, Over, comparison_page, comparison_svg, not_ranked};
use vmin_sweep::Results;
use vmin_sweep::statistics::share_words;

use crate::args::{CompareArgs, CompareOver};
use crate::commands::report;
use crate::{Answer, Failure, answer, files};

/// The points of several sweeps.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison {
    rows: Vec<Row>,
    /// What differs between the questions of the sweeps, if that forbids to rank their answers.
    not_ranked: Option<String>,
    #[serde(skip)]
    labels: Vec<String>,
    #[serde(skip)]
    sweeps: Vec<Results>,
}

/// One point of one sweep.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    sweep: String,
    vdd_mv: f64,
    cell_fault_rate: f64,
    flip_rate: f64,
    clean_err: f64,
    rerr_mean: f64,
    rerr_std: f64,
    #[serde(rename = "yield")]
    yield_fraction: f64,
    chips_within_budget: u32,
    yield_low: f64,
    yield_high: f64,
    yield_shown: f64,
    yield_target: f64,
    accuracy_loss_max: f64,
    confidence: f64,
    vmin_reached_mv: Option<f64>,
    vmin_shown_mv: Option<f64>,
    energy_per_inference_nj: f64,
    energy_saving: f64,
}

/// Compares finished sweeps and writes the files that are asked for.
///
/// # Errors
/// A folder holds no finished sweep, labels do not match, or a file cannot be written.
pub fn run(args: &CompareArgs) -> Result<Comparison, Failure> {
    if args.folders.len() > COMPARED_MAX {
        return Err(Diagnostic::new(
            "too-many",
            format!("{} sweeps are named", args.folders.len()),
        )
        .allowed(format!("expected at most {COMPARED_MAX}, as many as a figure can tell apart"))
        .into());
    }
    let all =
        args.folders.iter().map(|folder| report::results(folder)).collect::<Result<Vec<_>, _>>()?;
    let labels = labels(args, &all)?;
    let sweeps = compared(&labels, &all);
    let rows: Vec<Row> = sweeps.iter().flat_map(rows_of).collect();
    if let Some(path) = &args.out {
        let json = serde_json::to_string(&rows).map_err(std::io::Error::from)?;
        files::write(
            path,
            comparison_page(&sweeps, &json).as_bytes(),
            files::Output::page("compare"),
        )?;
    }
    if let Some(path) = &args.svg {
        let over = match args.over {
            CompareOver::Voltage => Over::Voltage,
            CompareOver::Rate => Over::Rate,
        };
        let svg = comparison_svg(&sweeps, over).ok_or_else(|| {
            Diagnostic::new("nothing", "the sweeps have no point that could be drawn")
        })?;
        files::write_picture(path, &svg, "compare")?;
    }
    let not_ranked = not_ranked(&sweeps);
    Ok(Comparison { rows, not_ranked, labels, sweeps: all })
}

fn compared<'c>(labels: &'c [String], sweeps: &'c [Results]) -> Vec<Compared<'c>> {
    labels.iter().zip(sweeps).map(|(label, results)| Compared { label, results }).collect()
}

/// The name of each sweep: its label, its experiment or its folder.
fn labels(args: &CompareArgs, all: &[Results]) -> Result<Vec<String>, Failure> {
    if !args.labels.is_empty() {
        if args.labels.len() != all.len() {
            let message =
                format!("{} labels are named for {} sweeps", args.labels.len(), all.len());
            return Err(Diagnostic::new("labels", message)
                .hint("name one `--label` per folder, in the same order, or none")
                .into());
        }
        return Ok(args.labels.clone());
    }
    let twice = |results: &Results| all.iter().filter(|o| o.name == results.name).count() > 1;
    Ok(args
        .folders
        .iter()
        .zip(all)
        .map(
            |(folder, results)| {
                if twice(results) { folder.display().to_string() } else { results.name.clone() }
            },
        )
        .collect())
}

fn rows_of<'r>(sweep: &Compared<'r>) -> impl Iterator<Item = Row> + use<'r> {
    let Compared { label, results } = *sweep;
    results.points.iter().map(move |point| Row {
        sweep: label.to_owned(),
        vdd_mv: point.vdd_mv,
        cell_fault_rate: point.cell_fault_rate,
        flip_rate: point.flip_rate,
        clean_err: results.clean.err,
        rerr_mean: point.rerr_mean,
        rerr_std: point.rerr_std,
        yield_fraction: point.yield_fraction,
        chips_within_budget: point.chips_within_budget,
        yield_low: point.yield_low,
        yield_high: point.yield_high,
        yield_shown: point.yield_shown,
        yield_target: results.setting.yield_target,
        accuracy_loss_max: results.setting.accuracy_loss_max,
        confidence: results.setting.confidence,
        vmin_reached_mv: results.vmin.reached_mv,
        vmin_shown_mv: results.vmin.shown_mv,
        energy_per_inference_nj: point.energy_per_inference_nj,
        energy_saving: point.energy_saving,
    })
}

impl Answer for Comparison {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    /// A column of errors per sweep.
    fn table(&self) -> String {
        let sweeps = &compared(&self.labels, &self.sweeps);
        let mut header = vec!["Vdd (mV)"];
        header.extend(sweeps.iter().map(|sweep| sweep.label));
        let mut rows = vec![
            std::iter::once("clean".to_owned())
                .chain(sweeps.iter().map(|sweep| format!("{:.2}", sweep.results.clean.err * 100.0)))
                .collect::<Vec<_>>(),
        ];
        for vdd_mv in vmin_report::voltages(sweeps) {
            let mut row = vec![vdd_mv.to_string()];
            for sweep in sweeps {
                let point = sweep.results.points.iter().find(|point| point.vdd_mv == vdd_mv);
                row.push(point.map_or_else(String::new, |point| match point.chips {
                    1 => format!("{:.2}", point.rerr_mean * 100.0),
                    _ => {
                        format!("{:.2} ± {:.2}", point.rerr_mean * 100.0, point.rerr_std * 100.0)
                    }
                }));
            }
            rows.push(row);
        }
        let mut row = |name: &str, of: &dyn Fn(&Results) -> String| {
            let cells = sweeps.iter().map(|sweep| of(sweep.results));
            rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
        };
        let mv = |words: String| if words == "none" { words } else { format!("{words} mV") };
        row("target, loss", &|results| {
            let setting = &results.setting;
            let loss = setting.accuracy_loss_max * 100.0;
            format!("{}, {loss:.2}", share_words(setting.yield_target, 0))
        });
        row("reached", &|results| mv(results.vmin.reached_words()));
        row("shown", &|results| mv(results.vmin.shown_words()));
        let table = answer::table(&header, 1, rows);
        let references = sweeps.iter().map(|sweep| sweep.results.setting.vdd_reference);
        let mut notes = vec![LOWEST.to_owned()];
        notes.extend(self.not_ranked.clone());
        notes.extend(references.filter_map(vmin_accel::VddReference::note));
        notes.dedup();
        let notes: Vec<_> = notes.iter().map(|note| answer::wrapped(note)).collect();
        format!(
            "test error under bit errors in %, mean ± std over chips\n{table}\n{}",
            notes.join("\n")
        )
    }
}

/// What the last rows mean.
const LOWEST: &str = "reached, shown: operating voltages, the lowest swept one at which the sampled chips reach the target (share of \
                      chips within a loss, in points of accuracy), and at which they show it at the \
                      confidence of the experiment";
