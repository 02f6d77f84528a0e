//! A TOML text as a tree with positions, and the list of its problems.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::{Diagnostic, Diagnostics, FileKind, Source, TableReader};

/// Largest TOML file, in bytes. People write these files by hand; a larger one is a mistake.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Most values of a file, by the signs that begin one: each takes some 400 bytes once parsed.
const VALUES_MAX: usize = 100_000;

/// A parsed TOML text that collects problems while it is read.
#[derive(Debug)]
pub struct Document<'s> {
    source: &'s Source,
    root: Spanned<DeTable<'s>>,
    /// Whether the text is a table without a name, to be quoted where a key is missing.
    is_inline: bool,
    problems: RefCell<Vec<Diagnostic>>,
}

impl<'s> Document<'s> {
    /// Parses `source`.
    ///
    /// # Errors
    /// All syntax errors of the text.
    pub fn parse(source: &'s Source) -> Result<Self, Diagnostics> {
        let text = source.text();
        if text.len() > TEXT_BYTES_MAX {
            return Err(Diagnostic::new("too-large", "the file is too large for a description")
                .within(source)
                .allowed(format!("at most {TEXT_BYTES_MAX} bytes, found {}", text.len()))
                .into());
        }
        let begins = |byte: &&u8| matches!(byte, b'=' | b',' | b'[' | b'{');
        let values = text.as_bytes().iter().filter(begins).count();
        if values > VALUES_MAX {
            return Err(Diagnostic::new(
                "too-large",
                "the file has too many values for a description",
            )
            .within(source)
            .allowed(format!("at most {VALUES_MAX} of `=`, `,`, `[` and `{{`, found {values}"))
            .into());
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        match syntax(source, &errors) {
            Some(problems) => Err(problems),
            None => Ok(Self { source, root, is_inline: false, problems: RefCell::default() }),
        }
    }

    /// Parses `source`, a file of this kind.
    ///
    /// # Errors
    /// All syntax errors of the text, or it is a file of another kind.
    pub fn parse_kind(source: &'s Source, kind: FileKind) -> Result<Self, Diagnostics> {
        let document = Self::parse(source)?;
        let root = document.root.get_ref();
        let Some(other) = kind.mistaken(|key| root.contains_key(key)) else { return Ok(document) };
        let message = format!("the file is {}, not {}", other.words(), kind.words());
        let problem = Diagnostic::new("file-kind", message).within(source).hint(other.place());
        Err(problem.into())
    }

    /// Parses `source` as one inline table, such as an argument `{ kind = "parity" }`.
    ///
    /// # Errors
    /// All syntax errors of the text, or it is another value.
    pub fn parse_inline(source: &'s Source) -> Result<Self, Diagnostics> {
        let (value, errors) = DeValue::parse_recoverable(source.text());
        if let Some(problems) = syntax(source, &errors) {
            return Err(problems);
        }
        let (span, found) = (value.span(), value.get_ref().type_str());
        let DeValue::Table(table) = value.into_inner() else {
            let message = format!("expected a table, found {found}");
            return Err(Diagnostic::new("wrong-type", message).at(source, span).into());
        };
        let root = Spanned::new(span, table);
        Ok(Self { source, root, is_inline: true, problems: RefCell::default() })
    }

    /// The reader of the top-level table.
    #[must_use]
    pub fn root(&self) -> TableReader<'_> {
        let span = self.is_inline.then(|| self.root.span());
        TableReader::new(self.source, &self.problems, String::new(), span, self.root.get_ref())
    }

    /// Adds a problem found by a check across several values.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.problems.borrow_mut().push(diagnostic);
    }

    /// Place of the value with a dotted path such as `a.b[1].c`. If it is absent, place of the innermost table or
    /// list on its path that was written.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<Range<usize>> {
        let mut found: Option<&Spanned<DeValue<'_>>> = None;
        for step in path.split(['.', '[']) {
            let value = found.map(Spanned::get_ref);
            let next = match step.strip_suffix(']') {
                Some(index) => {
                    let list = value.and_then(DeValue::as_array);
                    list.zip(index.parse::<usize>().ok()).and_then(|(list, index)| list.get(index))
                }
                None if found.is_none() => self.root.get_ref().get(step),
                None => value.and_then(DeValue::as_table).and_then(|table| table.get(step)),
            };
            let Some(next) = next else { break };
            found = Some(next);
        }
        found.map(Spanned::span)
    }

    /// The text this came from.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.source
    }

    /// True while no problem has been found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// True while every key, word and type is right and all problems are values out of range.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        const OF_VALUES: [&str; 4] = ["out-of-range", "not-finite", "empty-list", "empty-text"];
        self.problems.borrow().iter().all(|problem| OF_VALUES.contains(&problem.code))
    }

    /// Ends reading.
    ///
    /// # Errors
    /// All problems that were found.
    pub fn finish(self) -> Result<(), Diagnostics> {
        Diagnostics::from_list(self.problems.into_inner()).map_or(Ok(()), Err)
    }
}

fn syntax(source: &Source, errors: &[toml::de::Error]) -> Option<Diagnostics> {
    let problem = |error: &toml::de::Error| {
        let diagnostic = Diagnostic::new("toml-syntax", error.message().to_owned());
        match error.span() {
            Some(span) => diagnostic.at(source, span),
            None => diagnostic.within(source),
        }
    };
    Diagnostics::from_list(errors.iter().map(problem).collect())
}
