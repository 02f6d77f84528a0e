//! `vmin sensitivity`: what one more faulty cell costs, by layer, bit, bank and memory.

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::Diagnostic;
use vmin_questions::answer::{PartCost, Predictor, SensitivityAnswer};
use vmin_sweep::Plan;
use vmin_sweep::statistics::share_words;
use vmin_train::{Flatness, FlatnessError, Twin};

use super::{Asked, asked, in_order};
use crate::args::SensitivityArgs;
use crate::commands::flatness::Correlation;
use crate::commands::sweep;
use crate::failure::say;
use crate::files;
use crate::{Answer, Failure, answer};

/// Images by which noise is judged, at most.
const IMAGES: usize = 500;
/// Samples of noise in each layer.
const SAMPLES: usize = 8;
/// Rows of each kind in the table; the files hold all.
const ROWS: usize = 12;

/// The cost of a faulty cell, by part.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Sensitivity(SensitivityAnswer);

/// Measures what each part of the memories costs.
///
/// # Errors
/// All problems of the experiment, a supply that it does not sweep, a journal of another experiment, or the run was
/// stopped.
pub fn run(args: &SensitivityArgs, stop: &AtomicBool) -> Result<Sensitivity, Failure> {
    let asked_args = &args.asked;
    asked(
        asked_args,
        ("sensitivity", "sensitivity.json", files::SENSITIVITY_ANSWER),
        || {
            let plan = sweep::plan(asked_args.experiment.as_deref(), &asked_args.set)?;
            if let Some(vdd_mv) = args.vdd_mv {
                point_at(&plan, vdd_mv)?;
            }
            Ok(plan)
        },
        |asked| {
            let (point, because) = match args.vdd_mv {
                Some(vdd_mv) => (point_at(asked.plan, vdd_mv)?, "asked for".to_owned()),
                None => found(asked)?,
            };
            let measured = asked.sensitivity(point)?;
            let mut answer = SensitivityAnswer::new(asked.plan, point, &because, &measured);
            predict(asked, &mut answer)?;
            Ok(Sensitivity(answer))
        },
        stop,
    )
}

/// The point of the experiment's own network at a supply.
fn point_at(plan: &Plan, vdd_mv: f64) -> Result<usize, Failure> {
    let points = &plan.own().points;
    points.iter().position(|point| point.cost.vdd_mv == vdd_mv).ok_or_else(|| {
        let known: Vec<String> = points.iter().map(|at| at.cost.vdd_mv.to_string()).collect();
        let message = format!("`--vdd-mv {vdd_mv}`: the experiment has no such supply");
        Diagnostic::new("out-of-range", message)
            .allowed(format!("one of {}", known.join(", ")))
            .hint("add it to `vdd_mv` of the experiment, or with `--set memory.vdd_mv=[...]`")
            .into()
    })
}

/// The highest supply at which fewer than half of the chips pass, or the lowest of all.
fn found(asked: &mut Asked<'_>) -> Result<(usize, String), Failure> {
    let searched = asked.search()?;
    let points = &asked.plan.own().points;
    let of = &searched.candidates[0].chips;
    let passing = |point: usize| {
        of.iter().filter(|chip| chip.lowest.is_some_and(|lowest| point <= lowest)).count()
    };
    let half = (0..points.len()).find(|&point| 2 * passing(point) < of.len());
    Ok(match half {
        Some(point) => (
            point,
            "the highest supply at which fewer than half of the chips are within the budget"
                .to_owned(),
        ),
        None => (points.len() - 1, "the lowest supply of the experiment".to_owned()),
    })
}

/// Adds what noise of the rate of wrong bits foretells of the layers.
fn predict(asked: &Asked<'_>, answer: &mut SensitivityAnswer) -> Result<(), Failure> {
    let graph = &asked.plan.own().graph;
    let layers: Vec<usize> = (0..graph.weights.len()).collect();
    let wrong: f64 = answer
        .candidates
        .iter()
        .filter(|part| part.kind == "layer")
        .map(|part| part.wrong_bits)
        .sum();
    let stored: u64 = asked.plan.own().stored_bits();
    let rate = wrong / stored as f64;
    if rate <= 0.0 {
        return Ok(());
    }
    let twin = match Twin::of(graph) {
        Ok(twin) => twin,
        Err(error) => {
            say(&format!("note: no prediction without chips: {error}"));
            return Ok(());
        }
    };
    let images = asked.plan.images();
    let count = images.labels.len().min(IMAGES);
    let size = images.pixels.len() / images.labels.len();
    let inputs = twin.inputs(graph, &images.pixels[..count * size]);
    let inputs = inputs.map_err(|error| Failure::input("pixels", &error))?;
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|of| of.codes.clone()).collect();
    let labels = &images.labels[..count];
    let flatness = Flatness::new(&twin, codes, (&inputs, labels), 0, asked.stop);
    let failure = |error: FlatnessError| match error {
        FlatnessError::Stopped => asked.failure(&vmin_sweep::RunError::Stopped),
        FlatnessError::Engine(error) => Failure::input("engine", &error),
    };
    let clean = flatness.clean().map_err(failure)?.loss;
    let (mut predicted, mut measured) = (Vec::new(), Vec::new());
    for tensor in layers {
        let mut rise = 0.0;
        for sample in 0..SAMPLES {
            let noisy = flatness.bit_noise(rate, sample, Some(tensor)).map_err(failure)?;
            rise += (noisy.loss - clean) / SAMPLES as f64;
        }
        let weights = &graph.weights[tensor];
        let bits = weights.codes.len() as f64 * f64::from(weights.bits);
        let name = graph.layer_of(tensor);
        let part = answer.candidates.iter_mut().find(|of| of.kind == "layer" && of.name == name);
        let Some(part) = part else { continue };
        part.predicted = Some(rise / bits);
        if let Some(cost) = part.lost_per_cell {
            predicted.push(rise / bits);
            measured.push(cost);
        }
    }
    answer.predictor = Correlation::of(&predicted, &measured).map(|correlation| Predictor {
        name: "rise of the loss under normal noise of the size of the wrong bits, over the stored bits of the layer"
            .to_owned(),
        rate,
        layers: measured.len(),
        spearman: correlation.spearman,
        spearman_interval: correlation.spearman_interval,
    });
    Ok(())
}

impl Answer for Sensitivity {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.0.candidates)
    }

    fn table(&self) -> String {
        let SensitivityAnswer { answer, candidates, would_change, notes, .. } = &self.0;
        let kinds = [
            ("layer", "layers"),
            ("bit", "bits of weights, 0 the least significant"),
            ("bank", "banks of the weight memory"),
            ("memory", "memories, each alone"),
        ];
        let mut tables: Vec<String> = Vec::new();
        for (kind, title) in kinds {
            let parts: Vec<&PartCost> =
                candidates.iter().filter(|part| part.kind == kind).collect();
            let (met, spared): (Vec<&PartCost>, Vec<_>) =
                parts.into_iter().partition(|part| part.faulty_cells > 0.0);
            if !met.is_empty() {
                tables.push(table(kind, title, &met, spared.len()));
            }
        }
        let words = format!(
            "{} mV: {}. Each part alone, mean over {} chips and {} images; clean error {}. cost: images, in \
             percent, that a thousand faulty cells lose, with its {} interval over chips",
            self.0.vdd_mv,
            self.0.vdd_mv_because,
            self.0.chips,
            self.0.images,
            answer::percent(self.0.clean_err, 2),
            share_words(self.0.confidence, 0)
        );
        tables.push(answer::wrapped(&words));
        tables.extend(self.0.predictor.as_ref().map(|of| {
            let interval = of.spearman_interval.map_or_else(String::new, |[low, high]| {
                format!(" (95 % interval {low:.2} to {high:.2})")
            });
            answer::wrapped(&format!(
                "without a chip: the {} ranks {} layers as the measured costs do with a rank correlation of {:.2}{interval}",
                of.name, of.layers, of.spearman
            ))
        }));
        in_order(answer, tables, notes.first(), would_change)
    }
}

fn table(kind: &str, title: &str, parts: &[&PartCost], spared: usize) -> String {
    let header = [
        kind,
        "faulty\ncells",
        "wrong\nbits",
        "RErr\nadded (%)",
        "images\nlost (%)",
        "cost",
        "interval",
    ];
    let thousand = |cost: f64| format!("{:.2}", cost * 1e5);
    let rows = parts.iter().take(ROWS).map(|part| {
        let interval = part.lost_per_cell_low.zip(part.lost_per_cell_high);
        vec![
            part.name.clone(),
            format!("{:.1}", part.faulty_cells),
            format!("{:.1}", part.wrong_bits),
            format!("{:.2}", part.err_added * 100.0),
            format!("{:.2}", part.lost * 100.0),
            part.lost_per_cell.map_or_else(|| "-".to_owned(), thousand),
            interval.map_or_else(
                || "-".to_owned(),
                |(low, high)| format!("{} to {}", thousand(low), thousand(high)),
            ),
        ]
    });
    let table = answer::table(&header, 1, rows);
    let more = match parts.len().saturating_sub(ROWS) {
        0 => String::new(),
        more => format!("\nand {more} more in the JSON and CSV"),
    };
    let spared = match spared {
        0 => String::new(),
        parts => format!("\n{parts} without a faulty cell on any chip"),
    };
    format!("{title}\n{table}{more}{spared}")
}
