//! `vmin yield`: the share of chips that work at each supply.

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, thousands};
use vmin_questions::answer::{YieldAnswer, YieldOf, YieldPoint, certainty, chips_for_margin};
use vmin_sweep::Plan;
use vmin_sweep::statistics::share_words;

use super::{asked, in_order, mv};
use crate::args::YieldArgs;
use crate::commands::sweep;
use crate::failure::say;
use crate::files;
use crate::{Answer, Failure, answer};

/// The yield over the supply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Yielded {
    /// Margin for which the number of chips was planned, as a fraction.
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
    /// The answer.
    #[serde(flatten)]
    answer: YieldAnswer,
}

/// Searches the lowest passing supply of every chip, and counts.
///
/// # Errors
/// All problems of the experiment, a margin that no number of chips reaches, a journal of another experiment, or the
/// run was stopped.
pub fn run(args: &YieldArgs, stop: &AtomicBool) -> Result<Yielded, Failure> {
    asked(
        &args.asked,
        ("yield", "yield.json", files::YIELD_ANSWER),
        || plan(args),
        |asked| {
            let searched = asked.search()?;
            let certainty = certainty(asked.plan, args.asked.exact);
            let answer = YieldAnswer::new(asked.plan, certainty, &searched);
            Ok(Yielded { margin: args.margin, answer })
        },
        stop,
    )
}

/// The plan, with as many chips as the margin asks for.
fn plan(args: &YieldArgs) -> Result<Plan, Failure> {
    let mut sets = args.asked.set.clone();
    sets.extend(
        args.confidence.map(|share| format!("yield.confidence_pct={}", rounded(share * 100.0))),
    );
    let read = |sets: &[String]| sweep::plan(args.asked.experiment.as_deref(), sets);
    let plan = read(&sets)?;
    let Some(margin) = args.margin else { return Ok(plan) };
    let refused = |message: &str, hint: &str| {
        Err(Diagnostic::new("margin", message.to_owned()).hint(hint).into())
    };
    if plan.has_chip_files() {
        return refused(
            "`--margin` plans a number of chips, and this experiment names its chip files",
            "leave `--margin` away, or sample chips of a population with `[chips] count`",
        );
    }
    let setting = &plan.setting;
    let Some(chips) = chips_for_margin(setting.yield_target, margin, setting.confidence) else {
        return refused(
            "no number of chips up to a million reaches this margin at this confidence",
            "ask for a wider margin",
        );
    };
    say(&format!(
        "{} chips planned: the yield at a supply is then found within {} at {} confidence, where it is {} or more",
        thousands(u64::from(chips)),
        share_words(margin, 1),
        share_words(setting.confidence, 0),
        share_words(setting.yield_target, 0)
    ));
    sets.push(format!("chips.count={chips}"));
    read(&sets)
}

/// Without the noise of a division by a hundred.
fn rounded(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

/// One supply of a candidate in the CSV.
#[derive(Serialize)]
struct Row<'a> {
    candidate: &'a str,
    vdd_mv: f64,
    passing: u32,
    chips: u32,
    #[serde(rename = "yield")]
    yield_fraction: f64,
    yield_low: f64,
    yield_high: f64,
    energy_per_inference_nj: f64,
    energy_saving: f64,
}

impl<'a> Row<'a> {
    fn of(candidate: &'a str, point: &YieldPoint) -> Self {
        let YieldPoint { vdd_mv, passing, chips, yield_fraction, yield_low, yield_high, .. } =
            *point;
        let YieldPoint { energy_per_inference_nj, energy_saving, .. } = *point;
        Self {
            candidate,
            vdd_mv,
            passing,
            chips,
            yield_fraction,
            yield_low,
            yield_high,
            energy_per_inference_nj,
            energy_saving,
        }
    }
}

impl Answer for Yielded {
    fn csv(&self) -> Result<String, Failure> {
        let rows = self.answer.candidates.iter();
        let rows = rows.flat_map(|of| of.points.iter().map(|point| Row::of(&of.name, point)));
        answer::csv(&rows.collect::<Vec<_>>())
    }

    fn table(&self) -> String {
        let YieldAnswer { head, candidates, tail } = &self.answer;
        let named = candidates.len() > 1;
        let mut tables = Vec::new();
        if named {
            tables.push(summary(candidates));
        }
        // Of several candidates, the curve of the one that the answer names; the JSON and CSV hold all.
        tables.extend(self.answer.best().map(|best| curve(best, named)));
        in_order(&head.answer, tables, tail.notes.first(), &tail.would_change)
    }
}

/// One line per candidate.
fn summary(candidates: &[YieldOf]) -> String {
    let header = ["candidate", "clean\n(%)", "target reached\n(mV)", "target shown\n(mV)"];
    let rows = candidates.iter().map(|of| {
        vec![of.name.clone(), format!("{:.2}", of.err * 100.0), mv(of.reached_mv), mv(of.shown_mv)]
    });
    answer::table(&header, 1, rows)
}

fn curve(of: &YieldOf, named: bool) -> String {
    let header = [
        "supply\n(mV)",
        "chips\nthat pass",
        "yield\n(%)",
        "band, low\n(%)",
        "band, high\n(%)",
        "energy\n(nJ)",
        "saved\n(%)",
    ];
    let share = |share: f64| share_words(share, 1).trim_end_matches(" %").to_owned();
    let rows = of.points.iter().map(|at| {
        vec![
            at.vdd_mv.to_string(),
            format!("{}/{}", at.passing, at.chips),
            share(at.yield_fraction),
            share(at.yield_low),
            share(at.yield_high),
            format!("{:.1}", at.energy_per_inference_nj),
            format!("{:.1}", at.energy_saving * 100.0),
        ]
    });
    let table = answer::table(&header, 0, rows);
    if named { format!("`{}`\n{table}", of.name) } else { table }
}
