//! Energy of one inference, per layer and component.

use serde::Serialize;

use super::{Action, Clock, OperatingPoint, Rail};
use crate::accelerator::Memory;
use crate::cycles::LayerReport;
use crate::{Accelerator, VoltageProfile};

/// Energy by component, in nJ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Components {
    /// Multiply-accumulates.
    pub mac_nj: f64,
    /// Vector unit.
    pub vector_nj: f64,
    /// Accesses of the weight memory.
    pub weight_memory_nj: f64,
    /// Accesses of the activation memory.
    pub activation_memory_nj: f64,
    /// Accesses of the accumulator memory.
    pub accumulator_memory_nj: f64,
    /// DRAM.
    pub dram_nj: f64,
    /// Leakage of the memories and the array.
    pub leakage_nj: f64,
    /// Registers between the processing elements.
    pub registers_nj: f64,
}

impl Components {
    /// Every component with its name, in the order of tables.
    #[must_use]
    pub const fn list(&self) -> [(&'static str, f64); 8] {
        [
            ("mac", self.mac_nj),
            ("registers", self.registers_nj),
            ("vector", self.vector_nj),
            ("weight_memory", self.weight_memory_nj),
            ("activation_memory", self.activation_memory_nj),
            ("accumulator_memory", self.accumulator_memory_nj),
            ("dram", self.dram_nj),
            ("leakage", self.leakage_nj),
        ]
    }

    /// Their sum.
    #[must_use]
    pub fn total_nj(&self) -> f64 {
        self.list().iter().map(|(_, nj)| nj).sum()
    }

    /// Accesses of the three memories, without leakage.
    #[must_use]
    pub fn memory_access_nj(&self) -> f64 {
        self.weight_memory_nj + self.activation_memory_nj + self.accumulator_memory_nj
    }

    fn add(&mut self, other: &Self) {
        self.mac_nj += other.mac_nj;
        self.vector_nj += other.vector_nj;
        self.weight_memory_nj += other.weight_memory_nj;
        self.activation_memory_nj += other.activation_memory_nj;
        self.accumulator_memory_nj += other.accumulator_memory_nj;
        self.dram_nj += other.dram_nj;
        self.leakage_nj += other.leakage_nj;
        self.registers_nj += other.registers_nj;
    }
}

/// Energy that each supply delivers, in nJ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct ByRail {
    /// Array and vector unit.
    pub logic_nj: f64,
    /// Components on the weight memory's supply.
    pub weight_nj: f64,
    /// Components on the activation memory's supply.
    pub activation_nj: f64,
    /// Components on the accumulator memory's supply.
    pub accumulator_nj: f64,
    /// DRAM and its interface.
    pub io_nj: f64,
}

impl ByRail {
    /// Every rail with its name, in the order of [`Rail::ALL`].
    #[must_use]
    pub const fn list(&self) -> [(&'static str, f64); 5] {
        [
            ("logic", self.logic_nj),
            ("weight", self.weight_nj),
            ("activation", self.activation_nj),
            ("accumulator", self.accumulator_nj),
            ("io", self.io_nj),
        ]
    }

    fn of(&mut self, rail: Rail) -> &mut f64 {
        match rail {
            Rail::Logic => &mut self.logic_nj,
            Rail::Weight => &mut self.weight_nj,
            Rail::Activation => &mut self.activation_nj,
            Rail::Accumulator => &mut self.accumulator_nj,
            Rail::Io => &mut self.io_nj,
        }
    }
}

/// Energy of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct LayerEnergy {
    /// The layer's name.
    pub name: String,
    /// All components together.
    pub total_nj: f64,
    /// By component.
    pub by_component: Components,
}

/// Energy and time of one inference at an operating point.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct EnergyReport {
    /// Per layer, in order.
    pub layers: Vec<LayerEnergy>,
    /// All layers and components together.
    pub total_nj: f64,
    /// By component.
    pub by_component: Components,
    /// By supply, leakage included.
    pub by_rail: ByRail,
    /// Time of one inference.
    pub latency_us: f64,
    /// Caveats about the numbers.
    pub notes: Vec<String>,
}

/// Shares of energy saved against another operating point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct Saving {
    /// Of the whole inference: `1 - E(V) / E(nominal)`.
    pub total: f64,
    /// Of the accesses of the three on-chip memories alone, without leakage.
    pub memory: f64,
    /// Of the accesses of the weight memory alone.
    pub weight_memory: f64,
}

/// Energy and time of one inference.
///
/// Below the reference voltage the clock slows down as the profile says, unless the operating point
/// holds it fixed; cycles spent waiting for DRAM are not shortened by that, so the time is an upper
/// bound.
#[must_use]
pub fn per_inference(
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    layers: &[LayerReport],
    point: &OperatingPoint,
) -> EnergyReport {
    let clock_mhz = accelerator.clock_mhz * clock_scale(accelerator, profile, point);
    let mut by_component = Components::default();
    let mut by_rail = ByRail::default();
    let mut latency_us = 0.0;
    let layers_energy: Vec<LayerEnergy> = layers
        .iter()
        .map(|layer| {
            let time_us = layer.cycles as f64 / clock_mhz;
            latency_us += time_us;
            let mut components = layer_energy(accelerator, profile, layer, point);
            let leakage = leakage(accelerator, profile, point, time_us);
            components.leakage_nj = leakage.iter().map(|(_, nj)| nj).sum();
            for (rail, nj) in delivered(accelerator, &components).into_iter().chain(leakage) {
                *by_rail.of(rail) += nj;
            }
            by_component.add(&components);
            LayerEnergy {
                name: layer.name.clone(),
                total_nj: components.total_nj(),
                by_component: components,
            }
        })
        .collect();
    let mut notes = super::notes(accelerator, profile, point);
    let uncounted = || layers.iter().filter(|layer| layer.dram_reads_ifmap.is_none());
    if let Some(first) = uncounted().next() {
        notes.push(format!(
            "the cycle model counts no DRAM traffic of {} of {} layers (first `{}`); its energy is missing \
             (use the causal model)",
            uncounted().count(),
            layers.len(),
            first.name
        ));
    }
    let total_nj = by_component.total_nj();
    EnergyReport { layers: layers_energy, total_nj, by_component, by_rail, latency_us, notes }
}

/// Energy that `report` saves relative to `nominal`; 0 where `nominal` has none.
#[must_use]
pub fn saving(nominal: &EnergyReport, report: &EnergyReport) -> Saving {
    let share = |before: f64, after: f64| if before > 0.0 { 1.0 - after / before } else { 0.0 };
    let (before, after) = (&nominal.by_component, &report.by_component);
    Saving {
        total: share(nominal.total_nj, report.total_nj),
        memory: share(before.memory_access_nj(), after.memory_access_nj()),
        weight_memory: share(before.weight_memory_nj, after.weight_memory_nj),
    }
}

/// The clock relative to that of the accelerator's file.
pub(super) fn clock_scale(
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    point: &OperatingPoint,
) -> f64 {
    let memories = &accelerator.memories;
    match point.clock {
        Clock::Fixed => 1.0,
        Clock::FollowsVoltage => [&memories.weight, &memories.activation, &memories.accumulator]
            .into_iter()
            .map(|memory| memory.rail)
            .chain([Rail::Logic])
            .map(|rail| profile.f_max_scale(point.vdd_mv(rail)))
            // A rail above its reference voltage does not speed the array up.
            .fold(1.0, f64::min),
    }
}

/// The supply of each component, without leakage.
fn delivered(accelerator: &Accelerator, components: &Components) -> [(Rail, f64); 5] {
    let memories = &accelerator.memories;
    [
        (Rail::Logic, components.mac_nj + components.registers_nj + components.vector_nj),
        (memories.weight.rail, components.weight_memory_nj),
        (memories.activation.rail, components.activation_memory_nj),
        (memories.accumulator.rail, components.accumulator_memory_nj),
        (Rail::Io, components.dram_nj),
    ]
}

/// Leakage during `time_us`, by supply.
fn leakage(
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    point: &OperatingPoint,
    time_us: f64,
) -> [(Rail, f64); 4] {
    // 1 uW for 1 us is 1 pJ.
    let nj = |rail: Rail, microwatts: f64| {
        (rail, microwatts * time_us * profile.leakage_scale(point.vdd_mv(rail)) * 1e-3)
    };
    let of_memory = |memory: &Memory| nj(memory.rail, memory_leakage_uw(memory));
    let memories = &accelerator.memories;
    let array = accelerator.leakage_uw_per_pe * accelerator.array.elements() as f64;
    [
        of_memory(&memories.weight),
        of_memory(&memories.activation),
        of_memory(&memories.accumulator),
        nj(Rail::Logic, array),
    ]
}

/// Energy of one layer at the reference voltage, leakage of so many cycles included.
pub(crate) fn reference_nj(accelerator: &Accelerator, layer: &LayerReport, cycles: u64) -> f64 {
    let memories = &accelerator.memories;
    let microwatts: f64 = [&memories.weight, &memories.activation, &memories.accumulator]
        .into_iter()
        .map(memory_leakage_uw)
        .sum::<f64>()
        + accelerator.leakage_uw_per_pe * accelerator.array.elements() as f64;
    let time_us = cycles as f64 / accelerator.clock_mhz;
    at_reference(accelerator, layer).total_nj() + microwatts * time_us * 1e-3
}

fn memory_leakage_uw(memory: &Memory) -> f64 {
    memory.leakage_uw_per_kib * (memory.bits() as f64 / 8192.0)
}

/// Energy of one layer without leakage.
fn layer_energy(
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    layer: &LayerReport,
    point: &OperatingPoint,
) -> Components {
    let memories = &accelerator.memories;
    let logic = profile.dynamic_scale(point.vdd_mv(Rail::Logic));
    let access = |memory: &Memory| profile.access_energy_scale(point.vdd_mv(memory.rail));
    let reference = at_reference(accelerator, layer);
    Components {
        mac_nj: reference.mac_nj * logic,
        vector_nj: reference.vector_nj * logic,
        registers_nj: reference.registers_nj * logic,
        weight_memory_nj: reference.weight_memory_nj * access(&memories.weight),
        activation_memory_nj: reference.activation_memory_nj * access(&memories.activation),
        accumulator_memory_nj: reference.accumulator_memory_nj * access(&memories.accumulator),
        ..reference
    }
}

/// Energy of one layer at the reference voltage, without leakage.
fn at_reference(accelerator: &Accelerator, layer: &LayerReport) -> Components {
    let table = &accelerator.energy;
    let nj = |action: Action, count: u64| count as f64 * table.pj(action) * 1e-3;
    let accesses = |memory: crate::Memory, read: Action, write: Action| {
        let [reads, writes] = layer.words(accelerator, memory);
        nj(read, reads) + nj(write, writes)
    };
    Components {
        mac_nj: nj(Action::Mac, layer.macs),
        vector_nj: nj(Action::VectorOperation, layer.vector_operations),
        weight_memory_nj: accesses(crate::Memory::Weight, Action::WeightRead, Action::WeightWrite),
        activation_memory_nj: accesses(
            crate::Memory::Activation,
            Action::ActivationRead,
            Action::ActivationWrite,
        ),
        accumulator_memory_nj: accesses(
            crate::Memory::Accumulator,
            Action::AccumulatorRead,
            Action::AccumulatorWrite,
        ),
        dram_nj: nj(
            Action::DramByte,
            layer.dram_bytes_read.saturating_add(layer.dram_bytes_written),
        ),
        registers_nj: nj(Action::RegisterBit, layer.register_bits),
        leakage_nj: 0.0,
    }
}
