//! An experiment with every name resolved, every size checked and the cost known.

mod digest;
mod layout;
mod measured;

use std::path::Path;

use serde::Serialize;
use vmin_accel::cycles::{self, Residence};
use vmin_accel::energy::{self, EnergyReport, OperatingPoint};
use vmin_accel::placement::{AddressMap, Alignment};
use vmin_accel::{Accelerator, ProtectionCosts, ResidentPlacement, Schedule, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source, with_causes};
use vmin_emulator::{Emulator, Images};
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_sram::{Population, STORED_CELLS_MAX, Threshold};

use crate::chip_file::ChipFile;
use crate::experiment::{Experiment, Layout, NotAnExperiment, Placement, ReadErrors};
use crate::journal::Record;
use crate::names::{self, Names, collected, keep};
use crate::preset::{self, Preset};
use crate::remedy::{self, PlannedRemedy, Shared};
use crate::results::{InputDigest, PointCost, Setting};
use digest::{digest, inputs, sha256};
use layout::address_maps;

/// Most inferences of one experiment; beyond it a typing error is likelier than patience.
const INFERENCES_MAX: u64 = 1_000_000_000_000;

/// Energy and latency of one inference at the nominal voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nominal {
    /// Supply of all memories, in mV.
    pub vdd_mv: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Latency of one inference, in us.
    pub latency_us: f64,
}

/// One voltage of the plan.
#[derive(Clone, Debug)]
pub struct PlanPoint {
    /// The voltage as the integer that decides which cells fail.
    pub threshold: Threshold,
    /// Rates and energies at that voltage.
    pub cost: PointCost,
}

/// A resolved experiment.
pub struct Plan {
    /// What the user wrote.
    pub experiment: Experiment,
    /// The network, with weights in the bits asked for.
    pub graph: Graph,
    /// Where its codes lie in memory order.
    pub placement: ResidentPlacement,
    /// Which cells that order has, one map per offset.
    pub address_maps: Vec<AddressMap>,
    /// Measured chips in place of a population's, in the order of the experiment.
    pub chip_files: Vec<ChipFile>,
    /// How cells fail.
    pub profile: VoltageProfile,
    /// The accelerator.
    pub accelerator: Accelerator,
    /// Voltages, falling.
    pub points: Vec<PlanPoint>,
    /// Energy and latency at the nominal voltage.
    pub nominal: Nominal,
    /// Remarks that a reader of the results must know.
    pub notes: Vec<String>,
    /// Digest of each input.
    pub inputs: Vec<InputDigest>,
    /// Remedies, in the order of the experiment; their points follow those of the plan.
    pub remedies: Vec<PlannedRemedy>,
    /// SHA-256 of everything that decides the results.
    pub digest: String,
    data: Dataset,
}

/// What a plan costs, for `vmin check`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanCost {
    /// Voltages, those of remedies included.
    pub points: usize,
    /// Chips.
    pub chips: u32,
    /// Offsets at which each chip is used.
    pub offsets: usize,
    /// Images per chip, offset and voltage.
    pub images: usize,
    /// Inferences of the whole sweep, the clean ones included.
    pub inferences_total: u64,
    /// Multiply-accumulates of one inference.
    pub macs_per_image: u64,
    /// Multiply-accumulates of the whole sweep.
    pub macs_total: u64,
    /// Weight codes.
    pub weights: u64,
    /// Bits of weight memory they occupy.
    pub stored_bits: u64,
    /// Banks of weight memory that are emulated.
    pub banks: u32,
    /// Faulty cells expected per chip at the lowest voltage.
    pub faulty_cells_max: f64,
}

impl Plan {
    /// Reads an experiment and resolves every name in it; relative paths start at `base`.
    ///
    /// # Errors
    /// All problems of the text, all names that lead nowhere, all values that do not fit what they
    /// name.
    pub fn read(source: &Source, base: &Path) -> Result<Self, Diagnostics> {
        let experiment = Experiment::parse(source).map_err(|refused| {
            let NotAnExperiment { problems, references } = *refused;
            let mut problems = problems.into_list();
            let names = Names::new(source, base);
            if let Some(model) = &references.model {
                keep(&mut problems, names.model(model));
            }
            if let Some(data) = &references.data {
                keep(&mut problems, names.data(data));
            }
            if let Some(accelerator) = &references.accelerator {
                keep(&mut problems, names.accelerator(accelerator));
            }
            if let Some(profile) = &references.profile {
                keep(&mut problems, names.profile(profile));
            }
            for file in &references.chip_files {
                keep(&mut problems, names.chip(file));
            }
            collected(source, problems)
        })?;
        Self::resolve(experiment, base)
    }

    /// Resolves every name of `experiment`; relative paths start at `base`.
    ///
    /// # Errors
    /// All names that lead nowhere, all values that do not fit what they name.
    pub fn resolve(mut experiment: Experiment, base: &Path) -> Result<Self, Diagnostics> {
        let source = experiment.source.clone();
        let names = Names::new(&source, base);
        let mut problems = Vec::new();
        let graph = names
            .model(&experiment.model)
            .and_then(|graph| names::with_bits(graph, &source, experiment.bits.as_ref()));
        let graph = keep(&mut problems, graph);
        let data = names.data(&experiment.data).and_then(|all| select_images(all, &experiment));
        let data = keep(&mut problems, data);
        let accelerator = keep(&mut problems, names.accelerator(&experiment.accelerator));
        let profile = keep(&mut problems, names.profile(&experiment.profile));
        let costs = keep(&mut problems, names.costs(&experiment.protection_costs));
        let named = &experiment.chip_files;
        let chip_files: Vec<ChipFile> =
            named.iter().filter_map(|file| keep(&mut problems, names.chip(file))).collect();
        if !named.is_empty() && chip_files.len() == named.len() {
            match measured::voltages(&experiment, &chip_files, &source) {
                Ok(voltages) => experiment.vdd_mv = voltages,
                Err(found) => problems.extend(found),
            }
        }
        if let Some(profile) = &profile {
            match preset::voltages_of_rates(&experiment.rates, profile, &source) {
                Ok(voltages) if !voltages.is_empty() => experiment.vdd_mv = voltages,
                Ok(_) => {}
                Err(found) => problems.extend(found),
            }
            check_voltages(&experiment, profile, &mut problems);
        }
        match (graph, data, accelerator, profile, costs) {
            (Some(graph), Some(data), Some(accelerator), Some(profile), Some(costs))
                if problems.is_empty() =>
            {
                Self::assemble(experiment, graph, data, accelerator, profile, chip_files)?
                    .with_remedies(&costs, base)
            }
            _ => Err(collected(&source, problems)),
        }
    }

    fn assemble(
        experiment: Experiment,
        graph: Graph,
        data: Dataset,
        accelerator: Accelerator,
        profile: VoltageProfile,
        chip_files: Vec<ChipFile>,
    ) -> Result<Self, Diagnostics> {
        let source = experiment.source.clone();
        let at = |span: &std::ops::Range<usize>, code, message: String| {
            Diagnostics::from(Diagnostic::new(code, message).at(&source, span.clone()))
        };
        let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
        let memory = &accelerator.memories.weight;
        let layout = &experiment.layout;
        let placement = ResidentPlacement::aligned(memory.geometry, layout.alignment, sizes)
            .map_err(|error| at(&experiment.accelerator.span, "placement", error.to_string()))?;
        measured::check(&experiment, &chip_files, memory.geometry.cells(), &source)?;
        // A measured map is moved by the offset, the model over it stays.
        let over_files = (!chip_files.is_empty())
            .then(|| Layout { offset_bits: vec![0; layout.offset_bits.len()], ..layout.clone() });
        let layout = over_files.as_ref().unwrap_or(layout);
        let address_maps = address_maps(layout, &placement, memory.word_bits, &graph)
            .map_err(|(span, message)| at(&span, "placement", message))?;
        let layers = vmin_accel::layers_of_graph(&graph)
            .map_err(|error| at(&experiment.model.span, "model", error.to_string()))?;
        // What lies in the weight memory for good is not fetched for every inference.
        let schedule = Schedule { weights: Residence::Resident, ..Schedule::of(&accelerator) };
        let layers = cycles::run(&accelerator, schedule, &layers);
        let nominal_point = OperatingPoint::nominal(&profile);
        let nominal = energy::per_inference(&accelerator, &profile, &layers, &nominal_point);
        let points: Vec<PlanPoint> = experiment
            .vdd_mv
            .iter()
            .enumerate()
            .map(|(index, vdd_mv)| {
                let vdd_mv = vdd_mv.value;
                // A rate that was asked for decides itself, not the voltage that stands for it.
                let rate = experiment.rates.get(index).map(|rate| rate.value);
                let rate = rate.unwrap_or_else(|| match chip_files[..] {
                    [] => profile.cell_fault_rate(vdd_mv),
                    _ => measured::cell_fault_rate(&chip_files, vdd_mv),
                });
                let point = OperatingPoint::weight_memory(&profile, vdd_mv);
                let energy = energy::per_inference(&accelerator, &profile, &layers, &point);
                let parts = &energy.by_component;
                PlanPoint {
                    threshold: Threshold::from_rate(rate).unwrap_or(Threshold::ALWAYS),
                    cost: PointCost {
                        vdd_mv,
                        cell_fault_rate: rate,
                        energy_per_inference_nj: energy.total_nj,
                        energy_weight_memory_nj: parts.weight_memory_nj,
                        energy_other_memories_nj: parts.activation_memory_nj
                            + parts.accumulator_memory_nj,
                        energy_compute_nj: parts.mac_nj + parts.registers_nj + parts.vector_nj,
                        energy_dram_nj: parts.dram_nj,
                        energy_leakage_nj: parts.leakage_nj,
                        energy_saving: 1.0 - energy.total_nj / nominal.total_nj,
                        memory_energy_saving: 1.0 - profile.access_energy_scale(vdd_mv),
                        latency_us: energy.latency_us,
                    },
                }
            })
            .collect();
        let notes = notes(&accelerator, &placement, &nominal);
        let mut notes = notes;
        notes.extend(experiment.preset.map(|preset| preset.note().to_owned()));
        if !chip_files.is_empty() {
            notes.push(measured::note(&experiment, &chip_files, placement.geometry.cells()));
        }
        notes.extend(measured::errors_note(&experiment));
        let mut inputs = inputs(&experiment, &graph, &data, &accelerator, &profile)
            .map_err(|error| at(&experiment.model.span, "model", error.to_string()))?;
        inputs.extend(chip_files.iter().map(|file| InputDigest {
            role: "chip".to_owned(),
            name: file.name.clone(),
            sha256: file.sha256.clone(),
        }));
        let digest = digest(&experiment, &inputs);
        let plan = Self {
            nominal: Nominal {
                vdd_mv: profile.v_ref_mv(),
                energy_per_inference_nj: nominal.total_nj,
                latency_us: nominal.latency_us,
            },
            experiment,
            graph,
            placement,
            address_maps,
            chip_files,
            profile,
            accelerator,
            points,
            notes,
            inputs,
            remedies: Vec::new(),
            digest,
            data,
        };
        plan.check_sizes().map_err(|(span, code, message)| at(&span, code, message))?;
        Ok(plan)
    }

    /// The plan with the remedies of its experiment.
    fn with_remedies(mut self, costs: &ProtectionCosts, base: &Path) -> Result<Self, Diagnostics> {
        if self.experiment.remedies.is_empty() {
            return Ok(self);
        }
        let experiment = &self.experiment;
        let source = &experiment.source;
        let names = Names::new(source, base);
        let mut weight_memory_nj = 0.0;
        if let Ok(layers) = vmin_accel::layers_of_graph(&self.graph) {
            let schedule =
                Schedule { weights: Residence::Resident, ..Schedule::of(&self.accelerator) };
            let layers = cycles::run(&self.accelerator, schedule, &layers);
            let point = OperatingPoint::nominal(&self.profile);
            let nominal = energy::per_inference(&self.accelerator, &self.profile, &layers, &point);
            weight_memory_nj = nominal.by_component.weight_memory_nj;
        }
        let shared = Shared {
            source,
            graph: &self.graph,
            model: &experiment.model.value,
            accelerator: &self.accelerator,
            profile: &self.profile,
            costs,
            vdd_mv: &experiment.vdd_mv,
            nominal_weight_memory_nj: weight_memory_nj,
        };
        let remedies =
            remedy::plan_remedies(&shared, &experiment.remedies, self.points.len(), |remedy| {
                let graph = match (&remedy.model, &remedy.bits) {
                    (None, None) => return Ok(None),
                    (Some(model), _) => names.model(model)?,
                    (None, Some(_)) => names.model(&experiment.model)?,
                };
                let graph = names::with_bits(graph, source, remedy.bits.as_ref())?;
                let span = remedy.model.as_ref().map_or(&remedy.name.span, |model| &model.span);
                let saved = vmin_nn::format::save(&graph).map_err(|error| {
                    Diagnostic::new("model", error.to_string()).at(source, span.clone())
                })?;
                // Checked here, where the place is known: labels and image size.
                let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
                let placement =
                    ResidentPlacement::new(&self.accelerator, sizes).map_err(|error| {
                        Diagnostic::new("placement", error.to_string()).at(source, span.clone())
                    })?;
                Emulator::new(&graph, &placement, self.images(), vmin_kernels::best()).map_err(
                    |error| {
                        Diagnostic::new("does-not-fit", error.to_string()).at(source, span.clone())
                    },
                )?;
                Ok(Some((graph, sha256(&saved))))
            })?;
        for remedy in &remedies {
            let cells = remedy.placement.geometry.cells() as f64 * (1.0 + remedy.extra_bits_share);
            let deepest = remedy.points.last().map_or(0.0, |point| point.cell_fault_rate);
            if cells * deepest > STORED_CELLS_MAX as f64 {
                let message = format!(
                    "at the lowest voltage of remedy `{}` {:.1e} cells of each chip would be \
                     faulty; at most {STORED_CELLS_MAX} can be held",
                    remedy.name,
                    cells * deepest
                );
                return Err(Diagnostic::new("too-large", message).within(source).into());
            }
            if let Some(sha256) = &remedy.model_sha256 {
                self.inputs.push(InputDigest {
                    role: format!("model of remedy {}", remedy.name),
                    name: remedy.model.clone(),
                    sha256: sha256.clone(),
                });
            }
        }
        self.inputs.push(InputDigest {
            role: "protection costs".to_owned(),
            name: experiment.protection_costs.value.clone(),
            sha256: sha256(costs.text().as_bytes()),
        });
        self.notes.push(format!(
            "remedies: every voltage and saving refers to the experiment's own network, unprotected \
             at the nominal voltage; costs of protection from the table `{}`, which marks estimates",
            costs.name()
        ));
        self.remedies = remedies;
        self.digest = digest(&self.experiment, &self.inputs);
        self.check_inferences().map_err(|message| {
            Diagnostic::new("too-large", message).within(&self.experiment.source)
        })?;
        Ok(self)
    }

    /// What chips are drawn from.
    #[must_use]
    pub fn population(&self) -> Population {
        let preset = self.experiment.preset.map(Preset::population);
        preset.unwrap_or_else(|| self.profile.population().clone())
    }

    /// Points of the sweep and of all remedies.
    #[must_use]
    pub fn points_total(&self) -> usize {
        self.points.len() + self.remedies.iter().map(|remedy| remedy.points.len()).sum::<usize>()
    }

    fn check_inferences(&self) -> Result<(), String> {
        let total = self.cost().inferences_total;
        if total > INFERENCES_MAX {
            return Err(format!(
                "the sweep would take {total} inferences, at most {INFERENCES_MAX} are run"
            ));
        }
        Ok(())
    }

    /// Checks what only shows when all parts are together.
    fn check_sizes(&self) -> Result<(), (std::ops::Range<usize>, &'static str, String)> {
        let data = self.experiment.data.span.clone();
        let emulator =
            Emulator::new(&self.graph, &self.placement, self.images(), vmin_kernels::best());
        if let Err(error) = emulator {
            return Err((data, "does-not-fit", error.to_string()));
        }
        let impossible = self.points.iter().find(|point| point.threshold < Threshold::HALF);
        if let Some(point) = impossible.filter(|_| self.chip_files.is_empty()) {
            let vdd_mv = point.cost.vdd_mv;
            let span = self.experiment.vdd_mv.iter().find(|v| v.value == vdd_mv);
            let message = format!(
                "at {vdd_mv} mV more than half of all cells are faulty ({:.1} %), which cannot be \
                 emulated",
                point.cost.cell_fault_rate * 100.0
            );
            return Err((span.map_or(0..0, |v| v.span.clone()), "out-of-range", message));
        }
        let layout = &self.experiment.layout;
        let moved = !self.address_maps.iter().all(AddressMap::is_identity);
        if !self.remedies.is_empty()
            && (moved || layout.alignment != Alignment::Code || layout.reliable_columns.is_some())
        {
            let message =
                "remedies are compared in the linear layout; `[placement]` and `[[remedy]]` \
                           exclude each other"
                    .to_owned();
            return Err((layout.span.clone(), "placement", message));
        }
        let trials = u64::from(self.experiment.chips) * self.address_maps.len() as u64;
        if u32::try_from(trials).is_err() {
            let message = format!("{trials} chips at offsets are more than can be numbered");
            return Err((self.experiment.layout.span.clone(), "too-many", message));
        }
        let cost = self.cost();
        if cost.faulty_cells_max > STORED_CELLS_MAX as f64 {
            let span = self.experiment.vdd_mv.last().map_or(0..0, |vdd_mv| vdd_mv.span.clone());
            let message = format!(
                "at the lowest voltage {:.1e} cells of each chip would be faulty; at most \
                 {STORED_CELLS_MAX} can be held",
                cost.faulty_cells_max
            );
            return Err((span, "too-large", message));
        }
        self.check_inferences().map_err(|message| (data, "too-large", message))?;
        Ok(())
    }

    /// The images, with labels.
    #[must_use]
    pub fn images(&self) -> Images<'_> {
        Images { pixels: &self.data.images, labels: &self.data.labels }
    }

    /// One label per image.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.data.labels
    }

    /// Chips times offsets: each is evaluated at every voltage.
    #[must_use]
    pub fn trials(&self) -> u32 {
        // `Plan::resolve` has checked the product.
        let offsets = u32::try_from(self.address_maps.len()).unwrap_or(u32::MAX);
        self.experiment.chips.saturating_mul(offsets)
    }

    /// Records a complete journal holds.
    #[must_use]
    pub fn records_total(&self) -> u64 {
        self.points_total() as u64 * u64::from(self.trials())
    }

    /// Checks that a journal's records can be records of this plan.
    ///
    /// # Errors
    /// What is wrong with the first that cannot.
    pub fn check_records(&self, records: &[Record]) -> Result<(), String> {
        let images = self.data.len() as u64;
        for record in records {
            let Record { point, chip, correct, correct_union, cells_hit, flips } = *record;
            let known = (point as usize) < self.points_total() && chip < self.trials();
            // What stands between cells and codes may invert more bits than cells fail.
            let remedy = self.remedies.iter().rfind(|remedy| remedy.first_point <= point);
            let (bits, flips_max) = remedy.map_or((self.stored_bits(), cells_hit), |remedy| {
                (remedy.stored_bits, remedy.stored_bits)
            });
            let transient = self.experiment.errors == ReadErrors::Transient;
            let bits = bits.saturating_mul(if transient { images } else { 1 });
            let possible = correct <= images && correct_union <= correct && flips <= flips_max;
            if !known || !possible || cells_hit > bits {
                return Err(format!(
                    "the record of point {point}, chip {chip} is not one of this experiment"
                ));
            }
        }
        Ok(())
    }

    /// What the plan costs.
    #[must_use]
    pub fn cost(&self) -> PlanCost {
        let images = self.data.len() as u64;
        let inferences_total = self.records_total().saturating_add(1).saturating_mul(images);
        let lowest = self.points.last().map_or(0.0, |point| point.cost.cell_fault_rate);
        PlanCost {
            points: self.points_total(),
            chips: self.experiment.chips,
            offsets: self.address_maps.len(),
            images: self.data.len(),
            inferences_total,
            macs_per_image: self.graph.macs(),
            macs_total: inferences_total.saturating_mul(self.graph.macs()),
            weights: self.weights(),
            stored_bits: self.stored_bits(),
            banks: self.placement.geometry.banks(),
            faulty_cells_max: self.placement.geometry.cells() as f64 * lowest,
        }
    }

    fn weights(&self) -> u64 {
        self.graph.weights.iter().map(|weights| weights.codes.len() as u64).sum()
    }

    fn stored_bits(&self) -> u64 {
        self.graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum()
    }

    /// The setting in words, for results.
    #[must_use]
    pub fn setting(&self) -> Setting {
        let experiment = &self.experiment;
        Setting {
            model: experiment.model.value.clone(),
            data: experiment.data.value.clone(),
            accelerator: self.accelerator.name().to_owned(),
            profile: self.profile.name().to_owned(),
            fault_kind: experiment.errors.word().to_owned(),
            placement: match experiment.placement {
                Placement::Resident => "resident".to_owned(),
            },
            layout: experiment.layout.words(),
            offsets: experiment.layout.offset_bits.len(),
            weight_bits: self.graph.weights.iter().map(|w| w.bits).max().unwrap_or(0),
            weights: self.weights(),
            stored_bits: self.stored_bits(),
            macs_per_image: self.graph.macs(),
            vdd_nominal_mv: self.nominal.vdd_mv,
            seed: experiment.seed.to_string(),
            accuracy_loss_max: experiment.accuracy_loss_max_pct / 100.0,
        }
    }
}

fn select_images(all: Dataset, experiment: &Experiment) -> Result<Dataset, Diagnostics> {
    let Located { value, span } = &experiment.data;
    let first = experiment.first_image.value;
    let wanted = experiment.images.as_ref().map_or(all.len().saturating_sub(first), |i| i.value);
    let last = first.saturating_add(wanted);
    if wanted == 0 || last > all.len() {
        let span = experiment.images.as_ref().map_or(span, |images| &images.span);
        return Err(Diagnostic::new(
            "out-of-range",
            format!("`{value}` has no images {first} to {}", last.saturating_sub(1)),
        )
        .at(&experiment.source, span.clone())
        .allowed(format!("the set has {} test images", all.len()))
        .into());
    }
    if first == 0 && last == all.len() {
        return Ok(all);
    }
    all.subset(first..last).map_err(|error| {
        Diagnostic::new("data", with_causes(&error)).at(&experiment.source, span.clone()).into()
    })
}

fn check_voltages(
    experiment: &Experiment,
    profile: &VoltageProfile,
    problems: &mut Vec<Diagnostic>,
) {
    let range = profile.vdd_mv_range();
    let mut refused = None;
    for vdd_mv in &experiment.vdd_mv {
        // The voltages of chip files share one place: once is enough.
        let again = !experiment.chip_files.is_empty() && refused == Some(&vdd_mv.span);
        if !range.contains(&vdd_mv.value) && !again {
            refused = Some(&vdd_mv.span);
            problems.push(
                Diagnostic::new(
                    "out-of-range",
                    format!("profile `{}` does not reach {} mV", profile.name(), vdd_mv.value),
                )
                .at(&experiment.source, vdd_mv.span.clone())
                .allowed(format!(
                    "expected {} to {} mV",
                    range.start(),
                    range.end()
                )),
            );
        }
    }
}

fn notes(
    accelerator: &Accelerator,
    placement: &ResidentPlacement,
    nominal: &EnergyReport,
) -> Vec<String> {
    let mut notes = vec![
        "only the weight memory's supply is lowered; all others stay at the nominal voltage"
            .to_owned(),
    ];
    if placement.exceeds_physical {
        notes.push(format!(
            "resident placement assumes a weight memory of {} banks; {} has {}",
            placement.geometry.banks(),
            accelerator.name(),
            placement.physical_banks
        ));
    }
    notes.extend(nominal.notes.iter().cloned());
    notes
}
