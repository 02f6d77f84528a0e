//! Counts over the first images of the order, from a journal, by trial.

use std::collections::BTreeMap;

use vmin_sweep::{Counts, Record, TrialId};

use crate::order::prefix_of;
use crate::sequential::Seen;

/// What is known of trials: counts by the number of images, which are the first ones of the order.
#[derive(Clone, Debug, Default)]
pub struct Records {
    by_trial: BTreeMap<TrialId, BTreeMap<usize, Counts>>,
}

impl Records {
    /// Those of `records` that are over the first ones of the `images` that `name` names; others are left out.
    #[must_use]
    pub fn new(records: &[Record], name: &str, images: usize) -> Self {
        let mut known = Self::default();
        for Record { trial, counts } in records {
            if let Some(count) = prefix_of(name, images, &trial.images) {
                known.insert(trial, count, *counts);
            }
        }
        known
    }

    pub(crate) fn insert(&mut self, trial: &TrialId, images: usize, counts: Counts) {
        self.by_trial.entry(key(trial)).or_default().insert(images, counts);
    }

    /// What is known of a trial, by rising number of images.
    pub(crate) fn of(&self, trial: &TrialId) -> Vec<(usize, Counts)> {
        let counts = self.by_trial.get(&key(trial)).into_iter().flatten();
        counts.map(|(&images, &counts)| (images, counts)).collect()
    }
}

/// A trial whatever its images.
fn key(trial: &TrialId) -> TrialId {
    TrialId { images: String::new(), ..trial.clone() }
}

pub(crate) const fn seen(images: usize, counts: &Counts) -> Seen {
    Seen { images, correct: counts.correct, correct_union: counts.correct_union }
}
