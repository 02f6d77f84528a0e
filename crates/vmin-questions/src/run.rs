//! Runs the search on every chip of every candidate; each trial ends when its decision is certain enough.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use vmin_emulator::{Deployment, Emulator, Images, OpenChip, Ordered, Reads, TrialSpec};
use vmin_kernels::GemmKernel;
use vmin_sweep::{Candidate, Counts, Journal, Log, Plan, Progress, Record, RunError};

use crate::looks;
use crate::order::{order, prefix_name};
use crate::records::{Records, seen};
use crate::search::{Found, Strategy};
use crate::sequential::{Budget, Seen};

/// Records between two calls that make the journal durable.
const RECORDS_PER_SYNC: u64 = 64;

/// When a decision is certain enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Certainty {
    /// All images decide.
    Exact,
    /// All decisions of the run together are those of all images but for this chance.
    But(f64),
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Index of the point.
    pub point: usize,
    /// Whether the trial is within the budget.
    pub within: bool,
    /// Images that were counted.
    pub images: u64,
    /// Images that were classified for that: none where the chip reads what was written.
    pub classified: u64,
    /// Images lost among them.
    pub lost: u64,
    /// Images gained.
    pub gained: u64,
}

/// One chip of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfChip {
    /// Index of the lowest passing point; none if the highest fails.
    pub lowest: Option<usize>,
    /// Whether a point failed that is higher than one that passed.
    pub out_of_order: bool,
    /// Decisions, by falling supply.
    pub probes: Vec<Probe>,
}

/// All chips of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfCandidate {
    /// Right predictions without bit errors.
    pub clean_correct: u64,
    /// One entry per trial number.
    pub chips: Vec<OfChip>,
}

/// All candidates of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Searched {
    /// In the order of the plan.
    pub candidates: Vec<OfCandidate>,
    /// Images that were classified without bit errors.
    pub clean_classified: u64,
}

/// Searches the lowest passing supply of every chip under every candidate of `plan`, among the points of each.
///
/// The results are the same for any thread pool, kernel and set of records done before.
///
/// # Errors
/// See [`RunError`]; all finished decisions are then in the journal.
pub fn search<L: Log>(
    plan: &Plan,
    certainty: Certainty,
    journal: &mut Journal<L>,
    records: Records,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Searched, RunError> {
    let trials = plan.trials();
    progress.begin(u64::from(trials) * plan.candidates.len() as u64, 0);
    let images = plan.images();
    let name = plan.images_name();
    let numbers = order(&name, images.labels.len());
    let (pixels, labels) = ordered(images, &numbers);
    let images = Images { pixels: &pixels, labels: &labels };
    let shared = Shared {
        plan,
        name,
        numbers,
        // Every decision that can be asked for has its share.
        alpha: match certainty {
            Certainty::Exact => 0.0,
            Certainty::But(chance) => {
                chance / (plan.points_total() as f64 * f64::from(trials)).max(1.0)
            }
        },
        known: Mutex::new(records),
        journal: Mutex::new((journal, 0)),
        stop,
    };
    let mut own_clean: Option<Vec<usize>> = None;
    let mut clean_classified = 0;
    let all: Result<Vec<OfCandidate>, RunError> = plan
        .candidates
        .iter()
        .map(|candidate| {
            let emulator = Emulator::new(&candidate.graph, images, kernel)?;
            // Remedies of the experiment's own network predict the same without bit errors.
            let same = std::sync::Arc::ptr_eq(&candidate.graph, &plan.own().graph);
            let clean = match own_clean.clone().filter(|_| same) {
                Some(clean) => clean,
                None => {
                    clean_classified += images.labels.len() as u64;
                    emulator.predict_clean(stop)?
                }
            };
            let correct = |clean: &[usize]| emulator.score(clean, clean).correct.cast_signed();
            // A budget refers to the experiment's own network.
            let behind = correct(own_clean.get_or_insert_with(|| clean.clone())) - correct(&clean);
            let clean_correct = correct(&clean).cast_unsigned();
            let right = clean.iter().zip(images.labels);
            let right = right.map(|(&class, &label)| class == usize::from(label));
            let budget = Budget::new(right, plan.lost_max().cast_signed() - behind);
            let deployment = plan.deployment(candidate, kernel, stop)?;
            let searches = Searches {
                shared: &shared,
                candidate,
                emulator,
                deployment,
                clean,
                budget,
                strategy: Strategy::new(candidate.points.len()),
            };
            let chips = searches.run(trials, progress)?;
            Ok(OfCandidate { clean_correct, chips })
        })
        .collect();
    let journal = shared.journal.into_inner().unwrap_or_else(PoisonError::into_inner).0;
    let synced = journal.sync();
    let candidates = all?;
    synced?;
    Ok(Searched { candidates, clean_classified })
}

/// Copies of the images in another order.
fn ordered(images: Images<'_>, numbers: &[u32]) -> (Vec<u8>, Vec<u8>) {
    let size = images.pixels.len() / images.labels.len().max(1);
    let pixels =
        numbers.iter().flat_map(|&number| &images.pixels[number as usize * size..][..size]);
    let labels = numbers.iter().map(|&number| images.labels[number as usize]);
    (pixels.copied().collect(), labels.collect())
}

/// What all candidates share.
struct Shared<'a, L: Log> {
    plan: &'a Plan,
    /// Of the images.
    name: String,
    numbers: Vec<u32>,
    /// Error probability of each decision.
    alpha: f64,
    known: Mutex<Records>,
    journal: Mutex<(&'a mut Journal<L>, u64)>,
    stop: &'a AtomicBool,
}

/// All searches of one candidate.
struct Searches<'s, 'a, L: Log> {
    shared: &'s Shared<'a, L>,
    candidate: &'s Candidate,
    emulator: Emulator<'s>,
    deployment: Deployment<'s>,
    clean: Vec<usize>,
    budget: Budget,
    strategy: Strategy,
}

impl<L: Log> Searches<'_, '_, L> {
    fn run(&self, trials: u32, progress: &dyn Progress) -> Result<Vec<OfChip>, RunError> {
        // One worker's failure lets the others end soon.
        let failed = AtomicBool::new(false);
        let chips: Vec<Result<OfChip, RunError>> = (0..trials)
            .into_par_iter()
            .map(|number| {
                if failed.load(Ordering::Relaxed) || self.shared.stop.load(Ordering::Relaxed) {
                    return Err(RunError::Stopped);
                }
                let found = self.chip(number);
                failed.fetch_or(found.is_err(), Ordering::Relaxed);
                progress.advance();
                found
            })
            .collect();
        // The more specific failure, if there is one.
        let stopped = chips.iter().any(|of| matches!(of, Err(RunError::Stopped)));
        let mut all = Vec::with_capacity(chips.len());
        for of_chip in chips {
            match of_chip {
                Ok(of_chip) => all.push(of_chip),
                Err(RunError::Stopped) => {}
                Err(error) => return Err(error),
            }
        }
        if stopped { Err(RunError::Stopped) } else { Ok(all) }
    }

    fn chip(&self, number: u32) -> Result<OfChip, RunError> {
        let Self { candidate, shared, .. } = self;
        let supplies: Vec<_> = candidate.points.iter().map(|point| &point.supplies).collect();
        // Sampled when the first decision is not known.
        let mut chip = None;
        let mut probes: Vec<Probe> = Vec::new();
        let found = self.strategy.search(supplies.len(), |point| {
            let probe = match self.known(number, point) {
                Ok(probe) => probe,
                Err(from) => {
                    let chip = match &mut chip {
                        Some(chip) => chip,
                        none => none.insert(self.deployment.open(
                            shared.plan.source.as_ref(),
                            shared.plan.chip(number),
                            &supplies,
                            candidate.lowest(),
                        )?),
                    };
                    self.decide(chip, number, point, from)?
                }
            };
            probes.push(probe);
            Ok::<_, RunError>(probe.within)
        });
        let found: Found = found?;
        probes.sort_unstable_by_key(|probe| probe.point);
        Ok(OfChip { lowest: found.lowest, out_of_order: found.is_out_of_order(), probes })
    }

    /// The decision that records make; or else the images and counts to go on from.
    fn known(&self, number: u32, point: usize) -> Result<Probe, (usize, Counts)> {
        let Shared { plan, known, .. } = self.shared;
        let trial = plan.trial(self.candidate, &self.candidate.points[point], number);
        let known = known.lock().unwrap_or_else(PoisonError::into_inner).of(&trial);
        let mut last = (0, Counts::default());
        for (images, counts) in known {
            match self.verdict(seen(images, &counts)) {
                Some(within) => return Ok(self.probe(point, within, images, &counts)),
                None => last = (images, counts),
            }
        }
        Err(last)
    }

    fn verdict(&self, seen: Seen) -> Option<bool> {
        let all = seen.images == self.budget.images();
        // Without an error probability all images are counted, though fewer may be certain.
        if self.shared.alpha <= 0.0 && !all {
            return None;
        }
        self.budget.decide(seen, self.shared.alpha)
    }

    fn probe(&self, point: usize, within: bool, images: usize, counts: &Counts) -> Probe {
        let (lost, gained) = self.budget.lost_and_gained(seen(images, counts));
        let reads = [counts.weight[1], counts.activation[0], counts.accumulator[0]];
        let clean = reads == [0; 3] && self.shared.plan.reads == Reads::Once;
        let images = images as u64;
        Probe { point, within, images, classified: if clean { 0 } else { images }, lost, gained }
    }

    fn decide(
        &self,
        chip: &OpenChip<'_>,
        number: u32,
        point: usize,
        (from, before): (usize, Counts),
    ) -> Result<Probe, RunError> {
        let Self { candidate, shared, clean, budget, .. } = self;
        let Shared { plan, stop, .. } = shared;
        let of_point = &candidate.points[point];
        let spec = TrialSpec {
            supplies: &of_point.supplies,
            reads: plan.reads,
            first_image: plan.first_image,
        };
        let order = Ordered { numbers: &shared.numbers, clean };
        let mut next = |images: usize, score: vmin_emulator::Score| {
            let seen = Seen {
                images,
                correct: before.correct + score.correct,
                correct_union: before.correct_union + score.correct_union,
            };
            let decided = images > from && self.verdict(seen).is_some();
            // Without a chance of error only the end tells.
            let look = match shared.alpha > 0.0 {
                true => looks::next(images, budget.images()),
                false => budget.images(),
            };
            (!decided).then_some(look)
        };
        let prefix = chip.run_until(spec, &self.emulator, order, from, &mut next, stop)?;
        let score = prefix.outcome.score;
        let applied = prefix.outcome.applied.map(|of| [of.cells_hit, of.bits_flipped]);
        let sum = |before: [u64; 2], more: [u64; 2]| [before[0] + more[0], before[1] + more[1]];
        // Weights that are read once are read alike for later images.
        let weight = match plan.reads {
            Reads::Once => sum([0; 2], applied.weight),
            Reads::EveryImage => sum(before.weight, applied.weight),
        };
        let counts = Counts {
            correct: before.correct + score.correct,
            correct_union: before.correct_union + score.correct_union,
            weight,
            activation: sum(before.activation, applied.activation),
            accumulator: sum(before.accumulator, applied.accumulator),
        };
        self.record(number, point, prefix.images, counts)?;
        let within = budget
            .decide(seen(prefix.images, &counts), shared.alpha)
            .expect("it ended because it was decided, or after all images");
        Ok(self.probe(point, within, prefix.images, &counts))
    }

    fn record(
        &self,
        number: u32,
        point: usize,
        images: usize,
        counts: Counts,
    ) -> Result<(), RunError> {
        let Shared { plan, name, known, journal, .. } = self.shared;
        let mut trial = plan.trial(self.candidate, &self.candidate.points[point], number);
        if images < self.budget.images() {
            trial.images = prefix_name(name, images);
        }
        {
            let mut guard = journal.lock().unwrap_or_else(PoisonError::into_inner);
            let (journal, appended) = &mut *guard;
            journal.append(&Record { trial: trial.clone(), counts })?;
            *appended += 1;
            if appended.is_multiple_of(RECORDS_PER_SYNC) {
                journal.sync()?;
            }
        }
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(&trial, images, counts);
        Ok(())
    }
}
