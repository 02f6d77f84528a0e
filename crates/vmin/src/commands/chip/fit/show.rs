//! The answer of `chip fit`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_sram::fit::{Estimate, Fit, PairKind};

use crate::{Answer, Failure, answer};

/// A parameter with its 95 % interval.
#[derive(Debug, Serialize, JsonSchema)]
struct Parameter {
    parameter: &'static str,
    value: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Level {
    chip: String,
    vdd_mv: f64,
    faults: u64,
    faults_fitted: f64,
    faults_sigma: f64,
    deviation: f64,
    residual_sigmas: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Figure {
    figure: &'static str,
    measured: f64,
    fitted: f64,
    sigma: f64,
    deviation: f64,
    independent: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Columns {
    faults_min: u64,
    faults_max: Option<u64>,
    measured: u64,
    fitted: f64,
    sigma: f64,
    independent: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Pairs {
    kind: &'static str,
    pairs: f64,
    pairs_independent: f64,
    correlation: f64,
    low: f64,
    high: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Line {
    mu_mv: f64,
    sigma_mv: f64,
}

/// A fitted population and how well it fits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Fitted {
    chips: usize,
    confidence: f64,
    replicates: usize,
    sigma_mv: f64,
    /// What `mu_mv` and its interval are of: one die tells nothing of the mean over dies.
    mu_of: &'static str,
    parameters: Vec<Parameter>,
    chip_mu_mv: Vec<f64>,
    probit_lines: Vec<Option<Line>>,
    pairs: Vec<Pairs>,
    nesting_violations: Option<u64>,
    pearson: f64,
    pearson_p: f64,
    levels: Vec<Level>,
    figures: Vec<Figure>,
    columns: Vec<Columns>,
}

const fn kind(kind: PairKind) -> &'static str {
    match kind {
        PairKind::HalfColumn => "half-column",
        PairKind::Column => "column",
        PairKind::Row => "row",
        PairKind::Bank => "bank",
    }
}

fn parameters(fit: &Fit) -> Vec<Parameter> {
    let shares = &fit.shares;
    let all: [(&'static str, Option<Estimate>); 9] = [
        ("mu_mv", Some(fit.mu_mv)),
        ("sigma_within_mv", Some(fit.sigma_within_mv)),
        ("die_sigma_mv", fit.die_sigma_mv),
        ("share_bank", Some(shares.bank)),
        ("share_column", Some(shares.column)),
        ("share_half_column", Some(shares.half_column)),
        ("share_cell", Some(shares.cell)),
        ("share_stuck_at_0", Some(fit.share_stuck_at_0)),
        ("read_noise_mv", fit.read_noise_mv),
    ];
    all.into_iter()
        .filter_map(|(parameter, estimate)| {
            estimate.map(|Estimate { value, low, high }| Parameter { parameter, value, low, high })
        })
        .filter(|row| row.low.is_finite() && row.high.is_finite())
        .collect()
}

impl Fitted {
    pub(super) fn new(fit: &Fit, paths: &[PathBuf]) -> Self {
        let names: Vec<String> = paths
            .iter()
            .map(|path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned())
            .collect();
        Self {
            chips: fit.chips,
            confidence: 0.95,
            replicates: fit.replicates,
            sigma_mv: fit.sigma_mv,
            mu_of: if fit.die_sigma_mv.is_some() { "population" } else { "die" },
            parameters: parameters(fit),
            chip_mu_mv: fit.chip_mu_mv.clone(),
            probit_lines: fit
                .probit_lines
                .iter()
                .map(|line| line.map(|l| Line { mu_mv: l.mu_mv, sigma_mv: l.sigma_mv }))
                .collect(),
            pairs: fit
                .pairs
                .iter()
                .map(|pairs| Pairs {
                    kind: kind(pairs.kind),
                    pairs: pairs.pairs,
                    pairs_independent: pairs.pairs_independent,
                    correlation: pairs.correlation.value,
                    low: pairs.correlation.low,
                    high: pairs.correlation.high,
                })
                .collect(),
            nesting_violations: fit.nesting_violations,
            pearson: fit.goodness.pearson,
            pearson_p: fit.goodness.pearson_p,
            levels: fit
                .goodness
                .levels
                .iter()
                .map(|level| Level {
                    chip: names.get(level.chip).cloned().unwrap_or_default(),
                    vdd_mv: level.vdd_mv,
                    faults: level.faults,
                    faults_fitted: level.faults_fitted,
                    faults_sigma: level.faults_sigma,
                    deviation: level.deviation,
                    residual_sigmas: level.residual_sigmas,
                })
                .collect(),
            figures: fit
                .goodness
                .figures
                .iter()
                .map(|figure| Figure {
                    figure: figure.name,
                    measured: figure.measured,
                    fitted: figure.fitted,
                    sigma: figure.sigma,
                    deviation: figure.deviation(),
                    independent: figure.independent,
                })
                .collect(),
            columns: fit
                .goodness
                .columns
                .iter()
                .map(|class| Columns {
                    faults_min: class.faults_min,
                    faults_max: class.faults_max,
                    measured: class.measured,
                    fitted: class.fitted,
                    sigma: class.sigma,
                    independent: class.independent,
                })
                .collect(),
        }
    }
}

impl Answer for Fitted {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.parameters)
    }

    fn table(&self) -> String {
        let digits = |value: f64| {
            if value == 0.0 || value.abs() >= 100.0 {
                format!("{value:.1}")
            } else if value.abs() >= 10.0 {
                format!("{value:.2}")
            } else {
                format!("{value:.3}")
            }
        };
        let parameters = answer::table(
            &["parameter", "value", "95 % from", "to"],
            1,
            self.parameters.iter().map(|row| {
                let of_die = row.parameter == "mu_mv" && self.mu_of == "die";
                let name = if of_die { "mu_mv of this die" } else { row.parameter };
                vec![name.to_owned(), digits(row.value), digits(row.low), digits(row.high)]
            }),
        );
        let pairs = answer::table(
            &[
                "pairs of faults in one",
                "found",
                "if independent",
                "correlation",
                "95 % from",
                "to",
            ],
            1,
            self.pairs.iter().map(|row| {
                vec![
                    row.kind.to_owned(),
                    row.pairs.to_string(),
                    digits(row.pairs_independent),
                    digits(row.correlation),
                    digits(row.low),
                    digits(row.high),
                ]
            }),
        );
        let levels = answer::table(
            &["chip", "Vdd (mV)", "faulty cells", "fitted", "sigma", "deviation (sigma)"],
            1,
            self.levels.iter().map(|row| {
                vec![
                    row.chip.to_owned(),
                    row.vdd_mv.to_string(),
                    row.faults.to_string(),
                    digits(row.faults_fitted),
                    digits(row.faults_sigma),
                    format!("{:+.2}", row.deviation),
                ]
            }),
        );
        let figures = answer::table(
            &[
                "at the lowest voltage",
                "chips",
                "fitted",
                "sigma",
                "deviation (sigma)",
                "if independent",
            ],
            1,
            self.figures.iter().map(|row| {
                vec![
                    row.figure.to_owned(),
                    digits(row.measured),
                    digits(row.fitted),
                    digits(row.sigma),
                    format!("{:+.2}", row.deviation),
                    row.independent.map_or_else(|| "-".to_owned(), digits),
                ]
            }),
        );
        let columns = answer::table(
            &["columns with so many faults", "chips", "fitted", "sigma", "if independent"],
            1,
            self.columns.iter().map(|row| {
                let name = match row.faults_max {
                    Some(max) if max == row.faults_min => max.to_string(),
                    Some(max) => format!("{} to {max}", row.faults_min),
                    None => format!("{} or more", row.faults_min),
                };
                vec![
                    name,
                    row.measured.to_string(),
                    digits(row.fitted),
                    digits(row.sigma),
                    digits(row.independent),
                ]
            }),
        );
        format!(
            "{parameters}\n\n{pairs}\n\n{levels}\n\nPearson's sum {:.2}, reached by a share of {:.3} of simulated \
         chips ({} sets)\n\n{figures}\n\n{columns}",
            self.pearson, self.pearson_p, self.replicates
        )
    }
}
