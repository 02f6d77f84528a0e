//! The pages of an attack: wrong bits and where they lie, or attacked images beside their originals.

use std::fmt::Write;

use crate::axis::Axis;
use crate::colors::{BLUE, GREEN, GREY, ORANGE, VIOLET};
use crate::html::{
    END_TABLE, begin, begin_table, end, escape, figure, notes, percent, prose, thousands, tiles,
};
use crate::plot::{Axes, Series, draw};
use crate::stacked_bars::{Part, stacked};
use crate::strips::{Strip, strips};

/// One search with one number of wrong bits; shares are 0..=1.
#[derive(Clone, Debug)]
pub struct BitAttackPoint<'a> {
    /// The search.
    pub method: &'a str,
    /// Most wrong bits.
    pub flips: usize,
    /// Test error.
    pub err: f64,
    /// Bits that are wrong as read.
    pub read_wrong: u64,
    /// Losses and gradients asked for.
    pub queries: u64,
}

/// Wrong bits of a layer.
#[derive(Clone, Debug)]
pub struct AttackedLayer {
    /// Its name.
    pub layer: String,
    /// Its weights.
    pub weights: usize,
    /// Wrong bits by position, the most significant first.
    pub by_bit: Vec<usize>,
}

/// Content of the page of an attack on bits.
#[derive(Clone, Debug)]
pub struct BitAttackPage<'a> {
    /// Network.
    pub model: &'a str,
    /// The answer in a sentence.
    pub answer: &'a str,
    /// Test error without wrong bits.
    pub err_clean: f64,
    /// Test error under the strongest of the largest attacks.
    pub err_attacked: f64,
    /// Wrong bits of that.
    pub flips: usize,
    /// Bits in reach, and all stored ones.
    pub bits: [u64; 2],
    /// All searches.
    pub points: &'a [BitAttackPoint<'a>],
    /// Where the wrong bits lie.
    pub layers: &'a [AttackedLayer],
    /// What else is to be said.
    pub sentences: &'a [String],
    /// The numbers as JSON.
    pub json: &'a str,
}

/// One HTML document that opens offline.
#[must_use]
pub fn bit_attack_page(view: &BitAttackPage<'_>) -> String {
    let mut page = begin(&format!("Wrong bits of {}", view.model), "attack");
    let _ = writeln!(page, "<p class=\"lead\">{}.</p>", prose(view.answer));
    let [reach, stored] = view.bits.map(thousands);
    tiles(
        &mut page,
        &[
            (percent(view.err_attacked, 2), "test error under the attack".to_owned()),
            (percent(view.err_clean, 2), "without wrong bits".to_owned()),
            (
                thousands(view.flips as u64),
                format!("wrong bits, of {reach} in reach ({stored} stored)"),
            ),
        ],
    );
    page.push_str("<h2>How many wrong bits it takes</h2>\n<div class=\"figures\">\n");
    figure(&mut page, false, &curve(view));
    page.push_str("</div>\n");
    let columns = ["search", "most wrong bits", "test error", "wrong as read", "queries"];
    begin_table(&mut page, "Each search with each number of wrong bits", &columns);
    for point in view.points {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(point.method),
            thousands(point.flips as u64),
            percent(point.err, 2),
            thousands(point.read_wrong),
            thousands(point.queries)
        );
    }
    page.push_str(END_TABLE);
    page.push_str("<h2>Where they lie</h2>\n");
    figure(&mut page, true, &places(view));
    notes(&mut page, view.sentences);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-attack", view.json);
    page
}

fn curve(view: &BitAttackPage<'_>) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for point in view.points {
        if !methods.contains(&point.method) {
            methods.push(point.method);
        }
    }
    let clean = format!("clean {}", percent(view.err_clean, 2));
    let mut series = vec![Series::Level { label: &clean, color: GREY, y: 100.0 * view.err_clean }];
    for (method, color) in methods.iter().zip([BLUE, ORANGE, GREEN, VIOLET]) {
        let of = view.points.iter().filter(|point| point.method == *method);
        let points = of.map(|point| (point.flips as f64, 100.0 * point.err)).collect();
        series.push(Series::Line { label: method, color, points });
    }
    let most = view.points.iter().map(|point| point.flips).max().unwrap_or(1) as f64;
    let least = view.points.iter().map(|point| point.flips).min().unwrap_or(1) as f64;
    let axes = Axes {
        title: "Test error over wrong bits",
        x_label: "most wrong bits (log)",
        y_label: "test error (%)",
        x: Axis::logarithmic(least * 0.8, most * 1.25),
        y: Axis::linear(0.0, 100.0),
    };
    draw(&axes, &series)
}

fn places(view: &BitAttackPage<'_>) -> String {
    let names: Vec<&str> = view.layers.iter().map(|layer| layer.layer.as_str()).collect();
    let bits = view.layers.iter().map(|layer| layer.by_bit.len()).max().unwrap_or(0);
    let labels: Vec<String> = (0..bits).rev().map(|bit| format!("bit {bit}")).collect();
    let parts: Vec<Part<'_>> = labels
        .iter()
        .enumerate()
        .map(|(place, label)| {
            let of = |layer: &AttackedLayer| layer.by_bit.get(place).copied().unwrap_or(0) as f64;
            Part { label, values: view.layers.iter().map(of).collect() }
        })
        .filter(|part| part.values.iter().any(|&count| count > 0.0))
        .collect();
    stacked(
        "Wrong bits of the strongest attack by layer and position",
        "wrong bits",
        &names,
        &parts,
    )
}

/// One attack on pixels; shares are 0..=1.
#[derive(Clone, Debug)]
pub struct PixelAttackRow {
    /// Norm and search.
    pub name: String,
    /// Largest size of a change.
    pub epsilon: Option<f64>,
    /// Mean size of the changes.
    pub size: f64,
    /// Test error.
    pub err: f64,
    /// Accepted images.
    pub accepted: f64,
    /// Error among these.
    pub err_accepted: Option<f64>,
    /// Some attacked images.
    pub examples: Vec<Vec<u8>>,
}

/// Content of the page of an attack on pixels.
#[derive(Clone, Debug)]
pub struct PixelAttackPage<'a> {
    /// Network.
    pub model: &'a str,
    /// The answer in a sentence.
    pub answer: &'a str,
    /// Each attack.
    pub rows: &'a [PixelAttackRow],
    /// `[height, width, channels]` of the images.
    pub shape: [usize; 3],
    /// Some images as they are.
    pub examples: &'a [Vec<u8>],
    /// What else is to be said.
    pub sentences: &'a [String],
    /// The numbers as JSON.
    pub json: &'a str,
}

/// One HTML document that opens offline.
#[must_use]
pub fn pixel_attack_page(view: &PixelAttackPage<'_>) -> String {
    let mut page = begin(&format!("Attacked images of {}", view.model), "attack");
    let _ = writeln!(page, "<p class=\"lead\">{}.</p>", prose(view.answer));
    let answers: Vec<(String, String)> = view
        .rows
        .iter()
        .map(|row| (percent(row.err, 2), format!("test error, {}", row.name)))
        .collect();
    tiles(&mut page, &answers);
    let columns = ["attack", "most", "mean size", "test error", "accepted", "error among accepted"];
    begin_table(&mut page, "Each attack", &columns);
    for row in view.rows {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.3}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&row.name),
            row.epsilon.map_or_else(|| "–".to_owned(), |of| of.to_string()),
            row.size,
            percent(row.err, 2),
            percent(row.accepted, 2),
            row.err_accepted.map_or_else(|| "–".to_owned(), |of| percent(of, 2))
        );
    }
    page.push_str(END_TABLE);
    let clean = Strip { label: "clean".to_owned(), images: view.examples };
    let of = view.rows.iter().map(|row| Strip { label: row.name.clone(), images: &row.examples });
    let all: Vec<Strip<'_>> = std::iter::once(clean).chain(of).collect();
    if let Some(svg) = strips(view.shape, &all) {
        page.push_str("<h2>What it looks like</h2>\n");
        figure(&mut page, true, &svg);
    }
    notes(&mut page, view.sentences);
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-attack", view.json);
    page
}
