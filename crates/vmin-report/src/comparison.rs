//! Several sweeps in one picture and one table.

use std::fmt::Write;

use plotters::prelude::{RGBColor, SeriesLabelPosition};
use vmin_sweep::statistics::{share_words, yield_words};
use vmin_sweep::{Point, Results};

use crate::html::{begin, end, escape, mean_std, percent, rate};
use crate::plot::{Axes, BLUE, GREEN, GREY, ORANGE, Series, VIOLET, draw, standalone};

/// Most sweeps of one comparison: the number of distinct colours.
pub const SWEEPS_MAX: usize = 8;

const COLORS: [RGBColor; SWEEPS_MAX] = [
    BLUE,
    ORANGE,
    GREEN,
    VIOLET,
    RGBColor(219, 39, 119),
    RGBColor(8, 145, 178),
    RGBColor(133, 77, 14),
    GREY,
];

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
    let mut page = begin("Sweeps compared");
    page.push_str(
        "<h2>Test error under bit errors, mean over chips</h2>\n<div class=\"figures\">\n",
    );
    for figure in [Over::Voltage, Over::Rate].into_iter().filter_map(|over| figure(sweeps, over)) {
        let _ = writeln!(page, "<div class=\"card\">{figure}</div>");
    }
    page.push_str("</div>\n");
    settings(&mut page, sweeps);
    points(&mut page, sweeps);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-comparison", json);
    page
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
    let all = || curves.iter().flatten();
    let (low, high) = all()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &(x, _)| (low.min(x), high.max(x)));
    if low > high {
        return None;
    }
    let top = all().map(|&(_, y)| y).fold(0.0, f64::max);
    let pad = ((high - low) * 0.03).max(5.0);
    let (x, x_label, legend) = match over {
        Over::Voltage => {
            ((low - pad, high + pad), "swept supply (mV)", SeriesLabelPosition::UpperRight)
        }
        Over::Rate => {
            ((low * 0.7, high * 1.4), "share of faulty cells (%)", SeriesLabelPosition::UpperLeft)
        }
    };
    let series: Vec<_> = sweeps
        .iter()
        .zip(&curves)
        .zip(COLORS)
        .map(|((sweep, points), color)| Series::Line {
            label: sweep.label,
            color,
            points: points.clone(),
        })
        .collect();
    Some(draw(
        &Axes {
            title: "",
            x_label,
            y_label: "test error (%)",
            x,
            y: (0.0, (top * 1.05).clamp(2.0, 105.0)),
            x_logarithmic: over == Over::Rate,
            y_logarithmic: false,
            legend,
        },
        &series,
    ))
}

fn settings(page: &mut String, sweeps: &[Compared<'_>]) {
    page.push_str(
        "<h2>Settings</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>sweep</th><th>network</th>\
         <th>bits</th><th>accelerator</th><th>placement</th><th>fault kind</th><th>profile</th>\
         <th>chips</th><th>images</th><th>clean<br>error</th><th>target</th>\
         <th>V<sub>DD</sub> (mV)<br>reached</th><th>V<sub>DD</sub> (mV)<br>shown</th></tr></thead>\n<tbody>\n",
    );
    for Compared { label, results } in sweeps {
        let setting = &results.setting;
        let mv = |mv: Option<f64>| mv.map_or_else(|| "none".to_owned(), |mv| mv.to_string());
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
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
            mv(results.vmin.reached_mv),
            mv(results.vmin.shown_mv),
        );
    }
    page.push_str(
        "</tbody></table></div>\n<p><b>Reached</b>: lowest swept voltage at which the sampled chips reach the \
         target; <b>shown</b>: at which they show it for all chips, at the confidence of the experiment.</p>\n",
    );
    let mut references: Vec<_> = sweeps.iter().map(|s| s.results.setting.vdd_reference).collect();
    references.dedup();
    references.into_iter().for_each(|reference| crate::html::reference(page, reference));
}

fn points(page: &mut String, sweeps: &[Compared<'_>]) {
    page.push_str(
        "<h2>Points</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>V<sub>DD</sub> (mV)</th>",
    );
    for sweep in sweeps {
        let label = escape(sweep.label);
        let _ = write!(page, "<th>{label}<br>faulty cells</th><th>RErr (%)</th><th>yield</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for vdd_mv in voltages(sweeps) {
        let _ = write!(page, "<tr><td>{vdd_mv}</td>");
        for sweep in sweeps {
            match sweep.results.points.iter().find(|point| point.vdd_mv == vdd_mv) {
                Some(point) => {
                    let _ = write!(
                        page,
                        "<td>{}</td><td>{}</td><td>{}</td>",
                        rate(point.cell_fault_rate),
                        mean_std(point.rerr_mean, point.rerr_std, point.chips),
                        yield_words(point.chips_within_budget, point.chips),
                    );
                }
                None => page.push_str("<td></td><td></td><td></td>"),
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}
