//! The images of a step after an attack on a share of them.
//!
//! ```text
//!  batch: clean images │ others ── attack at the weights of the forward pass ── rounded to grey levels
//!                                        └─ `ccat`: size of the change ── share of the label in its target
//! ```
//!
//! The attack sees the moments of the batch without it, and no errors: these come after it. Rounding goes towards the
//! image, so that no change leaves its ball.

use vmin_attack::image::{Ball, Found, Objective, Pgd, pgd, whole};
use vmin_attack::patch::{Area, Patch, patch};

use super::Trainer;
use super::step::Images;
use crate::attack::{FloatVictim, LEVELS};
use crate::engine::{Pass, Passes, Slot};
use crate::network::Normalization;
use crate::recipe::{ImageAttack, ImageSearch, PatchSearch};
use crate::{EngineError, TrainError};

impl Trainer<'_> {
    /// The images after the attack of the recipe; `None` where it changes none.
    pub(super) fn attacked(
        &self,
        images: &Images,
        parameters: &[Vec<f32>],
        normalization: Normalization<'_, f32>,
        passes: &mut dyn Passes,
    ) -> Result<Option<Images>, TrainError> {
        let Some(attack) = &self.recipe.attack else { return Ok(None) };
        let all = images.labels.len();
        let count = libm::round(attack.share() * all as f64);
        // At most all images.
        let clean = all - (count as usize).min(all);
        if clean == all {
            return Ok(None);
        }
        let network = &self.network;
        let pass = Pass { network, parameters, batch: images.batch(), normalization };
        let moments = passes.forward(Slot::Clean, &pass)?.moments;
        let size = images.pixels.len() / all;
        let values: Vec<f32> =
            images.pixels[clean * size..].iter().map(|&pixel| f32::from(pixel) / LEVELS).collect();
        let under = vmin_attack::image::Images {
            values: &values,
            labels: &images.labels[clean..],
            shape: self.data.shape,
            first: (self.steps_done as u64) << 32,
        };
        let mut victim =
            FloatVictim::with_moments(network, parameters, moments, self.recipe.input, passes);
        let found = search(attack, &under, self.recipe.seed, &mut victim)?;
        let mut pixels = images.pixels.clone();
        for (pixel, value) in pixels[clean * size..].iter_mut().zip(&found.values) {
            *pixel = whole(*pixel, *value);
        }
        let shares = match attack {
            ImageAttack::Pgd(_) | ImageAttack::Patch(_) => None,
            ImageAttack::Ccat { search, rho } => {
                let channels = self.data.shape[2];
                let changed = pixels[clean * size..].chunks(size).zip(values.chunks(size));
                let changed = changed.map(|(pixels, values)| {
                    let by = pixels.iter().zip(values).map(|(&p, v)| f32::from(p) / LEVELS - v);
                    let by: Vec<f32> = by.collect();
                    let share = search.norm.size(&by, channels) / search.epsilon;
                    libm::pow(1.0 - share.min(1.0), *rho) as f32
                });
                Some(vec![1.0; clean].into_iter().chain(changed).collect())
            }
        };
        let inputs = self.recipe.input.inputs(&pixels);
        Ok(Some(Images { pixels, inputs, labels: images.labels.clone(), shares }))
    }
}

fn search(
    attack: &ImageAttack,
    images: &vmin_attack::image::Images<'_>,
    seed: u64,
    victim: &mut FloatVictim<'_>,
) -> Result<Found, EngineError> {
    let (search, objective) = match attack {
        ImageAttack::Pgd(search) => (search, Objective::CrossEntropy),
        ImageAttack::Ccat { search, .. } => (search, Objective::WrongConfidence),
        ImageAttack::Patch(search) => return patch(images, &as_patch(search, seed), victim),
    };
    let &ImageSearch { norm, epsilon, steps, step, momentum, backtracking, start, .. } = search;
    let momentum = momentum as f32;
    let settings = Pgd { objective, steps, step, momentum, backtracking, start, restarts: 1, seed };
    pgd(images, Ball { norm, epsilon }, &settings, victim)
}

fn as_patch(search: &PatchSearch, seed: u64) -> Patch {
    let &PatchSearch { steps, step, moves, stride, .. } = search;
    let (area, objective) = (area(search), Objective::CrossEntropy);
    Patch { area, objective, steps, step: step as f32, moves, stride, restarts: 1, seed }
}

/// The patch and where it may lie.
pub(super) fn area(search: &PatchSearch) -> Area {
    Area { side: search.side, centre: search.centre }
}
