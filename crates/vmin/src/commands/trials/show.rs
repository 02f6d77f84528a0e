//! `vmin trials show`: the trials of a store, one by one.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, thousands};
use vmin_sweep::store::{AboutWhat, Store};
use vmin_sweep::{Counts, Record, TrialId};

use super::{error, images_of, opened, percent, short, supply_words, word};
use crate::args::trials::ShowArgs;
use crate::{Answer, Failure, answer};

/// Trials with their errors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shown {
    /// Sorted by candidate, chip, supplies and images.
    rows: Vec<Row>,
}

/// One trial.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    /// Digest of network, placement and protection.
    candidate: String,
    /// The network, `-` if nothing describes it.
    network: String,
    protection: String,
    /// Digest of what decides the chip's faulty cells.
    chip_id: String,
    /// Number of the chip.
    chip: u32,
    /// Offset of the network on it.
    offset_bits: u64,
    /// Supplies of the memories that can err.
    supplies: String,
    /// Name of the images.
    images_id: String,
    /// Number of images, if their name tells it.
    images: Option<u64>,
    /// Right predictions.
    correct: u64,
    /// Right predictions with and without bit errors.
    correct_union: u64,
    /// Share of wrong predictions.
    err: Option<f64>,
    /// Faulty cells met in the weight memory.
    weight_cells: u64,
    /// Bits changed there.
    weight_bits: u64,
    activation_cells: u64,
    activation_bits: u64,
    accumulator_cells: u64,
    accumulator_bits: u64,
}

/// Shows the trials of a store that the options name.
///
/// # Errors
/// The folder holds no store that can be read, or no such trial.
pub fn run(args: &ShowArgs) -> Result<Shown, Failure> {
    let store = opened(&args.store)?;
    let begins = |text: &str, wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| text.starts_with(wanted.as_str()))
    };
    let found = store.select(|trial: &TrialId| {
        let at = |mv: f64| trial.supplies.present().any(|(_, at)| at.vdd_mv == mv);
        begins(&trial.candidate, &args.candidate)
            && begins(&trial.images, &args.images)
            && args.chip.is_none_or(|chip| trial.chip.number == chip)
            && args.vdd_mv.is_none_or(at)
    });
    if found.is_empty() {
        let message = format!("the store `{}` holds no such trial", args.store.display());
        return Err(Diagnostic::new("out-of-range", message)
            .hint("`vmin trials list DIR` tells what is there")
            .into());
    }
    Ok(Shown { rows: found.into_iter().map(|record| row(&store, record)).collect() })
}

fn row(store: &Store, record: Record) -> Row {
    let Record { trial, counts } = record;
    let Counts { correct, correct_union, weight, activation, accumulator } = counts;
    let of_candidate = |key| word(store, AboutWhat::Candidate, &trial.candidate, key);
    Row {
        network: of_candidate("network"),
        protection: of_candidate("protection"),
        supplies: supply_words(&trial.supplies),
        images: images_of(&trial.images),
        err: error(&trial.images, correct, 1),
        chip_id: trial.chip.chip,
        chip: trial.chip.number,
        offset_bits: trial.chip.offset_bits,
        candidate: trial.candidate,
        images_id: trial.images,
        correct,
        correct_union,
        weight_cells: weight[0],
        weight_bits: weight[1],
        activation_cells: activation[0],
        activation_bits: activation[1],
        accumulator_cells: accumulator[0],
        accumulator_bits: accumulator[1],
    }
}

impl Answer for Shown {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    fn table(&self) -> String {
        let header = ["candidate", "network", "protection", "supplies", "chip", "offset", "images"];
        let header: Vec<&str> = header.into_iter().chain(["right", "error (%)"]).collect();
        let rows = self.rows.iter().map(|row| {
            let mut cells = vec![short(&row.candidate)];
            cells.extend([&row.network, &row.protection, &row.supplies].map(Clone::clone));
            cells.extend([row.chip.to_string(), thousands(row.offset_bits)]);
            cells.push(row.images.map_or_else(|| "-".to_owned(), thousands));
            cells.extend([thousands(row.correct), percent(row.err)]);
            cells
        });
        answer::fitted(&header, 4, &["offset", "right"], rows)
    }
}
