//! What a deployment of one chip is: its identity, its files, what to expect of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vmin_files::sha256;
use vmin_nn::Graph;
use vmin_protection::ProtectionCosts;
use vmin_protection::mechanism::Shape;

use super::super::setup::Setup;
use crate::Failure;
use crate::args::OnChipArgs;

/// Its file.
pub(super) const MANIFEST: &str = "manifest.json";
/// Version of the format.
pub(super) const VERSION: u32 = 2;

/// `manifest.json`: one network on one chip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub deployment_version: u32,
    /// Version of the program.
    pub vmin: String,
    /// The network, as named.
    pub model: String,
    /// Number of the chip, in its population or among the chip files.
    pub chip: u32,
    /// The options that name chips, supplies and places, as typed.
    pub on_chip: OnChipArgs,
    /// The mechanisms, each as TOML.
    pub remedies: Vec<String>,
    /// Digests and values of all that decides what the chip does.
    pub subject: Subject,
    /// How faulty cells err.
    pub fault_kind: String,
    /// What was written and what the chip does to it.
    pub counts: Counts,
    /// Errors, if images were given.
    pub expected: Option<Expected>,
    /// Price of each mechanism.
    pub prices: Vec<RemedyPrice>,
    /// What is known of the chip: `exact`, or the table of the test; absent where no remedy works from a fault map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// The table of costs.
    pub costs: String,
    /// SHA-256 of every other file of the deployment.
    pub files: BTreeMap<String, String>,
}

/// What decides the codes that a chip gives back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Digest of the network with its rules for pixels and rounding.
    pub network_sha256: String,
    /// Digest of the accelerator's description.
    pub accelerator_sha256: String,
    /// Where the chip's faulty cells come from, by value.
    pub chip: Value,
    /// The supplies of each memory, by value.
    pub supplies: Value,
    /// Mechanisms and what is known of the chip, by value.
    pub mechanisms: Value,
}

impl Subject {
    /// Of a network with this digest.
    pub(super) fn of(network_sha256: &str, setup: &Setup, chip: u32) -> Result<Self, Failure> {
        let supplies = serde_json::to_value(&setup.chips.supplies).map_err(std::io::Error::from)?;
        Ok(Self {
            network_sha256: network_sha256.to_owned(),
            accelerator_sha256: sha256(setup.accelerator.text().as_bytes()),
            chip: setup.chips.source.identity(chip),
            supplies,
            mechanisms: setup.typed.protection().identity(),
        })
    }

    /// What differs from another, if anything does.
    pub(super) fn differs(&self, other: &Self) -> Option<&'static str> {
        let Self { network_sha256, accelerator_sha256, chip, supplies, mechanisms } = self;
        let differ = [
            ("the network", *network_sha256 != other.network_sha256),
            ("the accelerator", *accelerator_sha256 != other.accelerator_sha256),
            ("the chip", *chip != other.chip),
            ("a supply", *supplies != other.supplies),
            ("a mechanism", *mechanisms != other.mechanisms),
        ];
        differ.into_iter().find_map(|(what, differs)| differs.then_some(what))
    }
}

/// Digest of a network with its rules for pixels and rounding.
pub(super) fn network_sha256(graph: &Graph) -> Result<String, Failure> {
    let bytes =
        vmin_nn::import::native::save(graph).map_err(|error| Failure::input("model", &error))?;
    Ok(sha256(&bytes))
}

/// What was written, and what the chip does to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Faulty cells under stored bits of weights, without remedies.
    pub cells_faulty: u64,
    /// Bits of weights that are wrong as read, without remedies.
    pub flips_unprotected: u64,
    /// The same with remedies.
    pub flips_deployed: u64,
    /// Codes that are written in place of others.
    pub codes_changed: u64,
    /// Rows of images that are stored inverted.
    pub rows_inverted: u64,
    /// Rows of all memories that hold another row.
    pub rows_moved: u64,
    /// Places along axes of weights that hold another channel.
    pub channels_moved: u64,
    /// Lanes of all memories that are rotated.
    pub lanes_rotated: u64,
}

/// The errors on a set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expected {
    /// The set, as named.
    pub data: String,
    /// Digest of the images.
    pub data_sha256: String,
    /// Number of the first image.
    pub first_image: u64,
    /// Images.
    pub images: u64,
    /// Share of images that the network without bit errors classifies wrong.
    pub err_clean: f64,
    /// The same on the chip without remedies.
    pub err_unprotected: f64,
    /// The same on the chip as deployed.
    pub err_deployed: f64,
    /// The same where remedies work from the exact map of the chip; absent where they do anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err_exact_map: Option<f64>,
    /// By how much `err_deployed` exceeds that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_by_map: Option<f64>,
    /// Digest of the classes that the deployed chip predicts.
    pub predictions_sha256: String,
}

/// Digest of predicted classes.
pub(super) fn predictions_sha256(predictions: &[usize]) -> String {
    let bytes: Vec<u8> = predictions.iter().flat_map(|&of| (of as u64).to_le_bytes()).collect();
    sha256(&bytes)
}

/// What a mechanism costs in its memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RemedyPrice {
    /// Its word.
    pub kind: String,
    /// Its memory.
    pub memory: String,
    /// In words.
    pub description: String,
    /// Extra energy of an access, as a share of it, without gates.
    pub access_share: f64,
    /// Extra cells, as a share of the memory's.
    pub cells_share: f64,
    /// Area of extra cells and gates, as a share of that of the memory's bit cells: an estimate.
    pub area_share: f64,
    /// Two-input gates of the encoder, per data bit.
    pub encoder_gates_per_bit: f64,
    /// Two-input gates of the decoder, per data bit.
    pub decoder_gates_per_bit: f64,
    /// Work at start-up or before that no inference pays for.
    pub startup: Option<String>,
}

/// The prices of all mechanisms in memories with codes of these widths.
pub(super) fn prices(
    setup: &Setup,
    extents: &vmin_accel::PerMemory<vmin_protection::Extent>,
    costs: &ProtectionCosts,
) -> Vec<RemedyPrice> {
    let of = |(memory, mechanism): (vmin_accel::Memory, &dyn vmin_protection::Mechanism)| {
        let on_chip = setup.accelerator.memories.get(memory);
        let code_bits = extents.get(memory).code_bits.max(1);
        let shape = Shape { geometry: on_chip.geometry, word_bits: on_chip.word_bits, code_bits };
        let price = mechanism.price(costs, shape);
        let gates = |of: fn(&vmin_protection::mechanism::Codec) -> f64| {
            price.codec.as_ref().map_or(0.0, |codec| of(codec) / codec.data_bits)
        };
        RemedyPrice {
            kind: mechanism.kind().to_owned(),
            memory: memory.word().to_owned(),
            description: mechanism.describe(),
            access_share: price.access_share + price.check_share,
            cells_share: price.check_share + price.idle_share,
            area_share: price.area_share(costs, shape),
            encoder_gates_per_bit: gates(|codec| codec.encoder_gates),
            decoder_gates_per_bit: gates(|codec| codec.decoder_gates),
            startup: mechanism.startup(),
        }
    };
    setup.typed.protection().iter().map(of).collect()
}
