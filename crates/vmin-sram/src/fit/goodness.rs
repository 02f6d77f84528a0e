//! Goodness of a fit: its predictions beside the fitted chips.

use super::Curve;
use super::interval::mean_and_sigma;
use super::observe::{COLUMN_CLASSES, Observation};
use super::simulate::Replicate;
use crate::normal;
use crate::statistics::FaultStatistics;

/// One voltage of one chip.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LevelFit {
    /// Index of the chip, from 0.
    pub chip: usize,
    /// Supply voltage.
    pub vdd_mv: f64,
    /// Cells of the chip.
    pub cells: u64,
    /// Faulty cells found.
    pub faults: u64,
    /// Faulty cells by the fitted curve.
    pub faults_fitted: f64,
    /// Standard deviation of that number over simulated chips of the fit.
    pub faults_sigma: f64,
    /// `(faults - fitted) / sigma`.
    pub deviation: f64,
    /// Measured minus fitted rate as standard normal quantiles; none without a fault.
    pub residual_sigmas: Option<f64>,
}

/// A figure of the arrangement at the lowest voltage, over all chips, beside simulated chips of the fit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FigureFit {
    /// Its name.
    pub name: &'static str,
    /// Value of the chips.
    pub measured: f64,
    /// Mean over simulated chips.
    pub fitted: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// Value of independent cells of the same rate, if a closed form exists.
    pub independent: Option<f64>,
}

impl FigureFit {
    /// `(measured - fitted) / sigma`; 0 if both are 0.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        deviation(self.measured, self.fitted, self.sigma)
    }
}

/// Columns with a number of faults in a range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ColumnClassFit {
    /// Fewest faults.
    pub faults_min: u64,
    /// Most faults; none for the last class.
    pub faults_max: Option<u64>,
    /// Such columns on the chips.
    pub measured: u64,
    /// Mean over simulated chips.
    pub fitted: f64,
    /// Its standard deviation.
    pub sigma: f64,
    /// Such columns if faults were independent (Poisson).
    pub independent: f64,
}

/// Goodness of a fit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Goodness {
    /// Every voltage of every chip.
    pub levels: Vec<LevelFit>,
    /// Pearson's sum over the intervals between voltages, `(count - fitted)^2 / fitted`.
    pub pearson: f64,
    /// Share of simulated chips of the fit, themselves fitted again, whose sum is as large.
    pub pearson_p: f64,
    /// Arrangement of faults at the lowest voltage.
    pub figures: Vec<FigureFit>,
    /// Columns by their number of faults.
    pub columns: Vec<ColumnClassFit>,
}

pub(crate) fn goodness(chips: &[Observation], curve: &Curve, replicates: &[Replicate]) -> Goodness {
    let own = pearson(chips, curve);
    let as_large = replicates.iter().filter(|r| pearson(&r.chips, &r.curve) >= own).count();
    Goodness {
        levels: levels(chips, curve, replicates),
        pearson: own,
        pearson_p: (as_large + 1) as f64 / (replicates.len() + 1) as f64,
        figures: figures(chips, replicates),
        columns: columns(chips, replicates),
    }
}

fn deviation(measured: f64, fitted: f64, sigma: f64) -> f64 {
    let difference = measured - fitted;
    if sigma > 0.0 { difference / sigma } else { 0.0 }
}

fn rate(curve: &Curve, chip: usize, vdd_mv: f64) -> f64 {
    normal::cdf((curve.mu_mv[chip] - vdd_mv) / curve.sigma_mv)
}

fn levels(chips: &[Observation], curve: &Curve, replicates: &[Replicate]) -> Vec<LevelFit> {
    let mut all = Vec::new();
    for (chip, seen) in chips.iter().enumerate() {
        let cells = seen.geometry.cells();
        for (index, level) in seen.levels.iter().enumerate() {
            let drawn: Vec<f64> =
                replicates.iter().map(|r| r.chips[chip].levels[index].faults as f64).collect();
            let fitted = rate(curve, chip, level.vdd_mv);
            let faults_fitted = fitted * cells as f64;
            // With very few simulated faults, the spread of the count itself is the floor.
            let faults_sigma = mean_and_sigma(&drawn).1.max(libm::sqrt(faults_fitted));
            let measured = level.faults as f64;
            let residual_sigmas = (level.faults > 0)
                .then(|| normal::quantile(measured / cells as f64) - normal::quantile(fitted));
            all.push(LevelFit {
                chip,
                vdd_mv: level.vdd_mv,
                cells,
                faults: level.faults,
                faults_fitted,
                faults_sigma,
                deviation: deviation(measured, faults_fitted, faults_sigma),
                residual_sigmas,
            });
        }
    }
    all
}

/// Pearson's sum. An interval without an expected cell counts nothing.
fn pearson(chips: &[Observation], curve: &Curve) -> f64 {
    let mut sum = 0.0;
    for (chip, seen) in chips.iter().enumerate() {
        let (mut faults_above, mut rate_above) = (0, 0.0);
        for level in &seen.levels {
            let rate = rate(curve, chip, level.vdd_mv);
            let fitted = (rate - rate_above) * seen.geometry.cells() as f64;
            if fitted > 1e-9 {
                let difference = (level.faults - faults_above) as f64 - fitted;
                sum += difference * difference / fitted;
            }
            (faults_above, rate_above) = (level.faults, rate);
        }
    }
    sum
}

/// Figures of all chips taken together.
fn together(chips: &[Observation]) -> FaultStatistics {
    let mut sum = FaultStatistics::default();
    for FaultStatistics {
        faults,
        stuck_at_0,
        columns_hit,
        max_per_column,
        faults_in_crowded_columns,
        banks,
        banks_without_fault,
        sum_of_squares_per_bank,
    } in chips.iter().map(|chip| chip.figures)
    {
        sum.faults += faults;
        sum.stuck_at_0 += stuck_at_0;
        sum.columns_hit += columns_hit;
        sum.max_per_column = sum.max_per_column.max(max_per_column);
        sum.faults_in_crowded_columns += faults_in_crowded_columns;
        sum.banks += banks;
        sum.banks_without_fault += banks_without_fault;
        sum.sum_of_squares_per_bank += sum_of_squares_per_bank;
    }
    sum
}

fn figures(chips: &[Observation], replicates: &[Replicate]) -> Vec<FigureFit> {
    let measured = together(chips);
    let drawn: Vec<FaultStatistics> = replicates.iter().map(|r| together(&r.chips)).collect();
    let sum = |of: &dyn Fn(&Observation) -> f64| chips.iter().map(of).sum::<f64>();
    let hit =
        sum(&|chip| columns_of(chip) * -libm::expm1(-(chip.faults() as f64) / columns_of(chip)));
    let banks = sum(&|chip| f64::from(chip.geometry.banks()));
    let without = sum(&|chip| {
        let banks = f64::from(chip.geometry.banks());
        banks * libm::exp(-(chip.faults() as f64) / banks)
    }) / banks;
    type Of = fn(&FaultStatistics) -> f64;
    let all: [(&'static str, Of, Option<f64>); 6] = [
        ("faults", |f| f.faults as f64, None),
        ("columns with a fault", |f| f.columns_hit as f64, Some(hit)),
        ("most faults in one column", |f| f.max_per_column as f64, None),
        (
            "share of faults in columns with 5 or more",
            |f| f.share_in_crowded_columns().unwrap_or(0.0),
            None,
        ),
        (
            "share of banks without a fault",
            |f| f.banks_without_fault as f64 / f.banks as f64,
            Some(without),
        ),
        (
            "variance / mean of faults per bank",
            |f| f.dispersion_per_bank().unwrap_or(0.0),
            Some(1.0),
        ),
    ];
    all.into_iter()
        .map(|(name, of, independent)| {
            let values: Vec<f64> = drawn.iter().map(of).collect();
            let (fitted, sigma) = mean_and_sigma(&values);
            FigureFit { name, measured: of(&measured), fitted, sigma, independent }
        })
        .collect()
}

fn columns_of(chip: &Observation) -> f64 {
    f64::from(chip.geometry.banks()) * f64::from(chip.geometry.columns())
}

fn columns(chips: &[Observation], replicates: &[Replicate]) -> Vec<ColumnClassFit> {
    let total = |chips: &[Observation], class: usize| -> u64 {
        chips.iter().map(|chip| chip.columns[class]).sum()
    };
    COLUMN_CLASSES
        .iter()
        .enumerate()
        .map(|(class, &(faults_min, last))| {
            let drawn: Vec<f64> =
                replicates.iter().map(|r| total(&r.chips, class) as f64).collect();
            let (fitted, sigma) = mean_and_sigma(&drawn);
            let independent = chips
                .iter()
                .map(|chip| {
                    let mean = chip.faults() as f64 / columns_of(chip);
                    columns_of(chip) * poisson_between(mean, faults_min, last)
                })
                .sum();
            ColumnClassFit {
                faults_min,
                faults_max: (last < u64::MAX).then_some(last),
                measured: total(chips, class),
                fitted,
                sigma,
                independent,
            }
        })
        .collect()
}

/// `P(first <= N <= last)` of a Poisson count.
fn poisson_between(mean: f64, first: u64, last: u64) -> f64 {
    let up_to = |count: u64| -> f64 {
        let mut term = libm::exp(-mean);
        let mut sum = term;
        for k in 1..=count {
            term *= mean / k as f64;
            sum += term;
        }
        sum
    };
    let below = if first == 0 { 0.0 } else { up_to(first - 1) };
    let all = if last == u64::MAX { 1.0 } else { up_to(last) };
    (all - below).max(0.0)
}
