//! The ball of bit errors: at most k codes with one wrong bit each.

use std::cmp::Ordering;

use super::{Flip, Weights};

/// Which changes of codes a projection keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// The largest changes of integers; of each, the most significant bit that differs.
    Distance,
    /// The changes of single bits that raise the loss most, to first order.
    Gain,
}

/// A flip with what speaks for it.
#[derive(Clone, Copy)]
struct Scored {
    score: f32,
    flip: Flip,
}

/// The best first, equals in the order of their places.
fn by_score(a: &Scored, b: &Scored) -> Ordering {
    b.score.total_cmp(&a.score).then(a.flip.cmp(&b.flip))
}

/// The `count` flips of highest score, in the order of their places.
fn top(mut scored: Vec<Scored>, count: usize) -> Vec<Flip> {
    if count < scored.len() {
        if count > 0 {
            scored.select_nth_unstable_by(count - 1, by_score);
        }
        scored.truncate(count);
    }
    let mut flips: Vec<Flip> = scored.into_iter().map(|of| of.flip).collect();
    flips.sort_unstable();
    flips
}

/// The nearest codes to real numbers of integers within the ball: the `count` codes whose integers differ most from
/// the stored ones, each with the most significant reachable bit that differs.
///
/// `at` are the numbers, per tensor and code; they are rounded, and cut off at the range of the codes.
#[must_use]
pub fn project(weights: &[Weights], at: &[Vec<f32>], count: usize) -> Vec<Flip> {
    let mut scored = Vec::new();
    for (tensor, (of, at)) in weights.iter().zip(at).enumerate() {
        let integers = of.integers();
        let (low, high) = (of.encoding.min(of.bits), of.encoding.max(of.bits));
        for (index, (&code, &at)) in of.codes.iter().zip(at).enumerate() {
            let before = i32::from(integers[usize::from(code)]);
            // A small integer; a saturating cast of others.
            let after = (at.round() as i32).clamp(low, high);
            if after == before {
                continue;
            }
            let Ok(there) = of.encoding.encode(after, of.bits) else { continue };
            let differs = (code ^ there) & of.reachable[index];
            if let Some(bit) = differs.checked_ilog2() {
                let score = (after - before).abs() as f32;
                scored.push(Scored { score, flip: Flip { tensor, index, bit: bit as u8 } });
            }
        }
    }
    top(scored, count)
}

/// The flips that raise a loss most to first order: for each code the best reachable bit, of these the `count` best;
/// only those that raise it. Derivatives are by the integers, and the change of each flip counts from the stored
/// code.
#[must_use]
pub fn best(weights: &[Weights], by_integer: &[Vec<f32>], count: usize) -> Vec<Flip> {
    let mut scored = Vec::new();
    for (tensor, (of, slopes)) in weights.iter().zip(by_integer).enumerate() {
        let changes = Changes::new(of);
        for (index, &slope) in slopes.iter().enumerate() {
            if let Some((bit, score)) = changes.best(of, index, slope).filter(|&(_, s)| s > 0.0) {
                scored.push(Scored { score, flip: Flip { tensor, index, bit } });
            }
        }
    }
    top(scored, count)
}

/// Changes of the integer by a flip, for each code and bit.
pub(super) struct Changes {
    of: Vec<[i16; 8]>,
}

impl Changes {
    pub(super) fn new(of: &Weights) -> Self {
        let integers = of.integers();
        let change = |code: u8, bit: u8| {
            let other = usize::from(code ^ 1 << bit);
            i16::from(integers[other]) - i16::from(integers[usize::from(code)])
        };
        let codes = 0..=0xff_u8 >> (8 - of.bits);
        let row = |code: u8| {
            std::array::from_fn(
                |bit| if (bit as u8) < of.bits { change(code, bit as u8) } else { 0 },
            )
        };
        Self { of: codes.map(row).collect() }
    }

    /// The reachable bit of a code whose flip raises the loss most, with the gain.
    pub(super) fn best(&self, of: &Weights, index: usize, slope: f32) -> Option<(u8, f32)> {
        let reachable = of.reachable[index];
        let changes = &self.of[usize::from(of.codes[index])];
        let gains = (0..of.bits).filter(|bit| reachable >> bit & 1 == 1);
        let gains = gains.map(|bit| (bit, f32::from(changes[usize::from(bit)]) * slope));
        gains.max_by(|a, b| a.1.total_cmp(&b.1))
    }
}
