//! Scores of cells, and thresholds: integers from rates.
//!
//! A cell's *score* is its critical voltage, standardised: `z = (Vc - mu) / sigma`, a standard normal
//! over the whole population. A supply voltage with the cell-fault rate `p` is the *threshold*
//! `t = Phi^-1(1 - p)`, and the cell is faulty iff `score >= t`. So a sampled chip needs no voltages:
//! a voltage profile gives `p` for a voltage, or the user gives it. Scores and thresholds are
//! integers in units of 2^-24: after [`Threshold::from_rate`] no float decides about a cell.

use crate::normal;

/// Units per standard deviation, 2^24.
pub const UNITS_PER_SIGMA: i32 = 1 << 24;

/// A cell's standardised critical voltage in units of 2^-24 sigma, rounded down; large means weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(pub i32);

impl Score {
    /// The score of `z` standard deviations, saturating short of the two ends (which are the
    /// thresholds [`Threshold::NEVER`] and [`Threshold::ALWAYS`]). NaN becomes zero.
    #[must_use]
    pub fn from_sigmas(z: f64) -> Self {
        let units = libm::floor(z * f64::from(UNITS_PER_SIGMA));
        // A float cast saturates.
        Self((units as i32).clamp(i32::MIN + 1, i32::MAX - 1))
    }

    /// In standard deviations.
    #[must_use]
    pub fn sigmas(self) -> f64 {
        f64::from(self.0) / f64::from(UNITS_PER_SIGMA)
    }
}

/// A rate outside `[0, 1]`, or not a number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a cell-fault rate lies between 0 and 1, not {rate}")]
pub struct RateError {
    /// The given value.
    pub rate: f64,
}

/// A cell is faulty iff its score is at least this; units as for [`Score`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Threshold(pub i32);

impl Threshold {
    /// No cell is faulty: rate 0.
    pub const NEVER: Self = Self(i32::MAX);
    /// Every cell is faulty: rate 1.
    pub const ALWAYS: Self = Self(i32::MIN);
    /// Rate one half, the deepest floor of a sampled chip.
    pub const HALF: Self = Self(0);

    /// The threshold of a cell-fault rate `0 <= rate <= 1`. Exactly 0 and 1 give [`Self::NEVER`] and
    /// [`Self::ALWAYS`]. A higher rate gives no higher threshold, unless the two differ by rounding
    /// errors only. Sampled chips answer down to [`Self::HALF`] only.
    ///
    /// # Errors
    /// The rate is not in `[0, 1]`.
    pub fn from_rate(rate: f64) -> Result<Self, RateError> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(RateError { rate });
        }
        if rate == 0.0 {
            return Ok(Self::NEVER);
        }
        if rate == 1.0 {
            return Ok(Self::ALWAYS);
        }
        // Rounded up, scores down: score >= threshold then means z >= t exactly.
        let units = libm::ceil(-normal::quantile(rate) * f64::from(UNITS_PER_SIGMA));
        // A float cast saturates.
        Ok(Self((units as i32).clamp(i32::MIN + 1, i32::MAX - 1)))
    }

    /// The cell-fault rate of this threshold over the whole population.
    #[must_use]
    pub fn rate(self) -> f64 {
        match self {
            Self::NEVER => 0.0,
            Self::ALWAYS => 1.0,
            Self(units) => normal::cdf(-f64::from(units) / f64::from(UNITS_PER_SIGMA)),
        }
    }

    /// Whether a cell of this score is faulty.
    #[must_use]
    pub const fn is_faulty(self, score: Score) -> bool {
        score.0 >= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_rate_never_gives_a_higher_threshold() {
        let mut last = Threshold::NEVER;
        let mut rate = 1e-300;
        while rate < 1.0 {
            let threshold = Threshold::from_rate(rate).unwrap();
            assert!(threshold <= last, "{rate:e}");
            assert!(threshold < Threshold::NEVER && threshold > Threshold::ALWAYS);
            last = threshold;
            rate *= 1.000_7;
        }
        for step in 0..100_000 {
            let rate = f64::from(step) / 100_000.0;
            let next = Threshold::from_rate(rate + 1e-5).unwrap();
            assert!(next <= Threshold::from_rate(rate).unwrap());
        }
    }

    #[test]
    fn the_ends_are_exact_and_the_rest_goes_there_and_back() {
        assert_eq!(Threshold::from_rate(0.0), Ok(Threshold::NEVER));
        assert_eq!(Threshold::from_rate(-0.0), Ok(Threshold::NEVER));
        assert_eq!(Threshold::from_rate(1.0), Ok(Threshold::ALWAYS));
        assert_eq!(Threshold::from_rate(0.5), Ok(Threshold::HALF));
        assert_eq!(Threshold::NEVER.rate(), 0.0);
        assert_eq!(Threshold::ALWAYS.rate(), 1.0);
        for rate in [1e-12, 1e-6, 1e-4, 0.01, 0.05, 0.3, 0.5, 0.9] {
            let back = Threshold::from_rate(rate).unwrap().rate();
            // Half a unit of 2^-24 sigma, times the density over the rate: at most about z.
            assert!((back / rate - 1.0).abs() < 1e-6, "{rate}: {back}");
        }
        for rate in [-1e-9, 1.000_001, f64::NAN, f64::INFINITY] {
            assert!(Threshold::from_rate(rate).is_err());
        }
    }

    #[test]
    fn no_score_reaches_the_two_ends() {
        for z in [f64::INFINITY, 1e9, f64::NEG_INFINITY, -1e9, f64::NAN] {
            let score = Score::from_sigmas(z);
            assert!(!Threshold::NEVER.is_faulty(score));
            assert!(Threshold::ALWAYS.is_faulty(score));
        }
        assert_eq!(Score::from_sigmas(-0.25).0, -(1 << 22));
        assert_eq!(Score::from_sigmas(1.0).sigmas(), 1.0);
    }
}
