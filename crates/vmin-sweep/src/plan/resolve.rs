//! From the words of an experiment to a plan: every name resolved, every problem reported.

use std::ops::Range;
use std::path::Path;

use vmin_accel::energy::{self, EnergyReport, Rails};
use vmin_accel::placement::ActivationPlacement;
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source, with_causes};
use vmin_emulator::source::{SampledChips, Transient};
use vmin_files::sha256;
use vmin_nn::data::Split;
use vmin_protection::{Listed, Protection, ProtectionCosts, ReadsOf};
use vmin_sram::FaultKind;

use super::candidates::{self, Shared, Wanted};
use super::supplies::{Rates, operating_point};
use super::*;
use crate::CalibrationImages;
use crate::chip_file::{self, ChipFile};
use crate::experiment::{Experiment, NotAnExperiment, ReadErrors};
use crate::first_chip::first_chip;
use crate::names::{Names, collected, keep};
use crate::preset::{self, Preset};

impl Plan {
    /// Parses an experiment and resolves every name in it; relative paths start at `base`.
    ///
    /// # Errors
    /// All problems of the text, all names without a file, all values that do not fit each other.
    pub fn read(source: &Source, base: &Path) -> Result<Self, Diagnostics> {
        let experiment = Experiment::parse(source).map_err(|refused| {
            let NotAnExperiment { problems, references } = *refused;
            let mut problems = problems.into_list();
            let names = Names::new(source, base);
            if let Some(model) = &references.model {
                keep(&mut problems, names.model(model));
            }
            if let Some(data) = &references.data {
                keep(&mut problems, names.data(data, Split::Test));
            }
            if let Some(accelerator) = &references.accelerator {
                keep(&mut problems, names.accelerator(accelerator));
            }
            if let Some(profile) = &references.profile {
                keep(&mut problems, names.profile(profile));
            }
            let files = keep(&mut problems, names.chip_files(&references.chip_files));
            for file in files.iter().flatten() {
                keep(&mut problems, names.chip(file));
            }
            collected(source, problems)
        })?;
        Self::resolve(experiment, base)
    }

    /// Resolves every name of `experiment`; relative paths start at `base`.
    ///
    /// # Errors
    /// All names without a file, all values that do not fit each other.
    pub fn resolve(mut experiment: Experiment, base: &Path) -> Result<Self, Diagnostics> {
        let source = experiment.source.clone();
        let names = Names::new(&source, base);
        let mut problems = Vec::new();
        let (model, pixels) = (&experiment.model, experiment.pixels.as_ref());
        let graph = names
            .rounded(model, experiment.rounding)
            .and_then(|graph| names.with_bits(graph, experiment.bits.as_ref()))
            .and_then(|graph| names.with_pixels(graph, pixels, model));
        let graph = keep(&mut problems, graph);
        let data = names
            .data(&experiment.data, Split::Test)
            .and_then(|all| select_images(all, &experiment));
        let data = keep(&mut problems, data);
        let accelerator = keep(&mut problems, names.accelerator(&experiment.accelerator));
        let profile = names
            .profile(&experiment.profile)
            .and_then(|profile| names.with_vmin(profile, experiment.vmin_mv.as_ref()));
        let profile = keep(&mut problems, profile);
        let costs = keep(&mut problems, names.costs(&experiment.protection_costs));
        let by_file = !experiment.chip_files.is_empty();
        let files = keep(&mut problems, names.chip_files(&experiment.chip_files));
        experiment.chip_files = files.unwrap_or_default();
        if by_file {
            // At most ten thousand.
            experiment.chips = experiment.chip_files.len() as u32;
        }
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
            if let (true, Err(error)) =
                (experiment.memories.logic_swept, Rails::Chip.at(profile, profile.v_ref_mv()))
            {
                let span = experiment.memories.span.clone().unwrap_or(0..0);
                let problem = Diagnostic::new("no-law", error.to_string()).at(&source, span);
                problems.push(problem.hint("leave logic nominal: `rails = \"memories\"`"));
            }
        }
        let protections = experiment.remedies.iter().map(|remedy| &remedy.protection.protection);
        let images = protections.filter_map(Protection::calibration_images).max();
        let calibration = match (images, &data) {
            (Some(images), Some(data)) => {
                let set = experiment.calibration.as_ref().unwrap_or(&experiment.data);
                let found = CalibrationImages::load(&names, set, images, data);
                keep(&mut problems, found)
            }
            (None, _) if experiment.calibration.is_some() => {
                let span = experiment.calibration.as_ref().map_or(0..0, |set| set.span.clone());
                let message = "`calibration` has no effect: no mechanism here is calibrated";
                let problem = Diagnostic::new("calibration", message).at(&source, span);
                problems.push(problem.hint("leave it away, or add `recalibrate` to a remedy"));
                None
            }
            (Some(_) | None, _) => None,
        };
        match (graph, data, accelerator, profile, costs) {
            (Some(graph), Some(data), Some(accelerator), Some(profile), Some(costs))
                if problems.is_empty() =>
            {
                let parts =
                    Parts { graph, data, calibration, accelerator, profile, costs, chip_files };
                Self::assemble(experiment, parts, &names)
            }
            _ => Err(collected(&source, problems)),
        }
    }

    fn assemble(
        experiment: Experiment,
        parts: Parts,
        names: &Names<'_>,
    ) -> Result<Self, Diagnostics> {
        let Parts { graph, data, calibration, accelerator, profile, costs, chip_files } = parts;
        let source = experiment.source.clone();
        let at = |span: &Range<usize>, code, message: String| {
            Diagnostics::from(Diagnostic::new(code, message).at(&source, span.clone()))
        };
        let saved = |graph: &Graph, span: &Range<usize>| {
            let saved = vmin_nn::import::native::save(graph);
            let saved = saved.map_err(|error| at(span, "model", error.to_string()))?;
            Ok::<_, Diagnostics>(sha256(&saved))
        };
        if let Some(problem) = shared_rail(&experiment, &accelerator, &profile) {
            return Err(problem.at(&source, experiment.accelerator.span.clone()).into());
        }
        let graph = Arc::new(graph);
        let graph_sha256 = saved(&graph, &experiment.model.span)?;
        let errs = PerMemory::from_fn(|memory| experiment.memories.lowered(memory));
        let moves_map = !chip_files.is_empty();
        let population = experiment.preset.map(Preset::population);
        let population = population.unwrap_or_else(|| profile.population().clone());
        let errors = experiment.errors.unwrap_or(ReadErrors::Alike(population.kind()));
        let mut shared = Shared {
            experiment: &experiment,
            accelerator: &accelerator,
            profile: &profile,
            costs: &costs,
            rates: Rates {
                profile: &profile,
                chip_files: &chip_files,
                asked: &experiment.rates,
                read_noise_mv: experiment.read_noise_mv.as_ref().map(|noise| noise.value),
            },
            images: Images { pixels: &data.images, labels: &data.labels },
            calibration: calibration.as_ref(),
            moves_map,
            counted: counted(&experiment),
            nominal: None,
        };
        let own = shared.candidate(&Wanted {
            name: "unprotected",
            model: &experiment.model,
            graph: Arc::clone(&graph),
            graph_sha256: &graph_sha256,
            protection: &Listed::default(),
            vdd_mv: &experiment.vdd_mv,
            remedy: None,
        })?;
        let subject = Subject::of(&graph, &accelerator, &profile, experiment.placement, &errs)
            .map_err(|message| at(&experiment.model.span, "placement", message))?;
        let largest = Memory::ALL.map(|(_, memory)| own.placement.cells(memory));
        let largest = largest.into_iter().fold(0, u64::max);
        measured::check(&experiment, &chip_files, largest, &source)?;
        let mut inputs = inputs(&experiment, &graph_sha256, &data, &accelerator, &profile);
        inputs.extend(chip_files.iter().map(|file| input("chip", &file.name, file.sha256.clone())));
        let mut candidates = vec![own];
        let mut problems = Vec::new();
        for remedy in &experiment.remedies {
            let span = remedy.model.as_ref().map_or(&remedy.name.span, |model| &model.span);
            let network = || {
                let own = &experiment.model;
                let (loaded, model) = match (&remedy.model, &remedy.bits) {
                    (None, None) => return Ok((Arc::clone(&graph), graph_sha256.clone())),
                    (Some(model), _) => (names.model(model)?, model),
                    (None, Some(_)) => (names.rounded(own, experiment.rounding)?, own),
                };
                let graph = names.with_bits(loaded, remedy.bits.as_ref())?;
                // Another network keeps its own rule, where it has one.
                let keeps = remedy.model.is_some() && graph.pixels.is_some();
                let pixels = experiment.pixels.as_ref().filter(|_| !keeps);
                let graph = names.with_pixels(graph, pixels, model)?;
                let sha256 = saved(&graph, span)?;
                Ok((Arc::new(graph), sha256))
            };
            let candidate = network().and_then(|(graph, graph_sha256)| {
                let model = remedy.model.as_ref().unwrap_or(&experiment.model);
                if remedy.model.is_some() || remedy.bits.is_some() {
                    let role = format!("model of remedy {}", remedy.name.value);
                    inputs.push(input(&role, &model.value, graph_sha256.clone()));
                }
                shared.candidate(&Wanted {
                    name: &remedy.name.value,
                    model,
                    graph,
                    graph_sha256: &graph_sha256,
                    protection: &remedy.protection,
                    vdd_mv: remedy.vdd_mv.as_deref().unwrap_or(&experiment.vdd_mv),
                    remedy: Some([span, &remedy.protection_span]),
                })
            });
            let Some(candidate) = keep(&mut problems, candidate) else { continue };
            if let Some(twin) = candidates[1..].iter().find(|other| other.is_twin(&candidate)) {
                let name = &remedy.name;
                let message = format!("remedy `{}` is remedy `{}` again", name.value, twin.name);
                let problem = Diagnostic::new("repeated", message).at(&source, name.span.clone());
                problems.push(problem.hint("leave one of the two away"));
            }
            candidates.push(candidate);
        }
        if let Some(problems) = Diagnostics::from_list(problems) {
            return Err(problems);
        }
        let seed = experiment.seed;
        let kind = errors.alike().unwrap_or(population.kind());
        let sampled = SampledChips { population, seed, kind };
        let mut to_draw = None;
        let rates = experiment.preset.is_some() || !experiment.rates.is_empty();
        let noisy = experiment.read_noise_mv.is_some();
        let mut reads = if rates { ReadsOf::Rates } else { ReadsOf::Population { noisy } };
        let mut fault_kind = errors.word();
        let cells: Box<dyn CellSource> = match errors {
            ReadErrors::Alike(_) | ReadErrors::Measured | ReadErrors::Transient if moves_map => {
                let measured = measured::source(&chip_files, &candidates, seed, errors.alike());
                let maps = || measured.chips.iter().flat_map(|chip| chip.errors.values().flatten());
                let varying = maps().any(|error| error.rates.largest() < 1.0);
                reads = ReadsOf::Measured { varying };
                if errors == ReadErrors::Measured {
                    fault_kind = chip_file::kind_of(maps()).map_or(fault_kind, FaultKind::word);
                }
                Box::new(measured)
            }
            ReadErrors::Transient if experiment.read_noise_mv.is_none() => {
                Box::new(Transient { seed })
            }
            ReadErrors::Alike(_) | ReadErrors::Measured | ReadErrors::Transient => {
                to_draw = Some(&sampled);
                Box::new(sampled.clone())
            }
        };
        let first_chip = first_chip(to_draw, &candidates[0], &chip_files);
        let useless = |(remedy, candidate): (&crate::remedy::Remedy, &Candidate)| {
            let map = cells.map_kind();
            let reason = candidate.protection.useless(map)?;
            let blamed = remedy.protection.blamed(|alone| alone.useless(map).is_some());
            let each = |index: usize| &remedy.protection.each[index].span;
            let span = blamed.map_or(&remedy.protection_span, each);
            let refused = Diagnostic::new("protection", reason).at(&source, span.clone());
            Some(refused.hint("choose `fault_kind = \"stuck_at\"`, or leave the mechanism away"))
        };
        let useless = experiment.remedies.iter().zip(&candidates[1..]).filter_map(useless);
        let unlike = experiment.remedies.iter().filter_map(|remedy| {
            let refused = remedy.protection.protection.known().refused(reads)?;
            Some(refused.at(&source, remedy.protection.known_span.clone()))
        });
        if let Some(problems) = Diagnostics::from_list(useless.chain(unlike).collect()) {
            return Err(problems);
        }
        let nominal = shared.nominal.expect("the first candidate was priced");
        if let Some(images) = &calibration {
            inputs.push(input("calibration", &images.name, images.sha256.clone()));
        }
        let mut notes =
            notes(&experiment, errors, &candidates[0], &accelerator, &nominal, &chip_files);
        if experiment.errors.is_none() && experiment.preset.is_none() && to_draw.is_some() {
            notes.extend(profile.kind_note());
        }
        let lowest = experiment.vdd_mv.last().map_or(profile.v_ref_mv(), |vdd_mv| vdd_mv.value);
        let lowest = operating_point(&profile, &experiment.memories, lowest);
        for note in energy::notes(&accelerator, &profile, &lowest) {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        if candidates.len() > 1 {
            let costs_name = &experiment.protection_costs.value;
            inputs.push(input("protection costs", costs_name, sha256(costs.text().as_bytes())));
            notes.push(format!(
                "remedies: every voltage and saving refers to the experiment's own network, unprotected \
                 at the nominal voltage; costs of protection from the table `{}`, which marks estimates",
                costs.name()
            ));
            notes.extend(candidates.iter().flat_map(|candidate| candidate.remarks.iter().cloned()));
            for candidate in &candidates {
                let cautions = candidate.protection.cautions(cells.map_kind());
                let cautions = cautions.into_iter().filter(|caution| !notes.contains(caution));
                notes.extend(cautions.collect::<Vec<_>>());
            }
            let tested = candidates.iter().filter(|of| !of.protection.known().is_exact());
            notes.extend(tested.map(|candidate| {
                let known = candidate.protection.known().describe();
                format!("remedy `{}` works from the {known}", candidate.name)
            }));
            let alone =
                candidates.iter().filter(|candidate| candidate.has_no_exact_twin(&candidates));
            notes.extend(alone.map(|candidate| {
                format!(
                    "remedy `{}`: what its map loses is not known; a remedy with the same mechanisms and no \
                     `known` tells",
                    candidate.name
                )
            }));
        }
        // Chips of a population differ by number alone.
        let different = if moves_map { experiment.chips } else { 1 };
        let every_image = errors == ReadErrors::Transient;
        let reads = if every_image { Reads::EveryImage } else { Reads::Once };
        let chip_id = |chip| identity::chip(&cells.identity(chip), reads);
        let chip_ids = (0..different).map(chip_id).collect();
        let setting = setting(&experiment, fault_kind, &candidates[0], &accelerator, &profile);
        let (data_span, layout_span) =
            (experiment.data.span.clone(), experiment.layout.span.clone());
        let mut plan = Self {
            nominal: Nominal {
                vdd_mv: profile.v_ref_mv(),
                energy_per_inference_nj: nominal.total_nj,
                latency_us: nominal.latency_us,
            },
            name: experiment.name,
            first_chip,
            candidates,
            source: cells,
            reads,
            chips: experiment.chips,
            offset_bits: experiment.layout.offset_bits,
            first_image: experiment.first_image.value as u64,
            with_union: experiment.preset.is_some(),
            accelerator,
            profile,
            setting,
            notes,
            subject,
            inputs,
            digest: String::new(),
            chip_ids,
            data_id: data.sha256()[..16].to_owned(),
            data,
            calibration,
            moves_map,
        };
        plan.check_sizes(&data_span, &layout_span)
            .map_err(|(span, code, message)| at(&span, code, message))?;
        plan.digest = identity::plan(&plan);
        Ok(plan)
    }
}

/// The resolved names of an experiment.
struct Parts {
    graph: Graph,
    data: Dataset,
    calibration: Option<CalibrationImages>,
    accelerator: Accelerator,
    profile: VoltageProfile,
    costs: ProtectionCosts,
    chip_files: Vec<ChipFile>,
}

fn input(role: &str, name: &str, sha256: String) -> InputDigest {
    InputDigest { role: role.to_owned(), name: name.to_owned(), sha256 }
}

/// The digests of the experiment's own inputs.
fn inputs(
    experiment: &Experiment,
    graph_sha256: &str,
    data: &Dataset,
    accelerator: &Accelerator,
    profile: &VoltageProfile,
) -> Vec<InputDigest> {
    let text = |text: &str| sha256(text.as_bytes());
    vec![
        input("model", &experiment.model.value, graph_sha256.to_owned()),
        input("data", &experiment.data.value, data.sha256()),
        input("accelerator", &experiment.accelerator.value, text(accelerator.text())),
        input("profile", &experiment.profile.value, text(profile.text())),
    ]
}

/// The problem of a memory that hangs on the rail of another with another supply: its errors and its energy
/// would be those of two voltages.
fn shared_rail(
    experiment: &Experiment,
    accelerator: &Accelerator,
    profile: &VoltageProfile,
) -> Option<Diagnostic> {
    let lowest = experiment.vdd_mv.last().map_or(profile.v_ref_mv(), |vdd_mv| vdd_mv.value);
    let point = operating_point(profile, &experiment.memories, lowest);
    Memory::ALL.into_iter().find_map(|(word, memory)| {
        let rail = accelerator.memories.get(memory).rail;
        let (hangs_mv, errs_mv) = (point.vdd_mv(rail), point.vdd_mv(memory.rail()));
        let message = || {
            format!(
                "the {word} memory of `{}` hangs on the {} rail at {hangs_mv} mV, and is to err at {errs_mv} mV",
                accelerator.name(),
                rail.word()
            )
        };
        (hangs_mv != errs_mv).then(|| {
            Diagnostic::new("rail", message()).hint(
                "give both memories the same supply, or each a `rail` of its own in the accelerator's file",
            )
        })
    })
}

/// Remarks for readers of the results.
fn notes(
    experiment: &Experiment,
    errors: ReadErrors,
    own: &Candidate,
    accelerator: &Accelerator,
    nominal: &EnergyReport,
    chip_files: &[ChipFile],
) -> Vec<String> {
    let placement = &own.placement;
    let larger = placement.weights.resident().and_then(|it| it.larger_note(accelerator.name()));
    let mut notes = Vec::from_iter(larger);
    notes.push(supplies_note(experiment));
    notes.push(weights::note(&placement.weights, accelerator));
    notes.extend(placement.activations.as_ref().and_then(wrapping_note));
    notes.extend(nominal.notes.iter().cloned());
    notes.extend(experiment.preset.map(|preset| preset.note().to_owned()));
    if !chip_files.is_empty() {
        notes.push(measured::note(experiment, chip_files, placement));
    }
    let weight_reads = || candidates::weight_reads(accelerator, own);
    notes.extend(measured::errors_note(experiment, errors, &weight_reads));
    if experiment.layout.offset_bits.len() > 1 {
        notes.push(
            "every chip at every offset counts as a chip; intervals take only chips as independent, not \
             their offsets"
                .to_owned(),
        );
    }
    notes.extend(experiment.read_noise_mv.as_ref().map(|noise| {
        format!(
            "read noise of {} mV: the critical voltage of each cell varies from read to read; `cell_fault_rate` is that without noise",
            noise.value
        )
    }));
    notes
}

/// The memories whose accesses are compared between remedies: those that are lowered or protected.
fn counted(experiment: &Experiment) -> PerMemory<bool> {
    let protects = |memory| {
        experiment.remedies.iter().any(|remedy| !remedy.protection.protection.of(memory).is_empty())
    };
    PerMemory::from_fn(|memory| experiment.memories.lowered(memory) || protects(memory))
}

/// The setting in words, for results.
fn setting(
    experiment: &Experiment,
    fault_kind: &str,
    own: &Candidate,
    accelerator: &Accelerator,
    profile: &VoltageProfile,
) -> Setting {
    Setting {
        model: experiment.model.value.clone(),
        rounding: own.graph.rounding.word().to_owned(),
        pixels: own.graph.pixels_in_words(),
        data: experiment.data.value.clone(),
        accelerator: accelerator.name().to_owned(),
        profile: profile.name().to_owned(),
        fault_kind: fault_kind.to_owned(),
        read_noise_mv: experiment.read_noise_mv.as_ref().map(|noise| noise.value),
        placement: experiment.placement.word().to_owned(),
        memories: experiment.memories.words(),
        layout: experiment.layout.words(),
        offsets: experiment.layout.offset_bits.len(),
        weight_bits: own.weight_bits(),
        weights: own.weights(),
        stored_bits: own.stored_bits(),
        activation_bits: own.placement.activation_bits(),
        accumulator_bits_read: own.placement.accumulator_bits_read(),
        macs_per_image: own.graph.macs(),
        vdd_nominal_mv: profile.v_ref_mv(),
        vdd_reference: profile.reference(),
        seed: experiment.seed.to_string(),
        accuracy_loss_max: experiment.accuracy_loss_max_pct / 100.0,
        yield_target: experiment.yield_target_pct / 100.0,
        confidence: experiment.confidence_pct / 100.0,
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
    let mut refused = None;
    for vdd_mv in experiment.vdd_mv.iter().chain(experiment.memories.fixed()) {
        // The voltages of chip files share one place: once is enough.
        let again = !experiment.chip_files.is_empty() && refused == Some(&vdd_mv.span);
        if let (Err(problem), false) = (profile.check(vdd_mv.value), again) {
            refused = Some(&vdd_mv.span);
            problems.push(problem.at(&experiment.source, vdd_mv.span.clone()));
        }
    }
}

fn supplies_note(experiment: &Experiment) -> String {
    match experiment.memories.words() {
        words if words.is_empty() => {
            "only the weight memory's supply is lowered; all others stay at the nominal voltage"
                .to_owned()
        }
        words => format!("{words}; what is nominal makes no errors"),
    }
}

fn wrapping_note(placement: &ActivationPlacement) -> Option<String> {
    let wrapping = placement
        .tensors
        .iter()
        .enumerate()
        .filter(|&(tensor, placed)| placed.owner == tensor && placed.wraps)
        .count();
    (wrapping > 0).then(|| {
        format!(
            "{wrapping} activation tensors find no room in the activation memory and pass through it in \
             pieces"
        )
    })
}
