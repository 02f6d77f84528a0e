//! Remedies in the page of a sweep: one table, one figure.

use std::fmt::Write;

use plotters::prelude::{RGBColor, SeriesLabelPosition};
use vmin_sweep::{RemedyResult, Results};

use crate::html::{energy, escape, percent};
use crate::plot::{Axes, GREEN, ORANGE, Series, draw};

/// Colours in order of use; the first is the unprotected network's. They repeat after the last.
const COLORS: [RGBColor; 14] = [
    RGBColor(15, 23, 42),
    RGBColor(37, 99, 235),
    RGBColor(220, 38, 38),
    RGBColor(217, 119, 6),
    RGBColor(124, 58, 237),
    RGBColor(8, 145, 178),
    RGBColor(219, 39, 119),
    RGBColor(101, 163, 13),
    RGBColor(120, 53, 15),
    RGBColor(100, 116, 139),
    RGBColor(99, 102, 241),
    RGBColor(251, 113, 133),
    RGBColor(20, 184, 166),
    RGBColor(202, 138, 4),
];

fn color(index: usize) -> RGBColor {
    COLORS[index % COLORS.len()]
}

/// Adds the table and the figure to a page, if the experiment has remedies.
pub(crate) fn section(page: &mut String, results: &Results) {
    if results.remedies.is_empty() {
        return;
    }
    let budget = percent(results.setting.accuracy_loss_max, 2);
    let _ = write!(
        page,
        "<h2>Remedies at one budget</h2>\n<p class=\"lead\">The lowest voltage at which the mean error \
         over chips lies within {budget} of the unprotected network's clean error and enough chips \
         do, and what it saves against that network at {} mV. Each line of the picture is one remedy \
         going down in voltage.</p>\n<div class=\"figures\">\n<div class=\"card\" style=\"max-width:800px\">{}</div>\n</div>\n<p></p>\n",
        results.setting.vdd_nominal_mv,
        figure(results)
    );
    page.push_str(
        "<div class=\"scroll\"><table>\n<thead><tr><th>remedy</th><th>clean<br>error</th><th>extra<br>\
         bits</th><th>lowest V<sub>DD</sub><br>(mV)</th><th>RErr<br>there</th><th>yield</th>\
         <th>saved,<br>weight accesses</th><th>energy per<br>inference</th><th>saved,<br>inference</th>\
         <th>latency<br>(µs)</th><th>faulty cells<br>repaired / left</th></tr></thead>\n<tbody>\n",
    );
    let saving = |remedy: &RemedyResult| remedy.best.map(|best| best.access_energy_saving);
    let most = results.remedies.iter().filter_map(saving).fold(f64::NEG_INFINITY, f64::max);
    for (index, remedy) in results.remedies.iter().enumerate() {
        let class = if saving(remedy) == Some(most) { " class=\"best\"" } else { "" };
        let RGBColor(r, g, b) = color(index);
        let _ = write!(
            page,
            "<tr{class}><td title=\"{}\"><span style=\"color:rgb({r},{g},{b})\">&#9632;</span> {}</td>\
             <td>{}</td><td>{}</td>",
            escape(&format!("{}; {}, {} bit", remedy.protection, remedy.model, remedy.weight_bits)),
            escape(&remedy.name),
            percent(remedy.err, 2),
            percent(remedy.extra_bits_share, 1)
        );
        match remedy.best {
            Some(at) => {
                let _ = write!(
                    page,
                    "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td>",
                    at.vdd_mv,
                    percent(at.rerr_mean, 2),
                    percent(at.yield_fraction, 0),
                    percent(at.access_energy_saving, 1),
                    energy(at.energy_per_inference_nj),
                    percent(at.energy_saving, 1),
                    at.latency_us
                );
            }
            None => {
                page.push_str(
                    "<td>none</td><td></td><td></td><td></td><td></td><td></td><td></td>",
                );
            }
        }
        match (remedy.cells_repaired_mean, remedy.cells_unrepaired_mean) {
            (Some(repaired), Some(left)) => {
                let _ = writeln!(page, "<td>{repaired:.1} / {left:.1}</td></tr>");
            }
            _ => page.push_str("<td></td></tr>\n"),
        }
    }
    page.push_str("</tbody></table></div>\n");
}

/// Error over the energy of weight accesses, a line per remedy, cut at the upper end of the figure.
fn figure(results: &Results) -> String {
    let clean = results.clean.err * 100.0;
    let loss = results.setting.accuracy_loss_max * 100.0;
    let top = (clean + (6.0 * loss).max(2.0)).min(100.0);
    let lines: Vec<Vec<(f64, f64)>> = results.remedies.iter().map(|r| line(r, top)).collect();
    let ends = lines.iter().flatten().map(|point| point.0);
    let (low, high) =
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    if low > high {
        return String::new();
    }
    let mut series = vec![
        Series::Level { label: "clean error, unprotected", color: GREEN, y: clean },
        Series::Level { label: "budget", color: ORANGE, y: clean + loss },
    ];
    for (index, points) in lines.into_iter().enumerate() {
        series.push(Series::Line { label: "", color: color(index), points });
    }
    draw(
        &Axes {
            title: "What an error costs: each remedy as its voltage falls",
            x_label: "energy of the weight memory's accesses (% of nominal, unprotected)",
            y_label: "test error, mean over chips (%)",
            x: (low - 2.0, high + 2.0),
            y: (0.0, top),
            x_logarithmic: false,
            y_logarithmic: false,
            legend: SeriesLabelPosition::UpperRight,
        },
        &series,
    )
}

fn line(remedy: &RemedyResult, top: f64) -> Vec<(f64, f64)> {
    let mut line: Vec<(f64, f64)> = Vec::new();
    for point in &remedy.points {
        let (x, y) = ((1.0 - point.access_energy_saving) * 100.0, point.rerr_mean * 100.0);
        if y <= top {
            line.push((x, y));
            continue;
        }
        if let Some(&(before_x, before_y)) = line.last() {
            let share = (top - before_y) / (y - before_y);
            line.push((before_x + share * (x - before_x), top));
        }
        break;
    }
    line
}
