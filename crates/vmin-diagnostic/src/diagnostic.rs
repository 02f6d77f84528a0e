//! One problem, and all problems of one input.

use std::fmt;
use std::ops::Range;

use crate::Source;

/// One problem of the user's input: the broken rule, its place, the allowed values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable short name of the broken rule, such as `unknown-key`.
    pub code: &'static str,
    /// One terse sentence without a full stop.
    pub message: String,
    /// The text that has the problem, if there is one.
    pub source: Option<Source>,
    /// Byte range in the source.
    pub span: Option<Range<usize>>,
    /// Words under the caret: the allowed values.
    pub label: String,
    /// Advice for the user, one line each.
    pub hints: Vec<String>,
}

impl Diagnostic {
    /// A problem without a place in a text (a missing file, a bad argument).
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            source: None,
            span: None,
            label: String::new(),
            hints: Vec::new(),
        }
    }

    /// Places the problem in a text.
    #[must_use]
    pub fn at(mut self, source: &Source, span: Range<usize>) -> Self {
        self.source = Some(source.clone());
        self.span = Some(span);
        self
    }

    /// Places the problem in a text as a whole (something missing).
    #[must_use]
    pub fn within(mut self, source: &Source) -> Self {
        self.source = Some(source.clone());
        self
    }

    /// Adds the allowed values.
    #[must_use]
    pub fn allowed(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a line of advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

/// All problems of one input; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Sorts the problems by their place in the text; `None` if there are none.
    #[must_use]
    pub fn from_list(mut list: Vec<Diagnostic>) -> Option<Self> {
        list.sort_by_key(|d| d.span.as_ref().map_or(usize::MAX, |span| span.start));
        if list.is_empty() { None } else { Some(Self(list)) }
    }

    /// Number of problems, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "never empty by construction")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// The problems as a list.
    #[must_use]
    pub fn into_list(self) -> Vec<Diagnostic> {
        self.0
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::render(self, false))
    }
}

impl std::error::Error for Diagnostics {}
