//! A supply that follows the rejections of the network it feeds.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::counts::{Counts, Outcome};
use crate::exact::{Sample, bound};

/// The rule of the supply: after each window of images it goes up a step where rejections were many, down a step after
/// enough windows with few of them in a row, and else it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Images of a window.
    pub window: u64,
    /// More rejections than these are an alarm: the supply goes up.
    pub most: u64,
    /// A window with no more rejections than these is calm.
    pub calm: u64,
    /// Calm windows in a row before the supply goes down.
    pub patience: u32,
}

impl Rule {
    /// Alarms have a chance of at most `false_alarm` in a window where images are rejected as without bit errors, of
    /// which `nominal` is a sample; a window is calm if no more are rejected than such windows exceed half of the time.
    #[must_use]
    pub fn new(nominal: Sample, window: u64, false_alarm: f64, patience: u32) -> Self {
        let most = bound(nominal, window, false_alarm);
        Self { window, most, calm: bound(nominal, window, 0.5).min(most), patience }
    }

    /// Follows a chip from its highest supply, over so many windows. `outcomes` are those of all images at each of the
    /// falling supplies; each window takes images at random, by seed and chip.
    ///
    /// # Panics
    /// If there is no supply, or no image.
    #[must_use]
    pub fn follow(
        &self,
        outcomes: &[Vec<Outcome>],
        windows: u32,
        seed: u64,
        chip: u32,
    ) -> Followed {
        let mut images = Images::new(outcomes[0].len(), seed, chip);
        let mut followed = Followed { counts: Counts::default(), alarms: 0, supplies: Vec::new() };
        let (mut supply, mut calm) = (0, 0);
        for _ in 0..windows {
            let mut counts = Counts::default();
            (0..self.window).for_each(|_| counts.add(outcomes[supply][images.next()]));
            followed.supplies.push(supply);
            followed.counts.images += counts.images;
            followed.counts.accepted += counts.accepted;
            followed.counts.wrong += counts.wrong;
            followed.counts.wrong_accepted += counts.wrong_accepted;
            let rejected = counts.rejections().hits;
            if rejected > self.most {
                followed.alarms += 1;
                (supply, calm) = (supply.saturating_sub(1), 0);
            } else if rejected > self.calm {
                calm = 0;
            } else {
                calm += 1;
                if calm >= self.patience {
                    (supply, calm) = ((supply + 1).min(outcomes.len() - 1), 0);
                }
            }
        }
        followed
    }
}

/// What became of a chip whose supply followed its rejections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// All its images.
    pub counts: Counts,
    /// Windows with an alarm.
    pub alarms: u32,
    /// The supply of each window, as its place among the falling ones.
    pub supplies: Vec<usize>,
}

impl Followed {
    /// The mean over windows of a value of each supply.
    #[must_use]
    pub fn mean(&self, of_supply: &[f64]) -> f64 {
        let mut windows = vec![0_u32; of_supply.len()];
        self.supplies.iter().for_each(|&supply| windows[supply] += 1);
        let sum: f64 = windows.iter().zip(of_supply).map(|(&n, of)| f64::from(n) * of).sum();
        sum / self.supplies.len() as f64
    }
}

/// Numbers of images, at random and with repetition.
struct Images {
    count: u64,
    random: Xoshiro256PlusPlus,
}

impl Images {
    fn new(count: usize, seed: u64, chip: u32) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&chip.to_le_bytes());
        // Never all zeros, of which this generator makes nothing else.
        bytes[16..].copy_from_slice(b"images of canary");
        let mut random = Xoshiro256PlusPlus::from_seed(bytes);
        // A short key takes some steps to reach all bits.
        for _ in 0..64 {
            random.next_u64();
        }
        Self { count: count as u64, random }
    }

    fn next(&mut self) -> usize {
        let wide = u128::from(self.random.next_u64()) * u128::from(self.count);
        (wide >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of which about one of `one_in` is rejected and wrong.
    fn outcomes(one_in: usize) -> Vec<Outcome> {
        let of = |index: usize| !(index * 7).is_multiple_of(one_in);
        (0..2000).map(|index| Outcome { accepted: of(index), right: of(index) }).collect()
    }

    const NOMINAL: Sample = Sample { hits: 20, trials: 1000 };

    #[test]
    fn a_calm_chip_goes_down_and_stays_there() {
        let rule = Rule::new(NOMINAL, 100, 0.01, 1);
        let calm = vec![outcomes(1000); 4];
        let followed = rule.follow(&calm, 50, 1, 0);
        assert_eq!(&followed.supplies[..4], [0, 1, 2, 3]);
        assert!(followed.supplies[4..].iter().all(|&supply| supply == 3));
        assert_eq!((followed.alarms, followed.counts.images), (0, 5000));
        let patient = Rule { patience: 3, ..rule }.follow(&calm, 50, 1, 0);
        assert_eq!(&patient.supplies[..10], [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
        assert_eq!(followed.mean(&[1.0; 4]), 1.0);
        assert!((followed.mean(&[4.0, 3.0, 2.0, 1.0]) - (9.0 + 47.0) / 50.0).abs() < 1e-12);
    }

    #[test]
    fn a_chip_turns_back_where_rejections_are_many() {
        let rule = Rule::new(NOMINAL, 100, 0.01, 1);
        let chip = [outcomes(1000), outcomes(1000), outcomes(4)];
        let followed = rule.follow(&chip, 200, 3, 7);
        assert_eq!(followed, rule.follow(&chip, 200, 3, 7), "by seed and chip alone");
        assert_ne!(followed.counts, rule.follow(&chip, 200, 3, 8).counts);
        assert_ne!(followed.counts, rule.follow(&chip, 200, 4, 7).counts);
        let visits = followed.supplies.iter().filter(|&&supply| supply == 2).count() as u32;
        assert_eq!(followed.alarms, visits, "each visit of the lowest supply ends by an alarm");
        for pair in followed.supplies.windows(2).filter(|pair| pair[0] == 2) {
            assert_eq!(pair[1], 1);
        }
    }

    #[test]
    fn windows_between_the_bounds_change_nothing() {
        let rule = Rule { window: 10, most: 9, calm: 0, patience: 1 };
        let followed = rule.follow(&[outcomes(2), outcomes(1000)], 30, 1, 1);
        assert!(followed.supplies.iter().all(|&supply| supply == 0) && followed.alarms == 0);
    }

    /// The rule once more, window by window from a list of all images drawn.
    #[test]
    fn following_is_the_rule_applied_to_each_window() {
        let chip = [outcomes(200), outcomes(50), outcomes(20), outcomes(9)];
        for (seed, patience) in [(1, 1), (2, 3), (9, 2)] {
            let rule = Rule::new(NOMINAL, 60, 0.05, patience);
            let followed = rule.follow(&chip, 300, seed, 5);
            let mut images = Images::new(2000, seed, 5);
            let drawn: Vec<usize> = (0..300 * 60).map(|_| images.next()).collect();
            let (mut supply, mut since, mut all) = (0_usize, 0_u32, Vec::new());
            for (window, images) in drawn.chunks(60).enumerate() {
                assert_eq!(followed.supplies[window], supply);
                let rejected = images.iter().filter(|&&i| !chip[supply][i].accepted).count() as u64;
                all.extend(images.iter().map(|&image| chip[supply][image]));
                since = if rejected <= rule.calm { since + 1 } else { 0 };
                match (rejected > rule.most, since == patience) {
                    (true, _) => supply = supply.max(1) - 1,
                    (false, true) => (supply, since) = ((supply + 1).min(3), 0),
                    (false, false) => {}
                }
            }
            assert_eq!(followed.counts, Counts::of(&all));
        }
    }

    #[test]
    fn images_are_drawn_alike() {
        let mut images = Images::new(7, 1, 0);
        let mut seen = [0_u32; 7];
        (0..7000).for_each(|_| seen[images.next()] += 1);
        assert!(seen.iter().all(|&count| count.abs_diff(1000) < 120), "{seen:?}");
    }

    #[test]
    fn false_alarms_of_the_rule_are_as_rare_as_they_say() {
        // As many are rejected at the only supply as without bit errors.
        let (chips, windows, false_alarm) = (40, 200, 0.05);
        let mut alarms = 0;
        for chip in 0..chips {
            let mut held_out = Images::new(50, 77, chip);
            let hits = (0..1000).filter(|_| held_out.next() == 0).count() as u64;
            let rule = Rule::new(Sample { hits, trials: 1000 }, 100, false_alarm, 1);
            alarms += rule.follow(&[outcomes(50)], windows, 5, chip).alarms;
        }
        let expected = f64::from(chips) * f64::from(windows) * false_alarm;
        // Windows of a chip share its sample of the nominal rate: the spread over chips is wider than a binomial one.
        assert!(f64::from(alarms) < 1.25 * expected, "{alarms} of {expected}");
        assert!(f64::from(alarms) > 0.2 * expected, "{alarms} of {expected}");
    }
}
