//! A recipe file with every problem at its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vmin_diagnostic::{Diagnostic, Diagnostics, Document, Source, closest, with_causes};

use crate::{Recipe, TrainError};

impl Recipe {
    /// Parses and validates the text of a recipe file.
    ///
    /// # Errors
    ///
    /// All syntax errors; or the first key, word or type that is wrong; or all values out of range.
    pub fn read(source: &Source) -> Result<Self, Diagnostics> {
        Document::parse(source)?;
        let recipe: Self =
            toml::from_str(source.text()).map_err(|error| of_type(source, &error))?;
        let table = DeTable::parse(source.text()).ok();
        let problems = recipe.problems().into_iter().map(|problem| {
            let at = table.as_ref().and_then(|table| place(table, &problem));
            of_value(source, &problem, at)
        });
        match Diagnostics::from_list(problems.collect()) {
            Some(problems) => Err(problems),
            None => Ok(recipe),
        }
    }
}

/// Puts `diagnostic` at the value of a key (`a` or `a.b`) of a recipe file.
#[must_use]
pub fn at_key(source: &Source, key: &str, diagnostic: Diagnostic) -> Diagnostic {
    let table = DeTable::parse(source.text()).ok();
    match table.as_ref().and_then(|table| value_of(table, key)) {
        Some(value) => diagnostic.at(source, value.span()),
        None => diagnostic.within(source),
    }
}

/// A key, word or type that the reader of TOML refused.
fn of_type(source: &Source, error: &toml::de::Error) -> Diagnostic {
    let message = error.message();
    let (head, allowed) = match message.split_once(", expected ") {
        Some((head, allowed)) => (head, format!("expected {allowed}")),
        None => (message, String::new()),
    };
    let code = match message.split_once(' ') {
        Some(("unknown", rest)) if rest.starts_with("variant") => "unknown-word",
        Some(("unknown", _)) => "unknown-key",
        Some(("missing", _)) => "missing-key",
        _ => "wrong-value",
    };
    let head = head.replace("unknown field", "unknown key").replace("missing field", "missing key");
    let head = head.replace("unknown variant", "unknown word");
    let mut diagnostic = Diagnostic::new(code, head.clone());
    diagnostic = match error.span() {
        // Missing keys are told at their table, which may be the whole file.
        Some(span) if code != "missing-key" => diagnostic.at(source, span),
        _ => diagnostic.within(source),
    };
    let quoted = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let (found, words) = (quoted(&head), quoted(&allowed));
    let near = found.first().and_then(|found| closest(found, words.iter().map(String::as_str)));
    if let Some(near) = near {
        diagnostic = diagnostic.hint(format!("did you mean `{near}`?"));
    }
    diagnostic.allowed(allowed)
}

/// A value out of its range.
fn of_value(source: &Source, problem: &TrainError, at: Option<Range<usize>>) -> Diagnostic {
    let TrainError::Value { field, found, expected } = problem else {
        return Diagnostic::new("recipe", with_causes(problem)).within(source);
    };
    let diagnostic = Diagnostic::new("out-of-range", format!("`{field}` is {found}"));
    match at {
        Some(span) => diagnostic.at(source, span).allowed(format!("expected {expected}")),
        None => diagnostic.within(source).hint(format!("expected {expected}")),
    }
}

/// Where the value of the field stands; in a list, the element that is meant.
fn place(table: &Spanned<DeTable<'_>>, problem: &TrainError) -> Option<Range<usize>> {
    let TrainError::Value { field, found, .. } = problem else { return None };
    let value = value_of(table, field)?;
    let elements = value.get_ref().as_array().into_iter().flatten();
    let same = |element: &&Spanned<DeValue<'_>>| {
        let number = match element.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            _ => None,
        };
        number.is_some_and(|number| found.parse() == Ok(number))
    };
    let meant = elements.into_iter().find(same);
    Some(meant.unwrap_or(value).span())
}

fn value_of<'t, 'd>(
    table: &'t Spanned<DeTable<'d>>,
    key: &str,
) -> Option<&'t Spanned<DeValue<'d>>> {
    let mut names = key.split('.');
    let mut value = find(table.get_ref(), names.next()?)?;
    for name in names {
        value = find(value.get_ref().as_table()?, name)?;
    }
    Some(value)
}

fn find<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t Spanned<DeValue<'d>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}
