//! Remedies with every name resolved and their costs known.

use std::ops::Range;

use vmin_accel::cycles::{self, LayerReport};
use vmin_accel::placement::{AddressMap, WeightPlacement};
use vmin_accel::protection::{ProtectedLayers, protected_energy};
use vmin_accel::{Accelerator, Protection, ProtectionCosts, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics, Source};
use vmin_emulator::ProtectedMemory;
use vmin_nn::Graph;

use super::Remedy;
use crate::buffers::{BufferPlacements, Supplies, supplies};
use crate::experiment::Experiment;
use crate::plan::{accesses_nj, memory_at, operating_point};

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
    /// Energy of accesses of the memories that are lowered over those of the experiment's network
    /// unprotected at the nominal voltage.
    pub access_scale: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
    pub(crate) supplies: Supplies,
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
    /// Where its codes lie in memory order.
    pub placement: WeightPlacement,
    /// Which cells that order has, one map per offset.
    pub address_maps: Vec<AddressMap>,
    /// Where its activations and partial sums lie, if they can err.
    pub buffers: BufferPlacements,
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

/// A network of a remedy where the experiment puts it.
pub(crate) struct Placed {
    pub(crate) placement: WeightPlacement,
    pub(crate) address_maps: Vec<AddressMap>,
    pub(crate) buffers: BufferPlacements,
}

/// What all remedies share.
pub(crate) struct Shared<'a> {
    pub(crate) source: &'a Source,
    pub(crate) experiment: &'a Experiment,
    pub(crate) graph: &'a Graph,
    pub(crate) accelerator: &'a Accelerator,
    pub(crate) profile: &'a VoltageProfile,
    pub(crate) costs: &'a ProtectionCosts,
    /// Energy of accesses of the memories that are lowered, without protection at the nominal voltage, in
    /// nJ.
    pub(crate) nominal_accesses_nj: f64,
}

/// Resolves all remedies; `own` loads the network of a remedy that names one, `place` puts a network into
/// the memories.
pub(crate) fn plan_remedies(
    shared: &Shared<'_>,
    first_point: usize,
    own: impl Fn(&Remedy) -> Result<Option<(Graph, String)>, Diagnostics>,
    place: impl Fn(&Remedy, &Graph) -> Result<Placed, Diagnostics>,
) -> Result<Vec<PlannedRemedy>, Diagnostics> {
    let mut planned = Vec::new();
    let mut problems = Vec::new();
    let mut next_point = first_point;
    for remedy in &shared.experiment.remedies {
        let one = own(remedy).and_then(|graph| {
            let network = graph.as_ref().map_or(shared.graph, |(graph, _)| graph);
            let placed = place(remedy, network)?;
            plan_one(shared, remedy, graph, placed, next_point)
        });
        match one {
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
    placed: Placed,
    first_point: usize,
) -> Result<PlannedRemedy, Diagnostics> {
    let at = |span: &Range<usize>, code, message: String| {
        Diagnostics::from(Diagnostic::new(code, message).at(shared.source, span.clone()))
    };
    let name_span = remedy.model.as_ref().map_or(&remedy.name.span, |model| &model.span);
    let (graph, model_sha256) = own.unzip();
    let network = graph.as_ref().unwrap_or(shared.graph);
    let Placed { placement, address_maps, buffers } = placed;
    let word_bits = shared.accelerator.memories.weight.word_bits;
    let protection = remedy.protection.clone();
    let memory = ProtectedMemory::new(network, &placement, protection.clone(), word_bits)
        .map_err(|error| at(&remedy.protection_span, "protection", error.to_string()))?;
    let (reports, weighted) = layers(shared.accelerator, network, &placement)
        .map_err(|error| at(name_span, "model", error))?;
    let vdd_mv = remedy.vdd_mv.as_deref().unwrap_or(&shared.experiment.vdd_mv);
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
        let memory_at = |mv| memory_at(mv, shared.profile.cell_fault_rate(mv));
        let buffers = supplies(shared.experiment, memory_at(vdd.value), memory_at);
        let deepest = buffers.iter().flatten().map(|at| at.threshold).min();
        // What a boost spares the weights it does not spare the others.
        let deepest = deepest.filter(|_| !shared.experiment.memories.weights_alone());
        let floor = memory.floor(shared.profile, vdd.value);
        if deepest.map_or(floor, |deepest| deepest.min(floor)) < vmin_sram::Threshold::HALF {
            let message = format!(
                "remedy `{}` needs cells at a voltage where more than half of them are faulty, \
                 which cannot be emulated",
                remedy.name.value
            );
            return Err(at(&vdd.span, "out-of-range", message));
        }
    }
    // Costs count the banks that hold weights at the first offset.
    let banks_used = address_maps.first().map_or(1, |map| memory.banks_used(map));
    let own_layers = ProtectedLayers { reports: &reports, weighted: &weighted, banks_used };
    let rate = |mv| shared.profile.cell_fault_rate(mv);
    let mut extra_bits_share = 0.0;
    let points = vdd_mv
        .iter()
        .map(|vdd| {
            let at = |mv| memory_at(mv, rate(mv));
            let supplies = supplies(shared.experiment, at(vdd.value), at);
            let energy = protected_energy(
                shared.accelerator,
                shared.profile,
                own_layers,
                &protection,
                shared.costs,
                &operating_point(shared.profile, &supplies),
            );
            extra_bits_share = energy.extra_bits_share;
            let accesses_nj = accesses_nj(&shared.experiment.memories, &energy.by_component);
            let whole = shared.nominal_accesses_nj;
            RemedyPoint {
                vdd_mv: vdd.value,
                cell_fault_rate: rate(protection.base_mv(vdd.value)),
                energy_per_inference_nj: energy.total_nj,
                energy_weight_memory_nj: energy.by_component.weight_memory_nj,
                energy_codec_nj: energy.codec_nj,
                access_scale: if whole > 0.0 { accesses_nj / whole } else { 1.0 },
                latency_us: energy.latency_us,
                supplies,
            }
        })
        .collect();
    drop(memory);
    let model = remedy.model.as_ref().unwrap_or(&shared.experiment.model);
    Ok(PlannedRemedy {
        name: remedy.name.value.clone(),
        model: model.value.clone(),
        stored_bits: network.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum(),
        graph,
        model_sha256,
        placement,
        address_maps,
        buffers,
        protection,
        extra_bits_share,
        points,
        first_point: u32::try_from(first_point).unwrap_or(u32::MAX),
    })
}

/// Cycles and traffic of a network, and which layers have weights.
fn layers(
    accelerator: &Accelerator,
    graph: &Graph,
    placement: &WeightPlacement,
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
    Ok((cycles::run(accelerator, placement.schedule(accelerator), &layers), weighted))
}
