//! The cell-fault rate as a function of voltage.
//!
//! Critical voltages are Gaussian, so the curve is plotted in probit space, `z(V) = -Phi^-1(p)`, where a
//! Gaussian is the straight line `(V - mu) / sigma`:
//!
//! ```text
//!  z |                     ,·' fit: slope 1 / sigma
//!    |                  ,o'  <- fit at the lowest voltage without faults
//!    |            _,o-'
//!    |       _,o-'      measured points, straight lines between
//!    |   ,o-'
//!    | ,'  slope of the fit
//!    +---------------------------- V
//! ```

use serde::Serialize;
use vmin_sram::normal;

/// `p(V) = Phi((mu - V) / sigma)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Gaussian {
    pub(super) mu_mv: f64,
    pub(super) sigma_mv: f64,
}

impl Gaussian {
    /// Standard deviations above the mean.
    pub(super) fn z(&self, vdd_mv: f64) -> f64 {
        (vdd_mv - self.mu_mv) / self.sigma_mv
    }
}

/// A measured rate and the same in probit space.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Knot {
    pub(super) vdd_mv: f64,
    pub(super) rate: f64,
    pub(super) z: f64,
}

/// The fault rate as a function of the voltage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) enum Curve {
    /// The fit alone.
    Gaussian(Gaussian),
    /// Measured points, rising in voltage, at least one; the fit beyond them.
    Points(Gaussian, Vec<Knot>),
}

impl Curve {
    /// Points with rates strictly between 0 and 1, rising in voltage and falling in rate, continued by
    /// the fit: above the points through the fit at `vmin_mv`, below with its slope.
    pub(super) fn points(fit: Gaussian, rates: &[(f64, f64)], vmin_mv: f64) -> Self {
        let mut knots: Vec<Knot> = rates
            .iter()
            .map(|&(vdd_mv, rate)| Knot { vdd_mv, rate, z: -normal::quantile(rate) })
            .collect();
        let z = fit.z(vmin_mv);
        if knots.last().is_some_and(|last| last.vdd_mv < vmin_mv && last.z < z) {
            knots.push(Knot { vdd_mv: vmin_mv, rate: normal::cdf(-z), z });
        }
        Self::Points(fit, knots)
    }

    /// With every voltage times a factor.
    pub(super) fn stretched(&self, factor: f64) -> Self {
        let gaussian = |fit: &Gaussian| Gaussian {
            mu_mv: fit.mu_mv * factor,
            sigma_mv: fit.sigma_mv * factor,
        };
        let knot = |knot: &Knot| Knot { vdd_mv: knot.vdd_mv * factor, ..*knot };
        match self {
            Self::Gaussian(fit) => Self::Gaussian(gaussian(fit)),
            Self::Points(fit, knots) => {
                Self::Points(gaussian(fit), knots.iter().map(knot).collect())
            }
        }
    }

    pub(super) fn rate(&self, vdd_mv: f64) -> f64 {
        if vdd_mv.is_nan() {
            return 1.0;
        }
        match self {
            Self::Gaussian(fit) => normal::cdf(-fit.z(vdd_mv)),
            Self::Points(fit, knots) => {
                // A measured voltage answers with the measured rate, to the last bit.
                let above = knots.partition_point(|knot| knot.vdd_mv < vdd_mv);
                match (above.checked_sub(1).map(|below| knots[below]), knots.get(above)) {
                    (_, Some(knot)) if knot.vdd_mv == vdd_mv => knot.rate,
                    (Some(low), Some(high)) => {
                        let share = (vdd_mv - low.vdd_mv) / (high.vdd_mv - low.vdd_mv);
                        let z = low.z + share * (high.z - low.z);
                        normal::cdf(-z).clamp(high.rate, low.rate)
                    }
                    (None, Some(knot)) => beyond(fit, knot, vdd_mv).max(knot.rate),
                    (Some(knot), None) => beyond(fit, &knot, vdd_mv).min(knot.rate),
                    (None, None) => normal::cdf(-fit.z(vdd_mv)),
                }
            }
        }
    }
}

/// From a knot on with the slope of the fit.
fn beyond(fit: &Gaussian, knot: &Knot, vdd_mv: f64) -> f64 {
    normal::cdf(-(knot.z + (vdd_mv - knot.vdd_mv) / fit.sigma_mv))
}
