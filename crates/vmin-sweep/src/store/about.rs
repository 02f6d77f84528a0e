//! What digests stand for, in words for people. They decide nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Longest value, in characters.
const CHARACTERS_MAX: usize = 400;

/// The part of a trial's name that a description explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AboutWhat {
    /// `TrialId::candidate`.
    Candidate,
    /// `TrialId::images`.
    Images,
    /// `ChipId::chip`.
    Chip,
}

/// Words about a digest in the names of trials, such as the network of a candidate. They carry no meaning: two
/// networks of the same values under two names are one candidate, with the words of either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// What is described.
    pub of: AboutWhat,
    /// Its text in the names of trials.
    pub id: String,
    /// Keys such as `network` with their values.
    pub words: BTreeMap<String, String>,
}

impl About {
    /// A description of a digest by keys and values; long values are cut.
    #[must_use]
    pub fn new(of: AboutWhat, id: &str, words: &[(&str, String)]) -> Self {
        let cut = |text: &String| text.chars().take(CHARACTERS_MAX).collect();
        let words = words.iter().map(|(key, value)| ((*key).to_owned(), cut(value))).collect();
        Self { of, id: id.to_owned(), words }
    }
}
