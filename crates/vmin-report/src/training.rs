//! The page of a training run: learning curves and results.

use std::fmt::Write;

use crate::axis::Axis;
use crate::colors::{BLUE, GREEN, ORANGE, VIOLET};
use crate::html::{begin, end, escape, percent, thousands, tiles};
use crate::plot::{Axes, Series, draw};

/// Results of one epoch; shares are 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainingEpoch {
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Mean cross-entropy without bit errors.
    pub loss: f64,
    /// Mean cross-entropy under bit errors, if it trained with them.
    pub perturbed_loss: Option<f64>,
    /// Share of wrong training images.
    pub train_err: f64,
    /// Share of wrong test images.
    pub err: f64,
    /// Share of wrong test images under bit errors, if measured.
    pub rerr: Option<f64>,
}

/// Content of the page.
#[derive(Clone, Debug)]
pub struct TrainingPage<'a> {
    /// Name of the network.
    pub name: &'a str,
    /// Images, in the words of the command line.
    pub data: &'a str,
    /// Trained values.
    pub parameters: usize,
    /// Multiplications per image.
    pub macs: usize,
    /// Finished epochs, at least one.
    pub epochs: &'a [TrainingEpoch],
    /// Epochs of the whole run.
    pub epochs_total: u32,
    /// Share of wrong test images of the trainer's network and of the integer network, if
    /// deployed.
    pub outcome: Option<[f64; 2]>,
    /// The recipe, as text.
    pub recipe: &'a str,
    /// The numbers as JSON.
    pub json: &'a str,
}

/// One HTML document that opens offline.
#[must_use]
pub fn training_page(view: &TrainingPage<'_>) -> String {
    let mut page = begin(&format!("Training of {}", view.name), "train");
    let outcome = view.outcome.map_or_else(String::new, |[float, integer]| {
        let (float, integer) = (percent(float, 2), percent(integer, 2));
        format!(" · test error {float}, as integers {integer}")
    });
    let _ = writeln!(
        page,
        "<p class=\"lead\">{} · {} parameters, {} MACs per image · epoch {} of {}{outcome}</p>",
        escape(view.data),
        thousands(view.parameters as u64),
        thousands(view.macs as u64),
        view.epochs.len(),
        view.epochs_total,
    );
    tiles(&mut page, &answers(view));
    page.push_str("<h2>Learning curves</h2>\n<div class=\"figures\">\n");
    for svg in [errors(view), losses(view), rates(view)] {
        crate::html::figure(&mut page, false, &svg);
    }
    page.push_str("</div>\n");
    let _ = writeln!(page, "<h2>Recipe</h2>\n<pre>{}</pre>", escape(view.recipe));
    end(&mut page, env!("CARGO_PKG_VERSION"), "vmin-training", view.json);
    page
}

/// Errors of the last epoch and of the networks it gave.
fn answers(view: &TrainingPage<'_>) -> Vec<(String, String)> {
    let mut answers = Vec::new();
    let mut add = |share, words: &str| answers.push((percent(share, 2), words.to_owned()));
    match (view.outcome, view.epochs.last()) {
        (Some([float, integer]), _) => {
            add(integer, "test error of the network as integers");
            add(float, "test error of the trained network");
        }
        (None, Some(last)) => add(last.err, "test error after the last epoch"),
        (None, None) => {}
    }
    if let Some(rerr) = view.epochs.iter().rev().find_map(|epoch| epoch.rerr) {
        add(rerr, "test error under bit errors (RErr), when last measured");
    }
    let epochs = format!("{} of {}", view.epochs.len(), view.epochs_total);
    answers.push((epochs, "epochs".to_owned()));
    answers
}

fn errors(view: &TrainingPage<'_>) -> String {
    let all = [
        curve(view, "training images", BLUE, |epoch| Some(100.0 * epoch.train_err)),
        curve(view, "test images", ORANGE, |epoch| Some(100.0 * epoch.err)),
        curve(view, "test images under bit errors", VIOLET, |epoch| {
            epoch.rerr.map(|rerr| 100.0 * rerr)
        }),
    ];
    let series: Vec<Series<'_>> = all.into_iter().flatten().collect();
    figure(view, "Wrong images", "share (%)", &series)
}

fn losses(view: &TrainingPage<'_>) -> String {
    let all = [
        curve(view, "without bit errors", BLUE, |epoch| Some(epoch.loss)),
        curve(view, "under bit errors", VIOLET, |epoch| epoch.perturbed_loss),
    ];
    let series: Vec<Series<'_>> = all.into_iter().flatten().collect();
    figure(view, "Loss in training", "cross-entropy", &series)
}

fn rates(view: &TrainingPage<'_>) -> String {
    let rate = curve(view, "", GREEN, |epoch| Some(epoch.learning_rate));
    figure(view, "Learning rate", "learning rate", rate.as_slice())
}

/// One value per epoch that has it; none if no epoch has it.
fn curve<'a>(
    view: &TrainingPage<'_>,
    label: &'a str,
    color: plotters::style::RGBColor,
    of: impl Fn(&TrainingEpoch) -> Option<f64>,
) -> Option<Series<'a>> {
    let points: Vec<(f64, f64)> = view
        .epochs
        .iter()
        .enumerate()
        .filter_map(|(index, epoch)| of(epoch).map(|y| ((index + 1) as f64, y)))
        .collect();
    (!points.is_empty()).then_some(Series::Line { label, color, points })
}

fn figure(
    view: &TrainingPage<'_>,
    title: &'static str,
    y_label: &'static str,
    series: &[Series<'_>],
) -> String {
    let heights = series.iter().flat_map(|series| match series {
        Series::Line { points, .. } => points.as_slice(),
        Series::Band { .. }
        | Series::Curve { .. }
        | Series::Dots { .. }
        | Series::Points { .. }
        | Series::Bars { .. }
        | Series::Level { .. } => &[],
    });
    let top = heights.map(|&(_, y)| y).fold(0.0, f64::max);
    let axes = Axes {
        title,
        x_label: "epoch",
        y_label,
        x: Axis::whole(0.5, view.epochs.len() as f64 + 0.5),
        y: Axis::linear(0.0, (1.08 * top).max(1e-9)),
    };
    draw(&axes, series)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(index: u32) -> TrainingEpoch {
        let after = f64::from(index + 1);
        TrainingEpoch {
            learning_rate: 0.1 / after,
            loss: 2.0 / after,
            perturbed_loss: (index > 1).then_some(2.5 / after),
            train_err: 0.5 / after,
            err: 0.6 / after,
            rerr: None,
        }
    }

    fn page(name: &str, epochs: &[TrainingEpoch], outcome: Option<[f64; 2]>) -> String {
        training_page(&TrainingPage {
            name,
            data: "builtin:shapes",
            parameters: 51_808,
            macs: 1_520_000,
            epochs,
            epochs_total: 9,
            outcome,
            recipe: "name = \"<x>\"",
            json: "[]",
        })
    }

    #[test]
    fn curves_are_those_there_are() {
        let epochs: Vec<_> = (0..4).map(epoch).collect();
        let text = page("net", &epochs, Some([0.125, 0.1271]));
        assert_eq!(text.matches("<svg").count(), 3);
        assert!(text.contains("epoch 4 of 9 · test error 12.50 %, as integers 12.71 %"), "{text}");
        assert!(text.contains("under bit errors"));
        let without = page("net", &epochs[..2], None);
        assert!(!without.contains("under bit errors") && !without.contains("as integers"));
    }

    #[test]
    fn names_stay_names() {
        let text = page("<script>", &[epoch(0)], None);
        assert!(!text.contains("<script>") && text.contains("&lt;x&gt;"));
    }
}
