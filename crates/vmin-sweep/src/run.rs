//! Runs a plan: every chip at every voltage, journal first, results after.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use vmin_emulator::{Emulator, EmulatorError, ProtectedError, ProtectedMemory, Score, Stopped};
use vmin_kernels::GemmKernel;
use vmin_sram::SampleError;

use crate::Plan;
use crate::die::{Die, Outcome};
use crate::experiment::Memory;
use crate::journal::{Journal, JournalError, Log, Record};
use crate::remedy::{self, PlannedRemedy};
use crate::results::{Clean, Provenance, Results, evaluate};

/// Records between two calls that make the journal durable.
const RECORDS_PER_SYNC: u64 = 64;

/// Index of the weight memory among a chip's memories.
pub const WEIGHT_MEMORY: u32 = Memory::Weight.number();

/// Someone who wants to know how far a run is. Called from several threads.
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
    /// It was asked to stop; the journal holds what was computed.
    #[error("stopped")]
    Stopped,
    /// The journal could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Network and images do not fit; [`Plan::resolve`] refuses that.
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
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

/// Runs what of `plan` is not among `done` (the journal's records) and evaluates all of it.
///
/// Uses the current rayon pool. The results are the same bits for any pool, kernel and set of
/// records done before.
///
/// # Errors
/// See [`RunError`]; whatever was computed is then in the journal.
pub fn run<L: Log>(
    plan: &Plan,
    journal: &mut Journal<L>,
    done: &[Record],
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Results, RunError> {
    let points = plan.points.len();
    let chips = plan.trials();
    let emulator = Emulator::placed(&plan.graph, &plan.placement, plan.images(), kernel)?;
    let total = plan.records_total();
    let known: BTreeSet<(u32, u32)> =
        done.iter().map(|record| (record.point, record.chip)).collect();
    progress.begin(total, known.len() as u64);

    let clean = emulator.predict_clean(stop)?;
    let journal = Mutex::new((journal, 0u64));
    let append = |record: &Record| -> Result<(), RunError> {
        let mut guard = journal.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (journal, appended) = &mut *guard;
        journal.append(record)?;
        *appended += 1;
        if appended.is_multiple_of(RECORDS_PER_SYNC) {
            journal.sync()?;
        }
        progress.advance();
        Ok(())
    };
    // One worker's failure lets the others end soon.
    let failed = AtomicBool::new(false);
    let of_chips: Vec<Result<Vec<Record>, RunError>> = (0..chips)
        .into_par_iter()
        .map(|chip| {
            if failed.load(Ordering::Relaxed) {
                return Err(RunError::Stopped);
            }
            let wanted: Vec<u32> =
                (0u32..).take(points).filter(|&point| !known.contains(&(point, chip))).collect();
            let records = run_chip(plan, &emulator, &clean, chip, &wanted, stop, &append);
            if records.is_err() {
                failed.store(true, Ordering::Relaxed);
            }
            records
        })
        .collect();
    let of_remedies = if failed.load(Ordering::Relaxed) {
        Ok(Vec::new())
    } else {
        run_remedies(plan, &known, &clean, kernel, stop, &append)
    };
    let synced = journal.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).0.sync();
    let fresh = of_chips.into_iter().fold(Ok(Vec::new()), worse)?;
    let (own_correct, of_remedies): (Vec<u64>, Vec<Vec<Record>>) = of_remedies?.into_iter().unzip();
    synced?;

    let mut records: Vec<Record> =
        done.iter().copied().chain(fresh).chain(of_remedies.into_iter().flatten()).collect();
    records.sort_unstable();
    results(plan, &emulator.score(&clean, &clean), &own_correct, &records)
}

/// A remedy's network in its protected memory.
pub(crate) fn protected_memory<'p>(
    plan: &'p Plan,
    remedy: &'p PlannedRemedy,
) -> Result<ProtectedMemory<'p>, RunError> {
    let graph = remedy.graph.as_ref().unwrap_or(&plan.graph);
    let word_bits = plan.accelerator.memories.weight.word_bits;
    Ok(ProtectedMemory::new(graph, &remedy.placement, remedy.protection.clone(), word_bits)?)
}

/// Runs what of the remedies is not `known`; gives for each its right predictions without bit errors and
/// its new records.
fn run_remedies(
    plan: &Plan,
    known: &BTreeSet<(u32, u32)>,
    clean: &[usize],
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    append: &(dyn Fn(&Record) -> Result<(), RunError> + Sync),
) -> Result<Vec<(u64, Vec<Record>)>, RunError> {
    let mut all = Vec::with_capacity(plan.remedies.len());
    for remedy in &plan.remedies {
        let memory = protected_memory(plan, remedy)?;
        let graph = remedy.graph.as_ref().unwrap_or(&plan.graph);
        let emulator = Emulator::placed(graph, &remedy.placement, plan.images(), kernel)?;
        let own_clean = match &remedy.graph {
            Some(_) => emulator.predict_clean(stop)?,
            None => clean.to_vec(),
        };
        let of_trials: Vec<Result<Vec<Record>, RunError>> = (0..plan.trials())
            .into_par_iter()
            .map(|trial| {
                let wanted: Vec<u32> = (0u32..)
                    .take(remedy.points.len())
                    .filter(|point| !known.contains(&(remedy.first_point + point, trial)))
                    .collect();
                remedy::run_trial(
                    plan, remedy, &memory, &emulator, &own_clean, trial, &wanted, stop, append,
                )
            })
            .collect();
        let records = of_trials.into_iter().fold(Ok(Vec::new()), worse)?;
        all.push((emulator.score(&own_clean, &own_clean).correct, records));
    }
    Ok(all)
}

/// Joins the records of two chips, or keeps the failure that says more.
fn worse(
    a: Result<Vec<Record>, RunError>,
    b: Result<Vec<Record>, RunError>,
) -> Result<Vec<Record>, RunError> {
    match (a, b) {
        (Ok(mut a), Ok(b)) => {
            a.extend(b);
            Ok(a)
        }
        (Err(RunError::Stopped) | Ok(_), Err(other)) | (Err(other), _) => Err(other),
    }
}

fn run_chip(
    plan: &Plan,
    emulator: &Emulator<'_>,
    clean: &[usize],
    chip: u32,
    wanted: &[u32],
    stop: &AtomicBool,
    append: &(dyn Fn(&Record) -> Result<(), RunError> + Sync),
) -> Result<Vec<Record>, RunError> {
    let Some(&lowest) = wanted.last() else { return Ok(Vec::new()) };
    if stop.load(Ordering::Relaxed) {
        return Err(RunError::Stopped);
    }
    let die = Die::new(plan, chip, lowest)?;
    let mut records = Vec::with_capacity(wanted.len());
    for &point in wanted {
        let Outcome { score, weights, buffers } = die.evaluate(point, emulator, clean, stop)?;
        let record = Record {
            point,
            chip,
            correct: score.correct,
            correct_union: score.correct_union,
            cells_hit: weights.cells_hit,
            flips: weights.bits_flipped,
            activation_cells_hit: buffers.activations.cells_hit,
            activation_flips: buffers.activations.bits_flipped,
            accumulator_cells_hit: buffers.sums.cells_hit,
            accumulator_flips: buffers.sums.bits_flipped,
        };
        append(&record)?;
        records.push(record);
    }
    Ok(records)
}

fn results(
    plan: &Plan,
    clean: &Score,
    own_correct: &[u64],
    records: &[Record],
) -> Result<Results, RunError> {
    let images = plan.labels().len() as u64;
    let clean = Clean {
        images,
        correct: clean.correct,
        err: 1.0 - clean.correct as f64 / images as f64,
        energy_per_inference_nj: plan.nominal.energy_per_inference_nj,
        latency_us: plan.nominal.latency_us,
    };
    let setting = plan.setting();
    let costs: Vec<_> = plan.points.iter().map(|point| point.cost.clone()).collect();
    let own = plan.points.len() * plan.trials() as usize;
    let (records, of_remedies) = records.split_at_checked(own).ok_or(RunError::ForeignRecords)?;
    let (points, chips) = evaluate(&costs, plan.trials(), &clean, &setting, records)
        .ok_or(RunError::ForeignRecords)?;
    let remedies = if plan.remedies.is_empty() {
        Vec::new()
    } else {
        remedy::evaluate_remedies(plan, &points, clean.correct, own_correct, of_remedies)?
    };
    Ok(Results {
        results_version: 1,
        name: plan.experiment.name.clone(),
        setting,
        clean,
        points,
        chips,
        remedies,
        notes: plan.notes.clone(),
        provenance: Provenance {
            vmin_version: env!("CARGO_PKG_VERSION").to_owned(),
            plan_sha256: plan.digest.clone(),
            inputs: plan.inputs.clone(),
        },
    })
}
