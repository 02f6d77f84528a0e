//! Runs the search on every chip of every candidate; each trial ends when its decision is certain enough.

mod enough;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use vmin_emulator::{
    Deployment, Emulator, Images, InPart, OpenChip, Ordered, Outcome, Readout, Reads, Score,
    TrialSpec,
};
use vmin_kernels::GemmKernel;
use vmin_nn::Graph;
use vmin_sweep::store::Store;
use vmin_sweep::{Candidate, Counts, Journal, Log, Plan, Progress, Record, RunError};

use crate::looks;
use crate::order::{CLASSES, Named, Order, margin, prefix_name};
use crate::records::{Records, seen};
use crate::search::{self, Found, share};
use crate::sequential::Budget;

pub use enough::{Decided, Wanted, enough};

/// Chips whose searches tell the others where to start.
const PILOTS: u32 = 3;

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
    records: Records<'_>,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Searched, RunError> {
    let trials = plan.trials();
    progress.begin(u64::from(trials) * plan.candidates.len() as u64, 0);
    let shared = Shared {
        plan,
        name: plan.images_name(),
        chance_of_chip: match certainty {
            Certainty::Exact => 0.0,
            Certainty::But(chance) => {
                chance / (plan.candidates.len() as f64 * f64::from(trials)).max(1.0)
            }
        },
        known: Mutex::new(records),
        journal: Mutex::new((journal, 0)),
        stop,
    };
    let mut networks = Networks::default();
    let all: Result<Vec<OfCandidate>, RunError> = plan
        .candidates
        .iter()
        .map(|candidate| {
            let of = networks.of(&shared, candidate, kernel)?;
            let searches = Searches::new(&shared, candidate, &of, kernel)?;
            Ok(OfCandidate {
                clean_correct: of.network.correct(),
                chips: searches.run(trials, progress)?,
            })
        })
        .collect();
    let clean_classified = networks.classified;
    let journal = shared.journal.into_inner().unwrap_or_else(PoisonError::into_inner).0;
    let synced = journal.sync();
    let shared = shared.known.into_inner().unwrap_or_else(PoisonError::into_inner);
    let stored = shared.store().map_or(Ok(()), Store::sync);
    let candidates = all?;
    synced?;
    stored?;
    Ok(Searched { candidates, clean_classified })
}

/// Networks without bit errors; remedies of one network share its predictions.
#[derive(Debug, Default)]
pub struct Networks {
    known: Vec<(Arc<Graph>, Arc<Network>)>,
    /// Images that were classified for them.
    pub(crate) classified: u64,
}

/// Without bit errors: the network of a candidate, and what the experiment's own has right.
struct Clean {
    own_correct: u64,
    network: Arc<Network>,
}

impl Networks {
    fn of<L: Log>(
        &mut self,
        shared: &Shared<'_, '_, L>,
        candidate: &Candidate,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Clean, RunError> {
        let own_correct = self.one(shared, &shared.plan.own().graph, kernel)?.correct();
        let network = self.one(shared, &candidate.graph, kernel)?;
        Ok(Clean { own_correct, network })
    }

    fn one<L: Log>(
        &mut self,
        shared: &Shared<'_, '_, L>,
        graph: &Arc<Graph>,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Arc<Network>, RunError> {
        if let Some((_, known)) = self.known.iter().find(|(known, _)| Arc::ptr_eq(known, graph)) {
            return Ok(Arc::clone(known));
        }
        let images = shared.plan.images();
        self.classified += images.labels.len() as u64;
        let network = Network::new(graph, images, &shared.name, kernel, shared.stop)?;
        let network = Arc::new(network);
        self.known.push((Arc::clone(graph), Arc::clone(&network)));
        Ok(network)
    }
}

/// A network without bit errors, and the images in its order.
#[derive(Debug)]
struct Network {
    order: Order,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    /// Predicted classes.
    clean: Vec<usize>,
}

impl Network {
    fn new(
        graph: &Graph,
        images: Images<'_>,
        name: &str,
        kernel: &'static dyn GemmKernel,
        stop: &AtomicBool,
    ) -> Result<Self, RunError> {
        let outputs = Emulator::new(graph, images, kernel)?.reading(Outputs).predict_clean(stop);
        let outputs = outputs.map_err(RunError::from)?;
        let margins = outputs.iter().zip(images.labels);
        let margins: Vec<u32> = margins.map(|(outputs, &label)| margin(outputs, label)).collect();
        let order = Order::new(name, &margins);
        let size = images.pixels.len() / images.labels.len().max(1);
        let all = || order.numbers.iter().map(|&number| number as usize);
        let pixels = all().flat_map(|number| &images.pixels[number * size..][..size]);
        let labels = all().map(|number| images.labels[number]);
        let clean = all().map(|number| vmin_nn::exec::first_max(&outputs[number]));
        let (pixels, labels, clean) =
            (pixels.copied().collect(), labels.collect(), clean.collect());
        Ok(Self { order, pixels, labels, clean })
    }

    fn images(&self) -> Images<'_> {
        Images { pixels: &self.pixels, labels: &self.labels }
    }

    /// Whether each image is right.
    fn right(&self) -> Vec<bool> {
        let all = self.clean.iter().zip(&self.labels);
        all.map(|(&class, &label)| class == usize::from(label)).collect()
    }

    fn correct(&self) -> u64 {
        self.right().into_iter().filter(|right| *right).count() as u64
    }
}

/// Reads the output codes.
#[derive(Clone, Copy, Debug)]
struct Outputs;

impl Readout for Outputs {
    type Value = Vec<i8>;

    fn of(&self, value: &mut Vec<i8>, outputs: &[i8]) {
        *value = outputs.to_vec();
    }
}

/// What all candidates share.
struct Shared<'a, 'r, L: Log> {
    plan: &'a Plan,
    /// Of the images.
    name: String,
    /// Chance of any wrong decision about a chip of a candidate; 0 if all images decide.
    chance_of_chip: f64,
    known: Mutex<Records<'r>>,
    journal: Mutex<(&'a mut Journal<L>, u64)>,
    stop: &'a AtomicBool,
}

/// All searches of one candidate.
struct Searches<'s, 'a, 'r, L: Log> {
    shared: &'s Shared<'a, 'r, L>,
    candidate: &'s Candidate,
    emulator: Emulator<'s>,
    network: &'s Network,
    deployment: Deployment<'s>,
    budget: Budget,
}

impl<'s, 'a, 'r, L: Log> Searches<'s, 'a, 'r, L> {
    fn new(
        shared: &'s Shared<'a, 'r, L>,
        candidate: &'s Candidate,
        clean: &'s Clean,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Self, RunError> {
        let network: &Network = &clean.network;
        // A budget refers to the experiment's own network.
        let behind = clean.own_correct.cast_signed() - network.correct().cast_signed();
        let most = shared.plan.lost_max().cast_signed() - behind;
        let right = network.right();
        let budget = Budget::new([0, 1].map(|class| &right[network.order.places(class)]), most);
        let deployment = shared.plan.deployment(candidate, kernel, shared.stop)?;
        let emulator = Emulator::new(&candidate.graph, network.images(), kernel)?;
        Ok(Self { shared, candidate, emulator, network, deployment, budget })
    }

    /// The first chips are bisected; the others start where half of these passed.
    fn run(&self, trials: u32, progress: &dyn Progress) -> Result<Vec<OfChip>, RunError> {
        let mut chips = self.all(0..trials.min(PILOTS), None, progress)?;
        let mut lowest: Vec<usize> = chips.iter().filter_map(|chip| chip.lowest).collect();
        lowest.sort_unstable();
        let start = lowest.get(lowest.len() / 2).copied();
        chips.extend(self.all(trials.min(PILOTS)..trials, start, progress)?);
        Ok(chips)
    }

    fn all(
        &self,
        numbers: std::ops::Range<u32>,
        start: Option<usize>,
        progress: &dyn Progress,
    ) -> Result<Vec<OfChip>, RunError> {
        // One worker's failure lets the others end soon.
        let failed = AtomicBool::new(false);
        let chips: Vec<Result<OfChip, RunError>> = numbers
            .into_par_iter()
            .map(|number| {
                if failed.load(Ordering::Relaxed) || self.shared.stop.load(Ordering::Relaxed) {
                    return Err(RunError::Stopped);
                }
                let found = self.chip(number, start);
                failed.fetch_or(found.is_err(), Ordering::Relaxed);
                progress.advance();
                found
            })
            .collect();
        // The more specific failure, if there is one.
        let mut all = Vec::with_capacity(chips.len());
        let mut stopped = false;
        for of_chip in chips {
            match of_chip {
                Ok(of_chip) => all.push(of_chip),
                Err(RunError::Stopped) => stopped = true,
                Err(error) => return Err(error),
            }
        }
        if stopped { Err(RunError::Stopped) } else { Ok(all) }
    }

    fn chip(&self, number: u32, start: Option<usize>) -> Result<OfChip, RunError> {
        let Self { candidate, shared, .. } = self;
        let supplies: Vec<_> = candidate.points.iter().map(|point| &point.supplies).collect();
        // Sampled when the first decision is not known.
        let mut chip = None;
        let mut probes: Vec<Probe> = Vec::new();
        let found = search::search(supplies.len(), start, |point| {
            let alpha = shared.chance_of_chip * share(supplies.len(), probes.len());
            let probe = match self.known(number, point, alpha)? {
                Recorded::Decided(probe) => probe,
                Recorded::Open(before) => {
                    let chip = match &mut chip {
                        Some(chip) => chip,
                        none => none.insert(self.open(number, &supplies)?),
                    };
                    self.decide(chip, (number, point), alpha, before)?
                }
            };
            probes.push(probe);
            Ok::<_, RunError>(probe.within)
        });
        let found: Found = found?;
        probes.sort_unstable_by_key(|probe| probe.point);
        Ok(OfChip { lowest: found.lowest, out_of_order: found.is_out_of_order(), probes })
    }

    fn open<'c>(
        &'c self,
        number: u32,
        supplies: &[&'c vmin_emulator::Supplies],
    ) -> Result<OpenChip<'c>, RunError> {
        let plan = self.shared.plan;
        let lowest = self.candidate.lowest();
        Ok(self.deployment.open(plan.source.as_ref(), plan.chip(number), supplies, lowest)?)
    }

    /// The decision that records make; or else the images of each class, with their counts, to go on from.
    fn known(&self, number: u32, point: usize, alpha: f64) -> Result<Recorded, RunError> {
        let trial = self.shared.plan.trial(self.candidate, &self.candidate.points[point], number);
        let decided = |records: &Records<'_>| {
            if let Some(counts) = records.all(&trial) {
                return Recorded::Decided(self.of_all(point, &counts));
            }
            let known = records.most(&trial, |class| self.budget.images(class));
            match self.verdict(&known, alpha) {
                Some(within) => Recorded::Decided(self.probe(point, within, &known)),
                None => Recorded::Open(known),
            }
        };
        let learnt = {
            let mut records = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
            let decided = decided(&records);
            if matches!(decided, Recorded::Decided(_)) {
                return Ok(decided);
            }
            records.learn(&trial, &self.shared.name)
        };
        // Answers come from the journal, so that they can be given again without the store.
        for record in &learnt {
            self.shared.append(record)?;
        }
        Ok(decided(&self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn verdict(&self, known: &Known, alpha: f64) -> Option<bool> {
        let seen = known.each_ref().map(|(images, counts)| seen(*images, counts));
        let all = (0..CLASSES).all(|class| seen[class].images == self.budget.images(class));
        // Without an error probability all images are counted, though fewer may be certain.
        if alpha <= 0.0 && !all {
            return None;
        }
        self.budget.decide(&seen, alpha)
    }

    fn probe(&self, point: usize, within: bool, known: &Known) -> Probe {
        let (mut lost, mut gained, mut images) = (0, 0, 0);
        for (class, (count, counts)) in known.iter().enumerate() {
            let changed = self.budget.lost_and_gained(class, seen(*count, counts));
            lost += changed.0;
            gained += changed.1;
            images += *count as u64;
        }
        Probe { point, within, images, classified: images, lost, gained }
    }

    /// The decision of a trial over all images.
    fn of_all(&self, point: usize, counts: &Counts) -> Probe {
        let clean_correct = self.network.correct();
        let (lost, gained) =
            (clean_correct - counts.correct_union, counts.correct - counts.correct_union);
        let wrong = [counts.weight[1], counts.activation[0], counts.accumulator[0]];
        // The chip reads what was written.
        let unchanged = wrong == [0; 3] && self.shared.plan.reads == Reads::Once;
        let images = self.network.labels.len() as u64;
        Probe {
            point,
            within: lost.cast_signed() - gained.cast_signed() <= self.budget.most(),
            images,
            classified: if unchanged { 0 } else { images },
            lost,
            gained,
        }
    }

    fn decide(
        &self,
        chip: &OpenChip<'_>,
        (number, point): (u32, usize),
        alpha: f64,
        mut known: Known,
    ) -> Result<Probe, RunError> {
        let Self { candidate, shared, network, budget, .. } = self;
        let Shared { plan, stop, .. } = shared;
        let spec = TrialSpec {
            supplies: &candidate.points[point].supplies,
            reads: plan.reads,
            first_image: plan.first_image,
        };
        let order = Ordered { numbers: &network.order.numbers, clean: &network.clean };
        let before = known.map(|(images, _)| images);
        let mut class = 0;
        let mut next = |part: Option<InPart>| {
            if let Some(InPart { places, outcome }) = part {
                let (images, counts) = &mut known[class];
                *images += places.len();
                add(counts, &outcome, plan.reads);
                if self.verdict(&known, alpha).is_some() {
                    return None;
                }
            }
            let seen = known.each_ref().map(|(images, counts)| seen(*images, counts));
            let until;
            (class, until) = match alpha > 0.0 {
                true => looks::next(budget, &seen)?,
                // Without a chance of error only the end tells.
                false => (0..CLASSES)
                    .find(|&class| seen[class].images < budget.images(class))
                    .map(|class| (class, budget.images(class)))?,
            };
            let places = network.order.places(class);
            Some(places.start + seen[class].images..places.start + until)
        };
        let unchanged = chip.run_in_parts(spec, &self.emulator, order, &mut next, stop)?;
        if let Some(applied) = unchanged {
            let correct = network.correct();
            let score = Score { correct, correct_union: correct };
            let mut counts = Counts::default();
            add(&mut counts, &Outcome { score, applied }, plan.reads);
            self.record(number, point, Named::All, counts)?;
            return Ok(self.of_all(point, &counts));
        }
        for (class, (images, counts)) in known.iter().enumerate() {
            if *images > before[class] {
                self.record(number, point, Named::First(class, *images), *counts)?;
            }
        }
        let within = self.verdict(&known, alpha).expect("it ended because it was decided");
        Ok(self.probe(point, within, &known))
    }

    fn record(
        &self,
        number: u32,
        point: usize,
        images: Named,
        counts: Counts,
    ) -> Result<(), RunError> {
        let Shared { plan, name, known, .. } = self.shared;
        let mut trial = plan.trial(self.candidate, &self.candidate.points[point], number);
        if let Named::First(class, count) = images {
            trial.images = prefix_name(name, class, count);
        }
        let record = Record { trial, counts };
        self.shared.append(&record)?;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(&record.trial, images, counts);
        known.store().map(|store| store.append(&record)).transpose()?;
        Ok(())
    }
}

impl<L: Log> Shared<'_, '_, L> {
    /// Adds a record to the journal.
    fn append(&self, record: &Record) -> Result<(), RunError> {
        let mut guard = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let (journal, appended) = &mut *guard;
        journal.append(record)?;
        *appended += 1;
        if appended.is_multiple_of(RECORDS_PER_SYNC) {
            journal.sync()?;
        }
        Ok(())
    }
}

/// What records say of a decision.
enum Recorded {
    /// They make it.
    Decided(Probe),
    /// They do not: what to go on from.
    Open(Known),
}

/// Images of each class that were counted, with what was counted.
type Known = [(usize, Counts); CLASSES];

/// Adds what a trial did to more images.
fn add(counts: &mut Counts, outcome: &Outcome, reads: Reads) {
    let applied = outcome.applied.map(|of| [of.cells_hit, of.bits_flipped]);
    let sum = |before: [u64; 2], more: [u64; 2]| [before[0] + more[0], before[1] + more[1]];
    counts.correct += outcome.score.correct;
    counts.correct_union += outcome.score.correct_union;
    counts.weight = match reads {
        // Read once for all images.
        Reads::Once => applied.weight,
        Reads::EveryImage => sum(counts.weight, applied.weight),
    };
    counts.activation = sum(counts.activation, applied.activation);
    counts.accumulator = sum(counts.accumulator, applied.accumulator);
}
