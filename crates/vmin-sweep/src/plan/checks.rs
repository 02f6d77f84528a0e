//! Checks of the whole plan, and of a journal against it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Plan;
use crate::journal::{Counts, Record, TrialId};

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
        // Records of one point differ in the chip alone.
        let mut points: BTreeMap<TrialId, Vec<(usize, usize)>> = BTreeMap::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            for (number, point) in candidate.points.iter().enumerate() {
                points.entry(self.trial(candidate, point, 0)).or_default().push((index, number));
            }
        }
        let chips: BTreeMap<_, u32> = match points.keys().next() {
            Some(_) => (0..self.trials()).map(|number| (self.chip_id(number), number)).collect(),
            None => BTreeMap::new(),
        };
        let first = self.chip_id(0);
        for Record { trial, counts } in records {
            let foreign = || format!("the record of {trial} is not one of this experiment");
            let point = points.get(&TrialId { chip: first.clone(), ..trial.clone() });
            let (points, &number) = point.zip(chips.get(&trial.chip)).ok_or_else(foreign)?;
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
}

/// Counts by index of candidate, index of its point, number of trial.
pub type Known = BTreeMap<(usize, usize, u32), Counts>;
