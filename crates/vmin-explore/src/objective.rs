//! The numbers that designs are compared by.

use crate::Point;

/// A number to minimize.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Time of one inference, in us.
    LatencyUs,
    /// Energy of one inference, in nJ.
    EnergyNj,
    /// Energy times time of one inference, in nJ us.
    EnergyDelayNjUs,
    /// On-chip memory, in KiB.
    OnChipKib,
    /// Area estimate, in mm2.
    AreaMm2,
    /// Processing elements.
    ProcessingElements,
    /// Bytes between chip and DRAM per inference.
    DramBytes,
    /// Share of faulty cells at the voltage.
    CellFaultRate,
    /// Mean test error under bit errors, from the results of a sweep.
    Rerr,
}

impl Objective {
    /// Every objective with its word.
    pub const ALL: [(&'static str, Self); 9] = [
        ("latency_us", Self::LatencyUs),
        ("energy_nj", Self::EnergyNj),
        ("energy_delay_nj_us", Self::EnergyDelayNjUs),
        ("on_chip_kib", Self::OnChipKib),
        ("area_mm2", Self::AreaMm2),
        ("processing_elements", Self::ProcessingElements),
        ("dram_bytes", Self::DramBytes),
        ("cell_fault_rate", Self::CellFaultRate),
        ("rerr", Self::Rerr),
    ];

    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, objective)| *objective == self).map_or("", |(word, _)| word)
    }

    /// Largest limit that a design space may set.
    pub(crate) const fn limit_max(self) -> f64 {
        match self {
            Self::CellFaultRate | Self::Rerr => 1.0,
            Self::LatencyUs
            | Self::EnergyNj
            | Self::EnergyDelayNjUs
            | Self::OnChipKib
            | Self::AreaMm2
            | Self::ProcessingElements
            | Self::DramBytes => 1e18,
        }
    }

    /// Its value at a point; infinite where the point has none.
    #[must_use]
    pub fn of(self, point: &Point) -> f64 {
        match self {
            Self::LatencyUs => point.latency_us,
            Self::EnergyNj => point.energy_nj,
            Self::EnergyDelayNjUs => point.energy_delay_nj_us,
            Self::OnChipKib => point.on_chip_kib,
            Self::AreaMm2 => point.area_mm2,
            Self::ProcessingElements => point.processing_elements as f64,
            Self::DramBytes => point.dram_bytes as f64,
            Self::CellFaultRate => point.cell_fault_rate,
            Self::Rerr => point.rerr_mean.unwrap_or(f64::INFINITY),
        }
    }
}
