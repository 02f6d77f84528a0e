//! Projected gradients over stored codes.
//!
//! ```text
//!  integers of the codes ─ + step * momentum of the slope ─> project onto the ball ─> flips ─> loss, slope
//!          ^                                                                            │
//!          └──────────────────────── accepted, or the step shrinks <────────────────────┘
//! ```

use std::collections::BTreeSet;

use super::{Asked, Flip, Found, Ranking, Victim, Weights, best, flipped, project};

/// Settings of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Pgd {
    /// Steps.
    pub iterations: usize,
    /// Real weight by which the code of the steepest slope moves in the first step; nothing where changes are ranked
    /// by gain.
    pub step: f32,
    /// Share of the old direction in the next one, 0 to below 1.
    pub momentum: f32,
    /// Divides the step, and the share of flips that change, where a step does not raise the loss; 1 accepts every
    /// step.
    pub backtracking: f32,
    /// Which changes stay.
    pub ranking: Ranking,
    /// Tensors that are attacked; all if empty.
    pub tensors: Vec<usize>,
    /// Bits that are wrong at the start, none or at most as many as an attack can flip.
    pub start: Vec<Flip>,
}

/// Raises the loss by `count` flips at most, and keeps the best flips seen.
///
/// Slopes are averaged (`direction = momentum * old + (1 - momentum) * slope`) and scaled by the largest magnitude
/// over all tensors, in units of real weights.
///
/// # Errors
/// The victim's.
pub fn pgd<V: Victim>(
    weights: &[Weights],
    count: usize,
    settings: &Pgd,
    victim: &mut V,
) -> Result<Found, V::Error> {
    let weights = &restricted(weights, &settings.tensors);
    let mut asked = Asked { victim, queries: 0 };
    let mut at: (Vec<Flip>, f64) = (settings.start.clone(), f64::NEG_INFINITY);
    let mut slope = asked.slope(weights, &at.0)?;
    at.1 = slope.loss;
    let mut found = at.clone();
    let mut direction: Vec<Vec<f32>> =
        slope.by_integer.iter().map(|slopes| vec![0.0; slopes.len()]).collect();
    let mut step = settings.step;
    let mut moved = count;
    for _ in 0..settings.iterations {
        follow(&mut direction, &slope.by_integer, settings.momentum);
        let flips = match settings.ranking {
            Ranking::Distance => {
                let there = ahead(weights, &at.0, &direction, step);
                project(weights, &there, count)
            }
            Ranking::Gain => exchanged(&at.0, &best(weights, &direction, count), moved),
        };
        let next = asked.slope(weights, &flips)?;
        if next.loss > found.1 {
            found = (flips.clone(), next.loss);
        }
        if next.loss > at.1 || settings.backtracking <= 1.0 {
            at = (flips, next.loss);
            slope = next;
        } else {
            step /= settings.backtracking;
            // At least one flip changes.
            moved = (moved as f32 / settings.backtracking).ceil() as usize;
        }
    }
    Ok(Found { flips: found.0, loss: found.1, queries: asked.queries })
}

/// The weights with only the bits of some tensors in reach.
fn restricted(weights: &[Weights], tensors: &[usize]) -> Vec<Weights> {
    let mut weights = weights.to_vec();
    for (tensor, of) in weights.iter_mut().enumerate() {
        if !tensors.is_empty() && !tensors.contains(&tensor) {
            of.reachable.fill(0);
        }
    }
    weights
}

fn follow(direction: &mut [Vec<f32>], slopes: &[Vec<f32>], momentum: f32) {
    for (direction, slopes) in direction.iter_mut().zip(slopes) {
        for (direction, &slope) in direction.iter_mut().zip(slopes) {
            *direction = momentum * *direction + (1.0 - momentum) * slope;
        }
    }
}

/// The integers of the codes as flipped, moved along a direction.
fn ahead(weights: &[Weights], flips: &[Flip], direction: &[Vec<f32>], step: f32) -> Vec<Vec<f32>> {
    // The slope by a real weight is that by its integer over the real weight of a step.
    let steepest = weights.iter().zip(direction).flat_map(|(of, direction)| {
        let reached = direction.iter().enumerate().filter(|&(index, _)| of.reachable[index] != 0);
        reached.map(|(index, &by)| (by / of.scale(index)).abs())
    });
    let steepest = steepest.filter(|of| of.is_finite()).fold(0.0, f32::max);
    let factor = if steepest > 0.0 { step / steepest } else { 0.0 };
    let codes = flipped(weights, flips);
    let tensors = weights.iter().zip(&codes).zip(direction);
    tensors
        .map(|((of, codes), direction)| {
            let integers = of.integers();
            let moved = |(index, (&code, &by)): (usize, (&u8, &f32))| {
                let scale = of.scale(index);
                f32::from(integers[usize::from(code)]) + factor * by / (scale * scale)
            };
            codes.iter().zip(direction).enumerate().map(moved).collect()
        })
        .collect()
}

/// The flips after at most `most` of those of `to` that are new have come in, for as many that are not in `to`; both
/// are in order.
fn exchanged(from: &[Flip], to: &[Flip], most: usize) -> Vec<Flip> {
    let is_in = |flips: &[Flip], flip: &Flip| flips.binary_search(flip).is_ok();
    let new: Vec<Flip> = to.iter().filter(|flip| !is_in(from, flip)).copied().collect();
    if new.len() <= most {
        return to.to_vec();
    }
    // Spread over all places, so that no tensor goes first.
    let taken: Vec<Flip> = (0..most).map(|nth| new[nth * new.len() / most]).collect();
    let places: BTreeSet<_> = taken.iter().map(|flip| (flip.tensor, flip.index)).collect();
    let stays = from.iter().filter(|flip| !places.contains(&(flip.tensor, flip.index))).copied();
    let (kept, old): (Vec<Flip>, Vec<Flip>) = stays.partition(|flip| is_in(to, flip));
    let room = to.len().saturating_sub(kept.len() + taken.len());
    let mut flips: Vec<Flip> =
        kept.into_iter().chain(taken).chain(old.into_iter().take(room)).collect();
    flips.sort_unstable();
    flips
}
