//! Which supplies are lowered together: one list of words for every command and file.

use super::{OperatingPoint, Rail};
use crate::VoltageProfile;

/// Supplies that are lowered together; all others stay nominal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rails {
    /// The weight memory's.
    #[default]
    Weight,
    /// The activation memory's.
    Activation,
    /// The accumulator memory's.
    Accumulator,
    /// Those of all three memories.
    Memories,
    /// That of array and vector unit.
    Logic,
    /// Those of memories and logic.
    Chip,
}

/// The profile does not say how the energy of logic follows the voltage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "profile `{profile}` has no law for logic: its `[[energy.points]]` are those of a memory's accesses"
)]
pub struct NoLogicLaw {
    profile: String,
}

impl Rails {
    /// Every choice with its word.
    pub const ALL: [(&'static str, Self); 6] = [
        ("weight", Self::Weight),
        ("activation", Self::Activation),
        ("accumulator", Self::Accumulator),
        ("memories", Self::Memories),
        ("logic", Self::Logic),
        ("chip", Self::Chip),
    ];

    /// In words, for help.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Weight => "Weight memory",
            Self::Activation => "Activation memory",
            Self::Accumulator => "Accumulator memory",
            Self::Memories => "All three on-chip memories",
            Self::Logic => "Array and vector unit",
            Self::Chip => "Memories and logic",
        }
    }

    /// In words, in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight memory",
            Self::Activation => "activation memory",
            Self::Accumulator => "accumulator memory",
            Self::Memories => "memories",
            Self::Logic => "logic",
            Self::Chip => "memories and logic",
        }
    }

    /// The supplies.
    #[must_use]
    pub const fn rails(self) -> &'static [Rail] {
        match self {
            Self::Weight => &[Rail::Weight],
            Self::Activation => &[Rail::Activation],
            Self::Accumulator => &[Rail::Accumulator],
            Self::Memories => &[Rail::Weight, Rail::Activation, Rail::Accumulator],
            Self::Logic => &[Rail::Logic],
            Self::Chip => &[Rail::Weight, Rail::Activation, Rail::Accumulator, Rail::Logic],
        }
    }

    /// These supplies at `vdd_mv`, the others nominal.
    ///
    /// # Errors
    /// Logic is lowered by a profile that has no law for it.
    pub fn at(self, profile: &VoltageProfile, vdd_mv: f64) -> Result<OperatingPoint, NoLogicLaw> {
        if self.rails().contains(&Rail::Logic) && !profile.has_logic_law() {
            return Err(NoLogicLaw { profile: profile.name().to_owned() });
        }
        let nominal = OperatingPoint::nominal(profile);
        Ok(self.rails().iter().fold(nominal, |point, &rail| point.with(rail, vdd_mv)))
    }
}
