//! Answers: one sentence, the numbers behind it, and what would change it.

mod assign;
mod sensitivity;
mod vmin;
mod yields;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_sweep::{Plan, Provenance};

pub use assign::{AssignAnswer, AssignOf, Chosen, Supplies, Tried};
pub use sensitivity::{PartCost, Predictor, SensitivityAnswer};
pub use vmin::{Adaptive, Bin, ChipVmin, Decision, OneSupply, VminAnswer, VminOf};
pub use yields::{YieldAnswer, YieldOf, YieldPoint, chips_for_margin};

use crate::run::{Certainty, OfCandidate, OfChip, Searched};

/// Of the error probability that a confidence leaves, the share that decisions about single trials may use; the rest
/// is that of the sample of chips.
const SHARE_OF_DECISIONS: f64 = 0.2;

/// What every answer tells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Head {
    /// The answer in one sentence.
    pub answer: String,
    /// Confidence of the intervals and bounds below, errors of decisions included.
    pub confidence: f64,
    /// Chance, at most, that any decision about a chip at a supply is not that of all images; 0 if all were run.
    pub decision_error_max: f64,
    /// Images that were classified for the answer, without bit errors too.
    pub inferences: u64,
    /// Images that a sweep of the same supplies, chips and candidates classifies.
    pub inferences_exhaustive: u64,
    /// `name` of the experiment.
    pub name: String,
    /// Budget of accuracy loss, as a fraction.
    pub accuracy_loss_max: f64,
    /// Share of chips that must be within the budget.
    pub yield_target: f64,
    /// Images of each trial.
    pub images: u64,
    /// Chips; every chip at every offset counts.
    pub chips: u32,
    /// Test error of the experiment's network without bit errors.
    pub clean_err: f64,
}

/// The chance of any wrong decision that a plan's confidence allows.
#[must_use]
pub fn certainty(plan: &Plan, exact: bool) -> Certainty {
    if exact {
        return Certainty::Exact;
    }
    Certainty::But((1.0 - plan.setting.confidence) * SHARE_OF_DECISIONS)
}

impl Head {
    fn new(plan: &Plan, certainty: Certainty, searched: &Searched) -> Self {
        let images = plan.labels().len() as u64;
        let of_chips = searched.candidates.iter().flat_map(|of| &of.chips);
        let classified: u64 =
            of_chips.flat_map(|chip| &chip.probes).map(|probe| probe.classified).sum();
        let own = searched.candidates.first().map_or(0, |own| own.clean_correct);
        Self {
            answer: String::new(),
            confidence: plan.setting.confidence,
            decision_error_max: match certainty {
                Certainty::Exact => 0.0,
                Certainty::But(chance) => chance,
            },
            inferences: classified + searched.clean_classified,
            inferences_exhaustive: plan.cost().inferences_total,
            name: plan.name.clone(),
            accuracy_loss_max: plan.setting.accuracy_loss_max,
            yield_target: plan.setting.yield_target,
            images,
            chips: plan.trials(),
            clean_err: error(images, own),
        }
    }

    /// The confidence that is left for the sample of chips.
    const fn of_sample(&self) -> f64 {
        self.confidence + self.decision_error_max
    }
}

fn error(images: u64, correct: u64) -> f64 {
    (images - correct) as f64 / images as f64
}

/// Chips of a candidate that pass at a point: it is not lower than their lowest passing supply.
fn passing(of: &OfCandidate, point: usize) -> u32 {
    let passes = |chip: &&OfChip| chip.lowest.is_some_and(|lowest| point <= lowest);
    of.chips.iter().filter(passes).count() as u32
}

/// Remarks and inputs of every answer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Tail {
    /// What would change the answer, one sentence each.
    pub would_change: Vec<String>,
    /// Remarks that a reader must know.
    pub notes: Vec<String>,
    /// Inputs and version behind these numbers.
    pub provenance: Provenance,
}

/// How decisions were made, for readers.
fn method(head: &Head) -> String {
    let Head { decision_error_max: chance, inferences, inferences_exhaustive, .. } = *head;
    if chance <= 0.0 {
        return "every decision is that of all images".to_owned();
    }
    format!(
        "a trial ended as soon as it was certain whether it is within the budget: all decisions together are those of \
         all images but for a chance of {}; {} of the {} inferences of a sweep ({:.1} %)",
        vmin_sweep::statistics::rate_words(chance),
        grouped(inferences),
        grouped(inferences_exhaustive),
        100.0 * inferences as f64 / inferences_exhaustive as f64
    )
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
