//! Attacks to compare others with: random bits, and the best bits of one slope.

use super::{Asked, Flip, Found, Victim, Weights, best};
use crate::random::Stream;

/// `count` reachable bits at random, in codes of their own.
///
/// # Errors
/// The victim's.
pub fn random<V: Victim>(
    weights: &[Weights],
    count: usize,
    seed: u64,
    victim: &mut V,
) -> Result<Found, V::Error> {
    let places = weights.iter().enumerate().flat_map(|(tensor, of)| {
        let reachable = of.reachable.iter().enumerate().filter(|(_, bits)| **bits != 0);
        reachable.map(move |(index, &bits)| (tensor, index, bits))
    });
    let mut places: Vec<_> = places.collect();
    let mut stream = Stream::new(seed, &[]);
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
    let loss = victim.loss(&super::flipped(weights, &flips))?;
    Ok(Found { flips, loss, queries: 1 })
}

/// The `count` flips that raise the loss most, by the slope at the stored codes alone.
///
/// # Errors
/// The victim's.
pub fn first_order<V: Victim>(
    weights: &[Weights],
    count: usize,
    victim: &mut V,
) -> Result<Found, V::Error> {
    let mut asked = Asked { victim, queries: 0 };
    let slope = asked.slope(weights, &[])?;
    let flips = best(weights, &slope.by_integer, count);
    let loss = asked.loss(weights, &flips)?;
    Ok(Found { flips, loss, queries: asked.queries })
}
