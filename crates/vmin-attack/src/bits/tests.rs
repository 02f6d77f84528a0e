//! Attacks on networks so small that all flips can be tried.

use std::convert::Infallible;

use proptest::prelude::*;
use vmin_quant::Encoding;

use super::{
    After, Flip, Pgd, Ranking, Slope, Victim, Weights, best, first_order, flipped, pgd,
    progressive, project, random, restart,
};
use crate::random::Stream;

/// Two layers with a smooth rectifier between, on some inputs; the loss is the mean of `ln(1 + exp(output))`.
struct Tiny {
    weights: Vec<Weights>,
    inputs: Vec<[f64; 2]>,
}

const HIDDEN: usize = 2;

fn softplus(x: f64) -> f64 {
    (1.0 + x.exp()).ln()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Tiny {
    fn new(seed: u64) -> Self {
        let mut stream = Stream::new(seed, &[7]);
        let mut tensor = |count: usize, scale: f32| {
            let codes = (0..count).map(|_| stream.below(8) as u8).collect();
            Weights::all_reachable(codes, 3, Encoding::TwosComplement, vec![scale])
        };
        let weights = vec![tensor(2 * HIDDEN, 0.5), tensor(HIDDEN, 0.4)];
        let mut number = || stream.below(2001) as f64 / 1000.0 - 1.0;
        let inputs = (0..4).map(|_| [number(), number()]).collect();
        Self { weights, inputs }
    }

    fn reals(&self, codes: &[Vec<u8>]) -> Vec<Vec<f64>> {
        let of = |(of, codes): (&Weights, &Vec<u8>)| {
            let table = of.encoding.decode_table(of.bits);
            let real = |&code: &u8| f64::from(table[usize::from(code)]) * f64::from(of.scales[0]);
            codes.iter().map(real).collect()
        };
        self.weights.iter().zip(codes).map(of).collect()
    }

    /// The highest loss with at most two flips.
    fn worst(&mut self) -> f64 {
        let flips: Vec<Flip> = (0..2)
            .flat_map(|tensor| {
                let codes = self.weights[tensor].codes.len();
                (0..codes).flat_map(move |index| (0..3).map(move |bit| Flip { tensor, index, bit }))
            })
            .collect();
        let mut worst = f64::MIN;
        for (n, &a) in flips.iter().enumerate() {
            for &b in &flips[n..] {
                let pair =
                    if (a.tensor, a.index) == (b.tensor, b.index) { vec![a] } else { vec![a, b] };
                let Ok(loss) = self.loss(&flipped(&self.weights, &pair));
                worst = worst.max(loss);
            }
        }
        worst
    }
}

impl Victim for Tiny {
    type Error = Infallible;

    fn loss(&mut self, codes: &[Vec<u8>]) -> Result<f64, Infallible> {
        self.slope(codes).map(|slope| slope.loss)
    }

    fn slope(&mut self, codes: &[Vec<u8>]) -> Result<Slope, Infallible> {
        let reals = self.reals(codes);
        let (mut loss, mut by) = (0.0, [vec![0.0; 2 * HIDDEN], vec![0.0; HIDDEN]]);
        let share = 1.0 / self.inputs.len() as f64;
        for input in &self.inputs {
            let before: Vec<f64> = (0..HIDDEN)
                .map(|h| reals[0][2 * h] * input[0] + reals[0][2 * h + 1] * input[1])
                .collect();
            let output: f64 = before.iter().zip(&reals[1]).map(|(&x, w)| softplus(x) * w).sum();
            loss += share * softplus(output);
            let by_output = share * sigmoid(output);
            for (h, &x) in before.iter().enumerate() {
                by[1][h] += by_output * softplus(x);
                let by_before = by_output * reals[1][h] * sigmoid(x);
                by[0][2 * h] += by_before * input[0];
                by[0][2 * h + 1] += by_before * input[1];
            }
        }
        let by_integer = by
            .iter()
            .zip(&self.weights)
            .map(|(by, of)| by.iter().map(|&by| (by * f64::from(of.scales[0])) as f32).collect());
        Ok(Slope { loss, by_integer: by_integer.collect() })
    }
}

fn settings(ranking: Ranking, step: f32, momentum: f32) -> Pgd {
    let (tensors, start) = (Vec::new(), Vec::new());
    Pgd { iterations: 15, step, momentum, backtracking: 1.5, ranking, tensors, start }
}

#[test]
fn attacks_find_the_worst_two_of_all_flips_of_tiny_networks() {
    let mut met = [0; 3];
    for seed in 0..40 {
        let mut tiny = Tiny::new(seed);
        let weights = tiny.weights.clone();
        let worst = tiny.worst();
        let by_distance = [0.3, 1.0, 3.0].map(|step| settings(Ranking::Distance, step, 0.0));
        let by_gain = [0.0, 0.5, 0.9].map(|momentum| settings(Ranking::Gain, 0.0, momentum));
        let mut highest = |runs: [Pgd; 3]| {
            let losses = runs.map(|run| {
                let Ok(found) = pgd(&weights, 2, &run, &mut tiny);
                let Ok(loss) = tiny.loss(&flipped(&weights, &found.flips));
                assert_eq!(found.loss, loss);
                loss
            });
            losses.into_iter().fold(f64::MIN, f64::max)
        };
        let found = [highest(by_distance), highest(by_gain)];
        let Ok((one_by_one, _)) = progressive(&weights, 2, &mut tiny);
        for (met, loss) in met.iter_mut().zip([found[0], found[1], one_by_one.loss]) {
            assert!(loss <= worst + 1e-12, "{seed}: {loss} {worst}");
            *met += usize::from(loss > worst - 1e-9);
        }
    }
    // A flip of a high bit is no small change, so searches that follow slopes may miss the worst pair.
    let at_least = [22, 28, 32];
    assert!(met.iter().zip(at_least).all(|(&met, least)| met >= least), "{met:?} of 40");
}

#[test]
fn the_first_flips_of_a_progressive_search_are_those_of_a_shorter_one() {
    let mut tiny = Tiny::new(3);
    let weights = tiny.weights.clone();
    let Ok((long, after)) = progressive(&weights, 4, &mut tiny);
    for count in 0..4 {
        let Ok((short, _)) = progressive(&weights, count, &mut tiny);
        assert_eq!(short.flips, long.flips[..count]);
        if count > 0 {
            assert_eq!(after[count - 1], After { loss: short.loss, queries: short.queries });
        }
    }
    // Each code has one wrong bit at most, so all six codes end the search.
    let Ok((all, _)) = progressive(&weights, 100, &mut tiny);
    assert_eq!(all.flips.len(), 6);
}

#[test]
fn no_attack_leaves_its_reach() {
    let mut tiny = Tiny::new(5);
    tiny.weights[0].reachable.fill(0b100);
    tiny.weights[1].reachable.fill(0);
    let weights = tiny.weights.clone();
    let within = |flips: &[Flip]| {
        assert!(!flips.is_empty() && flips.iter().all(|of| of.tensor == 0 && of.bit == 2));
        let places: std::collections::BTreeSet<_> = flips.iter().map(|of| of.index).collect();
        assert_eq!(places.len(), flips.len());
    };
    let Ok(found) = random(&weights, 3, 1, &mut tiny);
    assert_eq!(found.flips.len(), 3);
    within(&found.flips);
    let Ok(found) = first_order(&weights, 3, &mut tiny);
    within(&found.flips);
    let Ok((found, _)) = progressive(&weights, 3, &mut tiny);
    within(&found.flips);
    for ranking in [Ranking::Distance, Ranking::Gain] {
        let Ok(found) = pgd(&weights, 3, &settings(ranking, 1.0, 0.5), &mut tiny);
        within(&found.flips);
    }
    let other = Pgd { tensors: vec![1], ..settings(Ranking::Gain, 1.0, 0.5) };
    let Ok(none) = pgd(&weights, 3, &other, &mut tiny);
    assert!(none.flips.is_empty());
}

#[test]
fn restarts_differ_and_later_ones_begin_anywhere() {
    let mut tiny = Tiny::new(9);
    let weights = tiny.weights.clone();
    let all: Vec<Pgd> = (0..12).map(|nth| restart(nth, &weights, 2, 5, 2)).collect();
    for (nth, settings) in all.iter().enumerate() {
        assert!(!all[..nth].contains(settings), "{nth}");
        assert_eq!(settings.start.len(), if nth < 7 { 0 } else { 2 });
        let Ok(found) = pgd(&weights, 2, settings, &mut tiny);
        assert!(found.flips.len() <= 2);
    }
}

#[test]
fn random_flips_depend_on_their_seed_and_reach_every_bit() {
    let mut tiny = Tiny::new(1);
    let weights = tiny.weights.clone();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let Ok(found) = random(&weights, 2, seed, &mut tiny);
        let Ok(again) = random(&weights, 2, seed, &mut tiny);
        assert_eq!(found, again);
        seen.extend(found.flips);
    }
    assert_eq!(seen.len(), 6 * 3);
}

prop_compose! {
    fn some_weights()(
        bits in 2_u8..=8,
        encoding in prop_oneof![
            Just(Encoding::TwosComplement), Just(Encoding::OffsetBinary), Just(Encoding::SignMagnitude)
        ],
        codes in prop::collection::vec((any::<u8>(), any::<u8>(), -200.0_f32..200.0), 1..12),
    ) -> (Weights, Vec<f32>) {
        let mask = 0xff >> (8 - bits);
        let numbers = codes.iter().map(|of| of.2).collect();
        let reachable = codes.iter().map(|of| of.1 & mask).collect();
        let codes = codes.iter().map(|of| of.0 & mask).collect();
        let mut weights = Weights::all_reachable(codes, bits, encoding, vec![0.1]);
        weights.reachable = reachable;
        (weights, numbers)
    }
}

proptest! {
    /// The twin sorts all changes of codes.
    #[test]
    fn the_projection_keeps_the_largest_changes((of, at) in some_weights(), count in 0_usize..6) {
        let table = of.encoding.decode_table(of.bits);
        let integer = |code: u8| i32::from(table[usize::from(code)]);
        let mut all: Vec<(i32, usize, u8)> = Vec::new();
        for (index, &code) in of.codes.iter().enumerate() {
            let wanted = at[index].round().clamp(
                of.encoding.min(of.bits) as f32, of.encoding.max(of.bits) as f32,
            ) as i32;
            if wanted == integer(code) {
                continue;
            }
            let there = of.encoding.encode(wanted, of.bits).expect("in range");
            let bits = (0..of.bits).rev();
            let differs = |bit: &u8| ((code ^ there) & of.reachable[index]) >> bit & 1 == 1;
            if let Some(bit) = bits.clone().find(differs) {
                all.push((-(wanted - integer(code)).abs(), index, bit));
            }
        }
        all.sort_unstable();
        all.truncate(count);
        let mut expected: Vec<Flip> =
            all.iter().map(|&(_, index, bit)| Flip { tensor: 0, index, bit }).collect();
        expected.sort_unstable();
        prop_assert_eq!(project(&[of], &[at], count), expected);
    }

    /// Of a linear loss, no flips within the ball are worse.
    #[test]
    fn the_best_flips_are_the_worst_of_a_linear_loss((of, slopes) in some_weights(), count in 0_usize..3) {
        let table = of.encoding.decode_table(of.bits);
        let gain = |flip: &Flip| {
            let code = of.codes[flip.index];
            let [before, after] = [code, code ^ 1 << flip.bit].map(|c| i32::from(table[usize::from(c)]));
            f64::from(slopes[flip.index]) * f64::from(after - before)
        };
        let found = best(std::slice::from_ref(&of), std::slice::from_ref(&slopes), count);
        let told: f64 = found.iter().map(gain).sum();
        let all: Vec<Flip> = (0..of.codes.len())
            .flat_map(|index| (0..of.bits).map(move |bit| Flip { tensor: 0, index, bit }))
            .filter(|flip| of.reachable[flip.index] >> flip.bit & 1 == 1)
            .collect();
        let mut worst = 0.0_f64;
        for (n, a) in all.iter().enumerate() {
            worst = worst.max(if count > 0 { gain(a) } else { 0.0 });
            for b in all[n..].iter().filter(|b| count > 1 && b.index != a.index) {
                worst = worst.max(gain(a) + gain(b));
            }
        }
        prop_assert!(found.len() <= count);
        prop_assert!((told - worst).abs() <= 1e-9 * worst.max(1.0), "{} {}", told, worst);
    }
}
