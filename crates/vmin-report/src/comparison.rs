//! Several sweeps in one picture and one table.

use std::collections::BTreeSet;
use std::fmt::Write;

use vmin_sweep::statistics::{interval_words, rate_words, share_words, yield_words};
use vmin_sweep::{Point, Results, Setting};

use crate::axis::Axis;
use crate::colors::SERIES;
use crate::figures::{ERROR, SYMLOG, error_axis, extent, level_names, levels};
use crate::html::{
    END_TABLE, begin, begin_table, end, escape, mean_std, percent, reference, tiles,
};
use crate::plot::{Axes, Series, draw, standalone};

/// Most sweeps of one comparison: the number of distinct colours.
pub const SWEEPS_MAX: usize = SERIES.len();

/// A sweep and its label.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'r> {
    /// Its label.
    pub label: &'r str,
    /// Its results.
    pub results: &'r Results,
}

/// The horizontal axis of the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The swept voltage.
    Voltage,
    /// The share of faulty cells.
    Rate,
}

/// The figure of mean test errors as an SVG file of its own; none without points.
#[must_use]
pub fn comparison_svg(sweeps: &[Compared<'_>], over: Over) -> Option<String> {
    figure(sweeps, over).map(|svg| standalone(&svg))
}

/// The comparison as one HTML document that opens offline; `json` are its numbers.
#[must_use]
pub fn comparison_page(sweeps: &[Compared<'_>], json: &str) -> String {
    let mut page = begin("Sweeps compared", "compare");
    tiles(&mut page, &answers(sweeps));
    page.push_str(
        "<h2>Test error under bit errors, mean over chips</h2>\n<div class=\"figures\">\n",
    );
    for svg in [Over::Voltage, Over::Rate].into_iter().filter_map(|over| figure(sweeps, over)) {
        crate::html::figure(&mut page, false, &svg);
    }
    let _ = writeln!(page, "</div>\n<p>{SYMLOG}</p>");
    settings(&mut page, sweeps);
    points(&mut page, sweeps);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-comparison", json);
    page
}

/// Where the sweeps ask different questions, so that their answers have no order: what differs, and the way out.
#[must_use]
pub fn not_ranked(sweeps: &[Compared<'_>]) -> Option<String> {
    let settings = || sweeps.iter().map(|sweep| &sweep.results.setting);
    let listed = |what: &str, of: &dyn Fn(&Setting) -> String| {
        let mut words: Vec<String> = settings().map(of).collect();
        words.dedup();
        (words.len() > 1).then(|| format!("{what} ({})", words.join(", ")))
    };
    let differ: Vec<String> = [
        listed("target of yield", &|of| share_words(of.yield_target, 0)),
        listed("budget of loss", &|of| share_words(of.accuracy_loss_max, 2)),
        listed("confidence", &|of| share_words(of.confidence, 0)),
        listed("images", &|of| of.data.clone()).or_else(|| other_images(sweeps)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!differ.is_empty()).then(|| {
        format!(
            "not ranked: the sweeps differ in {}; `vmin sweep --resume` answers another `[yield]` without a run",
            differ.join(", ")
        )
    })
}

/// Told where sweeps of one data set classified other images of it.
fn other_images(sweeps: &[Compared<'_>]) -> Option<String> {
    let digests = sweeps.iter().map(|sweep| {
        let inputs = sweep.results.provenance.inputs.iter();
        inputs.filter(|input| input.role == "data").map(|input| &input.sha256[..]).collect()
    });
    let digests: BTreeSet<Vec<&str>> = digests.collect();
    (digests.len() > 1).then(|| "images (others of the same set)".to_owned())
}

/// The sweeps that go lowest, save most and err least.
fn answers(sweeps: &[Compared<'_>]) -> Vec<(String, String)> {
    // The least value, and every sweep that has it.
    let least = |of: &dyn Fn(&Results) -> Option<f64>| {
        let values = || sweeps.iter().filter_map(|sweep| Some((of(sweep.results)?, sweep.label)));
        let (least, _) = values().min_by(|a, b| a.0.total_cmp(&b.0))?;
        let labels = values().filter(|(value, _)| *value == least).map(|(_, label)| label);
        Some((least, labels.collect::<Vec<_>>().join(", ")))
    };
    let mut answers = vec![(sweeps.len().to_string(), "sweeps compared".to_owned())];
    if let Some(why) = not_ranked(sweeps) {
        let why = why.trim_start_matches("not ranked: ").replace('`', "");
        answers.push(("not ranked".to_owned(), why));
        return answers;
    }
    let mut references = sweeps.iter().map(|sweep| sweep.results.setting.vdd_reference);
    let first = references.next();
    // Voltages relative to different references are not comparable.
    if references.all(|reference| Some(reference) == first) {
        answers.push(match least(&|results| results.vmin.reached_mv) {
            Some((mv, label)) => (format!("{mv} mV"), format!("lowest voltage reached: {label}")),
            None => ("none".to_owned(), "reaches its target at a swept voltage".to_owned()),
        });
    }
    let saving = |results: &Results| {
        let at = |point: &&Point| Some(point.vdd_mv) == results.vmin.reached_mv;
        results.points.iter().find(at).map(|point| -point.energy_saving)
    };
    if let Some((saving, label)) = least(&saving) {
        let words = format!("of the energy of an inference saved at the voltage reached: {label}");
        answers.push((percent(-saving, 1), words));
    }
    if let Some((err, label)) = least(&|results| Some(results.clean.err)) {
        answers.push((percent(err, 2), format!("least clean test error: {label}")));
    }
    answers
}

/// Voltages of all sweeps, falling, each once.
#[must_use]
pub fn voltages(sweeps: &[Compared<'_>]) -> Vec<f64> {
    let mut voltages: Vec<f64> = sweeps
        .iter()
        .flat_map(|sweep| sweep.results.points.iter().map(|point| point.vdd_mv))
        .collect();
    voltages.sort_by(|a, b| b.total_cmp(a));
    voltages.dedup();
    voltages
}

fn figure(sweeps: &[Compared<'_>], over: Over) -> Option<String> {
    let at = |point: &Point| match over {
        Over::Voltage => Some(point.vdd_mv),
        Over::Rate => (point.cell_fault_rate > 1e-9).then_some(point.cell_fault_rate * 100.0),
    };
    let curves: Vec<Vec<(f64, f64)>> = sweeps
        .iter()
        .map(|sweep| {
            let points = sweep.results.points.iter();
            points.filter_map(|point| Some((at(point)?, point.rerr_mean * 100.0))).collect()
        })
        .collect();
    let (low, high) = extent(curves.iter().flatten().map(|point| point.0));
    if low > high {
        return None;
    }
    let pad = ((high - low) * 0.03).max(5.0);
    let (x, x_label) = match over {
        Over::Voltage => (Axis::linear(low - pad, high + pad), "swept supply (mV)"),
        Over::Rate => (Axis::logarithmic(low * 0.7, high * 1.4), "share of faulty cells (%)"),
    };
    let names: Vec<_> = sweeps.iter().map(|sweep| level_names(sweep.results)).collect();
    let mut series = Vec::new();
    match names.split_first() {
        Some((first, others)) if others.iter().all(|names| names == first) => {
            series.extend(levels(sweeps[0].results, first));
        }
        Some(_) | None => {
            for ((sweep, [_, budget]), color) in sweeps.iter().zip(&names).zip(SERIES) {
                let Compared { label: _, results } = sweep;
                let y = (results.clean.err + results.setting.accuracy_loss_max) * 100.0;
                series.push(Series::Level { label: budget, color, y });
            }
        }
    }
    for ((sweep, points), color) in sweeps.iter().zip(curves).zip(SERIES) {
        series.push(Series::Line { label: sweep.label, color, points });
    }
    let y = error_axis(sweeps.iter().map(|sweep| sweep.results));
    Some(draw(&Axes { title: "", x_label, y_label: ERROR, x, y }, &series))
}

fn settings(page: &mut String, sweeps: &[Compared<'_>]) {
    page.push_str("<h2>Settings</h2>\n<div class=\"words\">\n");
    begin_table(
        page,
        "What each sweep ran, and the lowest voltage at which it meets its target",
        &[
            "sweep",
            "network",
            "bits",
            "accelerator",
            "placement",
            "fault kind",
            "profile",
            "chips",
            "images",
            "clean error",
            "target",
            "V<sub>DD</sub> (mV)<br>reached",
            "V<sub>DD</sub> (mV)<br>shown",
        ],
    );
    for Compared { label, results } in sweeps {
        let setting = &results.setting;
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(label),
            escape(&setting.model),
            setting.weight_bits,
            escape(&setting.accelerator),
            escape(&setting.placement),
            escape(&setting.fault_kind),
            escape(&setting.profile),
            results.chips.len(),
            results.clean.images,
            percent(results.clean.err, 2),
            format_args!("{} {}", share_words(setting.yield_target, 0), setting.budget()),
            escape(&results.vmin.reached_words()),
            escape(&results.vmin.shown_words()),
        );
    }
    page.push_str(END_TABLE);
    page.push_str(
        "</div>\n<p><b>Reached</b>: lowest swept voltage at which the sampled chips reach the \
         target; <b>shown</b>: at which they show it for all chips, at the confidence of the experiment.</p>\n",
    );
    let mut references: Vec<_> = sweeps.iter().map(|s| s.results.setting.vdd_reference).collect();
    references.dedup();
    references.into_iter().for_each(|of| reference(page, of));
}

fn points(page: &mut String, sweeps: &[Compared<'_>]) {
    page.push_str("<h2>Points</h2>\n");
    let names = sweeps.iter().flat_map(|sweep| {
        let name = escape(sweep.label);
        let faulty = format!("<span class=\"name\">{name}</span><br>faulty cells");
        [faulty, "RErr (%)".to_owned(), "yield, interval".to_owned()]
    });
    let columns: Vec<_> = std::iter::once("V<sub>DD</sub> (mV)".to_owned()).chain(names).collect();
    let columns: Vec<_> = columns.iter().map(String::as_str).collect();
    begin_table(page, "Errors and yield of each sweep at each voltage", &columns);
    for vdd_mv in voltages(sweeps) {
        let _ = write!(page, "<tr><th scope=\"row\">{vdd_mv}</th>");
        for sweep in sweeps {
            match sweep.results.points.iter().find(|point| point.vdd_mv == vdd_mv) {
                Some(point) => {
                    let _ = write!(
                        page,
                        "<td>{}</td><td>{}</td><td>{}, {}</td>",
                        rate_words(point.cell_fault_rate),
                        mean_std(point.rerr_mean, point.rerr_std, point.chips),
                        yield_words(point.chips_within_budget, point.chips),
                        interval_words(point.yield_low, point.yield_high),
                    );
                }
                None => page.push_str("<td></td><td></td><td></td>"),
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str(END_TABLE);
}
