//! Remedies in the page of a sweep: one table, one figure.

use std::fmt::Write;

use plotters::prelude::{RGBColor, SeriesLabelPosition};
use vmin_sweep::statistics::{interval_words, share_words, yield_words};
use vmin_sweep::{RemedyResult, Results};

use crate::html::{energy, escape, mean_std, percent};
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
    let setting = &results.setting;
    let _ = write!(
        page,
        "<h2>Remedies at one budget</h2>\n<p class=\"lead\">How low each remedy lets the voltage go while \
         {target} of the chips {budget}, against the experiment's network without bit errors, and what that \
         saves against that network, unprotected at {nominal} mV. Each line of the picture is one remedy \
         going down in voltage.</p>\n<div class=\"figures\">\n<div class=\"card\" style=\"max-width:800px\">{}</div>\n</div>\n\
         <p><b>Reached</b>: by the sampled chips; <b>shown</b>: by them for all chips, at {confidence} \
         confidence; all other columns are at the voltage reached. <b>Saved, inference</b>: share of the \
         energy of an inference, DRAM and leakage included; the highlighted remedy saves most of it. \
         <b>Saved, accesses</b>: share of the access energy of all memories that are lowered or that a \
         remedy protects, encoders and decoders included.</p>\n",
        figure(results),
        target = share_words(setting.yield_target, 0),
        budget = setting.budget(),
        nominal = setting.vdd_nominal_mv,
        confidence = share_words(setting.confidence, 0),
    );
    let _ = write!(
        page,
        "<div class=\"scroll\"><table>\n<thead><tr><th>remedy</th><th>clean<br>error</th><th>extra<br>\
         bits</th><th>V<sub>DD</sub> (mV)<br>reached</th><th>V<sub>DD</sub> (mV)<br>shown</th>\
         <th>chips within<br>the budget</th><th>yield at<br>{}</th><th>RErr<br>(%)</th>\
         <th>energy per<br>inference</th><th>saved,<br>inference</th><th>saved,<br>accesses</th>\
         <th>latency<br>(µs)</th><th>faulty cells<br>repaired / left</th></tr></thead>\n<tbody>\n",
        share_words(setting.confidence, 0)
    );
    let saving = |remedy: &RemedyResult| remedy.best.map(|best| best.energy_saving);
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
            remedy.extra_bits()
        );
        let mv = |mv: Option<f64>| mv.map_or_else(|| "none".to_owned(), |mv| mv.to_string());
        let (reached, shown) = (mv(remedy.vmin.reached_mv), mv(remedy.vmin.shown_mv));
        let _ = write!(page, "<td>{reached}</td><td>{shown}</td>");
        match remedy.best {
            Some(at) => {
                let _ = write!(
                    page,
                    "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td>",
                    yield_words(at.chips_within_budget, at.chips),
                    interval_words(at.yield_low, at.yield_high),
                    mean_std(at.rerr_mean, at.rerr_std, at.chips),
                    energy(at.energy_per_inference_nj),
                    percent(at.energy_saving, 1),
                    percent(at.access_energy_saving, 1),
                    at.latency_us
                );
            }
            None => page.push_str(&"<td></td>".repeat(7)),
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

/// Error over the energy of accesses, a line per remedy, cut at the upper end of the figure.
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
            x_label: "access energy, lowered or protected memories (% of nominal)",
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
