//! Which supply each memory gets, and under which candidate.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::Memory;
use vmin_sweep::Plan;
use vmin_sweep::statistics::{Yield, rate_words, share_words};

use super::{Head, Tail, error, grouped};
use crate::assign::{Verdict, combinations};
use crate::assignment::{Assigned, Choices, Combination, OfAssign};
use crate::run::Certainty;

/// The supplies of least energy.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AssignAnswer {
    /// The answer and its confidence.
    #[serde(flatten)]
    pub head: Head,
    /// Name of the candidate that needs the least energy; absent if none reaches the target.
    pub best: Option<String>,
    /// Combinations of supplies, for each candidate.
    pub combinations: u64,
    /// Whether all combinations of less energy than those chosen were tested, or are below one that fails.
    pub all_combinations: bool,
    /// The experiment's own network first, then its remedies.
    pub candidates: Vec<AssignOf>,
    /// Remarks.
    #[serde(flatten)]
    pub tail: Tail,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AssignOf {
    /// Its name.
    pub name: String,
    /// Test error of its network without bit errors; absent where no combination could be run.
    pub err: Option<f64>,
    /// The combination of least energy that reaches the target; absent if none does.
    pub chosen: Option<Chosen>,
    /// That of least energy with one supply for all memories.
    pub one_supply: Option<Chosen>,
    /// With all combinations: whether the descent found the one of least energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descent_is_best: Option<bool>,
    /// Images classified for its decisions.
    pub inferences: u64,
    /// Every combination that was tried, in that order.
    pub tried: Vec<Tried>,
}

/// Supplies in mV; absent for a memory that the experiment does not lower.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Supplies {
    /// Of the weight memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_mv: Option<f64>,
    /// Of the activation memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_mv: Option<f64>,
    /// Of the accumulator memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_mv: Option<f64>,
}

/// A combination on every chip.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Chosen {
    /// Its supplies.
    #[serde(flatten)]
    pub supplies: Supplies,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Share saved against the experiment's own network, unprotected at the nominal supply.
    pub energy_saving: f64,
    /// Chips within the budget.
    pub passing: u32,
    /// Chips.
    pub chips: u32,
    /// Their share.
    #[serde(rename = "yield")]
    pub yield_fraction: f64,
    /// Share of the population that the sample shows at the confidence, whichever combination and candidate had been
    /// chosen from the same chips.
    pub yield_shown: f64,
}

/// One combination that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Tried {
    /// Its supplies.
    #[serde(flatten)]
    pub supplies: Supplies,
    /// Whether the share of chips within the budget reaches the target; absent where the candidate cannot be had at
    /// these supplies.
    pub passes: Option<bool>,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: Option<f64>,
    /// Chips within the budget, of those decided.
    pub passing: u32,
    /// Chips that were decided: as many as tell whether the target is reached.
    pub decided: u32,
    /// Images classified for that.
    pub inferences: u64,
}

impl Supplies {
    fn of(choices: &Choices, levels: &[usize]) -> Self {
        let of = |memory| choices.vdd_mv(memory, levels);
        Self {
            weight_mv: of(Memory::Weight),
            activation_mv: of(Memory::Activation),
            accumulator_mv: of(Memory::Accumulator),
        }
    }

    /// By memory, in a word of each.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let all = [
            ("weights", self.weight_mv),
            ("activations", self.activation_mv),
            ("sums", self.accumulator_mv),
        ];
        all.into_iter().filter_map(|(name, mv)| Some((name, mv?))).collect()
    }

    fn words(&self) -> String {
        let all = self.named().into_iter().map(|(name, mv)| format!("{name} at {mv} mV"));
        all.collect::<Vec<_>>().join(", ")
    }
}

impl AssignAnswer {
    /// From the search over the combinations of a plan.
    #[must_use]
    pub fn new(
        plan: &Plan,
        choices: &Choices,
        (certainty, all): (Certainty, bool),
        assigned: &Assigned,
    ) -> Self {
        let images = plan.labels().len() as u64;
        let chips = plan.trials();
        let combinations = combinations(&choices.levels());
        let trials = combinations
            .saturating_mul(plan.candidates.len() as u64)
            .saturating_mul(u64::from(chips));
        let mut head = Head {
            answer: String::new(),
            confidence: plan.setting.confidence,
            decision_error_max: match certainty {
                Certainty::Exact => 0.0,
                Certainty::But(chance) => chance,
            },
            inferences: 0,
            inferences_exhaustive: trials.saturating_add(1).saturating_mul(images),
            name: plan.name.clone(),
            accuracy_loss_max: plan.setting.accuracy_loss_max,
            yield_target: plan.setting.yield_target,
            images,
            chips,
            clean_err: 0.0,
        };
        // The chips that choose a combination are those that tell its yield.
        let of_each = combinations.saturating_mul(plan.candidates.len() as u64) as f64;
        let confidence = 1.0 - (1.0 - head.of_sample()) / of_each;
        let of = |(of, candidate): (&OfAssign, &vmin_sweep::Candidate)| {
            let run = |levels: &Option<Vec<usize>>| {
                let levels = levels.as_ref()?;
                let (cost, decided) =
                    of.combinations.iter().find(|of| of.levels == *levels)?.run.as_ref()?;
                let passing = decided.passing;
                Some(Chosen {
                    supplies: Supplies::of(choices, levels),
                    energy_per_inference_nj: cost.energy_per_inference_nj,
                    energy_saving: cost.energy_saving,
                    passing,
                    chips,
                    yield_fraction: f64::from(passing) / f64::from(chips),
                    yield_shown: Yield::of(passing, chips, plan.offset_bits.len(), confidence)
                        .shown,
                })
            };
            let tried = of.combinations.iter().map(|of| Tried::new(choices, of));
            let tried: Vec<Tried> = tried.collect();
            let clean = of.combinations.iter().find_map(|of| Some(of.run.as_ref()?.1));
            AssignOf {
                name: candidate.name.clone(),
                err: clean.map(|clean| error(images, clean.clean_correct)),
                chosen: run(&of.found.best),
                one_supply: run(&of.found.alike),
                descent_is_best: all.then_some(of.found.best == of.found.greedy),
                inferences: tried.iter().map(|of| of.inferences).sum(),
                tried,
            }
        };
        let candidates: Vec<AssignOf> =
            assigned.candidates.iter().zip(&plan.candidates).map(of).collect();
        head.inferences =
            candidates.iter().map(|of| of.inferences).sum::<u64>() + assigned.clean_classified;
        head.clean_err = candidates.first().and_then(|own| own.err).unwrap_or_default();
        let best = best(&candidates);
        head.answer = sentence(&head, best, choices, candidates.len() > 1);
        let notes = [
            method(&head),
            format!(
                "a combination is taken to fail where one fails that is lower in no memory: errors of more memories \
                 rarely undo each other. {}",
                if all {
                    "All combinations of less energy than the descent's were tested, or lie below one that fails"
                } else {
                    "A descent lowers the memory that saves most, level by level, until none can be lowered; another \
                     combination may need less"
                }
            ),
        ];
        let tail = Tail {
            would_change: would_change(&head, choices, best, all),
            notes: notes.into_iter().chain(plan.notes.iter().cloned()).collect(),
            provenance: plan.provenance(),
        };
        let best = best.map(|of| of.name.clone());
        Self { head, best, combinations, all_combinations: all, candidates, tail }
    }

    /// The candidate that the answer names, with its place in the plan.
    #[must_use]
    pub fn best(&self) -> Option<(usize, &AssignOf)> {
        let mut all = self.candidates.iter().enumerate();
        all.find(|(_, of)| Some(&of.name) == self.best.as_ref())
    }
}

impl Tried {
    fn new(choices: &Choices, of: &Combination) -> Self {
        let decided = of.run.as_ref().map(|(_, decided)| *decided).unwrap_or_default();
        Self {
            supplies: Supplies::of(choices, &of.levels),
            passes: match of.verdict {
                Verdict::Passes => Some(true),
                Verdict::Fails => Some(false),
                Verdict::Impossible => None,
            },
            energy_per_inference_nj: of.run.as_ref().map(|(cost, _)| cost.energy_per_inference_nj),
            passing: decided.passing,
            decided: decided.chips,
            inferences: decided.classified,
        }
    }
}

/// The candidate of least energy; of equal ones the first.
fn best(candidates: &[AssignOf]) -> Option<&AssignOf> {
    let energy =
        |of: &AssignOf| of.chosen.as_ref().map_or(f64::INFINITY, |of| of.energy_per_inference_nj);
    let all = candidates.iter().filter(|of| of.chosen.is_some());
    all.min_by(|a, b| energy(a).total_cmp(&energy(b)))
}

fn sentence(head: &Head, best: Option<&AssignOf>, choices: &Choices, several: bool) -> String {
    let target = share_words(head.yield_target, 1);
    let Some((best, chosen)) = best.and_then(|best| Some((best, best.chosen.as_ref()?))) else {
        return format!("No combination of supplies reaches a yield of {target}.");
    };
    let with = if several { format!("`{}`, ", best.name) } else { String::new() };
    let nominal = chosen.supplies.named().iter().all(|(_, mv)| *mv == choices.vdd_mv[0]);
    if nominal {
        return format!(
            "No supply can be lowered at a yield of {target}: the least energy is {:.1} nJ per inference with \
             {with}all memories at {} mV.",
            chosen.energy_per_inference_nj, choices.vdd_mv[0]
        );
    }
    format!(
        "The least energy at a yield of {target} is {:.1} nJ per inference ({} less than at nominal supplies) with {with}{}, where \
         {} of {} chips are within the budget.",
        chosen.energy_per_inference_nj,
        share_words(chosen.energy_saving, 1),
        chosen.supplies.words(),
        chosen.passing,
        chosen.chips
    )
}

fn method(head: &Head) -> String {
    let Head { decision_error_max: chance, inferences, inferences_exhaustive, .. } = *head;
    let decided = match chance > 0.0 {
        true => format!(
            "all decisions together are those of all images but for a chance of {}, shared by the candidates, the \
             combinations that the search tests at most, and the chips",
            rate_words(chance)
        ),
        false => "every decision is that of all images".to_owned(),
    };
    format!(
        "{decided}; {} of the {} inferences of all combinations ({} %)",
        grouped(inferences),
        grouped(inferences_exhaustive),
        significant(100.0 * inferences as f64 / inferences_exhaustive as f64)
    )
}

/// Two significant digits of a percentage.
fn significant(percent: f64) -> String {
    let digits = if percent >= 10.0 {
        0
    } else if percent >= 1.0 {
        1
    } else {
        2
    };
    format!("{percent:.digits$}")
}

fn would_change(head: &Head, choices: &Choices, best: Option<&AssignOf>, all: bool) -> Vec<String> {
    let Some(chosen) = best.and_then(|best| best.chosen.as_ref()) else {
        return vec!["a wider budget, a lower target, or other remedies".to_owned()];
    };
    let mut changes = Vec::new();
    let lowest = choices.vdd_mv[choices.vdd_mv.len() - 1];
    let at_lowest: Vec<&str> = chosen
        .supplies
        .named()
        .iter()
        .filter(|(_, mv)| *mv == lowest)
        .map(|(name, _)| *name)
        .collect();
    if !at_lowest.is_empty() {
        changes.push(format!(
            "lower supplies in `vdd_mv`: the {} are at the lowest one",
            at_lowest.join(" and the ")
        ));
    }
    if at_lowest.len() < chosen.supplies.named().len() {
        changes.push("finer steps in `vdd_mv`: the next lower supply of a memory fails".to_owned());
    }
    if chosen.yield_shown < head.yield_target {
        changes.push(format!(
            "more chips: {} of {} show a yield of {} at {} confidence, whichever combination these chips had chosen",
            chosen.passing,
            chosen.chips,
            share_words(chosen.yield_shown, 1),
            share_words(head.confidence, 0)
        ));
    }
    if !all {
        changes
            .push("`--all-combinations` tells whether another combination needs less".to_owned());
    }
    changes
}
