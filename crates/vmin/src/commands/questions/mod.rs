//! Questions about an experiment: as few inferences as the confidence needs, and an answer in one sentence.

pub mod assign;
mod assigned;
pub mod sensitivity;
pub mod vmin;
pub mod yields;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use vmin_diagnostic::{Diagnostic, thousands};
use vmin_files::write_set;
use vmin_kernels::GemmKernel;
use vmin_questions::answer::certainty;
use vmin_questions::{Parts, Records, Searched};
use vmin_sweep::store::Store;
use vmin_sweep::{Experiment, Journal, Plan, Question, RunError};

use crate::args::{
    AskArgs, AskedArgs, AssignArgs, Command, SensitivityArgs, SweepArgs, VminArgs, YieldArgs,
};
use crate::commands::sweep::journal_failure;
use crate::commands::trials::{shared_failure, to_write};
use crate::failure::{make_folder, say, unwritable, with_causes};
use crate::files::{self, Output};
use crate::progress::Progress;
use crate::{Answer, Failure, answer, compute, overrides};

/// The command that answers what an experiment file asks.
///
/// # Errors
/// All problems of the experiment.
pub fn ask(args: &AskArgs) -> Result<Command, Failure> {
    let (source, _) =
        overrides::source("experiment", args.asked.experiment.as_deref(), &args.asked.set)?;
    // Problems of the file are those of the command, which reads it again with all names in it.
    let question = Experiment::parse(&source).map_or(Question::Sweep, |asks| asks.question);
    let asked = args.asked.clone();
    Ok(match question {
        Question::Sweep => {
            let AskedArgs { experiment, set, out, store, exact: _, compute, format } = asked;
            // As every other question, a sweep goes on with what is there.
            let (resume, shard) = (true, None);
            Command::Sweep(SweepArgs {
                experiment,
                set,
                out,
                resume,
                store,
                shard,
                compute,
                format,
            })
        }
        Question::Vmin => Command::Vmin(VminArgs { asked }),
        Question::Yield => Command::Yield(YieldArgs { asked, margin: None, confidence: None }),
        Question::Sensitivity => Command::Sensitivity(SensitivityArgs { asked, vdd_mv: None }),
        Question::Assign => Command::Assign(AssignArgs { asked, all_combinations: false }),
    })
}

/// A plan with the journal of the folder, and what it knows.
struct Asked<'a> {
    args: &'a AskedArgs,
    plan: &'a Plan,
    kernel: &'static dyn GemmKernel,
    journal: Journal,
    records: Records<'a>,
    stop: &'a AtomicBool,
}

impl<'a> Asked<'a> {
    fn open(
        args: &'a AskedArgs,
        plan: &'a Plan,
        store: Option<&'a Store>,
        stop: &'a AtomicBool,
    ) -> Result<Self, Failure> {
        let kernel = compute::kernel(args.compute.kernel.as_deref())?;
        make_folder(&args.out)?;
        let path = args.out.join("journal.jsonl");
        // Trials mean the same whatever is asked of them: every run goes on with what is there.
        let (journal, done) = Journal::open(&path, &plan.journal_of(), u64::MAX, true)
            .map_err(|error| journal_failure(&error))?;
        let records = Records::new(&done, &plan.images_name()).with_store(store);
        if let Some(store) = store {
            let share = |error| shared_failure(&error);
            for record in &done {
                store.append(record).map_err(share)?;
            }
            for about in plan.about() {
                store.describe(&about).map_err(share)?;
            }
            say(&format!(
                "note: {} trials are in the store `{}`, those of other experiments too",
                thousands(store.len() as u64),
                store.folder().display()
            ));
        }
        if !done.is_empty() {
            let count = thousands(done.len() as u64);
            say(&format!("note: {count} trials are known from `{}`", path.display()));
        }
        for note in &plan.notes {
            say(&format!("note: {note}"));
        }
        say(&format!(
            "{}: {} candidates, {} supplies, {} chips, {} images, kernel {}, {} threads",
            plan.name,
            plan.candidates.len(),
            plan.own().points.len(),
            plan.chips,
            thousands(plan.labels().len() as u64),
            kernel.name(),
            rayon::current_num_threads()
        ));
        Ok(Self { args, plan, kernel, journal, records, stop })
    }

    /// The lowest passing supply of every chip.
    fn search(&mut self) -> Result<Searched, Failure> {
        let Self { args, plan, kernel, journal, records, stop } = self;
        let certainty = certainty(plan, args.exact);
        let outcome = compute::timed("searches", || {
            let progress = Progress::new("search", "chips");
            let records = records.clone();
            vmin_questions::search(plan, certainty, journal, records, *kernel, stop, &progress)
        });
        outcome.map_err(|error| self.failure(&error))
    }

    /// The cost of every part at a point.
    fn sensitivity(&mut self, point: usize) -> Result<Parts, Failure> {
        let Self { plan, kernel, journal, records, stop, .. } = self;
        let outcome = compute::timed("parts", || {
            let progress = Progress::new("sensitivity", "chips");
            vmin_questions::sensitivity(plan, point, journal, records, *kernel, stop, &progress)
        });
        outcome.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &RunError) -> Failure {
        if matches!(error, RunError::Stopped) && self.stop.load(Ordering::Relaxed) {
            let said = "interrupted; what was computed is kept, the same command goes on";
            return Failure::Interrupted(said.to_owned());
        }
        Failure::failed(
            Diagnostic::new("question", with_causes(error))
                .hint("nothing is lost: the same command goes on"),
        )
    }
}

/// Asks a question and writes its answer as `name` into the folder.
fn asked<A: Answer + Send>(
    args: &AskedArgs,
    (command, name, output): (&str, &str, Output<'_>),
    plan: impl FnOnce() -> Result<Plan, Failure> + Send,
    of: impl FnOnce(&mut Asked<'_>) -> Result<A, Failure> + Send,
    stop: &AtomicBool,
) -> Result<A, Failure> {
    compute::on_threads(args.compute.jobs, || {
        let started = Instant::now();
        let plan = compute::timed("plan", plan)?;
        files::check(&args.out.join(name), output)?;
        let store = args.store.as_deref().map(to_write).transpose()?;
        let answer = of(&mut Asked::open(args, &plan, store.as_ref(), stop)?)?;
        let mut text = answer.text(command, crate::args::Format::Json)?;
        text.push('\n');
        let path = args.out.join(name);
        write_set(&[(path.clone(), text.as_bytes())])
            .map_err(|(path, error)| unwritable(&path, &error))?;
        let seconds = started.elapsed().as_secs_f64();
        say(&format!("{seconds:.1} s; answer in `{}`", path.display()));
        Ok(answer)
    })
}

/// The sentence, the tables, a remark on the method, what would change it.
fn in_order(
    sentence: &str,
    tables: Vec<String>,
    method: Option<&String>,
    would_change: &[String],
) -> String {
    let changes = would_change.iter().map(|words| answer::wrapped(&format!("- {words}")));
    let changes: Vec<String> = changes.collect();
    let mut parts = vec![answer::wrapped(sentence)];
    parts.extend(tables);
    parts.extend(method.map(|method| answer::wrapped(method)));
    if !changes.is_empty() {
        parts.push(format!("what would change it:\n{}", changes.join("\n")));
    }
    parts.join("\n\n")
}

/// A millivolt figure, or a dash.
fn mv(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |mv| mv.to_string())
}
