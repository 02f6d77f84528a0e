//! Attacks the images of a trained network, and tells errors with and without a threshold on the confidence.
//!
//! ```text
//! cargo run --release -p vmin-train --example attack_images -- RECIPE.toml checkpoint.safetensors SET:DIR IMAGES
//! ```
//!
//! The network is the float one of a finished run of the recipe (the checkpoint in its `--out`). The threshold keeps 99 % of the right answers on the last 1,000
//! test images; attacks see the first IMAGES test images and raise the confidence of a wrong class. An image counts as
//! wrong if it or its worst change is answered wrongly, and accepted, by the threshold; the share is that of images
//! that are accepted before or after the attack.
#![expect(clippy::print_stdout, reason = "the errors are the output")]

use vmin_attack::Norm;
use vmin_attack::image::{
    Ball, Images, Objective, Pgd, Search, Start, Victim, pgd, random_search, squares,
};
use vmin_attack::patch::{Area, Moves, Patch, patch};
use vmin_nn::data::{Limits, Split, load};
use vmin_train::{Checkpoint, Engine, FloatVictim, Recipe, Trainer};

const BALLS: [(Norm, f64); 5] =
    [(Norm::Linf, 0.3), (Norm::Linf, 0.4), (Norm::L2, 3.0), (Norm::L1, 18.0), (Norm::L0, 15.0)];
const OBJECTIVE: Objective = Objective::WrongConfidence;

/// The confidence of the chosen class, and whether it is wrong.
fn answers(victim: &mut FloatVictim<'_>, values: &[f32], labels: &[u8]) -> Vec<(f32, bool)> {
    let classes = victim.classes();
    let confidences = victim.confidences(values).expect("on the processor");
    let answer = |(of, label): (&[f32], &u8)| {
        let class = (0..classes).reduce(|a, b| if of[b] > of[a] { b } else { a }).expect("one");
        (of[class], class != usize::from(*label))
    };
    confidences.chunks(classes).zip(labels).map(answer).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [recipe, checkpoint, data, count] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "four arguments")?;
    let recipe = Recipe::from_toml(&std::fs::read_to_string(recipe)?)?;
    let (train, test) = (
        load(&data, Split::Train, Limits::default())?,
        load(&data, Split::Test, Limits::default())?,
    );
    let checkpoint = Checkpoint::from_bytes(&std::fs::read(checkpoint)?)?;
    let trained = Trainer::resume(&recipe, &train, &test, checkpoint)?.finish();
    let network = &trained.network;
    let parameters = network.parameter_values();
    let mut engine = Engine::cpu();
    let victim = &mut FloatVictim::new(network, &parameters, recipe.input, &mut engine);
    let values = |pixels: &[u8]| -> Vec<f32> {
        pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
    };

    let held_out = test.subset(test.len() - 1000..test.len())?;
    let right = answers(victim, &values(&held_out.images), &held_out.labels);
    let mut right: Vec<f32> =
        right.into_iter().filter(|(_, wrong)| !wrong).map(|(confidence, _)| confidence).collect();
    right.sort_by(f32::total_cmp);
    let threshold = right[right.len() / 100];

    let attacked = test.subset(0..count.parse()?)?;
    let clean_values = values(&attacked.images);
    let images =
        Images { values: &clean_values, labels: &attacked.labels, shape: test.shape, first: 0 };
    let clean = answers(victim, &clean_values, &attacked.labels);
    let tell = |name: &str, victim: &mut FloatVictim<'_>, found: &[Vec<f32>]| {
        let mut worst: Vec<(f32, bool)> = vec![(0.0, false); clean.len()];
        for values in found {
            let answers = answers(victim, values, &attacked.labels);
            for (worst, answer) in worst.iter_mut().zip(answers) {
                if answer.1 && (!worst.1 || answer.0 > worst.0) {
                    *worst = answer;
                }
            }
        }
        let pairs = || clean.iter().zip(&worst);
        let any = pairs().filter(|(clean, worst)| clean.1 || worst.1).count();
        let bad = |answer: &(f32, bool)| answer.1 && answer.0 >= threshold;
        let wrong = pairs().filter(|(clean, worst)| bad(clean) || bad(worst)).count();
        let accepted =
            pairs().filter(|(clean, worst)| clean.0 >= threshold || bad(worst)).count().max(1);
        let pct = |part: usize, of: usize| 100.0 * part as f64 / of as f64;
        let [any, wrong] = [pct(any, clean.len()), pct(wrong, accepted)];
        println!("{name}: error {any:.1} %, with the threshold {wrong:.1} %");
    };
    println!("threshold {threshold:.4}");
    tell("clean", victim, &[]);
    for (norm, epsilon) in BALLS {
        let ball = Ball { norm, epsilon };
        let mut found = Vec::new();
        for (start, steps, step) in [(Start::Zero, 200, 0.05), (Start::Random, 60, 0.2)] {
            let step = if norm == Norm::L0 { 1.0 } else { step };
            let (momentum, backtracking, restarts, seed) = (0.9, 1.1, 2, 1);
            let objective = OBJECTIVE;
            let settings =
                Pgd { objective, steps, step, momentum, backtracking, start, restarts, seed };
            found.push(pgd(&images, ball, &settings, victim)?.values);
        }
        let settings = Search { objective: OBJECTIVE, queries: 300, seed: 1 };
        found.push(squares(&images, ball, &settings, victim)?.values);
        found.push(random_search(&images, ball, &settings, victim)?.values);
        tell(&format!("{norm:?} {epsilon}"), victim, &found);
    }
    let area = Area { side: 5, centre: 8 };
    let (objective, steps, step, moves) = (OBJECTIVE, 60, 0.1, Moves::Full);
    let settings = Patch { area, objective, steps, step, moves, stride: 2, restarts: 3, seed: 1 };
    let found = patch(&images, &settings, victim)?.values;
    tell("patch of 5 x 5 pixels", victim, &[found]);
    Ok(())
}
