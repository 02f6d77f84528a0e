//! The figures of the report.

use plotters::prelude::{RGBColor, SeriesLabelPosition};
use vmin_sweep::statistics::share_words;
use vmin_sweep::{Point, Results};

use crate::plot::{Axes, BLUE, GREEN, GREY, ORANGE, Series, VIOLET, draw};

/// All figures as SVG, in the order of the page.
pub(crate) fn all(results: &Results) -> Vec<String> {
    if results.points.is_empty() {
        return Vec::new();
    }
    let mut figures = vec![error_by_voltage(results), error_by_rate(results)];
    figures.retain(|figure| !figure.is_empty());
    figures.extend([yield_by_voltage(results), vmin_of_chips(results)]);
    figures.push(energy_by_voltage(results));
    figures
}

/// The supplies at the swept voltage, in words.
fn supply(results: &Results) -> &'static str {
    if results.setting.memories.is_empty() {
        "supply of the weight memory (mV)"
    } else {
        "swept supply (mV)"
    }
}

fn voltages(results: &Results) -> (f64, f64) {
    padded(results.points.iter().map(|point| point.vdd_mv), 0.03, 5.0)
}

fn padded(values: impl Iterator<Item = f64>, share: f64, least: f64) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let pad = ((high - low) * share).max(least);
    (low - pad, high + pad)
}

fn curve(results: &Results, y: impl Fn(&Point) -> f64) -> Vec<(f64, f64)> {
    results.points.iter().map(|point| (point.vdd_mv, y(point))).collect()
}

fn error_top(results: &Results) -> f64 {
    let worst = results.points.iter().map(|point| point.rerr_max).fold(results.clean.err, f64::max);
    (worst * 105.0).clamp(2.0, 105.0)
}

fn error_by_voltage(results: &Results) -> String {
    let dots = results
        .chips
        .iter()
        .flat_map(|chip| {
            results.points.iter().zip(&chip.rerr).map(|(point, rerr)| (point.vdd_mv, rerr * 100.0))
        })
        .take(20_000)
        .collect();
    let band = |low: fn(&Point) -> f64, high: fn(&Point) -> f64| {
        results
            .points
            .iter()
            .map(|point| (point.vdd_mv, low(point) * 100.0, high(point) * 100.0))
            .collect()
    };
    draw(
        &Axes {
            title: "Test error as the memory voltage falls",
            x_label: supply(results),
            y_label: "test error (%)",
            x: voltages(results),
            y: (0.0, error_top(results)),
            x_logarithmic: false,
            y_logarithmic: false,
            legend: SeriesLabelPosition::UpperRight,
        },
        &[
            Series::Band {
                label: "best to worst chip",
                color: BLUE,
                opacity: 0.15,
                points: band(|point| point.rerr_min, |point| point.rerr_max),
            },
            Series::Dots { label: "one chip", color: BLUE, points: dots },
            Series::Line {
                label: "mean over chips (RErr)",
                color: BLUE,
                points: curve(results, |point| point.rerr_mean * 100.0),
            },
            Series::Level {
                label: "clean error (Err)",
                color: GREEN,
                y: results.clean.err * 100.0,
            },
            Series::Level {
                label: "budget",
                color: ORANGE,
                y: (results.clean.err + results.setting.accuracy_loss_max) * 100.0,
            },
        ],
    )
}

fn error_by_rate(results: &Results) -> String {
    let points: Vec<_> = results
        .points
        .iter()
        .filter(|point| point.cell_fault_rate > 1e-9)
        .map(|point| (point.cell_fault_rate * 100.0, point.rerr_mean * 100.0))
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let x = (first.0.min(last.0) * 0.7, first.0.max(last.0) * 1.4);
    draw(
        &Axes {
            title: "Test error over the cell-fault rate",
            x_label: "share of faulty cells (%)",
            y_label: "test error (%)",
            x,
            y: (0.0, error_top(results)),
            x_logarithmic: true,
            y_logarithmic: false,
            legend: SeriesLabelPosition::UpperLeft,
        },
        &[
            Series::Line { label: "mean over chips (RErr)", color: BLUE, points },
            Series::Level {
                label: "clean error (Err)",
                color: GREEN,
                y: results.clean.err * 100.0,
            },
        ],
    )
}

/// Components on top of each other, the swept memory lowest.
fn energy_by_voltage(results: &Results) -> String {
    type Part = (&'static str, RGBColor, fn(&Point) -> f64);
    let parts: [Part; 5] = [
        ("weight memory", BLUE, |point| point.energy_weight_memory_nj),
        ("other memories", GREEN, |point| point.energy_other_memories_nj),
        ("MACs, vector unit", ORANGE, |point| point.energy_compute_nj),
        ("DRAM", VIOLET, |point| point.energy_dram_nj),
        ("leakage", GREY, |point| point.energy_leakage_nj),
    ];
    let top = results.points.iter().map(|point| point.energy_per_inference_nj);
    let top = top.fold(results.clean.energy_per_inference_nj, f64::max);
    let mut floor = vec![0.0; results.points.len()];
    let bands: Vec<Series> = parts
        .into_iter()
        .map(|(label, color, part)| {
            let points = results
                .points
                .iter()
                .zip(&mut floor)
                .map(|(point, floor)| {
                    let low = *floor;
                    *floor += part(point);
                    (point.vdd_mv, low, *floor)
                })
                .collect();
            Series::Band { label, color, opacity: 0.45, points }
        })
        .collect();
    draw(
        &Axes {
            title: "Energy of one inference by component",
            x_label: supply(results),
            y_label: "energy (nJ)",
            x: voltages(results),
            y: (0.0, (top * 1.55).max(1e-9)),
            x_logarithmic: false,
            y_logarithmic: false,
            legend: SeriesLabelPosition::UpperLeft,
        },
        &bands,
    )
}

fn yield_by_voltage(results: &Results) -> String {
    let interval =
        |point: &Point| (point.vdd_mv, point.yield_low * 100.0, point.yield_high * 100.0);
    let label = format!("interval at {}", share_words(results.setting.confidence, 0));
    draw(
        &Axes {
            title: "Yield: chips within the budget",
            x_label: supply(results),
            y_label: "share of chips (%)",
            x: voltages(results),
            y: (0.0, 105.0),
            x_logarithmic: false,
            y_logarithmic: false,
            legend: SeriesLabelPosition::MiddleRight,
        },
        &[
            Series::Band {
                label: &label,
                color: GREEN,
                opacity: 0.15,
                points: results.points.iter().map(interval).collect(),
            },
            Series::Line {
                label: "of the sampled chips",
                color: GREEN,
                points: curve(results, |point| point.yield_fraction * 100.0),
            },
            Series::Level {
                label: "target",
                color: ORANGE,
                y: results.setting.yield_target * 100.0,
            },
        ],
    )
}

/// A bar per swept voltage: chips whose V_min it is.
fn vmin_of_chips(results: &Results) -> String {
    let count = |vdd_mv: f64| {
        results.chips.iter().filter(|chip| chip.vmin_mv == Some(vdd_mv)).count() as f64
    };
    let bars: Vec<_> = curve(results, |point| count(point.vdd_mv));
    let top = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    let steps = results.points.windows(2).map(|pair| pair[0].vdd_mv - pair[1].vdd_mv);
    let width = 0.7 * steps.fold(10.0, f64::min);
    let above = format!("{} of {} chips: above", results.vmin.chips_above, results.chips.len());
    let all = format!("{} chips", results.chips.len());
    draw(
        &Axes {
            title: "V_min of each chip",
            x_label: supply(results),
            y_label: "chips",
            x: voltages(results),
            y: (0.0, top * 1.25),
            x_logarithmic: false,
            y_logarithmic: false,
            legend: SeriesLabelPosition::UpperRight,
        },
        &[Series::Bars {
            label: if results.vmin.chips_above > 0 { &above } else { &all },
            color: BLUE,
            width,
            points: bars,
        }],
    )
}
