//! Attacks on a softmax of linear functions, whose worst images are known.

use std::convert::Infallible;

use super::{
    Ball, Images, Objective, Pgd, Search, Slope, Slopes, Start, Victim, pgd, random_search, squares,
};
use crate::Norm;
use crate::random::Stream;

const SHAPE: [usize; 3] = [4, 4, 1];
const SIZE: usize = 16;

/// The logit of class 0 is a linear function of the image, that of class 1 is 0.
pub(crate) struct Linear {
    pub(crate) weights: Vec<f32>,
    pub(crate) asked: u64,
}

impl Linear {
    pub(crate) fn new(seed: u64, size: usize) -> Self {
        let mut stream = Stream::new(seed, &[9]);
        let weights = (0..size).map(|_| stream.signed() as f32).collect();
        Self { weights, asked: 0 }
    }

    pub(crate) fn logit(&self, image: &[f32]) -> f64 {
        let products = image.iter().zip(&self.weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
        products.sum()
    }
}

impl Victim for Linear {
    type Error = Infallible;

    fn classes(&self) -> usize {
        2
    }

    fn confidences(&mut self, images: &[f32]) -> Result<Vec<f32>, Infallible> {
        self.asked += 1;
        let of = |image: &[f32]| {
            let confidence = 1.0 / (1.0 + (-self.logit(image)).exp());
            [confidence as f32, (1.0 - confidence) as f32]
        };
        Ok(images.chunks(self.weights.len()).flat_map(of).collect())
    }
}

impl Slopes for Linear {
    fn slope(
        &mut self,
        images: &[f32],
        labels: &[u8],
        objective: Objective,
    ) -> Result<Slope, Infallible> {
        let Ok(confidences) = self.confidences(images);
        let mut slope = Slope { objectives: Vec::new(), by_value: Vec::new() };
        for (of, &label) in confidences.chunks(2).zip(labels) {
            slope.objectives.push(objective.of(of, label));
            // Derivatives by the logit of class 0, of the label's and the other class's confidence.
            let label_rises = if label == 0 { of[1] } else { -of[0] };
            let by = match objective {
                Objective::CrossEntropy => -label_rises,
                Objective::WrongConfidence => {
                    if label == 0 {
                        -of[0]
                    } else {
                        of[1]
                    }
                }
                Objective::Target => label_rises,
            };
            slope.by_value.extend(self.weights.iter().map(|w| w * by));
        }
        Ok(slope)
    }
}

fn pixels(seed: u64, count: usize) -> Vec<f32> {
    let mut stream = Stream::new(seed, &[3]);
    (0..count * SIZE).map(|_| stream.unit() as f32).collect()
}

fn settings(objective: Objective, start: Start) -> Pgd {
    let (steps, restarts, seed) = (40, 2, 5);
    Pgd { objective, steps, step: 0.25, momentum: 0.5, backtracking: 1.5, start, restarts, seed }
}

/// The largest change of the logit of class 0 downwards within the ball, by its values.
fn lowest(victim: &Linear, image: &[f32], ball: Ball) -> f64 {
    // What each value can gain at most, per unit, and how far it can move.
    let mut moves: Vec<(f64, f64)> = image
        .iter()
        .zip(&victim.weights)
        .map(|(&x, &w)| (f64::from(w.abs()), f64::from(if w > 0.0 { x } else { 1.0 - x })))
        .collect();
    let gain: f64 = match ball.norm {
        Norm::Linf => moves.iter().map(|(w, room)| w * room.min(ball.epsilon)).sum(),
        Norm::L1 => {
            moves.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut left = ball.epsilon;
            let gains = moves.iter().map(|(w, room)| {
                let by = room.min(left);
                left -= by;
                w * by
            });
            gains.sum()
        }
        Norm::L0 => {
            let mut gains: Vec<f64> = moves.iter().map(|(w, room)| w * room).collect();
            gains.sort_by(|a, b| b.total_cmp(a));
            gains[..ball.epsilon as usize].iter().sum()
        }
        Norm::L2 => {
            // Moves in proportion to the weights, up to their room.
            let by = |factor: f64| moves.iter().map(move |(w, room)| (w, room.min(w * factor)));
            let size = |factor| by(factor).map(|(_, by)| by * by).sum::<f64>().sqrt();
            let factors = (0..4000).map(|n| f64::from(n) * 1e-3);
            let factor = factors.take_while(|&factor| size(factor) <= ball.epsilon).last();
            by(factor.expect("0")).map(|(w, by)| w * by).sum()
        }
    };
    victim.logit(image) - gain
}

#[test]
fn gradients_find_the_worst_images_of_a_linear_victim() {
    let values = pixels(1, 3);
    for (norm, epsilon) in [(Norm::Linf, 0.2), (Norm::L2, 0.4), (Norm::L1, 1.0), (Norm::L0, 3.0)] {
        let ball = Ball { norm, epsilon };
        for (objective, label) in
            [(Objective::CrossEntropy, 0), (Objective::WrongConfidence, 0), (Objective::Target, 1)]
        {
            for start in [Start::Zero, Start::Random] {
                let mut victim = Linear::new(2, SIZE);
                let labels = [label; 3];
                let images = Images { values: &values, labels: &labels, shape: SHAPE, first: 0 };
                let step = if norm == Norm::L0 { 1.0 } else { 0.25 };
                let settings = Pgd { step, ..settings(objective, start) };
                let Ok(found) = pgd(&images, ball, &settings, &mut victim);
                assert_eq!((found.queries, victim.asked), (82, 82));
                for (image, attacked) in values.chunks(SIZE).zip(found.values.chunks(SIZE)) {
                    let by: Vec<f32> = attacked.iter().zip(image).map(|(a, b)| a - b).collect();
                    assert!(norm.size(&by, 1) <= epsilon + 1e-5, "{norm:?} {by:?}");
                    assert!(attacked.iter().all(|value| (0.0..=1.0).contains(value)));
                    let (logit, best) = (victim.logit(attacked), lowest(&victim, image, ball));
                    let all = victim.logit(image) - best;
                    let missed = (logit - best) / all;
                    assert!((-1e-2..0.06).contains(&missed), "{norm:?} {objective:?} {missed}");
                }
            }
        }
    }
}

#[test]
fn searches_without_gradients_come_near_the_worst_images() {
    let values = pixels(1, 3);
    let labels = [0; 3];
    let images = Images { values: &values, labels: &labels, shape: SHAPE, first: 0 };
    for (norm, epsilon) in [(Norm::Linf, 0.2), (Norm::L2, 0.4), (Norm::L1, 1.0), (Norm::L0, 3.0)] {
        let ball = Ball { norm, epsilon };
        let objective = Objective::CrossEntropy;
        let settings = Search { objective, queries: 300, seed: 1 };
        let mut victim = Linear::new(2, SIZE);
        let Ok(random) = random_search(&images, ball, &settings, &mut victim);
        let Ok(square) = squares(&images, ball, &settings, &mut victim);
        assert_eq!(victim.asked, 600);
        for found in [&random, &square] {
            assert_eq!(found.queries, 300);
            for (n, (image, attacked)) in
                values.chunks(SIZE).zip(found.values.chunks(SIZE)).enumerate()
            {
                let by: Vec<f32> = attacked.iter().zip(image).map(|(a, b)| a - b).collect();
                assert!(norm.size(&by, 1) <= epsilon + 1e-5, "{norm:?} {by:?}");
                let Ok(told) = victim.objectives(attacked, &[0], objective);
                assert_eq!(told[0], found.objectives[n]);
                let share = (victim.logit(image) - victim.logit(attacked))
                    / (victim.logit(image) - lowest(&victim, image, ball));
                assert!(share > 0.3, "{norm:?} {share}");
            }
        }
        if norm == Norm::Linf {
            let higher = square.objectives.iter().zip(&random.objectives).all(|(a, b)| a > b);
            assert!(higher, "{:?} {:?}", square.objectives, random.objectives);
        }
    }
}

#[test]
fn an_image_is_attacked_for_itself() {
    let values = pixels(4, 4);
    let labels = [0, 1, 1, 0];
    let ball = Ball { norm: Norm::L2, epsilon: 0.5 };
    let attack = |from: usize, to: usize| {
        let images = Images {
            values: &values[from * SIZE..to * SIZE],
            labels: &labels[from..to],
            shape: SHAPE,
            first: from as u64,
        };
        let victim = &mut Linear::new(2, SIZE);
        let search = Search { objective: Objective::WrongConfidence, queries: 9, seed: 3 };
        let Ok(a) = pgd(&images, ball, &settings(search.objective, Start::Random), victim);
        let Ok(b) = random_search(&images, ball, &search, victim);
        let Ok(c) = squares(&images, ball, &search, victim);
        [a.values, b.values, c.values]
    };
    let together = attack(0, 4);
    let parts: Vec<_> = (0..4).map(|image| attack(image, image + 1)).collect();
    for (attack, together) in together.iter().enumerate() {
        let parts: Vec<f32> = parts.iter().flat_map(|part| part[attack].clone()).collect();
        assert_eq!(*together, parts);
    }
}

#[test]
fn more_runs_are_never_worse_and_no_radius_changes_nothing() {
    let values = pixels(4, 2);
    let images = Images { values: &values, labels: &[0, 1], shape: SHAPE, first: 0 };
    let run = |epsilon: f64, restarts: u32| {
        let ball = Ball { norm: Norm::Linf, epsilon };
        let settings =
            Pgd { restarts, steps: 1, ..settings(Objective::CrossEntropy, Start::Random) };
        let Ok(found) = pgd(&images, ball, &settings, &mut Linear::new(2, SIZE));
        found
    };
    let [one, five] = [1, 5].map(|restarts| run(0.2, restarts).objectives);
    assert!(five.iter().zip(&one).all(|(five, one)| five >= one) && five != one);
    assert_eq!(run(0.0, 2).values, values);
}

#[test]
fn grey_levels_are_those_towards_the_image() {
    for before in 0..=255_u8 {
        assert_eq!(super::whole(before, f32::from(before) / 255.0), before);
        for by in [-76.5_f32, -3.0, -0.4, 0.4, 3.0, 76.5] {
            let value = (f32::from(before) + by).clamp(0.0, 255.0);
            let expected = f32::from(before) + (value - f32::from(before)).trunc();
            assert_eq!(f32::from(super::whole(before, value / 255.0)), expected, "{before} {by}");
        }
    }
}
