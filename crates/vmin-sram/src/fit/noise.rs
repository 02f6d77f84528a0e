//! Read noise from cells that break nesting.
//!
//! A cell that fails at a voltage and not at a lower one shows that its critical voltage varies from
//! read to read. With an independent Gaussian error at each read, the expected number of such cells
//! grows with its sigma, so their number gives an estimate. The curve is that of single reads: its variance
//! is that of the critical voltages and of the noise together.

use super::curve::Curve;
use super::observe::Observation;
use crate::normal;

const BISECTIONS: u32 = 36;
/// Most of the curve's sigma that may be noise.
const NOISE_MAX: f64 = 0.99;

/// The read noise (mV) at which so many cells are expected to break nesting; none if there is no pair of
/// levels. Zero for none or fewer; below the sigma of the curve.
pub(crate) fn for_violations(chips: &[Observation], curve: &Curve, violations: f64) -> Option<f64> {
    let step_mv = chips
        .iter()
        .flat_map(|chip| chip.levels.windows(2).map(|pair| pair[0].vdd_mv - pair[1].vdd_mv))
        .fold(f64::INFINITY, f64::min);
    if !step_mv.is_finite() {
        return None;
    }
    if violations <= 0.0 {
        return Some(0.0);
    }
    // At a twentieth of a step, fewer than one cell in 10^40 crosses it twice.
    let (mut low, mut high) = (step_mv / 20.0, (NOISE_MAX * curve.sigma_mv).max(step_mv / 10.0));
    for _ in 0..BISECTIONS {
        let middle = libm::sqrt(low * high);
        if expected(chips, curve, middle) < violations { low = middle } else { high = middle }
    }
    Some(libm::sqrt(low * high))
}

/// Cells expected to break nesting on the measured chips.
fn expected(chips: &[Observation], curve: &Curve, noise_mv: f64) -> f64 {
    let of_both = curve.sigma_mv * curve.sigma_mv;
    let of_noise = (noise_mv * noise_mv).min(NOISE_MAX * NOISE_MAX * of_both);
    let sigma_mv = libm::sqrt(of_both - of_noise);
    let mut sum = 0.0;
    for (chip, &mu_mv) in chips.iter().zip(&curve.mu_mv) {
        let (Some(first), Some(last)) = (chip.levels.first(), chip.levels.last()) else { continue };
        if chip.violations.is_none() {
            continue;
        }
        let (low, high) = (last.vdd_mv - 6.0 * noise_mv, first.vdd_mv + 6.0 * noise_mv);
        let steps = (((high - low) / noise_mv * 4.0).ceil() as u32).clamp(64, 4000);
        let width = (high - low) / f64::from(steps);
        let mut share = 0.0;
        for index in 0..steps {
            let critical_mv = low + (f64::from(index) + 0.5) * width;
            let near = |edge: f64| normal::cdf((mu_mv - critical_mv + edge) / sigma_mv);
            let cells = near(0.5 * width) - near(-0.5 * width);
            share += cells * breaks_nesting(chip, critical_mv, noise_mv);
        }
        sum += share * chip.geometry.cells() as f64;
    }
    sum
}

/// Probability that a cell of that critical voltage fails at some level and not at a lower one.
fn breaks_nesting(chip: &Observation, critical_mv: f64, noise_mv: f64) -> f64 {
    // `in_order`: all reads so far good, or good and then bad without a good one after.
    let (mut all_good, mut good_then_bad) = (1.0, 0.0);
    for level in &chip.levels {
        let bad = normal::cdf((critical_mv - level.vdd_mv) / noise_mv);
        good_then_bad = (good_then_bad + all_good) * bad;
        all_good *= 1.0 - bad;
    }
    (1.0 - all_good - good_then_bad).max(0.0)
}
