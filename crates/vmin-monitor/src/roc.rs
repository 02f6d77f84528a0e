//! Confidence as a detector of wrong predictions.

use std::collections::BTreeMap;

/// The chance that a right prediction is more confident than a wrong one, ties by half: the area under the ROC
/// curve. None where all are right, or all wrong.
#[must_use]
pub fn area(predictions: &[(f64, bool)]) -> Option<f64> {
    let mut rising = predictions.to_vec();
    rising.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the number of pairs in order: whole numbers, so that no rounding depends on the order of the sum.
    let (mut pairs, mut wrong, mut right) = (0_u128, 0_u128, 0_u128);
    for equal in rising.chunk_by(|a, b| a.0 == b.0) {
        let own_right = equal.iter().filter(|(_, right)| *right).count() as u128;
        let own_wrong = equal.len() as u128 - own_right;
        pairs += own_right * (2 * wrong + own_wrong);
        (wrong, right) = (wrong + own_wrong, right + own_right);
    }
    let all = 2 * wrong * right;
    (all > 0).then(|| pairs as f64 / all as f64)
}

/// The ROC curve of many predictions at thresholds of a fixed grid, finer towards a confidence of 1.
#[derive(Clone, Debug, Default)]
pub struct Roc {
    /// Wrong and right predictions by the leading bits of one minus their confidence.
    steps: BTreeMap<u64, [u64; 2]>,
}

/// Bits of a double's fraction that the grid leaves away.
const DROPPED: u32 = 49;

impl Roc {
    /// Counts one more prediction.
    pub fn add(&mut self, confidence: f64, right: bool) {
        let doubt = (1.0 - confidence).max(0.0).to_bits() >> DROPPED;
        self.steps.entry(doubt).or_default()[usize::from(right)] += 1;
    }

    /// Shares of right predictions that are rejected and of wrong ones that are, from none to all; empty where all
    /// are right, or all wrong.
    #[must_use]
    pub fn curve(&self) -> Vec<(f64, f64)> {
        let all = self.steps.values().fold([0, 0], |sum, of| [sum[0] + of[0], sum[1] + of[1]]);
        if all.contains(&0) {
            return Vec::new();
        }
        let mut rejected = [0_u64, 0];
        let mut curve = vec![(0.0, 0.0)];
        for of in self.steps.values().rev() {
            rejected = [rejected[0] + of[0], rejected[1] + of[1]];
            let share = |which: usize| rejected[which] as f64 / all[which] as f64;
            curve.push((share(1), share(0)));
        }
        curve
    }
}

#[cfg(test)]
mod tests {
    use rand_core::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn predictions(seed: u64, levels: u64) -> Vec<(f64, bool)> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let one = |_| {
            let level = random.next_u64() % levels;
            (level as f64 / levels as f64, random.next_u64() % levels <= level)
        };
        (0..150).map(one).collect()
    }

    #[test]
    fn the_area_counts_every_pair() {
        for (seed, levels) in [(1, 3), (2, 10), (3, 1000), (4, 1)] {
            let all = predictions(seed, levels);
            let (mut sum, mut pairs) = (0.0, 0.0);
            for (right, _) in all.iter().filter(|of| of.1) {
                for (wrong, _) in all.iter().filter(|of| !of.1) {
                    sum +=
                        if right > wrong { 1.0 } else { f64::from(u8::from(right == wrong)) / 2.0 };
                    pairs += 1.0;
                }
            }
            let slow = (pairs > 0.0).then(|| sum / pairs);
            match (area(&all), slow) {
                (Some(fast), Some(slow)) => assert!((fast - slow).abs() < 1e-12, "{fast} {slow}"),
                (fast, slow) => assert_eq!(fast, slow),
            }
        }
        assert_eq!(area(&[(0.5, true)]), None);
    }

    #[test]
    fn points_of_the_curve_are_thresholds() {
        let all = predictions(9, 40);
        let mut roc = Roc::default();
        all.iter().for_each(|&(confidence, right)| roc.add(confidence, right));
        let curve = roc.curve();
        assert!(curve.len() > 20 && curve.last() == Some(&(1.0, 1.0)), "{curve:?}");
        for point in curve {
            let is = |threshold: f64| {
                let share = |right: bool| {
                    let of = all.iter().filter(|of| of.1 == right);
                    of.clone().filter(|of| of.0 < threshold).count() as f64 / of.count() as f64
                };
                (share(true), share(false)) == point
            };
            assert!(
                (0..=40).any(|level| is(f64::from(level) / 40.0 + 1e-9)) || point == (0.0, 0.0)
            );
        }
        assert_eq!(Roc::default().curve(), []);
    }
}
