//! Attacks to compare others with: random bits, and the best bits of one slope.

use super::{Asked, Found, Victim, Weights, best, restarts};

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
    let flips = restarts::flips(weights, &[], count, seed, 0);
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
