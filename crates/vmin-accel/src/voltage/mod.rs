//! Voltage profiles: what a supply voltage does to the cells, energy, leakage and clock of a memory.
//!
//! A profile is a TOML file with a provenance header (`voltage-profiles/` holds the shipped ones).
//! [`VoltageProfile::threshold`] is the only place where a voltage becomes an integer that decides
//! about cells; everything after it is exact on every machine.

mod curve;
mod read;
mod shipped;

use std::ops::RangeInclusive;

use vmin_diagnostic::{Diagnostics, Source};
use vmin_sram::{Population, Threshold};

use crate::load;
use curve::Curve;

/// A point of the source that the profile was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct MeasuredPoint {
    /// Supply voltage.
    pub vdd_mv: f64,
    /// Share of faulty cells; 0 where the source found none.
    pub cell_fault_rate: f64,
    /// Access energy relative to the reference voltage, if the source gives it.
    pub access_energy: Option<f64>,
}

/// Alpha-power law of the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ClockLaw {
    threshold_mv: f64,
    alpha: f64,
}

/// A checked voltage profile.
#[derive(Clone, Debug, PartialEq)]
pub struct VoltageProfile {
    name: String,
    title: String,
    text: String,
    vmin_mv: f64,
    v_ref_mv: f64,
    vdd_mv_range: (f64, f64),
    curve: Curve,
    measured: Vec<MeasuredPoint>,
    population: Population,
    share_on_scaled_rail: f64,
    leakage_mv_per_decade: Option<f64>,
    clock: Option<ClockLaw>,
}

impl VoltageProfile {
    /// Loads a shipped profile by name, or a TOML file by path.
    ///
    /// # Errors
    /// No such name or file, or all problems of the file.
    pub fn load(name_or_path: &str) -> Result<Self, Diagnostics> {
        let source = load::source(name_or_path, "voltage profile", &shipped::ALL)?;
        Self::parse(&source)
    }

    /// Reads and checks a profile.
    ///
    /// # Errors
    /// All problems of the text.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        read::profile(source)
    }

    /// Names of the shipped profiles, in the order they are listed.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        shipped::ALL.iter().map(|(name, _)| *name).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One line for tables.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The text it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Lowest voltage at which the source saw no fault.
    #[must_use]
    pub const fn vmin_mv(&self) -> f64 {
        self.vmin_mv
    }

    /// The nominal voltage: energies, leakage and clock are relative to it.
    #[must_use]
    pub const fn v_ref_mv(&self) -> f64 {
        self.v_ref_mv
    }

    /// Voltages the profile speaks about.
    #[must_use]
    pub const fn vdd_mv_range(&self) -> RangeInclusive<f64> {
        self.vdd_mv_range.0..=self.vdd_mv_range.1
    }

    /// Points of the source.
    #[must_use]
    pub fn measured(&self) -> &[MeasuredPoint] {
        &self.measured
    }

    /// Share of cells that are faulty at `vdd_mv`; never rises with the voltage. Outside
    /// [`Self::vdd_mv_range`] the law is continued; for NaN every cell is faulty.
    #[must_use]
    pub fn cell_fault_rate(&self, vdd_mv: f64) -> f64 {
        self.curve.rate(vdd_mv)
    }

    /// The integer that decides about cells at `vdd_mv`.
    #[must_use]
    pub fn threshold(&self, vdd_mv: f64) -> Threshold {
        // A rate is always within [0, 1]; were it not, every cell would be taken as faulty.
        Threshold::from_rate(self.cell_fault_rate(vdd_mv)).unwrap_or(Threshold::ALWAYS)
    }

    /// What chips are drawn from.
    #[must_use]
    pub const fn population(&self) -> &Population {
        &self.population
    }

    /// Dynamic energy of an access relative to the reference voltage:
    /// `share * (V / V_ref)^2 + 1 - share`, with `share` the part of it on the scaled rail.
    #[must_use]
    pub fn access_energy_scale(&self, vdd_mv: f64) -> f64 {
        let ratio = vdd_mv / self.v_ref_mv;
        self.share_on_scaled_rail * (ratio * ratio) + (1.0 - self.share_on_scaled_rail)
    }

    /// Leakage power relative to the reference voltage: `V / V_ref`, times a decade per
    /// `leakage.mv_per_decade` if the file gives it.
    #[must_use]
    pub fn leakage_scale(&self, vdd_mv: f64) -> f64 {
        let current = self
            .leakage_mv_per_decade
            .map_or(1.0, |decade| libm::pow(10.0, (vdd_mv - self.v_ref_mv) / decade));
        vdd_mv / self.v_ref_mv * current
    }

    /// Highest clock relative to the reference voltage, by the alpha-power law
    /// `((V - Vt) / (V_ref - Vt))^alpha * V_ref / V`; 1 at every voltage if the file has no `[clock]`
    /// (the source held the clock constant), 0 at and below `Vt`.
    #[must_use]
    pub fn f_max_scale(&self, vdd_mv: f64) -> f64 {
        let Some(ClockLaw { threshold_mv, alpha }) = self.clock else { return 1.0 };
        if vdd_mv > threshold_mv {
            let overdrive = (vdd_mv - threshold_mv) / (self.v_ref_mv - threshold_mv);
            libm::pow(overdrive, alpha) * self.v_ref_mv / vdd_mv
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests;
