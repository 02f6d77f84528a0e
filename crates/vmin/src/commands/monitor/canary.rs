//! The supply that follows rejections, against fixed supplies.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_monitor::{Counts, Followed, Rule};
use vmin_sweep::Spread;

use super::measure::{Canaries, OfChip, OfSupply};
use super::points::Budget;
use crate::args::MonitorArgs;

/// The simulated canary: its rule, and what it comes to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Canary {
    /// Images of a window.
    pub window: u64,
    /// Windows of each chip.
    pub windows: u32,
    /// The supply goes up after more rejections than these.
    pub rejections_most: u64,
    /// A window with no more rejections than these is calm.
    pub rejections_calm: u64,
    /// Calm windows in a row before the supply goes down.
    pub patience: u32,
    /// Chance of an alarm in a window with images rejected as without bit errors, at most.
    pub false_alarm: f64,
    /// Seed of the images, as text: JSON numbers have 53 bits.
    pub seed: String,
    /// The canary, one supply for all chips, and the lowest supply of each chip; the last two chosen by the labels.
    pub strategies: Vec<Strategy>,
}

/// A way to choose supplies, over all chips.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Strategy {
    /// `canary`, `one_for_all` or `own`.
    pub name: &'static str,
    /// Supply of the weight memory in mV, mean over windows and chips.
    pub vdd_mv: f64,
    /// Share of rejected images, mean over chips.
    pub rejected: f64,
    /// Error of accepted images, mean over the chips that accept any.
    pub accepted_err_mean: Option<f64>,
    /// On the worst chip.
    pub accepted_err_max: Option<f64>,
    /// Chips whose error of accepted images exceeds the budget.
    pub chips_over_budget: usize,
    /// Energy of the accesses of the lowered memories over that at nominal supplies, mean over windows and chips.
    pub access_energy: Option<f64>,
}

/// The canary on one chip.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CanaryOfChip {
    /// Supply of the weight memory in mV, mean over windows.
    pub vdd_mv: f64,
    /// Share of rejected images.
    pub rejected: f64,
    /// Error of accepted images; absent if none is accepted.
    pub accepted_err: Option<f64>,
    /// Whether that exceeds the budget.
    pub over_budget: bool,
    /// Windows after which the supply went up, or would have.
    pub alarms: u32,
    /// Energy of the accesses of the lowered memories over that at nominal supplies, mean over windows.
    pub access_energy: Option<f64>,
}

fn energies(supplies: &[OfSupply]) -> Option<Vec<f64>> {
    supplies.iter().map(|supply| supply.access_energy).collect()
}

pub(super) fn of_chip(
    followed: &Followed,
    swept_mv: &[f64],
    supplies: &[OfSupply],
    budget: Budget,
) -> CanaryOfChip {
    CanaryOfChip {
        vdd_mv: followed.mean(swept_mv),
        rejected: followed.counts.rejections().share(),
        accepted_err: followed.counts.accepted_err(),
        over_budget: budget.passes_errors(&followed.counts),
        alarms: followed.alarms,
        access_energy: energies(supplies).map(|energies| followed.mean(&energies)),
    }
}

pub(super) fn compared(
    args: &MonitorArgs,
    swept_mv: &[f64],
    supplies: &[OfSupply],
    chips: &[OfChip],
    Canaries { rule, chips: followed }: &Canaries,
    budget: Budget,
) -> Canary {
    let energies = energies(supplies);
    let strategy = |name, of: &[(Counts, f64, Option<f64>)]| {
        let mean = |values: Vec<f64>| Spread::of(&values).map_or(0.0, |of| of.mean);
        let errs: Vec<f64> = of.iter().filter_map(|(counts, ..)| counts.accepted_err()).collect();
        let energies: Option<Vec<f64>> = of.iter().map(|(.., energy)| *energy).collect();
        Strategy {
            name,
            vdd_mv: mean(of.iter().map(|(_, mv, _)| *mv).collect()),
            rejected: mean(of.iter().map(|(of, ..)| of.rejections().share()).collect()),
            accepted_err_mean: Spread::of(&errs).map(|of| of.mean),
            accepted_err_max: Spread::of(&errs).map(|of| of.max),
            chips_over_budget: of
                .iter()
                .filter(|(counts, ..)| budget.passes_errors(counts))
                .count(),
            access_energy: energies.map(mean),
        }
    };
    let canary = followed.iter().map(|of| {
        (of.counts, of.mean(swept_mv), energies.as_ref().map(|energies| of.mean(energies)))
    });
    // A chip that is nowhere within the budget is left at the highest supply.
    let lowest = |chip: &OfChip| budget.lowest(&chip.counts).unwrap_or(0);
    let at = |chip: &OfChip, index: usize| {
        (chip.counts[index], swept_mv[index], supplies[index].access_energy)
    };
    let for_all = chips.iter().map(lowest).min().unwrap_or(0);
    let Rule { window, most, calm, patience } = *rule;
    Canary {
        window,
        windows: args.windows,
        rejections_most: most,
        rejections_calm: calm,
        patience,
        false_alarm: args.false_alarm,
        seed: args.canary_seed.to_string(),
        strategies: vec![
            strategy("canary", &canary.collect::<Vec<_>>()),
            strategy("one_for_all", &chips.iter().map(|of| at(of, for_all)).collect::<Vec<_>>()),
            strategy("own", &chips.iter().map(|of| at(of, lowest(of))).collect::<Vec<_>>()),
        ],
    }
}
