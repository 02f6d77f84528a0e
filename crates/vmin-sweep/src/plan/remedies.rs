//! The remedies of an experiment in its plan.

use std::ops::Range;
use std::path::Path;

use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::{ProtectionCosts, cycles};
use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_emulator::Emulator;
use vmin_nn::Graph;
use vmin_sram::STORED_CELLS_MAX;

use super::digest::{digest, sha256};
use super::layout::address_maps;
use super::{Plan, accesses_nj, weights};
use crate::buffers::BufferPlacements;
use crate::experiment::{Experiment, Memory};
use crate::names::{self, Names};
use crate::remedy::{self, Placed, Remedy, Shared};
use crate::results::InputDigest;

impl Plan {
    /// The plan with the remedies of its experiment.
    pub(super) fn with_remedies(
        mut self,
        costs: &ProtectionCosts,
        base: &Path,
    ) -> Result<Self, Diagnostics> {
        if self.experiment.remedies.is_empty() {
            return Ok(self);
        }
        let experiment = &self.experiment;
        let source = &experiment.source;
        let names = Names::new(source, base);
        let mut nominal_accesses_nj = 0.0;
        if let Ok(layers) = vmin_accel::layers_of_graph(&self.graph) {
            let schedule = self.placement.schedule(&self.accelerator);
            let layers = cycles::run(&self.accelerator, schedule, &layers);
            let point = OperatingPoint::nominal(&self.profile);
            let nominal = energy::per_inference(&self.accelerator, &self.profile, &layers, &point);
            nominal_accesses_nj = accesses_nj(&experiment.memories, &nominal.by_component);
        }
        let shared = Shared {
            source,
            experiment,
            graph: &self.graph,
            accelerator: &self.accelerator,
            profile: &self.profile,
            costs,
            nominal_accesses_nj,
        };
        let own = |remedy: &Remedy| {
            let graph = match (&remedy.model, &remedy.bits) {
                (None, None) => return Ok(None),
                (Some(model), _) => names.model(model)?,
                (None, Some(_)) => names.model(&experiment.model)?,
            };
            let graph = names::with_bits(graph, source, remedy.bits.as_ref())?;
            let span = remedy.model.as_ref().map_or(&remedy.name.span, |model| &model.span);
            let saved = vmin_nn::import::native::save(&graph).map_err(|error| {
                Diagnostic::new("model", error.to_string()).at(source, span.clone())
            })?;
            Ok(Some((graph, sha256(&saved))))
        };
        let place = |remedy: &Remedy, graph: &Graph| self.placed(remedy, graph);
        let remedies = remedy::plan_remedies(&shared, self.points.len(), own, place)?;
        for remedy in &remedies {
            let cells =
                remedy.placement.geometry().cells() as f64 * (1.0 + remedy.extra_bits_share);
            let deepest = remedy.points.last();
            let mut faulty = deepest.map_or(0.0, |point| cells * point.cell_fault_rate);
            for memory in [Memory::Activation, Memory::Accumulator] {
                let at = deepest.and_then(|point| point.supplies[memory.number() as usize]);
                let rate = at.map_or(0.0, |at| at.cell_fault_rate);
                faulty += remedy.buffers.cells(memory) as f64 * rate;
            }
            if faulty > STORED_CELLS_MAX as f64 {
                let message = format!(
                    "at the lowest voltage of remedy `{}` {:.1e} cells of each chip would be \
                     faulty; at most {STORED_CELLS_MAX} can be held",
                    remedy.name, faulty
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

    /// A remedy's network where the experiment puts networks. Checked here, where the place is known:
    /// labels, image size, width of codes.
    fn placed(&self, remedy: &Remedy, graph: &Graph) -> Result<Placed, Diagnostics> {
        let Experiment { source, memories, layout, .. } = &self.experiment;
        let span = remedy.model.as_ref().map_or(&remedy.name.span, |model| &model.span);
        let refused = |code: &'static str, span: &Range<usize>, message: String| {
            Diagnostic::new(code, message).at(source, span.clone())
        };
        let placement = weights::place(&self.experiment, &self.accelerator, graph)?;
        let word_bits = self.accelerator.memories.weight.word_bits;
        let address_maps = address_maps(layout, placement.geometry(), word_bits, graph).map_err(
            |(span, message)| {
                let of = format!("these are the codes of remedy `{}`", remedy.name.value);
                refused("placement", &span, message).hint(of)
            },
        )?;
        let buffers = BufferPlacements::of(memories, &self.accelerator, graph)
            .map_err(|error| refused("placement", span, error.to_string()))?;
        Emulator::placed(graph, &placement, self.images(), vmin_kernels::best())
            .map_err(|error| refused("does-not-fit", span, error.to_string()))?;
        Ok(Placed { placement, address_maps, buffers })
    }
}
