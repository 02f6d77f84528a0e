//! Checks of the whole plan, and of a journal against it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Plan;
use crate::journal::{ChipId, Counts, Record, TrialId};

/// Most inferences of one experiment; beyond it a typing error is likelier than patience.
const INFERENCES_MAX: u64 = 1_000_000_000_000;

impl Plan {
    /// Checks sizes that need all parts of the plan.
    pub(super) fn check_sizes(
        &self,
        data: &Range<usize>,
        layout: &Range<usize>,
    ) -> Result<(), (Range<usize>, &'static str, String)> {
        let trials = u64::from(self.chips) * self.offset_bits.len() as u64;
        if u32::try_from(trials).is_err() {
            let message = format!("{trials} chips at offsets are more than can be numbered");
            return Err((layout.clone(), "too-many", message));
        }
        let total = self.cost().inferences_total;
        if total > INFERENCES_MAX {
            let message = format!(
                "the sweep would take {total} inferences, at most {INFERENCES_MAX} are run"
            );
            return Err((data.clone(), "too-large", message));
        }
        Ok(())
    }

    /// Sorts a journal's records into the plan: counts by index of candidate and of its point, and by number
    /// of trial.
    ///
    /// # Errors
    /// The first record that cannot be one of this plan.
    pub fn sorted(&self, records: &[Record]) -> Result<Known, String> {
        let images = self.labels().len() as u64;
        let mut known = Known::new();
        let places = self.places();
        for Record { trial, counts } in records {
            let foreign = || format!("the record of {trial} is not one of this experiment");
            let (points, number) = places.of(trial).ok_or_else(foreign)?;
            let candidate = &self.candidates[points[0].0];
            let Counts { correct, correct_union, weight, activation, accumulator } = *counts;
            // With protection, more bits may be wrong than cells are faulty.
            let plain = candidate.protection.is_empty();
            let transient = self.reads == vmin_emulator::Reads::EveryImage;
            let bits = candidate.stored_bits().saturating_mul(if transient { images } else { 1 });
            let of_activations = candidate.placement.activation_bits().unwrap_or(0);
            let of_sums = candidate.placement.accumulator_bits_read().unwrap_or(0);
            let fits = |[hit, flips]: [u64; 2], bits: u64| {
                hit <= bits && flips <= if plain { hit } else { bits }
            };
            let possible = correct <= images
                && correct_union <= correct
                && fits(weight, bits)
                && fits(activation, of_activations.saturating_mul(images))
                && fits(accumulator, of_sums.saturating_mul(images));
            if !possible {
                return Err(foreign());
            }
            // Candidates of one name are tried once.
            known.extend(points.iter().map(|&(index, point)| ((index, point, number), *counts)));
        }
        Ok(known)
    }

    /// The records of its trials, each once, that are not `known` and whose counts `get` has.
    #[must_use]
    pub fn found(&self, known: &Known, get: impl Fn(&TrialId) -> Option<Counts>) -> Vec<Record> {
        let mut found = Vec::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            for (at, point) in candidate.points.iter().enumerate() {
                // Of candidates that share trials, those of the first.
                if self.first_with(index, at) != (index, at) {
                    continue;
                }
                let wanted = (0..self.trials()).filter(|&n| !known.contains_key(&(index, at, n)));
                found.extend(wanted.filter_map(|number| {
                    let trial = self.trial(candidate, point, number);
                    Some(Record { counts: get(&trial)?, trial })
                }));
            }
        }
        found
    }

    /// Tells which trials are its own.
    pub fn contains(&self) -> impl Fn(&TrialId) -> bool + use<> {
        let places = self.places();
        // Questions name parts of images, and of candidates, behind a tilde.
        let whole = |name: &str| name.split('~').next().unwrap_or_default().to_owned();
        move |trial| {
            let (images, candidate) = (whole(&trial.images), whole(&trial.candidate));
            places.of(&TrialId { images, candidate, ..trial.clone() }).is_some()
        }
    }

    fn places(&self) -> Places {
        let mut points: BTreeMap<TrialId, Vec<(usize, usize)>> = BTreeMap::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            for (number, point) in candidate.points.iter().enumerate() {
                points.entry(self.trial(candidate, point, 0)).or_default().push((index, number));
            }
        }
        let chips = match points.keys().next() {
            Some(_) => (0..self.trials()).map(|number| (self.chip_id(number), number)).collect(),
            None => BTreeMap::new(),
        };
        Places { points, chips, first: self.chip_id(0) }
    }
}

/// Where the trials of a plan stand in it.
struct Places {
    /// Indices of candidates and of their points, by the name of the first trial there: the others differ in the
    /// chip alone.
    points: BTreeMap<TrialId, Vec<(usize, usize)>>,
    /// Numbers of trials.
    chips: BTreeMap<ChipId, u32>,
    first: ChipId,
}

impl Places {
    fn of(&self, trial: &TrialId) -> Option<(&Vec<(usize, usize)>, u32)> {
        let points = self.points.get(&TrialId { chip: self.first.clone(), ..trial.clone() })?;
        Some((points, *self.chips.get(&trial.chip)?))
    }
}

/// Counts by index of candidate, index of its point, number of trial.
pub type Known = BTreeMap<(usize, usize, u32), Counts>;
