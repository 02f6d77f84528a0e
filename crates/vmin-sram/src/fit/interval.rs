//! Confidence intervals at 95 %.

use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, StudentsT};

/// Two-sided standard normal quantile of 95 %.
pub(crate) const Z95: f64 = 1.959_963_984_540_054;

/// Steps of the secant towards one end of an interval.
const SECANTS: u32 = 3;

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
    /// with their mean deviation taken off.
    pub(crate) fn from_refits(value: f64, refits: &[f64]) -> Self {
        let (mean, sigma) = mean_and_sigma(refits);
        let centre = if refits.is_empty() { value } else { 2.0 * value - mean };
        Self {
            value,
            low: (centre - Z95 * sigma).min(value),
            high: (centre + Z95 * sigma).max(value),
        }
    }

    /// What parts leave of 1, from each part's estimate and ends: the distances of the ends add in squares
    /// (G. Y. Zou and A. Donner, Statistics in Medicine 27, 2008).
    pub(crate) fn rest_of(parts: &[Self]) -> Self {
        let value = 1.0 - parts.iter().map(|part| part.value).sum::<f64>();
        let add = |side: fn(&Self) -> f64| {
            let distances = parts.iter().map(|part| side(part).max(0.0));
            libm::sqrt(distances.map(|distance| distance * distance).sum::<f64>())
        };
        Self {
            value,
            low: value - add(|part| part.high - part.value),
            high: value + add(|part| part.value - part.low),
        }
    }

    /// The same interval of an estimate held within `range`.
    pub(crate) fn holding(self, value: f64, range: (f64, f64)) -> Self {
        Self { value, low: self.low.min(value), high: self.high.max(value) }.within(range)
    }

    /// The same, not beyond `range`.
    pub(crate) fn within(self, range: (f64, f64)) -> Self {
        let clip = |x: f64| x.clamp(range.0, range.1);
        Self { value: clip(self.value), low: clip(self.low), high: clip(self.high) }
    }

    /// [`Self::from_refits`] on a logarithmic scale, for a value above zero.
    pub(crate) fn from_refits_of_scale(value: f64, refits: &[f64]) -> Self {
        let logs: Vec<f64> = refits.iter().map(|&refit| libm::log(refit)).collect();
        let log = Self::from_refits(libm::log(value), &logs);
        Self { value, low: libm::exp(log.low), high: libm::exp(log.high) }
    }

    /// A proportion, `hits` of `trials`: see [`proportion_low`].
    pub(crate) fn proportion(hits: u64, trials: u64) -> Self {
        let (k, n) = (hits as f64, trials as f64);
        Self {
            value: k / n,
            low: proportion_low(k, n, 0.025),
            high: 1.0 - proportion_low(n - k, n, 0.025),
        }
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

/// The lower bound of a proportion, of which `hits` of `trials` were seen; it is too high with a chance of
/// at most `tail`. One minus the bound of the misses is the upper bound. C. J. Clopper and E. S. Pearson,
/// Biometrika 26 (1934); fractions of a trial as E. L. Korn and B. I. Graubard, Survey Methodology 24
/// (1998), take them for trials that hang together.
#[must_use]
pub fn proportion_low(hits: f64, trials: f64, tail: f64) -> f64 {
    let Ok(beta) = Beta::new(hits, trials - hits + 1.0) else { return 0.0 };
    // Halving finds what the library's quantile misses by far from ten thousand trials on.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        *(if beta.cdf(middle) <= tail { &mut low } else { &mut high }) = middle;
    }
    low
}

/// The quantile of Student's t above which `tail` lies; infinite without a degree of freedom.
#[must_use]
pub fn student(freedom: f64, tail: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - tail))
}

/// Factors on a variance of `freedom` degrees that bound the true one with 95 %.
pub(crate) fn variance_factors(freedom: usize) -> (f64, f64) {
    let n = freedom as f64;
    ChiSquared::new(n).map_or((0.0, f64::INFINITY), |chi| {
        (n / chi.inverse_cdf(0.975), n / chi.inverse_cdf(0.025))
    })
}

/// The share under which the point `of` simulated values is what was seen, in `range`. `drawn` are the
/// values at `share`, where the search starts; `at` gives those of another share.
pub(crate) fn share_showing<E>(
    seen: f64,
    (share, drawn): (f64, &[f64]),
    range: (f64, f64),
    of: fn(&[f64]) -> f64,
    mut at: impl FnMut(f64) -> Result<Vec<f64>, E>,
) -> Result<f64, E> {
    let near = 0.5 * mean_and_sigma(drawn).1;
    let (mut from, mut miss_from) = (share, of(drawn) - seen);
    // Two points some way apart give a slope.
    let step = miss_from.abs().max(near);
    let mut to = (from - step * miss_from.signum()).clamp(range.0, range.1);
    for _ in 0..SECANTS {
        if (to - from).abs() < 0.1 * near {
            break;
        }
        let miss_to = of(&at(to)?) - seen;
        let slope = ((miss_to - miss_from) / (to - from)).clamp(0.3, 4.0);
        let step = (to - share).abs();
        let next = (to - miss_to / slope).clamp(to - step, to + step);
        (from, miss_from, to) = (to, miss_to, next.clamp(range.0, range.1));
    }
    Ok(to)
}

/// The middle of some values.
pub(crate) fn median(values: &[f64]) -> f64 {
    middle(values)[1]
}

/// Below it lie 2.5 % of such values.
pub(crate) fn lower_end(values: &[f64]) -> f64 {
    middle(values)[0]
}

/// Above it lie 2.5 % of such values.
pub(crate) fn upper_end(values: &[f64]) -> f64 {
    middle(values)[2]
}

/// The median, and on either side 1.96 times the root mean square distance from it: few values tell this
/// more surely than their own quantiles, and it may be skew.
fn middle(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    let Some(&upper) = sorted.get(half) else { return [0.0; 3] };
    let median =
        if sorted.len().is_multiple_of(2) { 0.5 * (sorted[half - 1] + upper) } else { upper };
    let spread = |side: &[f64]| {
        let squares: f64 = side.iter().map(|x| (x - median) * (x - median)).sum();
        Z95 * libm::sqrt(squares / side.len().max(1) as f64)
    };
    let (below, above) = (&sorted[..half], &sorted[sorted.len() - half..]);
    [median - spread(below), median, median + spread(above)]
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
        assert_eq!(Estimate::proportion(0, 7).low, 0.0);
        assert!(near(student(1.0, 0.025), 12.7062) && near(student(10.0, 0.025), 2.2281));
        let (low, high) = variance_factors(4);
        assert!(near(low, 0.35896) && near(high, 8.2573), "{low} {high}");
    }

    /// The ends of a variance between groups whose noise is known: a multiple of chi-squared.
    #[test]
    fn the_search_for_a_share_finds_the_ends_of_chi_squared() {
        const NOISE: f64 = 0.1;
        for (freedom, seen) in [(10, 0.3), (20, 0.05), (20, 0.3), (60, 0.0)] {
            let chi = ChiSquared::new(freedom as f64).unwrap();
            let drawn = |share: f64| -> Vec<f64> {
                (0..400)
                    .map(|i| chi.inverse_cdf((f64::from(i) + 0.5) / 400.0) / freedom as f64)
                    .map(|factor| (share + NOISE) * factor - NOISE)
                    .collect()
            };
            let start = drawn(seen);
            let end = |range, of| {
                let at = |share| Ok::<_, ()>(drawn(share));
                share_showing(seen, (seen, &start), range, of, at).unwrap()
            };
            let (low, high) = variance_factors(freedom);
            let exact = |factor: f64| ((seen + NOISE) * factor - NOISE).clamp(0.0, 0.99);
            let (low, high) = (exact(low), exact(high));
            let (found_low, found_high) =
                (end((0.0, seen), upper_end), end((seen, 0.99), lower_end));
            let near = |found: f64, exact: f64| (found - exact).abs() < 0.12 * (high - low);
            assert!(near(found_low, low), "{freedom} {seen}: {found_low} for {low}");
            assert!(near(found_high, high), "{freedom} {seen}: {found_high} for {high}");
        }
    }

    #[test]
    fn ends_of_parts_add_in_squares() {
        let part = |value, low, high| Estimate { value, low, high };
        let rest = Estimate::rest_of(&[part(0.3, 0.27, 0.34), part(0.2, 0.16, 0.23)]);
        assert!((rest.value - 0.5).abs() < 1e-12 && (rest.low - 0.45).abs() < 1e-12, "{rest:?}");
        assert!((rest.high - 0.55).abs() < 1e-12, "{rest:?}");
    }

    /// Against the binomial sum itself: at the bound, so many hits or more have a chance of `tail`.
    #[test]
    fn a_bound_of_a_proportion_leaves_the_tail_that_was_asked_for() {
        for (hits, trials) in [
            (1, 1),
            (20, 20),
            (19, 20),
            (399, 400),
            (5, 400),
            (950, 1000),
            (999_990, 1_000_000),
            (500_000, 1_000_000),
        ] {
            for tail in [0.001, 0.025, 0.05, 0.3] {
                let (k, n) = (f64::from(hits), f64::from(trials));
                let low = proportion_low(k, n, tail);
                // The chance of hits or more, from that of `trials` hits downwards.
                let (mut chance, mut sum) = (n * libm::log(low), 0.0);
                for at in (hits..=trials).rev() {
                    sum += libm::exp(chance);
                    let at = f64::from(at);
                    chance += libm::log(at / (n - at + 1.0) * (1.0 - low) / low);
                }
                assert!((sum / tail - 1.0).abs() < 1e-6, "{hits} of {trials}: {sum} for {tail}");
            }
        }
        assert!((proportion_low(20.0, 20.0, 0.05) - libm::pow(0.05, 0.05)).abs() < 1e-12);
        let million = proportion_low(1e6, 1e6, 0.05);
        assert!((million - libm::pow(0.05, 1e-6)).abs() < 1e-12, "{million}");
    }
}
