//! Attacks that reach a few rows of the memory, as hammering does: which rows.

use std::collections::BTreeMap;

use vmin_attack::bits::{Flip, Weights, best};

use super::cells::Cells;

/// The weights with only the bits of the `rows` best rows in reach: those whose `count` best flips raise the loss most,
/// to first order.
pub(super) fn best_rows(
    weights: &[Weights],
    by_integer: &[Vec<f32>],
    count: usize,
    rows: usize,
    cells: &Cells<'_>,
) -> Vec<Weights> {
    let mut gains: BTreeMap<(u32, u32), Vec<f32>> = BTreeMap::new();
    for flip in best(weights, by_integer, usize::MAX) {
        let Some(at) = cells.position(&flip) else { continue };
        gains.entry((at.bank, at.row)).or_default().push(gain(weights, by_integer, &flip));
    }
    let sum = |mut gains: Vec<f32>| {
        gains.sort_unstable_by(|a, b| b.total_cmp(a));
        gains.iter().take(count).map(|&gain| f64::from(gain)).sum::<f64>()
    };
    let mut ranked: Vec<_> = gains.into_iter().map(|(row, gains)| (sum(gains), row)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let chosen: Vec<(u32, u32)> = ranked.into_iter().take(rows).map(|(_, row)| row).collect();
    let mut within = weights.to_vec();
    cells.restrict(&mut within, |at| chosen.contains(&(at.bank, at.row)));
    within
}

/// By how much a flip raises the loss, to first order.
fn gain(weights: &[Weights], by_integer: &[Vec<f32>], flip: &Flip) -> f32 {
    let of = &weights[flip.tensor];
    let table = of.encoding.decode_table(of.bits);
    let code = of.codes[flip.index];
    let [before, after] =
        [code, code ^ 1 << flip.bit].map(|code| f32::from(table[usize::from(code)]));
    (after - before) * by_integer[flip.tensor][flip.index]
}
