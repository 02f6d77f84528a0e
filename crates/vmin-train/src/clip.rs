//! Clipping: bounds of the weights, set by the recipe or learned.
//!
//! Learned bounds, one per weight tensor (weight-clipping-aware training, WCAT, TMLR 2023): the forward pass sees
//! `w~ = clamp(w, -bound, bound)` in codes, maybe with bit errors, and the bound moves along its own gradient.
//! As in LSQ (S. K. Esser et al., "Learned Step Size Quantization", ICLR 2020) rounding, and here also an error, is
//! a constant in units of the step:
//!
//! ```text
//!  dw~ / dbound = sign(w) if |w| is the bound, else 0
//!               + (w~ - w) / step * dstep / dbound        dstep / dbound = ends at the bound / (2^bits - 1)
//! ```
//!
//! So errors, whose size is that of the range, narrow it, and weights that would be larger widen it. LSQ scales the
//! gradient by `1 / sqrt(N Q)` for a step that occurs Q times in the range; the bound occurs once: `1 / sqrt(N)`.
//! Master weights are clipped to the bound as they are to a fixed one, so that none stays behind it for good.

use rayon::prelude::*;

use crate::deploy::fuse;
use crate::network::{Gradients, Network, ParameterKind};
use crate::parallel::together;
use crate::recipe::ClipScope;
use crate::{LearnedClip, Recipe, Sgd, TrainError};

/// Most by which a step divides or multiplies a bound: it stays positive.
const STEP_MAX: f32 = 2.0;

/// Clamps every parameter to its bound.
pub(crate) fn clip(bounds: &[f32], parameters: &mut [Vec<f32>]) {
    let together = together(parameters);
    let tensors = bounds.par_iter().zip(parameters);
    tensors.with_min_len(together).for_each(|(&bound, values)| {
        values.iter_mut().for_each(|value| *value = value.clamp(-bound, bound));
    });
}

/// The bound of each parameter: `clip`, times the fraction of its weight tensor if the recipe has fractions, or
/// infinity without clipping.
pub(crate) fn bounds(net: &Network, recipe: &Recipe) -> Vec<f32> {
    let limit = recipe.clip.unwrap_or(f32::INFINITY);
    let mut fractions = recipe.clip_fractions.iter().flatten();
    spread(net, recipe.clip_scope, || limit * fractions.next().unwrap_or(&1.0))
}

/// The bound of each parameter by that of each weight tensor; biases, scales and shifts have that of the weights
/// before them.
fn spread(net: &Network, scope: ClipScope, mut of_weights: impl FnMut() -> f32) -> Vec<f32> {
    let mut bound = f32::INFINITY;
    let parameters = net.parameters.iter();
    parameters
        .map(|parameter| match (parameter.kind, scope) {
            (ParameterKind::Weight, _) => {
                bound = of_weights();
                bound
            }
            (ParameterKind::Bias | ParameterKind::Scale, ClipScope::All) => bound,
            (ParameterKind::Bias | ParameterKind::Scale, ClipScope::Weights) => f32::INFINITY,
        })
        .collect()
}

/// Cuts off every activation that lies in memory at this magnitude. A range with both signs ends one code sooner above 0,
/// so that its ends are codes: an integer network cuts off at codes.
pub(crate) fn cut_off(net: &mut Network, clip: f32) -> Result<(), TrainError> {
    let steps = fuse(net).map_err(TrainError::NoActivationCodes)?;
    let limits = steps.iter().map(|fused| {
        let of_both_signs = [-clip, clip * 127.0 / 128.0];
        let limits = if fused.rectified { [f32::NEG_INFINITY, clip] } else { of_both_signs };
        (fused.output, limits)
    });
    let limits: Vec<_> = limits.collect();
    limits.into_iter().for_each(|(value, limits)| net.limits[value.0] = limits);
    Ok(())
}

/// Learned bounds between two steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Learned {
    /// One per weight tensor.
    pub(crate) bounds: Vec<f32>,
    pub(crate) velocities: Vec<f32>,
}

/// The weights of a pass: what they are in codes, and the steps of these; no steps without codes.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'s> {
    pub(crate) parameters: &'s [Vec<f32>],
    pub(crate) steps: &'s [f32],
    pub(crate) bits: u8,
}

impl Learned {
    /// The bounds of the recipe; without `clip` the largest magnitude of each tensor, or 1 if that is 0.
    pub(crate) fn new(net: &Network, recipe: &Recipe) -> Self {
        let of_recipe = bounds(net, recipe);
        let weights = net
            .parameters
            .iter()
            .zip(of_recipe)
            .filter(|(parameter, _)| parameter.kind == ParameterKind::Weight);
        let bounds: Vec<f32> = weights
            .map(|(parameter, bound)| {
                let most = parameter.values.iter().fold(0.0_f32, |most, w| most.max(w.abs()));
                let most = if most > 0.0 { most } else { 1.0 };
                if bound.is_finite() { bound } else { most }
            })
            .collect();
        Self { velocities: vec![0.0; bounds.len()], bounds }
    }

    /// The bound of each parameter.
    pub(crate) fn of_parameters(&self, net: &Network, scope: ClipScope) -> Vec<f32> {
        let mut bounds = self.bounds.iter();
        spread(net, scope, || bounds.next().copied().unwrap_or(f32::INFINITY))
    }

    /// The derivatives of a loss by the bounds, from those by the weights that a pass saw.
    pub(crate) fn gradient(
        &self,
        net: &Network,
        masters: &[Vec<f32>],
        seen: Seen<'_>,
        gradients: &Gradients<f32>,
    ) -> Vec<f32> {
        let tensors = net.parameters.iter().enumerate();
        let weights = tensors.filter(|(_, parameter)| parameter.kind == ParameterKind::Weight);
        let of = |(index, (tensor, _)): (usize, (usize, _))| {
            let (bound, step) = (self.bounds[index], seen.steps.get(index).copied());
            let masters = &masters[tensor];
            let ends = [masters.iter().any(|&w| w <= -bound), masters.iter().any(|&w| w >= bound)];
            let ends = ends.iter().filter(|&&end| end).count() as f64;
            // The share of a difference in steps that follows the bound.
            let share = step
                .filter(|&step| step > 0.0)
                .map_or(0.0, |step| ends / f64::from((1_u32 << seen.bits) - 1) / f64::from(step));
            let triples = masters.iter().zip(&seen.parameters[tensor]).zip(&gradients[tensor]);
            let terms = triples.map(|((&w, &seen), &g)| {
                let follows = if w.abs() >= bound { f64::from(w.signum()) } else { 0.0 };
                f64::from(g) * (follows + share * (f64::from(seen) - f64::from(w)))
            });
            narrow(terms.sum())
        };
        weights.enumerate().map(of).collect()
    }

    /// Moves the bounds along their gradient, with a decay of their own.
    pub(crate) fn step(
        &mut self,
        net: &Network,
        sgd: &Sgd,
        LearnedClip { decay }: LearnedClip,
        rate: f32,
        gradient: &[f32],
    ) {
        let weights = net.parameters.iter().filter(|p| p.kind == ParameterKind::Weight);
        let scaled = gradient.iter().zip(weights).map(|(&gradient, parameter)| {
            narrow(f64::from(gradient) / libm::sqrt(parameter.values.len().max(1) as f64))
        });
        let scaled: Vec<f32> = scaled.collect();
        let sgd = Sgd { weight_decay: decay, ..sgd.clone() };
        let before = self.bounds.clone();
        sgd.step(
            rate,
            std::slice::from_mut(&mut self.bounds),
            &vec![scaled],
            std::slice::from_mut(&mut self.velocities),
        );
        for (bound, before) in self.bounds.iter_mut().zip(before) {
            *bound = bound.clamp(before / STEP_MAX, before * STEP_MAX);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounds")]
fn narrow(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests;
