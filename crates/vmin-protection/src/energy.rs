//! What protection does to the energy, time and storage of one inference.
//!
//! ```text
//! weight accesses = N e_ref * n/k * (1 + overheads) * mean over bits of scale(V of the bit)
//! codec           = N * words per access * gates of the decoder * e_gate
//! leakage         = that of the weight memory * stored bits * mean of leakage(V); more time, more of it
//! time            = cycles + folds * stages of the decoder
//! ```

use vmin_accel::cycles::LayerReport;
use vmin_accel::energy::{Action, Components, OperatingPoint, Rail as Supply, per_inference};
use vmin_accel::{Accelerator, Memory, PerMemory, VoltageProfile};

use crate::mechanism::{Price, Shape};
use crate::rails::{Rail, RailCells, banks_on_rail};
use crate::{CostKey, Extent, Protection, ProtectionCosts};

/// Cycles and traffic of a network's layers, and where their weights lie.
#[derive(Clone, Copy, Debug)]
pub struct ProtectedLayers<'a> {
    /// Cycles and traffic.
    pub reports: &'a [LayerReport],
    /// For each of them its place among the layers with weights, counted from 1.
    pub weighted: &'a [Option<usize>],
    /// Banks of each memory that hold something.
    pub banks_used: PerMemory<u32>,
}

/// Energy, time and storage of one inference under protection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProtectedEnergy {
    /// By component; encoders and decoders count to their memory.
    pub by_component: Components,
    /// All components together, in nJ.
    pub total_nj: f64,
    /// Of the memories, encoders and decoders, in nJ.
    pub codec_nj: f64,
    /// Energy of the weight memory's accesses, codec included, over that of the unprotected memory
    /// at the reference voltage.
    pub access_scale: f64,
    /// Extra cells over data cells of each memory: check bits, spare lines, flags.
    pub extra_bits_share: PerMemory<f64>,
    /// Time of one inference.
    pub latency_us: f64,
}

/// One memory with its mechanisms.
struct Protected<'a> {
    memory: Memory,
    protection: &'a Protection,
    costs: &'a ProtectionCosts,
    accelerator: &'a Accelerator,
    rails: Vec<Rail>,
    vdd_mv: f64,
    banks_used: u32,
}

impl Protected<'_> {
    fn prices(&self, code_bits: u8) -> Vec<Price> {
        let shape = shape(self.on_chip(), code_bits);
        let of = self.protection.of(self.memory).iter();
        of.map(|mechanism| mechanism.price(self.costs, shape)).collect()
    }

    fn on_chip(&self) -> &vmin_accel::accelerator::Memory {
        self.accelerator.memories.get(self.memory)
    }

    /// Bits per code of a layer.
    fn code_bits(&self, report: &LayerReport) -> u8 {
        match self.memory {
            Memory::Weight => report.weight_bits,
            Memory::Activation => 8,
            // At most 64.
            Memory::Accumulator => self.accelerator.accumulator_bits as u8,
        }
    }

    /// Supply of the cells' common rail during an access, in mV.
    fn base_mv(&self) -> f64 {
        let of_all = self.rails.iter().filter(|rail| rail.cells == RailCells::All);
        of_all.map(|rail| rail.supply.at(self.vdd_mv)).fold(self.vdd_mv, f64::max)
    }

    /// Mean of `of` (mV to a factor) over the bits of a layer's codes; a bit on several rails counts for
    /// the highest.
    fn mean_over_rails(&self, layer: Option<usize>, bits: u8, of: &dyn Fn(f64) -> f64) -> f64 {
        let vdd_mv = self.vdd_mv;
        let base = self.base_mv();
        let mut common = base;
        let mut top = (0.0, base);
        let mut banks = (0.0, base);
        for Rail { cells, supply, .. } in &self.rails {
            match cells {
                RailCells::All => {}
                RailCells::Layers(layers) => {
                    if layer.is_some_and(|layer| layers.binary_search(&layer).is_ok()) {
                        common = common.max(supply.at(vdd_mv));
                    }
                }
                RailCells::TopBits(safe) => {
                    let share = f64::from((*safe).min(bits)) / f64::from(bits.max(1));
                    top = (share, supply.at(vdd_mv));
                }
                RailCells::WeakestBanks(share) => {
                    let used = self.banks_used.max(1);
                    let raised = f64::from(banks_on_rail(*share, used)) / f64::from(used);
                    banks = (raised, supply.at(vdd_mv));
                }
            }
        }
        let within_bank = |floor: f64| {
            (1.0 - top.0) * of(common.max(floor)) + top.0 * of(common.max(floor).max(top.1))
        };
        (1.0 - banks.0) * within_bank(base) + banks.0 * within_bank(banks.1)
    }
}

const fn shape(on_chip: &vmin_accel::accelerator::Memory, code_bits: u8) -> Shape {
    let vmin_accel::accelerator::Memory { geometry, word_bits, .. } = *on_chip;
    Shape { geometry, word_bits, code_bits }
}

/// Area of the extra cells and gates of a protection over that of the bit cells of all memories, which hold so much.
/// Supplies, boosters and comparators of addresses are not counted.
#[must_use]
pub fn area_share(
    accelerator: &Accelerator,
    protection: &Protection,
    costs: &ProtectionCosts,
    extents: &PerMemory<Extent>,
) -> f64 {
    let bits = Memory::ALL.map(|(_, memory)| accelerator.memories.get(memory).bits() as f64);
    let bits: f64 = bits.iter().sum();
    let extra = protection.iter().map(|(memory, mechanism)| {
        let on_chip = accelerator.memories.get(memory);
        let code_bits = match (extents.get(memory).code_bits, memory) {
            // A memory that makes no errors.
            (0, Memory::Weight | Memory::Activation) => 8,
            (0, Memory::Accumulator) => accelerator.accumulator_bits as u8,
            (code_bits, _) => code_bits,
        };
        let shape = shape(on_chip, code_bits);
        mechanism.price(costs, shape).area_share(costs, shape) * on_chip.bits() as f64
    });
    // Not -0.0 for none.
    extra.fold(0.0, |sum, area| sum + area) / bits
}

const fn component(parts: &mut Components, memory: Memory) -> &mut f64 {
    match memory {
        Memory::Weight => &mut parts.weight_memory_nj,
        Memory::Activation => &mut parts.activation_memory_nj,
        Memory::Accumulator => &mut parts.accumulator_memory_nj,
    }
}

/// Energy of one inference at `point` with its memories under `protection`. Without mechanisms it
/// equals [`per_inference`].
#[must_use]
pub fn protected_energy(
    accelerator: &Accelerator,
    profile: &VoltageProfile,
    layers: ProtectedLayers<'_>,
    protection: &Protection,
    costs: &ProtectionCosts,
    point: &OperatingPoint,
) -> ProtectedEnergy {
    let reports = layers.reports;
    let unprotected = per_inference(accelerator, profile, reports, point);
    let reference_scale = profile.access_energy_scale(profile.v_ref_mv());
    let gate_nj = costs.value(CostKey::GatePerMac) * accelerator.energy.pj(Action::Mac) * 1e-3 * {
        let ratio = point.vdd_mv(Supply::Logic) / profile.v_ref_mv();
        ratio * ratio
    };
    let memories = Memory::ALL.map(|(_, memory)| Protected {
        memory,
        protection,
        costs,
        accelerator,
        rails: protection.rails(memory),
        vdd_mv: point.vdd_mv(memory.rail()),
        banks_used: *layers.banks_used.get(memory),
    });
    let mut by_component = unprotected.by_component;
    let (mut codec_nj, mut codec_cycles) = (0.0, 0.0);
    let mut access_scale =
        profile.access_energy_scale(point.vdd_mv(Memory::Weight.rail())) / reference_scale;
    let with_weights = reports.iter().zip(layers.weighted).filter(|(_, layer)| layer.is_some());
    let widest = with_weights.map(|(report, _)| report.weight_bits).max().unwrap_or(1).max(1);
    let protected = |of: &&Protected<'_>| !protection.of(of.memory).is_empty();
    for of in memories.iter().filter(protected) {
        let nominal = point.with(of.memory.rail(), profile.v_ref_mv());
        let mut reference = per_inference(accelerator, profile, reports, &nominal);
        let on_chip = of.on_chip();
        let (mut accesses_nj, mut own_codec_nj) = (0.0, 0.0);
        let of_layers = reports.iter().zip(&mut reference.layers).zip(layers.weighted);
        for ((report, energy), weighted) in of_layers {
            let at_reference = *component(&mut energy.by_component, of.memory) / reference_scale;
            let code_bits = of.code_bits(report);
            let prices = of.prices(code_bits);
            let sum = |of: fn(&Price) -> f64| prices.iter().map(of).sum::<f64>();
            let rails =
                of.mean_over_rails(*weighted, code_bits, &|mv| profile.access_energy_scale(mv));
            let overheads = 1.0 + sum(|price| price.access_share);
            accesses_nj +=
                at_reference * (1.0 + sum(|price| price.check_share)) * overheads * rails;
            for codec in prices.iter().filter_map(|price| price.codec) {
                let [reads, writes] = report
                    .words(accelerator, of.memory)
                    .map(|words| words as f64 * on_chip.word_bits as f64 / codec.data_bits);
                own_codec_nj +=
                    gate_nj * (reads * codec.decoder_gates + writes * codec.encoder_gates);
                if weighted.is_some() {
                    codec_cycles += report.folds as f64 * codec.cycles;
                }
            }
        }
        *component(&mut by_component, of.memory) = accesses_nj + own_codec_nj;
        codec_nj += own_codec_nj;
        if of.memory == Memory::Weight && reference.by_component.weight_memory_nj > 0.0 {
            access_scale = (accesses_nj + own_codec_nj) / reference.by_component.weight_memory_nj;
        }
    }
    let cycles: f64 = reports.iter().map(|report| report.cycles as f64).sum();
    let slower = if cycles > 0.0 { 1.0 + codec_cycles / cycles } else { 1.0 };
    let latency_us = unprotected.latency_us * slower;
    // Leakage of the protected memories, which protection makes larger.
    let (mut own_leakage, mut leakage_nj) = (0.0, 0.0);
    let mut extra_bits_share = PerMemory::<f64>::default();
    let weighted = layers.weighted.iter().find_map(|layer| *layer);
    for of in &memories {
        let code_bits = match of.memory {
            Memory::Weight => widest,
            Memory::Activation => 8,
            Memory::Accumulator => accelerator.accumulator_bits as u8,
        };
        let extra = of
            .prices(code_bits)
            .iter()
            .fold(0.0, |share, price| share + (price.idle_share + price.check_share));
        *extra_bits_share.get_mut(of.memory) = extra;
        if !protected(&of) {
            continue;
        }
        let on_chip = of.on_chip();
        let kib = on_chip.bits() as f64 / 8192.0;
        let leaks_nj =
            |scale: f64, time_us: f64| on_chip.leakage_uw_per_kib * kib * time_us * scale * 1e-3;
        own_leakage += leaks_nj(profile.leakage_scale(of.vdd_mv), unprotected.latency_us);
        // A boost is off between accesses.
        let boosts = of.rails.iter().filter(|rail| rail.accesses_only);
        let boosted = boosts.fold(of.vdd_mv, |mv, rail| mv.max(rail.supply.at(of.vdd_mv)));
        let still = |mv: f64| profile.leakage_scale(mv - (boosted - of.vdd_mv));
        let rails = of.mean_over_rails(weighted, code_bits, &still);
        leakage_nj += leaks_nj(rails * (1.0 + extra), latency_us);
    }
    by_component.leakage_nj =
        (unprotected.by_component.leakage_nj - own_leakage) * slower + leakage_nj;
    ProtectedEnergy {
        by_component,
        total_nj: by_component.total_nj(),
        codec_nj,
        access_scale,
        extra_bits_share,
        latency_us,
    }
}
