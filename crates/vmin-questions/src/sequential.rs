//! Whether a network keeps within a budget of lost accuracy, decided after as few images as the error probability
//! allows.
//!
//! The images of a trial are a finite population, met in a random order without replacement. Those that the network
//! classifies right without bit errors may be lost, the others may be gained. `L` and `G` are the numbers lost and
//! gained over *all* images; the trial is within the budget if `L - G <= most`. After `n` images both strata have
//! been sampled without replacement, so that the numbers seen are hypergeometric in `L` and in `G`.
//!
//! The test is the prior-posterior-ratio martingale of Waudby-Smith and Ramdas (Confidence sequences for sampling
//! without replacement, NeurIPS 2020, theorem 2.1): for any prior, `prior(L, G) / posterior(L, G)` has expectation 1
//! at the true `(L, G)` and exceeds `1 / alpha` at any time with a chance of at most `alpha`. A hypothesis is rejected
//! when every `(L, G)` that it contains has been rejected so. Looking after every image is as good as looking once.

/// The images of a trial in their order, and how many of them may be lost.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Among the first `n` images, those classified right without bit errors; one entry more than images.
    right: Vec<u32>,
    /// Most images lost, net of those gained; negative where the clean network misses the budget already.
    most: i64,
    ln_factorials: Vec<f64>,
    ln_prior: [Vec<f64>; 2],
}

/// Images of a trial that have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The first ones of the order.
    pub images: usize,
    /// Right under bit errors.
    pub correct: u64,
    /// Right with and without bit errors.
    pub correct_union: u64,
}

/// One of the two strata after some images.
struct Stratum<'a> {
    /// Images of it.
    all: usize,
    /// Seen.
    seen: usize,
    /// Changed among those seen.
    changed: usize,
    ln_factorials: &'a [f64],
    ln_prior: &'a [f64],
}

impl Budget {
    /// For images of which `right` tells, in their order, whether the network classifies them right without bit
    /// errors. At most `most` may be lost.
    #[must_use]
    pub fn new(right: impl Iterator<Item = bool>, most: i64) -> Self {
        let mut count = 0;
        let rest = right.map(|right| {
            count += u32::from(right);
            count
        });
        let right: Vec<u32> = std::iter::once(0).chain(rest).collect();
        let images = right.len() - 1;
        let mut sum = 0.0;
        let rest = (1..=images).map(|number| {
            sum += libm::log(number as f64);
            sum
        });
        let ln_factorials = std::iter::once(0.0).chain(rest).collect();
        let of_right = right[images] as usize;
        let ln_prior = [of_right, images - of_right].map(ln_prior);
        Self { right, most, ln_factorials, ln_prior }
    }

    /// Number of images.
    #[must_use]
    pub const fn images(&self) -> usize {
        self.right.len() - 1
    }

    /// Images lost and gained among those seen.
    #[must_use]
    pub fn lost_and_gained(&self, seen: Seen) -> (u64, u64) {
        let right = u64::from(self.right[seen.images]);
        (right.saturating_sub(seen.correct_union), seen.correct.saturating_sub(seen.correct_union))
    }

    /// Whether the trial is within the budget; none as long as either is possible at this error probability. After
    /// all images it is certain, with a probability of 0 only then or where the rest cannot change it.
    #[must_use]
    pub fn decide(&self, seen: Seen, alpha: f64) -> Option<bool> {
        let (lost, gained) = self.lost_and_gained(seen);
        let (all, of_right) = (self.images(), *self.right.last()? as usize);
        let right_seen = self.right[seen.images] as usize;
        let net = lost.cast_signed() - gained.cast_signed();
        // What the rest can do at most.
        let (right_left, wrong_left) =
            (of_right - right_seen, (all - seen.images) - (of_right - right_seen));
        if net + right_left as i64 <= self.most {
            return Some(true);
        }
        if net - wrong_left as i64 > self.most {
            return Some(false);
        }
        if alpha <= 0.0 {
            return None;
        }
        let stratum = |index: usize, all, seen, changed: u64| Stratum {
            all,
            seen,
            changed: changed as usize,
            ln_factorials: &self.ln_factorials,
            ln_prior: &self.ln_prior[index],
        };
        let right = stratum(0, of_right, right_seen, lost);
        let wrong = stratum(1, all - of_right, seen.images - right_seen, gained);
        let ln_least = libm::log(alpha) + right.ln_evidence() + wrong.ln_evidence();
        // Only one of the two can be rejected; try that against the estimate first.
        let share = |of: &Stratum<'_>| match of.seen {
            0 => 0.0,
            seen => of.all as f64 * of.changed as f64 / seen as f64,
        };
        let within = share(&right) - share(&wrong) <= self.most as f64;
        (!self.possible(&right, &wrong, !within, ln_least)).then_some(within)
    }

    /// True if some `(L, G)` that is within the budget, or out of it, is not rejected.
    fn possible(
        &self,
        right: &Stratum<'_>,
        wrong: &Stratum<'_>,
        within: bool,
        ln_least: f64,
    ) -> bool {
        let best = right.mode();
        let (low, high) = (right.changed, right.all - (right.seen - right.changed));
        let at = |gained: usize| {
            // The likelihood is log-concave in the lost ones: its largest value under the hypothesis is at the mode,
            // or at the end of the hypothesis nearest to it.
            let end = self.most + gained as i64;
            let lost = match within {
                true if end < low as i64 => return None,
                true => best.min(end.cast_unsigned() as usize),
                false if end + 1 > high as i64 => return None,
                false => best.max((end + 1).max(0).cast_unsigned() as usize),
            };
            Some(right.ln_likelihood(lost.clamp(low, high)) + wrong.ln_likelihood(gained))
        };
        let ln_best = right.ln_likelihood(best);
        let mode = wrong.mode();
        let last = wrong.all - (wrong.seen - wrong.changed);
        // Away from the mode, gained ones become unlikelier: beyond the first that is rejected whatever was lost, all
        // others are.
        let alive = |gained: &usize| ln_best + wrong.ln_likelihood(*gained) > ln_least;
        let not_rejected = |gained: usize| at(gained).is_some_and(|ln| ln > ln_least);
        (mode..=last).take_while(alive).any(not_rejected)
            || (wrong.changed..mode).rev().take_while(alive).any(not_rejected)
    }
}

impl Stratum<'_> {
    /// Log-probability of what was seen, in the order in which it was seen up to a factor that all share, if so many
    /// of all images change.
    fn ln_likelihood(&self, changing: usize) -> f64 {
        self.ln_choose(changing, self.changed)
            + self.ln_choose(self.all - changing, self.seen - self.changed)
            - self.ln_choose(self.all, self.seen)
    }

    fn ln_choose(&self, of: usize, chosen: usize) -> f64 {
        let ln = self.ln_factorials;
        ln[of] - ln[chosen] - ln[of - chosen]
    }

    /// The number of changing images under which what was seen is likeliest.
    fn mode(&self) -> usize {
        let (low, high) = (self.changed, self.all - (self.seen - self.changed));
        if self.seen == 0 {
            return low;
        }
        let mode = (self.changed as u128 * (self.all as u128 + 1) / self.seen as u128) as usize;
        mode.clamp(low, high)
    }

    /// Log-probability of what was seen under the prior. Terms too small to matter are left away, which makes
    /// rejections rarer, never likelier.
    fn ln_evidence(&self) -> f64 {
        const NEGLIGIBLE: f64 = 1e-12;
        let (low, high) = (self.changed, self.all - (self.seen - self.changed));
        let mode = self.mode();
        let scale = self.ln_likelihood(mode);
        let term = |changing: usize| {
            let likelihood = libm::exp(self.ln_likelihood(changing) - scale);
            (likelihood, likelihood * libm::exp(self.ln_prior[changing]))
        };
        let mut sum = 0.0;
        let mut add = |changing: usize| {
            let (likelihood, term) = term(changing);
            sum += term;
            likelihood > NEGLIGIBLE
        };
        let _ = (mode..=high).all(&mut add);
        let _ = (low..mode).rev().all(&mut add);
        scale + libm::log(sum)
    }
}

/// A prior over the numbers `0..=all`, proportional to `1 / (number + 1)`: any order of magnitude is as likely.
fn ln_prior(all: usize) -> Vec<f64> {
    let total: f64 = (0..=all).map(|number| 1.0 / (number as f64 + 1.0)).sum();
    let ln_total = libm::log(total);
    (0..=all).map(|number| -libm::log(number as f64 + 1.0) - ln_total).collect()
}

#[cfg(test)]
mod tests;
