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
    /// All syntax errors; or else all keys, words and types that are wrong, and all values out of range if
    /// nothing of the recipe is missing without them; or else the first key that is missing.
    pub fn read(source: &Source) -> Result<Self, Diagnostics> {
        Document::parse(source)?;
        let (recipe, mut problems) = understood(source);
        if let Some(recipe) = &recipe {
            let table = DeTable::parse(source.text()).ok();
            problems.extend(recipe.problems().into_iter().map(|problem| {
                let at = table.as_ref().and_then(|table| place(table, &problem));
                of_value(source, &problem, at)
            }));
        }
        match (Diagnostics::from_list(problems), recipe) {
            (None, Some(recipe)) => Ok(recipe),
            (Some(problems), _) => Err(problems),
            (None, None) => {
                Err(Diagnostic::new("incomplete", "the recipe is incomplete").within(source).into())
            }
        }
    }
}

/// Most problems of keys and types that are told at once.
const PROBLEMS_MAX: usize = 100;

/// What can be understood of a recipe, and what was wrong with the rest. The reader stops at its first
/// problem: what it refused is told, painted over with spaces, and the rest is read again.
fn understood(source: &Source) -> (Option<Recipe>, Vec<Diagnostic>) {
    let mut text = source.text().to_owned();
    let mut problems = Vec::new();
    while problems.len() < PROBLEMS_MAX {
        let error = match toml::from_str::<Recipe>(&text) {
            Ok(recipe) => return (Some(recipe), problems),
            Err(error) => error,
        };
        if error.message().starts_with("missing field") {
            // What was painted over may be missed now; it was told.
            if problems.is_empty() {
                problems.push(of_type(source, &error));
            }
            break;
        }
        problems.push(of_type(source, &error));
        // A word may be what its table is about, a layer: then nothing of it can stay.
        let whole = error.message().starts_with("unknown variant");
        let refused = error.span().and_then(|span| {
            let table = DeTable::parse(&text).ok()?;
            entry(table.get_ref(), &text, &span, whole)
        });
        match refused {
            Some(entry) if !text[entry.clone()].trim().is_empty() => paint_over(&mut text, entry),
            _ => break,
        }
    }
    (None, problems)
}

/// The innermost key with its value around a place; the outermost if the `whole` of it is meant.
fn entry(
    table: &DeTable<'_>,
    text: &str,
    span: &Range<usize>,
    whole: bool,
) -> Option<Range<usize>> {
    for (key, value) in table {
        let inner = match value.get_ref() {
            _ if whole => None,
            DeValue::Table(table) => entry(table, text, span, whole),
            DeValue::Array(elements) => elements
                .iter()
                .filter_map(|element| element.get_ref().as_table())
                .find_map(|table| entry(table, text, span, whole)),
            _ => None,
        };
        if inner.is_some() {
            return inner;
        }
        let (key, value) = (key.span(), value.span());
        let all = key.start..value.end.max(key.end);
        if all.start <= span.start && span.end <= all.end {
            // A table with a header of its own ends where the next begins.
            let header = text[..key.start].ends_with('[');
            let next = text[key.end..].find("\n[").map_or(text.len(), |next| key.end + next);
            return Some(if header { key.start - 1..next } else { all });
        }
    }
    None
}

/// Spaces in place of an entry and of the comma beside it, so that all places stay.
fn paint_over(text: &mut String, entry: Range<usize>) {
    let comma_behind = text[entry.end..].trim_start().starts_with(',');
    let comma_before = text[..entry.start].trim_end().ends_with(',');
    let end = match text[entry.end..].find(',') {
        Some(comma) if comma_behind => entry.end + comma + 1,
        _ => entry.end,
    };
    let start = match text[..entry.start].rfind(',') {
        Some(comma) if comma_before && !comma_behind => comma,
        _ => entry.start,
    };
    let painted: String = text[start..end]
        .chars()
        .map(|c| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) })
        .collect();
    text.replace_range(start..end, &painted);
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
    // What the parser says of the keys of a layer, in the words for all others.
    let message = error.message().strip_prefix("unexpected keys in table: ").map_or_else(
        || error.message().to_owned(),
        |keys| match keys.split_once(", available keys: ") {
            Some((found, known)) => {
                let known: Vec<String> = known.split(", ").map(|key| format!("`{key}`")).collect();
                format!("unknown field `{found}`, expected one of {}", known.join(", "))
            }
            None => format!("unknown field `{keys}`"),
        },
    );
    let message = message.as_str();
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
