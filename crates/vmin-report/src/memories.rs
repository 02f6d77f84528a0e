//! The memories of a sweep, each at its own supply.

use std::fmt::Write;

use vmin_sweep::statistics::rate_words;
use vmin_sweep::{Point, Results};

use crate::html::{END_TABLE, begin_table};

/// A memory at a point: supply, share of faulty cells under the stored data, share of changed bits.
struct At {
    vdd_mv: Option<f64>,
    cells: Option<f64>,
    bits: Option<f64>,
}

type Of = fn(&Point) -> At;

const MEMORIES: [(&str, Of); 3] = [
    ("weight memory", |point| At {
        vdd_mv: Some(point.weight_vdd_mv.unwrap_or(point.vdd_mv)),
        cells: Some(point.cell_fault_rate_realised),
        bits: Some(point.flip_rate),
    }),
    ("activation memory", |point| At {
        vdd_mv: point.activation_vdd_mv,
        cells: point.activation_cell_fault_rate_realised,
        bits: point.activation_flip_rate,
    }),
    ("accumulator memory", |point| At {
        vdd_mv: point.accumulator_vdd_mv,
        cells: point.accumulator_cell_fault_rate_realised,
        bits: point.accumulator_flip_rate,
    }),
];

/// A table of the memories; empty if weights alone err, at the swept voltage.
pub(crate) fn section(page: &mut String, results: &Results) {
    if results.setting.memories.is_empty() {
        return;
    }
    let erring: Vec<_> = MEMORIES
        .iter()
        .filter(|(_, at)| results.points.iter().any(|point| at(point).vdd_mv.is_some()))
        .collect();
    page.push_str("<h2>Each memory</h2>\n");
    let names = erring.iter().flat_map(|(name, _)| {
        [format!("{name} (mV)"), "faulty cells realised".to_owned(), "flipped bits".to_owned()]
    });
    let columns: Vec<String> = std::iter::once("swept (mV)".to_owned()).chain(names).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    begin_table(page, "Supply and errors of each memory at each swept voltage", &columns);
    let share = |fraction: Option<f64>| fraction.map_or_else(String::new, rate_words);
    for point in &results.points {
        let _ = write!(page, "<tr><th scope=\"row\">{}</th>", point.vdd_mv);
        for (_, at) in &erring {
            let At { vdd_mv, cells, bits } = at(point);
            let vdd_mv = vdd_mv.map_or_else(String::new, |vdd_mv| vdd_mv.to_string());
            let _ =
                write!(page, "<td>{vdd_mv}</td><td>{}</td><td>{}</td>", share(cells), share(bits));
        }
        page.push_str("</tr>\n");
    }
    page.push_str(END_TABLE);
}
