//! The remedies of an experiment in its plan.

use std::path::Path;

use vmin_accel::energy::{self, OperatingPoint};
use vmin_accel::{ProtectionCosts, ResidentPlacement, cycles};
use vmin_diagnostic::{Diagnostic, Diagnostics};
use vmin_emulator::Emulator;
use vmin_sram::STORED_CELLS_MAX;

use super::Plan;
use super::digest::{digest, sha256};
use crate::names::{self, Names};
use crate::remedy::{self, Shared};
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
        let mut weight_memory_nj = 0.0;
        if let Ok(layers) = vmin_accel::layers_of_graph(&self.graph) {
            let schedule = self.placement.schedule(&self.accelerator);
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
}
