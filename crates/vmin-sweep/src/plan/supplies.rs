//! Supply voltages as cell-fault rates and thresholds.

use vmin_accel::energy::{Components, OperatingPoint, Rail};
use vmin_accel::{Memory, MemoryAt, PerMemory, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Located};
use vmin_protection::Noise;

use super::measured;
use crate::chip_file::ChipFile;
use crate::experiment::{Memories, Supply};

/// How often cells fail at a voltage.
#[derive(Clone, Copy)]
pub(super) struct Rates<'a> {
    pub(super) profile: &'a VoltageProfile,
    pub(super) chip_files: &'a [ChipFile],
    /// Rates that were asked for in place of the swept voltages.
    pub(super) asked: &'a [Located<f64>],
    pub(super) read_noise_mv: Option<f64>,
}

impl Rates<'_> {
    /// True if thresholds decide about cells, not measurements.
    pub(super) const fn has_thresholds(&self) -> bool {
        self.chip_files.is_empty()
    }

    /// A memory at a voltage; `swept` is its number among the swept voltages, if it is one.
    pub(super) fn at(
        &self,
        vdd_mv: f64,
        swept: Option<usize>,
        noise: Noise,
    ) -> Result<MemoryAt, Box<Diagnostic>> {
        if let Some(problem) = measured::not_measured(vdd_mv, self.chip_files) {
            return Err(Box::new(problem));
        }
        if let (Noise::OfTest(_), true) = (noise, self.has_thresholds()) {
            self.profile.check(vdd_mv)?;
        }
        // A rate in the experiment is exact; its voltage is rounded for tables.
        let asked = swept.and_then(|index| self.asked.get(index)).map(|rate| rate.value);
        let rate = asked.unwrap_or_else(|| match self.chip_files {
            [] => self.profile.cell_fault_rate(vdd_mv),
            files => measured::cell_fault_rate(files, vdd_mv),
        });
        let noise =
            noise.mv(self.read_noise_mv).map(|noise| self.profile.read_noise(vdd_mv, noise));
        Ok(MemoryAt { noise, ..MemoryAt::new(vdd_mv, rate) })
    }
}

/// The supplies of an accelerator's memories where the swept voltage is `vdd_mv`.
pub(super) fn operating_point(
    profile: &VoltageProfile,
    memories: &Memories,
    vdd_mv: f64,
) -> OperatingPoint {
    let nominal = OperatingPoint::nominal(profile);
    let nominal = if memories.logic_swept { nominal.with(Rail::Logic, vdd_mv) } else { nominal };
    memories.supplies.iter().fold(nominal, |point, (memory, supply)| match supply {
        Supply::Nominal => point,
        Supply::Swept => point.with(memory.rail(), vdd_mv),
        Supply::Fixed(fixed) => point.with(memory.rail(), fixed.value),
    })
}

/// Energy of the accesses of some memories.
pub(super) fn accesses_nj(parts: &Components, of: impl Fn(Memory) -> bool) -> f64 {
    let all = PerMemory {
        weight: parts.weight_memory_nj,
        activation: parts.activation_memory_nj,
        accumulator: parts.accumulator_memory_nj,
    };
    all.iter().filter(|(memory, _)| of(*memory)).map(|(_, nj)| nj).sum()
}
