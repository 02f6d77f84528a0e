//! Whether enough chips pass at one point: no more of them are decided than that needs.

use super::*;

/// Chips that are decided together. A fixed number, so that results are the same for any number of threads.
const BATCH: u32 = 16;

/// What is asked of the last candidate of a plan, at its first point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Chips that must pass.
    pub needed: u32,
    /// Whether every chip is decided, though fewer tell whether enough pass.
    pub all: bool,
    /// Chance that the decision about a chip is not that of all images; 0 if all images decide.
    pub chance_of_chip: f64,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Chips that pass.
    pub passing: u32,
    /// Chips that were decided.
    pub chips: u32,
    /// Images that were classified for that, or for the same decisions earlier.
    pub classified: u64,
    /// Right predictions of the network without bit errors.
    pub clean_correct: u64,
}

/// Decides chips of the last candidate of `plan` at its first point until it is certain whether so many pass.
///
/// # Errors
/// See [`RunError`]; all finished decisions are then in the journal.
pub fn enough<L: Log>(
    plan: &Plan,
    wanted: Wanted,
    networks: &mut Networks,
    (journal, records): (&mut Journal<L>, &mut Records<'_>),
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
) -> Result<Decided, RunError> {
    let shared = Shared {
        plan,
        name: plan.images_name(),
        chance_of_chip: wanted.chance_of_chip,
        known: Mutex::new(std::mem::take(records)),
        journal: Mutex::new((journal, 0)),
        stop,
    };
    let candidate = plan.candidates.last().unwrap_or_else(|| plan.own());
    let decided = networks
        .of(&shared, candidate, kernel)
        .and_then(|clean| Searches::new(&shared, candidate, &clean, kernel)?.enough(wanted));
    *records = shared.known.into_inner().unwrap_or_else(PoisonError::into_inner);
    let synced = shared.journal.into_inner().unwrap_or_else(PoisonError::into_inner).0.sync();
    let decided = decided?;
    synced?;
    Ok(decided)
}

impl<L: Log> Searches<'_, '_, '_, L> {
    fn enough(&self, Wanted { needed, all, .. }: Wanted) -> Result<Decided, RunError> {
        let trials = self.shared.plan.trials();
        let clean_correct = self.network.correct();
        let mut decided = Decided { clean_correct, ..Decided::default() };
        let open = |of: &Decided| {
            let failing = of.chips - of.passing;
            of.chips < trials && (all || of.passing < needed && failing <= trials - needed)
        };
        while open(&decided) {
            let batch = decided.chips..(decided.chips + BATCH).min(trials);
            let probes: Vec<Result<Probe, RunError>> =
                batch.into_par_iter().map(|number| self.first_point(number)).collect();
            // The more specific failure, if there is one.
            let is_stopped = |of: &Result<Probe, RunError>| matches!(of, Err(RunError::Stopped));
            let (stopped, others): (Vec<_>, Vec<_>) = probes.into_iter().partition(is_stopped);
            for probe in others.into_iter().chain(stopped) {
                let probe = probe?;
                decided.chips += 1;
                decided.passing += u32::from(probe.within);
                decided.classified += probe.classified;
            }
        }
        Ok(decided)
    }

    fn first_point(&self, number: u32) -> Result<Probe, RunError> {
        let alpha = self.shared.chance_of_chip;
        match self.known(number, 0, alpha)? {
            Recorded::Decided(probe) => Ok(probe),
            Recorded::Open(_) if self.shared.stop.load(Ordering::Relaxed) => Err(RunError::Stopped),
            Recorded::Open(before) => {
                let supplies = [&self.candidate.points[0].supplies];
                self.decide(&self.open(number, &supplies)?, (number, 0), alpha, before)
            }
        }
    }
}
