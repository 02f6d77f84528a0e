//! What protection does to the energy, time and storage of one inference.
//!
//! ```text
//! weight accesses = N e_ref * n/k * (1 + overheads) * mean over bits of scale(V of the bit)
//! codec           = N * words per access * gates of the decoder * e_gate
//! leakage         = that of the weight memory * stored bits * mean of leakage(V); more time, more of it
//! time            = cycles + folds * stages of the decoder
//! ```

use serde::Serialize;
use vmin_sram::protection::{Secded, WordCode};

use super::{CostKey, Mechanism, Protection, ProtectionCosts};
use crate::cycles::LayerReport;
use crate::energy::{Action, Components, EnergyReport, OperatingPoint, Rail, per_inference};
use crate::{Accelerator, VoltageProfile};

/// Cycles and traffic of a network's layers, and where their weights lie.
#[derive(Clone, Copy, Debug)]
pub struct ProtectedLayers<'a> {
    /// Cycles and traffic.
    pub reports: &'a [LayerReport],
    /// For each of them its place among the layers with weights, counted from 1.
    pub weighted: &'a [Option<usize>],
    /// Banks that hold weights.
    pub banks_used: u32,
}

/// Energy, time and storage of one inference under protection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ProtectedEnergy {
    /// By component; encoders and decoders count to the weight memory.
    pub by_component: Components,
    /// All components together, in nJ.
    pub total_nj: f64,
    /// Of the weight memory, encoders and decoders, in nJ.
    pub codec_nj: f64,
    /// Energy of the weight memory's accesses, codec included, over that of the unprotected memory
    /// at the reference voltage.
    pub access_scale: f64,
    /// Extra cells over data cells: check bits and spare lines.
    pub extra_bits_share: f64,
    /// Time of one inference.
    pub latency_us: f64,
}

/// Gates and stages of what stands between cells and array, per word.
struct Codec {
    data_bits: f64,
    check_share: f64,
    encoder_gates: f64,
    decoder_gates: f64,
    cycles: CostKey,
}

impl Codec {
    fn of(mechanism: &Mechanism, code_bits: u8) -> Option<Self> {
        match *mechanism {
            Mechanism::Parity { data_bits } => {
                let k = f64::from(data_bits.unwrap_or(code_bits.into()));
                Some(Self {
                    data_bits: k,
                    check_share: 1.0 / k,
                    encoder_gates: k - 1.0,
                    // The tree, then a gate per bit that clears it.
                    decoder_gates: k + k,
                    cycles: CostKey::DetectCycles,
                })
            }
            Mechanism::Secded { data_bits, .. } => {
                let code = Secded::new(data_bits).ok()?;
                let (k, r) = (f64::from(data_bits), f64::from(code.check_bits()));
                let encoder_gates = f64::from(code.encoder_xors());
                Some(Self {
                    data_bits: k,
                    check_share: r / k,
                    encoder_gates,
                    // The syndrome, a match of r bits and an inversion per data bit.
                    decoder_gates: encoder_gates + r + k * (r - 1.0) + k,
                    cycles: CostKey::CorrectCycles,
                })
            }
            // A gate per bit that masks it; no word, so counted as one of a code.
            Mechanism::DetectingRead { .. } => Some(Self {
                data_bits: code_bits.into(),
                check_share: 0.0,
                encoder_gates: 0.0,
                decoder_gates: 2.0 * f64::from(code_bits),
                cycles: CostKey::DetectCycles,
            }),
            _ => None,
        }
    }
}

/// Energy of one inference at `point` with the weight memory under `protection`. Without mechanisms it
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
    let vdd_mv = point.vdd_mv(Rail::Weight);
    let reports = layers.reports;
    let unprotected = per_inference(accelerator, profile, reports, point);
    let nominal = point.with(Rail::Weight, profile.v_ref_mv());
    let reference = per_inference(accelerator, profile, reports, &nominal);
    let memory = &accelerator.memories.weight;
    let reference_scale = profile.access_energy_scale(profile.v_ref_mv());
    let gate_nj = costs.value(CostKey::GatePerMac) * accelerator.energy.pj(Action::Mac) * 1e-3 * {
        let ratio = point.vdd_mv(Rail::Logic) / profile.v_ref_mv();
        ratio * ratio
    };
    let (mut accesses_nj, mut codec_nj, mut codec_cycles) = (0.0, 0.0, 0.0);
    let mut widest = 1;
    for ((report, energy), weighted) in reports.iter().zip(&reference.layers).zip(layers.weighted) {
        let at_reference = energy.by_component.weight_memory_nj / reference_scale;
        let bits = report.weight_bits;
        let scale = |of: &dyn Fn(f64) -> f64| {
            mean_over_rails(protection, layers.banks_used, *weighted, bits, vdd_mv, of)
        };
        let codec = protection.mechanisms().iter().find_map(|m| Codec::of(m, bits));
        let check_share = codec.as_ref().map_or(0.0, |codec| codec.check_share);
        let overheads = overheads(protection, costs);
        let rails = scale(&|mv| profile.access_energy_scale(mv));
        accesses_nj += at_reference * (1.0 + check_share) * overheads * rails;
        if let Some(codec) = codec {
            let words = |elements: u64| {
                memory.words(elements, bits.into()) as f64 * memory.word_bits as f64
                    / codec.data_bits
            };
            codec_nj += gate_nj
                * (words(report.sram_reads_filter) * codec.decoder_gates
                    + words(report.sram_writes_filter.unwrap_or(0)) * codec.encoder_gates);
            if weighted.is_some() {
                codec_cycles += report.folds as f64 * costs.value(codec.cycles);
            }
        }
        if weighted.is_some() {
            widest = widest.max(bits);
        }
    }
    let cycles: f64 = reports.iter().map(|report| report.cycles as f64).sum();
    let slower = if cycles > 0.0 { 1.0 + codec_cycles / cycles } else { 1.0 };
    let latency_us = unprotected.latency_us * slower;
    let extra_bits_share = extra_bits_share(accelerator, protection, widest);
    // Leakage of the weight memory alone, which protection makes larger.
    let kib = memory.bits() as f64 / 8192.0;
    let leaks_nj =
        |scale: f64, time_us: f64| memory.leakage_uw_per_kib * kib * time_us * scale * 1e-3;
    let own_leakage = leaks_nj(profile.leakage_scale(vdd_mv), unprotected.latency_us);
    // Between accesses the boost is off.
    let still = |mv: f64| profile.leakage_scale(mv - (protection.base_mv(vdd_mv) - vdd_mv));
    let weighted = layers.weighted.iter().find_map(|layer| *layer);
    let rails = mean_over_rails(protection, layers.banks_used, weighted, widest, vdd_mv, &still);
    let leakage_nj = (unprotected.by_component.leakage_nj - own_leakage) * slower
        + leaks_nj(rails * (1.0 + extra_bits_share), latency_us);
    let by_component = Components {
        weight_memory_nj: accesses_nj + codec_nj,
        leakage_nj,
        ..unprotected.by_component
    };
    ProtectedEnergy {
        by_component,
        total_nj: by_component.total_nj(),
        codec_nj,
        access_scale: access_scale(&reference, accesses_nj + codec_nj),
        extra_bits_share,
        latency_us,
    }
}

fn access_scale(reference: &EnergyReport, weight_memory_nj: f64) -> f64 {
    let whole = reference.by_component.weight_memory_nj;
    if whole > 0.0 { weight_memory_nj / whole } else { 1.0 }
}

/// `1 +` what mechanisms add to an access beyond bits, voltage and gates.
fn overheads(protection: &Protection, costs: &ProtectionCosts) -> f64 {
    let shares = protection.mechanisms().iter().map(|mechanism| match mechanism {
        Mechanism::Boost { .. } => costs.value(CostKey::BoosterShare),
        Mechanism::SafeBits { .. } | Mechanism::LayerRail { .. } | Mechanism::BankRail { .. } => {
            costs.value(CostKey::SecondRailShare)
        }
        Mechanism::Spares { .. } => costs.value(CostKey::SpareCompareShare),
        Mechanism::DetectingRead { .. } => costs.value(CostKey::DetectingReadShare),
        Mechanism::Parity { .. } | Mechanism::Secded { .. } => 0.0,
    });
    1.0 + shares.sum::<f64>()
}

/// Mean of `of` (mV to a factor) over the bits of a layer's codes; a bit on several rails counts for
/// the highest.
fn mean_over_rails(
    protection: &Protection,
    banks_used: u32,
    layer: Option<usize>,
    bits: u8,
    vdd_mv: f64,
    of: &dyn Fn(f64) -> f64,
) -> f64 {
    let mut common = protection.base_mv(vdd_mv);
    let base = common;
    let mut top = (0.0, base);
    let mut banks = (0.0, base);
    for mechanism in protection.mechanisms() {
        match mechanism {
            Mechanism::LayerRail { layers, supply }
                if layer.is_some_and(|layer| layers.binary_search(&layer).is_ok()) =>
            {
                common = common.max(supply.at(vdd_mv));
            }
            Mechanism::SafeBits { bits: safe, supply } => {
                top = (f64::from((*safe).min(bits)) / f64::from(bits.max(1)), supply.at(vdd_mv));
            }
            Mechanism::BankRail { share, supply } => {
                let used = f64::from(banks_used.max(1));
                banks = ((share * used).ceil().min(used) / used, supply.at(vdd_mv));
            }
            _ => {}
        }
    }
    let within_bank = |floor: f64| {
        (1.0 - top.0) * of(common.max(floor)) + top.0 * of(common.max(floor).max(top.1))
    };
    (1.0 - banks.0) * within_bank(base) + banks.0 * within_bank(banks.1)
}

/// Check bits and spare cells over data cells.
fn extra_bits_share(accelerator: &Accelerator, protection: &Protection, code_bits: u8) -> f64 {
    let geometry = accelerator.memories.weight.geometry;
    let (rows, columns) = (f64::from(geometry.rows()), f64::from(geometry.columns()));
    let mut share = 0.0;
    for mechanism in protection.mechanisms() {
        share += match mechanism {
            Mechanism::Spares { rows: r, columns: c, .. } => {
                f64::from(*r) / rows + f64::from(*c) / columns
            }
            other => Codec::of(other, code_bits).map_or(0.0, |codec| codec.check_share),
        };
    }
    share
}
