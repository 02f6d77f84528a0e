//! The voltages of a plan: which cells fail in which memory, and what an inference costs there.

use vmin_accel::cycles::LayerReport;
use vmin_accel::energy::{self, Components, EnergyReport, OperatingPoint};
use vmin_accel::{Accelerator, VoltageProfile};
use vmin_sram::Threshold;

use super::measured;
use crate::buffers::{Supplies, supplies};
use crate::chip_file::ChipFile;
use crate::experiment::{Experiment, Memories, Memory, Supply};
use crate::results::PointCost;

/// One memory at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryAt {
    /// Its supply, in mV.
    pub vdd_mv: f64,
    /// Share of its cells that are faulty there.
    pub cell_fault_rate: f64,
    /// The voltage as the integer that decides which cells fail.
    pub threshold: Threshold,
}

/// One voltage of the plan.
#[derive(Clone, Debug)]
pub struct PlanPoint {
    /// Rates and energies at that voltage.
    pub cost: PointCost,
    memories: Supplies,
}

impl PlanPoint {
    /// A memory at this point; none if it makes no errors.
    #[must_use]
    pub const fn memory(&self, memory: Memory) -> Option<&MemoryAt> {
        self.memories[memory.number() as usize].as_ref()
    }

    /// All memories at this point.
    pub(crate) const fn supplies(&self) -> &Supplies {
        &self.memories
    }
}

/// The points of an experiment, beside the energies of the nominal voltage.
pub(super) fn points(
    experiment: &Experiment,
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    layers: &[LayerReport],
    nominal: &EnergyReport,
    chip_files: &[ChipFile],
) -> Vec<PlanPoint> {
    let memories = &experiment.memories;
    let rate_at = |vdd_mv| match chip_files {
        [] => profile.cell_fault_rate(vdd_mv),
        _ => measured::cell_fault_rate(chip_files, vdd_mv),
    };
    let rates = experiment.vdd_mv.iter().enumerate().map(|(index, vdd_mv)| {
        // A rate that was asked for decides itself, not the voltage that stands for it.
        let rate = experiment.rates.get(index).map(|rate| rate.value);
        (vdd_mv.value, rate.unwrap_or_else(|| rate_at(vdd_mv.value)))
    });
    rates
        .map(|(vdd_mv, rate)| {
            let at = supplies(experiment, memory_at(vdd_mv, rate), |mv| memory_at(mv, rate_at(mv)));
            let point = operating_point(profile, &at);
            let energy = energy::per_inference(accelerator, profile, layers, &point);
            let parts = &energy.by_component;
            let cost = PointCost {
                vdd_mv,
                cell_fault_rate: rate,
                weight_vdd_mv: (memories.weight != Supply::Swept).then(|| {
                    at[Memory::Weight.number() as usize]
                        .map_or_else(|| profile.v_ref_mv(), |at| at.vdd_mv)
                }),
                activation: at[Memory::Activation.number() as usize],
                accumulator: at[Memory::Accumulator.number() as usize],
                energy_per_inference_nj: energy.total_nj,
                energy_weight_memory_nj: parts.weight_memory_nj,
                energy_other_memories_nj: parts.activation_memory_nj + parts.accumulator_memory_nj,
                energy_compute_nj: parts.mac_nj + parts.registers_nj + parts.vector_nj,
                energy_dram_nj: parts.dram_nj,
                energy_leakage_nj: parts.leakage_nj,
                energy_saving: 1.0 - energy.total_nj / nominal.total_nj,
                memory_energy_saving: if memories.weights_alone() {
                    1.0 - profile.access_energy_scale(vdd_mv)
                } else {
                    saving(
                        accesses_nj(memories, parts),
                        accesses_nj(memories, &nominal.by_component),
                    )
                },
                latency_us: energy.latency_us,
            };
            PlanPoint { cost, memories: at }
        })
        .collect()
}

/// The rails of the memories at their supplies, all others nominal.
pub(crate) fn operating_point(profile: &VoltageProfile, supplies: &Supplies) -> OperatingPoint {
    let nominal = OperatingPoint::nominal(profile);
    Memory::ALL.iter().zip(supplies).fold(nominal, |point, (memory, at)| match at {
        Some(at) => point.with(memory.rail(), at.vdd_mv),
        None => point,
    })
}

/// A memory at a voltage where this share of its cells is faulty.
pub(crate) fn memory_at(vdd_mv: f64, cell_fault_rate: f64) -> MemoryAt {
    let threshold = Threshold::from_rate(cell_fault_rate).unwrap_or(Threshold::ALWAYS);
    MemoryAt { vdd_mv, cell_fault_rate, threshold }
}

/// Share of `nominal_nj` saved; none where there is nothing to save.
fn saving(nj: f64, nominal_nj: f64) -> f64 {
    if nominal_nj > 0.0 { 1.0 - nj / nominal_nj } else { 0.0 }
}

/// Accesses of the memories that are not nominal.
pub(crate) fn accesses_nj(memories: &Memories, parts: &Components) -> f64 {
    let of = |memory: &Memory| match memory {
        Memory::Weight => parts.weight_memory_nj,
        Memory::Activation => parts.activation_memory_nj,
        Memory::Accumulator => parts.accumulator_memory_nj,
    };
    let lowered = Memory::ALL.iter().filter(|&&memory| *memories.supply(memory) != Supply::Nominal);
    lowered.map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::saving;

    #[test]
    fn nothing_saves_nothing() {
        assert_eq!(saving(3.0, 4.0), 0.25);
        assert_eq!(saving(0.0, 0.0), 0.0, "a number, as JSON has no other");
    }
}
