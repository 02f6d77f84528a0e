use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;

/// Simulated experiments behind each coverage.
const EXPERIMENTS: u32 = 2_000;
const CONFIDENCE: f64 = 0.95;

struct Random(Xoshiro256PlusPlus);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Uniform in 0..1.
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn hits(&mut self, trials: u32, share: f64) -> u32 {
        (0..trials).filter(|_| self.uniform() < share).count() as u32
    }
}

/// Most misses of so many experiments, each with a chance of `miss`: four standard deviations above the mean.
fn most(miss: f64) -> u32 {
    let n = f64::from(EXPERIMENTS);
    (n * miss + 4.0 * (n * miss * (1.0 - miss)).sqrt()) as u32
}

#[test]
fn spread_of_known_values() {
    let spread = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).expect("values");
    assert!((spread.mean - 5.0).abs() < 1e-15);
    assert!((spread.std - (32.0f64 / 7.0).sqrt()).abs() < 1e-15);
    assert_eq!((spread.min, spread.max), (2.0, 9.0));
    assert_eq!(Spread::of(&[3.0]).map(|spread| spread.std), Some(0.0));
    assert_eq!(Spread::of(&[]), None);
}

#[test]
fn a_quantile_is_a_value_that_was_seen() {
    let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
    let found = quantiles(&values, [0.0, 0.05, 0.5, 0.95, 1.0]);
    assert_eq!(found, Some([1.0, 1.0, 10.0, 19.0, 20.0]));
    assert_eq!((quantiles(&[7.0], [0.5]), quantiles(&[], [0.5])), (Some([7.0]), None));
}

#[test]
fn twenty_of_twenty_show_eighty_six_percent() {
    let all = Yield::of(20, 20, 1, CONFIDENCE);
    assert!((all.shown - 0.05_f64.powf(0.05)).abs() < 1e-12, "{all:?}");
    assert!((all.interval.0 - 0.025_f64.powf(0.05)).abs() < 1e-12 && all.interval.1 == 1.0);
    assert_eq!(share_words(all.shown, 1), "86.1 %");
    assert_eq!(Yield::of(80, 80, 4, CONFIDENCE), all, "the offsets of a chip are no chips");
    assert_eq!(Yield::of(0, 20, 1, CONFIDENCE).shown, 0.0);
    for (target, chips) in [(0.9, 29), (0.99, 299), (0.5, 5), (0.0, 1)] {
        assert_eq!(chips_to_show(target, CONFIDENCE), Some(u64::from(chips)), "{target}");
        assert!(Yield::of(chips, chips, 1, CONFIDENCE).shown >= target);
        assert!(chips == 1 || Yield::of(chips - 1, chips - 1, 1, CONFIDENCE).shown < target);
    }
    assert_eq!(chips_to_show(1.0, CONFIDENCE), None);
}

#[test]
fn a_rate_has_three_significant_digits() {
    for (rate, words) in [
        (0.0, "0 %"),
        (1.9e-19, "1.90e-17 %"),
        (9.994e-6, "9.99e-4 %"),
        (9.996e-6, "0.00100 %"),
        (1.339e-4, "0.0134 %"),
        (0.05, "5.00 %"),
        (0.09996, "10.0 %"),
        (0.5, "50.0 %"),
        (1.0, "100 %"),
        (12.345, "1234 %"),
    ] {
        assert_eq!(rate_words(rate), words);
    }
}

#[test]
fn a_failing_chip_is_always_seen() {
    let words = [(399, 400), (999, 1000), (996, 1000), (1, 101), (19, 20), (20, 20), (400, 400)]
        .map(|(passing, chips)| yield_words(passing, chips));
    let expected =
        ["399/400 (99.75 %)", "999/1000 (99.90 %)", "996/1000 (99.60 %)", "1/101 (0.99 %)"];
    assert_eq!(words[..4], expected);
    assert_eq!(words[4..], ["19/20 (95 %)", "20/20 (100 %)", "400/400 (100 %)"]);
    assert_eq!((yield_words(1, 1), yield_words(0, 20)), ("1/1".into(), "0/20 (0 %)".into()));
    assert_eq!(share_words(0.99971, 1), "99.97 %");
    assert_eq!(share_words(0.00004, 0), "0.004 %");
    for chips in [2, 99, 100, 101, 333, 1_000_000] {
        let one_fails = yield_words(chips - 1, chips);
        assert!(!one_fails.contains("(100"), "{one_fails}");
    }
}

#[test]
fn the_yield_is_within_its_interval_as_often_as_it_says() {
    let mut random = Random::new(1);
    for (chips, truth) in [(20, 0.8), (60, 0.95), (300, 0.99)] {
        let (mut outside, mut overstated) = (0, 0);
        for _ in 0..EXPERIMENTS {
            let found = Yield::of(random.hits(chips, truth), chips, 1, CONFIDENCE);
            outside += u32::from(truth < found.interval.0 || truth > found.interval.1);
            overstated += u32::from(truth < found.shown);
        }
        assert!(outside <= most(0.05) && overstated <= most(0.05), "{outside} {overstated}");
        assert!(outside > 0 && overstated > 0, "an interval of everything shows nothing");
    }
}

/// Going down until the target is no longer shown does not add up the chances of each voltage.
#[test]
fn a_voltage_is_shown_wrongly_as_seldom_as_it_says() {
    let mut random = Random::new(2);
    let truths = [0.999, 0.99, 0.97, 0.94, 0.899, 0.7];
    let (chips, target) = (100, 0.9);
    let mut wrong = 0;
    for _ in 0..EXPERIMENTS {
        let scores: Vec<f64> = (0..chips).map(|_| random.uniform()).collect();
        let shown = |truth: &f64| {
            let passing = scores.iter().filter(|&score| score < truth).count() as u32;
            reaches(Yield::of(passing, chips, 1, CONFIDENCE).shown, target)
        };
        wrong += u32::from(lowest(&truths, shown).is_some_and(|&truth| truth < target));
    }
    assert!(wrong <= most(0.05), "{wrong}");
    assert!(wrong > EXPERIMENTS / 100, "{wrong}: the bound is not that wide");
}

/// Chips of 5 to 15 % error on 200 images. Where the same images fail on every chip, the share of the images is
/// the whole binomial one; where each chip fails on its own, it is in the spread over chips already.
#[test]
fn the_mean_error_is_within_its_interval_as_often_as_it_says() {
    let (chips, images, truth) = (20, 200_u32, 0.1);
    for alike in [true, false] {
        let mut random = Random::new(3);
        let (mut outside, mut chips_alone, mut beyond_bound) = (0, 0, 0);
        for _ in 0..EXPERIMENTS {
            let hard: Vec<f64> = (0..images).map(|_| random.uniform()).collect();
            let errors: Vec<f64> = (0..chips)
                .map(|_| {
                    let error = 0.05 + 0.1 * random.uniform();
                    let wrong = match alike {
                        true => hard.iter().filter(|&&image| image < error).count() as u32,
                        false => random.hits(images, error),
                    };
                    f64::from(wrong) / f64::from(images)
                })
                .collect();
            let found = MeanError::of(&errors, 1, images.into(), CONFIDENCE).expect("chips");
            let (low, high) = found.interval.expect("two chips or more");
            outside += u32::from(truth < low || truth > high);
            let mean = Spread::of(&errors).expect("chips").mean;
            chips_alone += u32::from((mean - truth).abs() > 2.093 * found.se_chips.expect("chips"));
            beyond_bound += u32::from(truth > papers_bound(mean, images.into(), chips, 0.05));
        }
        assert!(outside <= most(0.05) && beyond_bound <= most(0.05), "{alike}: {outside}");
        if alike {
            assert!(outside > EXPERIMENTS / 100, "{outside}: the interval is not that wide");
            assert!(chips_alone > most(0.05), "{chips_alone}: images count");
        } else {
            assert!(chips_alone <= most(0.05), "{chips_alone}: chips alone vary");
        }
    }
}

#[test]
fn a_mean_without_spread_is_as_sure_as_its_images() {
    let none = MeanError::of(&[0.0; 20], 1, 300, CONFIDENCE).expect("chips");
    let (low, high) = none.interval.expect("chips");
    assert!(low == 0.0 && (high - (1.0 - 0.025_f64.powf(1.0 / 300.0))).abs() < 1e-9, "{high}");
    // Five equal chips show that half of all chips are like them, four do not.
    let equal = |chips: usize| MeanError::of(&vec![0.2; chips], 1, 300, CONFIDENCE);
    assert!(equal(5).expect("chips").interval.is_some_and(|(low, high)| low < 0.2 && 0.2 < high));
    assert_eq!(equal(4).expect("chips").interval, None);
    assert!(MeanError::of(&[0.2, 0.21], 1, 300, CONFIDENCE).expect("chips").interval.is_some());
    let one = MeanError::of(&[0.1], 1, 100, CONFIDENCE).expect("a chip");
    assert_eq!((one.se_chips, one.interval), (None, None));
    assert!((one.se_images - 0.03).abs() < 1e-12);
    // Two offsets of each of two chips: the chips' means are 0.2 and 0.4.
    let offsets = MeanError::of(&[0.1, 0.3, 0.5, 0.3], 2, 100, CONFIDENCE).expect("chips");
    assert!((offsets.se_chips.expect("two chips") - 0.1).abs() < 1e-12);
}

#[test]
fn a_loss_is_paired() {
    let energy = (1.0, 1.0);
    let clean = Clean {
        images: 100,
        correct: 90,
        err: 0.1,
        energy_per_inference_nj: energy.0,
        latency_us: energy.1,
    };
    let counts = Counts { correct: 89, correct_union: 88, ..Counts::default() };
    // Two images became wrong and one right.
    let variance = (0.03 - 0.01 * 0.01) / 100.0;
    assert!((loss_se_images(&[counts, counts], &clean) - f64::sqrt(variance)).abs() < 1e-15);
}

#[test]
fn a_paired_difference_has_the_interval_of_its_chips() {
    let none = PairedDifference::of(&[0.0; 5], 1, CONFIDENCE).expect("chips");
    // Equal chips have no standard deviation: 0.05 of samples of 5 miss the 45 % of chips that differ.
    assert_eq!((none.mean, none.low, none.high), (0.0, None, None));
    assert!((none.differing_high.expect("equal") - (1.0 - 0.05_f64.powf(0.2))).abs() < 1e-12);
    assert!(none.words().contains("at most 45 % of all chips differ"), "{}", none.words());
    let two = PairedDifference::of(&[0.1 + 0.2, 0.3], 1, CONFIDENCE).expect("chips");
    assert_eq!((two.low, two.high), (None, None), "equal but for rounding");
    assert!(two.words().contains("at most 78 %"), "{}", two.words());
    let one = PairedDifference::of(&[0.25], 1, CONFIDENCE).expect("a chip");
    assert_eq!((one.mean, one.low, one.high, one.differing_high), (0.25, None, None, None));
    // Student's factor of two degrees of freedom is 4.3027; the deviation is 0.1.
    let three = PairedDifference::of(&[0.1, 0.2, 0.3], 1, CONFIDENCE).expect("chips");
    let half = 4.302_65 * 0.1 / 3.0_f64.sqrt();
    assert!((three.high.expect("three chips") - 0.2 - half).abs() < 1e-5, "{three:?}");
    // Two offsets of a chip are one chip.
    let offsets = PairedDifference::of(&[0.0, 0.2, 0.1, 0.3, 0.2, 0.4], 2, CONFIDENCE);
    let offsets = offsets.expect("chips");
    assert!((offsets.mean - three.mean).abs() < 1e-12);
    assert!((offsets.low.expect("three chips") - three.low.expect("three")).abs() < 1e-12);
}

/// Numbers of the proposition's paper: 4.1 % and 1.7 % with a million patterns; 56 % for 50 chips.
#[test]
fn the_papers_bound_has_their_numbers() {
    let bound = |images, chips| papers_bound(0.0, images, chips, 0.01);
    assert!((bound(10_000, 1_000_000) - 0.0409).abs() < 5e-5);
    assert!((bound(100_000, 1_000_000) - 0.0167).abs() < 5e-5);
    assert!((bound(10_000, 50) - 0.56).abs() < 5e-3);
    assert_eq!(bound(100, 1), 1.0);
}
