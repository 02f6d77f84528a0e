use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// A population in a random order: for each image, whether it is right without and with bit errors.
fn population(
    random: &mut Xoshiro256PlusPlus,
    (right, lost): (usize, usize),
    (wrong, gained): (usize, usize),
) -> Vec<(bool, bool)> {
    let images = (0..right).map(|number| (true, number >= lost));
    let images = images.chain((0..wrong).map(|number| (false, number < gained)));
    let mut keyed: Vec<(u64, (bool, bool))> = images.map(|of| (random.next_u64(), of)).collect();
    keyed.sort_unstable_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, image)| image).collect()
}

fn seen(images: &[(bool, bool)]) -> Seen {
    Seen {
        images: images.len(),
        correct: images.iter().filter(|(_, with)| *with).count() as u64,
        correct_union: images.iter().filter(|(without, with)| *without && *with).count() as u64,
    }
}

fn budget(images: &[(bool, bool)], most: i64) -> Budget {
    Budget::new(images.iter().map(|(without, _)| *without), most)
}

/// The first decision when looking after every image, with the number of images it took.
fn decision(images: &[(bool, bool)], most: i64, alpha: f64) -> (bool, usize) {
    let budget = budget(images, most);
    let first = (0..=images.len())
        .find_map(|count| Some((budget.decide(seen(&images[..count]), alpha)?, count)));
    first.expect("all images decide")
}

#[test]
fn wrong_decisions_are_rarer_than_their_probability_however_often_one_looks() {
    const ALPHA: f64 = 0.1;
    const CAMPAIGNS: u32 = 1000;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    // One image beyond the budget and just within it, with and without gained ones; most gained at once.
    let cases = [
        ((250, 11), (50, 0), 10),
        ((250, 10), (50, 0), 10),
        ((250, 31), (50, 20), 10),
        ((200, 40), (100, 30), 10),
    ];
    for (right, wrong, most) in cases {
        let is_within = right.1 as i64 - wrong.1 as i64 <= most;
        let misses = (0..CAMPAIGNS)
            .filter(|_| {
                let images = population(&mut random, right, wrong);
                decision(&images, most, ALPHA).0 != is_within
            })
            .count();
        // 100 are allowed; what the test spends is far from all of it at either hypothesis.
        assert!(misses as f64 <= ALPHA * f64::from(CAMPAIGNS) + 19.0, "{misses} of {CAMPAIGNS}");
    }
}

#[test]
fn clear_cases_take_few_images() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut mean = |lost, gained| {
        let counts = (0..20).map(|_| {
            let images = population(&mut random, (8800, lost), (1200, gained));
            let budget = budget(&images, 100);
            let looks = std::iter::successors(Some(0), |&count| {
                (count < 10_000).then(|| crate::looks::next(count, 10_000))
            });
            let mut decided =
                looks.filter(|&count| budget.decide(seen(&images[..count]), 1e-4).is_some());
            decided.next().expect("all images decide")
        });
        counts.sum::<usize>() / 20
    };
    assert!(mean(0, 0) < 1300, "nothing is lost");
    assert!(mean(20, 10) < 3500, "a little");
    assert!(mean(6000, 100) < 60, "nearly all");
    assert!(mean(400, 20) < 1200, "four points");
}

/// The obvious twin: every number of lost and gained images, every term of the evidence.
fn decide_slowly(budget: &Budget, at: Seen, alpha: f64) -> Option<bool> {
    let (lost, gained) = budget.lost_and_gained(at);
    let images = budget.images();
    let right = *budget.right.last().expect("one entry more than images") as usize;
    let right_seen = budget.right[at.images] as usize;
    let stratum = |index: usize, all, seen, changed: u64| Stratum {
        all,
        seen,
        changed: changed as usize,
        ln_factorials: &budget.ln_factorials,
        ln_prior: &budget.ln_prior[index],
    };
    let strata = [
        stratum(0, right, right_seen, lost),
        stratum(1, images - right, at.images - right_seen, gained),
    ];
    let numbers = |of: &Stratum<'_>| of.changed..=of.all - (of.seen - of.changed);
    let likelihood = |of: &Stratum<'_>, number| libm::exp(of.ln_likelihood(number));
    let evidence = |of: &Stratum<'_>| {
        numbers(of).map(|n| likelihood(of, n) * libm::exp(of.ln_prior[n])).sum::<f64>()
    };
    let least = alpha * evidence(&strata[0]) * evidence(&strata[1]);
    let mut possible = [false; 2];
    for lost in numbers(&strata[0]) {
        for gained in numbers(&strata[1]) {
            if alpha <= 0.0 || likelihood(&strata[0], lost) * likelihood(&strata[1], gained) > least
            {
                possible[usize::from(lost as i64 - gained as i64 <= budget.most)] = true;
            }
        }
    }
    match possible {
        [false, true] => Some(true),
        [true, false] => Some(false),
        [true, true] | [false, false] => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_decision_is_that_of_the_slow_twin(
        right in 0usize..40, lost in 0usize..40, wrong in 0usize..20, gained in 0usize..20,
        most in -5i64..20, seed in 0u64..1000, alpha in prop::sample::select(vec![0.0, 1e-6, 1e-3, 0.05, 0.3]),
    ) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let images = population(&mut random, (right, lost.min(right)), (wrong, gained.min(wrong)));
        let budget = budget(&images, most);
        for count in 0..=images.len() {
            let at = seen(&images[..count]);
            let (fast, slow) = (budget.decide(at, alpha), decide_slowly(&budget, at, alpha));
            // Where both hypotheses were rejected, the truth is neither: only the slow one notices.
            prop_assert!(fast == slow || slow.is_none() && fast.is_some() && alpha > 0.05, "{count}: {fast:?} {slow:?}");
        }
        let is_within = lost.min(right) as i64 - gained.min(wrong) as i64 <= most;
        prop_assert_eq!(budget.decide(seen(&images), alpha), Some(is_within));
    }
}
