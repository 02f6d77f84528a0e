//! Reading one table, value by value.

use std::cell::{Cell, RefCell};
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::render::LISTED_MAX;
use crate::{Diagnostic, Source, closest, in_volts, list_words};

/// A value and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Byte range in the source.
    pub span: Range<usize>,
}

/// How one of several variants is written: as a word, or as a table whose one key is the word, with keys of its own
/// below it: `"relu"`, `{ max_pool = { window = 2 } }`.
#[derive(Clone, Copy, Debug)]
pub enum Variant<T> {
    /// A word without keys.
    Word(T),
    /// A word with keys, and the function that reads them.
    Keys(fn(&TableReader<'_>) -> Option<T>),
}

/// Words for a list of variants.
const VARIANT_LIST: &str = "a list of words and of tables with one word each";

/// Words for the bounds of a number; none if every number is allowed.
fn bounds(range: &RangeInclusive<f64>) -> String {
    let (start, end) = (range.start(), range.end());
    if *range == (f64::MIN..=f64::MAX) { String::new() } else { format!(" from {start} to {end}") }
}

/// Reads the keys of one table. Each getter checks type and range, reports a problem and then
/// returns `None`; [`TableReader::finish`] reports the keys that no getter asked for.
#[derive(Debug)]
pub struct TableReader<'d> {
    source: &'d Source,
    problems: &'d RefCell<Vec<Diagnostic>>,
    /// Dotted path of the table, empty at the root.
    path: String,
    /// Place of the table, if it was written.
    span: Option<Range<usize>>,
    /// Absent if the table itself was missing (already reported): then all getters are silent.
    table: Option<&'d DeTable<'d>>,
    known: RefCell<Vec<String>>,
    /// Other words for a known one, for suggestions.
    synonyms: Cell<&'static [(&'static str, &'static str)]>,
}

impl<'d> TableReader<'d> {
    pub(crate) fn new(
        source: &'d Source,
        problems: &'d RefCell<Vec<Diagnostic>>,
        path: String,
        span: Option<Range<usize>>,
        table: &'d DeTable<'d>,
    ) -> Self {
        Self {
            source,
            problems,
            path,
            span,
            table: Some(table),
            known: RefCell::default(),
            synonyms: Cell::default(),
        }
    }

    fn absent(&self, path: String) -> Self {
        Self {
            source: self.source,
            problems: self.problems,
            path,
            span: None,
            table: None,
            known: RefCell::default(),
            synonyms: Cell::default(),
        }
    }

    /// Adds a problem.
    pub fn report(&self, diagnostic: Diagnostic) {
        self.problems.borrow_mut().push(diagnostic);
    }

    /// Adds a problem at a place in this file.
    pub fn report_at(&self, span: Range<usize>, diagnostic: Diagnostic) {
        self.report(diagnostic.at(self.source, span));
    }

    /// Suggests the second word of a pair where a key or choice of this table is called like the first.
    pub fn suggest(&self, synonyms: &'static [(&'static str, &'static str)]) {
        self.synonyms.set(synonyms);
    }

    /// The word of a list that was meant by an unknown one.
    fn meant<'a>(
        &self,
        unknown: &str,
        words: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<&'a str> {
        let synonym = self.synonyms.get().iter().find(|(other, _)| *other == unknown);
        let known = synonym.and_then(|(_, word)| words.clone().find(|known| known == word));
        known.or_else(|| closest(unknown, words))
    }

    /// The text of this table.
    #[must_use]
    pub fn source(&self) -> &Source {
        self.source
    }

    /// Place of the table, if it was written.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// True if the key was written. Asking makes it a known key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.known.borrow_mut().push(key.to_owned());
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// True if the key was written and holds a table.
    #[must_use]
    pub fn has_table(&self, key: &str) -> bool {
        self.table.and_then(|table| table.get(key)).is_some_and(|value| value.get_ref().is_table())
    }

    /// True if the key was written and holds text.
    #[must_use]
    pub fn has_string(&self, key: &str) -> bool {
        self.table.and_then(|table| table.get(key)).is_some_and(|value| value.get_ref().is_str())
    }

    /// True without any key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_none_or(DeTable::is_empty)
    }

    /// The keys in the order of the file, all of them taken as known (for tables with free keys).
    #[must_use]
    pub fn keys(&self) -> Vec<Located<String>> {
        let Some(table) = self.table else { return Vec::new() };
        let keys: Vec<_> = table
            .iter()
            .map(|(key, _)| Located { value: key.get_ref().to_string(), span: key.span() })
            .collect();
        self.known.borrow_mut().extend(keys.iter().map(|key| key.value.clone()));
        keys
    }

    /// A key with the path of the table.
    #[must_use]
    pub fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Words that name the table in a message; none at the root.
    fn place(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" in `[{}]`", self.path) }
    }

    fn get(&self, key: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.borrow_mut().push(key.to_owned());
        self.table?.get(key)
    }

    fn require(&self, key: &str, expected: &str) -> Option<&'d Spanned<DeValue<'d>>> {
        let value = self.get(key);
        if value.is_none() && self.table.is_some() {
            let message = format!("missing key `{key}`{}", self.place());
            self.missing(
                Diagnostic::new("missing-key", message)
                    .hint(format!("add `{key} = …` with {expected}")),
            );
        }
        value
    }

    fn missing(&self, diagnostic: Diagnostic) {
        self.report(match &self.span {
            Some(span) => diagnostic.at(self.source, span.clone()),
            None => diagnostic.within(self.source),
        });
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = value.get_ref().type_str();
        self.report(
            Diagnostic::new("wrong-type", format!("`{}` is of the wrong type", self.dotted(key)))
                .at(self.source, value.span())
                .allowed(format!("expected {expected}, found {found}")),
        );
    }

    /// A required integer within `range`.
    pub fn integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<Located<i64>> {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        let value = self.require(key, &expected)?;
        self.check_integer(key, value, &range)
    }

    /// An optional integer within `range`.
    pub fn optional_integer(&self, key: &str, range: RangeInclusive<i64>) -> Option<Located<i64>> {
        let value = self.get(key)?;
        self.check_integer(key, value, &range)
    }

    fn check_integer(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<i64>,
    ) -> Option<Located<i64>> {
        let allowed = format!("an integer from {} to {}", range.start(), range.end());
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, value, &allowed);
            return None;
        };
        let digits = integer.as_str().replace('_', "");
        match i64::from_str_radix(&digits, integer.radix()) {
            Ok(number) if range.contains(&number) => {
                Some(Located { value: number, span: value.span() })
            }
            _ => {
                self.out_of_range(key, value.span(), &allowed, None);
                None
            }
        }
    }

    fn out_of_range(&self, key: &str, span: Range<usize>, allowed: &str, hint: Option<String>) {
        let message = format!("`{}` is out of range", self.dotted(key));
        let problem = Diagnostic::new("out-of-range", message).at(self.source, span);
        let problem = problem.allowed(format!("expected {allowed}"));
        self.report(hint.into_iter().fold(problem, Diagnostic::hint));
    }

    /// A required finite number within `range` (integers are numbers too).
    pub fn number(&self, key: &str, range: RangeInclusive<f64>) -> Option<Located<f64>> {
        let expected = format!("a number{}", bounds(&range));
        let value = self.require(key, &expected)?;
        self.check_number(key, value, &range)
    }

    /// An optional finite number within `range`.
    pub fn optional_number(&self, key: &str, range: RangeInclusive<f64>) -> Option<Located<f64>> {
        let value = self.get(key)?;
        self.check_number(key, value, &range)
    }

    fn check_number(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<f64>,
    ) -> Option<Located<f64>> {
        let allowed = format!("a number{}", bounds(range));
        let text = match value.get_ref() {
            DeValue::Float(float) => float.as_str().replace('_', ""),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str().replace('_', ""),
            DeValue::Integer(_)
            | DeValue::String(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.wrong_type(key, value, &allowed);
                return None;
            }
        };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && range.contains(&number) => {
                Some(Located { value: number, span: value.span() })
            }
            Ok(number) if !number.is_finite() => {
                self.report(
                    Diagnostic::new(
                        "not-finite",
                        format!("`{}` is not a finite number", self.dotted(key)),
                    )
                    .at(self.source, value.span())
                    .allowed(format!("expected {allowed}")),
                );
                None
            }
            number => {
                // Also of `vdd_mv.from`.
                let volts = number.ok().filter(|_| self.dotted(key).contains("_mv"));
                let hint = volts.and_then(|volts| in_volts(volts, |mv| range.contains(&mv)));
                self.out_of_range(key, value.span(), &allowed, hint);
                None
            }
        }
    }

    /// A required, non-empty text.
    pub fn string(&self, key: &str) -> Option<Located<String>> {
        let value = self.require(key, "a text in quotes")?;
        self.check_string(key, value)
    }

    /// An optional, non-empty text.
    pub fn optional_string(&self, key: &str) -> Option<Located<String>> {
        let value = self.get(key)?;
        self.check_string(key, value)
    }

    fn check_string(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Located<String>> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a text in quotes");
            return None;
        };
        if text.trim().is_empty() {
            self.report(
                Diagnostic::new("empty-text", format!("`{}` is empty", self.dotted(key)))
                    .at(self.source, value.span()),
            );
            return None;
        }
        Some(Located { value: text.to_owned(), span: value.span() })
    }

    /// An optional truth value.
    pub fn optional_boolean(&self, key: &str) -> Option<Located<bool>> {
        let value = self.get(key)?;
        let Some(truth) = value.get_ref().as_bool() else {
            self.wrong_type(key, value, "`true` or `false`");
            return None;
        };
        Some(Located { value: truth, span: value.span() })
    }

    /// A required word out of a list.
    pub fn choice<T: Clone>(&self, key: &str, choices: &[(&str, T)]) -> Option<Located<T>> {
        let expected = list_words(choices.iter().map(|(word, _)| *word));
        let value = self.require(key, &expected)?;
        self.check_choice(key, value, choices)
    }

    /// An optional word out of a list.
    pub fn optional_choice<T: Clone>(
        &self,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<Located<T>> {
        let value = self.get(key)?;
        self.check_choice(key, value, choices)
    }

    fn check_choice<T: Clone>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        choices: &[(&str, T)],
    ) -> Option<Located<T>> {
        let allowed = list_words(choices.iter().map(|(word, _)| *word));
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, &allowed);
            return None;
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(Located { value: choice.clone(), span: value.span() });
        }
        self.unknown_word(key, text, value.span(), choices);
        None
    }

    fn unknown_word<T>(&self, key: &str, text: &str, span: Range<usize>, choices: &[(&str, T)]) {
        let words = || choices.iter().map(|(word, _)| *word);
        let message = format!("`{}` has no choice `{text}`", self.dotted(key));
        let mut diagnostic = Diagnostic::new("unknown-word", message)
            .at(self.source, span)
            .allowed(format!("expected {}", list_words(words())));
        if let Some(word) = self.meant(text, words()) {
            diagnostic = diagnostic.hint(format!("did you mean `{word}`?"));
        }
        self.report(diagnostic);
    }

    /// A required [`Variant`] out of a list.
    pub fn variant<T: Clone>(&self, key: &str, variants: &[(&str, Variant<T>)]) -> Option<T> {
        let value = self.require(key, &list_words(variants.iter().map(|(word, _)| *word)))?;
        self.check_variant(key, value, variants)
    }

    /// An optional [`Variant`] out of a list.
    pub fn optional_variant<T: Clone>(
        &self,
        key: &str,
        variants: &[(&str, Variant<T>)],
    ) -> Option<T> {
        let value = self.get(key)?;
        self.check_variant(key, value, variants)
    }

    /// A required list of variants, maybe empty; each bad element is reported.
    pub fn variants<T: Clone>(&self, key: &str, variants: &[(&str, Variant<T>)]) -> Option<Vec<T>> {
        let value = self.require(key, VARIANT_LIST)?;
        self.check_variants(key, value, variants)
    }

    /// An optional list of variants, maybe empty.
    pub fn optional_variants<T: Clone>(
        &self,
        key: &str,
        variants: &[(&str, Variant<T>)],
    ) -> Option<Vec<T>> {
        let value = self.get(key)?;
        self.check_variants(key, value, variants)
    }

    fn check_variants<T: Clone>(
        &self,
        key: &str,
        value: &'d Spanned<DeValue<'d>>,
        variants: &[(&str, Variant<T>)],
    ) -> Option<Vec<T>> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, VARIANT_LIST);
            return None;
        };
        let checked: Vec<_> = (0..)
            .zip(array.iter())
            .map(|(index, element)| {
                self.check_variant(&format!("{key}[{index}]"), element, variants)
            })
            .collect();
        checked.into_iter().collect()
    }

    fn check_variant<T: Clone>(
        &self,
        key: &str,
        value: &'d Spanned<DeValue<'d>>,
        variants: &[(&str, Variant<T>)],
    ) -> Option<T> {
        let table = value.get_ref().as_table();
        let mut entries = table.into_iter().flat_map(DeTable::iter);
        let (word, span, keys) = match (value.get_ref().as_str(), entries.next(), entries.next()) {
            (Some(word), _, _) => (word, value.span(), None),
            (None, Some((word, keys)), None) => (&**word.get_ref(), word.span(), Some(keys)),
            (None, _, _) => {
                let words = list_words(variants.iter().map(|(word, _)| *word));
                self.wrong_type(key, value, &format!("one of {words}"));
                return None;
            }
        };
        let Some((_, variant)) = variants.iter().find(|(known, _)| *known == word) else {
            self.unknown_word(key, word, span, variants);
            return None;
        };
        match (variant, keys) {
            (Variant::Word(value), None) => Some(value.clone()),
            (Variant::Keys(read), Some(keys)) => {
                let reader = self.check_table(&format!("{key}.{word}"), keys);
                let value = read(&reader);
                reader.finish();
                value
            }
            (Variant::Word(_), Some(_)) => {
                let message = format!("`{}` has no keys", self.dotted(&format!("{key}.{word}")));
                let diagnostic = Diagnostic::new("wrong-type", message).at(self.source, span);
                self.report(diagnostic.hint(format!("write `\"{word}\"`")));
                None
            }
            (Variant::Keys(_), None) => {
                let message = format!("`{}` is `{word}` without its keys", self.dotted(key));
                let diagnostic = Diagnostic::new("wrong-type", message).at(self.source, span);
                self.report(diagnostic.hint(format!("write `{{ {word} = {{ … }} }}`")));
                None
            }
        }
    }

    /// A required list of finite numbers within `range`; each bad element is reported.
    pub fn numbers(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
    ) -> Option<Located<Vec<Located<f64>>>> {
        let expected = format!("a list of numbers{}", bounds(&range));
        let value = self.require(key, &expected)?;
        self.check_numbers(key, value, &range)
    }

    /// An optional list of finite numbers within `range`.
    pub fn optional_numbers(
        &self,
        key: &str,
        range: RangeInclusive<f64>,
    ) -> Option<Located<Vec<Located<f64>>>> {
        let value = self.get(key)?;
        self.check_numbers(key, value, &range)
    }

    fn check_numbers(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<f64>,
    ) -> Option<Located<Vec<Located<f64>>>> {
        self.check_list(key, value, "a list of numbers", |element| {
            self.check_number(key, element, range)
        })
    }

    /// A required list of integers within `range`; each bad element is reported.
    pub fn integers(
        &self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Option<Located<Vec<Located<i64>>>> {
        let value = self.require(key, "a list of integers")?;
        self.check_integers(key, value, &range)
    }

    /// An optional list of integers within `range`; each bad element is reported.
    pub fn optional_integers(
        &self,
        key: &str,
        range: RangeInclusive<i64>,
    ) -> Option<Located<Vec<Located<i64>>>> {
        let value = self.get(key)?;
        self.check_integers(key, value, &range)
    }

    fn check_integers(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<i64>,
    ) -> Option<Located<Vec<Located<i64>>>> {
        self.check_list(key, value, "a list of integers", |element| {
            self.check_integer(key, element, range)
        })
    }

    /// An optional list of words out of a list; each bad element is reported.
    pub fn optional_choices<T: Clone>(
        &self,
        key: &str,
        choices: &[(&str, T)],
    ) -> Option<Located<Vec<Located<T>>>> {
        let value = self.get(key)?;
        self.check_list(key, value, "a list of texts in quotes", |element| {
            self.check_choice(key, element, choices)
        })
    }

    /// A required list of non-empty texts; each bad element is reported.
    pub fn strings(&self, key: &str) -> Option<Located<Vec<Located<String>>>> {
        let value = self.require(key, "a list of texts in quotes")?;
        self.check_list(key, value, "a list of texts in quotes", |element| {
            self.check_string(key, element)
        })
    }

    /// A list that is not empty, each element checked.
    fn check_list<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &str,
        check: impl Fn(&Spanned<DeValue<'_>>) -> Option<Located<T>>,
    ) -> Option<Located<Vec<Located<T>>>> {
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, expected);
            return None;
        };
        if array.is_empty() {
            self.empty_list(key, value.span());
            return None;
        }
        let checked: Vec<_> = array.iter().map(check).collect();
        let list: Option<Vec<_>> = checked.into_iter().collect();
        Some(Located { value: list?, span: value.span() })
    }

    fn empty_list(&self, key: &str, span: Range<usize>) {
        self.report(
            Diagnostic::new("empty-list", format!("`{}` is empty", self.dotted(key)))
                .at(self.source, span)
                .allowed("expected at least one element"),
        );
    }

    /// A required table.
    #[must_use]
    pub fn table(&self, key: &str) -> Self {
        let path = self.dotted(key);
        if let Some(value) = self.get(key) {
            return self.check_table(key, value);
        }
        if self.table.is_some() {
            self.missing(
                Diagnostic::new("missing-table", format!("missing table `[{path}]`"))
                    .hint(format!("add a line `[{path}]` and its keys below it")),
            );
        }
        self.absent(path)
    }

    /// An optional table.
    #[must_use]
    pub fn optional_table(&self, key: &str) -> Option<Self> {
        self.get(key).map(|value| self.check_table(key, value))
    }

    /// A table that may be missing: then its getters give nothing and report nothing.
    #[must_use]
    pub fn table_if_any(&self, key: &str) -> Self {
        self.optional_table(key).unwrap_or_else(|| self.absent(self.dotted(key)))
    }

    fn check_table(&self, key: &str, value: &'d Spanned<DeValue<'d>>) -> Self {
        self.check_table_of(key, value, "a table")
    }

    fn check_table_of(&self, key: &str, value: &'d Spanned<DeValue<'d>>, expected: &str) -> Self {
        if let Some(table) = value.get_ref().as_table() {
            let path = self.dotted(key);
            Self::new(self.source, self.problems, path, Some(value.span()), table)
        } else {
            self.wrong_type(key, value, expected);
            self.absent(self.dotted(key))
        }
    }

    /// An optional list of tables (`[[key]]`), empty if absent; one that is written and empty is reported.
    #[must_use]
    pub fn tables(&self, key: &str) -> Vec<Self> {
        self.tables_like(key, |_| None)
    }

    /// [`Self::tables`]; `example` is a table in place of a bare word, or of anything else.
    #[must_use]
    pub fn tables_like(
        &self,
        key: &str,
        example: impl Fn(Option<&str>) -> Option<String>,
    ) -> Vec<Self> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let example = |value: &Spanned<DeValue<'_>>| example(value.get_ref().as_str());
        let Some(array) = value.get_ref().as_array() else {
            let like = example(value).map(|it| format!(" such as `[{it}]`")).unwrap_or_default();
            self.wrong_type(key, value, &format!("a list of tables{like}"));
            return Vec::new();
        };
        if array.is_empty() {
            self.empty_list(key, value.span());
        }
        array
            .iter()
            .enumerate()
            .map(|(index, element)| {
                let like =
                    example(element).map(|it| format!(" such as `{it}`")).unwrap_or_default();
                self.check_table_of(&format!("{key}[{index}]"), element, &format!("a table{like}"))
            })
            .collect()
    }

    /// Reports the keys that no getter asked for.
    pub fn finish(self) {
        let Some(table) = self.table else { return };
        let known = self.known.borrow();
        let mut words: Vec<&str> = known.iter().map(String::as_str).collect();
        words.sort_unstable();
        words.dedup();
        let allowed = format!("expected {}", list_words(words.iter().copied()));
        let unknown =
            table.iter().filter(|(key, _)| words.binary_search(&&**key.get_ref()).is_err());
        for (index, (key, _)) in unknown.enumerate() {
            let name: &str = key.get_ref();
            let message = format!("unknown key `{name}`{}", self.place());
            let mut diagnostic =
                Diagnostic::new("unknown-key", message).at(self.source, key.span());
            if index >= LISTED_MAX {
                // Never listed, only counted.
                self.report(diagnostic);
                continue;
            }
            diagnostic = diagnostic.allowed(allowed.as_str());
            if let Some(word) = self.meant(name, words.iter().copied()) {
                diagnostic = diagnostic.hint(format!("did you mean `{word}`?"));
            }
            self.report(diagnostic);
        }
    }
}
