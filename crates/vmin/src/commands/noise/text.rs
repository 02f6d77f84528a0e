//! The answer as a table with sentences, for people.

use vmin_sweep::statistics::share_words;

use super::{Budget, Noise, Row};
use crate::answer;

pub(super) fn table(of: &Noise) -> String {
    let header = ["Vdd (mV)", "tensor", "changed", "L0", "L1", "L2", "L-inf", "bits", "off by"];
    let row = |row: &Row| {
        let relative = row.relative_l2_mean.map_or_else(|| "–".to_owned(), |of| share_words(of, 1));
        vec![
            row.vdd_mv.to_string(),
            format!("{} {}", row.memory, row.tensor),
            share_words(row.changed_share, 2),
            number(row.pixels_mean.unwrap_or(row.l0_mean)),
            number(row.l1_mean),
            number(row.l2_mean),
            number(row.linf_mean),
            number(row.hamming_mean),
            relative,
        ]
    };
    let rows = answer::fitted(&header, 2, &["off by", "bits", "changed"], of.rows.iter().map(row));
    let header = ["budget", "L0", "L1", "L2", "L-inf"];
    let budgets = of.budgets.iter().map(|Budget { set, l0, l1, l2, linf, source: _ }| {
        let numbers = [l0, l1, l2, linf].map(ToString::to_string);
        [vec![(*set).to_owned()], numbers.to_vec()].concat()
    });
    let budgets = answer::fitted(&header, 1, &[], budgets);
    let note = format!(
        "means over {} chips, and over {} images but for weights; maxima with `--format csv` or `json`. Of the input, L0 \
         counts pixels, and L1, L2 and L-inf are in pixels from 0 to 1; else they are in real units. The budgets are \
         those of attacks on images: {}",
        of.chips,
        of.images,
        super::SOURCE
    );
    format!("{rows}\n\n{budgets}\n\n{}", answer::wrapped(&note))
}

/// A number in at most four digits.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}
