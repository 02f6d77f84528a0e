//! `vmin assign`: which supply each memory gets, and with which remedy.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, Source, thousands};
use vmin_questions::answer::{AssignAnswer, AssignOf, Chosen, Supplies, Tried, certainty};
use vmin_questions::assign::combinations;
use vmin_questions::{Assign, AssignError, Choices};
use vmin_sweep::{Experiment, Plan};

use super::{Asked, asked, assigned, in_order};
use crate::args::AssignArgs;
use crate::failure::say;
use crate::progress::Progress;
use crate::{Answer, Failure, answer, compute, files, overrides};

/// Most combinations that are listed.
const COMBINATIONS_MAX: u64 = 100_000;

/// Combinations in the table; the files hold all.
const ROWS: usize = 20;

/// Name of the experiment file with the supplies that were chosen.
const FILE: &str = "assigned.toml";

/// The supplies of least energy.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Assignment {
    /// The experiment with these supplies and this remedy, for `vmin sweep`; absent where no supply can be lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// The answer.
    #[serde(flatten)]
    answer: AssignAnswer,
}

/// Searches the combination of supplies and the candidate that need the least energy.
///
/// # Errors
/// All problems of the experiment, one without supplies to choose from, a journal of another experiment, or the run was
/// stopped.
pub fn run(args: &AssignArgs, stop: &AtomicBool) -> Result<Assignment, Failure> {
    let source =
        || overrides::source("experiment", args.asked.experiment.as_deref(), &args.asked.set);
    asked(
        &args.asked,
        ("assign", "assign.json", files::ASSIGN_ANSWER),
        || {
            let (source, base) = source()?;
            let plan = Plan::read(&source, base)?;
            choices(args, &experiment(&source)?, &plan)?;
            files::check(&args.asked.out.join(FILE), files::ASSIGNED)?;
            Ok(plan)
        },
        |asked| {
            let (source, base) = source()?;
            let experiment = experiment(&source)?;
            let choices = choices(args, &experiment, asked.plan)?;
            let answer = search(args, asked, &choices, (&experiment, base))?;
            let file = write(args, &answer, &choices, (&source, base))?;
            Ok(Assignment { file, answer })
        },
        stop,
    )
}

fn experiment(source: &Source) -> Result<Experiment, Failure> {
    Ok(Experiment::parse(source).map_err(|refused| refused.problems)?)
}

/// The supplies to choose from.
fn choices(args: &AssignArgs, experiment: &Experiment, plan: &Plan) -> Result<Choices, Failure> {
    let refused = |message: &str, hint: &str| {
        Err(Diagnostic::new("assign", message.to_owned()).hint(hint).into())
    };
    if !experiment.rates.is_empty() {
        return refused(
            "supplies are chosen from `vdd_mv`, and this experiment names rates",
            "name supplies with `vdd_mv` in place of `rates_pct`",
        );
    }
    if experiment.memories.logic_swept {
        return refused(
            "supplies of memories are chosen, and here the supply of logic follows them (`rails = \"chip\"`)",
            "say `rails = \"memories\"`: logic makes no errors here, so that nothing limits how low it goes",
        );
    }
    let choices = Choices::of(experiment, plan);
    if choices.vdd_mv.len() < 2 {
        return refused(
            "no supply of `vdd_mv` is below the nominal one",
            "name lower supplies, such as `--set memory.vdd_mv=[900,850]`",
        );
    }
    let all = combinations(&choices.levels());
    if args.all_combinations && all > COMBINATIONS_MAX {
        let message = format!(
            "`--all-combinations`: {} combinations of supplies are too many",
            thousands(all)
        );
        return Err(Diagnostic::new("too-many", message)
            .allowed(format!("expected at most {}", thousands(COMBINATIONS_MAX)))
            .hint("name fewer supplies in `vdd_mv`, or leave the option away")
            .into());
    }
    Ok(choices)
}

fn search(
    args: &AssignArgs,
    asked: &mut Asked<'_>,
    choices: &Choices,
    (experiment, base): (&Experiment, &Path),
) -> Result<AssignAnswer, Failure> {
    let (plan, all) = (asked.plan, args.all_combinations);
    let certainty = certainty(plan, args.asked.exact);
    let question = Assign {
        experiment,
        base,
        plan,
        choices,
        all,
        certainty,
        kernel: asked.kernel,
        stop: asked.stop,
    };
    let outcome = compute::timed("combinations", || {
        let progress = Progress::new("assign", "combinations");
        question.run(&mut asked.journal, &mut asked.records, &progress)
    });
    let assigned = outcome.map_err(|error| match error {
        AssignError::Run(error) => asked.failure(&error),
        AssignError::Plan(problems) => problems.into(),
    })?;
    Ok(AssignAnswer::new(plan, choices, (certainty, all), &assigned))
}

/// Writes the experiment that was chosen; the name of the file, if there is one.
fn write(
    args: &AssignArgs,
    answer: &AssignAnswer,
    choices: &Choices,
    (source, base): (&Source, &Path),
) -> Result<Option<String>, Failure> {
    let path = args.asked.out.join(FILE);
    let text = answer.best().and_then(|(index, of)| {
        let supplies = of.chosen.as_ref()?.supplies;
        let level = |mv: Option<f64>| choices.vdd_mv.iter().position(|known| Some(*known) == mv);
        let levels = choices.memories.iter().map(|group| {
            level(match group[0] {
                vmin_accel::Memory::Weight => supplies.weight_mv,
                vmin_accel::Memory::Activation => supplies.activation_mv,
                vmin_accel::Memory::Accumulator => supplies.accumulator_mv,
            })
        });
        let levels: Vec<usize> = levels.collect::<Option<_>>()?;
        assigned::text(source, base, choices, &levels, index.checked_sub(1))
    });
    match text {
        Some(text) => {
            let text = format!("# {}\n{text}", answer.head.answer);
            files::put(&path, files::ASSIGNED.headed(&text).as_bytes(), files::ASSIGNED)?;
            say(&format!("`vmin sweep {}` runs what was chosen", path.display()));
            Ok(Some(FILE.to_owned()))
        }
        None => {
            // An earlier answer's file would not be this one's.
            let _ = std::fs::remove_file(&path);
            Ok(None)
        }
    }
}

/// One combination of a candidate in the CSV.
#[derive(Serialize)]
struct Row<'a> {
    candidate: &'a str,
    weight_mv: Option<f64>,
    activation_mv: Option<f64>,
    accumulator_mv: Option<f64>,
    passes: Option<bool>,
    energy_per_inference_nj: Option<f64>,
    passing: u32,
    decided: u32,
    inferences: u64,
}

impl<'a> Row<'a> {
    const fn new(candidate: &'a str, of: &Tried) -> Self {
        let Tried { supplies, passes, energy_per_inference_nj, passing, decided, inferences } = *of;
        let Supplies { weight_mv, activation_mv, accumulator_mv } = supplies;
        Self {
            candidate,
            weight_mv,
            activation_mv,
            accumulator_mv,
            passes,
            energy_per_inference_nj,
            passing,
            decided,
            inferences,
        }
    }
}

impl Answer for Assignment {
    fn csv(&self) -> Result<String, Failure> {
        let all = self.answer.candidates.iter();
        let rows = all.flat_map(|of| of.tried.iter().map(|tried| Row::new(&of.name, tried)));
        answer::csv(&rows.collect::<Vec<_>>())
    }

    fn table(&self) -> String {
        let AssignAnswer { head, candidates, tail, .. } = &self.answer;
        let mut tables = vec![chosen(candidates)];
        tables.extend(self.answer.best().map(|(_, best)| tried(best, candidates.len() > 1)));
        in_order(&head.answer, tables, tail.notes.first(), &tail.would_change)
    }
}

/// For each candidate the supplies chosen, and those with one supply for all memories.
fn chosen(candidates: &[AssignOf]) -> String {
    let header = [
        "candidate",
        "supplies (mV)",
        "energy\n(nJ)",
        "saved\n(%)",
        "chips\nthat pass",
        "yield\nshown (%)",
    ];
    let row = |name: String, of: Option<&Chosen>| {
        let Some(of) = of else {
            return [name, "none".to_owned()].into_iter().chain(vec!["-".to_owned(); 4]).collect();
        };
        vec![
            name,
            supplies(&of.supplies.named()),
            format!("{:.1}", of.energy_per_inference_nj),
            format!("{:.1}", of.energy_saving * 100.0),
            format!("{}/{}", of.passing, of.chips),
            format!("{:.1}", of.yield_shown * 100.0),
        ]
    };
    let rows = candidates.iter().flat_map(|of| {
        let named = of.chosen.as_ref().map_or(0, |of| of.supplies.named().len());
        let mut rows: Vec<Vec<String>> = vec![row(of.name.clone(), of.chosen.as_ref())];
        if named > 1 && of.one_supply != of.chosen {
            rows.push(row("  one supply".to_owned(), of.one_supply.as_ref()));
        }
        rows
    });
    answer::table(&header, 2, rows)
}

/// `weights 875, sums 917`, or one number where all are the same.
fn supplies(named: &[(&str, f64)]) -> String {
    let all: Vec<String> = named.iter().map(|(name, mv)| format!("{name} {mv}")).collect();
    all.join("\n")
}

/// The search of a candidate.
fn tried(of: &AssignOf, named: bool) -> String {
    let Some(first) = of.tried.first() else { return String::new() };
    let names = first.supplies.named().into_iter().map(|(name, _)| format!("{name}\n(mV)"));
    let header: Vec<String> =
        names.chain(["passes".to_owned(), "chips".to_owned(), "energy\n(nJ)".to_owned()]).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows = of.tried.iter().take(ROWS).map(|of| {
        let mut row: Vec<String> =
            of.supplies.named().iter().map(|(_, mv)| mv.to_string()).collect();
        row.push(of.passes.map_or("-", |passes| if passes { "yes" } else { "no" }).to_owned());
        row.push(format!("{}/{}", of.passing, of.decided));
        row.push(
            of.energy_per_inference_nj.map_or_else(|| "-".to_owned(), |nj| format!("{nj:.1}")),
        );
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let table = answer::table(&header, 0, rows);
    let more = match of.tried.len().saturating_sub(ROWS) {
        0 => String::new(),
        more => format!("\nand {more} more in the JSON and CSV"),
    };
    let name = if named { format!(" of `{}`", of.name) } else { String::new() };
    format!("combinations{name} in the order of their tests\n{table}{more}")
}
