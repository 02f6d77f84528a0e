//! Correlation of two lists of numbers.

use schemars::JsonSchema;
use serde::Serialize;

/// Half-width of a two-sided 95 % interval of the normal distribution, in deviations.
const NORMAL_95: f64 = 1.959_963_984_540_054;

/// The correlation of ranks and of values over some networks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Correlation {
    /// Spearman's correlation of ranks.
    pub spearman: f64,
    /// Its 95 % interval (D. G. Bonett, T. A. Wright, Psychometrika 2000); absent below five networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spearman_interval: Option<[f64; 2]>,
    /// Pearson's correlation of values.
    pub pearson: f64,
}

impl Correlation {
    /// That of pairs, of which there must be three or more; none where one of the lists is constant.
    pub(crate) fn of(xs: &[f64], ys: &[f64]) -> Option<Self> {
        if xs.len() < 3 || xs.len() != ys.len() {
            return None;
        }
        let spearman = pearson(&ranks(xs), &ranks(ys))?;
        let interval = || {
            let deviation = ((1.0 + spearman * spearman / 2.0) / (xs.len() as f64 - 3.0)).sqrt();
            [-1.0, 1.0].map(|side: f64| {
                (libm::atanh(spearman) + side * NORMAL_95 * deviation).tanh().clamp(-1.0, 1.0)
            })
        };
        Some(Self {
            spearman,
            spearman_interval: (xs.len() >= 5).then(interval),
            pearson: pearson(xs, ys)?,
        })
    }
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

fn pearson(xs: &[f64], ys: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (x, y) = (mean(xs), mean(ys));
    let sum = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        xs.iter().zip(ys).map(|(&a, &b)| of(a - x, b - y)).sum()
    };
    let spread = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    (spread > 0.0).then(|| (sum(&|a, b| a * b) / spread).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_decide_and_equal_values_share_theirs() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        let xs = [1.0, 2.0, 3.0, 4.0, 5.0];
        let grown = Correlation::of(&xs, &xs.map(|x: f64| x.powi(5))).expect("a correlation");
        assert_eq!(grown.spearman, 1.0);
        assert!(grown.pearson < 0.95 && grown.spearman_interval == Some([1.0, 1.0]));
        // By the sum of squared differences of ranks: 1 - 6 * 6 / (5 * 24).
        let some = Correlation::of(&xs, &[2.0, 1.0, 4.0, 3.0, 5.0 - 4.5]).expect("a correlation");
        let by_hand = 1.0 - 6.0 * (4.0 + 0.0 + 4.0 + 0.0 + 16.0) / 120.0;
        assert!((some.spearman - by_hand).abs() < 1e-12, "{some:?}");
        assert_eq!(Correlation::of(&xs, &[1.0; 5]), None);
        assert_eq!(Correlation::of(&xs[..2], &xs[..2]), None);
    }
}
