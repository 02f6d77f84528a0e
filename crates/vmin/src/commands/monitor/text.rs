//! The answer as a table with sentences, for people.

use vmin_sweep::statistics::{interval_words, rate_words, share_words};

use super::{InTime, Monitored, Strategy};
use crate::answer::{self, percent};

pub(super) fn table(of: &Monitored) -> String {
    let optional = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |of| percent(of, 2));
    let area = |area: Option<f64>| area.map_or_else(|| "–".to_owned(), |of| format!("{of:.3}"));
    let energy = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |of| percent(of, 1));
    let header = [
        "Vdd (mV)",
        "faulty cells",
        "accepted",
        "RErr",
        "RErr of accepted",
        "worst chip",
        "chips that reject more",
        "chips over budget",
        "ROC area",
        "access energy",
    ];
    let points = of.points.iter().map(|point| {
        vec![
            point.vdd_mv.to_string(),
            rate_words(point.cell_fault_rate),
            percent(point.accepted_mean, 2),
            percent(point.rerr_mean, 2),
            optional(point.accepted_rerr_mean),
            optional(point.accepted_rerr_max),
            point.chips_rejections_up.to_string(),
            point.chips_over_budget.to_string(),
            area(point.roc_area_mean),
            energy(point.access_energy),
        ]
    });
    let points = answer::fitted(&header, 0, &["ROC area", "faulty cells", "access energy"], points);
    let header = [
        "supply",
        "mean (mV)",
        "rejected",
        "RErr of accepted",
        "worst chip",
        "chips over budget",
        "access energy",
    ];
    let strategies = of.canary.strategies.iter().map(|strategy| {
        vec![
            name(strategy).to_owned(),
            format!("{:.1}", strategy.vdd_mv),
            percent(strategy.rejected, 2),
            optional(strategy.accepted_err_mean),
            optional(strategy.accepted_err_max),
            strategy.chips_over_budget.to_string(),
            energy(strategy.access_energy),
        ]
    });
    let strategies = answer::fitted(&header, 1, &[], strategies);
    let canary = &of.canary;
    let notes = [
        threshold(of),
        format!(
            "without bit errors: {} accepted, error {} of all and {} of accepted images; the budget adds {} points",
            percent(of.clean.accepted, 2),
            percent(of.clean.err, 2),
            optional(of.clean.accepted_err),
            of.accuracy_loss_max * 100.0
        ),
        rises(&of.in_time),
        format!(
            "canary: windows of {} images, up after more than {} rejections, down after {} windows in a row with at \
             most {}; at most {} false alarms",
            canary.window,
            canary.rejections_most,
            canary.patience,
            canary.rejections_calm,
            share_words(canary.false_alarm, 1)
        ),
        format!(
            "one for all, own: the lowest supplies that keep the budget and reject at most {} points more than without bit \
             errors, chosen by the labels of the same images",
            of.rejections_added_max * 100.0
        ),
    ];
    let notes: Vec<String> = notes.iter().map(|note| answer::wrapped(note)).collect();
    format!("{points}\n\n{strategies}\n\n{}", notes.join("\n"))
}

/// A way to choose supplies, in words.
pub(super) fn name(strategy: &Strategy) -> &'static str {
    match strategy.name {
        "one_for_all" => "one for all chips",
        "own" => "each chip's own",
        _ => "canary",
    }
}

/// The threshold and the images behind it.
pub(super) fn threshold(of: &Monitored) -> String {
    format!(
        "images are accepted from a confidence of {:.4} on, which {} of the {} right ones of {} held-out images reach; \
         {} other images are evaluated",
        of.threshold,
        share_words(of.tpr, 0),
        of.held_out_right,
        of.held_out,
        of.images
    )
}

/// Whether rejections rise before errors pass.
pub(super) fn rises(of: &InTime) -> String {
    let InTime { chips, over_budget, in_time, earlier, share_low, share_high } = of;
    if *over_budget == 0 {
        return format!(
            "on none of {chips} chips does the error of accepted images exceed the budget"
        );
    }
    format!(
        "on {over_budget} of {chips} chips the error of accepted images exceeds the budget; on {in_time} of these \
         ({} of all such chips) rejections rise at no lower supply, on {earlier} at a higher one",
        interval_words(*share_low, *share_high)
    )
}
