//! The rate curve: mean and sigma of the critical voltage by maximum likelihood.
//!
//! A cell that is faulty at a level and at none above has its critical voltage between the two
//! voltages; one that never failed has it below the lowest. So every cell is an interval of a Gaussian
//! and the likelihood needs the counts of the intervals only. The correlation of cells in a column
//! does not bias the maximum; it makes it less certain than independent cells would.

use core::f64::consts::PI;

use super::observe::Level;
use crate::normal;

/// Range of sigma in the search, in mV.
const SIGMA_MV: (f64, f64) = (0.05, 5000.0);
/// Steps of the golden section over ln sigma: the interval shrinks to a part in 10^9.
const SECTIONS: u32 = 44;
/// Steps of Fisher scoring for one mean.
const SCORINGS: u32 = 40;

/// The counts of one chip.
pub(crate) struct Counts<'a> {
    pub(crate) cells: u64,
    /// Highest voltage first, counts never falling.
    pub(crate) levels: &'a [Level],
}

/// One mean per chip and a common sigma.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) mu_mv: Vec<f64>,
    pub(crate) sigma_mv: f64,
}

/// The maximum of the likelihood; the caller has checked that it exists.
pub(crate) fn fit(chips: &[Counts<'_>]) -> Curve {
    let at = |log_sigma: f64| {
        let sigma = libm::exp(log_sigma);
        chips.iter().map(|chip| best_mean(chip, sigma).1).sum::<f64>()
    };
    let ratio = (libm::sqrt(5.0) - 1.0) / 2.0;
    let (mut low, mut high) = (libm::log(SIGMA_MV.0), libm::log(SIGMA_MV.1));
    let mut left = high - ratio * (high - low);
    let mut right = low + ratio * (high - low);
    let (mut at_left, mut at_right) = (at(left), at(right));
    for _ in 0..SECTIONS {
        if at_left >= at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - ratio * (high - low);
            at_left = at(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + ratio * (high - low);
            at_right = at(right);
        }
    }
    let sigma_mv = libm::exp(0.5 * (low + high));
    Curve { mu_mv: chips.iter().map(|chip| best_mean(chip, sigma_mv).0).collect(), sigma_mv }
}

/// The mean with the largest likelihood for a sigma, and that likelihood's logarithm.
fn best_mean(chip: &Counts<'_>, sigma_mv: f64) -> (f64, f64) {
    let Some(last) = chip.levels.last() else { return (0.0, 0.0) };
    // Right at the lowest voltage to begin with.
    let rate = last.faults as f64 / chip.cells as f64;
    let mut mean = last.vdd_mv + sigma_mv * normal::quantile(rate);
    let mut best = likelihood(chip, mean, sigma_mv);
    for _ in 0..SCORINGS {
        let mut step = best.slope / best.information;
        if !step.is_finite() || step.abs() < 1e-9 * sigma_mv {
            break;
        }
        let mut next = likelihood(chip, mean + step, sigma_mv);
        let mut halvings = 0;
        while (next.value < best.value || next.value.is_nan()) && halvings < 30 {
            step *= 0.5;
            next = likelihood(chip, mean + step, sigma_mv);
            halvings += 1;
        }
        if next.value < best.value || next.value.is_nan() {
            break;
        }
        mean += step;
        best = next;
    }
    (mean, best.value)
}

struct Likelihood {
    /// Its logarithm.
    value: f64,
    /// By the mean, per mV.
    slope: f64,
    /// Expected information about the mean, per mV squared.
    information: f64,
}

fn likelihood(chip: &Counts<'_>, mu_mv: f64, sigma_mv: f64) -> Likelihood {
    let cells = chip.cells as f64;
    let (mut value, mut slope, mut information) = (0.0, 0.0, 0.0);
    let (mut rate_above, mut density_above, mut faults_above) = (0.0, 0.0, 0);
    for level in chip.levels {
        let x = (level.vdd_mv - mu_mv) / sigma_mv;
        let rate = normal::cdf(-x);
        let density = libm::exp(-0.5 * x * x) / libm::sqrt(2.0 * PI);
        let share = (rate - rate_above).max(1e-300);
        let count = (level.faults - faults_above) as f64;
        let change = (density - density_above) / sigma_mv;
        value += if count > 0.0 { count * libm::log(share) } else { 0.0 };
        slope += count * change / share;
        information += cells * change * change / share;
        (rate_above, density_above, faults_above) = (rate, density, level.faults);
    }
    let rest = (1.0 - rate_above).max(1e-300);
    let count = (chip.cells - faults_above) as f64;
    let change = -density_above / sigma_mv;
    value += count * libm::log1p(-rate_above.min(1.0 - 1e-16));
    slope += count * change / rest;
    information += cells * change * change / rest;
    Likelihood { value, slope, information }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts that lie exactly on a curve give that curve back.
    #[test]
    fn expected_counts_give_their_parameters_back() {
        for (mu, sigma) in [(385.0, 39.8), (700.0, 8.0), (200.0, 150.0)] {
            let cells = 1_u64 << 34;
            let counts = |shift: f64| -> Vec<Level> {
                (0..6)
                    .map(|k| {
                        let vdd_mv = mu + shift + sigma * (4.0 - 0.5 * f64::from(k));
                        let rate = normal::cdf((mu + shift - vdd_mv) / sigma);
                        Level { vdd_mv, faults: (rate * cells as f64).round() as u64 }
                    })
                    .collect()
            };
            let levels = [counts(0.0), counts(11.0)];
            let chips: Vec<_> = levels.iter().map(|levels| Counts { cells, levels }).collect();
            let curve = fit(&chips);
            assert!((curve.sigma_mv / sigma - 1.0).abs() < 1e-5, "{curve:?}");
            assert!((curve.mu_mv[0] - mu).abs() < 1e-3 * sigma, "{curve:?}");
            assert!((curve.mu_mv[1] - mu - 11.0).abs() < 1e-3 * sigma, "{curve:?}");
        }
    }
}
