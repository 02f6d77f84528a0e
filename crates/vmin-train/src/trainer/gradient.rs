//! How the two gradients of a step are joined.

use crate::network::Gradients;

/// Clamps each element to `[-limit, limit]`, if there is a limit.
pub(super) fn clamp(gradients: &mut Gradients<f32>, limit: Option<f32>) {
    let Some(limit) = limit else { return };
    for value in gradients.iter_mut().flatten() {
        *value = value.clamp(-limit, limit);
    }
}

/// `(clean + perturbed) / 2` into `clean`.
pub(super) fn average(clean: &mut Gradients<f32>, perturbed: &Gradients<f32>) {
    for (clean, perturbed) in clean.iter_mut().zip(perturbed) {
        for (clean, &perturbed) in clean.iter_mut().zip(perturbed) {
            *clean = 0.5 * (*clean + perturbed);
        }
    }
}
