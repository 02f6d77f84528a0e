//! Fisher's exact test of one share against another that was measured too.

/// Hits among trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Hits.
    pub hits: u64,
    /// All trials.
    pub trials: u64,
}

impl Sample {
    /// Hits over trials; 0 without a trial.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.trials == 0 { 0.0 } else { self.hits as f64 / self.trials as f64 }
    }
}

/// The one-sided P value of Fisher's exact test: the chance of so many hits in `seen`, or more, if both samples have
/// one rate and as many hits together as they have. It is at most `p` with a chance of at most `p`, whatever the rate.
#[must_use]
pub fn excess(reference: Sample, seen: Sample) -> f64 {
    let Sample { hits, trials: draws } = seen;
    let marked = reference.hits + hits;
    let unmarked = reference.trials - reference.hits + draws - hits;
    let law = Hypergeometric { marked, unmarked, draws };
    // The smaller tail: the chance of a count far below the mean is too small for a double.
    if hits as f64 > law.mean() {
        law.from(hits).min(1.0)
    } else {
        (1.0 - law.below(hits)).clamp(0.0, 1.0)
    }
}

/// The most hits among `trials` that are no excess over `reference` at a chance of `false_alarm`.
#[must_use]
pub fn bound(reference: Sample, trials: u64, false_alarm: f64) -> u64 {
    // The P value falls with the hits.
    let (mut low, mut high) = (0, trials);
    while low < high {
        let middle = low + (high - low) / 2;
        let next = Sample { hits: middle + 1, trials };
        if excess(reference, next) <= false_alarm {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// Marked ones among `draws` of all.
struct Hypergeometric {
    marked: u64,
    unmarked: u64,
    draws: u64,
}

impl Hypergeometric {
    fn mean(&self) -> f64 {
        self.draws as f64 * self.marked as f64 / (self.marked + self.unmarked).max(1) as f64
    }

    /// The chance of exactly so many.
    fn at(&self, count: u64) -> f64 {
        let Self { marked, unmarked, draws } = *self;
        if count > marked || count > draws || draws - count > unmarked {
            return 0.0;
        }
        let log = log_choose(marked, count) + log_choose(unmarked, draws - count)
            - log_choose(marked + unmarked, draws);
        libm::exp(log)
    }

    /// The factor from the chance of `count` to that of one more.
    fn step(&self, count: u64) -> f64 {
        let left = (self.marked - count) as f64 * (self.draws - count) as f64;
        left / ((count + 1) as f64 * (self.unmarked + count + 1 - self.draws) as f64)
    }

    /// The chance of `first` and more.
    fn from(&self, first: u64) -> f64 {
        let (mut term, mut sum) = (self.at(first), 0.0);
        for count in first..=self.marked.min(self.draws) {
            sum += term;
            if term == 0.0 || count == self.marked.min(self.draws) {
                break;
            }
            term *= self.step(count);
        }
        sum
    }

    /// The chance of fewer than `end`.
    fn below(&self, end: u64) -> f64 {
        let least = self.draws.saturating_sub(self.unmarked);
        let Some(last) = end.checked_sub(1).filter(|&last| last >= least) else { return 0.0 };
        let (mut term, mut sum) = (self.at(last), 0.0);
        for count in (least..=last).rev() {
            sum += term;
            if term == 0.0 || count == least {
                break;
            }
            term /= self.step(count - 1);
        }
        sum
    }
}

/// Logarithm of the number of ways to choose `k` of `n`.
fn log_choose(n: u64, k: u64) -> f64 {
    let log_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    log_factorial(n) - log_factorial(k) - log_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use rand_core::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn sample(hits: u64, trials: u64) -> Sample {
        Sample { hits, trials }
    }

    /// Every way to deal the hits of both samples over their trials.
    fn excess_slowly(reference: Sample, seen: Sample) -> f64 {
        let trials = reference.trials + seen.trials;
        let own = (1_u64 << seen.trials) - 1;
        let ways = (0_u64..1 << trials)
            .filter(|way| u64::from(way.count_ones()) == reference.hits + seen.hits);
        let (mut all, mut most) = (0_u64, 0_u64);
        for way in ways {
            all += 1;
            most += u64::from(u64::from((way & own).count_ones()) >= seen.hits);
        }
        most as f64 / all as f64
    }

    #[test]
    fn p_values_are_those_of_all_ways_to_deal_the_hits() {
        for (n, m) in [(1, 1), (3, 4), (7, 5), (4, 9), (8, 8), (1, 12)] {
            for (a, b) in (0..=n).flat_map(|a| (0..=m).map(move |b| (a, b))) {
                let (reference, seen) = (sample(a, n), sample(b, m));
                let (fast, slow) = (excess(reference, seen), excess_slowly(reference, seen));
                assert!((fast - slow).abs() < 1e-12, "{reference:?} {seen:?}: {fast} {slow}");
            }
        }
        assert_eq!(excess(sample(0, 0), sample(3, 5)), 1.0);
    }

    #[test]
    fn a_bound_is_the_first_that_is_exceeded_seldom() {
        for (reference, trials) in [(sample(2, 50), 20), (sample(0, 9), 30), (sample(9, 9), 7)] {
            for false_alarm in [0.5, 0.1, 0.01, 1e-6, 0.0] {
                let rare = |hits: u64| excess(reference, sample(hits, trials)) <= false_alarm;
                let slow = (0..trials).find(|&most| rare(most + 1)).unwrap_or(trials);
                assert_eq!(bound(reference, trials, false_alarm), slow, "{reference:?}");
            }
        }
    }

    /// The chance of more than `most` hits where the rate is known.
    fn binomial_above(trials: u64, rate: f64, most: u64) -> f64 {
        let mut chances = vec![1.0];
        for _ in 0..trials {
            let mut next = vec![0.0; chances.len() + 1];
            for (hits, chance) in chances.iter().enumerate() {
                next[hits] += chance * (1.0 - rate);
                next[hits + 1] += chance * rate;
            }
            chances = next;
        }
        chances[most as usize + 1..].iter().sum()
    }

    #[test]
    fn with_a_long_reference_the_bound_is_the_binomial_quantile() {
        for (rate, trials) in [(0.02, 200_u64), (0.1, 50), (0.005, 1000)] {
            let reference = sample((rate * 1e9) as u64, 1_000_000_000);
            for false_alarm in [0.1, 0.01, 0.001] {
                let slow = (0..=trials).find(|&b| binomial_above(trials, rate, b) <= false_alarm);
                assert_eq!(Some(bound(reference, trials, false_alarm)), slow, "{rate} {trials}");
            }
        }
    }

    #[test]
    fn large_counts_have_p_values() {
        let same = excess(sample(2000, 100_000), sample(20_000, 1_000_000));
        assert!((0.4..0.6).contains(&same), "{same}");
        assert_eq!(excess(sample(20, 1000), sample(900_000, 1_000_000)), 0.0);
        assert_eq!(excess(sample(900, 1000), sample(20, 1_000_000)), 1.0);
    }

    #[test]
    fn false_alarms_are_as_rare_as_they_say_though_the_nominal_rate_is_measured() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        let mut hits = |trials: u64, rate: f64| {
            let edge = (rate * 2_f64.powi(32)) as u64;
            (0..trials).filter(|_| random.next_u64() >> 32 < edge).count() as u64
        };
        let runs = 4000;
        for (rate, held_out, window, false_alarm) in
            [(0.02, 1000, 200, 0.05), (0.1, 300, 100, 0.05), (0.01, 500, 500, 0.1)]
        {
            let mut alarms = 0;
            for _ in 0..runs {
                let nominal = sample(hits(held_out, rate), held_out);
                alarms += u32::from(hits(window, rate) > bound(nominal, window, false_alarm));
            }
            let expected = f64::from(runs) * false_alarm;
            let most = expected + 4.0 * (expected * (1.0 - false_alarm)).sqrt();
            assert!(f64::from(alarms) <= most, "{rate}: {alarms} of {runs}");
            assert!(f64::from(alarms) >= 0.2 * expected, "{rate}: only {alarms}, too careful");
        }
    }
}
