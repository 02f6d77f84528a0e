use std::convert::Infallible;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::looks;
use crate::order::CLASSES;
use crate::search::search;
use crate::sequential::{Budget, Seen};

#[test]
fn a_margin_asks_for_chips_as_the_normal_law_says() {
    for (target, margin, confidence, z) in [(0.9, 0.01, 0.99, 2.576), (0.5, 0.05, 0.95, 1.96)] {
        let chips = f64::from(chips_for_margin(target, margin, confidence).expect("few enough"));
        let normal = z * z * target * (1.0 - target) / (margin * margin);
        assert!((chips / normal - 1.0).abs() < 0.12, "{chips} and {normal}");
    }
    assert_eq!(chips_for_margin(0.5, 1e-5, 0.99), None);
}

/// A population of chips: at each supply, falling, the share of images that a chip loses, times its own factor.
struct Lot {
    random: Xoshiro256PlusPlus,
}

const IMAGES: usize = 300;
const RIGHT: usize = 270;
const MOST: i64 = 9;
const LOST: [f64; 6] = [0.0, 0.004, 0.015, 0.03, 0.06, 0.2];

impl Lot {
    fn uniform(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether a chip of this factor is within the budget at a supply, by all images: what a decision is to find.
    fn truth(factor: f64, supply: usize) -> (usize, bool) {
        let lost = (LOST[supply] * factor * IMAGES as f64).round() as usize;
        (lost.min(RIGHT), lost as i64 <= MOST)
    }

    /// One early decision about such a chip, whose losses lie anywhere.
    fn decides(
        &mut self,
        budget: &Budget,
        right: [&[bool]; CLASSES],
        lost: usize,
        alpha: f64,
    ) -> bool {
        // Of the right images left, those that are lost, at random.
        let mut left = (lost, RIGHT);
        let mut seen = [Seen::default(); CLASSES];
        while let Some((class, until)) = looks::next(budget, &seen) {
            let of = &mut seen[class];
            for &right in &right[class][of.images..until] {
                let loses = right && self.uniform() * (left.1 as f64) < left.0 as f64;
                left = (left.0 - usize::from(loses), left.1 - usize::from(right));
                let correct = u64::from(right && !loses);
                of.images += 1;
                of.correct += correct;
                of.correct_union += correct;
            }
            if let Some(within) = budget.decide(&seen, alpha) {
                return within;
            }
        }
        unreachable!("all images decide")
    }
}

/// Campaigns in which the band, from early decisions about sampled chips, misses the yield of the population at any
/// supply.
fn missed(campaigns: u32, chips: u32, confidence: f64, seed: u64) -> u32 {
    let mut lot = Lot { random: Xoshiro256PlusPlus::seed_from_u64(seed) };
    // Factors of chips are uniform in 0..2.
    let yields: Vec<f64> = (0..LOST.len())
        .map(|supply| {
            let passing = (0..20_000)
                .filter(|&step| Lot::truth((f64::from(step) + 0.5) / 10_000.0, supply).1);
            passing.count() as f64 / 20_000.0
        })
        .collect();
    let order: Vec<bool> = (0..IMAGES).map(|image| image % 10 != 3).collect();
    let right = [&order[..IMAGES / 4], &order[IMAGES / 4..]];
    let budget = Budget::new(right, MOST);
    let of_decisions = (1.0 - confidence) * super::super::SHARE_OF_DECISIONS;
    let alpha = of_decisions / f64::from(chips * LOST.len() as u32);
    let misses = (0..campaigns).filter(|_| {
        let mut passing = vec![0; LOST.len()];
        for _ in 0..chips {
            let factor = 2.0 * lot.uniform();
            let found = search(LOST.len(), None, |supply| {
                let lost = Lot::truth(factor, supply).0;
                Ok::<_, Infallible>(lot.decides(&budget, right, lost, alpha))
            });
            let lowest = found.expect("no probe fails").lowest;
            passing.iter_mut().take(lowest.map_or(0, |at| at + 1)).for_each(|count| *count += 1);
        }
        let band = band(&passing, chips, 1, confidence + of_decisions);
        band.iter().zip(&yields).any(|((low, high), share)| share < low || share > high)
    });
    misses.count() as u32
}

#[test]
fn the_band_covers_the_yield_in_simulated_campaigns() {
    // Three standard deviations above what is allowed.
    let misses = missed(400, 30, 0.9, 1);
    assert!(misses <= 40 + 18, "{misses} of 400");
}

#[test]
#[ignore = "ten thousand campaigns take minutes"]
fn the_band_covers_the_yield_in_ten_thousand_campaigns() {
    for (chips, confidence) in [(30, 0.9), (100, 0.95)] {
        let misses = missed(10_000, chips, confidence, 2);
        let allowed = (1.0 - confidence) * 10_000.0;
        assert!(f64::from(misses) <= allowed + 3.0 * allowed.sqrt(), "{chips} chips: {misses}");
    }
}
