//! `--protect` and `--remedy`: mechanisms as they were typed, one an argument.

use vmin_diagnostic::{Diagnostic, Diagnostics, Document, Located, Source};
use vmin_protection::{Entry, Known, Listed, MapKind, Protection, read_entry};

use super::Asked;
use crate::failure::say;

/// The mechanisms, with the text of each.
pub(crate) struct Typed {
    /// The option that names them.
    pub(crate) option: &'static str,
    listed: Listed,
    sources: Vec<Source>,
    /// What is known of each chip, as it was typed.
    known: Option<Source>,
}

impl Typed {
    /// Reads the arguments, each an inline table of TOML or the word of a mechanism.
    ///
    /// # Errors
    /// All problems of the arguments.
    pub(super) fn read(asked: Asked<'_>, known: Option<&str>) -> Result<Self, Diagnostics> {
        let option = asked.option;
        let text = |text: &String| {
            let is_word =
                text.bytes().all(|byte| byte.is_ascii_lowercase() || b"_".contains(&byte));
            let is_word = is_word && !text.is_empty();
            if is_word { format!("{{ kind = \"{text}\" }}") } else { text.clone() }
        };
        let sources: Vec<Source> =
            asked.mechanisms.iter().map(|of| Source::new(option, &text(of))).collect();
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for source in &sources {
            match mechanism(source, option) {
                Ok(entry) => entries.push(entry),
                Err(found) => problems.extend(found.into_list()),
            }
        }
        if let Some(problems) = Diagnostics::from_list(problems) {
            return Err(problems);
        }
        let listed = Listed::new(entries).map_err(|(index, error)| {
            error.diagnostic().at(&sources[index], whole(&sources[index]))
        })?;
        let exact = || Ok(Located { value: Known::default(), span: 0..0 });
        let source = known.map(|text| Source::new("--known", text));
        let known = known.map_or_else(exact, known_map)?;
        let listed =
            listed.knowing(known).map_err(|problem| at_known(*problem, source.as_ref()))?;
        Ok(Self { option, listed, sources, known: source })
    }

    /// A problem of what is known of each chip, at its place.
    pub(crate) fn at_known(&self, problem: Diagnostic) -> Diagnostic {
        at_known(problem, self.known.as_ref())
    }

    /// All of them.
    pub(crate) const fn protection(&self) -> &Protection {
        &self.listed.protection
    }

    /// The text of each.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.sources.iter().map(|source| source.text().to_owned()).collect()
    }

    /// Those that are of use on chips with this kind of fault map; the others are named.
    ///
    /// # Errors
    /// What is known of chips has no effect on those.
    pub(super) fn of_use(self, map: MapKind) -> Result<Self, Diagnostics> {
        let useless: Vec<Option<String>> =
            self.listed.each.iter().map(|alone| alone.value.useless(map)).collect();
        for reason in useless.iter().flatten() {
            say(&format!("note: left away: {reason}"));
        }
        let kept = self.texts().into_iter().zip(&useless).filter(|(_, reason)| reason.is_none());
        let kept: Vec<String> = kept.map(|(text, _)| text).collect();
        let asked = Asked { option: self.option, mechanisms: &kept, if_of_use: true };
        let Self { listed, sources, .. } = Self::read(asked, None)?;
        let known = Located { value: self.protection().known().clone(), span: 0..0 };
        let known = listed.knowing(known);
        let listed = known.map_err(|problem| at_known(*problem, self.known.as_ref()))?;
        Ok(Self { listed, sources, ..self })
    }

    /// A refusal at the first mechanism that is refused even alone, else at the first of all.
    pub(crate) fn refused(
        &self,
        refused: impl Fn(&Protection) -> bool,
        reason: String,
    ) -> Diagnostic {
        let problem = Diagnostic::new("protection", reason);
        let blamed = self.sources.get(self.listed.blamed(refused).unwrap_or(0));
        match blamed {
            Some(source) => problem.at(source, whole(source)),
            None => problem,
        }
    }
}

fn at_known(problem: Diagnostic, known: Option<&Source>) -> Diagnostic {
    match known {
        Some(source) => problem.at(source, whole(source)),
        None => problem,
    }
}

fn whole(source: &Source) -> std::ops::Range<usize> {
    0..source.text().len()
}

fn mechanism(source: &Source, option: &str) -> Result<Located<Entry>, Diagnostics> {
    let example = "for instance `{ kind = \"parity\", memory = \"activation\" }`";
    if source.text().trim().is_empty() {
        let problem = Diagnostic::new("protection", format!("`{option}` names no mechanism"));
        return Err(problem.hint(example).into());
    }
    let document = inline(source, source.text(), example)?;
    let entry = read_entry(document.root());
    document.finish()?;
    let entry =
        entry.ok_or_else(|| Diagnostic::new("protection", "no mechanism").within(source))?;
    Ok(Located { value: entry, span: whole(source) })
}

/// Parses a text that was typed as an inline table; tells braces that lack, and else hints at an example.
fn inline<'s>(source: &'s Source, typed: &str, example: &str) -> Result<Document<'s>, Diagnostics> {
    if typed.contains('=') && !typed.trim_start().starts_with('{') {
        let problem = format!("`{}` takes a table in braces", source.name());
        let hint = format!("write `{{ {} }}`", typed.trim());
        return Err(Diagnostic::new("toml-syntax", problem).hint(hint).into());
    }
    Document::parse_inline(source).map_err(|problems| {
        let hinted = problems.into_list().into_iter().map(|problem| problem.hint(example));
        Diagnostics::from_list(hinted.collect()).expect("as many as before")
    })
}

fn known_map(text: &str) -> Result<Located<Known>, Diagnostics> {
    if text.trim() == "exact" {
        return Ok(Located { value: Known::default(), span: 0..0 });
    }
    let source = Source::new("--known", &format!("{{ known = {text} }}"));
    let example = "for instance `{ margin_mv = 10, reads = 5 }`, or `exact`";
    let document = inline(&source, text, example)?;
    let root = document.root();
    let known = Known::read(&root, "known");
    root.finish();
    document.finish()?;
    Ok(known.unwrap_or_else(|| Located { value: Known::default(), span: 0..0 }))
}
