//! Counts over the first images of each class, from a journal and from a store of trials, by trial.

use std::collections::BTreeMap;

use vmin_sweep::store::Store;
use vmin_sweep::{Counts, Record, TrialId};

use crate::order::{CLASSES, Named, named};
use crate::sequential::Seen;

/// What is known of trials.
#[derive(Clone, Default)]
pub struct Records<'s> {
    by_trial: BTreeMap<TrialId, BTreeMap<Named, Counts>>,
    store: Option<&'s Store>,
}

impl<'s> Records<'s> {
    /// Those of `records` that are over all or the first ones of the images that `name` names; others are left out.
    #[must_use]
    pub fn new(records: &[Record], name: &str) -> Self {
        let mut known = Self::default();
        for Record { trial, counts } in records {
            if let Some(images) = named(name, &trial.images) {
                known.insert(trial, images, *counts);
            }
        }
        known
    }

    /// The same, and what a store knows; it is told new trials.
    #[must_use]
    pub const fn with_store(mut self, store: Option<&'s Store>) -> Self {
        self.store = store;
        self
    }

    /// Where new trials go beside the journal.
    pub(crate) const fn store(&self) -> Option<&'s Store> {
        self.store
    }

    /// Takes over what the store knows of a trial, over the images that `name` names; gives the records that were not
    /// known.
    pub(crate) fn learn(&mut self, trial: &TrialId, name: &str) -> Vec<Record> {
        let Some(store) = self.store else { return Vec::new() };
        let mut learnt = Vec::new();
        for (images, counts) in store.find(&trial.candidate, &trial.chip, &trial.supplies) {
            let Some(named) = named(name, &images) else { continue };
            let known = self.by_trial.entry(key(trial)).or_default();
            if known.insert(named, counts).is_none() {
                learnt.push(Record { trial: TrialId { images, ..trial.clone() }, counts });
            }
        }
        learnt
    }

    pub(crate) fn insert(&mut self, trial: &TrialId, images: Named, counts: Counts) {
        self.by_trial.entry(key(trial)).or_default().insert(images, counts);
    }

    /// The counts of a trial over all images.
    pub(crate) fn all(&self, trial: &TrialId) -> Option<Counts> {
        self.by_trial.get(&key(trial))?.get(&Named::All).copied()
    }

    /// The counts of a trial over the most images known of each class, with their number; `images` are those of a
    /// class.
    pub(crate) fn most(
        &self,
        trial: &TrialId,
        images: impl Fn(usize) -> usize,
    ) -> [(usize, Counts); CLASSES] {
        let known = self.by_trial.get(&key(trial));
        std::array::from_fn(|class| {
            let of_class = known.into_iter().flatten().filter_map(|(named, counts)| match *named {
                Named::First(of, count) if of == class && count <= images(class) => {
                    Some((count, *counts))
                }
                Named::First(..) | Named::All => None,
            });
            of_class.max_by_key(|(count, _)| *count).unwrap_or_default()
        })
    }
}

/// A trial whatever its images.
fn key(trial: &TrialId) -> TrialId {
    TrialId { images: String::new(), ..trial.clone() }
}

pub(crate) const fn seen(images: usize, counts: &Counts) -> Seen {
    Seen { images, correct: counts.correct, correct_union: counts.correct_union }
}
