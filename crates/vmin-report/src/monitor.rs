//! The page of a confidence monitor: rejections and errors over the supply, ROC curves, and a supply that follows.

use std::fmt::Write;

use vmin_sweep::statistics::rate_words;

use crate::axis::Axis;
use crate::colors::{BLUE, GREEN, ORANGE, SERIES, VIOLET};
use crate::figures::{SYMLOG, extent};
use crate::html::{
    END_TABLE, begin, begin_table, end, escape, figure, percent, prose, thousands, tiles,
};
use crate::plot::{Axes, Series, draw};

/// All chips at one supply; shares are 0..=1.
#[derive(Clone, Copy, Debug)]
pub struct MonitorPoint {
    /// Supply of the weight memory, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells.
    pub cell_fault_rate: f64,
    /// Accepted images, mean over chips.
    pub accepted: f64,
    /// On the chip that accepts fewest.
    pub accepted_min: f64,
    /// Wrong images, mean over chips.
    pub rerr: f64,
    /// On the worst chip.
    pub rerr_max: f64,
    /// Wrong images among accepted ones, mean over chips.
    pub accepted_rerr: Option<f64>,
    /// Its interval.
    pub accepted_rerr_interval: Option<(f64, f64)>,
    /// On the worst chip.
    pub accepted_rerr_max: Option<f64>,
    /// Area under the ROC curve, mean over chips.
    pub roc_area: Option<f64>,
    /// Chips whose rejections rise here or above.
    pub chips_rejections_up: usize,
    /// Chips whose accepted images exceed the budget here or above.
    pub chips_over_budget: usize,
    /// Energy of the accesses over that at nominal supplies.
    pub access_energy: Option<f64>,
}

/// A way to choose supplies.
#[derive(Clone, Copy, Debug)]
pub struct MonitorStrategy<'a> {
    /// Its name.
    pub name: &'a str,
    /// Mean supply, in mV.
    pub vdd_mv: f64,
    /// Share of rejected images.
    pub rejected: f64,
    /// Error of accepted images, mean over chips.
    pub accepted_err: Option<f64>,
    /// On the worst chip.
    pub accepted_err_max: Option<f64>,
    /// Chips over the budget.
    pub chips_over_budget: usize,
    /// Energy of the accesses over that at nominal supplies.
    pub access_energy: Option<f64>,
}

/// A named curve.
#[derive(Clone, Debug)]
pub struct MonitorCurve {
    /// Its name.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// Content of the page.
#[derive(Clone, Debug)]
pub struct MonitorPage<'a> {
    /// Network.
    pub model: &'a str,
    /// Images.
    pub data: &'a str,
    /// Accelerator.
    pub accelerator: &'a str,
    /// Voltage profile, if chips are of a population.
    pub profile: Option<&'a str>,
    /// Number of chips.
    pub chips: usize,
    /// Evaluated images.
    pub images: usize,
    /// Error without bit errors.
    pub clean_err: f64,
    /// Share accepted without bit errors.
    pub clean_accepted: f64,
    /// Error of accepted images without bit errors.
    pub clean_accepted_err: Option<f64>,
    /// Error that may be added among accepted images.
    pub budget: f64,
    /// Falling supplies.
    pub points: &'a [MonitorPoint],
    /// Ways to choose supplies, the canary first.
    pub strategies: &'a [MonitorStrategy<'a>],
    /// ROC curves: rejected right images, rejected wrong ones.
    pub roc: &'a [MonitorCurve],
    /// Supplies of some chips over windows.
    pub traces: &'a [MonitorCurve],
    /// Chips whose rejections rise in time, of those whose errors pass.
    pub in_time: (usize, usize),
    /// What else is to be said.
    pub sentences: &'a [String],
    /// The numbers as JSON.
    pub json: &'a str,
}

/// One HTML document that opens offline.
#[must_use]
pub fn monitor_page(view: &MonitorPage<'_>) -> String {
    let mut page = begin(&format!("Confidence of {} as a monitor", view.model), "monitor");
    let chips = match view.profile {
        Some(profile) => format!("{} chips of {profile}", thousands(view.chips as u64)),
        None => format!("{} chips of files", thousands(view.chips as u64)),
    };
    let _ = writeln!(
        page,
        "<p class=\"lead\">{} on {} · {} images of {}</p>",
        escape(&chips),
        escape(view.accelerator),
        thousands(view.images as u64),
        escape(view.data)
    );
    tiles(&mut page, &answers(view));
    page.push_str("<h2>What confidence tells as the voltage falls</h2>\n<div class=\"figures\">\n");
    for svg in [shares(view), chips_over_supply(view), roc(view), traces(view)] {
        figure(&mut page, false, &svg);
    }
    page.push_str("</div>\n<ul>\n");
    for sentence in view.sentences {
        let _ = writeln!(page, "<li>{}.</li>", prose(sentence));
    }
    let _ = writeln!(page, "<li>{SYMLOG}</li>\n</ul>");
    points(&mut page, view);
    strategies(&mut page, view);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-monitor", view.json);
    page
}

fn optional(share: Option<f64>, digits: usize) -> String {
    share.map_or_else(|| "–".to_owned(), |share| percent(share, digits))
}

fn answers(view: &MonitorPage<'_>) -> Vec<(String, String)> {
    let (in_time, over) = view.in_time;
    let mut answers = vec![
        match over {
            0 => ("none".to_owned(), "of the chips lets errors beyond the budget pass".to_owned()),
            _ => {
                let words = "chips over the budget reject more at a supply that is no lower";
                (format!("{in_time} of {over}"), words.to_owned())
            }
        },
        (
            optional(view.clean_accepted_err, 2),
            format!(
                "error of accepted images without bit errors; {} of all",
                percent(view.clean_err, 2)
            ),
        ),
        (percent(1.0 - view.clean_accepted, 2), "rejected without bit errors".to_owned()),
    ];
    for strategy in view.strategies {
        let energy = strategy
            .access_energy
            .map(|share| format!(", {} of the access energy", percent(share, 1)));
        answers.push((
            format!("{:.1} mV", strategy.vdd_mv),
            format!(
                "{}: mean supply{}; chips over the budget: {}",
                strategy.name,
                energy.unwrap_or_default(),
                strategy.chips_over_budget
            ),
        ));
    }
    answers
}

fn supplies(view: &MonitorPage<'_>) -> Axis {
    let (low, high) = extent(view.points.iter().map(|point| point.vdd_mv));
    let pad = ((high - low) * 0.03).max(5.0);
    Axis::linear(low - pad, high + pad)
}

const SUPPLY: &str = "supply of the weight memory (mV)";

fn curve(view: &MonitorPage<'_>, y: impl Fn(&MonitorPoint) -> Option<f64>) -> Vec<(f64, f64)> {
    view.points.iter().filter_map(|point| Some((point.vdd_mv, 100.0 * y(point)?))).collect()
}

fn shares(view: &MonitorPage<'_>) -> String {
    let clean = 100.0 * view.clean_accepted_err.unwrap_or_default();
    let most = clean + 100.0 * view.budget;
    let budget = format!("budget {most:.2} %");
    let band = |point: &MonitorPoint| {
        let (low, high) = point.accepted_rerr_interval?;
        Some((point.vdd_mv, 100.0 * low, 100.0 * high))
    };
    let series = [
        Series::Level { label: &budget, color: ORANGE, y: most },
        Series::Band {
            label: "its interval",
            color: ORANGE,
            opacity: 0.15,
            points: view.points.iter().filter_map(band).collect(),
        },
        Series::Line {
            label: "rejected",
            color: BLUE,
            points: curve(view, |point| Some(1.0 - point.accepted)),
        },
        Series::Line {
            label: "wrong of all",
            color: VIOLET,
            points: curve(view, |point| Some(point.rerr)),
        },
        Series::Line {
            label: "wrong of accepted",
            color: ORANGE,
            points: curve(view, |point| point.accepted_rerr),
        },
    ];
    let heights = view.points.iter().flat_map(|point| {
        let high = point.accepted_rerr_interval.map(|interval| interval.1);
        [Some(1.0 - point.accepted), Some(point.rerr), point.accepted_rerr, high]
    });
    let heights = heights.flatten().map(|share| 100.0 * share).chain([0.0, most]);
    let near = if view.budget > 0.0 { 100.0 * view.budget } else { 1.0 };
    let axes = Axes {
        title: "Rejected and wrong images, means over chips",
        x_label: SUPPLY,
        y_label: "share of images (%, symlog)",
        x: supplies(view),
        y: Axis::around(clean, near, heights),
    };
    draw(&axes, &series)
}

fn chips_over_supply(view: &MonitorPage<'_>) -> String {
    let count = |of: fn(&MonitorPoint) -> usize| {
        view.points.iter().map(|point| (point.vdd_mv, of(point) as f64)).collect()
    };
    let series = [
        Series::Line {
            label: "rejections are up",
            color: BLUE,
            points: count(|point| point.chips_rejections_up),
        },
        Series::Line {
            label: "accepted images over the budget",
            color: ORANGE,
            points: count(|point| point.chips_over_budget),
        },
    ];
    let axes = Axes {
        title: "Chips on which, here or at a higher supply",
        x_label: SUPPLY,
        y_label: "chips",
        x: supplies(view),
        y: Axis::whole(0.0, view.chips as f64 * 1.05),
    };
    draw(&axes, &series)
}

fn roc(view: &MonitorPage<'_>) -> String {
    let scaled = |curve: &MonitorCurve| {
        curve.points.iter().map(|&(x, y)| (100.0 * x, 100.0 * y)).collect::<Vec<_>>()
    };
    let series: Vec<Series<'_>> = view
        .roc
        .iter()
        .zip(SERIES)
        .map(|(curve, color)| Series::Curve { label: &curve.name, color, points: scaled(curve) })
        .collect();
    let axes = Axes {
        title: "Low confidence as a detector of wrong images (ROC)",
        x_label: "right images rejected (%)",
        y_label: "wrong images rejected (%)",
        x: Axis::linear(0.0, 100.0),
        y: Axis::linear(0.0, 100.0),
    };
    draw(&axes, &series)
}

fn traces(view: &MonitorPage<'_>) -> String {
    // A supply holds for its whole window.
    let steps = |curve: &MonitorCurve| {
        curve.points.iter().flat_map(|&(x, y)| [(x, y), (x + 1.0, y)]).collect::<Vec<_>>()
    };
    let series: Vec<Series<'_>> = view
        .traces
        .iter()
        .zip([BLUE, GREEN, ORANGE])
        .map(|(curve, color)| Series::Curve { label: &curve.name, color, points: steps(curve) })
        .collect();
    let windows = view.traces.iter().map(|curve| curve.points.len()).max().unwrap_or(1);
    let axes = Axes {
        title: "Supply that follows rejections: lowest, median, highest mean",
        x_label: "window of images",
        y_label: "supply (mV)",
        x: Axis::whole(0.0, windows as f64),
        y: supplies(view),
    };
    draw(&axes, &series)
}

fn points(page: &mut String, view: &MonitorPage<'_>) {
    page.push_str("<h2>Each supply</h2>\n");
    begin_table(
        page,
        "Accepted images and their errors over all chips",
        &[
            "V<sub>DD</sub><br>(mV)",
            "faulty cells",
            "accepted",
            "fewest",
            "RErr",
            "worst chip",
            "RErr of accepted",
            "interval",
            "worst chip",
            "ROC area",
            "chips that reject more",
            "chips over budget",
            "access energy",
        ],
    );
    for point in view.points {
        let interval = point.accepted_rerr_interval.map_or_else(
            || "–".to_owned(),
            |(low, high)| format!("{:.2}–{:.2}", 100.0 * low, 100.0 * high),
        );
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{interval}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            point.vdd_mv,
            rate_words(point.cell_fault_rate),
            percent(point.accepted, 2),
            percent(point.accepted_min, 2),
            percent(point.rerr, 2),
            percent(point.rerr_max, 2),
            optional(point.accepted_rerr, 2),
            optional(point.accepted_rerr_max, 2),
            point.roc_area.map_or_else(|| "–".to_owned(), |area| format!("{area:.3}")),
            point.chips_rejections_up,
            point.chips_over_budget,
            optional(point.access_energy, 1),
        );
    }
    page.push_str(END_TABLE);
}

fn strategies(page: &mut String, view: &MonitorPage<'_>) {
    page.push_str("<h2>Ways to choose the supply</h2>\n");
    begin_table(
        page,
        "The canary sees rejections alone; the others are the lowest within the budgets of errors and rejections, by the labels",
        &[
            "supply",
            "mean (mV)",
            "rejected",
            "RErr of accepted",
            "worst chip",
            "chips over budget",
            "access energy",
        ],
    );
    for of in view.strategies {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(of.name),
            of.vdd_mv,
            percent(of.rejected, 2),
            optional(of.accepted_err, 2),
            optional(of.accepted_err_max, 2),
            of.chips_over_budget,
            optional(of.access_energy, 1),
        );
    }
    page.push_str(END_TABLE);
}
