//! The share of chips that work at each supply.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_sweep::statistics::{Yield, chips_to_show, reaches, share_words};
use vmin_sweep::{Candidate, Plan};

use super::{Head, Tail, error, method, passing};
use crate::run::{Certainty, OfCandidate, Searched};

/// Most chips that a margin may ask for.
const CHIPS_MAX: u32 = 1_000_000;

/// The yield over the supply, with a band that holds at all supplies at once.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct YieldAnswer {
    /// The answer and its confidence.
    #[serde(flatten)]
    pub head: Head,
    /// The experiment's own network first, then its remedies.
    pub candidates: Vec<YieldOf>,
    /// Remarks.
    #[serde(flatten)]
    pub tail: Tail,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct YieldOf {
    /// Its name.
    pub name: String,
    /// Test error of its network without bit errors.
    pub err: f64,
    /// The lowest supply at which the share of sampled chips reaches the target, in mV.
    pub reached_mv: Option<f64>,
    /// The lowest supply at which the band lies above the target, in mV.
    pub shown_mv: Option<f64>,
    /// Images classified for its decisions.
    pub inferences: u64,
    /// By falling supply.
    pub points: Vec<YieldPoint>,
}

/// One supply.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct YieldPoint {
    /// The supply, in mV.
    pub vdd_mv: f64,
    /// Chips whose lowest passing supply is not higher.
    pub passing: u32,
    /// Chips.
    pub chips: u32,
    /// Their share.
    #[serde(rename = "yield")]
    pub yield_fraction: f64,
    /// Lower end of the band.
    pub yield_low: f64,
    /// Upper end of the band.
    pub yield_high: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Share saved against the experiment's own network, unprotected at the nominal supply.
    pub energy_saving: f64,
}

/// Chips of which the interval of the yield ends at most `margin` from the share found, where that is the target or
/// more; none if a million are too few.
///
/// The interval is that of one supply (Clopper and Pearson) at the confidence.
#[must_use]
pub fn chips_for_margin(target: f64, margin: f64, confidence: f64) -> Option<u32> {
    // The interval is widest at the share nearest to one half.
    let share = target.max(0.5);
    let narrow_enough = |chips: u32| {
        let passing = (share * f64::from(chips)).round() as u32;
        let found = f64::from(passing) / f64::from(chips);
        let (low, high) = Yield::of(passing, chips, 1, confidence).interval;
        (found - low).max(high - found) <= margin
    };
    let mut high = 1;
    while !narrow_enough(high) {
        high = if high < CHIPS_MAX { (high * 2).min(CHIPS_MAX) } else { return None };
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if narrow_enough(middle) { high = middle } else { low = middle }
    }
    // Shares are whole chips: a number or two above may be too few again.
    (high..=CHIPS_MAX).find(|&chips| (chips..chips.saturating_add(20)).all(narrow_enough))
}

/// The band of the yield over all supplies at once, from the chips that pass at each. With `confidence` all of it holds
/// together.
fn band(passing: &[u32], chips: u32, offsets: usize, confidence: f64) -> Vec<(f64, f64)> {
    let of_each = 1.0 - (1.0 - confidence) / passing.len() as f64;
    passing.iter().map(|&passing| Yield::of(passing, chips, offsets, of_each).interval).collect()
}

impl YieldAnswer {
    /// From the searches of a plan.
    #[must_use]
    pub fn new(plan: &Plan, certainty: Certainty, searched: &Searched) -> Self {
        let head = Head::new(plan, certainty, searched);
        let all = plan.candidates.iter().zip(&searched.candidates);
        let candidates: Vec<YieldOf> =
            all.map(|(candidate, of)| YieldOf::new(plan, &head, candidate, of)).collect();
        let band = format!(
            "the band holds at all supplies of a candidate at once, at {} confidence: Clopper's and Pearson's interval, \
             its error probability shared among the supplies (Bonferroni)",
            share_words(head.confidence, 0)
        );
        let tail = Tail {
            would_change: would_change(&head, &candidates),
            notes: [method(&head), band].into_iter().chain(plan.notes.iter().cloned()).collect(),
            provenance: plan.provenance(),
        };
        let answer = sentence(&head, &candidates);
        Self { head: Head { answer, ..head }, candidates, tail }
    }

    /// The candidate that the answer names.
    #[must_use]
    pub fn best(&self) -> Option<&YieldOf> {
        best(&self.candidates)
    }
}

impl YieldOf {
    fn new(plan: &Plan, head: &Head, candidate: &Candidate, of: &OfCandidate) -> Self {
        let counts: Vec<u32> =
            (0..candidate.points.len()).map(|point| passing(of, point)).collect();
        let band = band(&counts, head.chips, plan.offset_bits.len(), head.of_sample());
        let points = candidate.points.iter().zip(counts.into_iter().zip(band));
        let points = points.map(|(point, (passing, interval))| YieldPoint {
            vdd_mv: point.cost.vdd_mv,
            passing,
            chips: head.chips,
            yield_fraction: f64::from(passing) / f64::from(head.chips),
            yield_low: interval.0,
            yield_high: interval.1,
            energy_per_inference_nj: point.cost.energy_per_inference_nj,
            energy_saving: point.cost.energy_saving,
        });
        let points: Vec<YieldPoint> = points.collect();
        let lowest = |of: fn(&YieldPoint) -> f64| {
            let reached = points.iter().take_while(|point| reaches(of(point), head.yield_target));
            reached.last().map(|point| point.vdd_mv)
        };
        let probes = of.chips.iter().flat_map(|chip| &chip.probes);
        Self {
            name: candidate.name.clone(),
            err: error(head.images, of.clean_correct),
            reached_mv: lowest(|point| point.yield_fraction),
            shown_mv: lowest(|point| point.yield_low),
            inferences: probes.map(|probe| probe.classified).sum(),
            points,
        }
    }

    fn at(&self, mv: Option<f64>) -> Option<&YieldPoint> {
        self.points.iter().find(|point| Some(point.vdd_mv) == mv)
    }
}

/// The candidate that needs the least energy where the target is shown, or else reached; of equal ones the first.
fn best(candidates: &[YieldOf]) -> Option<&YieldOf> {
    let energy =
        |of: &YieldOf, mv| of.at(mv).map_or(f64::INFINITY, |at| at.energy_per_inference_nj);
    candidates.iter().min_by(|a, b| {
        let shown = energy(a, a.shown_mv).total_cmp(&energy(b, b.shown_mv));
        shown.then(energy(a, a.reached_mv).total_cmp(&energy(b, b.reached_mv)))
    })
}

fn sentence(head: &Head, candidates: &[YieldOf]) -> String {
    let Some(best) = best(candidates) else { return String::new() };
    let target = share_words(head.yield_target, 1);
    let with = match candidates.len() {
        1 => String::new(),
        _ => format!(" with `{}`", best.name),
    };
    let confidence = share_words(head.confidence, 0);
    let between = |at: &YieldPoint| {
        format!("between {} and {}", share_words(at.yield_low, 1), share_words(at.yield_high, 1))
    };
    match (best.at(best.shown_mv), best.at(best.reached_mv)) {
        (Some(shown), _) => format!(
            "A yield of {target} is shown down to {} mV{with}, where it is {} at {confidence} confidence.",
            shown.vdd_mv,
            between(shown)
        ),
        (None, Some(reached)) => format!(
            "{} of the {} sampled chips work at {} mV{with}; that does not show a yield of {target}: it is {} at \
             {confidence} confidence.",
            reached.passing,
            head.chips,
            reached.vdd_mv,
            between(reached)
        ),
        (None, None) => format!("No supply of the experiment reaches a yield of {target}{with}."),
    }
}

fn would_change(head: &Head, candidates: &[YieldOf]) -> Vec<String> {
    let Some(best) = best(candidates) else { return Vec::new() };
    let mut all = Vec::new();
    if best.shown_mv != best.reached_mv {
        let supplies = best.points.len() as f64;
        let of_each = 1.0 - 0.5 * (1.0 - head.of_sample()) / supplies;
        let least = chips_to_show(head.yield_target, of_each);
        let least = least.map_or_else(String::new, |chips| {
            format!("; {chips} would show the target where all of them pass")
        });
        all.push(format!(
            "more chips narrow the band: {} sampled ones reach the target at {} mV{least}",
            head.chips,
            best.reached_mv.map_or_else(|| "no".to_owned(), |mv| mv.to_string())
        ));
    }
    let below = best.points.iter().find(|point| best.shown_mv.is_some_and(|mv| point.vdd_mv < mv));
    match below {
        Some(below) => all.push(format!(
            "at {} mV the yield is between {} and {}: a lower target would be shown there",
            below.vdd_mv,
            share_words(below.yield_low, 1),
            share_words(below.yield_high, 1)
        )),
        None if best.shown_mv.is_some() => {
            all.push("lower supplies in `vdd_mv`: the target is shown at the lowest".to_owned());
        }
        None => {}
    }
    all
}

#[cfg(test)]
mod tests;
