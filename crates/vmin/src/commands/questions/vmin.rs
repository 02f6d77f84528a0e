//! `vmin vmin`: how low each chip can go.

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_questions::answer::{VminAnswer, VminOf, certainty};
use vmin_sweep::statistics::share_words;

use super::{asked, in_order, mv};
use crate::args::VminArgs;
use crate::commands::sweep;
use crate::files;
use crate::{Answer, Failure, answer};

/// The lowest passing supply of every chip.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Lowest(VminAnswer);

/// Searches the lowest passing supply of every chip.
///
/// # Errors
/// All problems of the experiment, a journal of another one, or the run was stopped.
pub fn run(args: &VminArgs, stop: &AtomicBool) -> Result<Lowest, Failure> {
    let args = &args.asked;
    let plan = || sweep::plan(args.experiment.as_deref(), &args.set);
    asked(
        args,
        ("vmin", "vmin.json", files::VMIN_ANSWER),
        plan,
        |asked| {
            let searched = asked.search()?;
            let certainty = certainty(asked.plan, args.exact);
            Ok(Lowest(VminAnswer::new(asked.plan, certainty, &searched)))
        },
        stop,
    )
}

/// One chip of a candidate in the CSV.
#[derive(Serialize)]
struct Row<'a> {
    candidate: &'a str,
    chip: u32,
    offset_bits: u64,
    vmin_mv: Option<f64>,
    decisions: usize,
    images: u64,
}

impl Answer for Lowest {
    fn csv(&self) -> Result<String, Failure> {
        let rows = self.0.candidates.iter().flat_map(|of| {
            of.vmin.iter().map(|chip| Row {
                candidate: &of.name,
                chip: chip.chip,
                offset_bits: chip.offset_bits,
                vmin_mv: chip.vmin_mv,
                decisions: chip.tried.len(),
                images: chip.tried.iter().map(|tried| tried.images).sum(),
            })
        });
        answer::csv(&rows.collect::<Vec<_>>())
    }

    fn table(&self) -> String {
        let VminAnswer { head, candidates, tail } = &self.0;
        let mut tables = vec![summary(candidates, head.chips)];
        // Of several candidates, the bins of the one that the answer names; the JSON holds all.
        tables.extend(self.0.best().map(|best| bins(best, candidates.len() > 1)));
        in_order(&head.answer, tables, tail.notes.first(), &tail.would_change)
    }
}

/// One line per candidate.
fn summary(candidates: &[VminOf], chips: u32) -> String {
    let header = [
        "candidate",
        "clean\n(%)",
        "V_min (mV)\n5 %",
        "median",
        "95 %",
        "one\nsupply",
        "chips\nwithin",
        "saved\n(%)",
        "a supply\neach (%)",
        "shown\n(mV)",
        "out of\norder",
    ];
    let rows = candidates.iter().map(|of| {
        let one = of.one_supply;
        let saved = |share: f64| format!("{:.1}", share * 100.0);
        let dash = || "-".to_owned();
        vec![
            of.name.clone(),
            format!("{:.2}", of.err * 100.0),
            mv(of.vmin_q05_mv),
            mv(of.vmin_q50_mv),
            mv(of.vmin_q95_mv),
            mv(one.map(|one| one.vdd_mv)),
            one.map_or_else(dash, |one| format!("{}/{chips}", one.chips)),
            one.map_or_else(dash, |one| saved(one.energy_saving)),
            of.adaptive.map_or_else(dash, |each| saved(each.energy_saving)),
            mv(of.shown_mv),
            of.chips_out_of_order.to_string(),
        ]
    });
    let table = answer::fitted(&header, 1, &["out of\norder", "clean\n(%)", "shown\n(mV)"], rows);
    let words = "V_min: the lowest supply at which a chip, and at all higher ones that were tried, is within the \
                 budget; 5 %, median, 95 % of the chips go as low or lower. one supply: the lowest at which the target \
                 share of sampled chips is within the budget; shown: the lowest at which they show that share for the \
                 population. saved: energy of an inference against the network unprotected at the nominal supply; \
                 a supply each: every chip at its own V_min";
    format!("{table}\n{}", answer::wrapped(words))
}

/// What each chip of a candidate could be sold at.
fn bins(of: &VminOf, named: bool) -> String {
    let header = [
        "supply\n(mV)",
        "chips of\nthis bin",
        "chips\nthat pass",
        "yield\n(%)",
        "shown\n(%)",
        "energy\n(nJ)",
        "saved\n(%)",
    ];
    let all = f64::from(of.vmin.len() as u32);
    let rows = of.bins.iter().map(|bin| {
        vec![
            bin.vdd_mv.to_string(),
            bin.chips.to_string(),
            bin.passing.to_string(),
            share_words(f64::from(bin.passing) / all, 1).trim_end_matches(" %").to_owned(),
            share_words(bin.yield_shown, 1).trim_end_matches(" %").to_owned(),
            format!("{:.1}", bin.energy_per_inference_nj),
            format!("{:.1}", bin.energy_saving * 100.0),
        ]
    });
    let table = answer::table(&header, 0, rows);
    let above = match of.chips_above {
        0 => String::new(),
        chips => format!("\n{chips} chips fail at the highest supply"),
    };
    let name = if named { format!("bins of `{}`\n", of.name) } else { String::new() };
    format!("{name}{table}{above}")
}
