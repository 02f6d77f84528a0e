//! Shards: the chips of an experiment dealt to several processes, and their records united.
//!
//! A shard decides which trials a process runs, nothing else. Neither records nor the header of a journal name it:
//! whoever ran a trial, its record is the same, so that any set of journals of one plan that covers its trials
//! gives the results of one process.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::journal::{Record, TrialId};
use crate::plan::{Known, Plan};

/// One of several nearly equal parts of an experiment's chips: runs of neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// Shard `number` of `of`, counted from 1; none unless 1 <= `number` <= `of`.
    #[must_use]
    pub fn new(number: u32, of: u32) -> Option<Self> {
        (1..=of).contains(&number).then_some(Self { number, of })
    }

    /// All shards of so many.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (1..=of).map(move |number| Self { number, of })
    }

    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// The number of shards.
    #[must_use]
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Its share of so many chips, by their numbers from 0; empty only where there are more shards than chips.
    #[must_use]
    pub fn chips(self, chips: u32) -> Range<u32> {
        let end = |number: u32| {
            let end = u64::from(number) * u64::from(chips) / u64::from(self.of);
            // At most `chips`.
            end as u32
        };
        end(self.number - 1)..end(self.number)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.parse::<u32>().ok();
        let parts = text.split_once('/').and_then(|(at, of)| Some((number(at)?, number(of)?)));
        let shard = parts.and_then(|(number, of)| Self::new(number, of));
        shard.ok_or("expected a shard and their number, from 1/N to N/N, such as 3/16")
    }
}

impl Plan {
    /// The numbers of the trials on a shard's chips.
    #[must_use]
    pub fn trials_of(&self, shard: Shard) -> Range<u32> {
        let chips = shard.chips(self.chips);
        // Within the trials of all chips.
        let offsets = self.trials() / self.chips.max(1);
        chips.start * offsets..chips.end * offsets
    }

    /// How many trials lack on each chip, where some do.
    #[must_use]
    pub fn missing(&self, known: &Known) -> BTreeMap<u32, u64> {
        let mut missing = BTreeMap::new();
        for (index, candidate) in self.candidates.iter().enumerate() {
            let points = 0..candidate.points.len();
            for point in points.filter(|&point| self.first_with(index, point) == (index, point)) {
                for number in 0..self.trials() {
                    if !known.contains_key(&(index, point, number)) {
                        *missing.entry(self.chip(number).chip).or_insert(0) += 1;
                    }
                }
            }
        }
        missing
    }
}

/// Two journals that hold different counts of one trial.
#[derive(Debug, thiserror::Error)]
#[error("`{}` and `{}` disagree about the trial of {trial}", first.display(), second.display())]
pub struct Disagreement {
    /// The trial.
    pub trial: TrialId,
    /// A journal.
    pub first: PathBuf,
    /// The other one.
    pub second: PathBuf,
}

/// The records of several journals in the order of their trials, each once.
///
/// # Errors
/// Two of them disagree about a trial: they were not computed by the same program from the same inputs.
pub fn unite(journals: &[(PathBuf, Vec<Record>)]) -> Result<Vec<Record>, Box<Disagreement>> {
    let all = journals
        .iter()
        .flat_map(|(path, records)| records.iter().map(move |record| (record, path.as_path())));
    let mut all: Vec<(&Record, &Path)> = all.collect();
    all.sort_unstable();
    for pair in all.windows(2) {
        let [(one, first), (other, second)] = [pair[0], pair[1]];
        if one.trial == other.trial && one.counts != other.counts {
            return Err(Box::new(Disagreement {
                trial: one.trial.clone(),
                first: first.to_owned(),
                second: second.to_owned(),
            }));
        }
    }
    all.dedup_by(|(one, _), (other, _)| one == other);
    Ok(all.into_iter().map(|(record, _)| record.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_deal_every_chip_once_and_evenly() {
        for chips in 0..40 {
            for of in 1..50 {
                let parts: Vec<Range<u32>> = Shard::all(of).map(|it| it.chips(chips)).collect();
                let dealt: Vec<u32> = parts.iter().cloned().flatten().collect();
                assert_eq!(dealt, (0..chips).collect::<Vec<_>>(), "{chips} chips, {of} shards");
                let sizes = parts.iter().map(|part| part.end - part.start);
                let (least, most) = (sizes.clone().min(), sizes.max());
                assert!(most <= least.map(|least| least + 1), "{chips} chips, {of} shards");
            }
        }
        assert_eq!(Shard { number: u32::MAX, of: u32::MAX }.chips(u32::MAX).end, u32::MAX);
    }

    #[test]
    fn a_shard_is_written_as_it_is_read() {
        let shard: Shard = "3/16".parse().expect("a shard");
        assert_eq!((shard.number(), shard.of(), shard.to_string().as_str()), (3, 16, "3/16"));
        for wrong in ["0/16", "17/16", "3", "3/", "/16", "-1/16", "3/16/2", "0/0", "a/b", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
