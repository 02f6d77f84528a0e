//! What one more faulty cell costs.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_sweep::statistics::{PairedDifference, share_words};
use vmin_sweep::{Plan, Provenance};

use super::error;
use crate::sensitivity::{OfPart, Part, Parts};

/// The cost of a faulty cell, by part of the memories.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct SensitivityAnswer {
    /// The answer in one sentence.
    pub answer: String,
    /// Confidence of each interval below.
    pub confidence: f64,
    /// Images that were classified, those of the search for the supply aside.
    pub inferences: u64,
    /// The same number: every part is measured by all images on every chip.
    pub inferences_exhaustive: u64,
    /// `name` of the experiment.
    pub name: String,
    /// The supply, in mV.
    pub vdd_mv: f64,
    /// Why this supply.
    pub vdd_mv_because: String,
    /// Chips; every chip at every offset counts.
    pub chips: u32,
    /// Images of each trial.
    pub images: u64,
    /// Test error without bit errors.
    pub clean_err: f64,
    /// Layers, bits, banks and memories: here as candidates for protection, the costliest of each kind first.
    pub candidates: Vec<PartCost>,
    /// How well noise of the same rate foretells the costs of layers, without a chip; absent where that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictor: Option<Predictor>,
    /// What would change the answer, one sentence each.
    pub would_change: Vec<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Inputs and version behind these numbers.
    pub provenance: Provenance,
}

/// A part and the cost of one of its faulty cells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct PartCost {
    /// `layer`, `bit`, `bank` or `memory`.
    pub kind: &'static str,
    /// Its name, or number.
    pub name: String,
    /// Faulty cells of it on a chip, mean; in a memory beside that of the weights, faulty cells met by an image.
    pub faulty_cells: f64,
    /// Bits that they change, mean.
    pub wrong_bits: f64,
    /// Test error that the part alone adds, mean over chips, as a fraction; below 0 where more images are gained than
    /// lost.
    pub err_added: f64,
    /// Share of images that the part alone loses (right without bit errors only), mean over chips.
    pub lost: f64,
    /// Share of images that one faulty cell loses: the sum of those lost over the sum of cells; absent without a faulty
    /// cell.
    pub lost_per_cell: Option<f64>,
    /// Lower end of its two-sided interval (ratio estimate over chips, Student); absent where it cannot be told.
    pub lost_per_cell_low: Option<f64>,
    /// Upper end.
    pub lost_per_cell_high: Option<f64>,
    /// For a layer, the rise of the loss under noise of the rate in it alone, over its stored bits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<f64>,
}

/// How well a prediction without chips ranks the layers.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Predictor {
    /// What it is.
    pub name: String,
    /// The rate of wrong bits whose noise it takes.
    pub rate: f64,
    /// Layers compared: those with a faulty cell on some chip.
    pub layers: usize,
    /// Spearman's correlation of ranks with the measured costs.
    pub spearman: f64,
    /// Its 95 % interval; absent below five layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spearman_interval: Option<[f64; 2]>,
}

impl SensitivityAnswer {
    /// From the parts of a plan's own network at a point.
    #[must_use]
    pub fn new(plan: &Plan, point: usize, because: &str, measured: &Parts) -> Self {
        let images = plan.labels().len() as u64;
        let vdd_mv = plan.own().points[point].cost.vdd_mv;
        let mut candidates: Vec<PartCost> =
            measured.parts.iter().map(|part| PartCost::new(plan, part, measured)).collect();
        // What is shown to cost most comes first, however few cells an estimate hangs on.
        let cost = |part: &PartCost| {
            let shown = part.lost_per_cell_low.unwrap_or(f64::NEG_INFINITY).max(0.0);
            (shown, part.lost_per_cell.unwrap_or(f64::NEG_INFINITY))
        };
        let falling = |a: &PartCost, b: &PartCost| {
            let (a, b) = (cost(a), cost(b));
            b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
        };
        let kinds = ["layer", "bit", "bank", "memory"];
        let kind = |part: &PartCost| kinds.iter().position(|kind| *kind == part.kind);
        candidates.sort_by(|a, b| kind(a).cmp(&kind(b)).then(falling(a, b)));
        let mut notes = vec![
            "each part's errors act alone: costs of parts do not add up where errors act together"
                .to_owned(),
        ];
        if plan.reads == vmin_emulator::Reads::EveryImage {
            notes.push(
                "errors are transient: layers, bits and banks are measured with the errors of one read for all images"
                    .to_owned(),
            );
        }
        notes.extend(plan.notes.iter().cloned());
        Self {
            answer: sentence(vdd_mv, &candidates),
            confidence: plan.setting.confidence,
            inferences: measured.classified,
            inferences_exhaustive: measured.classified,
            name: plan.name.clone(),
            vdd_mv,
            vdd_mv_because: because.to_owned(),
            chips: plan.trials(),
            images,
            clean_err: error(images, measured.clean_correct),
            would_change: would_change(&candidates, plan.setting.confidence),
            candidates,
            predictor: None,
            notes,
            provenance: plan.provenance(),
        }
    }
}

impl PartCost {
    fn new(plan: &Plan, of: &OfPart, parts: &Parts) -> Self {
        let images = plan.labels().len() as f64;
        let (kind, name, per_image) = match of.part {
            Part::Layer(tensor) => ("layer", plan.own().graph.layer_of(tensor), false),
            Part::Bit(bit) => ("bit", bit.to_string(), false),
            Part::Bank(bank) => ("bank", bank.to_string(), false),
            Part::Memory(memory) => (
                "memory",
                memory.word().to_owned(),
                memory != vmin_accel::Memory::Weight
                    || plan.reads == vmin_emulator::Reads::EveryImage,
            ),
        };
        let scale = if per_image { images } else { 1.0 };
        let cells: Vec<f64> =
            of.chips.iter().map(|chip| chip.faulty_cells as f64 / scale).collect();
        let added: Vec<f64> = of
            .chips
            .iter()
            .map(|chip| (parts.clean_correct as f64 - chip.correct as f64) / images)
            .collect();
        let lost: Vec<f64> = of
            .chips
            .iter()
            .map(|chip| (parts.clean_correct - chip.correct_union) as f64 / images)
            .collect();
        let chips = of.chips.len() as f64;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / chips;
        let (cells_mean, lost_mean) = (mean(&cells), mean(&lost));
        let ratio = (cells_mean > 0.0).then(|| lost_mean / cells_mean);
        let interval = ratio.and_then(|ratio| {
            // Linearized: deviations of what is lost from what the cells explain.
            let rest =
                cells.iter().zip(&lost).map(|(cells, lost)| (lost - ratio * cells) / cells_mean);
            let rest: Vec<f64> = rest.collect();
            let spread =
                PairedDifference::of(&rest, plan.offset_bits.len(), plan.setting.confidence)?;
            Some((ratio + spread.low?, ratio + spread.high?))
        });
        let wrong = of.chips.iter().map(|chip| chip.wrong_bits as f64).sum::<f64>();
        Self {
            kind,
            name,
            faulty_cells: cells_mean,
            wrong_bits: wrong / scale / chips,
            err_added: mean(&added),
            lost: lost_mean,
            lost_per_cell: ratio,
            lost_per_cell_low: interval.map(|(low, _)| low.max(0.0)),
            lost_per_cell_high: interval.map(|(_, high)| high),
            predicted: None,
        }
    }
}

/// A cost in percentage points per thousand faulty cells.
fn cost_words(cost: f64) -> String {
    format!("{:.2} % of images per thousand faulty cells", cost * 1e5)
}

fn sentence(vdd_mv: f64, parts: &[PartCost]) -> String {
    let costliest = |kind: &str| {
        parts.iter().find(|part| part.kind == kind && part.lost_per_cell_low > Some(0.0))
    };
    let words = |kind: &str, words: &str| {
        let part = costliest(kind)?;
        Some(format!("{words} {} ({})", part.name, cost_words(part.lost_per_cell?)))
    };
    let memory = costliest("memory").and_then(|part| {
        Some(format!("in the {} memory ({})", part.name, cost_words(part.lost_per_cell?)))
    });
    let all = [words("layer", "in layer"), words("bit", "in bit"), memory];
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() {
        return format!("At {vdd_mv} mV no layer, bit or memory is shown to lose an image.");
    }
    format!("At {vdd_mv} mV a faulty cell costs most {}.", all.join(", "))
}

fn would_change(parts: &[PartCost], confidence: f64) -> Vec<String> {
    let mut layers = parts.iter().filter(|part| part.kind == "layer");
    let (Some(first), Some(second)) = (layers.next(), layers.next()) else { return Vec::new() };
    let mut all = Vec::new();
    if let (Some(low), Some(high)) = (first.lost_per_cell_low, second.lost_per_cell_high)
        && low < high
    {
        all.push(format!(
            "more chips: that {} costs more than {} is not shown at {} confidence",
            first.name,
            second.name,
            share_words(confidence, 0)
        ));
    }
    if parts.iter().any(|part| part.kind == "layer" && part.lost_per_cell.is_none()) {
        all.push(
            "a lower supply, or more chips: some layers have no faulty cell on any of them"
                .to_owned(),
        );
    }
    all
}
