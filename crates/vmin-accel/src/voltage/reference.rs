//! What the millivolts of a profile are.

use serde::{Deserialize, Serialize};

/// What a millivolt stands for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VddReference {
    /// A millivolt of a real supply.
    Absolute,
    /// A share of V_min: the source gives voltages relative to it alone.
    Vmin {
        /// The voltage that stands for V_min, in mV.
        unit_mv: f64,
    },
}

impl VddReference {
    /// A voltage with what it stands for.
    #[must_use]
    pub fn words(self, vdd_mv: f64) -> String {
        match self {
            Self::Absolute => format!("{vdd_mv} mV"),
            Self::Vmin { unit_mv } => {
                let percent = (vdd_mv / unit_mv * 1e4).round() / 100.0;
                format!("{vdd_mv} mV ({percent} % of V_min)")
            }
        }
    }

    /// A remark for readers of relative voltages.
    #[must_use]
    pub fn note(self) -> Option<String> {
        match self {
            Self::Absolute => None,
            Self::Vmin { unit_mv } => Some(format!(
                "voltages are relative, not those of a supply: {unit_mv} mV stands for V_min of the source, \
                 so {} mV means 90 % of V_min",
                0.9 * unit_mv
            )),
        }
    }
}
