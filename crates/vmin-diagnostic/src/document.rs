//! A TOML text as a tree with positions, and the list of its problems.

use std::cell::RefCell;

use toml::Spanned;
use toml::de::DeTable;

use crate::{Diagnostic, Diagnostics, Source, TableReader};

/// Largest TOML file, in bytes. People write these files by hand; a larger one is a mistake.
const TEXT_BYTES_MAX: usize = 4 << 20;

/// A parsed TOML text that collects problems while it is read.
#[derive(Debug)]
pub struct Document<'s> {
    source: &'s Source,
    root: Spanned<DeTable<'s>>,
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
        let (root, errors) = DeTable::parse_recoverable(text);
        let problems = errors
            .iter()
            .map(|error| {
                let diagnostic = Diagnostic::new("toml-syntax", error.message().to_owned());
                match error.span() {
                    Some(span) => diagnostic.at(source, span),
                    None => diagnostic.within(source),
                }
            })
            .collect();
        match Diagnostics::from_list(problems) {
            Some(problems) => Err(problems),
            None => Ok(Self { source, root, problems: RefCell::default() }),
        }
    }

    /// The reader of the top-level table.
    #[must_use]
    pub fn root(&self) -> TableReader<'_> {
        TableReader::new(self.source, &self.problems, String::new(), None, self.root.get_ref())
    }

    /// Adds a problem found by a check across several values.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.problems.borrow_mut().push(diagnostic);
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

    /// Ends reading.
    ///
    /// # Errors
    /// All problems that were found.
    pub fn finish(self) -> Result<(), Diagnostics> {
        Diagnostics::from_list(self.problems.into_inner()).map_or(Ok(()), Err)
    }
}
