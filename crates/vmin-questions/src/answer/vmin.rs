//! How low each chip can go.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_sweep::statistics::{Yield, chips_to_show, quantiles, reaches, share_words};
use vmin_sweep::{Candidate, Plan};

use super::{Head, Tail, error, method, passing};
use crate::run::{Certainty, OfCandidate, Probe, Searched};

/// The lowest passing supply of every chip, and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct VminAnswer {
    /// The answer and its confidence.
    #[serde(flatten)]
    pub head: Head,
    /// The experiment's own network first, then its remedies.
    pub candidates: Vec<VminOf>,
    /// Remarks.
    #[serde(flatten)]
    pub tail: Tail,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct VminOf {
    /// Its name.
    pub name: String,
    /// Test error of its network without bit errors.
    pub err: f64,
    /// Lowest passing supply that 5 % of the chips do not exceed, in mV; absent if it is above the highest supply.
    pub vmin_q05_mv: Option<f64>,
    /// Median.
    pub vmin_q50_mv: Option<f64>,
    /// Lowest passing supply that 95 % of the chips do not exceed.
    pub vmin_q95_mv: Option<f64>,
    /// Chips that fail at the highest supply.
    pub chips_above: u32,
    /// Chips that pass at the lowest supply: they may go lower.
    pub chips_at_lowest: u32,
    /// Chips at which a supply failed that is higher than one that passed: accuracy is not monotone there.
    pub chips_out_of_order: u32,
    /// One supply for all chips: the lowest at which the share of sampled chips reaches the target of yield.
    pub one_supply: Option<OneSupply>,
    /// The lowest supply at which the sample shows that target for the population, in mV (one-sided).
    pub shown_mv: Option<f64>,
    /// A supply for each chip: its lowest passing one.
    pub adaptive: Option<Adaptive>,
    /// Chips by their lowest passing supply, falling: what each could be sold at.
    pub bins: Vec<Bin>,
    /// Images classified for its decisions.
    pub inferences: u64,
    /// One entry per chip.
    pub vmin: Vec<ChipVmin>,
}

/// One supply for all chips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OneSupply {
    /// The supply, in mV.
    pub vdd_mv: f64,
    /// Chips within the budget there.
    pub chips: u32,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Share saved against the experiment's own network, unprotected at the nominal supply.
    pub energy_saving: f64,
}

/// A supply for each chip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Adaptive {
    /// Chips that pass somewhere.
    pub chips: u32,
    /// Mean over these chips of the energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Share saved against the experiment's own network, unprotected at the nominal supply.
    pub energy_saving: f64,
    /// Share of the energy saved against one supply for all, mean over the chips within the budget there.
    pub saving_over_one_supply: Option<f64>,
}

/// Chips of one lowest passing supply.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Bin {
    /// The supply, in mV.
    pub vdd_mv: f64,
    /// Chips whose lowest passing supply it is.
    pub chips: u32,
    /// Chips that pass at it.
    pub passing: u32,
    /// Share of chips that pass at it.
    #[serde(rename = "yield")]
    pub yield_fraction: f64,
    /// Share of the population that the sample shows to pass at it (one-sided).
    pub yield_shown: f64,
    /// Energy of one inference, in nJ.
    pub energy_per_inference_nj: f64,
    /// Share saved against the experiment's own network, unprotected at the nominal supply.
    pub energy_saving: f64,
}

/// One chip.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ChipVmin {
    /// Its number.
    pub chip: u32,
    /// Offset of the network on it, in bits.
    pub offset_bits: u64,
    /// Its lowest passing supply: it and all higher ones that were tried are within the budget; absent if the highest
    /// fails.
    pub vmin_mv: Option<f64>,
    /// What was tried, by falling supply.
    pub tried: Vec<Decision>,
}

/// One chip at one supply.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Decision {
    /// The supply, in mV.
    pub vdd_mv: f64,
    /// Whether the chip is within the budget.
    pub within_budget: bool,
    /// Images that decided.
    pub images: u64,
    /// Images lost among them: right without bit errors only.
    pub lost: u64,
    /// Images gained: right with bit errors only.
    pub gained: u64,
}

impl VminAnswer {
    /// From the searches of a plan.
    #[must_use]
    pub fn new(plan: &Plan, certainty: Certainty, searched: &Searched) -> Self {
        let head = Head::new(plan, certainty, searched);
        let all = plan.candidates.iter().zip(&searched.candidates);
        let candidates: Vec<VminOf> =
            all.map(|(candidate, of)| VminOf::new(plan, &head, candidate, of)).collect();
        let answer = sentence(&head, &candidates);
        let tail = Tail {
            would_change: would_change(plan, &head, &candidates),
            notes: std::iter::once(method(&head)).chain(plan.notes.iter().cloned()).collect(),
            provenance: plan.provenance(),
        };
        Self { head: Head { answer, ..head }, candidates, tail }
    }

    /// The candidate that the answer names.
    #[must_use]
    pub fn best(&self) -> Option<&VminOf> {
        best(&self.candidates)
    }
}

impl VminOf {
    fn new(plan: &Plan, head: &Head, candidate: &Candidate, of: &OfCandidate) -> Self {
        let mv = |point: usize| candidate.points[point].cost.vdd_mv;
        let energy = |point: usize| candidate.points[point].cost.energy_per_inference_nj;
        let saving = |point: usize| candidate.points[point].cost.energy_saving;
        let (chips, offsets) = (head.chips, plan.offset_bits.len());
        let lowest: Vec<f64> =
            of.chips.iter().map(|chip| chip.lowest.map_or(f64::INFINITY, mv)).collect();
        let [q05, q50, q95] = quantiles(&lowest, [0.05, 0.5, 0.95]).unwrap_or([f64::INFINITY; 3]);
        let finite = |mv: f64| Some(mv).filter(|mv| mv.is_finite());
        let count = |of_chip: &dyn Fn(&crate::OfChip) -> bool| {
            of.chips.iter().filter(|chip| of_chip(chip)).count() as u32
        };
        let shown =
            |point: usize| Yield::of(passing(of, point), chips, offsets, head.of_sample()).shown;
        let share = |point: usize| f64::from(passing(of, point)) / f64::from(chips);
        let points = 0..candidate.points.len();
        let lowest_with = |reached: &dyn Fn(usize) -> f64| {
            points.clone().take_while(|&point| reaches(reached(point), head.yield_target)).last()
        };
        let one = lowest_with(&share);
        let bins = points.clone().map(|point| Bin {
            vdd_mv: mv(point),
            chips: count(&|chip| chip.lowest == Some(point)),
            passing: passing(of, point),
            yield_fraction: share(point),
            yield_shown: shown(point),
            energy_per_inference_nj: energy(point),
            energy_saving: saving(point),
        });
        let found: Vec<usize> = of.chips.iter().filter_map(|chip| chip.lowest).collect();
        let mean = |of: &dyn Fn(usize) -> f64, among: &[usize]| {
            among.iter().map(|&point| of(point)).sum::<f64>() / among.len() as f64
        };
        let adaptive = (!found.is_empty()).then(|| Adaptive {
            chips: found.len() as u32,
            energy_per_inference_nj: mean(&energy, &found),
            energy_saving: mean(&saving, &found),
            saving_over_one_supply: one.map(|one| {
                let within: Vec<usize> = found.iter().copied().filter(|&at| at >= one).collect();
                1.0 - mean(&energy, &within) / energy(one)
            }),
        });
        let tried = |probe: &Probe| Decision {
            vdd_mv: mv(probe.point),
            within_budget: probe.within,
            images: probe.images,
            lost: probe.lost,
            gained: probe.gained,
        };
        let chip = |(number, chip): (usize, &crate::OfChip)| {
            let spec = plan.chip(number as u32);
            ChipVmin {
                chip: spec.chip,
                offset_bits: spec.offset_bits,
                vmin_mv: chip.lowest.map(mv),
                tried: chip.probes.iter().map(tried).collect(),
            }
        };
        let last = candidate.points.len().checked_sub(1);
        Self {
            name: candidate.name.clone(),
            err: error(head.images, of.clean_correct),
            vmin_q05_mv: finite(q05),
            vmin_q50_mv: finite(q50),
            vmin_q95_mv: finite(q95),
            chips_above: count(&|chip| chip.lowest.is_none()),
            chips_at_lowest: count(&|chip| chip.lowest.is_some() && chip.lowest == last),
            chips_out_of_order: count(&|chip| chip.out_of_order),
            one_supply: one.map(|point| OneSupply {
                vdd_mv: mv(point),
                chips: passing(of, point),
                energy_per_inference_nj: energy(point),
                energy_saving: saving(point),
            }),
            shown_mv: lowest_with(&shown).map(mv),
            adaptive,
            bins: bins.collect(),
            inferences: of
                .chips
                .iter()
                .flat_map(|chip| &chip.probes)
                .map(|probe| probe.classified)
                .sum(),
            vmin: of.chips.iter().enumerate().map(chip).collect(),
        }
    }
}

/// The candidate that needs the least energy at one supply for all; of equal ones the first.
fn best(candidates: &[VminOf]) -> Option<&VminOf> {
    let energy =
        |of: &VminOf| of.one_supply.map_or(f64::INFINITY, |one| one.energy_per_inference_nj);
    candidates.iter().min_by(|a, b| energy(a).total_cmp(&energy(b)))
}

fn percent(share: f64) -> String {
    share_words(share, 1)
}

fn sentence(head: &Head, candidates: &[VminOf]) -> String {
    let Some(best) = best(candidates) else { return String::new() };
    let budget = format!("{:.2} points of accuracy", head.accuracy_loss_max * 100.0);
    let target = share_words(head.yield_target, 0);
    let with = match candidates.len() {
        1 => String::new(),
        _ => format!(" with `{}`", best.name),
    };
    let Some(one) = best.one_supply else {
        return format!(
            "At no supply of the experiment do {target} of the {} chips lose at most {budget}{with}.",
            head.chips
        );
    };
    let lowest = if best.bins.last().is_some_and(|bin| bin.vdd_mv == one.vdd_mv) {
        ", the lowest supply of the experiment"
    } else {
        ""
    };
    let each = best.adaptive.map_or_else(String::new, |adaptive| {
        match adaptive.saving_over_one_supply {
            // Less than is printed.
            Some(over) if over >= 0.0005 => {
                format!("; a supply for each chip saves a further {} of that", percent(over))
            }
            Some(_) | None => String::new(),
        }
    });
    format!(
        "{} of {} chips work at {} mV{with}{lowest} (target {target}, losing at most {budget}), which saves {} of the \
         energy of an inference{each}.",
        one.chips,
        head.chips,
        one.vdd_mv,
        percent(one.energy_saving)
    )
}

fn would_change(plan: &Plan, head: &Head, candidates: &[VminOf]) -> Vec<String> {
    let mut all = Vec::new();
    let Some(best) = best(candidates) else { return all };
    let mv = |at: &Bin| at.vdd_mv;
    let place =
        best.one_supply.and_then(|one| best.bins.iter().position(|bin| bin.vdd_mv == one.vdd_mv));
    if let Some(next) = place.and_then(|place| best.bins.get(place + 1)) {
        all.push(format!(
            "one supply lower, at {} mV, {} of {} chips are within the budget: a target of yield of {} would reach it",
            mv(next),
            next.passing,
            head.chips,
            share_words(next.yield_fraction, 1)
        ));
    }
    if best.chips_at_lowest > 0 {
        all.push(format!(
            "{} chips pass at the lowest supply, {} mV: lower ones in `vdd_mv` tell how far they go",
            best.chips_at_lowest,
            best.bins.last().map_or(0.0, mv)
        ));
    }
    if best.chips_above > 0 {
        all.push(format!(
            "{} chips fail at the highest supply, {} mV: higher ones in `vdd_mv`, or a remedy, would save them",
            best.chips_above,
            best.bins.first().map_or(0.0, mv)
        ));
    }
    let needed = chips_to_show(head.yield_target, head.of_sample());
    match (best.shown_mv, best.one_supply, needed) {
        (Some(shown), Some(one), _) if shown > one.vdd_mv => all.push(format!(
            "more chips: these {} show the target for the population at {shown} mV only ({} confidence, one-sided)",
            head.chips,
            share_words(head.confidence, 0)
        )),
        (None, Some(_), Some(needed)) if needed > u64::from(plan.chips) => all.push(format!(
            "more chips: {needed} are needed to show the target for the population ({} confidence, one-sided), if all \
             of them pass",
            share_words(head.confidence, 0)
        )),
        (Some(_) | None, Some(_) | None, Some(_) | None) => {}
    }
    all
}
