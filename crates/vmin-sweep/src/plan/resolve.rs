//! From the words of an experiment to a plan: every name looked up, every problem told.

use std::path::Path;

use vmin_accel::cycles;
use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::placement::ActivationPlacement;
use vmin_accel::{Accelerator, VoltageProfile};
use vmin_diagnostic::{Diagnostic, Diagnostics, Located, Source, with_causes};
use vmin_nn::Graph;
use vmin_nn::data::{Dataset, Split};

use super::digest::{digest, inputs};
use super::layout::address_maps;
use super::{Nominal, Plan, measured, operating_points, weights};
use crate::buffers::BufferPlacements;
use crate::chip_file::ChipFile;
use crate::experiment::{Experiment, Layout, Memory, NotAnExperiment};
use crate::names::{Names, collected, keep};
use crate::preset;
use crate::results::InputDigest;

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
                keep(&mut problems, names.data(data, Split::Test));
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
            .and_then(|graph| names.with_bits(graph, experiment.bits.as_ref()));
        let graph = keep(&mut problems, graph);
        let data = names
            .data(&experiment.data, Split::Test)
            .and_then(|all| select_images(all, &experiment));
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
        let memory = &accelerator.memories.weight;
        let layout = &experiment.layout;
        let placement = weights::place(&experiment, &accelerator, &graph)?;
        // A measured map is moved by the offset, the model over it stays.
        let over_files = (!chip_files.is_empty())
            .then(|| Layout { offset_bits: vec![0; layout.offset_bits.len()], ..layout.clone() });
        let layout = over_files.as_ref().unwrap_or(layout);
        let address_maps = address_maps(layout, placement.geometry(), memory.word_bits, &graph)
            .map_err(|(span, message)| at(&span, "placement", message))?;
        let layers = vmin_accel::layers_of_graph(&graph)
            .map_err(|error| at(&experiment.model.span, "model", error.to_string()))?;
        let layers = cycles::run(&accelerator, placement.schedule(&accelerator), &layers);
        let nominal_point = OperatingPoint::nominal(&profile);
        let nominal = energy::per_inference(&accelerator, &profile, &layers, &nominal_point);
        let points = operating_points::points(
            &experiment,
            &accelerator,
            &profile,
            &layers,
            &nominal,
            &chip_files,
        );
        let buffers = BufferPlacements::of(&experiment.memories, &accelerator, &graph);
        let buffers = buffers.map_err(|error| {
            let span = experiment.memories.accumulator_span.clone().unwrap_or(0..0);
            at(&span, "placement", error.to_string())
        })?;
        let of_buffers = [Memory::Activation, Memory::Accumulator].map(|m| buffers.cells(m));
        let largest = of_buffers.into_iter().fold(placement.geometry().cells(), u64::max);
        measured::check(&experiment, &chip_files, largest, &source)?;
        let mut notes = vec![supplies_note(&experiment)];
        notes.extend(weights::note(&placement, &accelerator));
        notes.extend(buffers.activations.as_ref().and_then(wrapping_note));
        notes.extend(nominal.notes.iter().cloned());
        notes.extend(experiment.preset.map(|preset| preset.note().to_owned()));
        if !chip_files.is_empty() {
            notes.push(measured::note(&experiment, &chip_files, placement.geometry().cells()));
        }
        notes.extend(measured::errors_note(&experiment));
        notes.extend(experiment.read_noise_mv.as_ref().map(|noise| {
            format!(
                "read noise of {} mV: the critical voltage of each cell varies from read to read; `cell_fault_rate` is that without noise",
                noise.value
            )
        }));
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
            buffers,
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
    for vdd_mv in experiment.vdd_mv.iter().chain(experiment.memories.fixed()) {
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
