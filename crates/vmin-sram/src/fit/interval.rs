//! Confidence intervals at 95 %.

use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, StudentsT};

/// Two-sided standard normal quantile of 95 %.
pub(crate) const Z95: f64 = 1.959_963_984_540_054;

/// A value and its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// From refits of simulated chips: the scatter of the refits about the value they were drawn with,
    /// with their mean deviation taken off. Clipped to `range`.
    pub(crate) fn from_refits(value: f64, refits: &[f64], range: (f64, f64)) -> Self {
        let (mean, sigma) = mean_and_sigma(refits);
        let centre = if refits.is_empty() { value } else { 2.0 * value - mean };
        let clip = |x: f64| x.clamp(range.0, range.1);
        Self {
            value,
            low: clip(centre - Z95 * sigma).min(value),
            high: clip(centre + Z95 * sigma).max(value),
        }
    }

    /// The same on a logarithmic scale, for a value above zero.
    pub(crate) fn from_refits_of_scale(value: f64, refits: &[f64]) -> Self {
        let logs: Vec<f64> = refits.iter().map(|&refit| libm::log(refit)).collect();
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        let log = Self::from_refits(libm::log(value), &logs, all);
        Self { value, low: libm::exp(log.low), high: libm::exp(log.high) }
    }

    /// A proportion, `hits` of `trials`: Clopper and Pearson, Biometrika 26 (1934).
    pub(crate) fn proportion(hits: u64, trials: u64) -> Self {
        let (k, n) = (hits as f64, trials as f64);
        let beta = |a: f64, b: f64, p: f64| Beta::new(a, b).map(|beta| beta.inverse_cdf(p));
        let low = if hits == 0 { Ok(0.0) } else { beta(k, n - k + 1.0, 0.025) };
        let high = if hits == trials { Ok(1.0) } else { beta(k + 1.0, n - k, 0.975) };
        Self { value: k / n, low: low.unwrap_or(0.0), high: high.unwrap_or(1.0) }
    }

    /// The mean of a Poisson count: F. Garwood, Biometrika 28 (1936).
    pub(crate) fn count(count: u64) -> Self {
        let n = count as f64;
        let chi = |freedom: f64, p: f64| ChiSquared::new(freedom).map(|chi| chi.inverse_cdf(p));
        let low = if count == 0 { Ok(0.0) } else { chi(2.0 * n, 0.025) };
        let high = chi(2.0 * n + 2.0, 0.975);
        let half = |bound: Result<f64, _>| bound.map_or(n, |bound| 0.5 * bound);
        Self { value: n, low: half(low), high: half(high) }
    }
}

/// Quantile 97.5 % of Student's t; infinite without a degree of freedom.
pub(crate) fn student(freedom: usize) -> f64 {
    StudentsT::new(0.0, 1.0, freedom as f64).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

/// Factors on a variance of `freedom` degrees that bound the true one with 95 %.
pub(crate) fn variance_factors(freedom: usize) -> (f64, f64) {
    let n = freedom as f64;
    ChiSquared::new(n).map_or((0.0, f64::INFINITY), |chi| {
        (n / chi.inverse_cdf(0.975), n / chi.inverse_cdf(0.025))
    })
}

/// Mean and sample standard deviation; zeros where there are too few values.
pub(crate) fn mean_and_sigma(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let mean = values.iter().sum::<f64>() / count;
    if values.len() == 1 {
        return (mean, 0.0);
    }
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, libm::sqrt(squares / (count - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    /// Table values.
    #[test]
    fn known_intervals() {
        let six = Estimate::count(6);
        assert!(near(six.low, 2.2019) && near(six.high, 13.0595), "{six:?}");
        let none = Estimate::count(0);
        assert!(none.low == 0.0 && near(none.high, 3.6889), "{none:?}");
        let half = Estimate::proportion(5, 10);
        assert!(near(half.low, 0.1871) && near(half.high, 0.8129), "{half:?}");
        assert_eq!(Estimate::proportion(7, 7).high, 1.0);
        assert!(near(student(1), 12.7062) && near(student(10), 2.2281));
        let (low, high) = variance_factors(4);
        assert!(near(low, 0.35896) && near(high, 8.2573), "{low} {high}");
    }
}
