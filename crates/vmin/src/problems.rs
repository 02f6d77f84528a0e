//! Failures as one JSON document, for programs that run vmin.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, LISTED_MAX};

use crate::Failure;

/// All problems of a command, for `--errors json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Problems {
    /// Version of the program.
    version: &'static str,
    /// How the command ended.
    outcome: Outcome,
    /// Exit code of the program.
    exit_code: u8,
    /// Number of problems, those that are not listed included.
    problems: usize,
    /// The problems of each input in the order of their places; at most 1000.
    errors: Vec<Problem>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// The input is wrong; nothing was done.
    WrongInput,
    /// The job could not be finished.
    Failed,
    /// It was stopped by a signal.
    Interrupted,
    /// Another run works in the same folder; nothing was done.
    Busy,
}

/// One problem.
#[derive(Debug, Serialize, JsonSchema)]
struct Problem {
    /// Stable short name of the broken rule, such as `unknown-key`.
    code: String,
    /// One sentence without a full stop.
    message: String,
    /// The text that has the problem, as it was named.
    file: Option<String>,
    /// Line of the place, from 1.
    line: Option<usize>,
    /// Column of the place in characters, from 1.
    column: Option<usize>,
    /// Line of the place's end.
    line_end: Option<usize>,
    /// Column behind the place's last character.
    column_end: Option<usize>,
    /// The allowed values, in words.
    allowed: Option<String>,
    /// Advice.
    hints: Vec<String>,
}

impl Problem {
    fn of(diagnostic: &Diagnostic) -> Self {
        let Diagnostic { code, message, source, span, label, hints } = diagnostic;
        let place = |of: fn(&std::ops::Range<usize>) -> usize| {
            Some(source.as_ref()?.line_column(of(span.as_ref()?)))
        };
        let (start, end) = (place(|span| span.start), place(|span| span.end));
        Self {
            code: (*code).to_owned(),
            message: message.clone(),
            file: source.as_ref().map(|source| source.name().to_owned()),
            line: start.map(|(line, _)| line),
            column: start.map(|(_, column)| column),
            line_end: end.map(|(line, _)| line),
            column_end: end.map(|(_, column)| column),
            allowed: (!label.is_empty()).then(|| label.clone()),
            hints: hints.clone(),
        }
    }
}

impl Problems {
    /// The document of a failure.
    #[must_use]
    pub fn of(failure: &Failure) -> Self {
        let stopped;
        let (outcome, diagnostics) = match failure {
            Failure::Input(problems) => (Outcome::WrongInput, problems),
            Failure::Failed(problems) => (Outcome::Failed, problems),
            Failure::Busy(problems) => (Outcome::Busy, problems),
            Failure::Interrupted(text) | Failure::Preempted(text) => {
                stopped = Diagnostic::new("interrupted", text).into();
                (Outcome::Interrupted, &stopped)
            }
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            outcome,
            exit_code: failure.exit_code(),
            problems: diagnostics.len(),
            errors: diagnostics.iter().take(LISTED_MAX).map(Problem::of).collect(),
        }
    }

    /// The document on one line.
    #[must_use]
    pub fn json(&self) -> String {
        // A document of texts and counts can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use vmin_diagnostic::{Diagnostics, Source};

    use super::*;

    #[test]
    fn places_are_lines_and_columns_and_the_rest_is_counted() {
        let source = Source::new("a.toml", "x = 1\nµµ = 2\n");
        let list = (0..LISTED_MAX + 5).map(|_| {
            // The characters of two bytes are one column each.
            Diagnostic::new("unknown-key", "unknown key").at(&source, 6..10).hint("remove it")
        });
        let failure = Failure::Input(Diagnostics::from_list(list.collect()).expect("some"));
        let document: serde_json::Value =
            serde_json::from_str(&Problems::of(&failure).json()).expect("JSON");
        assert_eq!(document["problems"], LISTED_MAX + 5);
        assert_eq!(document["errors"].as_array().map(Vec::len), Some(LISTED_MAX));
        let first = &document["errors"][0];
        let place = ["line", "column", "line_end", "column_end"].map(|key| first[key].as_u64());
        assert_eq!(place, [Some(2), Some(1), Some(2), Some(3)]);
        assert_eq!(first["hints"][0], "remove it");
        assert!(first["allowed"].is_null());
    }
}
