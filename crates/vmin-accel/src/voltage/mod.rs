//! Voltage profiles: fault rate, energy, leakage and clock of a memory as functions of its supply.
//!
//! A profile is a TOML file with a provenance header (`voltage-profiles/` holds the shipped ones).
//! [`VoltageProfile::threshold`] alone turns a voltage into the integer that cell scores are compared
//! with; everything after it is exact on every machine.

mod curve;
mod points;
mod read;
mod read_noise;
mod reading;
mod reference;
mod scale;
mod shipped;

use std::ops::RangeInclusive;
use std::path::Path;

use vmin_diagnostic::{Diagnostic, Diagnostics, Source, in_volts};
use vmin_sram::{FaultKind, Population, Threshold};

use curve::Curve;
pub use read_noise::{READ_NOISE_MV, ReadNoise};
pub use reading::ReadingError;
pub use reference::VddReference;
use scale::{ClockLaw, LeakageLaw, Scale};

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

/// A checked voltage profile.
#[derive(Clone, Debug, PartialEq)]
pub struct VoltageProfile {
    name: String,
    title: String,
    text: String,
    node_nm: Option<f64>,
    source: String,
    vmin_mv: f64,
    relative: bool,
    /// Whether its source is relative to V_min, be that known or not.
    follows_vmin: bool,
    v_ref_mv: f64,
    vdd_mv_range: (f64, f64),
    curve: Curve,
    measured: Vec<MeasuredPoint>,
    population: Population,
    kind_told: bool,
    share_on_scaled_rail: f64,
    energy_exponent: f64,
    has_logic_law: bool,
    access_energy: Option<Scale>,
    leakage: LeakageLaw,
    clock: ClockLaw,
}

impl VoltageProfile {
    /// Loads a shipped profile by name, or a TOML file by path.
    ///
    /// # Errors
    /// No such name or file, or all problems of the file.
    pub fn load(name_or_path: impl AsRef<Path>) -> Result<Self, Diagnostics> {
        let source = vmin_files::shipped_or_path("voltage profile", name_or_path, shipped::ALL)?;
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

    /// Technology node of the memory that was measured, in nm, if the file states it.
    #[must_use]
    pub const fn node_nm(&self) -> Option<f64> {
        self.node_nm
    }

    /// Where its numbers come from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it says how the energy of logic follows the voltage: not if it lists a memory's points alone.
    #[must_use]
    pub const fn has_logic_law(&self) -> bool {
        self.has_logic_law
    }

    /// Whether it says how the clock follows the voltage.
    #[must_use]
    pub const fn has_clock_law(&self) -> bool {
        !matches!(self.clock, ClockLaw::Constant)
    }

    /// Lowest voltage at which the source saw no fault.
    #[must_use]
    pub const fn vmin_mv(&self) -> f64 {
        self.vmin_mv
    }

    /// A remark where it does not say what faulty cells do, so that they invert.
    #[must_use]
    pub fn kind_note(&self) -> Option<String> {
        (!self.kind_told).then(|| {
            format!(
                "profile `{}` has no `fault_kind` in `[population]`: its faulty cells invert (`flip`), so \
                 `share_stuck_at_0` has no effect",
                self.name
            )
        })
    }

    /// What its millivolts are.
    #[must_use]
    pub const fn reference(&self) -> VddReference {
        if self.relative {
            VddReference::Vmin { unit_mv: self.vmin_mv }
        } else {
            VddReference::Absolute
        }
    }

    /// Whether [`Self::at_vmin`] makes sense: its source gives voltages relative to V_min alone.
    #[must_use]
    pub const fn follows_vmin(&self) -> bool {
        self.follows_vmin
    }

    /// The same profile where V_min is that voltage: every voltage in the same proportion, as millivolts of
    /// a supply.
    #[must_use]
    pub fn at_vmin(&self, vmin_mv: f64) -> Self {
        let factor = vmin_mv / self.vmin_mv;
        let measured = self.measured.iter();
        Self {
            vmin_mv,
            relative: false,
            v_ref_mv: self.v_ref_mv * factor,
            vdd_mv_range: (self.vdd_mv_range.0 * factor, self.vdd_mv_range.1 * factor),
            curve: self.curve.stretched(factor),
            measured: measured.map(|p| MeasuredPoint { vdd_mv: p.vdd_mv * factor, ..*p }).collect(),
            access_energy: self.access_energy.as_ref().map(|points| points.stretched(factor)),
            leakage: self.leakage.stretched(factor),
            clock: self.clock.stretched(factor),
            ..self.clone()
        }
    }

    /// The nominal voltage: energies, leakage and clock are relative to it.
    #[must_use]
    pub const fn v_ref_mv(&self) -> f64 {
        self.v_ref_mv
    }

    /// Voltages that the profile covers.
    #[must_use]
    pub const fn vdd_mv_range(&self) -> RangeInclusive<f64> {
        self.vdd_mv_range.0..=self.vdd_mv_range.1
    }

    /// Refuses a voltage beyond [`Self::vdd_mv_range`].
    ///
    /// # Errors
    /// The problem, without a place.
    pub fn check(&self, vdd_mv: f64) -> Result<(), Box<Diagnostic>> {
        let (least, most) = self.vdd_mv_range;
        if self.vdd_mv_range().contains(&vdd_mv) {
            return Ok(());
        }
        let message = format!("profile `{}` does not reach {vdd_mv} mV", self.name);
        let problem = Diagnostic::new("out-of-range", message);
        // A stretched range ends at numbers like 493.49999999999994.
        let [least, most] = [least, most].map(|mv| (mv * 1e6).round() / 1e6);
        let problem = problem.allowed(format!("expected {least} to {most} mV"));
        let hint = in_volts(vdd_mv, |vdd_mv| self.vdd_mv_range().contains(&vdd_mv));
        Err(Box::new(hint.into_iter().fold(problem, Diagnostic::hint)))
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

    /// The threshold at `vdd_mv`: cells with at least this score are faulty.
    #[must_use]
    pub fn threshold(&self, vdd_mv: f64) -> Threshold {
        // A rate always lies within [0, 1]; outside, every cell counts as faulty.
        Threshold::from_rate(self.cell_fault_rate(vdd_mv)).unwrap_or(Threshold::ALWAYS)
    }

    /// What decides which cells fail at which voltage, and how, for digests: prose, energy, leakage and clock are
    /// no part of it.
    #[must_use]
    pub fn faults(&self) -> impl serde::Serialize {
        let shares = self.population.shares();
        let shares =
            [shares.die(), shares.bank(), shares.column(), shares.half_column(), shares.cell()];
        let stuck = self.population.kind() == FaultKind::StuckAt;
        (&self.curve, shares, self.population.share_stuck_at_0(), stuck)
    }

    /// The population that chips are sampled from.
    #[must_use]
    pub const fn population(&self) -> &Population {
        &self.population
    }

    /// Dynamic energy of an access relative to the reference voltage:
    /// `share * (V / V_ref)^a + 1 - share`, with `share` the part of it on the scaled rail and `a` 2 unless
    /// `energy.exponent` says otherwise; or the points of `[[energy.points]]`.
    #[must_use]
    pub fn access_energy_scale(&self, vdd_mv: f64) -> f64 {
        match &self.access_energy {
            Some(points) => points.at(vdd_mv),
            None => {
                let share = self.share_on_scaled_rail;
                share * self.dynamic_scale(vdd_mv) + (1.0 - share)
            }
        }
    }

    /// Dynamic energy of a component wholly on the scaled rail: `(V / V_ref)^a`.
    #[must_use]
    pub fn dynamic_scale(&self, vdd_mv: f64) -> f64 {
        let ratio = vdd_mv / self.v_ref_mv;
        // The square exactly, as in the papers.
        if self.energy_exponent == 2.0 {
            ratio * ratio
        } else {
            libm::pow(ratio, self.energy_exponent)
        }
    }

    /// Leakage power relative to the reference voltage: `V / V_ref`, times a decade per
    /// `leakage.mv_per_decade` if the file gives it; or the points of `[[leakage.points]]`.
    #[must_use]
    pub fn leakage_scale(&self, vdd_mv: f64) -> f64 {
        self.leakage.scale(vdd_mv, self.v_ref_mv)
    }

    /// Highest clock relative to the reference voltage: by the alpha-power law
    /// `((V - Vt) / (V_ref - Vt))^alpha * V_ref / V`, 0 at and below `Vt`; or the points of
    /// `[[clock.points]]`; 1 at every voltage if the file has no `[clock]` (the source held the clock
    /// constant).
    #[must_use]
    pub fn f_max_scale(&self, vdd_mv: f64) -> f64 {
        self.clock.scale(vdd_mv, self.v_ref_mv)
    }
}

#[cfg(test)]
mod tests;
