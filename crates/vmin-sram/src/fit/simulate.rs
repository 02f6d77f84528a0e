//! Chips sampled from a fit, observed as the fitted chips were, and fitted again.
//!
//! The scatter of the refits is the uncertainty of the fit. Faults cluster, and cluster sizes vary
//! widely, so formulas for independent cells give intervals that are far too narrow. A bootstrap over
//! banks fails for a chip with few banks or with half its faults in one column.

use rayon::prelude::*;

use super::observe::{Level, Observation};
use super::{Curve, FitError, fit_curve, pairs};
use crate::chip::Chip;
use crate::key::ChipKey;
use crate::normal;
use crate::population::{Population, VarianceShares};
use crate::score::Threshold;

/// A simulated set of chips and its own fit.
pub(crate) struct Replicate {
    pub(crate) chips: Vec<Observation>,
    pub(crate) curve: Curve,
    pub(crate) correlations: pairs::Correlations,
}

/// What sets of chips are sampled from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) observed: &'a [Observation],
    pub(crate) curve: &'a Curve,
    pub(crate) count: u32,
    pub(crate) seed: u64,
}

impl Source<'_> {
    /// Samples sets of chips with these shares and fits them; sets that cannot be fitted (a chip without a
    /// fault, one voltage with faults only) are left out.
    pub(crate) fn replicates(&self, shares: [f64; 4]) -> Result<Vec<Replicate>, FitError> {
        self.each(shares, |chips| {
            fit_curve(&chips).ok().map(|curve| {
                let correlations = pairs::correlations(&chips);
                Replicate { chips, curve, correlations }
            })
        })
    }

    /// The rises of the correlation on such sets of chips.
    pub(crate) fn rises(&self, shares: [f64; 4]) -> Result<Vec<[f64; 3]>, FitError> {
        self.each(shares, |chips| {
            let fail = chips.iter().all(|chip| chip.faults() > 0);
            fail.then(|| pairs::rises(&pairs::correlations(&chips)))
        })
    }

    fn each<T: Send>(
        &self,
        [bank, column, half_column, _]: [f64; 4],
        of: impl Fn(Vec<Observation>) -> Option<T> + Sync,
    ) -> Result<Vec<T>, FitError> {
        let population = VarianceShares::with_cell_as_rest(0.0, bank, column, half_column)
            .and_then(|shares| Population::new("fit", shares, 0.5))?;
        let one = |replicate: u32| -> Result<Option<T>, FitError> {
            let mut chips = Vec::with_capacity(self.observed.len());
            for (memory, (seen, &mu_mv)) in
                (0_u32..).zip(self.observed.iter().zip(&self.curve.mu_mv))
            {
                let key = ChipKey { seed: self.seed, chip: u64::from(replicate), memory };
                chips.push(again(seen, mu_mv, self.curve.sigma_mv, &population, key)?);
            }
            Ok(of(chips))
        };
        let all: Result<Vec<_>, _> = (0..self.count).into_par_iter().map(one).collect();
        Ok(all?.into_iter().flatten().collect())
    }
}

fn again(
    seen: &Observation,
    mu_mv: f64,
    sigma_mv: f64,
    population: &Population,
    key: ChipKey,
) -> Result<Observation, FitError> {
    let threshold = |vdd_mv: f64| {
        let rate = normal::cdf((mu_mv - vdd_mv) / sigma_mv);
        Threshold::from_rate(rate).unwrap_or(Threshold::HALF).max(Threshold::HALF)
    };
    let floor = seen.levels.last().map_or(Threshold::NEVER, |level| threshold(level.vdd_mv));
    let chip = Chip::sample(population, key, seen.geometry, floor)?;
    let levels = seen
        .levels
        .iter()
        .map(|level| {
            let at = threshold(level.vdd_mv);
            let faults = chip.cells().partition_point(|cell| at.is_faulty(cell.score));
            Level { vdd_mv: level.vdd_mv, faults: faults as u64 }
        })
        .collect();
    Ok(Observation::arranged(seen.geometry, levels, chip.cells()))
}
