//! Presets, and rates in place of voltages.
//!
//! `preset = "stutz"` is the evaluation of D. Stutz et al. (MLSys 2021, TPAMI 2022): weights in linear
//! memory without gaps, every bit with `u <= p` inverted, bits independent of each other, 50 chips
//! fixed once, the first 9000 test images. Their generator's numbers are not portable, so these are
//! 50 other chips of the same distribution. Their code counts an image as wrong if it is wrong with *or*
//! without bit errors: that is the union RErr, printed beside the plain one.

use vmin_accel::VoltageProfile;
use vmin_diagnostic::{Diagnostic, Located, Source, TableReader};
use vmin_sram::{FaultKind, Population, VarianceShares};

use crate::experiment::ReadErrors;

/// Highest cell-fault rate that can be emulated, in percent.
const RATE_PCT_MAX: f64 = 50.0;

/// A set of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// `stutz`: the protocol of the papers.
    Stutz,
}

impl Preset {
    /// Every preset with its word.
    pub const ALL: [(&'static str, Self); 1] = [("stutz", Self::Stutz)];

    /// Chips where the experiment has none: (count, seed).
    #[must_use]
    pub const fn chips(self) -> (u32, u64) {
        match self {
            Self::Stutz => (50, 100),
        }
    }

    /// Number of images where the experiment has none.
    #[must_use]
    pub const fn images(self) -> usize {
        match self {
            Self::Stutz => 9000,
        }
    }

    /// The population that replaces the profile's.
    #[must_use]
    pub fn population(self) -> Population {
        match self {
            Self::Stutz => Population::new("independent", VarianceShares::INDEPENDENT, 0.5)
                .expect("the name is not empty and a half is a probability"),
        }
    }

    /// A remark for readers of the results.
    #[must_use]
    pub const fn note(self) -> &'static str {
        match self {
            Self::Stutz => {
                "preset stutz: independent bits inverted at the cell-fault rate; RErr is plain, the papers' \
                 code counts the union"
            }
        }
    }
}

/// Reports a fault kind that contradicts the preset.
pub(crate) fn check_kind(
    memory: &TableReader<'_>,
    preset: Option<Preset>,
    kind: Option<&Located<ReadErrors>>,
) {
    if let (Some(Preset::Stutz), Some(kind)) = (preset, kind)
        && kind.value != ReadErrors::Alike(FaultKind::Flip)
    {
        memory.report_at(
            kind.span.clone(),
            Diagnostic::new("preset", "the preset `stutz` inverts faulty bits")
                .allowed("expected `flip`, or no preset"),
        );
    }
}

/// `rates_pct = [...]` as fractions, rising, without repeats.
pub(crate) fn rates(memory: &TableReader<'_>) -> Option<Vec<Located<f64>>> {
    let list = memory.numbers("rates_pct", 1e-9..=RATE_PCT_MAX)?;
    let mut rates = list.value;
    if rates.len() > crate::POINTS_MAX {
        memory.report_at(
            list.span,
            Diagnostic::new("too-many", format!("`memory.rates_pct` names {} rates", rates.len()))
                .allowed(format!("expected at most {}", crate::POINTS_MAX)),
        );
        return None;
    }
    rates.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut repeated = false;
    for pair in rates.windows(2) {
        if pair[0].value == pair[1].value {
            repeated = true;
            memory.report_at(
                pair[1].span.clone(),
                Diagnostic::new("repeated", format!("rate {} % is named twice", pair[1].value))
                    .hint("name each rate once"),
            );
        }
    }
    for rate in &mut rates {
        rate.value /= 100.0;
    }
    (!repeated).then_some(rates)
}

/// The voltage at which the profile has each rate, by bisection, in mV; falling as the rates rise.
pub(crate) fn voltages_of_rates(
    rates: &[Located<f64>],
    profile: &VoltageProfile,
    source: &Source,
) -> Result<Vec<Located<f64>>, Vec<Diagnostic>> {
    let (low, high) = profile.vdd_mv_range().into_inner();
    let (most, least) = (profile.cell_fault_rate(low), profile.cell_fault_rate(high));
    let mut problems = Vec::new();
    let voltages = rates
        .iter()
        .map(|rate| {
            if !(least..=most).contains(&rate.value) {
                let profile = profile.name();
                let message = format!(
                    "profile `{profile}` has no voltage with the rate {} %",
                    rate.value * 100.0
                );
                problems.push(
                    Diagnostic::new("out-of-range", message).at(source, rate.span.clone()).allowed(
                        format!("expected {:.1e} to {:.1} %", least * 100.0, most * 100.0),
                    ),
                );
            }
            let (mut low, mut high) = (low, high);
            for _ in 0..100 {
                let middle = 0.5 * (low + high);
                if profile.cell_fault_rate(middle) > rate.value {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            // Whole microvolts, for tables; the rate decides about cells.
            let value = (high * 1000.0).round() / 1000.0;
            Located { value, span: rate.span.clone() }
        })
        .collect();
    if problems.is_empty() { Ok(voltages) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_go_to_voltages_and_back() {
        let profile = VoltageProfile::load("sram14").expect("shipped");
        let rates: Vec<_> = [1e-5, 1e-4, 1e-3, 0.01, 0.025]
            .into_iter()
            .map(|value| Located { value, span: 0..0 })
            .collect();
        let source = Source::new("e.toml", "");
        let voltages = voltages_of_rates(&rates, &profile, &source).expect("within the profile");
        for (rate, vdd_mv) in rates.iter().zip(&voltages) {
            let back = profile.cell_fault_rate(vdd_mv.value);
            assert!((back / rate.value - 1.0).abs() < 1e-4, "{}: {back}", rate.value);
        }
        assert!(voltages.windows(2).all(|pair| pair[0].value > pair[1].value));
        let far = [Located { value: 1e-25, span: 0..0 }];
        assert_eq!(voltages_of_rates(&far, &profile, &source).expect_err("too rare").len(), 1);
    }
}
