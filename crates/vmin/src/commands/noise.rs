//! `vmin noise`: how large is what a fault map does to images, activations and weights.
//!
//! ```text
//!  chip x supply ─> weights as read ─────────────────────> norms per tensor      norms.rs
//!  chip x supply x image ─> input and activations as read ─> norms per tensor
//!  first chip x supply x some images ─> pictures                                 pictures.rs
//! ```

mod norms;
mod page;
mod pictures;
mod text;

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::Diagnostic;
use vmin_emulator::{Changes, Emulator, LOAD, OpenChip, Reads, Stopped, Supplies, TrialSpec};
use vmin_nn::Graph;
use vmin_nn::data::Dataset;

pub use self::norms::Row;

use self::norms::{Norms, Tally};
use self::pictures::Pictures;
use super::setup::{self, Asked, Setup};
use crate::args::{MemorySupply, NoiseArgs, OnChipArgs};
use crate::progress::Progress;
use crate::{Answer, Failure, answer, compute, files};

/// How large errors of memories are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Noise {
    /// The network, as named.
    pub model: String,
    /// The image set, as named.
    pub data: String,
    /// Images on each chip at each supply.
    pub images: usize,
    /// Chips.
    pub chips: usize,
    /// How faulty cells err.
    pub fault_kind: Option<&'static str>,
    /// The accelerator.
    pub accelerator: String,
    /// `resident` or `streamed`.
    pub placement: &'static str,
    /// The voltage profile, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The protection in words, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<String>,
    /// Seed of the chips, as text: JSON numbers have 53 bits.
    pub chip_seed: String,
    /// Usual budgets of attacks on images.
    pub budgets: Vec<Budget>,
    /// Each tensor at each supply.
    pub rows: Vec<Row>,
    #[serde(skip)]
    pictures: Option<Pictures>,
}

/// A usual budget of attacks on the images of a set, pixels from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Budget {
    /// The set.
    pub set: &'static str,
    /// Pixels that may change.
    pub l0: f64,
    /// Sum of the changes.
    pub l1: f64,
    /// Root of the sum of their squares.
    pub l2: f64,
    /// Largest change.
    pub linf: f64,
    /// Where it is from.
    pub source: &'static str,
}

const SOURCE: &str =
    "D. Stutz, M. Hein, B. Schiele: Confidence-Calibrated Adversarial Training, ICML 2020";

/// The budgets that errors are compared with.
pub const BUDGETS: [Budget; 2] = [
    Budget { set: "MNIST", l0: 15.0, l1: 18.0, l2: 3.0, linf: 0.3, source: SOURCE },
    Budget { set: "CIFAR-10", l0: 10.0, l1: 24.0, l2: 2.0, linf: 0.03, source: SOURCE },
];

/// Measures what the memories of chips do at several supplies.
///
/// # Errors
/// A name leads nowhere, the parts do not fit each other, or the run was stopped.
pub fn run(args: &NoiseArgs, stop: &AtomicBool) -> Result<Noise, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn interrupted(_: Stopped) -> Failure {
    Failure::Interrupted("interrupted".to_owned())
}

fn run_here(args: &NoiseArgs, stop: &AtomicBool) -> Result<Noise, Failure> {
    if let Some(path) = &args.report {
        files::check(path, files::Output::page("noise"))?;
    }
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let swept_mv = setup::swept_mv(&args.on_chip)?;
    let own = &args.on_chip.on_chip;
    let activation_vdd_mv = own.activation_vdd_mv.or(Some(MemorySupply::Same));
    let vdd_mv = swept_mv.last().copied();
    let on_chip = OnChipArgs { vdd_mv, activation_vdd_mv, ..own.clone() };
    let graph = setup::network(&args.model, &on_chip)?;
    let data = setup::images(&args.data, Some(&args.images))?;
    let pictures = Pictures::new(args, &graph, &data)?;
    let asked = Asked { option: "--protect", mechanisms: &args.protect, if_of_use: false };
    let setup = Setup::over(&graph, &on_chip, asked, &swept_mv)?;
    let named = Some((&args.data[..], &data));
    let deployment = setup.deployment(&graph)?;
    let deployment = setup.calibrated(deployment, &on_chip, named, kernel, stop)?;
    setup.remark(&deployment)?;
    let emulator = setup::emulator(&graph, &data, kernel)?.reading(Changes::of_network(&graph));
    let clean = vec![Default::default(); data.len()];
    let rising: Vec<&Supplies> = setup.chips.swept.iter().rev().collect();
    let chips = setup.chips.range.clone();
    let mut noise = Measuring::new(&graph, &data, &setup, pictures);
    let progress = Progress::new("noise", "trials");
    progress.begin(chips.len() as u64 * swept_mv.len() as u64, 0);
    for number in chips.clone() {
        let open = setup.open_at(&deployment, number, &rising)?;
        for (index, supplies) in setup.chips.swept.iter().enumerate() {
            noise.weights(&open, supplies, index, args.images.start as u64);
            let trial = TrialSpec { supplies, ..setup.trial(args.images.start as u64) };
            noise.activations(&open, trial, (&emulator, &clean), index, stop)?;
            progress.advance();
        }
    }
    drop(progress);
    let (rows, pictures) = noise.finish(&swept_mv);
    if let (Some(pictures), Some(folder)) = (&pictures, &args.images_out) {
        pictures.write(folder, args.images.start, &swept_mv)?;
    }
    let protection = setup.typed.protection();
    let noise = Noise {
        model: args.model.display().to_string(),
        data: args.data.clone(),
        images: data.len(),
        chips: chips.len(),
        fault_kind: setup.chips.fault_kind,
        accelerator: setup.accelerator.name().to_owned(),
        placement: on_chip.placement.word(),
        profile: on_chip.profile.clone(),
        protection: (!protection.is_empty()).then(|| protection.describe()),
        chip_seed: on_chip.chip_seed.to_string(),
        budgets: BUDGETS.to_vec(),
        rows,
        pictures,
    };
    if let Some(path) = &args.report {
        let page = page::page(&noise, &swept_mv)?;
        files::write(path, page.as_bytes(), files::Output::page("noise"))?;
    }
    Ok(noise)
}

/// Norms of every tensor at every supply, chip by chip.
struct Measuring<'a> {
    graph: &'a Graph,
    /// Codes of the pixels of each image.
    inputs: Vec<Vec<i8>>,
    /// Sizes of a step of the input's channels, in pixels from 0 to 1.
    steps: Vec<f64>,
    channels: usize,
    reads: Reads,
    /// The tensors that have cells of their own, and their sums at each supply.
    activations: Vec<(usize, Vec<Tally>)>,
    weights: Vec<Vec<Tally>>,
    pictures: Option<Pictures>,
}

impl<'a> Measuring<'a> {
    fn new(graph: &'a Graph, data: &Dataset, setup: &Setup, pictures: Option<Pictures>) -> Self {
        let none = || vec![Tally::default(); setup.chips.swept.len()];
        let placed = setup.placement.activations.as_ref();
        let tensors = placed.map_or(&[][..], |placed| &placed.tensors[..]).iter().enumerate();
        let own = tensors.filter(|(tensor, placed)| placed.owner == *tensor);
        let image = |image| graph.input_codes(image).unwrap_or_default();
        Self {
            graph,
            inputs: data.images.chunks_exact(data.pixels_per_image()).map(image).collect(),
            steps: norms::pixel_steps(graph),
            channels: data.shape[2].max(1),
            reads: setup.reads(),
            activations: own.map(|(tensor, _)| (tensor, none())).collect(),
            weights: graph.weights.iter().map(|_| none()).collect(),
            pictures,
        }
    }

    fn weights(&mut self, open: &OpenChip<'_>, supplies: &Supplies, index: usize, first: u64) {
        let read = match self.reads {
            Reads::Once => LOAD,
            Reads::EveryImage => first,
        };
        let codes = open.weights(supplies, read).codes;
        for ((weights, read), tallies) in
            self.graph.weights.iter().zip(&codes).zip(&mut self.weights)
        {
            tallies[index].add(&Norms::of_weights(weights, read));
        }
    }

    fn activations(
        &mut self,
        open: &OpenChip<'_>,
        trial: TrialSpec<'_>,
        (emulator, clean): (&Emulator<'_, Changes>, &[vmin_emulator::ImageChanges]),
        index: usize,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        let (images, _) = open.predict(trial, emulator, clean, stop).map_err(interrupted)?;
        for (image, changes) in images.iter().enumerate() {
            let written = &self.inputs[image];
            let read = if changes.input.is_empty() { written } else { &changes.input };
            for (tensor, tallies) in &mut self.activations {
                let norms = if *tensor == self.graph.input.0 {
                    Norms::of_input(written, read, &self.steps, self.channels)
                } else {
                    let change = changes.tensors.get(*tensor).copied().unwrap_or_default();
                    let scale = self.graph.tensors[*tensor].quantization.scale;
                    Norms::of_activations(&change, f64::from(scale))
                };
                tallies[index].add(&norms);
            }
            if let Some(pictures) = &mut self.pictures {
                pictures.add(index, image, written, read, &self.steps);
            }
        }
        Ok(())
    }

    fn finish(self, swept_mv: &[f64]) -> (Vec<Row>, Option<Pictures>) {
        let mut rows = Vec::new();
        for (index, &vdd_mv) in swept_mv.iter().enumerate() {
            for (tensor, tallies) in &self.activations {
                let of = &self.graph.tensors[*tensor];
                let is_input = *tensor == self.graph.input.0;
                let what = if is_input { "input" } else { Memory::Activation.word() };
                rows.push(tallies[index].row(vdd_mv, what, &of.name, of.elements()));
            }
            for (of, tallies) in self.graph.weights.iter().zip(&self.weights) {
                let what = Memory::Weight.word();
                rows.push(tallies[index].row(vdd_mv, what, &of.name, of.codes.len()));
            }
        }
        (rows, self.pictures)
    }
}

impl Answer for Noise {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    fn table(&self) -> String {
        text::table(self)
    }
}

/// The problem of a set that has no pictures.
fn no_pictures(channels: usize) -> Failure {
    let message = format!("images of {channels} channels cannot be drawn");
    Diagnostic::new("pictures", message)
        .allowed("expected 1 channel (PGM) or 3 (PPM)")
        .hint("leave `--images-out` away")
        .into()
}
