//! Whether a network keeps within a budget of lost accuracy, decided after as few images as the error probability
//! allows.
//!
//! The images of a trial are a finite population in strata, met in a random order without replacement in each. Those
//! that the network classifies right without bit errors may be lost, the others may be gained; either may be near the
//! border of its class or not ([`crate::Order`]). With `L` lost and `G` gained over *all* images, the trial is within
//! the budget if `L - G <= most`. In each stratum the number of changed images among those seen is hypergeometric.
//!
//! The test is the prior-posterior-ratio martingale of Waudby-Smith and Ramdas (Confidence sequences for sampling
//! without replacement, NeurIPS 2020, theorem 2.1): for any prior, `prior / posterior` has expectation 1 at the true
//! numbers of changed images and exceeds `1 / alpha` at any time with a chance of at most `alpha`. A hypothesis is
//! rejected when all numbers that it contains have been rejected so. Looking after every image is as good as looking
//! once, and which stratum is seen next may depend on what was seen.
//!
//! Two such martingales share the probability: that of all strata, and that of the images away from the border alone.
//! The second pays nothing for what is known of those near it once all of them were seen.

use crate::order::CLASSES;

/// Exponent of the prior of each class: how much likelier few changed images are than many.
const PRIOR: [f64; CLASSES] = [1.0, 2.0];

/// The images of a trial in their order, and how many of them may be lost.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Of each class, among its first `n` images those classified right without bit errors; one entry more than images.
    right: [Vec<u32>; CLASSES],
    /// Most images lost, net of those gained; negative where the clean network misses the budget already.
    most: i64,
    ln_factorials: Vec<f64>,
    /// Of each class: of images right and wrong without bit errors.
    ln_prior: [[Vec<f64>; 2]; CLASSES],
}

/// Images of a class that have been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The first ones of its order.
    pub images: usize,
    /// Right under bit errors.
    pub correct: u64,
    /// Right with and without bit errors.
    pub correct_union: u64,
}

/// A stratum after some images: those of a class that are right, or wrong, without bit errors.
struct Stratum<'a> {
    /// Its class.
    class: usize,
    /// What a changed image adds to the net loss: 1 where it is lost, -1 where it is gained.
    adds: i64,
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
    /// For images of which `right` tells, class by class in their order, whether the network classifies them right
    /// without bit errors. At most `most` may be lost.
    #[must_use]
    pub fn new(right: [&[bool]; CLASSES], most: i64) -> Self {
        let images = right.iter().map(|of| of.len()).sum::<usize>();
        let mut sum = 0.0;
        let rest = (1..=images).map(|number| {
            sum += libm::log(number as f64);
            sum
        });
        let ln_factorials = std::iter::once(0.0).chain(rest).collect();
        let right = right.map(|of| {
            let mut count = 0;
            let rest = of.iter().map(|&right| {
                count += u32::from(right);
                count
            });
            std::iter::once(0).chain(rest).collect::<Vec<u32>>()
        });
        let mut exponents = PRIOR.into_iter();
        let ln_prior = right.each_ref().map(|of| {
            let exponent = exponents.next().unwrap_or(1.0);
            let of_right = of.last().map_or(0, |&count| count as usize);
            [of_right, of.len() - 1 - of_right].map(|all| ln_prior(all, exponent))
        });
        Self { right, most, ln_factorials, ln_prior }
    }

    /// Most images lost, net of those gained.
    #[must_use]
    pub const fn most(&self) -> i64 {
        self.most
    }

    /// Number of images of a class.
    #[must_use]
    pub const fn images(&self, class: usize) -> usize {
        self.right[class].len() - 1
    }

    /// Images lost and gained among those seen of a class.
    #[must_use]
    pub fn lost_and_gained(&self, class: usize, seen: Seen) -> (u64, u64) {
        let right = u64::from(self.right[class][seen.images]);
        (right.saturating_sub(seen.correct_union), seen.correct.saturating_sub(seen.correct_union))
    }

    fn strata(&self, seen: &[Seen; CLASSES]) -> Vec<Stratum<'_>> {
        let of_class = |(class, &seen): (usize, &Seen)| {
            let (lost, gained) = self.lost_and_gained(class, seen);
            let right = &self.right[class];
            let all_right = right.last().map_or(0, |&count| count as usize);
            let seen_right = right[seen.images] as usize;
            let stratum = |adds: i64, all: usize, seen: usize, changed: u64| Stratum {
                class,
                adds,
                all,
                seen,
                changed: changed as usize,
                ln_factorials: &self.ln_factorials,
                ln_prior: &self.ln_prior[class][usize::from(adds < 0)],
            };
            let all_wrong = self.images(class) - all_right;
            let seen_wrong = seen.images - seen_right;
            [stratum(1, all_right, seen_right, lost), stratum(-1, all_wrong, seen_wrong, gained)]
        };
        seen.iter().enumerate().flat_map(of_class).collect()
    }

    /// Whether the trial is within the budget; none as long as either is possible at this error probability. With a
    /// probability of 0 it is decided once the rest cannot change it.
    #[must_use]
    pub fn decide(&self, seen: &[Seen; CLASSES], alpha: f64) -> Option<bool> {
        let strata = self.strata(seen);
        // What the rest can do at most.
        let end = |adds: i64| -> i64 {
            let of = |of: &Stratum<'_>| {
                let changed =
                    if of.adds == adds { of.changed + of.all - of.seen } else { of.changed };
                of.adds * changed as i64
            };
            strata.iter().map(of).sum()
        };
        if end(1) <= self.most {
            return Some(true);
        }
        if end(-1) > self.most {
            return Some(false);
        }
        if alpha <= 0.0 {
            return None;
        }

        // The likeliest numbers are never rejected; only the other hypothesis can be.
        let likeliest: Vec<usize> = strata.iter().map(Stratum::mode).collect();
        let net: i64 =
            strata.iter().zip(&likeliest).map(|(of, &changed)| of.adds * changed as i64).sum();
        let within = net <= self.most;
        let (steps, direction) =
            if within { (self.most + 1 - net, 1) } else { (net - self.most, -1) };
        let rejected = MARTINGALES.iter().any(|counted| {
            let ln_share = libm::log(alpha / MARTINGALES.len() as f64);
            let evidence = strata.iter().filter(|of| counted[of.class]).map(Stratum::ln_evidence);
            let ln_least = ln_share + evidence.sum::<f64>();
            rejects(&strata, *counted, likeliest.clone(), (steps, direction), ln_least)
        });
        rejected.then_some(within)
    }
}

/// The classes that each martingale counts.
const MARTINGALES: [[bool; CLASSES]; 2] = [[true, true], [false, true]];

/// True if all numbers of changed images at least so many `steps` of the net loss away from the likeliest ones, in this
/// direction, are rejected by the martingale of the classes that are `counted`.
///
/// The likelihood of each stratum is log-concave, so that the likeliest numbers at a distance are found step by step,
/// each in the stratum where it costs least.
fn rejects(
    strata: &[Stratum<'_>],
    counted: [bool; CLASSES],
    mut at: Vec<usize>,
    (steps, direction): (i64, i64),
    ln_least: f64,
) -> bool {
    let ln_of = |index: usize, changed: usize| match counted[strata[index].class] {
        true => strata[index].ln_likelihood(changed),
        false => 0.0,
    };
    let mut ln: f64 = at.iter().enumerate().map(|(index, &changed)| ln_of(index, changed)).sum();
    // What the next step costs in each stratum; none at its end.
    let next = |index: usize, changed: usize| -> Option<(usize, f64)> {
        let stratum = &strata[index];
        let (low, high) = stratum.possible();
        let to = match stratum.adds * direction {
            1 => changed.checked_add(1).filter(|&to| to <= high)?,
            _ => changed.checked_sub(1).filter(|&to| to >= low)?,
        };
        Some((to, ln_of(index, changed) - ln_of(index, to)))
    };
    let mut ahead: Vec<Option<(usize, f64)>> =
        at.iter().enumerate().map(|(index, &changed)| next(index, changed)).collect();
    for _ in 0..steps {
        let cheapest = ahead
            .iter()
            .enumerate()
            .filter_map(|(index, step)| step.map(|(to, cost)| (index, to, cost)))
            .min_by(|a, b| a.2.total_cmp(&b.2));
        // No numbers are so far away.
        let Some((index, to, cost)) = cheapest else { return true };
        at[index] = to;
        ln -= cost;
        if ln <= ln_least {
            return true;
        }
        ahead[index] = next(index, to);
    }
    false
}

impl Stratum<'_> {
    /// Least and largest number of images that may change.
    const fn possible(&self) -> (usize, usize) {
        (self.changed, self.all - (self.seen - self.changed))
    }

    /// Log-probability of what was seen, up to a factor that all numbers share, if so many of all images change.
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
        let (low, high) = self.possible();
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
        if self.seen == 0 {
            return 0.0;
        }
        let (low, high) = self.possible();
        let mode = self.mode();
        let scale = self.ln_likelihood(mode);
        let mut sum = 0.0;
        let mut add = |changing: usize| {
            let likelihood = libm::exp(self.ln_likelihood(changing) - scale);
            sum += likelihood * libm::exp(self.ln_prior[changing]);
            likelihood > NEGLIGIBLE
        };
        let _ = (mode..=high).all(&mut add);
        let _ = (low..mode).rev().all(&mut add);
        scale + libm::log(sum)
    }
}

/// A prior over the numbers `0..=all`, proportional to a power of `1 / (number + 1)`.
fn ln_prior(all: usize, exponent: f64) -> Vec<f64> {
    let ln = |number: usize| -exponent * libm::log(number as f64 + 1.0);
    let total: f64 = (0..=all).map(|number| libm::exp(ln(number))).sum();
    let ln_total = libm::log(total);
    (0..=all).map(|number| ln(number) - ln_total).collect()
}

#[cfg(test)]
mod tests;
