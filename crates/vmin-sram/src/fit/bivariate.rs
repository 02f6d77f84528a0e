//! Two standard normals with a correlation, both above the same point.

use core::f64::consts::PI;

use crate::normal;

/// Steps of Simpson's rule; the integrand is smooth, so the error is far below that of any estimate.
const STEPS: u32 = 96;

/// `P(X > t and Y > t)` of two standard normals with the correlation `rho` in `(-1, 1)`.
///
/// The derivative with respect to `rho` is the bivariate density at `(t, t)` (Plackett, Biometrika 41,
/// 1954). With `rho = sin a` it is `exp(-t^2 / (1 + sin a)) / 2 pi`, without a singularity, and the
/// integral starts from the exact product of independent tails: a probability of 1e-12 keeps its digits.
pub(crate) fn both_above(t: f64, rho: f64) -> f64 {
    let tail = normal::cdf(-t);
    let end = libm::asin(rho);
    let density = |angle: f64| libm::exp(-t * t / (1.0 + libm::sin(angle)));
    let step = end / f64::from(STEPS);
    let mut sum = density(0.0) + density(end);
    for index in 1..STEPS {
        let weight = if index % 2 == 1 { 4.0 } else { 2.0 };
        sum += weight * density(f64::from(index) * step);
    }
    (tail * tail + sum * step / 3.0 / (2.0 * PI)).clamp(0.0, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_mean_the_closed_form_holds() {
        for rho in [-0.9, -0.5, 0.0, 0.3, 0.569, 0.9, 0.999] {
            let exact = 0.25 + libm::asin(rho) / (2.0 * PI);
            assert!((both_above(0.0, rho) - exact).abs() < 1e-12, "{rho}");
        }
    }

    /// `P = integral of phi(c) Phi((sqrt(rho) c - t) / sqrt(1 - rho))^2 dc`: a common cause.
    #[test]
    fn a_common_cause_gives_the_same() {
        for t in [0.5, 1.5, 3.6, 4.5] {
            for rho in [0.02_f64, 0.2, 0.569, 0.8, 0.95] {
                let steps = 40_000;
                let mut sum = 0.0;
                for index in 0..=steps {
                    let c = -10.0 + 20.0 * f64::from(index) / f64::from(steps);
                    let one = normal::cdf((rho.sqrt() * c - t) / (1.0 - rho).sqrt());
                    sum += libm::exp(-0.5 * c * c) / (2.0 * PI).sqrt() * one * one;
                }
                let slow = sum * 20.0 / f64::from(steps);
                let error = both_above(t, rho) / slow - 1.0;
                assert!(error.abs() < 1e-7, "t {t} rho {rho}: {error:e}");
            }
        }
    }
}
