//! Candidates: a network with its placement, its protection and the voltages at which it is tried.

use std::ops::Range;

use vmin_accel::accelerator::MapError;
use vmin_accel::cycles::{self, LayerReport};
use vmin_accel::energy::{self, EnergyReport, OperatingPoint};
use vmin_accel::placement::{ActivationPlacement, SumPlacement};
use vmin_accel::{Accelerator, Layer, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located};
use vmin_protection::{
    Extent, Listed, ProtectedAt, ProtectedLayers, ProtectionCosts, area_share, protected_energy,
};
use vmin_sram::{STORED_CELLS_MAX, Threshold};

use super::layout::layouts;
use super::supplies::{Rates, accesses_nj, operating_point};
use super::*;
use crate::experiment::{Experiment, Supply};

/// A network with its placement, its protection and the voltages at which it is tried.
pub struct Candidate {
    /// Its name: `unprotected`, or that of the remedy.
    pub name: String,
    /// Name of its network.
    pub model: String,
    /// Its network.
    pub graph: Arc<Graph>,
    /// The cells of its codes.
    pub placement: Placement,
    /// Its protection.
    pub protection: Protection,
    /// Extra cells over data cells, of each memory.
    pub extra_bits_share: PerMemory<f64>,
    /// Area of its extra cells and gates over that of the bit cells of all memories.
    pub area_share: f64,
    /// What each memory holds.
    pub extents: PerMemory<Extent>,
    /// Voltages, falling.
    pub points: Vec<CandidatePoint>,
    /// Digest of the values that decide its trials, besides chips, supplies and images.
    pub id: String,
    /// Digests of the same with the exact map of each chip, and of its points; none if the map is exact.
    pub(super) exact: Option<(String, Vec<PerMemory<Option<crate::journal::SupplyId>>>)>,
    /// Remarks on its protection.
    pub(super) remarks: Vec<String>,
    /// Cells of check bits and spare lines.
    pub(super) extra_cells: u64,
}

/// One swept voltage of a candidate.
#[derive(Clone, Debug)]
pub struct CandidatePoint {
    /// Costs, which do not depend on the records.
    pub cost: PointCost,
    /// Supplies of the memories.
    pub supplies: Supplies,
    /// The supplies by name, in records.
    pub(super) id: PerMemory<Option<crate::journal::SupplyId>>,
}

impl Candidate {
    /// Number of its weight codes.
    #[must_use]
    pub fn weights(&self) -> u64 {
        self.graph.weights.iter().map(|weights| weights.codes.len() as u64).sum()
    }

    /// Bits of its weight codes.
    #[must_use]
    pub fn stored_bits(&self) -> u64 {
        self.graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum()
    }

    /// Width of its widest weight code, in bits.
    #[must_use]
    pub fn weight_bits(&self) -> u8 {
        self.graph.weights.iter().map(|weights| weights.bits).max().unwrap_or(0)
    }

    /// Network, protection and voltages as its table names them.
    pub(super) fn in_words(&self) -> String {
        let voltages: Vec<String> =
            self.points.iter().map(|point| point.cost.vdd_mv.to_string()).collect();
        let known = self.protection.known_text().unwrap_or_default();
        format!(
            "{}, {} bit, {}, {known}, {} mV",
            self.model,
            self.weight_bits(),
            self.protection.describe(),
            voltages.join(", ")
        )
    }

    /// Whether another candidate is the same by value: both would give the same results.
    pub(super) fn is_twin(&self, other: &Self) -> bool {
        let points = |of: &Self| of.points.iter().map(|point| point.id.clone()).collect::<Vec<_>>();
        self.id == other.id && points(self) == points(other)
    }

    /// Whether it works from a map that is not exact, and no other candidate is the same with the exact one.
    pub(super) fn has_no_exact_twin(&self, all: &[Self]) -> bool {
        let exact = self.exact.as_ref();
        exact.is_some_and(|(id, _)| all.iter().all(|candidate| candidate.id != *id))
    }

    /// The supplies at which reliable columns are chosen: the lowest, whichever trials are left.
    #[must_use]
    pub fn lowest(&self) -> Option<&Supplies> {
        self.points.last().map(|point| &point.supplies)
    }

    /// Faulty cells expected on a chip at the lowest voltage.
    pub(super) fn faulty_cells_max(&self) -> f64 {
        let Some(lowest) = self.lowest() else { return 0.0 };
        let of = |(memory, at): (Memory, &ProtectedAt)| {
            let base = at.access.base();
            let noisy = base.noise.as_ref().map_or(0.0, |_| base.floor().rate());
            self.placement.cells(memory) as f64 * noisy.max(base.cell_fault_rate)
        };
        let extra = lowest.weight.as_ref().map_or(0.0, |at| at.access.base().cell_fault_rate);
        lowest.present().map(of).sum::<f64>() + self.extra_cells as f64 * extra
    }
}

/// The parts of a candidate.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) model: &'a Located<String>,
    pub(super) graph: Arc<Graph>,
    pub(super) graph_sha256: &'a str,
    pub(super) protection: &'a Listed,
    pub(super) vdd_mv: &'a [Located<f64>],
    /// Places of the candidate and of its protection; none for the experiment's own network.
    pub(super) remedy: Option<[&'a Range<usize>; 2]>,
}

impl Wanted<'_> {
    /// Place of the first mechanism that is refused even alone, else of all.
    fn blamed(&self, refused: impl Fn(&Protection) -> bool) -> Range<usize> {
        let all = self.remedy.map_or(&self.model.span, |[_, protection]| protection);
        let mechanism = self.protection.blamed(refused);
        mechanism.map_or(all, |index| &self.protection.each[index].span).clone()
    }
}

/// The parts that all candidates share.
pub(super) struct Shared<'a> {
    pub(super) experiment: &'a Experiment,
    pub(super) accelerator: &'a Accelerator,
    pub(super) profile: &'a VoltageProfile,
    pub(super) costs: &'a ProtectionCosts,
    pub(super) rates: Rates<'a>,
    pub(super) images: Images<'a>,
    pub(super) calibration: Option<&'a crate::CalibrationImages>,
    pub(super) moves_map: bool,
    /// Memories whose accesses are compared between candidates.
    pub(super) counted: PerMemory<bool>,
    /// The experiment's own network without protection at the nominal voltage, once it is known.
    pub(super) nominal: Option<EnergyReport>,
}

impl Shared<'_> {
    fn refused(&self, code: &'static str, span: &Range<usize>, message: String) -> Diagnostic {
        Diagnostic::new(code, message).at(&self.experiment.source, span.clone())
    }

    /// Places, protects and prices a candidate.
    pub(super) fn candidate(&mut self, wanted: &Wanted<'_>) -> Result<Candidate, Diagnostics> {
        let Wanted { name, model, ref graph, graph_sha256, protection, vdd_mv, remedy } = *wanted;
        let protection = &protection.protection;
        let named = remedy.map_or(&model.span, |[candidate, _]| candidate);
        let share = protection.share_of_sums();
        let placement = self.place(graph, name, named, remedy.is_some(), share)?;
        // Refuses images that do not fit the network.
        vmin_emulator::Emulator::new(graph, self.images, vmin_kernels::best()).map_err(
            |error| {
                let span = remedy.map_or(&self.experiment.data.span, |[candidate, _]| candidate);
                self.refused("does-not-fit", span, error.to_string())
            },
        )?;
        let deployment = Deployment::new(graph, &placement, protection).map_err(|error| {
            let fails = |alone: &Protection| Deployment::new(graph, &placement, alone).is_err();
            self.refused("protection", &wanted.blamed(fails), error.to_string())
        })?;
        let (reports, weighted) =
            layers(self.accelerator, graph, &placement, share).map_err(|error| {
                let refused = self.refused("model", named, error.to_string());
                if let MapError::Fit(error) = error { refused.hint(error.hint()) } else { refused }
            })?;
        let own_layers = ProtectedLayers {
            reports: &reports,
            weighted: &weighted,
            banks_used: deployment.banks_used(),
        };
        if self.nominal.is_none() {
            let point = OperatingPoint::nominal(self.profile);
            self.nominal =
                Some(energy::per_inference(self.accelerator, self.profile, &reports, &point));
        }
        let mut points = Vec::with_capacity(vdd_mv.len());
        let mut extra_bits_share = PerMemory::default();
        for (index, vdd) in vdd_mv.iter().enumerate() {
            let supplies = self.supplies(wanted, index, vdd)?;
            let (cost, extra) = self.cost(protection, own_layers, vdd.value, &supplies);
            extra_bits_share = extra;
            let id = identity::supplies(&supplies, self.moves_map);
            points.push(CandidatePoint { cost, supplies, id });
        }
        let extents = deployment.extents();
        let at: Vec<&Supplies> = points.iter().map(|point| &point.supplies).collect();
        if let Some(problem) = protection.known_in_vain(&at) {
            let place = wanted.protection.known_span.clone();
            return Err(problem.at(&self.experiment.source, place).into());
        }
        let remarks = protection.remarks(&extents, &at).map_err(|reason| {
            let refused = |alone: &Protection| {
                let at = |vdd: (usize, &Located<f64>)| self.alone(alone, vdd.0, vdd.1.value);
                let at: Option<Vec<Supplies>> = vdd_mv.iter().enumerate().map(at).collect();
                let at = at.unwrap_or_default();
                alone.remarks(&extents, &at.iter().collect::<Vec<_>>()).is_err()
            };
            self.refused("protection", &wanted.blamed(refused), reason)
        })?;
        let remarks = remarks.into_iter().map(|remark| format!("remedy `{name}`: {remark}"));
        let extra_cells = deployment.extra_cells();
        let id = |protection: &Protection, lowest: Option<_>| {
            let calibration = protection.calibration_images().and(self.calibration);
            identity::candidate(graph_sha256, &placement, protection, calibration, lowest.as_ref())
        };
        let exact = (!protection.known().is_exact()).then(|| {
            let supplies = points.iter().map(|point| {
                let exactly = |at: &Option<ProtectedAt>| Some(at.as_ref()?.knowing_exactly());
                identity::supplies(&point.supplies.map(exactly), self.moves_map)
            });
            let supplies: Vec<_> = supplies.collect();
            (id(&protection.knowing_exactly(), supplies.last().cloned()), supplies)
        });
        let candidate = Candidate {
            name: name.to_owned(),
            model: model.value.clone(),
            id: id(protection, points.last().map(|point| point.id.clone())),
            exact,
            area_share: area_share(self.accelerator, protection, self.costs, &extents),
            extents,
            graph: Arc::clone(graph),
            placement: placement.clone(),
            protection: protection.clone(),
            extra_bits_share,
            points,
            remarks: remarks.collect(),
            extra_cells,
        };
        let faulty = candidate.faulty_cells_max();
        if faulty > STORED_CELLS_MAX as f64 {
            let of = remedy.map_or_else(String::new, |_| format!(" of remedy `{name}`"));
            let message = format!(
                "at the lowest voltage{of} {faulty:.1e} cells of each chip would be faulty; at most \
                 {STORED_CELLS_MAX} can be held"
            );
            let span = vdd_mv.last().map_or(0..0, |vdd_mv| vdd_mv.span.clone());
            return Err(self.refused("too-large", &span, message).into());
        }
        Ok(candidate)
    }

    fn place(
        &self,
        graph: &Graph,
        name: &str,
        named: &Range<usize>,
        is_remedy: bool,
        share_of_sums: f64,
    ) -> Result<Placement, Diagnostics> {
        let Experiment { layout, memories, .. } = self.experiment;
        let on_chip = &self.accelerator.memories;
        let weights = weights::place(self.experiment, self.accelerator, graph)?;
        let word_bits = on_chip.weight.word_bits;
        let layouts = layouts(layout, self.moves_map, weights.geometry(), word_bits, graph)
            .map_err(|(span, message)| {
                let refused = self.refused("placement", &span, message);
                if is_remedy {
                    refused.hint(format!("these are the codes of remedy `{name}`"))
                } else {
                    refused
                }
            })?;
        let errs = |memory| *memories.supplies.get(memory) != Supply::Nominal;
        let activations = errs(Memory::Activation)
            .then(|| ActivationPlacement::new(on_chip.activation.geometry, graph));
        let sums = errs(Memory::Accumulator)
            .then(|| SumPlacement::within(self.accelerator, graph, share_of_sums))
            .transpose()
            .map_err(|error| {
                let own = memories.accumulator_span.clone().unwrap_or(0..0);
                let span = if is_remedy { named.clone() } else { own };
                self.refused("placement", &span, error.to_string())
            })?;
        let activation = weights.geometry().cells();
        let accumulator = activation + on_chip.activation.geometry.cells();
        let first_extra_cell = accumulator + on_chip.accumulator.geometry.cells();
        let bits = graph.weights.first().map_or(8, |weights| weights.bits);
        Ok(Placement {
            weights,
            layouts,
            reliable_columns: layout.reliable_columns.as_ref().map(|_| bits),
            activations,
            sums,
            spared_input: (!memories.inputs).then_some(graph.input),
            biases_in_memory: memories.biases,
            word_bits: PerMemory {
                weight: on_chip.weight.word_bits,
                activation: on_chip.activation.word_bits,
                accumulator: on_chip.accumulator.word_bits,
            },
            first_cells: PerMemory { weight: 0, activation, accumulator },
            first_extra_cell,
        })
    }

    /// The supply of a memory where the swept voltage is `vdd_mv`, if it can err.
    fn own_mv(&self, memory: Memory, vdd_mv: f64) -> Option<f64> {
        match self.experiment.memories.supplies.get(memory) {
            Supply::Nominal => None,
            Supply::Swept => Some(vdd_mv),
            Supply::Fixed(fixed) => Some(fixed.value),
        }
    }

    /// A memory under protection at a supply of its own, where the swept voltage number `index` is `vdd_mv`.
    fn protected(
        &self,
        protection: &Protection,
        memory: Memory,
        own: f64,
        (index, vdd_mv): (usize, f64),
    ) -> Result<ProtectedAt, Box<Diagnostic>> {
        protection
            .at(memory, own, |mv, noise| self.rates.at(mv, (mv == vdd_mv).then_some(index), noise))
    }

    /// The supplies under one mechanism; none where they cannot be had.
    fn alone(&self, alone: &Protection, index: usize, vdd_mv: f64) -> Option<Supplies> {
        let of = |memory| {
            let Some(own) = self.own_mv(memory, vdd_mv) else { return Ok(None) };
            self.protected(alone, memory, own, (index, vdd_mv)).map(Some)
        };
        PerMemory::from_fn(of).transpose().ok()
    }

    /// The supplies at the swept voltage number `index`.
    fn supplies(
        &self,
        wanted: &Wanted<'_>,
        index: usize,
        vdd: &Located<f64>,
    ) -> Result<Supplies, Diagnostics> {
        let profile = self.profile;
        profile
            .check(vdd.value)
            .map_err(|problem| problem.at(&self.experiment.source, vdd.span.clone()))?;
        let swept = (index, vdd.value);
        // A sampled chip knows its weaker half; of a measured one all cells are known.
        let beyond = |at: &ProtectedAt| {
            let level = at.levels().find(|level| level.threshold < Threshold::HALF);
            level.filter(|_| self.rates.has_thresholds()).cloned()
        };
        let of = |memory: Memory| {
            let Some(own) = self.own_mv(memory, vdd.value) else { return Ok(None) };
            let span = match self.experiment.memories.supplies.get(memory) {
                Supply::Fixed(fixed) => &fixed.span,
                Supply::Nominal | Supply::Swept => &vdd.span,
            };
            let plain = self.protected(&Protection::default(), memory, own, swept);
            // A problem of the memory's own supply lies there, any other at its mechanism.
            let at = |refused: &dyn Fn(&Protection) -> bool, is_own: bool| {
                if is_own { span.clone() } else { wanted.blamed(refused) }
            };
            let protected = |alone: &Protection| self.protected(alone, memory, own, swept);
            let found = protected(&wanted.protection.protection).map_err(|problem| {
                let is_own = plain.is_err();
                let listed = &wanted.protection;
                let exact = listed.protection.knowing_exactly();
                let is_test = !is_own && protected(&exact).is_ok();
                let place = match is_test {
                    true => listed.known_span.clone(),
                    false => at(&|alone| protected(alone).is_err(), is_own),
                };
                let problem = problem.at(&self.experiment.source, place);
                Box::new(if is_own {
                    problem
                } else if is_test {
                    problem.hint(format!(
                        "`known` puts the test of remedy `{}` there where the supply is at {own} mV",
                        wanted.name
                    ))
                } else {
                    problem.hint(format!(
                        "remedy `{}` needs that voltage where the supply is at {own} mV",
                        wanted.name
                    ))
                })
            })?;
            if let Some(level) = beyond(&found) {
                let message = match wanted.remedy {
                    Some(_) => format!(
                        "remedy `{}` needs cells at a voltage where more than half of them are \
                         faulty, which cannot be emulated",
                        wanted.name
                    ),
                    None => format!(
                        "at {} mV more than half of all cells are faulty ({:.1} %), which cannot be \
                         emulated",
                        level.vdd_mv,
                        level.cell_fault_rate * 100.0
                    ),
                };
                let is_beyond =
                    |at: Result<ProtectedAt, _>| at.is_ok_and(|at| beyond(&at).is_some());
                let place = at(&|alone| is_beyond(protected(alone)), is_beyond(plain));
                return Err(Box::new(self.refused("out-of-range", &place, message)));
            }
            Ok(Some(found))
        };
        PerMemory::from_fn(of).transpose().map_err(|problem: Box<Diagnostic>| (*problem).into())
    }

    fn cost(
        &self,
        protection: &Protection,
        layers: ProtectedLayers<'_>,
        vdd_mv: f64,
        supplies: &Supplies,
    ) -> (PointCost, PerMemory<f64>) {
        let memories = &self.experiment.memories;
        let (accelerator, profile) = (self.accelerator, self.profile);
        let point = operating_point(profile, &self.experiment.memories, vdd_mv);
        let energy = protected_energy(accelerator, profile, layers, protection, self.costs, &point);
        let nominal = self.nominal.as_ref().expect("priced before the first point");
        let parts = &energy.by_component;
        let saving = |of: &dyn Fn(Memory) -> bool| {
            let nominal = accesses_nj(&nominal.by_component, of);
            if nominal > 0.0 { 1.0 - accesses_nj(parts, of) / nominal } else { 0.0 }
        };
        let at = |memory| supplies.get(memory).as_ref().map(|at| at.access.base());
        let swept = [Memory::Weight, Memory::Activation, Memory::Accumulator];
        let swept = swept.into_iter().find(|&m| *memories.supplies.get(m) == Supply::Swept);
        let cost = PointCost {
            vdd_mv,
            cell_fault_rate: swept.and_then(at).map_or(0.0, |at| at.cell_fault_rate),
            weight_vdd_mv: (memories.supplies.weight != Supply::Swept)
                .then(|| point.vdd_mv(Memory::Weight.rail())),
            activation: at(Memory::Activation).cloned(),
            accumulator: at(Memory::Accumulator).cloned(),
            energy_per_inference_nj: energy.total_nj,
            energy_weight_memory_nj: parts.weight_memory_nj,
            energy_other_memories_nj: parts.activation_memory_nj + parts.accumulator_memory_nj,
            energy_compute_nj: parts.mac_nj + parts.registers_nj + parts.vector_nj,
            energy_dram_nj: parts.dram_nj,
            energy_leakage_nj: parts.leakage_nj,
            energy_codec_nj: energy.codec_nj,
            energy_saving: 1.0 - energy.total_nj / nominal.total_nj,
            // A remedy's network may move fewer bits: it is compared with the experiment's own.
            memory_energy_saving: saving(&|memory| memories.lowered(memory)),
            access_energy_saving: saving(&|memory| *self.counted.get(memory)),
            latency_us: energy.latency_us,
        };
        (cost, energy.extra_bits_share)
    }
}

/// How often the array reads a weight for one image, in the layer where that is most.
pub(super) fn weight_reads(accelerator: &Accelerator, own: &Candidate) -> u64 {
    let weights = vmin_accel::layers_of_graph(&own.graph).unwrap_or_default();
    let reports = layers(accelerator, &own.graph, &own.placement, own.protection.share_of_sums());
    let reports = reports.map_or_else(|_| Vec::new(), |(reports, _)| reports);
    let reads = |(layer, report): (&Layer, &LayerReport)| {
        report.sram_reads_filter.checked_div(layer.weights).unwrap_or(0)
    };
    weights.iter().zip(&reports).map(reads).fold(1, u64::max)
}

/// Cycles and traffic of a network, and for each layer its number among those with weights, as sweeps price it;
/// `share_of_sums` is the share of the accumulator memory that holds sums.
///
/// # Errors
/// A layer does not fit the accelerator.
pub fn layers(
    accelerator: &Accelerator,
    graph: &Graph,
    placement: &Placement,
    share_of_sums: f64,
) -> Result<(Vec<LayerReport>, Vec<Option<usize>>), MapError> {
    let layers = vmin_accel::layers_of_graph(graph)?;
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
    let smaller;
    let accelerator = if share_of_sums < 1.0 {
        smaller = accelerator.with_sums_in(share_of_sums);
        &smaller
    } else {
        accelerator
    };
    let schedule = placement.weights.schedule(accelerator);
    Ok((cycles::run(accelerator, schedule, &layers)?, weighted))
}
