use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::looks;

/// Of a class: images right without bit errors and lost with them; wrong without and gained.
#[derive(Clone, Copy, Debug)]
struct Class {
    right: (usize, usize),
    wrong: (usize, usize),
}

/// The images of each class in a random order: whether each is right without and with bit errors.
struct Population([Vec<(bool, bool)>; CLASSES]);

impl Population {
    fn new(random: &mut Xoshiro256PlusPlus, classes: [Class; CLASSES]) -> Self {
        Self(classes.map(|Class { right, wrong }| {
            let images = (0..right.0).map(|number| (true, number >= right.1));
            let images = images.chain((0..wrong.0).map(|number| (false, number < wrong.1)));
            let mut keyed: Vec<_> = images.map(|of| (random.next_u64(), of)).collect();
            keyed.sort_unstable_by_key(|(key, _)| *key);
            keyed.into_iter().map(|(_, image)| image).collect()
        }))
    }

    fn seen(&self, counts: [usize; CLASSES]) -> [Seen; CLASSES] {
        std::array::from_fn(|class| {
            let images = &self.0[class][..counts[class]];
            Seen {
                images: images.len(),
                correct: images.iter().filter(|(_, with)| *with).count() as u64,
                correct_union: images.iter().filter(|(without, with)| *without && *with).count()
                    as u64,
            }
        })
    }

    fn budget(&self, most: i64) -> Budget {
        let right = self.0.each_ref().map(|of| of.iter().map(|of| of.0).collect::<Vec<bool>>());
        Budget::new(right.each_ref().map(Vec::as_slice), most)
    }

    /// The first decision, and the number of images that it took.
    fn decision(&self, budget: &Budget, alpha: f64) -> (bool, usize) {
        let mut counts = [0; CLASSES];
        loop {
            let seen = self.seen(counts);
            if let Some(within) = budget.decide(&seen, alpha) {
                return (within, counts.iter().sum());
            }
            let (class, until) = looks::next(budget, &seen).expect("all images decide");
            counts[class] = until;
        }
    }
}

#[test]
fn wrong_decisions_are_rarer_than_their_probability() {
    const ALPHA: f64 = 0.1;
    const CAMPAIGNS: usize = 1500;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let class = |right, wrong| Class { right, wrong };
    // One image beyond the budget, and just within it; near the border alone, everywhere, with gained ones.
    let cases = [
        ([class((60, 11), (20, 0)), class((180, 0), (20, 0))], 10),
        ([class((60, 10), (20, 0)), class((180, 0), (20, 0))], 10),
        ([class((60, 4), (20, 0)), class((180, 7), (20, 0))], 10),
        ([class((60, 25), (20, 10)), class((180, 6), (20, 10))], 10),
        ([class((60, 25), (20, 10)), class((180, 5), (20, 10))], 10),
        ([class((60, 0), (20, 10)), class((180, 21), (20, 0))], 10),
    ];
    for (classes, most) in cases {
        let net: usize = classes.iter().map(|of| of.right.1).sum::<usize>()
            - classes.iter().map(|of| of.wrong.1).sum::<usize>();
        let is_within = net as i64 <= most;
        let misses = (0..CAMPAIGNS)
            .filter(|_| {
                let images = Population::new(&mut random, classes);
                images.decision(&images.budget(most), ALPHA).0 != is_within
            })
            .count();
        // Three standard deviations above what is allowed.
        assert!(misses as f64 <= 150.0 + 35.0, "{misses} of {CAMPAIGNS}: {classes:?}");
    }
}

#[test]
fn clear_cases_take_few_images() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut mean = |near: (usize, usize), rest: (usize, usize)| {
        let classes = [
            Class { right: (1900, near.0), wrong: (600, near.1) },
            Class { right: (6900, rest.0), wrong: (600, rest.1) },
        ];
        let counts = (0..10).map(|_| {
            let images = Population::new(&mut random, classes);
            images.decision(&images.budget(100), 1e-5).1
        });
        counts.sum::<usize>() / 10
    };
    let cases = [
        ("nothing is lost", mean((0, 0), (0, 0)), 1900),
        ("a little", mean((80, 60), (3, 2)), 5500),
        ("nearly all", mean((1500, 50), (5000, 50)), 160),
        ("four points", mean((500, 100), (20, 10)), 1500),
        ("half of the budget", mean((210, 160), (10, 10)), 8000),
    ];
    for (name, images, most) in cases {
        assert!(images < most, "{name}: {images}");
    }
}

/// The obvious twin: every number of changed images of every stratum, every term of the evidence.
fn decide_slowly(budget: &Budget, seen: &[Seen; CLASSES], alpha: f64) -> Option<bool> {
    let strata = budget.strata(seen);
    let rejected = |counted: [bool; CLASSES]| -> [bool; 2] {
        let mut least = alpha / 2.0;
        for of in strata.iter().filter(|of| counted[of.class]) {
            let (low, high) = of.possible();
            let term = |n: usize| libm::exp(of.ln_likelihood(n) + of.ln_prior[n]);
            least *= (low..=high).map(term).sum::<f64>();
        }
        rejected_slowly(budget, &strata, counted, if alpha > 0.0 { least } else { -1.0 })
    };
    let (all, rest) = (rejected([true, true]), rejected([false, true]));
    match [all[0] || rest[0], all[1] || rest[1]] {
        [true, false] => Some(false),
        [false, true] => Some(true),
        [true, true] | [false, false] => None,
    }
}

/// Whether all numbers within the budget, and all out of it, have a likelihood of at most `least`.
fn rejected_slowly(
    budget: &Budget,
    strata: &[Stratum<'_>],
    counted: [bool; CLASSES],
    least: f64,
) -> [bool; 2] {
    // Net loss and likelihood of all combinations.
    let mut all = vec![(0i64, 1.0)];
    for of in strata {
        let (low, high) = of.possible();
        let with = |&(net, likelihood): &(i64, f64)| {
            (low..=high).map(move |n| {
                let own = if counted[of.class] { libm::exp(of.ln_likelihood(n)) } else { 1.0 };
                (net + of.adds * n as i64, likelihood * own)
            })
        };
        all = all.iter().flat_map(with).collect();
    }
    [true, false].map(|within| {
        let mut of = all.iter().filter(|(net, _)| (*net <= budget.most) == within);
        of.all(|&(_, likelihood)| likelihood <= least)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_decision_is_that_of_the_slow_twin(
        numbers in prop::array::uniform4((0usize..12, 0usize..12)),
        most in -3i64..9, seed in 0u64..1000, alpha in prop::sample::select(vec![0.0, 1e-6, 1e-3, 0.05, 0.3]),
    ) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let [a, b, c, d] = numbers.map(|(all, changed)| (all, changed.min(all)));
        let images = Population::new(&mut random, [Class { right: a, wrong: b }, Class { right: c, wrong: d }]);
        let budget = images.budget(most);
        let lengths = images.0.each_ref().map(Vec::len);
        for step in 0..=8 {
            let seen = images.seen([lengths[0] * step / 8, lengths[1] * (step * step) / 64]);
            let (fast, slow) = (budget.decide(&seen, alpha), decide_slowly(&budget, &seen, alpha));
            prop_assert!(fast == slow, "{step}: {fast:?} {slow:?}");
        }
        let net = (a.1 + c.1) as i64 - (b.1 + d.1) as i64;
        prop_assert_eq!(budget.decide(&images.seen(lengths), alpha), Some(net <= most));
    }
}
