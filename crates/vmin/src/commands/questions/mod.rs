//! Questions about an experiment: as few inferences as the confidence needs, and an answer in one sentence.

pub mod vmin;
pub mod yields;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use vmin_diagnostic::{Diagnostic, thousands};
use vmin_files::write_set;
use vmin_questions::answer::{Head, Tail, certainty};
use vmin_questions::{Records, Searched};
use vmin_sweep::{Journal, Plan, RunError};

use crate::args::AskedArgs;
use crate::commands::sweep::journal_failure;
use crate::failure::{make_folder, say, unwritable, with_causes};
use crate::files::{self, Output};
use crate::progress::Progress;
use crate::{Answer, Failure, answer, compute};

/// The lowest passing supply of every chip, as the journal in the folder knows it or by a search.
fn searched(args: &AskedArgs, plan: &Plan, stop: &AtomicBool) -> Result<Searched, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    make_folder(&args.out)?;
    let path = args.out.join("journal.jsonl");
    // Trials mean the same whatever is asked of them: every run goes on with what is there.
    let (mut journal, done) = Journal::open(&path, &plan.journal_of(), u64::MAX, true)
        .map_err(|error| journal_failure(&error))?;
    let records = Records::new(&done, &plan.images_name(), plan.labels().len());
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
    let outcome = compute::timed("searches", || {
        let progress = Progress::new("search", "chips");
        let certainty = certainty(plan, args.exact);
        vmin_questions::search(plan, certainty, &mut journal, records, kernel, stop, &progress)
    });
    outcome.map_err(|error| match error {
        RunError::Stopped if stop.load(Ordering::Relaxed) => Failure::Interrupted(
            "interrupted; what was computed is kept, the same command goes on".to_owned(),
        ),
        error => Failure::failed(
            Diagnostic::new("search", with_causes(&error))
                .hint("nothing is lost: the same command goes on"),
        ),
    })
}

/// Asks a question and writes its answer as `name` into the folder.
fn asked<A: Answer>(
    args: &AskedArgs,
    (command, name, output): (&str, &str, Output<'_>),
    plan: impl FnOnce() -> Result<Plan, Failure> + Send,
    of: impl FnOnce(&Plan, &Searched) -> A + Send,
    stop: &AtomicBool,
) -> Result<A, Failure>
where
    A: Send,
{
    compute::on_threads(args.compute.jobs, || {
        let started = Instant::now();
        let plan = compute::timed("plan", plan)?;
        files::check(&args.out.join(name), output)?;
        let searched = searched(args, &plan, stop)?;
        let answer = of(&plan, &searched);
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

/// The sentence, the tables, what would change it.
fn in_order(head: &Head, tables: &[String], tail: &Tail) -> String {
    let method = tail.notes.first().map(|method| answer::wrapped(method));
    let changes = tail.would_change.iter().map(|words| answer::wrapped(&format!("- {words}")));
    let changes: Vec<String> = changes.collect();
    let mut parts = vec![answer::wrapped(&head.answer)];
    parts.extend(tables.iter().cloned());
    parts.extend(method);
    if !changes.is_empty() {
        parts.push(format!("what would change it:\n{}", changes.join("\n")));
    }
    parts.join("\n\n")
}

/// A millivolt figure, or a dash.
fn mv(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |mv| mv.to_string())
}
