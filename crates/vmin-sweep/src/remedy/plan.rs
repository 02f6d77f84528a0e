//! Remedies with every name resolved and their costs known.

use std::ops::Range;

use vmin_accel::cycles::{self, LayerReport, Residence};
use vmin_accel::protection::{ProtectedLayers, protected_energy};
use vmin_accel::{
    Accelerator, Protection, ProtectionCosts, ResidentPlacement, Schedule, VoltageProfile,
};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source};
use vmin_emulator::ProtectedMemory;
use vmin_nn::Graph;

use super::Remedy;

/// One voltage of a remedy.
#[derive(Clone, Debug)]
pub struct RemedyPoint {
    /// Supply of the weight memory, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells by the profile on the common rail during an access.
    pub cell_fault_rate: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Of it, accesses of the weight memory, encoders and decoders included.
    pub energy_weight_memory_nj: f64,
    /// Of it, encoders and decoders.
    pub energy_codec_nj: f64,
    /// Energy of the weight memory's accesses over those of the experiment's network unprotected at
    /// the nominal voltage.
    pub access_scale: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
}

/// A resolved remedy.
#[derive(Clone, Debug)]
pub struct PlannedRemedy {
    /// Its name.
    pub name: String,
    /// Name of its network.
    pub model: String,
    /// Its network, if it has one of its own.
    pub graph: Option<Graph>,
    /// SHA-256 of that network.
    pub model_sha256: Option<String>,
    /// Where its codes lie.
    pub placement: ResidentPlacement,
    /// Its protection.
    pub protection: Protection,
    /// Extra cells over data cells.
    pub extra_bits_share: f64,
    /// Voltages, falling.
    pub points: Vec<RemedyPoint>,
    /// Index of its first point among all points of the plan.
    pub first_point: u32,
    /// Bits of codes it stores.
    pub stored_bits: u64,
}

/// What all remedies share.
pub(crate) struct Shared<'a> {
    pub(crate) source: &'a Source,
    pub(crate) graph: &'a Graph,
    pub(crate) model: &'a str,
    pub(crate) accelerator: &'a Accelerator,
    pub(crate) profile: &'a VoltageProfile,
    pub(crate) costs: &'a ProtectionCosts,
    pub(crate) vdd_mv: &'a [Located<f64>],
    /// Energy of the weight memory's accesses without protection at the nominal voltage, in nJ.
    pub(crate) nominal_weight_memory_nj: f64,
}

/// Resolves all remedies; `own` loads the network of a remedy that names one.
pub(crate) fn plan_remedies(
    shared: &Shared<'_>,
    remedies: &[Remedy],
    first_point: usize,
    own: impl Fn(&Remedy) -> Result<Option<(Graph, String)>, Diagnostics>,
) -> Result<Vec<PlannedRemedy>, Diagnostics> {
    let mut planned = Vec::new();
    let mut problems = Vec::new();
    let mut next_point = first_point;
    for remedy in remedies {
        match own(remedy).and_then(|graph| plan_one(shared, remedy, graph, next_point)) {
            Ok(one) => {
                next_point += one.points.len();
                planned.push(one);
            }
            Err(found) => problems.extend(found.into_list()),
        }
    }
    Diagnostics::from_list(problems).map_or(Ok(planned), Err)
}

fn plan_one(
    shared: &Shared<'_>,
    remedy: &Remedy,
    own: Option<(Graph, String)>,
    first_point: usize,
) -> Result<PlannedRemedy, Diagnostics> {
    let at = |span: &Range<usize>, code, message: String| {
        Diagnostics::from(Diagnostic::new(code, message).at(shared.source, span.clone()))
    };
    let name_span = remedy.model.as_ref().map_or(&remedy.name.span, |model| &model.span);
    let (graph, model_sha256) = own.unzip();
    let network = graph.as_ref().unwrap_or(shared.graph);
    let sizes = network.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let placement = ResidentPlacement::new(shared.accelerator, sizes)
        .map_err(|error| at(name_span, "placement", error.to_string()))?;
    let word_bits = shared.accelerator.memories.weight.word_bits;
    let protection = remedy.protection.clone();
    let memory = ProtectedMemory::new(network, &placement, protection.clone(), word_bits)
        .map_err(|error| at(&remedy.protection_span, "protection", error.to_string()))?;
    let (reports, weighted) =
        layers(shared.accelerator, network).map_err(|error| at(name_span, "model", error))?;
    let vdd_mv = remedy.vdd_mv.as_deref().unwrap_or(shared.vdd_mv);
    let range = shared.profile.vdd_mv_range();
    for vdd in vdd_mv {
        if !range.contains(&vdd.value) {
            let profile = shared.profile.name();
            let message = format!("profile `{profile}` does not reach {} mV", vdd.value);
            return Err(Diagnostic::new("out-of-range", message)
                .at(shared.source, vdd.span.clone())
                .allowed(format!("expected {} to {} mV", range.start(), range.end()))
                .into());
        }
        if memory.floor(shared.profile, vdd.value) < vmin_sram::Threshold::HALF {
            let message = format!(
                "remedy `{}` needs cells at a voltage where more than half of them are faulty, \
                 which cannot be emulated",
                remedy.name.value
            );
            return Err(at(&vdd.span, "out-of-range", message));
        }
    }
    let own_layers =
        ProtectedLayers { reports: &reports, weighted: &weighted, banks_used: memory.banks_used() };
    let mut extra_bits_share = 0.0;
    let points = vdd_mv
        .iter()
        .map(|vdd| {
            let energy = protected_energy(
                shared.accelerator,
                shared.profile,
                own_layers,
                &protection,
                shared.costs,
                vdd.value,
            );
            extra_bits_share = energy.extra_bits_share;
            let weight_memory_nj = energy.by_component.weight_memory_nj;
            let whole = shared.nominal_weight_memory_nj;
            RemedyPoint {
                vdd_mv: vdd.value,
                cell_fault_rate: shared.profile.cell_fault_rate(protection.base_mv(vdd.value)),
                energy_per_inference_nj: energy.total_nj,
                energy_weight_memory_nj: weight_memory_nj,
                energy_codec_nj: energy.codec_nj,
                access_scale: if whole > 0.0 { weight_memory_nj / whole } else { 1.0 },
                latency_us: energy.latency_us,
            }
        })
        .collect();
    Ok(PlannedRemedy {
        name: remedy.name.value.clone(),
        model: remedy.model.as_ref().map_or(shared.model, |model| &model.value).to_owned(),
        stored_bits: placement.bits_used,
        graph,
        model_sha256,
        placement,
        protection,
        extra_bits_share,
        points,
        first_point: u32::try_from(first_point).unwrap_or(u32::MAX),
    })
}

/// Cycles and traffic of a resident network, and which layers have weights.
fn layers(
    accelerator: &Accelerator,
    graph: &Graph,
) -> Result<(Vec<LayerReport>, Vec<Option<usize>>), String> {
    let layers = vmin_accel::layers_of_graph(graph).map_err(|error| error.to_string())?;
    let mut count = 0;
    let weighted = layers
        .iter()
        .map(|layer| {
            (layer.weights > 0).then(|| {
                count += 1;
                count
            })
        })
        .collect();
    let schedule = Schedule { weights: Residence::Resident, ..Schedule::of(accelerator) };
    Ok((cycles::run(accelerator, schedule, &layers), weighted))
}
