//! `vmin monitor`: confidence as an on-line monitor of low voltage.
//!
//! ```text
//!  held-out images, no bit errors ─> threshold, nominal rejections           measure.rs
//!  chip x supply x image ─> accepted? right? ─> counts ─> points             points.rs
//!  a chip's rejections, window by window ─> its supply, against fixed ones   canary.rs
//! ```

mod canary;
mod measure;
mod page;
mod points;
mod text;

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_monitor::{Rise, Roc};

pub use self::canary::{Canary, CanaryOfChip, Strategy};
pub use self::points::{Clean, InTime, Point};

use self::measure::Measured;
use super::setup;
use crate::args::MonitorArgs;
use crate::{Answer, Failure, answer, compute, files};

/// What confidences tell of chips at low voltage.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Monitored {
    /// The network, as named.
    pub model: String,
    /// The image set, as named.
    pub data: String,
    /// Images that every chip classifies at every supply.
    pub images: usize,
    /// Other images, held out to set the threshold.
    pub held_out: usize,
    /// Of those, classified right without bit errors.
    pub held_out_right: usize,
    /// Of the held-out images, rejected without bit errors: the nominal rate.
    pub held_out_rejected: u64,
    /// Share of right held-out images that the threshold accepts, at least.
    pub tpr: f64,
    /// Confidence from which an image is accepted.
    pub threshold: f64,
    /// Confidence of tests and intervals.
    pub confidence: f64,
    /// Error that may be added among accepted images.
    pub accuracy_loss_max: f64,
    /// Share of images that fixed supplies may reject beyond those rejected without bit errors.
    pub rejections_added_max: f64,
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
    /// Without bit errors, on the same images.
    pub clean: Clean,
    /// Each supply, falling.
    pub points: Vec<Point>,
    /// Whether rejections rise before errors pass.
    pub in_time: InTime,
    /// The supply that follows rejections, against fixed ones.
    pub canary: Canary,
    /// Each chip.
    pub chips: Vec<Chip>,
    /// Curves without bit errors and at each supply.
    #[serde(skip)]
    roc: Vec<Roc>,
    /// The supply of each window, of each chip.
    #[serde(skip)]
    traces: Vec<Vec<usize>>,
}

/// One chip.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chip {
    /// Its number in the population, or among the files.
    pub chip: u32,
    /// Its file, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip_file: Option<String>,
    /// Highest supply with significantly more rejections than without bit errors; absent if there is none.
    pub rejections_up_mv: Option<f64>,
    /// Highest supply at which the error of accepted images exceeds the budget; absent if there is none.
    pub over_budget_mv: Option<f64>,
    /// Lowest supply at which, and at all swept ones above which, errors and rejections are within their budgets; absent
    /// if there is none.
    pub within_budget_mv: Option<f64>,
    /// Whether rejections rise at a supply no lower than that of the errors; absent where no errors pass.
    pub in_time: Option<bool>,
    /// Images accepted at each supply.
    pub accepted: Vec<u64>,
    /// Wrong images at each supply.
    pub wrong: Vec<u64>,
    /// Wrong images among the accepted ones at each supply.
    pub wrong_accepted: Vec<u64>,
    /// What the canary makes of it.
    pub canary: CanaryOfChip,
}

/// Classifies images on chips at several supplies, and asks what their confidences tell.
///
/// # Errors
/// A name leads nowhere, the parts do not fit each other, or the run was stopped.
pub fn run(args: &MonitorArgs, stop: &AtomicBool) -> Result<Monitored, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn run_here(args: &MonitorArgs, stop: &AtomicBool) -> Result<Monitored, Failure> {
    if let Some(path) = &args.report {
        files::check(path, files::Output::page("monitor"))?;
    }
    let swept_mv = setup::swept_mv(&args.on_chip)?;
    let measured = measure::run(args, &swept_mv, stop)?;
    let monitored = answer_of(args, &swept_mv, measured);
    if let Some(path) = &args.report {
        let page = page::page(&monitored)?;
        files::write(path, page.as_bytes(), files::Output::page("monitor"))?;
    }
    Ok(monitored)
}

fn answer_of(args: &MonitorArgs, swept_mv: &[f64], measured: Measured) -> Monitored {
    let Measured { held_out, clean, supplies, chips, subject, canary: followed, .. } = measured;
    let (confidence, loss) = (args.confidence_pct / 100.0, args.accuracy_loss_max_pct / 100.0);
    let clean_accepted = clean.counts.accepted_err().unwrap_or_default();
    let rejections_added = args.rejections_max_pct / 100.0;
    let budget = points::Budget {
        err: clean_accepted + loss,
        rejected: clean.counts.rejections().share() + rejections_added,
    };
    let rises: Vec<Rise> = chips
        .iter()
        .map(|chip| Rise::of(&chip.counts, held_out.nominal, 1.0 - confidence, budget.err))
        .collect();
    let of_points = points::points(swept_mv, &supplies, &chips, &rises, confidence);
    let canary = canary::compared(args, swept_mv, &supplies, &chips, &followed, budget);
    let mv = |index: Option<usize>| index.map(|index| swept_mv[index]);
    let each = chips.iter().zip(&rises).zip(&followed.chips).map(|((chip, rise), followed)| {
        let list = |of: fn(&vmin_monitor::Counts) -> u64| chip.counts.iter().map(of).collect();
        Chip {
            chip: chip.number,
            chip_file: chip.file.clone(),
            rejections_up_mv: mv(rise.rejections),
            over_budget_mv: mv(rise.accepted_err),
            within_budget_mv: mv(budget.lowest(&chip.counts)),
            in_time: rise.in_time(),
            accepted: list(|of| of.accepted),
            wrong: list(|of| of.wrong),
            wrong_accepted: list(|of| of.wrong_accepted),
            canary: canary::of_chip(followed, swept_mv, &supplies, budget),
        }
    });
    Monitored {
        model: args.model.display().to_string(),
        data: args.data.clone(),
        images: clean.counts.images as usize,
        held_out: args.held_out,
        held_out_right: held_out.right,
        held_out_rejected: held_out.nominal.hits,
        tpr: args.tpr,
        threshold: held_out.threshold,
        confidence,
        accuracy_loss_max: loss,
        rejections_added_max: rejections_added,
        fault_kind: subject.fault_kind,
        accelerator: subject.accelerator,
        placement: args.on_chip.on_chip.placement.word(),
        profile: args.on_chip.on_chip.profile.clone(),
        protection: subject.protection,
        chip_seed: args.on_chip.on_chip.chip_seed.to_string(),
        clean: points::clean(&clean),
        points: of_points,
        in_time: points::in_time(&rises, confidence),
        chips: each.collect(),
        canary,
        roc: measured.roc,
        traces: followed.chips.into_iter().map(|of| of.supplies).collect(),
    }
}

impl Answer for Monitored {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.points)
    }

    fn table(&self) -> String {
        text::table(self)
    }
}
