//! Stochastic gradient descent with momentum and weight decay.

use rayon::prelude::*;
use serde::Serialize;

use crate::network::Gradients;
use crate::parallel::together;

/// `v = momentum v + g + decay w`; `w -= rate (g + decay w + momentum v)` with Nesterov momentum,
/// `w -= rate v` without it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sgd {
    /// Step size before the schedule.
    pub learning_rate: f32,
    /// Share of the last velocity that is kept, 0 or more and below 1.
    pub momentum: f32,
    /// Nesterov momentum.
    pub nesterov: bool,
    /// Weight decay of every parameter, per step and rate.
    pub weight_decay: f32,
}

impl Default for Sgd {
    /// The values of the robust-quantization papers.
    fn default() -> Self {
        Self { learning_rate: 0.05, momentum: 0.9, nesterov: true, weight_decay: 5e-4 }
    }
}

impl Sgd {
    /// Moves `parameters` by one step along `gradients`; `velocities` starts as zeros.
    pub(crate) fn step(
        &self,
        rate: f32,
        parameters: &mut [Vec<f32>],
        gradients: &Gradients<f32>,
        velocities: &mut [Vec<f32>],
    ) {
        let together = together(parameters);
        let tensors = parameters.par_iter_mut().zip(gradients).zip(velocities);
        tensors.with_min_len(together).for_each(|((values, gradients), velocities)| {
            for ((w, &g), v) in values.iter_mut().zip(gradients).zip(velocities) {
                let g = g + self.weight_decay * *w;
                *v = self.momentum * *v + g;
                *w -= rate * if self.nesterov { g + self.momentum * *v } else { *v };
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Sgd;

    #[test]
    fn two_steps_by_hand() {
        for (nesterov, expected) in [(false, [0.9, 0.71]), (true, [0.81, 0.539])] {
            let sgd = Sgd { learning_rate: 0.1, momentum: 0.9, nesterov, weight_decay: 0.0 };
            let (mut w, mut v) = (vec![vec![1.0]], vec![vec![0.0]]);
            for expected in expected {
                sgd.step(0.1, &mut w, &vec![vec![1.0]], &mut v);
                assert!((w[0][0] - expected).abs() < 1e-6, "{} {expected}", w[0][0]);
            }
        }
    }

    #[test]
    fn decay_alone_shrinks() {
        let sgd = Sgd { learning_rate: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.5 };
        let (mut w, mut v) = (vec![vec![2.0]], vec![vec![0.0]]);
        sgd.step(0.1, &mut w, &vec![vec![0.0]], &mut v);
        assert!((w[0][0] - 1.9_f32).abs() < 1e-6);
    }
}
