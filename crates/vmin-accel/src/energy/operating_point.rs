//! Operating points: a voltage for every rail, and a rule for the clock.

use crate::VoltageProfile;

/// A supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rail {
    /// Array and vector unit.
    Logic,
    /// Weight memory.
    Weight,
    /// Activation memory.
    Activation,
    /// Accumulator memory.
    Accumulator,
    /// DRAM and its interface.
    Io,
}

impl Rail {
    /// The rails that may supply a memory, with their words.
    pub const MEMORIES: [(&'static str, Self); 4] = [
        (Self::Weight.word(), Self::Weight),
        (Self::Activation.word(), Self::Activation),
        (Self::Accumulator.word(), Self::Accumulator),
        (Self::Logic.word(), Self::Logic),
    ];

    /// Every rail with its word.
    pub const ALL: [(&'static str, Self); 5] = [
        (Self::Logic.word(), Self::Logic),
        (Self::Weight.word(), Self::Weight),
        (Self::Activation.word(), Self::Activation),
        (Self::Accumulator.word(), Self::Accumulator),
        (Self::Io.word(), Self::Io),
    ];

    const COUNT: usize = 5;

    /// Its word in files and options.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Logic => "logic",
            Self::Weight => "weight",
            Self::Activation => "activation",
            Self::Accumulator => "accumulator",
            Self::Io => "io",
        }
    }
}

/// How the clock follows the voltage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// As fast as the profile allows at the lowest rail of the logic and the memories.
    FollowsVoltage,
    /// The nominal clock at every voltage, as in the published 14 nm data.
    Fixed,
}

/// A voltage for every rail, and a rule for the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    vdd_mv: [f64; Rail::COUNT],
    /// The clock; it follows the voltage unless set otherwise.
    pub clock: Clock,
}

impl OperatingPoint {
    /// All rails at the profile's reference voltage.
    #[must_use]
    pub fn nominal(profile: &VoltageProfile) -> Self {
        Self { vdd_mv: [profile.v_ref_mv(); Rail::COUNT], clock: Clock::FollowsVoltage }
    }

    /// The weight rail at `vdd_mv`, the others nominal.
    #[must_use]
    pub fn weight_memory(profile: &VoltageProfile, vdd_mv: f64) -> Self {
        Self::nominal(profile).with(Rail::Weight, vdd_mv)
    }

    /// The rails of all three memories at `vdd_mv`, the others nominal.
    #[must_use]
    pub fn memories(profile: &VoltageProfile, vdd_mv: f64) -> Self {
        [Rail::Weight, Rail::Activation, Rail::Accumulator]
            .into_iter()
            .fold(Self::nominal(profile), |point, rail| point.with(rail, vdd_mv))
    }

    /// Every rail of the chip at `vdd_mv`; DRAM and its interface nominal.
    #[must_use]
    pub fn chip(profile: &VoltageProfile, vdd_mv: f64) -> Self {
        Self::memories(profile, vdd_mv).with(Rail::Logic, vdd_mv)
    }

    /// One rail at another voltage.
    #[must_use]
    pub const fn with(mut self, rail: Rail, vdd_mv: f64) -> Self {
        self.vdd_mv[rail as usize] = vdd_mv;
        self
    }

    /// The same point with this clock.
    #[must_use]
    pub const fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Voltage of a rail.
    #[must_use]
    pub const fn vdd_mv(&self, rail: Rail) -> f64 {
        self.vdd_mv[rail as usize]
    }
}
