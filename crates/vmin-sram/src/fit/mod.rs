//! Fit of a population to measured chips.
//!
//! ```text
//! counts per voltage --(curve: likelihood of intervals)--> mu per chip, sigma within a die
//! pairs of faults  --(pairs: tetrachoric correlations)--> shares of bank, column, half-column, cell
//! means of chips   --(their variance, less the noise)--> sigma from die to die
//! cells that break nesting --(noise)--> read noise
//!                         |
//!                         v
//!   chips sampled from the fit, observed and fitted the same way: intervals, goodness of fit
//! ```
//!
//! The model is that of the sampler: a cell's critical voltage is Gaussian, the sum of parts of die,
//! bank, column, half-column and cell. Measured and sampled chips are treated alike: of a
//! cell, the fit uses the two voltages between which it began to fail. One chip says nothing about other
//! dies: its mean is the population's, and the die's sigma is 0 unless the options give it.

mod bivariate;
mod curve;
mod goodness;
mod interval;
mod noise;
mod observe;
mod pairs;
mod simulate;

pub use goodness::{ColumnClassFit, FigureFit, Goodness, LevelFit};
pub use interval::{Estimate, proportion_low, student};
pub use observe::{COLUMN_CLASSES, PairKind};

use crate::apply::FaultKind;
use crate::chip::Chip;
use crate::normal;
use crate::population::{CELL_SHARE_MIN, Population, PopulationError, VarianceShares};
use crate::sample::SampleError;
use curve::{Counts, Curve};
use interval::{
    Z95, lower_end, mean_and_sigma, median, share_showing, upper_end, variance_factors,
};
use observe::Observation;
use simulate::{Replicate, Source};

/// Most chips fitted together.
pub const CHIPS_MAX: usize = 4096;
/// Fewest and most simulated sets of chips.
pub const REPLICATES: (u32, u32) = (20, 100_000);

/// With fewer groups, a share between them gets its interval from simulated chips of other shares: its scatter
/// grows with the share and is skew.
const FEW_GROUPS: u64 = 100;

/// Why chips could not be fitted. Chips are counted from 0, in the order given.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// No chip, or too many.
    #[error("a fit takes 1 to 4096 chips, not {chips}")]
    Chips {
        /// Number of chips.
        chips: usize,
    },
    /// Too few or too many replicates.
    #[error("a fit takes 20 to 100000 simulated sets of chips, not {replicates}")]
    Replicates {
        /// Requested number.
        replicates: u32,
    },
    /// The given die sigma is negative or not a number.
    #[error("the sigma from die to die is at least 0 mV, not {sigma_mv}")]
    DieSigma {
        /// The given value.
        sigma_mv: f64,
    },
    /// A chip has no voltage at which at most 45 % of its cells fail.
    #[error("the chip has no voltage at which at most 45 % of its cells fail")]
    Levels {
        /// Index of the chip.
        chip: usize,
    },
    /// A chip has no fault at any voltage.
    #[error("the chip has no faulty cell down to {vdd_mv} mV, its lowest voltage")]
    NoFaults {
        /// Index of the chip.
        chip: usize,
        /// Its lowest voltage.
        vdd_mv: f64,
    },
    /// No chip has faults at two voltages: mean and sigma cannot be separated.
    #[error(
        "no chip has faults at two voltages with more at the lower one, so mu and sigma cannot be separated"
    )]
    OneVoltage,
    /// Too few simulated chips could be fitted.
    #[error(
        "only {fitted} of {replicates} simulated sets of chips could be fitted: too few faults"
    )]
    TooFewFaults {
        /// Number that could be fitted.
        fitted: usize,
        /// Total number.
        replicates: u32,
    },
    /// The fitted shares are not valid shares of a population.
    #[error("the fitted shares are not valid shares of a population")]
    Population(#[from] PopulationError),
    /// The chips are too large to be simulated.
    #[error("chips of this size cannot be simulated")]
    Sample(#[from] SampleError),
}

impl FitError {
    /// The chip that cannot be fitted, counted from 0.
    #[must_use]
    pub const fn chip(&self) -> Option<usize> {
        match self {
            Self::Levels { chip } | Self::NoFaults { chip, .. } => Some(*chip),
            Self::Chips { .. }
            | Self::Replicates { .. }
            | Self::DieSigma { .. }
            | Self::OneVoltage
            | Self::TooFewFaults { .. }
            | Self::Population(_)
            | Self::Sample(_) => None,
        }
    }
}

/// Options of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitOptions {
    /// Simulated sets of chips behind the intervals.
    pub replicates: u32,
    /// Seed of the simulation.
    pub seed: u64,
    /// Sigma from die to die in mV, if another source gives it.
    pub die_sigma_mv: Option<f64>,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self { replicates: 200, seed: 1, die_sigma_mv: None }
    }
}

/// Pairs of faulty cells of one kind, at the lowest voltage of each chip.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PairFit {
    /// Relative position of the two cells.
    pub kind: PairKind,
    /// Faulty pairs found.
    pub pairs: f64,
    /// Faulty pairs if faults were independent.
    pub pairs_independent: f64,
    /// Correlation of the two cells' critical voltages within a die.
    pub correlation: Estimate,
}

/// Shares of the variance within a die; they sum to 1.
///
/// With few banks the value of the bank's share is too low, since their own faults set the rate that pairs
/// are compared with: of 0.3 between 8 banks, 0.18 on average. The interval counts that in.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShareFit {
    /// Common to a bank.
    pub bank: Estimate,
    /// Common to a column.
    pub column: Estimate,
    /// Common to half a column.
    pub half_column: Estimate,
    /// The cell's own.
    pub cell: Estimate,
}

/// A straight line through the probits of one chip's rates, with equal weights: the usual quick
/// estimate. The likelihood weighs voltages by their faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbitLine {
    /// The voltage of rate one half, in mV.
    pub mu_mv: f64,
    /// Millivolts per standard deviation.
    pub sigma_mv: f64,
}

/// The fitted curve at one voltage: `z` is the standard normal quantile of the rate, for a chip with the mean
/// of the fitted ones.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct CurvePoint {
    /// Supply voltage in mV.
    pub vdd_mv: f64,
    /// Quantile of the rate and its 95 % interval.
    pub z: Estimate,
}

/// A fitted population. Intervals are at 95 %.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fit {
    /// Number of fitted chips.
    pub chips: usize,
    /// Mean critical voltage over the population, in mV; that of the die alone without [`Self::die_sigma_mv`].
    pub mu_mv: Estimate,
    /// Mean critical voltage of each chip, in mV.
    pub chip_mu_mv: Vec<f64>,
    /// The curve over the measured voltages and a fifth of their range beyond, lowest first.
    pub curve: Vec<CurvePoint>,
    /// The straight line of each chip; none where less than two voltages show different rates.
    pub probit_lines: Vec<Option<ProbitLine>>,
    /// Standard deviation of the critical voltage within a die, in mV.
    pub sigma_within_mv: Estimate,
    /// Standard deviation of the means from die to die, in mV: from two chips or more, or as given.
    pub die_sigma_mv: Option<Estimate>,
    /// Standard deviation over the whole population, in mV.
    pub sigma_mv: f64,
    /// Shares of the variance within a die.
    pub shares: ShareFit,
    /// Pairs of faults behind the shares; kinds that the geometry has.
    pub pairs: Vec<PairFit>,
    /// Share of the faulty cells whose preferred value is 0.
    pub share_stuck_at_0: Estimate,
    /// What the faulty cells of most chips do.
    pub kind: FaultKind,
    /// Standard deviation of a cell's critical voltage from read to read, in mV; only from measured chips
    /// with two voltages or more. Its interval is that of the count of cells that broke nesting, the curve
    /// taken as known.
    pub read_noise_mv: Option<Estimate>,
    /// Cells that broke nesting on the measured chips.
    pub nesting_violations: Option<u64>,
    /// Goodness of the fit.
    pub goodness: Goodness,
    /// Simulated sets of chips behind the intervals.
    pub replicates: usize,
    /// Voltages left out because more than 45 % of the cells failed.
    pub levels_left_out: usize,
}

impl Fit {
    /// The shares of the whole variance, with the die's.
    ///
    /// # Errors
    /// Rounding made the shares invalid.
    pub fn variance_shares(&self) -> Result<VarianceShares, PopulationError> {
        let within = self.sigma_within_mv.value * self.sigma_within_mv.value;
        let scale = within / (self.sigma_mv * self.sigma_mv);
        let ShareFit { bank, column, half_column, .. } = self.shares;
        VarianceShares::with_cell_as_rest(
            (1.0 - scale).max(0.0),
            bank.value * scale,
            column.value * scale,
            half_column.value * scale,
        )
    }

    /// The population of that name.
    ///
    /// # Errors
    /// The name is empty or too long, or as for [`Self::variance_shares`].
    pub fn population(&self, name: &str) -> Result<Population, PopulationError> {
        let population =
            Population::new(name, self.variance_shares()?, self.share_stuck_at_0.value)?;
        Ok(population.with_kind(self.kind))
    }
}

/// Fits the population of some chips.
///
/// The same chips and options give the same bits on every machine.
///
/// # Errors
/// See [`FitError`]: a chip has no fault, sigma cannot be estimated, or there is too little data.
pub fn fit(chips: &[Chip], options: &FitOptions) -> Result<Fit, FitError> {
    if chips.is_empty() || chips.len() > CHIPS_MAX {
        return Err(FitError::Chips { chips: chips.len() });
    }
    let replicates = options.replicates;
    if !(REPLICATES.0..=REPLICATES.1).contains(&replicates) {
        return Err(FitError::Replicates { replicates });
    }
    if let Some(sigma_mv) = options.die_sigma_mv.filter(|sigma| !(0.0..1e4).contains(sigma)) {
        return Err(FitError::DieSigma { sigma_mv });
    }
    let observed: Result<Vec<Observation>, FitError> =
        chips.iter().enumerate().map(|(index, chip)| Observation::of(index, chip)).collect();
    let observed = observed?;
    let curve = fit_curve(&observed)?;
    let correlations = pairs::correlations(&observed);
    let shares = pairs::shares(&correlations);
    let source =
        Source { observed: &observed, curve: &curve, count: replicates, seed: options.seed };
    let found = Shares { shares, seen: pairs::rises(&correlations), source };
    let typical = found.typical()?;
    let drawn = source.replicates(typical)?;
    if drawn.len() < REPLICATES.0 as usize / 2 || drawn.len() * 2 < replicates as usize {
        return Err(FitError::TooFewFaults { fitted: drawn.len(), replicates });
    }

    let sigmas: Vec<f64> = drawn.iter().map(|r| r.curve.sigma_mv).collect();
    let sigma_within_mv = Estimate::from_refits_of_scale(curve.sigma_mv, &sigmas);
    let (mu_mv, die_sigma_mv) = means(&curve, &drawn, found.groups()[0], options.die_sigma_mv);
    let die = die_sigma_mv.map_or(0.0, |die| die.value);
    let sum = |of: fn(&Observation) -> u64| observed.iter().map(of).sum::<u64>();
    Ok(Fit {
        chips: chips.len(),
        mu_mv,
        curve: band(&observed, &curve, &drawn),
        probit_lines: observed.iter().map(probit_line).collect(),
        sigma_within_mv,
        die_sigma_mv,
        sigma_mv: libm::sqrt(curve.sigma_mv * curve.sigma_mv + die * die),
        shares: found.intervals(typical, &drawn)?,
        pairs: pair_fit(&observed, &correlations, &drawn),
        share_stuck_at_0: Estimate::proportion(
            sum(|chip| chip.figures.stuck_at_0),
            sum(|chip| chip.figures.faults),
        ),
        kind: kind(chips),
        read_noise_mv: read_noise(&observed, &curve),
        nesting_violations: violations(&observed),
        goodness: goodness::goodness(&observed, &curve, &drawn),
        replicates: drawn.len(),
        levels_left_out: observed.iter().map(|chip| chip.levels_left_out).sum(),
        chip_mu_mv: curve.mu_mv,
    })
}

/// The kind of most chips.
fn kind(chips: &[Chip]) -> FaultKind {
    let flips = chips.iter().filter(|chip| chip.kind() == FaultKind::Flip).count();
    if 2 * flips > chips.len() { FaultKind::Flip } else { FaultKind::StuckAt }
}

/// The rate curve of some chips, if it can be estimated.
fn fit_curve(chips: &[Observation]) -> Result<Curve, FitError> {
    let tells_sigma = |chip: &Observation| {
        chip.levels.windows(2).any(|pair| 0 < pair[0].faults && pair[0].faults < pair[1].faults)
    };
    if chips.iter().any(|chip| chip.faults() == 0) || !chips.iter().any(tells_sigma) {
        return Err(FitError::OneVoltage);
    }
    let counts: Vec<Counts<'_>> = chips
        .iter()
        .map(|chip| Counts { cells: chip.geometry.cells(), levels: &chip.levels })
        .collect();
    Ok(curve::fit(&counts))
}

/// The curve with its interval over the range of the measured voltages.
fn band(observed: &[Observation], curve: &Curve, drawn: &[Replicate]) -> Vec<CurvePoint> {
    const POINTS: u32 = 60;
    let all = observed.iter().flat_map(|chip| chip.levels.iter().map(|level| level.vdd_mv));
    let (low, high) =
        all.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let margin = 0.2 * (high - low);
    let at =
        |curve: &Curve, vdd_mv: f64| (mean_and_sigma(&curve.mu_mv).0 - vdd_mv) / curve.sigma_mv;
    (0..=POINTS)
        .map(|index| {
            let vdd_mv =
                low - margin + (high - low + 2.0 * margin) * f64::from(index) / f64::from(POINTS);
            let refits: Vec<f64> = drawn.iter().map(|r| at(&r.curve, vdd_mv)).collect();
            CurvePoint { vdd_mv, z: Estimate::from_refits(at(curve, vdd_mv), &refits) }
        })
        .collect()
}

fn probit_line(chip: &Observation) -> Option<ProbitLine> {
    let cells = chip.geometry.cells() as f64;
    let points: Vec<(f64, f64)> = chip
        .levels
        .iter()
        .filter(|level| level.faults > 0)
        .map(|level| (level.vdd_mv, normal::quantile(level.faults as f64 / cells)))
        .collect();
    let count = points.len() as f64;
    let (vdd, z) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
    let (vdd, z) = (vdd / count, z / count);
    let products: f64 = points.iter().map(|p| (p.0 - vdd) * (p.1 - z)).sum();
    let squares: f64 = points.iter().map(|p| (p.0 - vdd) * (p.0 - vdd)).sum();
    let slope = products / squares;
    (slope < 0.0).then(|| ProbitLine { mu_mv: vdd - z / slope, sigma_mv: -1.0 / slope })
}

/// Mean over the population, and sigma from die to die.
///
/// The means of chips scatter because dies differ and because each estimate is uncertain; simulated
/// chips of fixed dies give the second part.
///
/// `banks` groups tell the share of banks, so the mean scatters as Student's t.
fn means(
    curve: &Curve,
    drawn: &[Replicate],
    banks: u64,
    told: Option<f64>,
) -> (Estimate, Option<Estimate>) {
    let (mean, sigma) = mean_and_sigma(&curve.mu_mv);
    let refits: Vec<(f64, f64)> = drawn.iter().map(|r| mean_and_sigma(&r.curve.mu_mv)).collect();
    let of_means: Vec<f64> = refits.iter().map(|refit| refit.0).collect();
    let own = Estimate::from_refits(mean, &of_means);
    let wider = if banks == 0 { 1.0 } else { student(banks as f64, 0.025) / Z95 };
    let own = Estimate {
        value: mean,
        low: mean - wider * (mean - own.low),
        high: mean + wider * (own.high - mean),
    };
    let chips = curve.mu_mv.len();
    if let Some(die) = told {
        let die = Estimate { value: die, low: die, high: die };
        return (widened(own, Z95 * die.value / libm::sqrt(chips as f64)), Some(die));
    }
    if chips < 2 {
        return (own, None);
    }
    let variance = sigma * sigma;
    let squares: Vec<f64> = refits.iter().map(|refit| refit.1 * refit.1).collect();
    let noise = (mean_and_sigma(&squares).0 - variance).max(0.0);
    let die_sigma = |between: f64| libm::sqrt((between - noise).max(0.0));
    let (low, high) = variance_factors(chips - 1);
    let value = die_sigma(variance);
    let die = Estimate { value, low: die_sigma(variance * low), high: die_sigma(variance * high) };
    (widened(own, student((chips - 1) as f64, 0.025) * value / libm::sqrt(chips as f64)), Some(die))
}

/// An interval with an independent uncertainty added in quadrature.
fn widened(estimate: Estimate, half_width: f64) -> Estimate {
    let Estimate { value, low, high } = estimate;
    let add = |side: f64| libm::sqrt(side * side + half_width * half_width);
    Estimate { value, low: value - add(value - low), high: value + add(high - value) }
}

/// The shares that the chips show.
struct Shares<'a> {
    shares: [f64; 4],
    /// The rises of the correlation behind them.
    seen: [f64; 3],
    source: Source<'a>,
}

impl Shares<'_> {
    /// Groups of each part that differ from the mean of those beside them: banks of a chip, columns of a
    /// bank, halves of a column.
    fn groups(&self) -> [u64; 3] {
        self.source.observed.iter().fold([0; 3], |[banks, columns, halves], chip| {
            let (b, c) = (u64::from(chip.geometry.banks()), u64::from(chip.geometry.columns()));
            [banks + b - 1, columns + b * (c - 1), halves + b * c]
        })
    }

    /// The shares with which chips are simulated. Few banks show too small a share of theirs: what half of the
    /// simulated chips fall short of it is added once.
    fn typical(&self) -> Result<[f64; 4], FitError> {
        let share = self.shares[0];
        if !(1..FEW_GROUPS).contains(&self.groups()[0]) {
            return Ok(self.shares);
        }
        let short = self.seen[0] - median(&self.rises(self.shares, 0, share)?);
        let typical = (share + short).clamp(0.0, 1.0 - CELL_SHARE_MIN);
        Ok(with_share(self.shares, 0, typical))
    }

    fn intervals(&self, typical: [f64; 4], drawn: &[Replicate]) -> Result<ShareFit, FitError> {
        let groups = self.groups();
        let refits: Vec<[f64; 3]> = drawn.iter().map(|r| pairs::rises(&r.correlations)).collect();
        let part = |part: usize| -> Result<Estimate, FitError> {
            let (seen, typical_share) = (self.seen[part], typical[part]);
            let refits: Vec<f64> = refits.iter().map(|refit| refit[part]).collect();
            let (low, high) = if groups[part] == 0 {
                (0.0, 1.0)
            } else if groups[part] < FEW_GROUPS {
                // The shares under which what was seen is neither among the lowest nor the highest.
                let start = (typical_share, &refits[..]);
                let at = |share| self.rises(typical, part, share);
                let top = (1.0 - CELL_SHARE_MIN).max(typical_share);
                (
                    share_showing(seen, start, (0.0, typical_share), upper_end, at)?,
                    share_showing(seen, start, (typical_share, top), lower_end, at)?,
                )
            } else {
                // Refits scatter about the share they were drawn with as the rise seen does about the true one.
                let about: Vec<f64> =
                    refits.iter().map(|refit| refit + seen - typical_share).collect();
                let Estimate { low, high, .. } = Estimate::from_refits(seen, &about);
                (low, high)
            };
            Ok(Estimate { value: seen, low, high })
        };
        // The ends belong to the rises; a share is one that stops at zero.
        let rises = [part(0)?, part(1)?, part(2)?];
        let [bank, column, half_column, cell] =
            [rises[0], rises[1], rises[2], Estimate::rest_of(&rises)];
        let share = |part: usize, of: Estimate| of.holding(self.shares[part], (0.0, 1.0));
        Ok(ShareFit {
            bank: share(0, bank),
            column: share(1, column),
            half_column: share(2, half_column),
            cell: share(3, cell),
        })
    }

    /// Rises of a part's correlation on simulated chips that have another share of it.
    fn rises(&self, shares: [f64; 4], part: usize, share: f64) -> Result<Vec<f64>, FitError> {
        let drawn = self.source.rises(with_share(shares, part, share))?;
        Ok(drawn.into_iter().map(|rises| rises[part]).collect())
    }
}

/// Another share of one part; the cell gives it, and beyond its least share the other parts do.
fn with_share(shares: [f64; 4], part: usize, share: f64) -> [f64; 4] {
    let others: f64 = shares[..3].iter().sum::<f64>() - shares[part];
    // A little less, so that rounding leaves the cell its least share.
    let room = (1.0 - CELL_SHARE_MIN - share - 1e-9).max(0.0);
    let scale = if others > room { room / others } else { 1.0 };
    let mut new = shares.map(|other| other * scale);
    new[part] = share;
    new
}

fn pair_fit(
    observed: &[Observation],
    correlations: &pairs::Correlations,
    drawn: &[Replicate],
) -> Vec<PairFit> {
    let independent = pairs::independent(observed);
    let of = |kind: PairKind| -> Option<PairFit> {
        let index = kind as usize;
        let values: Vec<f64> = drawn.iter().filter_map(|r| r.correlations[index]).collect();
        Some(PairFit {
            kind,
            pairs: observed.iter().map(|chip| chip.pairs[index]).sum(),
            pairs_independent: independent[index],
            correlation: Estimate::from_refits(correlations[index]?, &values).within((-1.0, 1.0)),
        })
    };
    PairKind::ALL.into_iter().filter_map(of).collect()
}

fn violations(observed: &[Observation]) -> Option<u64> {
    let mut measured = observed.iter().filter_map(|chip| chip.violations).peekable();
    measured.peek().is_some().then(|| measured.sum())
}

fn read_noise(observed: &[Observation], curve: &Curve) -> Option<Estimate> {
    let count = Estimate::count(violations(observed)?);
    let at = |violations| noise::for_violations(observed, curve, violations);
    Some(Estimate { value: at(count.value)?, low: at(count.low)?, high: at(count.high)? })
}
