//! Mechanisms as a user lists them, each with its place.

use std::ops::Range;
use std::sync::Arc;

use vmin_accel::Memory;
use vmin_diagnostic::{Diagnostic, Located, TableReader};

use crate::{Known, Mechanism, Protection, ProtectionError, mechanisms};

/// A mechanism for a memory.
pub type Entry = (Memory, Arc<dyn Mechanism>);

/// Mechanisms that go together, each with its place in a text.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// All of them.
    pub protection: Protection,
    /// Each of them alone, in the order of the list.
    pub each: Vec<Located<Protection>>,
    /// Place of what is known of each chip.
    pub known_span: Range<usize>,
}

impl Listed {
    /// Checks that the mechanisms go together.
    ///
    /// # Errors
    /// The first rule they break, with the index of the mechanism that breaks it.
    pub fn new(list: Vec<Located<Entry>>) -> Result<Self, (usize, ProtectionError)> {
        let protection = Protection::new(list.iter().map(|entry| entry.value.clone()))?;
        let alone = |entry: Located<Entry>| {
            Ok(Located { value: Protection::new([entry.value])?, span: entry.span })
        };
        let each = list.into_iter().map(alone).collect::<Result<_, _>>()?;
        Ok(Self { protection, each, known_span: 0..0 })
    }

    /// The same mechanisms working from this knowledge of each chip.
    ///
    /// # Errors
    /// None of them works from a fault map.
    pub fn knowing(self, known: Located<Known>) -> Result<Self, Box<Diagnostic>> {
        let Located { value: known, span: known_span } = known;
        let asks = |(_, mechanism): (Memory, &dyn Mechanism)| mechanism.effect(8).asks_known();
        if !known.is_exact() && !self.protection.iter().any(asks) {
            let message = "`known` has no effect: no mechanism here works from a fault map";
            let problem = Diagnostic::new("known", message);
            let hint = "leave it away, or add a mechanism such as `closest_code`";
            return Err(Box::new(problem.hint(hint)));
        }
        let alone = |of: Located<Protection>| Located {
            value: of.value.knowing(known.clone()),
            span: of.span,
        };
        let each = self.each.into_iter().map(alone).collect();
        Ok(Self { protection: self.protection.knowing(known), each, known_span })
    }

    /// Reads the list of tables `key`; a missing list is no protection. Problems are reported to the
    /// reader, and then there is no value.
    #[must_use]
    pub fn read(table: &TableReader<'_>, key: &str) -> Option<Self> {
        let entries = table.tables_like(key, |word| Some(mechanisms::example(word.unwrap_or(""))));
        if entries.is_empty() && table.has(key) {
            return None;
        }
        let read = |entry: TableReader<'_>| {
            let span = entry.span().unwrap_or(0..0);
            Some(Located { value: read_entry(entry)?, span })
        };
        let list: Vec<Option<Located<Entry>>> = entries.into_iter().map(read).collect();
        let list = list.into_iter().collect::<Option<Vec<_>>>()?;
        let spans: Vec<Range<usize>> = list.iter().map(|entry| entry.span.clone()).collect();
        match Self::new(list) {
            Ok(listed) => Some(listed),
            Err((index, error)) => {
                table.report_at(spans[index].clone(), error.diagnostic());
                None
            }
        }
    }

    /// Index of the first mechanism that is refused even alone.
    pub fn blamed(&self, refused: impl Fn(&Protection) -> bool) -> Option<usize> {
        self.each.iter().position(|alone| refused(&alone.value))
    }
}

/// Reads a mechanism from its table; problems are reported, and then there is no value.
pub fn read_entry(entry: TableReader<'_>) -> Option<Entry> {
    entry.suggest(Memory::SYNONYMS);
    let memory = entry.optional_choice("memory", &Memory::ALL);
    let known = !entry.has("memory") || memory.is_some();
    let memory = memory.map_or(Memory::Weight, |memory| memory.value);
    let kind = entry.choice("kind", &mechanisms::ALL);
    if kind.is_none() && entry.has("kind") {
        // Which keys an unknown kind has is not known.
        return None;
    }
    let mechanism = kind.and_then(|kind| (kind.value)(&entry));
    entry.finish();
    mechanism.filter(|_| known).map(|mechanism| (memory, mechanism.into()))
}
