//! The page of flatness: errors foretold by noise beside those on chips, and which layers bear least.

use std::fmt::Write;

use crate::axis::Axis;
use crate::colors::{BLUE, GREY};
use crate::html::{END_TABLE, begin, begin_table, end, escape, figure, percent, prose, tiles};
use crate::plot::{Axes, Series, draw};
use crate::stacked_bars::{Part, stacked};

/// A network at a rate; shares are 0..=1.
#[derive(Clone, Debug)]
pub struct FlatnessRow {
    /// Its name.
    pub model: String,
    /// Rate of wrong bits.
    pub rate: f64,
    /// Error without noise.
    pub err: f64,
    /// Error under noise of the size of the rate.
    pub noise_err: f64,
    /// Rise of the loss under that noise, random moves and the worst move.
    pub rises: [Option<f64>; 3],
    /// Mean error on chips, if measured.
    pub rerr: Option<f64>,
}

/// How well a measure foretells the error on chips.
#[derive(Clone, Debug)]
pub struct FlatnessForetold {
    /// The measure.
    pub by: &'static str,
    /// Rate of wrong bits.
    pub rate: f64,
    /// Correlation of ranks.
    pub spearman: f64,
    /// Its 95 % interval.
    pub interval: Option<[f64; 2]>,
}

/// Content of the page.
#[derive(Clone, Debug)]
pub struct FlatnessPage<'a> {
    /// The answer in sentences.
    pub answer: &'a str,
    /// Networks at rates.
    pub rows: &'a [FlatnessRow],
    /// Correlations over the networks.
    pub foretold: &'a [FlatnessForetold],
    /// Layers of each network with the rise of the loss under noise in them alone.
    pub layers: &'a [(String, Vec<(String, f64)>)],
    /// The numbers as JSON.
    pub json: &'a str,
}

/// One HTML document that opens offline.
#[must_use]
pub fn flatness_page(view: &FlatnessPage<'_>) -> String {
    let mut page = begin("Flatness of networks", "flatness");
    for sentence in view.answer.lines() {
        let _ = writeln!(page, "<p class=\"lead\">{}.</p>", prose(sentence));
    }
    let answers: Vec<(String, String)> = view
        .foretold
        .iter()
        .map(|of| {
            let words = format!(
                "rank correlation of {} with errors on chips at {} %",
                of.by,
                of.rate * 100.0
            );
            (format!("{:.3}", of.spearman), words)
        })
        .collect();
    if !answers.is_empty() {
        tiles(&mut page, &answers);
    }
    if view.rows.iter().any(|row| row.rerr.is_some()) {
        page.push_str("<h2>Foretold and measured</h2>\n<div class=\"figures\">\n");
        figure(&mut page, false, &scatter(view));
        page.push_str("</div>\n");
    }
    let columns = [
        "network",
        "rate",
        "error",
        "under noise",
        "on chips",
        "rise: noise",
        "random moves",
        "worst move",
    ];
    begin_table(&mut page, "Each network", &columns);
    let rise = |of: Option<f64>| of.map_or_else(|| "–".to_owned(), |of| format!("{of:.3}"));
    for row in view.rows {
        let [noise, random, worst] = row.rises;
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{} %</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&row.model),
            row.rate * 100.0,
            percent(row.err, 2),
            percent(row.noise_err, 2),
            row.rerr.map_or_else(|| "–".to_owned(), |of| percent(of, 2)),
            rise(noise),
            rise(random),
            rise(worst)
        );
    }
    page.push_str(END_TABLE);
    page.push_str("<h2>Which layers bear least</h2>\n");
    for (model, layers) in view.layers {
        let names: Vec<&str> = layers.iter().map(|(name, _)| name.as_str()).collect();
        let part = Part {
            label: "noise in this layer alone",
            values: layers.iter().map(|of| of.1.max(0.0)).collect(),
        };
        let title = format!("Rise of the loss of {model}");
        figure(&mut page, true, &stacked(&title, "rise of the cross-entropy", &names, &[part]));
    }
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-flatness", view.json);
    page
}

fn scatter(view: &FlatnessPage<'_>) -> String {
    let points: Vec<(f64, f64)> = view
        .rows
        .iter()
        .filter_map(|row| Some((100.0 * row.noise_err, 100.0 * row.rerr?)))
        .collect();
    let most = points.iter().flat_map(|&(x, y)| [x, y]).fold(1.0, f64::max) * 1.05;
    let series = [
        Series::Curve { label: "equal", color: GREY, points: vec![(0.0, 0.0), (most, most)] },
        Series::Points { label: "a network at a rate", color: BLUE, points },
    ];
    let axes = Axes {
        title: "Errors foretold without a chip, and measured",
        x_label: "test error under noise of the size of the rate (%)",
        y_label: "mean test error on chips (%)",
        x: Axis::linear(0.0, most),
        y: Axis::linear(0.0, most),
    };
    draw(&axes, &series)
}
