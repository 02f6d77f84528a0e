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
    /// All syntax errors; or else all keys, words and types that are wrong, all keys that are missing,
    /// and all numbers out of range.
    pub fn read(source: &Source) -> Result<Self, Diagnostics> {
        Document::parse(source)?;
        let (recipe, mut problems) = understood(source);
        if let Some(recipe) = &recipe {
            let table = DeTable::parse(source.text()).ok();
            // Where something was not understood, what a word says about another key is not known.
            let sure = problems.is_empty();
            let out_of_range = recipe.problems().into_iter().filter(|problem| match problem {
                TrainError::Value { found, .. } => sure || found.parse::<f64>().is_ok(),
                _ => sure,
            });
            problems.extend(out_of_range.map(|problem| {
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

/// What stands in for a key that is missing, so that the rest can be read. Keys of one name are of one type.
const STAND_INS: [(&str, &str); 34] = [
    ("array", "[1, 1]"),
    ("banks", "1"),
    ("batch_size", "1"),
    ("bits", "8"),
    ("blocks", "[1]"),
    ("body", "['relu']"),
    ("channels", "1"),
    ("chips", "1"),
    ("classes", "1"),
    ("epochs", "1"),
    ("factor", "0.1"),
    ("features", "1"),
    ("files", "['x']"),
    ("from_epoch", "1"),
    ("images", "1"),
    ("input", "{ zero_pixel = 0, scale = 1.0 }"),
    ("kernel", "1"),
    ("learning_rate", "0.1"),
    ("mean", "[0.0]"),
    ("milestones", "[0.5]"),
    ("momentum", "0.0"),
    ("name", "'x'"),
    ("network", "['relu']"),
    ("rate", "0.01"),
    ("scale", "1.0"),
    ("schedule", "'cosine'"),
    ("seed", "0"),
    ("std", "[1.0]"),
    ("stride", "1"),
    ("vdd_mv", "1.0"),
    ("weight_decay", "0.0"),
    ("width", "1"),
    ("window", "1"),
    ("zero_pixel", "0"),
];

/// A recipe file on the way to one that can be read.
struct Draft<'s> {
    source: &'s Source,
    text: String,
    /// Place and length of what was put in, each in the text as it was by then.
    put_in: Vec<(usize, usize)>,
}

/// What can be understood of a recipe, and what was wrong with the rest. The reader stops at its first
/// problem: that is told, what was refused is painted over and what was missing stood in for, and the whole is
/// read again.
fn understood(source: &Source) -> (Option<Recipe>, Vec<Diagnostic>) {
    let mut draft = Draft { source, text: source.text().to_owned(), put_in: Vec::new() };
    let mut problems = Vec::new();
    for _ in 0..PROBLEMS_MAX {
        let error = match toml::from_str::<Recipe>(&draft.text) {
            Ok(recipe) => return (Some(recipe), problems),
            Err(error) => error,
        };
        let missing = error.message().starts_with("missing field");
        let place = error.span().map(|span| draft.origin(span.start)..draft.origin(span.end));
        if !missing || !draft.told(&error, place.as_ref()) {
            problems.push(of_type(source, &error, place));
        }
        let goes_on = if missing { draft.complete(&error) } else { draft.clear(&error) };
        if goes_on.is_none() {
            break;
        }
    }
    (None, problems)
}

impl Draft<'_> {
    /// Where in the source a place of the text lies.
    fn origin(&self, place: usize) -> usize {
        self.put_in.iter().rev().fold(place, |place, &(at, length)| {
            if place >= at + length { place - length } else { place.min(at) }
        })
    }

    /// Whether a key is missing because it was refused and told: it, or one of nearly its name, stands in the
    /// source's table at `place`.
    fn told(&self, error: &toml::de::Error, place: Option<&Range<usize>>) -> bool {
        let missing = error.message().split('`').nth(1);
        let (Ok(root), Some(place), Some(missing)) =
            (DeTable::parse(self.source.text()), place, missing)
        else {
            return false;
        };
        let table =
            if place.is_empty() { Some(root.get_ref()) } else { table_at(root.get_ref(), place) };
        table.is_some_and(|table| {
            table.keys().any(|key| closest(key.get_ref(), [missing]).is_some())
        })
    }

    /// Stands in for the key that is missing. `None` where it is not known how.
    fn complete(&mut self, error: &toml::de::Error) -> Option<()> {
        let missing = error.message().split('`').nth(1)?;
        let value = STAND_INS.iter().find(|(key, _)| *key == missing)?.1;
        let span = error.span()?;
        let table = &self.text[span.clone()];
        let (at, entry) = if span.is_empty() {
            (0, format!("{missing} = {value}\n"))
        } else if let Some(inside) = table.strip_prefix('{') {
            let comma = if inside.trim_start().starts_with('}') { "" } else { "," };
            (span.start + 1, format!(" {missing} = {value}{comma}"))
        } else if table.starts_with('[') {
            let line = self.text[span.start..].find('\n');
            let end = line.map_or(self.text.len(), |length| span.start + length);
            (end, format!("\n{missing} = {value}"))
        } else {
            // A table of dotted keys, or one that only the header of another names.
            let line = self.text[..span.start].rfind('\n').map_or(0, |end| end + 1);
            let path = self.text[line..span.end].trim_start();
            if path.contains(['{', '=', ',']) {
                return None;
            }
            let entry = match path.strip_prefix('[') {
                Some(path) => format!("[{path}]\n{missing} = {value}\n"),
                None => format!("{path}.{missing} = {value}\n"),
            };
            (line, entry)
        };
        self.text.insert_str(at, &entry);
        self.put_in.push((at, entry.len()));
        Some(())
    }

    /// Paints over what was refused. `None` where that is nothing.
    fn clear(&mut self, error: &toml::de::Error) -> Option<()> {
        // A word may be what its table is about, a layer: then nothing of it can stay.
        let whole = error.message().starts_with("unknown variant");
        let table = DeTable::parse(&self.text).ok()?;
        let refused = entry(table.get_ref(), &self.text, &error.span()?, whole)?;
        if self.text[refused.clone()].trim().is_empty() {
            return None;
        }
        paint_over(&mut self.text, refused);
        Some(())
    }
}

/// The table, at any depth, whose place this is.
fn table_at<'t, 'd>(table: &'t DeTable<'d>, place: &Range<usize>) -> Option<&'t DeTable<'d>> {
    table.values().find_map(|value| match value.get_ref() {
        DeValue::Table(table) if value.span() == *place => Some(table),
        DeValue::Table(table) => table_at(table, place),
        DeValue::Array(elements) => elements.iter().find_map(|element| {
            let table = element.get_ref().as_table()?;
            if element.span() == *place { Some(table) } else { table_at(table, place) }
        }),
        _ => None,
    })
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
fn of_type(source: &Source, error: &toml::de::Error, place: Option<Range<usize>>) -> Diagnostic {
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
    diagnostic = match place {
        // Missing keys are told at their table, which has no place if it is the whole file.
        Some(span) if !span.is_empty() => diagnostic.at(source, span),
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
    // What is missing is told at its table.
    let parent = || value_of(table, field.rsplit_once('.')?.0);
    let value = value_of(table, field).or_else(parent)?;
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
        // A key of the tables of a list is told at the list.
        if value.get_ref().is_array() {
            return Some(value);
        }
        value = find(value.get_ref().as_table()?, name)?;
    }
    Some(value)
}

fn find<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Option<&'t Spanned<DeValue<'d>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use toml::Value;
    use vmin_diagnostic::{Diagnostics, Source};

    use super::{STAND_INS, understood};
    use crate::Recipe;

    /// Every table there is, with every key that it cannot do without.
    const WHOLE: &str = r#"
name = "whole"
seed = 1
epochs = 1
batch_size = 1
later_batches = [{ from_epoch = 1, images = 2 }]
schedule = { step = { factor = 0.1, milestones = [0.5] } }
mirror = true
start = "a"
network = [
  { conv2d = { channels = 1, kernel = 3, stride = 1 } },
  { lenet = { width = 1, classes = 2 } },
  { simplenet = { width = 1, classes = 2 } },
  { resnet = { blocks = [1], width = 1, classes = 2 } },
  { subsample = { channels = 1, stride = 1 } },
  { max_pool = { window = 1 } },
  { average_pool = { window = 1 } },
  { residual = { body = [{ fully_connected = { features = 2 } }] } },
]
[optimizer]
learning_rate = 0.1
momentum = 0.9
weight_decay = 1e-4
[quantization]
bits = 8
[rerr]
rate = 0.01
chips = 1
[input]
zero_pixel = 0
scale = 1.0
[start_pixels]
mean = [0.5]
std = [0.5]
[bit_errors]
rate = 0.01
[bit_errors.population]
streamed.banks = 1
streamed.array = [1, 1]
[bit_errors.measured]
files = ["a.chip"]
vdd_mv = 500
"#;

    /// `value` without one of its keys, at any depth: all of these, with the key.
    fn without_a_key(value: &Value) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    let mut rest = table.clone();
                    rest.remove(key);
                    all.push((key.clone(), Value::Table(rest)));
                    for (missing, value) in without_a_key(value) {
                        let mut table = table.clone();
                        table.insert(key.clone(), value);
                        all.push((missing, Value::Table(table)));
                    }
                }
            }
            Value::Array(elements) => {
                for (place, element) in elements.iter().enumerate() {
                    for (missing, element) in without_a_key(element) {
                        let mut elements = elements.clone();
                        elements[place] = element;
                        all.push((missing, Value::Array(elements)));
                    }
                }
            }
            _ => {}
        }
        all
    }

    /// The same with no headers of tables: all in braces.
    fn inline(whole: &Value) -> String {
        let lines = whole.as_table().expect("a table").iter();
        lines.map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    #[test]
    fn a_key_that_is_missing_is_told_once_and_stood_in_for() {
        let whole: Value = toml::from_str(WHOLE).expect("TOML");
        let _: Recipe = toml::from_str(WHOLE).expect("a recipe");
        let texts = without_a_key(&whole).into_iter().flat_map(|(missing, rest)| {
            [toml::to_string(&rest).expect("TOML"), inline(&rest)]
                .map(|text| (missing.clone(), text))
        });
        let lines = WHOLE.lines().filter_map(|line| {
            let key = line.split_once(" =")?.0.rsplit('.').next()?;
            Some((key.to_owned(), WHOLE.replacen(&format!("{line}\n"), "", 1)))
        });
        let mut seen = BTreeSet::new();
        for (missing, text) in texts.chain(lines) {
            let Err(error) = toml::from_str::<Recipe>(&text) else { continue };
            // Without its name a layer is nothing, which is told in other words.
            if !error.message().starts_with("missing field") {
                continue;
            }
            let (recipe, problems) = understood(&Source::new("recipe.toml", &text));
            assert!(recipe.is_some(), "{text}{problems:?}");
            let told =
                Diagnostics::from_list(problems).unwrap_or_else(|| panic!("{missing}: {text}"));
            assert_eq!(told.len(), 1, "{text}{told}");
            let words = format!("missing key `{missing}`");
            assert!(told.to_string().contains(&words), "{words}: {told}");
            seen.insert(missing);
        }
        assert_eq!(seen, STAND_INS.iter().map(|(key, _)| (*key).to_owned()).collect());
    }
}
