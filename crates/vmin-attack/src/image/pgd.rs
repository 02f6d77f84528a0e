//! Projected gradients with momentum and backtracking.

use super::{Ball, Found, Images, Objective, Slopes, changed};
use crate::Norm;

/// Number of this attack in the keys of random numbers.
const KEY: u64 = 1;

/// Where a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the image.
    Zero,
    /// Somewhere in the ball.
    Random,
}

impl Start {
    /// Every start with its word.
    pub const WORDS: [(&str, Self); 2] = [("zero", Self::Zero), ("random", Self::Random)];
}

/// Settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Pgd {
    /// What is raised.
    pub objective: Objective,
    /// Steps of a run.
    pub steps: u32,
    /// The first step in radii of the ball. Where it counts pixels, in ranges of a pixel: 1 lets other pixels come in.
    pub step: f64,
    /// Share of the old direction in the next one, 0 to below 1.
    pub momentum: f32,
    /// Divides the step of an image where it does not raise the objective, and undoes that step; 1 accepts all steps.
    pub backtracking: f64,
    /// Where runs start.
    pub start: Start,
    /// Runs, the best of which counts; 1 or more. With a zero start only the first starts there.
    pub restarts: u32,
    /// Seed of random starts.
    pub seed: u64,
}

/// Raises the objective of every image within its ball, and keeps the best image of all steps and runs.
///
/// # Errors
/// The victim's.
pub fn pgd<V: Slopes>(
    images: &Images<'_>,
    ball: Ball,
    settings: &Pgd,
    victim: &mut V,
) -> Result<Found, V::Error> {
    let mut found = Found::none(images);
    for restart in 0..settings.restarts {
        run(images, ball, settings, restart, victim, &mut found)?;
    }
    Ok(found)
}

fn run<V: Slopes>(
    images: &Images<'_>,
    Ball { norm, epsilon }: Ball,
    settings: &Pgd,
    restart: u32,
    victim: &mut V,
    found: &mut Found,
) -> Result<(), V::Error> {
    let (size, channels, count) = (images.size(), images.shape[2], images.labels.len());
    let at_image = settings.start == Start::Zero && restart == 0;
    let start = |image| {
        let mut stream = images.stream(settings.seed, KEY, image, restart);
        norm.random(images.one(image), epsilon, channels, &mut stream)
    };
    let mut changes: Vec<f32> = if at_image {
        vec![0.0; images.values.len()]
    } else {
        (0..count).flat_map(start).collect()
    };
    let mut values = changed(images, &changes);
    let mut here = victim.slope(&values, images.labels, settings.objective)?;
    found.note(&values, &here.objectives);
    let mut directions = vec![0.0_f32; changes.len()];
    let radius = norm.spread(epsilon, 1);
    let mut steps = vec![settings.step * radius; count];
    for _ in 0..settings.steps {
        let mut next = changes.clone();
        for (image, step) in steps.iter().enumerate() {
            let of = image * size..(image + 1) * size;
            let slopes = here.by_value[of.clone()].iter();
            let at = images.one(image).iter().zip(&changes[of.clone()]);
            let mut steepest: Vec<f32> =
                at.zip(slopes).map(|((x, change), by)| useful(norm, *x, *change, *by)).collect();
            norm.direction(&mut steepest, epsilon, channels);
            let direction = &mut directions[of.clone()];
            for (direction, by) in direction.iter_mut().zip(steepest) {
                *direction = settings.momentum * *direction + (1.0 - settings.momentum) * by;
            }
            let next = &mut next[of];
            for (next, &by) in next.iter_mut().zip(&*direction) {
                *next += *step as f32 * by;
            }
            norm.project(next, images.one(image), epsilon, channels);
        }
        values = changed(images, &next);
        let there = victim.slope(&values, images.labels, settings.objective)?;
        found.note(&values, &there.objectives);
        for (image, step) in steps.iter_mut().enumerate() {
            let of = image * size..(image + 1) * size;
            let raised = there.objectives[image] > here.objectives[image];
            if raised || settings.backtracking <= 1.0 {
                here.objectives[image] = there.objectives[image];
                here.by_value[of.clone()].copy_from_slice(&there.by_value[of.clone()]);
                changes[of.clone()].copy_from_slice(&next[of]);
            } else {
                *step /= settings.backtracking;
            }
        }
    }
    Ok(())
}

/// The part of a derivative that a value can follow: none where it is at its end, and where pixels are counted, so
/// that each may change as far as it can, all that it would gain.
fn useful(norm: Norm, x: f32, change: f32, by: f32) -> f32 {
    let room = if by > 0.0 { 1.0 - x } else { x };
    let at_end = change.abs() >= room && change * by > 0.0 || room <= 0.0;
    match norm {
        Norm::L0 => by * room,
        Norm::Linf | Norm::L2 | Norm::L1 => {
            if at_end {
                0.0
            } else {
                by
            }
        }
    }
}
