//! All trials of a store in memory, each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use vmin_accel::PerMemory;

use super::about::{About, AboutWhat};
use crate::journal::{ChipId, Counts, Record, SupplyId, TrialId};

/// Bytes that a trial takes here, without its texts.
const TRIAL_BYTES: u64 = 150;

/// The supplies of a trial.
type SuppliesId = PerMemory<Option<SupplyId>>;

/// Values by number, each once.
#[derive(Debug)]
struct Interned<T> {
    numbers: BTreeMap<Arc<T>, u32>,
    values: Vec<Arc<T>>,
}

impl<T: Ord + Clone> Interned<T> {
    const fn new() -> Self {
        Self { numbers: BTreeMap::new(), values: Vec::new() }
    }

    fn number(&self, value: &T) -> Option<u32> {
        self.numbers.get(value).copied()
    }

    /// The number of a value, and whether it is new.
    fn add(&mut self, value: &T) -> (u32, bool) {
        if let Some(number) = self.number(value) {
            return (number, false);
        }
        let value = Arc::new(value.clone());
        // Each takes more than a byte, of which there are fewer.
        let number = u32::try_from(self.values.len()).expect("fewer values than bytes held");
        self.values.push(Arc::clone(&value));
        self.numbers.insert(value, number);
        (number, true)
    }

    fn value(&self, number: u32) -> &T {
        &self.values[number as usize]
    }
}

/// The name of a trial in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    candidate: u32,
    supplies: u32,
    chip: u32,
    number: u32,
    offset_bits: u64,
    images: u32,
}

/// A trial's counts, and where they were read.
#[derive(Clone, Copy, Debug)]
struct Held {
    counts: Counts,
    segment: u32,
    bytes: u32,
}

/// What adding a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// The trial is new.
    New,
    /// It is there with these counts.
    Same,
    /// It is there with other counts, from this segment.
    Other(u32),
    /// There is no room.
    Full,
}

/// Trials with the same candidate, supplies and images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Digest of the candidate.
    pub candidate: String,
    /// The supplies.
    pub supplies: PerMemory<Option<SupplyId>>,
    /// The images.
    pub images: String,
    /// Trials: chips at offsets.
    pub trials: u64,
    /// Right predictions of all of them.
    pub correct: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

/// All trials of a store.
#[derive(Debug)]
pub(super) struct Index {
    texts: Interned<String>,
    supplies: Interned<SuppliesId>,
    trials: BTreeMap<Key, Held>,
    about: BTreeMap<(AboutWhat, String), BTreeMap<String, String>>,
    room: u64,
}

impl Index {
    /// An empty one that holds at most so many bytes.
    pub(super) const fn new(bytes_max: u64) -> Self {
        Self {
            texts: Interned::new(),
            supplies: Interned::new(),
            trials: BTreeMap::new(),
            about: BTreeMap::new(),
            room: bytes_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.trials.len()
    }

    fn key(&self, trial: &TrialId) -> Option<Key> {
        let TrialId { candidate, chip, supplies, images } = trial;
        Some(Key {
            candidate: self.texts.number(candidate)?,
            supplies: self.supplies.number(supplies)?,
            chip: self.texts.number(&chip.chip)?,
            number: chip.number,
            offset_bits: chip.offset_bits,
            images: self.texts.number(images)?,
        })
    }

    fn trial(&self, key: &Key) -> TrialId {
        TrialId {
            candidate: self.texts.value(key.candidate).clone(),
            chip: ChipId {
                chip: self.texts.value(key.chip).clone(),
                number: key.number,
                offset_bits: key.offset_bits,
            },
            supplies: self.supplies.value(key.supplies).clone(),
            images: self.texts.value(key.images).clone(),
        }
    }

    pub(super) fn get(&self, trial: &TrialId) -> Option<Counts> {
        self.trials.get(&self.key(trial)?).map(|held| held.counts)
    }

    /// Whether a record is there, without adding it.
    pub(super) fn would_add(&self, record: &Record) -> Added {
        let held = self.key(&record.trial).and_then(|key| self.trials.get(&key));
        held.map_or(Added::New, |held| held.against(&record.counts))
    }

    /// Adds a record that takes so many bytes of a segment.
    pub(super) fn add(&mut self, record: &Record, segment: u32, bytes: usize) -> Added {
        let Record { trial, counts } = record;
        let TrialId { candidate, chip, supplies, images } = trial;
        let mut taken = TRIAL_BYTES;
        let mut number = |text: &String| {
            let (number, is_new) = self.texts.add(text);
            taken += if is_new { TRIAL_BYTES + text.len() as u64 } else { 0 };
            number
        };
        let [candidate, of_chip, images] = [candidate, &chip.chip, images].map(&mut number);
        let (supplies, is_new) = self.supplies.add(supplies);
        taken += if is_new { 2 * TRIAL_BYTES } else { 0 };
        let (number, offset_bits) = (chip.number, chip.offset_bits);
        let key = Key { candidate, supplies, chip: of_chip, number, offset_bits, images };
        if let Some(held) = self.trials.get(&key) {
            return held.against(counts);
        }
        let Some(room) = self.room.checked_sub(taken) else { return Added::Full };
        self.room = room;
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.trials.insert(key, Held { counts: *counts, segment, bytes });
        Added::New
    }

    /// Adds a description; of several, the least is kept, whatever their order. False if there is no room.
    pub(super) fn describe(&mut self, about: About) -> bool {
        let About { of, id, words } = about;
        let texts = words.iter().map(|(key, value)| (key.len() + value.len()) as u64);
        let taken = TRIAL_BYTES + id.len() as u64 + texts.sum::<u64>();
        match self.about.entry((of, id)) {
            std::collections::btree_map::Entry::Occupied(mut known) => {
                if words < *known.get() {
                    known.insert(words);
                }
                true
            }
            std::collections::btree_map::Entry::Vacant(place) => {
                let Some(room) = self.room.checked_sub(taken) else { return false };
                self.room = room;
                place.insert(words);
                true
            }
        }
    }

    pub(super) fn about(&self, of: AboutWhat, id: &str) -> Option<&BTreeMap<String, String>> {
        self.about.get(&(of, id.to_owned()))
    }

    pub(super) fn abouts(&self) -> impl Iterator<Item = About> {
        self.about.iter().map(|((of, id), words)| About {
            of: *of,
            id: id.clone(),
            words: words.clone(),
        })
    }

    /// The records of a candidate on a chip at its supplies, over any images.
    pub(super) fn find(
        &self,
        candidate: &str,
        chip: &ChipId,
        supplies: &SuppliesId,
    ) -> Vec<(String, Counts)> {
        let first = || {
            Some(Key {
                candidate: self.texts.number(&candidate.to_owned())?,
                supplies: self.supplies.number(supplies)?,
                chip: self.texts.number(&chip.chip)?,
                number: chip.number,
                offset_bits: chip.offset_bits,
                images: 0,
            })
        };
        let Some(first) = first() else { return Vec::new() };
        let found = self.trials.range(first..=Key { images: u32::MAX, ..first });
        let mut found: Vec<_> =
            found.map(|(key, held)| (self.texts.value(key.images).clone(), held.counts)).collect();
        found.sort();
        found
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        self.trials.iter().map(|(key, held)| Record { trial: self.trial(key), counts: held.counts })
    }

    /// Bytes of all lines, descriptions aside.
    pub(super) fn bytes(&self) -> u64 {
        self.trials.values().map(|held| u64::from(held.bytes)).sum()
    }

    /// Sorted by candidate, images and supplies.
    pub(super) fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<(u32, u32, u32), Group> = BTreeMap::new();
        for (key, held) in &self.trials {
            let at = (key.candidate, key.supplies, key.images);
            let group = groups.entry(at).or_insert_with(|| {
                let TrialId { candidate, supplies, images, .. } = self.trial(key);
                Group { candidate, supplies, images, trials: 0, correct: 0, bytes: 0 }
            });
            group.trials += 1;
            group.correct = group.correct.saturating_add(held.counts.correct);
            group.bytes += u64::from(held.bytes);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        let voltages = |group: &Group| {
            let mv = |at: &Option<SupplyId>| at.as_ref().map_or(0, |at| (at.vdd_mv * 1e3) as u64);
            group.supplies.map(mv)
        };
        groups.sort_by_cached_key(|group| {
            let falling = std::cmp::Reverse(voltages(group));
            (group.candidate.clone(), group.images.clone(), falling, group.supplies.clone())
        });
        groups
    }
}

impl Held {
    fn against(&self, counts: &Counts) -> Added {
        if self.counts == *counts { Added::Same } else { Added::Other(self.segment) }
    }
}
