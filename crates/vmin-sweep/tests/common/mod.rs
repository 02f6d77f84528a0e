//! A sweep from its text to its results, once more from its journal.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use vmin_diagnostic::Source;
use vmin_sweep::{Journal, Plan, Progress, Results, run};

pub(crate) struct Silent;

impl Progress for Silent {
    fn begin(&self, _: u64, _: u64) {}
    fn advance(&self) {}
}

/// The plan of an experiment whose paths start at `folder`.
pub(crate) fn plan(text: &str, folder: &Path) -> Plan {
    Plan::read(&Source::new("e.toml", text), folder).unwrap_or_else(|error| panic!("{error}"))
}

/// The results of a plan on so many threads. What the journal holds belongs to the plan and gives the same
/// results without an inference.
pub(crate) fn sweep(plan: &Plan, threads: usize) -> Results {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("journal.jsonl");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    let stop = AtomicBool::new(false);
    let results = |resume: bool| {
        let opened = Journal::open(&path, &plan.journal_of(), plan.records_total(), resume);
        let (mut journal, done) = opened.expect("a journal");
        let known = plan.sorted(&done).expect("records of this plan");
        let all = plan.points_total() * plan.trials() as usize;
        assert_eq!(known.len(), if resume { all } else { 0 });
        let kernel = vmin_kernels::best();
        pool.install(|| run(plan, &mut journal, &known, kernel, &stop, &Silent)).expect("runs")
    };
    let fresh = results(false);
    assert_eq!(results(true), fresh);
    fresh
}
