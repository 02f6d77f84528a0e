//! Attacks that ask for confidences alone.

use super::{Ball, Found, Images, Objective, Victim, changed};
use crate::random::Stream;

/// Numbers of these attacks in the keys of random numbers.
const RANDOM_KEY: u64 = 2;
const SQUARES_KEY: u64 = 3;

/// Settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is raised.
    pub objective: Objective,
    /// Questions for each image.
    pub queries: u32,
    /// Seed of the random changes.
    pub seed: u64,
}

/// The best of so many random changes within the ball.
///
/// # Errors
/// The victim's.
pub fn random_search<V: Victim>(
    images: &Images<'_>,
    Ball { norm, epsilon }: Ball,
    settings: &Search,
    victim: &mut V,
) -> Result<Found, V::Error> {
    let mut found = Found::none(images);
    for query in 0..settings.queries {
        let one = |image| {
            let mut stream = images.stream(settings.seed, RANDOM_KEY, image, query);
            norm.random(images.one(image), epsilon, images.shape[2], &mut stream)
        };
        let changes: Vec<f32> = (0..images.labels.len()).flat_map(one).collect();
        let values = changed(images, &changes);
        let objectives = victim.objectives(&values, images.labels, settings.objective)?;
        found.note(&values, &objectives);
    }
    Ok(found)
}

/// Random squares: each proposal changes a square of the image as far as the ball allows, and stays if it raises the
/// objective. Squares shrink with the questions, and the first proposal changes columns.
///
/// # Errors
/// The victim's.
pub fn squares<V: Victim>(
    images: &Images<'_>,
    ball: Ball,
    settings: &Search,
    victim: &mut V,
) -> Result<Found, V::Error> {
    let mut found = Found::none(images);
    let (size, count) = (images.size(), images.labels.len());
    let mut changes = vec![0.0_f32; images.values.len()];
    let mut best = vec![f64::NEG_INFINITY; count];
    for query in 0..settings.queries {
        let mut next = changes.clone();
        for image in 0..count {
            let next = &mut next[image * size..(image + 1) * size];
            let mut stream = images.stream(settings.seed, SQUARES_KEY, image, query);
            let share = share(query, settings.queries);
            propose(next, images.shape, ball, share, query == 0, &mut stream);
            ball.norm.project(next, images.one(image), ball.epsilon, images.shape[2]);
        }
        let values = changed(images, &next);
        let objectives = victim.objectives(&values, images.labels, settings.objective)?;
        found.note(&values, &objectives);
        for (image, objective) in objectives.into_iter().enumerate() {
            if objective > best[image] {
                best[image] = objective;
                let of = image * size..(image + 1) * size;
                changes[of.clone()].copy_from_slice(&next[of]);
            }
        }
    }
    Ok(found)
}

/// Share of the image that a square covers: it halves at these parts of the search.
fn share(query: u32, queries: u32) -> f64 {
    const FIRST: f64 = 0.1;
    let done = f64::from(query) / f64::from(queries.max(1));
    let halvings = [0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8].iter().filter(|&&at| done >= at).count();
    FIRST / f64::from(1_u32 << halvings)
}

/// Sets a square, or all columns, to the largest changes of random sign for each channel.
fn propose(
    change: &mut [f32],
    [height, width, channels]: [usize; 3],
    Ball { norm, epsilon }: Ball,
    share: f64,
    columns: bool,
    stream: &mut Stream,
) {
    let side = libm::round(libm::sqrt(share * (height * width) as f64));
    // At most the side of the image.
    let side = (side as usize).clamp(1, height.min(width));
    let (rows, cols) = if columns { (height, width) } else { (side, side) };
    let [top, left] = [height - rows, width - cols].map(|most| stream.below(most + 1));
    let by = norm.spread(epsilon, rows * cols * channels) as f32;
    let mut signs: Vec<f32> = (0..channels).map(|_| stream.sign()).collect();
    for col in left..left + cols {
        if columns {
            signs.iter_mut().for_each(|sign| *sign = stream.sign());
        }
        for row in top..top + rows {
            let pixel = &mut change[(row * width + col) * channels..][..channels];
            pixel.iter_mut().zip(&signs).for_each(|(value, sign)| *value = sign * by);
        }
    }
}
