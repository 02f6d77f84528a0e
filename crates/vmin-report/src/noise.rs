//! The page of errors in units of attacks: norms over the supply beside budgets, tensors, corrupted images.

use std::fmt::Write;

use crate::axis::Axis;
use crate::colors::{BLUE, GREEN, ORANGE, VIOLET};
use crate::figures::extent;
use crate::html::{END_TABLE, begin, begin_table, end, escape, figure, thousands, tiles};
use crate::plot::{Axes, Series, draw};
use crate::strips::{Strip, strips};

/// Errors of a tensor at a supply: means and maxima.
#[derive(Clone, Debug)]
pub struct NoiseRow {
    /// Supply of the weight memory, in mV.
    pub vdd_mv: f64,
    /// `input`, `activation` or `weight`.
    pub memory: &'static str,
    /// Name of the tensor.
    pub tensor: String,
    /// Share of changed values.
    pub changed_share: f64,
    /// Changed pixels of the input, else changed values.
    pub l0: [f64; 2],
    /// Sum of the changes.
    pub l1: [f64; 2],
    /// Root of the sum of their squares.
    pub l2: [f64; 2],
    /// Largest change.
    pub linf: [f64; 2],
    /// Changed bits.
    pub hamming: [f64; 2],
    /// L2 over that of the tensor.
    pub relative_l2: Option<f64>,
}

/// A usual budget of attacks: L0, L1, L2, L-infinity.
#[derive(Clone, Copy, Debug)]
pub struct NoiseBudget {
    /// The image set.
    pub set: &'static str,
    /// Its norms.
    pub norms: [f64; 4],
}

/// Content of the page.
#[derive(Clone, Debug)]
pub struct NoisePage<'a> {
    /// Network.
    pub model: &'a str,
    /// Images.
    pub data: &'a str,
    /// Accelerator.
    pub accelerator: &'a str,
    /// Number of chips.
    pub chips: usize,
    /// Number of images.
    pub images: usize,
    /// Each tensor at each supply, falling.
    pub rows: &'a [NoiseRow],
    /// Budgets to compare with, at most three.
    pub budgets: &'a [NoiseBudget],
    /// Where they are from.
    pub source: &'a str,
    /// Height, width and channels of the images.
    pub shape: [usize; 3],
    /// Images, clean and corrupted.
    pub strips: &'a [Strip<'a>],
    /// The numbers as JSON.
    pub json: &'a str,
}

const NORMS: [(&str, &str); 4] = [
    ("Changed pixels of the input (L0)", "pixels, logarithmic"),
    ("Sum of the changes (L1)", "pixels from 0 to 1, logarithmic"),
    ("Root of the summed squares (L2)", "pixels from 0 to 1, logarithmic"),
    ("Largest change (L-infinity)", "pixels from 0 to 1, logarithmic"),
];

impl NoiseRow {
    fn norms(&self) -> [[f64; 2]; 4] {
        [self.l0, self.l1, self.l2, self.linf]
    }
}

/// One HTML document that opens offline.
#[must_use]
pub fn noise_page(view: &NoisePage<'_>) -> String {
    let mut page = begin(&format!("Errors of {} in norms", view.model), "noise");
    let _ = writeln!(
        page,
        "<p class=\"lead\">{} chips of {} · {} images of {} · budgets of attacks by {}</p>",
        thousands(view.chips as u64),
        escape(view.accelerator),
        thousands(view.images as u64),
        escape(view.data),
        escape(view.source)
    );
    tiles(&mut page, &answers(view));
    page.push_str("<h2>The input as its memory gives it back</h2>\n");
    if let Some(svg) = strips(view.shape, view.strips) {
        figure(&mut page, true, &svg);
    }
    page.push_str("<div class=\"figures\">\n");
    for svg in (0..NORMS.len()).filter_map(|norm| norm_over_supply(view, norm)) {
        figure(&mut page, false, &svg);
    }
    page.push_str("</div>\n");
    inputs(&mut page, view);
    tensors(&mut page, view);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-noise", view.json);
    page
}

fn of_input<'v>(view: &NoisePage<'v>) -> impl Iterator<Item = &'v NoiseRow> + use<'v> {
    view.rows.iter().filter(|row| row.memory == "input")
}

fn answers(view: &NoisePage<'_>) -> Vec<(String, String)> {
    let Some(lowest) = of_input(view).last() else { return Vec::new() };
    let at = format!("of the input at {} mV, mean; most {}", lowest.vdd_mv, "{}");
    let answer = |[mean, most]: [f64; 2], words: &str| {
        (number(mean), format!("{words} {}", at.replace("{}", &number(most))))
    };
    vec![
        answer(lowest.l0, "changed pixels (L0)"),
        answer(lowest.l1, "L1"),
        answer(lowest.l2, "L2"),
        answer(lowest.linf, "L-infinity"),
    ]
}

/// Mean and maximum of a norm of the input over the supply; none where nothing changes.
fn norm_over_supply(view: &NoisePage<'_>, norm: usize) -> Option<String> {
    let curve = |which: usize| {
        let points = of_input(view).map(|row| (row.vdd_mv, row.norms()[norm][which]));
        points.filter(|point| point.1 > 0.0).collect::<Vec<_>>()
    };
    let (means, most) = (curve(0), curve(1));
    let budgets = view.budgets.iter().map(|of| of.norms[norm]);
    let (low, high) = extent(means.iter().chain(&most).map(|point| point.1).chain(budgets));
    if means.is_empty() {
        return None;
    }
    let names: Vec<String> =
        view.budgets.iter().map(|of| format!("{} {}", of.set, of.norms[norm])).collect();
    let levels = view.budgets.iter().zip(&names).zip([GREEN, VIOLET, ORANGE]);
    let mut series: Vec<Series<'_>> = levels
        .map(|((of, label), color)| Series::Level { label, color, y: of.norms[norm] })
        .collect();
    series.push(Series::Line { label: "mean over images and chips", color: BLUE, points: means });
    series.push(Series::Line { label: "most", color: ORANGE, points: most });
    let (left, right) = extent(of_input(view).map(|row| row.vdd_mv));
    let pad = ((right - left) * 0.03).max(5.0);
    let (title, y_label) = NORMS[norm];
    let axes = Axes {
        title,
        x_label: "supply of the weight memory (mV)",
        y_label,
        x: Axis::linear(left - pad, right + pad),
        y: Axis::logarithmic(low * 0.7, high * 1.4),
    };
    Some(draw(&axes, &series))
}

/// A number in at most four digits.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

fn pair([mean, most]: [f64; 2]) -> String {
    format!("{}, {}", number(mean), number(most))
}

fn inputs(page: &mut String, view: &NoisePage<'_>) {
    page.push_str("<h2>The input at each supply</h2>\n");
    begin_table(
        page,
        "Errors of the input, mean and most over images and chips, beside budgets of attacks",
        &["", "pixels (L0)", "L1", "L2", "L-infinity", "bits", "changed values (%)"],
    );
    for row in of_input(view) {
        let [l0, l1, l2, linf] = row.norms().map(pair);
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{} mV</th><td>{l0}</td><td>{l1}</td><td>{l2}</td><td>{linf}</td><td>{}</td>\
             <td>{}</td></tr>",
            row.vdd_mv,
            pair(row.hamming),
            number(100.0 * row.changed_share)
        );
    }
    for NoiseBudget { set, norms: [l0, l1, l2, linf] } in view.budgets {
        let _ = writeln!(
            page,
            "<tr class=\"best\"><th scope=\"row\">budget, {set}</th><td>{l0}</td><td>{l1}</td><td>{l2}</td>\
             <td>{linf}</td><td></td><td></td></tr>"
        );
    }
    page.push_str(END_TABLE);
}

fn tensors(page: &mut String, view: &NoisePage<'_>) {
    let lowest = view.rows.iter().map(|row| row.vdd_mv).fold(f64::INFINITY, f64::min);
    page.push_str("<h2>Every tensor</h2>\n");
    begin_table(
        page,
        &format!(
            "Errors at {lowest} mV in real units, mean and most; weights over chips, others over images too"
        ),
        &["tensor", "memory", "values (L0)", "L1", "L2", "L-infinity", "bits", "L2, relative (%)"],
    );
    for row in view.rows.iter().filter(|row| row.vdd_mv == lowest) {
        let [l0, l1, l2, linf] = row.norms().map(pair);
        let relative = row.relative_l2.map_or_else(|| "–".to_owned(), |of| number(100.0 * of));
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{l0}</td><td>{l1}</td><td>{l2}</td><td>{linf}</td>\
             <td>{}</td><td>{relative}</td></tr>",
            escape(&row.tensor),
            row.memory,
            pair(row.hamming)
        );
    }
    page.push_str(END_TABLE);
}
