//! Decay of the learning rate.

use serde::Serialize;

use crate::real::Real;

/// Factor of the learning rate over the epochs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Always 1.
    Constant,
    /// From 1 along half a cosine to 0 after the last batch.
    Cosine,
    /// Multiplied by `factor` at each milestone.
    Step {
        /// Factor at a milestone.
        factor: f32,
        /// Shares of all epochs, rising in `(0, 1)`: 0.4, 0.6, 0.8 in the papers.
        milestones: Vec<f64>,
    },
}

impl Schedule {
    /// The factor when `done` of `total` batches are done.
    pub(crate) fn factor(&self, done: usize, total: usize) -> f32 {
        let share = done as f64 / total.max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Cosine => f32::of(0.5 * (1.0 + libm::cos(std::f64::consts::PI * share))),
            Self::Step { factor, milestones } => milestones
                .iter()
                .filter(|&&milestone| share >= milestone)
                .fold(1.0, |product, _| product * factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn steps_fall_at_milestones() {
        let schedule = Schedule::Step { factor: 0.1, milestones: vec![0.4, 0.6, 0.8] };
        for (done, expected) in [(0, 1.0), (39, 1.0), (40, 0.1), (60, 0.01), (99, 0.001)] {
            assert!((schedule.factor(done, 100) / expected - 1.0).abs() < 1e-5, "{done}");
        }
    }

    #[test]
    fn the_cosine_goes_from_one_to_zero() {
        let schedule = Schedule::Cosine;
        for (done, expected) in [(0, 1.0), (50, 0.5), (100, 0.0)] {
            assert!((schedule.factor(done, 100) - expected).abs() < 1e-6);
        }
    }
}
