//! Runs a plan: every candidate on every chip at every point; first the journal, then the results.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use vmin_emulator::{
    Deployment, Emulator, EmulatorError, Outcome, ProtectedError, Score, Stopped, TrialSpec,
};
use vmin_kernels::GemmKernel;
use vmin_sram::SampleError;

use crate::Plan;
use crate::journal::{Counts, Journal, JournalError, Log, Record};
use crate::plan::{Candidate, Known};
use crate::remedy;
use crate::results::{Clean, RESULTS_VERSION, Results, evaluate};
use crate::shard::Shard;
use crate::statistics::PairedDifference;
use crate::store::{Store, StoreError};

/// Records between two calls that make the journal durable.
const RECORDS_PER_SYNC: u64 = 64;

/// An observer of a run's progress. Called from several threads.
pub trait Progress: Sync {
    /// The run has begun: `total` records are wanted, `done` were in the journal.
    fn begin(&self, total: u64, done: u64);
    /// One more record is in the journal.
    fn advance(&self);
}

/// Why a run ended without results.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It was asked to stop; the journal holds all finished trials.
    #[error("stopped")]
    Stopped,
    /// The journal could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Network and images do not fit; [`Plan::resolve`] refuses that.
    #[error(transparent)]
    Emulator(EmulatorError),
    /// Protection does not fit the network; [`Plan::resolve`] refuses that.
    #[error(transparent)]
    Protected(#[from] ProtectedError),
    /// A chip is too large to hold; [`Plan::resolve`] refuses that.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The records do not cover the plan exactly.
    #[error("the journal holds records that the plan does not have")]
    ForeignRecords,
}

impl From<Stopped> for RunError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<EmulatorError> for RunError {
    fn from(error: EmulatorError) -> Self {
        if let EmulatorError::Stopped(stopped) = error {
            return stopped.into();
        }
        Self::Emulator(error)
    }
}

/// Runs the trials of `plan` that are not `known` from its journal, and evaluates all.
///
/// Uses the current rayon pool. The results are the same bits for any pool, kernel and set of
/// records done before.
///
/// # Errors
/// See [`RunError`]; all finished trials are then in the journal.
pub fn run<L: Log>(
    plan: &Plan,
    journal: &mut Journal<L>,
    known: &Known,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Results, RunError> {
    run_sharing(plan, journal, None, known, kernel, stop, progress)
}

/// [`run()`], which adds each record to a `store` too, once it is in the journal.
///
/// # Errors
/// See [`RunError`]; all finished trials are then in the journal.
pub fn run_sharing<L: Log>(
    plan: &Plan,
    journal: &mut Journal<L>,
    store: Option<&Store>,
    known: &Known,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Results, RunError> {
    let all = 0..plan.trials();
    results(plan, &run_trials(plan, &all, journal, store, known, kernel, stop, progress)?)
}

/// Runs the trials of `plan` on the chips of a shard that are not `known` from its journal, as [`run_sharing`] does.
///
/// # Errors
/// As [`run()`].
pub fn run_shard<L: Log>(
    plan: &Plan,
    shard: Shard,
    journal: &mut Journal<L>,
    store: Option<&Store>,
    known: &Known,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<(), RunError> {
    let numbers = plan.trials_of(shard);
    run_trials(plan, &numbers, journal, store, known, kernel, stop, progress).map(|_| ())
}

/// Runs the trials of these numbers, of every candidate.
fn run_trials<L: Log>(
    plan: &Plan,
    numbers: &Range<u32>,
    journal: &mut Journal<L>,
    store: Option<&Store>,
    known: &Known,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Vec<Done>, RunError> {
    // Of trials that several candidates share, those of the first.
    let distinct = known.keys().filter(|&&(index, point, number)| {
        numbers.contains(&number) && plan.first_with(index, point) == (index, point)
    });
    progress.begin(plan.records_of(numbers), distinct.count() as u64);
    let mut known = known.clone();
    let journal = Mutex::new((journal, 0u64));
    let append = |record: &Record| -> Result<(), RunError> {
        let mut guard = journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (journal, appended) = &mut *guard;
        journal.append(record)?;
        *appended += 1;
        store.map(|store| store.append(record)).transpose()?;
        if appended.is_multiple_of(RECORDS_PER_SYNC) {
            journal.sync()?;
            store.map(Store::sync).transpose()?;
        }
        progress.advance();
        Ok(())
    };
    let mut own_clean = None;
    let mut done = Vec::with_capacity(plan.candidates.len());
    let all = plan.candidates.iter().enumerate().try_for_each(|(index, candidate)| {
        let emulator = Emulator::new(&candidate.graph, plan.images(), kernel)?;
        // Remedies of the experiment's own network predict the same without bit errors.
        let same = std::sync::Arc::ptr_eq(&candidate.graph, &plan.own().graph);
        let clean: Vec<usize> = match own_clean.clone().filter(|_| same) {
            Some(clean) => clean,
            None => emulator.predict_clean(stop)?,
        };
        let deployment = plan.deployment(candidate, kernel, stop)?;
        let trials = Trials { plan, numbers, index, candidate, emulator, deployment, clean };
        let of_candidate = trials.run(&known, stop, &append)?;
        plan.share(index, numbers, &of_candidate.counts, &mut known);
        done.push(of_candidate);
        own_clean.get_or_insert(trials.clean);
        Ok::<(), RunError>(())
    });
    let synced = journal.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).0.sync();
    let shared = store.map_or(Ok(()), Store::sync);
    all?;
    synced?;
    shared?;
    Ok(done)
}

/// The trials of one candidate.
struct Trials<'p> {
    plan: &'p Plan,
    numbers: &'p Range<u32>,
    index: usize,
    candidate: &'p Candidate,
    emulator: Emulator<'p>,
    deployment: Deployment<'p>,
    clean: Vec<usize>,
}

/// The outcomes of a candidate's trials.
struct Done {
    /// Right predictions without bit errors.
    clean: Score,
    /// Point by point, trial by trial.
    counts: Vec<Counts>,
    /// Means over trials of faulty cells that spares repaired and that were left, if there are spares.
    repaired: Option<(f64, f64)>,
}

impl Trials<'_> {
    /// Runs the trials that are not `known`.
    fn run(
        &self,
        known: &Known,
        stop: &AtomicBool,
        append: &(dyn Fn(&Record) -> Result<(), RunError> + Sync),
    ) -> Result<Done, RunError> {
        // One worker's failure lets the others end soon.
        let failed = AtomicBool::new(false);
        let of_chips: Vec<Result<OfChip, RunError>> = self
            .numbers
            .clone()
            .into_par_iter()
            .map(|number| {
                if failed.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed) {
                    return Err(RunError::Stopped);
                }
                let counts = self.run_chip(number, known, stop, append);
                failed.fetch_or(counts.is_err(), Ordering::Relaxed);
                counts
            })
            .collect();
        let of_chips = of_chips.into_iter().fold(Ok(Vec::new()), worse)?;
        let points = 0..self.candidate.points.len();
        let counts = points.flat_map(|point| of_chips.iter().map(move |of| of.counts[point]));
        let repaired: Option<Vec<(u64, u64)>> = of_chips.iter().map(|of| of.repaired).collect();
        let mean = |counts: &[(u64, u64)], of: fn(&(u64, u64)) -> u64| {
            counts.iter().map(of).sum::<u64>() as f64 / self.numbers.len() as f64
        };
        Ok(Done {
            clean: self.emulator.score(&self.clean, &self.clean),
            counts: counts.collect(),
            repaired: repaired.map(|all| (mean(&all, |of| of.0), mean(&all, |of| of.1))),
        })
    }

    fn run_chip(
        &self,
        number: u32,
        known: &Known,
        stop: &AtomicBool,
        append: &(dyn Fn(&Record) -> Result<(), RunError> + Sync),
    ) -> Result<OfChip, RunError> {
        let Self { plan, candidate, .. } = *self;
        let found: Vec<Option<&Counts>> = (0..candidate.points.len())
            .map(|point| known.get(&(self.index, point, number)))
            .collect();
        let wanted = candidate.points.iter().zip(&found).filter(|(_, found)| found.is_none());
        let wanted: Vec<_> = wanted.map(|(point, _)| &point.supplies).collect();
        // Repaired cells are counted on every chip, whichever trials are left.
        let test = candidate.points.first().map(|point| &point.supplies);
        let tested = test.filter(|at| at.present().any(|(_, at)| at.test.is_some()));
        if wanted.is_empty() && tested.is_none() {
            let counts = found.into_iter().flatten().copied().collect();
            return Ok(OfChip { counts, repaired: None });
        }
        let opened: Vec<_> = wanted.iter().copied().chain(tested).collect();
        let chip = self.deployment.open(
            plan.source.as_ref(),
            plan.chip(number),
            &opened,
            candidate.lowest(),
        )?;
        let counts = candidate.points.iter().zip(found).map(|(point, found)| {
            if let Some(counts) = found {
                return Ok(*counts);
            }
            let trial = TrialSpec {
                supplies: &point.supplies,
                reads: plan.reads,
                first_image: plan.first_image,
            };
            let Outcome { score, applied } = chip.run(trial, &self.emulator, &self.clean, stop)?;
            let applied = applied.map(|applied| [applied.cells_hit, applied.bits_flipped]);
            let counts = Counts {
                correct: score.correct,
                correct_union: score.correct_union,
                weight: applied.weight,
                activation: applied.activation,
                accumulator: applied.accumulator,
            };
            append(&Record { trial: plan.trial(candidate, point, number), counts })?;
            Ok(counts)
        });
        let counts = counts.collect::<Result<_, RunError>>()?;
        Ok(OfChip { counts, repaired: chip.repaired() })
    }
}

/// The outcomes on one chip.
struct OfChip {
    /// Point by point.
    counts: Vec<Counts>,
    repaired: Option<(u64, u64)>,
}

/// Adds the outcomes of one more chip, or keeps the more specific failure.
fn worse(
    all: Result<Vec<OfChip>, RunError>,
    one: Result<OfChip, RunError>,
) -> Result<Vec<OfChip>, RunError> {
    match (all, one) {
        (Ok(mut all), Ok(one)) => {
            all.push(one);
            Ok(all)
        }
        (Err(RunError::Stopped) | Ok(_), Err(other)) | (Err(other), _) => Err(other),
    }
}

fn results(plan: &Plan, done: &[Done]) -> Result<Results, RunError> {
    let images = plan.labels().len() as u64;
    let error = |correct: u64| (images - correct) as f64 / images as f64;
    let own = done.first().ok_or(RunError::ForeignRecords)?;
    let clean = Clean {
        images,
        correct: own.clean.correct,
        err: error(own.clean.correct),
        energy_per_inference_nj: plan.nominal.energy_per_inference_nj,
        latency_us: plan.nominal.latency_us,
    };
    let (mut of_own, mut remedies) = (None, Vec::new());
    let all = done;
    for (index, (candidate, done)) in plan.candidates.iter().zip(done).enumerate() {
        let costs: Vec<_> = candidate.points.iter().map(|point| point.cost.clone()).collect();
        let setting = crate::Setting {
            stored_bits: candidate.stored_bits(),
            activation_bits: candidate.placement.activation_bits(),
            accumulator_bits_read: candidate.placement.accumulator_bits_read(),
            ..plan.setting.clone()
        };
        let evaluated = evaluate(&costs, plan.trials(), &clean, &setting, &done.counts)
            .ok_or(RunError::ForeignRecords)?;
        if plan.candidates.len() > 1 {
            let err = error(done.clean.correct);
            let lost = |point: usize| {
                let (twin, of_twin) = plan.with_exact_map(index, point)?;
                let trials = plan.trials() as usize;
                let of =
                    |done: &Done, point: usize| done.counts[point * trials..][..trials].to_vec();
                let pairs = of(done, point).into_iter().zip(of(&all[twin], of_twin));
                let lost = pairs.map(|(own, exact)| error(own.correct) - error(exact.correct));
                let lost: Vec<f64> = lost.collect();
                PairedDifference::of(&lost, setting.offsets, setting.confidence)
            };
            let lost: Vec<_> = (0..candidate.points.len()).map(lost).collect();
            let (points, vmin) = (&evaluated.0, evaluated.2);
            remedies.push(remedy::remedy(candidate, err, points, vmin, done.repaired, &lost));
        }
        of_own.get_or_insert(evaluated);
    }
    let (points, chips, vmin) = of_own.ok_or(RunError::ForeignRecords)?;
    Ok(Results {
        results_version: RESULTS_VERSION,
        name: plan.name.clone(),
        setting: plan.setting.clone(),
        clean,
        points,
        chips,
        vmin,
        remedies,
        notes: plan.notes.clone(),
        subject: Some(plan.subject.clone()),
        provenance: plan.provenance(),
    })
}
