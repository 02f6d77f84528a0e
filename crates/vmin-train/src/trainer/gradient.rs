//! Combination of the two gradients of a step.

use rayon::prelude::*;

use crate::network::Gradients;
use crate::parallel::together;

/// Clamps each element to `[-limit, limit]`, if there is a limit.
pub(super) fn clamp(gradients: &mut Gradients<f32>, limit: Option<f32>) {
    let Some(limit) = limit else { return };
    let together = together(gradients);
    gradients.par_iter_mut().with_min_len(together).for_each(|values| {
        values.iter_mut().for_each(|value| *value = value.clamp(-limit, limit));
    });
}

/// `(clean + perturbed) / 2` into `clean`.
pub(super) fn average(clean: &mut Gradients<f32>, perturbed: &Gradients<f32>) {
    join(clean, perturbed, |clean, perturbed| 0.5 * (clean + perturbed));
}

/// `clean + perturbed` into `clean`.
pub(super) fn add(clean: &mut Gradients<f32>, perturbed: &Gradients<f32>) {
    join(clean, perturbed, |clean, perturbed| clean + perturbed);
}

fn join(one: &mut Gradients<f32>, other: &Gradients<f32>, by: impl Fn(f32, f32) -> f32 + Sync) {
    let together = together(one);
    let tensors = one.par_iter_mut().zip(other).with_min_len(together);
    tensors.for_each(|(one, other)| {
        one.iter_mut().zip(other).for_each(|(one, &other)| *one = by(*one, other));
    });
}
