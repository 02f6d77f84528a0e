//! What decides the results of a plan, as digests: a journal belongs to one plan alone.

use serde::Serialize;
use sha2::{Digest, Sha256};
use vmin_accel::{Accelerator, VoltageProfile};
use vmin_nn::data::Dataset;
use vmin_nn::{Graph, ModelError};

use crate::experiment::Experiment;
use crate::preset::Preset;
use crate::remedy::Remedy;
use crate::results::InputDigest;

/// Raised with every change that gives another result from the same inputs, so that no journal is
/// continued by a program that would have computed it differently.
const RESULTS_REVISION: u32 = 2;

/// The digest of each input.
pub(super) fn inputs(
    experiment: &Experiment,
    graph: &Graph,
    data: &Dataset,
    accelerator: &Accelerator,
    profile: &VoltageProfile,
) -> Result<Vec<InputDigest>, ModelError> {
    let entry = |role: &str, name: &str, sha256: String| InputDigest {
        role: role.to_owned(),
        name: name.to_owned(),
        sha256,
    };
    Ok(vec![
        entry("model", &experiment.model.value, sha256(&vmin_nn::import::native::save(graph)?)),
        entry("data", &experiment.data.value, data.sha256()),
        entry("accelerator", &experiment.accelerator.value, sha256(accelerator.text().as_bytes())),
        entry("profile", &experiment.profile.value, sha256(profile.text().as_bytes())),
    ])
}

/// Everything that decides a result, and nothing else: comments and file names may change.
#[derive(Serialize)]
struct Decisive<'a> {
    vmin: &'a str,
    revision: u32,
    name: &'a str,
    inputs: Vec<&'a str>,
    first_image: usize,
    vdd_mv: Vec<f64>,
    fault_kind: &'a str,
    placement: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    memories: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_noise_mv: Option<f64>,
    layout: String,
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    layer_first_bits: &'a [u64],
    offset_bits: &'a [u64],
    chips: u32,
    seed: u64,
    accuracy_loss_max_pct: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rates: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remedies: Vec<String>,
}

/// The digest of everything that decides a result.
pub(super) fn digest(experiment: &Experiment, inputs: &[InputDigest]) -> String {
    let decisive = Decisive {
        vmin: env!("CARGO_PKG_VERSION"),
        revision: RESULTS_REVISION,
        name: &experiment.name,
        inputs: inputs.iter().map(|input| input.sha256.as_str()).collect(),
        first_image: experiment.first_image.value,
        vdd_mv: experiment.vdd_mv.iter().map(|vdd_mv| vdd_mv.value).collect(),
        fault_kind: experiment.errors.word(),
        placement: experiment.placement.word(),
        memories: experiment.memories.words(),
        read_noise_mv: experiment.read_noise_mv.as_ref().map(|noise| noise.value),
        layout: experiment.layout.words(),
        layer_first_bits: &experiment.layout.layer_first_bits,
        offset_bits: &experiment.layout.offset_bits,
        chips: experiment.chips,
        seed: experiment.seed,
        accuracy_loss_max_pct: experiment.accuracy_loss_max_pct,
        rates: experiment.rates.iter().map(|rate| rate.value).collect(),
        preset: experiment.preset.map(|preset| match preset {
            Preset::Stutz => "stutz",
        }),
        remedies: experiment
            .remedies
            .iter()
            .map(|remedy| decisive_words(experiment, remedy))
            .collect(),
    };
    sha256(&serde_json::to_vec(&decisive).expect("finite numbers and texts serialise"))
}

/// All of a remedy that decides its results and is no input with a digest of its own.
fn decisive_words(experiment: &Experiment, remedy: &Remedy) -> String {
    let vdd_mv: Option<Vec<f64>> =
        remedy.vdd_mv.as_ref().map(|list| list.iter().map(|vdd_mv| vdd_mv.value).collect());
    format!(
        "{:?} {:?} {:?} {:?}",
        remedy.name.value, remedy.protection, vdd_mv, experiment.yield_target_pct
    )
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
