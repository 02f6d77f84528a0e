//! The figures of the report.

use plotters::style::RGBColor;
use vmin_sweep::statistics::share_words;
use vmin_sweep::{Point, Results};

use crate::axis::Axis;
use crate::colors::{BLUE, GREEN, GREY, INK, ORANGE, VIOLET};
use crate::html::percent;
use crate::plot::{Axes, Series, draw};

/// The label of error axes, and what it means.
pub(crate) const ERROR: &str = "test error (%, symlog)";
pub(crate) const SYMLOG: &str = "Error axes (symlog) are linear up to the budget's distance from the clean \
                                 error, and logarithmic beyond.";

/// All figures as SVG, in the order of the page.
pub(crate) fn all(results: &Results) -> Vec<String> {
    if results.points.is_empty() {
        return Vec::new();
    }
    let mut figures = vec![error_by_voltage(results), error_by_rate(results)];
    figures.extend([yield_by_voltage(results), vmin_of_chips(results)]);
    figures.push(energy_by_voltage(results));
    figures.retain(|figure| !figure.is_empty());
    figures
}

/// The supplies at the swept voltage, in words.
pub(crate) fn supply(results: &Results) -> &'static str {
    if results.setting.memories.is_empty() {
        "supply of the weight memory (mV)"
    } else {
        "swept supply (mV)"
    }
}

fn voltages(results: &Results) -> Axis {
    let (low, high) = extent(results.points.iter().map(|point| point.vdd_mv));
    let pad = ((high - low) * 0.03).max(5.0);
    Axis::linear(low - pad, high + pad)
}

/// The least and the greatest value.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

fn curve(results: &Results, y: impl Fn(&Point) -> f64) -> Vec<(f64, f64)> {
    results.points.iter().map(|point| (point.vdd_mv, y(point))).collect()
}

/// An axis of errors in percent on which the budget of each of these results is seen.
pub(crate) fn error_axis<'r>(results: impl IntoIterator<Item = &'r Results>) -> Axis {
    let (mut clean, mut loss) = (f64::INFINITY, f64::INFINITY);
    let mut errors = Vec::new();
    for results in results {
        let budget = results.setting.accuracy_loss_max;
        clean = clean.min(results.clean.err * 100.0);
        // A budget of nothing has no place of its own.
        loss = loss.min(if budget > 0.0 { budget * 100.0 } else { 1.0 });
        errors.extend([results.clean.err, results.clean.err + budget]);
        errors.extend(results.points.iter().flat_map(|point| [point.rerr_min, point.rerr_max]));
        let remedies = results.remedies.iter().flat_map(|remedy| &remedy.points);
        errors.extend(remedies.map(|point| point.rerr_mean));
    }
    Axis::around(clean, loss, errors.into_iter().map(|error| error * 100.0))
}

/// Names of the clean error and of the budget.
pub(crate) fn level_names(results: &Results) -> [String; 2] {
    let budget = results.clean.err + results.setting.accuracy_loss_max;
    [format!("clean {}", percent(results.clean.err, 2)), format!("budget {}", percent(budget, 2))]
}

/// The clean error and the budget as levels with these names.
pub(crate) fn levels<'n>(results: &Results, [clean, budget]: &'n [String; 2]) -> [Series<'n>; 2] {
    let err = results.clean.err * 100.0;
    let most = err + results.setting.accuracy_loss_max * 100.0;
    [
        Series::Level { label: clean, color: GREEN, y: err },
        Series::Level { label: budget, color: ORANGE, y: most },
    ]
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
    let names = level_names(results);
    let mut series = Vec::from(levels(results, &names));
    series.extend([
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
    ]);
    draw(
        &Axes {
            title: "Test error as the memory voltage falls",
            x_label: supply(results),
            y_label: ERROR,
            x: voltages(results),
            y: error_axis([results]),
        },
        &series,
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
    let x = Axis::logarithmic(first.0.min(last.0) * 0.7, first.0.max(last.0) * 1.4);
    let names = level_names(results);
    let mut series = Vec::from(levels(results, &names));
    series.push(Series::Line { label: "mean over chips (RErr)", color: BLUE, points });
    draw(
        &Axes {
            title: "Test error over the cell-fault rate",
            x_label: "share of faulty cells (%)",
            y_label: ERROR,
            x,
            y: error_axis([results]),
        },
        &series,
    )
}

/// The energy of each component, on a scale that tells small ones apart.
fn energy_by_voltage(results: &Results) -> String {
    type Part = (&'static str, RGBColor, fn(&Point) -> f64);
    let parts: [Part; 6] = [
        ("all", INK, |point| point.energy_per_inference_nj),
        ("weight memory", BLUE, |point| point.energy_weight_memory_nj),
        ("other memories", GREEN, |point| point.energy_other_memories_nj),
        ("MACs, vector unit", ORANGE, |point| point.energy_compute_nj),
        ("DRAM", VIOLET, |point| point.energy_dram_nj),
        ("leakage", GREY, |point| point.energy_leakage_nj),
    ];
    let lines: Vec<_> = parts
        .into_iter()
        .map(|(label, color, part)| {
            let points = curve(results, part).into_iter().filter(|point| point.1 > 0.0).collect();
            (label, color, points)
        })
        .filter(|(_, _, points): &(_, _, Vec<_>)| !points.is_empty())
        .collect();
    let (low, high) = extent(lines.iter().flat_map(|line| &line.2).map(|point| point.1));
    if low > high {
        return String::new();
    }
    let series: Vec<_> = lines
        .into_iter()
        .map(|(label, color, points)| Series::Line { label, color, points })
        .collect();
    draw(
        &Axes {
            title: "Energy of one inference by component",
            x_label: supply(results),
            y_label: "energy (nJ), logarithmic",
            x: voltages(results),
            y: Axis::logarithmic(low * 0.7, high * 1.4),
        },
        &series,
    )
}

fn yield_by_voltage(results: &Results) -> String {
    let interval =
        |point: &Point| (point.vdd_mv, point.yield_low * 100.0, point.yield_high * 100.0);
    let label = format!("interval at {}", share_words(results.setting.confidence, 0));
    let target = format!("target {}", share_words(results.setting.yield_target, 0));
    draw(
        &Axes {
            title: "Yield: chips within the budget",
            x_label: supply(results),
            y_label: "share of chips (%)",
            x: voltages(results),
            y: Axis::linear(0.0, 105.0),
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
                label: &target,
                color: ORANGE,
                y: results.setting.yield_target * 100.0,
            },
        ],
    )
}

/// A bar per swept voltage: chips whose lowest passing one it is.
fn vmin_of_chips(results: &Results) -> String {
    let count = |vdd_mv: f64| {
        results.chips.iter().filter(|chip| chip.vmin_mv == Some(vdd_mv)).count() as f64
    };
    let bars: Vec<_> = curve(results, |point| count(point.vdd_mv));
    let top = bars.iter().map(|bar| bar.1).fold(1.0, f64::max);
    let steps = results.points.windows(2).map(|pair| pair[0].vdd_mv - pair[1].vdd_mv);
    let width = 0.7 * steps.fold(10.0, f64::min);
    let chips = results.chips.len();
    let label = match results.vmin.chips_above {
        0 => format!("{chips} chips"),
        above => format!("{chips} chips; {above} pass at none"),
    };
    draw(
        &Axes {
            title: "Lowest passing voltage of each chip",
            x_label: supply(results),
            y_label: "chips",
            x: voltages(results),
            y: Axis::whole(0.0, top * 1.08),
        },
        &[Series::Bars { label: &label, color: BLUE, width, points: bars }],
    )
}
