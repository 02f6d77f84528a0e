//! Settings that differ from restart to restart: an attack is as strong as its best one.

use super::{Flip, Pgd, Ranking, Weights};
use crate::random::Stream;

/// Settings of restart number `nth`, counted from 0: the strongest ones first, then random starts.
///
/// The first follow the gain of flips, with and without momentum, over all tensors, and the paper's distance of codes;
/// then the first and the last tensor alone. Later ones begin with random wrong bits, every other one in a single
/// tensor.
#[must_use]
pub fn restart(nth: usize, weights: &[Weights], count: usize, iterations: usize, seed: u64) -> Pgd {
    let last = weights.len().saturating_sub(1);
    let (ranking, step, momentum, backtracking, tensors) = match nth {
        0 => (Ranking::Gain, 0.0, 0.9, 1.0, Vec::new()),
        1 => (Ranking::Gain, 0.0, 0.5, 2.0, Vec::new()),
        2 => (Ranking::Gain, 0.0, 0.0, 2.0, Vec::new()),
        3 => (Ranking::Distance, 1.0, 0.0, 2.0, Vec::new()),
        4 => (Ranking::Gain, 0.0, 0.9, 1.0, vec![0]),
        5 => (Ranking::Gain, 0.0, 0.9, 1.0, vec![last]),
        6 => (Ranking::Distance, 0.3, 0.9, 2.0, Vec::new()),
        other if other % 2 == 1 => (Ranking::Gain, 0.0, 0.9, 1.0, Vec::new()),
        other => (Ranking::Gain, 0.0, 0.9, 1.0, vec![(other / 2) % weights.len().max(1)]),
    };
    let start =
        if nth < 7 { Vec::new() } else { flips(weights, &tensors, count, seed, nth as u64) };
    Pgd { iterations, step, momentum, backtracking, ranking, tensors, start }
}

/// `count` reachable bits of some tensors (all if none is named) at random, in codes of their own, in order.
pub(super) fn flips(
    weights: &[Weights],
    tensors: &[usize],
    count: usize,
    seed: u64,
    nth: u64,
) -> Vec<Flip> {
    let named = |tensor: &usize| tensors.is_empty() || tensors.contains(tensor);
    let places = weights.iter().enumerate().filter(|(tensor, _)| named(tensor));
    let places = places.flat_map(|(tensor, of)| {
        let reachable = of.reachable.iter().enumerate().filter(|(_, bits)| **bits != 0);
        reachable.map(move |(index, &bits)| (tensor, index, bits))
    });
    let mut places: Vec<_> = places.collect();
    let mut stream = Stream::new(seed, &[nth]);
    // The start of a shuffle.
    let count = count.min(places.len());
    for place in 0..count {
        let other = place + stream.below(places.len() - place);
        places.swap(place, other);
    }
    let mut flips: Vec<Flip> = places[..count]
        .iter()
        .map(|&(tensor, index, bits)| {
            let nth = stream.below(bits.count_ones() as usize);
            let bit = (0..8).filter(|bit| bits >> bit & 1 == 1).nth(nth).expect("one of its bits");
            Flip { tensor, index, bit }
        })
        .collect();
    flips.sort_unstable();
    flips
}
