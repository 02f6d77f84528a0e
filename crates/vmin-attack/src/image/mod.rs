//! Adversarial images: changes within a ball around each image that raise an objective.
//!
//! ```text
//!  Images (values in 0..=1, labels, numbers) ─┐
//!  Ball (norm, epsilon) ──────────────────────┼─> pgd | random_search | squares ──> Found: images, objectives
//!  Victim (confidences) | Slopes (gradients) ─┘
//! ```
//!
//! Every image is attacked for itself: its random numbers follow from seed, its number and restart, so results depend
//! neither on the other images of a call nor on threads. Sources: A. Madry et al., "Towards Deep Learning Models
//! Resistant to Adversarial Attacks", ICLR 2018 (projected gradients); D. Stutz, M. Hein, B. Schiele,
//! "Confidence-Calibrated Adversarial Training", ICML 2020 (objective, momentum and backtracking); M. Andriushchenko,
//! F. Croce, N. Flammarion, M. Hein, "Square Attack", ECCV 2020 (squares).

mod black_box;
mod objective;
mod pgd;
#[cfg(test)]
pub(crate) mod tests;

pub use black_box::{Search, random_search, squares};
pub use objective::Objective;
pub use pgd::{Pgd, Start, pgd};

use crate::Norm;
use crate::random::Stream;

/// Images under attack.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// Values in 0..=1, image after image, each row by row with its channels last.
    pub values: &'a [f32],
    /// One label per image: the class to avoid, or the wanted one of a targeted objective.
    pub labels: &'a [u8],
    /// `[height, width, channels]`.
    pub shape: [usize; 3],
    /// Number of the first image, from which the random numbers follow.
    pub first: u64,
}

impl<'a> Images<'a> {
    /// Values of an image.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    fn one(&self, image: usize) -> &'a [f32] {
        &self.values[image * self.size()..][..self.size()]
    }

    /// The random numbers of an image.
    pub(crate) fn stream(&self, seed: u64, attack: u64, image: usize, restart: u32) -> Stream {
        Stream::new(seed, &[attack, self.first + image as u64, restart.into()])
    }
}

/// The changes that an attack may make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ball {
    /// How changes are measured.
    pub norm: Norm,
    /// Largest size of a change.
    pub epsilon: f64,
}

/// A network that tells its confidences alone.
pub trait Victim {
    /// Why it cannot be asked.
    type Error;

    /// Number of classes.
    fn classes(&self) -> usize;

    /// Confidences of images, class by class, image after image.
    ///
    /// # Errors
    /// The victim's own.
    fn confidences(&mut self, images: &[f32]) -> Result<Vec<f32>, Self::Error>;

    /// The objective of each image.
    ///
    /// # Errors
    /// The victim's own.
    fn objectives(
        &mut self,
        images: &[f32],
        labels: &[u8],
        objective: Objective,
    ) -> Result<Vec<f64>, Self::Error> {
        let confidences = self.confidences(images)?;
        let each = confidences.chunks(self.classes()).zip(labels);
        Ok(each.map(|(of, &label)| objective.of(of, label)).collect())
    }
}

/// The objective of each image with its derivatives.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// One per image.
    pub objectives: Vec<f64>,
    /// Derivatives of each objective by the values of its image, image after image.
    pub by_value: Vec<f32>,
}

/// A network that also tells derivatives.
pub trait Slopes: Victim {
    /// The objective of each image with its derivatives.
    ///
    /// # Errors
    /// The victim's own.
    fn slope(
        &mut self,
        images: &[f32],
        labels: &[u8],
        objective: Objective,
    ) -> Result<Slope, Self::Error>;
}

/// The best images that an attack saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Their values.
    pub values: Vec<f32>,
    /// Their objectives.
    pub objectives: Vec<f64>,
    /// Questions to the victim for each image.
    pub queries: u64,
}

impl Found {
    /// Before any question.
    pub(crate) fn none(images: &Images<'_>) -> Self {
        let objectives = vec![f64::NEG_INFINITY; images.labels.len()];
        Self { values: images.values.to_vec(), objectives, queries: 0 }
    }

    /// Takes note of images whose objectives the victim told.
    pub(crate) fn note(&mut self, values: &[f32], objectives: &[f64]) {
        let size = values.len() / objectives.len().max(1);
        for (image, &objective) in objectives.iter().enumerate() {
            if objective > self.objectives[image] {
                self.objectives[image] = objective;
                let of = image * size..(image + 1) * size;
                self.values[of.clone()].copy_from_slice(&values[of]);
            }
        }
        self.queries += 1;
    }
}

/// Images with their changes.
fn changed(images: &Images<'_>, changes: &[f32]) -> Vec<f32> {
    let sums = images.values.iter().zip(changes);
    sums.map(|(x, by)| (x + by).clamp(0.0, 1.0)).collect()
}

/// The whole pixel of 0 to 255 next to a value of 0 to 1, on the side of the pixel before the attack: a change is rounded
/// towards none, so that it stays within its ball.
#[must_use]
pub fn whole(before: u8, value: f32) -> u8 {
    // Numbers of 0 to 1 do not hit pixels exactly.
    const TOLERANCE: f32 = 1e-3;
    let level = 255.0 * value;
    let level = if level > f32::from(before) {
        (level + TOLERANCE).floor()
    } else {
        (level - TOLERANCE).ceil()
    };
    // A saturating cast of a whole number.
    level as u8
}
