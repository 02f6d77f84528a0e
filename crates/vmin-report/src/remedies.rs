//! Remedies in the page of a sweep: one table, two figures.

use std::fmt::Write;

use plotters::style::RGBColor;
use vmin_sweep::statistics::{interval_words, share_words, yield_words};
use vmin_sweep::{RemedyResult, RemedySweepPoint, Results};

use crate::axis::Axis;
use crate::colors::{INK, SERIES, hex};
use crate::figures::{ERROR, error_axis, extent, level_names, levels, supply};
use crate::html::{END_TABLE, begin_table, energy, escape, mean_std, percent, thousands, unbroken};
use crate::plot::{Axes, Series, draw};

/// The unprotected network comes first; the colours repeat after the last.
fn color(index: usize) -> RGBColor {
    match index {
        0 => INK,
        _ => SERIES[(index - 1) % SERIES.len()],
    }
}

/// Adds the table and the figures to a page, if the experiment has remedies.
pub(crate) fn section(page: &mut String, results: &Results) {
    if results.remedies.is_empty() {
        return;
    }
    let setting = &results.setting;
    let _ = write!(
        page,
        "<h2>Remedies at one budget</h2>\n<p class=\"lead\">How low each remedy lets the voltage go while \
         {target} of the chips {budget}, against the experiment's network without bit errors, and what that \
         saves against that network, unprotected at {nominal} mV. Each line of the pictures is one remedy \
         going down in voltage.</p>\n{}\
         <p><b>Reached</b>: by the sampled chips; <b>shown</b>: by them for all chips, at {confidence} \
         confidence; all other columns are at the voltage reached, or where none is at that of the lowest mean error \
         (marked *). <b>Saved, inference</b>: share of the \
         energy of an inference, DRAM and leakage included; the highlighted remedy saves most of it. \
         <b>Saved, shown</b>: the same at the voltage shown. <b>Saved, accesses</b>: share of the access energy of all memories that are lowered or that a \
         remedy protects, encoders and decoders included. <b>Area</b>: extra cells and gates over the bit cells \
         of all memories, an estimate. <b>At start-up</b>: inferences that fit constants to a chip, and rows that \
         its memory test reads. <b>Lost by the map</b>: points of error against the same remedy with the exact \
         map of each chip, with its interval over chips.</p>\n",
        figures(results),
        target = share_words(setting.yield_target, 0),
        budget = setting.budget(),
        nominal = setting.vdd_nominal_mv,
        confidence = share_words(setting.confidence, 0),
    );
    let shown = format!("yield at {}", unbroken(&share_words(setting.confidence, 0)));
    let with_spares = results.remedies.iter().any(|remedy| remedy.cells_repaired_mean.is_some());
    let columns = [
        "remedy",
        "clean error",
        "extra bits",
        "area",
        "at start-up:<br>inferences / row reads",
        "V<sub>DD</sub> (mV)<br>reached",
        "V<sub>DD</sub> (mV)<br>shown",
        "chips within the budget",
        &shown,
        "RErr (%)",
        "energy per inference",
        "saved, inference",
        "saved, shown",
        "saved, accesses",
        "latency (µs)",
    ];
    let with_lost = results.remedies.iter().any(RemedyResult::has_inexact_map);
    let columns = columns
        .into_iter()
        .chain(with_lost.then_some("lost by the map"))
        .chain(with_spares.then_some("faulty cells repaired / left"));
    let columns: Vec<&str> = columns.collect();
    begin_table(
        page,
        "Each remedy at the lowest voltage it reaches; highlighted is the one that saves most",
        &columns,
    );
    let saving = |remedy: &RemedyResult| remedy.best.map(|best| best.energy_saving);
    let most = results.remedies.iter().filter_map(saving).fold(f64::NEG_INFINITY, f64::max);
    for (index, remedy) in results.remedies.iter().enumerate() {
        let class = if saving(remedy) == Some(most) { " class=\"best\"" } else { "" };
        let _ = write!(
            page,
            "<tr{class}><th scope=\"row\" title=\"{}\"><svg class=\"mark\" viewBox=\"0 0 10 10\" \
             aria-hidden=\"true\"><rect width=\"10\" height=\"10\" fill=\"{}\"/></svg>{}</th>\
             <td>{}</td><td class=\"words\">{}</td><td>{}</td><td>{} / {}</td>",
            escape(&format!("{}; {}, {} bit", remedy.protection, remedy.model, remedy.weight_bits)),
            hex(color(index)),
            escape(&remedy.name),
            percent(remedy.err, 2),
            remedy.extra_bits(),
            percent(remedy.area_share, 2),
            thousands(remedy.calibration_inferences),
            thousands(remedy.test_row_reads)
        );
        let (reached, shown) =
            (escape(&remedy.vmin.reached_words()), escape(&remedy.vmin.shown_words()));
        let missed = if remedy.best.is_none() { "*" } else { "" };
        let _ = write!(page, "<td>{reached}{missed}</td><td>{shown}</td>");
        let told = remedy.told();
        match told {
            Some(at) => {
                let _ = write!(
                    page,
                    "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td>",
                    yield_words(at.chips_within_budget, at.chips),
                    interval_words(at.yield_low, at.yield_high),
                    mean_std(at.rerr_mean, at.rerr_std, at.chips),
                    energy(at.energy_per_inference_nj),
                    percent(at.energy_saving, 1),
                    remedy
                        .shown()
                        .map_or_else(|| "–".to_owned(), |at| percent(at.energy_saving, 1)),
                    percent(at.access_energy_saving, 1),
                    at.latency_us
                );
            }
            None => page.push_str(&"<td></td>".repeat(8)),
        }
        if with_lost {
            let lost = told.and_then(|at| at.lost_by_map);
            let lost = lost.map_or_else(String::new, |lost| lost.words());
            let _ = write!(page, "<td class=\"words\">{lost}</td>");
        }
        match (remedy.cells_repaired_mean, remedy.cells_unrepaired_mean) {
            (Some(repaired), Some(left)) => {
                let _ = writeln!(page, "<td>{repaired:.1} / {left:.1}</td></tr>");
            }
            _ if with_spares => page.push_str("<td></td></tr>\n"),
            _ => page.push_str("</tr>\n"),
        }
    }
    page.push_str(END_TABLE);
    for line in results.remedy_words() {
        let _ = writeln!(page, "<p>{}.</p>", escape(&line.replace('`', "")));
    }
}

/// Error over the supply, and over the energy of accesses: a named line per remedy.
fn figures(results: &Results) -> String {
    let by_supply = figure(
        results,
        "Test error of each remedy as the voltage falls",
        supply(results),
        |point| point.vdd_mv,
    );
    let by_energy = figure(
        results,
        "What an error costs: each remedy as its voltage falls",
        "access energy, lowered or protected memories (% of nominal)",
        |point| (1.0 - point.access_energy_saving) * 100.0,
    );
    format!(
        "<div class=\"figures\">\n<figure class=\"card\">{by_supply}</figure>\n\
         <figure class=\"card\">{by_energy}</figure>\n</div>\n"
    )
}

fn figure(
    results: &Results,
    title: &'static str,
    x_label: &'static str,
    x: impl Fn(&RemedySweepPoint) -> f64,
) -> String {
    let line = |remedy: &RemedyResult| -> Vec<(f64, f64)> {
        remedy.points.iter().map(|point| (x(point), point.rerr_mean * 100.0)).collect()
    };
    let lines: Vec<Vec<(f64, f64)>> = results.remedies.iter().map(line).collect();
    let (low, high) = extent(lines.iter().flatten().map(|point| point.0));
    if low > high {
        return String::new();
    }
    let names = level_names(results);
    let mut series = Vec::from(levels(results, &names));
    for (index, (remedy, points)) in results.remedies.iter().zip(lines).enumerate() {
        series.push(Series::Line { label: &remedy.name, color: color(index), points });
    }
    let x = Axis::linear(low - 2.0, high + 2.0);
    draw(&Axes { title, x_label, y_label: ERROR, x, y: error_axis([results]) }, &series)
}
