//! Outcomes of all images on all chips at all supplies.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use vmin_diagnostic::Diagnostic;
use vmin_emulator::{Confidence, Emulator, Prediction, Stopped, Supplies, TrialSpec};
use vmin_monitor::{Counts, Followed, Outcome, Roc, Rule, Sample, area, threshold};
use vmin_nn::data::Dataset;
use vmin_protection::ProtectionCosts;

use crate::args::{MonitorArgs, OnChipArgs};
use crate::commands::setup::{self, Asked, Setup};
use crate::progress::Progress;
use crate::{Failure, compute};

/// All that is measured.
pub(super) struct Measured {
    pub(super) held_out: HeldOut,
    pub(super) clean: AtSupply,
    /// What holds for every chip at each supply.
    pub(super) supplies: Vec<OfSupply>,
    pub(super) chips: Vec<OfChip>,
    pub(super) canary: Canaries,
    /// Without bit errors, then at each supply.
    pub(super) roc: Vec<Roc>,
    pub(super) subject: Subject,
}

/// The held-out images without bit errors.
#[derive(Clone, Copy)]
pub(super) struct HeldOut {
    pub(super) right: usize,
    pub(super) threshold: f64,
    /// Their rejections.
    pub(super) nominal: Sample,
}

/// Images at one supply.
pub(super) struct AtSupply {
    pub(super) counts: Counts,
    /// Area under the ROC curve.
    pub(super) area: Option<f64>,
}

/// A supply.
pub(super) struct OfSupply {
    pub(super) cell_fault_rate: f64,
    /// Energy of the accesses of the lowered memories over that at nominal supplies, if a profile tells it.
    pub(super) access_energy: Option<f64>,
}

/// A chip at all supplies.
pub(super) struct OfChip {
    pub(super) number: u32,
    pub(super) file: Option<String>,
    pub(super) counts: Vec<Counts>,
    pub(super) areas: Vec<Option<f64>>,
}

/// The rule of the canary, and what it did on each chip.
pub(super) struct Canaries {
    pub(super) rule: Rule,
    pub(super) chips: Vec<Followed>,
}

/// What is monitored, in words.
pub(super) struct Subject {
    pub(super) fault_kind: Option<&'static str>,
    pub(super) accelerator: String,
    pub(super) protection: Option<String>,
}

pub(super) fn run(
    args: &MonitorArgs,
    swept_mv: &[f64],
    stop: &AtomicBool,
) -> Result<Measured, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    // The lowest supply is that of a chip's test.
    let on_chip = OnChipArgs { vdd_mv: swept_mv.last().copied(), ..args.on_chip.on_chip.clone() };
    let graph = setup::network(&args.model, &on_chip)?;
    let all = setup::images(&args.data, None)?;
    let (evaluated, held_out) = split(args, all.len())?;
    let part =
        |range: Range<usize>| all.subset(range).map_err(|error| Failure::input("data", &error));
    let (data, held_out) = (part(evaluated.clone())?, part(held_out)?);
    let asked = Asked { option: "--protect", mechanisms: &args.protect, if_of_use: false };
    let setup = Setup::over(&graph, &on_chip, asked, swept_mv)?;
    let named = Some((&args.data[..], &all));
    let deployment = setup.deployment(&graph)?;
    let deployment = setup.calibrated(deployment, &on_chip, named, kernel, stop)?;
    setup.remark(&deployment)?;
    let confidence = Confidence::of_network(&graph);
    let on =
        |data| Ok::<_, Failure>(setup::emulator(&graph, data, kernel)?.reading(confidence.clone()));
    let held_out = judge(&on(&held_out)?, &held_out, args.tpr, stop)?;
    let emulator = on(&data)?;
    let predicted = emulator.predict_clean(stop).map_err(interrupted)?;
    let seen = Seen { labels: &data.labels, threshold: held_out.threshold };
    let mut roc = vec![Roc::default(); swept_mv.len() + 1];
    let (clean, _) = seen.all(&predicted, &mut roc[0]);
    let rule = Rule::new(held_out.nominal, args.window.into(), args.false_alarm, args.patience);
    let falling = &setup.chips.swept;
    let rising: Vec<&Supplies> = falling.iter().rev().collect();
    let (mut chips, mut followed) = (Vec::new(), Vec::new());
    let range = setup.chips.range.clone();
    let progress = Progress::new("monitor", "trials");
    progress.begin(range.len() as u64 * falling.len() as u64, 0);
    for number in range {
        let open = setup.open_at(&deployment, number, &rising)?;
        let (mut counts, mut areas, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for (supplies, roc) in falling.iter().zip(&mut roc[1..]) {
            let trial = TrialSpec { supplies, ..setup.trial(evaluated.start as u64) };
            let found = open.predict(trial, &emulator, &predicted, stop).map_err(interrupted)?;
            let (at, own) = seen.all(&found.0, roc);
            counts.push(at.counts);
            areas.push(at.area);
            outcomes.push(own);
            progress.advance();
        }
        followed.push(rule.follow(&outcomes, args.windows, args.canary_seed, number));
        let file = setup.chips.files.get(number as usize).cloned();
        chips.push(OfChip { number, file, counts, areas });
    }
    drop(progress);
    let costs = ProtectionCosts::load("estimates")?;
    let of_supply = |supplies: &Supplies| {
        let priced = setup.energy(&graph, &deployment, &costs, supplies)?;
        let weight = supplies.weight.as_ref().map(|at| at.access.base().cell_fault_rate);
        Ok(OfSupply {
            cell_fault_rate: weight.unwrap_or_default(),
            access_energy: priced.map(|priced| priced.access_share(supplies)),
        })
    };
    let supplies = falling.iter().map(of_supply).collect::<Result<Vec<_>, Failure>>()?;
    let protection = setup.typed.protection();
    let subject = Subject {
        fault_kind: setup.chips.fault_kind,
        accelerator: setup.accelerator.name().to_owned(),
        protection: (!protection.is_empty()).then(|| protection.describe()),
    };
    let canary = Canaries { rule, chips: followed };
    Ok(Measured { held_out, clean, supplies, chips, canary, roc, subject })
}

fn interrupted(_: Stopped) -> Failure {
    Failure::Interrupted("interrupted".to_owned())
}

/// The evaluated images and the held-out ones, which share none.
fn split(args: &MonitorArgs, all: usize) -> Result<(Range<usize>, Range<usize>), Failure> {
    let wrong = |message: String| Diagnostic::new("out-of-range", message);
    if args.held_out == 0 || args.held_out >= all {
        let message = format!("{} images cannot be held out of `{}`", args.held_out, args.data);
        let allowed =
            format!("expected 1 to {}: the set has {all} test images", all.saturating_sub(1));
        return Err(wrong(message).allowed(allowed).into());
    }
    let first = all - args.held_out;
    let evaluated = args.images.clone().unwrap_or(0..first);
    if evaluated.end > first {
        let message = format!(
            "images {} to {} are not apart from the {} that are held out",
            evaluated.start,
            evaluated.end - 1,
            args.held_out
        );
        let allowed = format!("expected images below {first}: the set has {all} test images");
        let hint = "name fewer images with `--images`, or hold out fewer with `--held-out`";
        return Err(wrong(message).allowed(allowed).hint(hint).into());
    }
    Ok((evaluated, first..all))
}

/// The threshold by the held-out images, and how many of them it rejects.
fn judge(
    emulator: &Emulator<'_, Confidence>,
    held_out: &Dataset,
    tpr: f64,
    stop: &AtomicBool,
) -> Result<HeldOut, Failure> {
    let predicted = emulator.predict_clean(stop).map_err(interrupted)?;
    let labelled = || predicted.iter().zip(&held_out.labels);
    let right = labelled().filter(|(of, label)| of.class == usize::from(**label));
    let right: Vec<f64> = right.map(|(of, _)| of.confidence).collect();
    let Some(threshold) = threshold(&right, tpr) else {
        let message =
            "the network classifies none of the held-out images right, so there is no threshold";
        return Err(Diagnostic::new("no-threshold", message)
            .hint("check `--pixels`, or hold out more images with `--held-out`")
            .into());
    };
    let hits = predicted.iter().filter(|of| of.confidence < threshold).count() as u64;
    let nominal = Sample { hits, trials: predicted.len() as u64 };
    Ok(HeldOut { right: right.len(), threshold, nominal })
}

/// Labels and the threshold of confidence.
struct Seen<'l> {
    labels: &'l [u8],
    threshold: f64,
}

impl Seen<'_> {
    fn all(&self, predicted: &[Prediction], roc: &mut Roc) -> (AtSupply, Vec<Outcome>) {
        let right =
            |(of, label): (&Prediction, &u8)| (of.confidence, of.class == usize::from(*label));
        let judged: Vec<(f64, bool)> = predicted.iter().zip(self.labels).map(right).collect();
        judged.iter().for_each(|&(confidence, right)| roc.add(confidence, right));
        let outcome =
            |&(confidence, right): &_| Outcome { accepted: confidence >= self.threshold, right };
        let outcomes: Vec<Outcome> = judged.iter().map(outcome).collect();
        (AtSupply { counts: Counts::of(&outcomes), area: area(&judged) }, outcomes)
    }
}
