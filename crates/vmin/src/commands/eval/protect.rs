//! `--protect`: mechanisms as they were typed, one an argument.

use vmin_diagnostic::{Diagnostic, Diagnostics, Document, Located, Source};
use vmin_protection::{Entry, Known, Listed, Protection, read_entry};

/// The mechanisms, with the text of each.
pub(super) struct Typed {
    pub(super) listed: Listed,
    sources: Vec<Source>,
}

impl Typed {
    /// Reads the arguments, each an inline table of TOML.
    ///
    /// # Errors
    /// All problems of the arguments.
    pub(super) fn read(arguments: &[String], known: Option<&str>) -> Result<Self, Diagnostics> {
        let sources: Vec<Source> =
            arguments.iter().map(|text| Source::new("--protect", text)).collect();
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for source in &sources {
            match mechanism(source) {
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
        let known = known.map_or_else(|| Ok(Known::default()), known_map)?;
        let listed = listed.knowing(known)?;
        Ok(Self { listed, sources })
    }

    /// A refusal at the first mechanism that is refused even alone, else at the first of all.
    pub(super) fn refused(
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

fn whole(source: &Source) -> std::ops::Range<usize> {
    0..source.text().len()
}

fn mechanism(source: &Source) -> Result<Located<Entry>, Diagnostics> {
    let example = "for instance `{ kind = \"parity\", memory = \"activation\" }`";
    if source.text().trim().is_empty() {
        let problem = Diagnostic::new("protection", "`--protect` names no mechanism");
        return Err(problem.hint(example).into());
    }
    let document = Document::parse_inline(source).map_err(|problems| {
        let hinted = problems.into_list().into_iter().map(|problem| problem.hint(example));
        Diagnostics::from_list(hinted.collect()).expect("as many as before")
    })?;
    let entry = read_entry(document.root());
    document.finish()?;
    let entry =
        entry.ok_or_else(|| Diagnostic::new("protection", "no mechanism").within(source))?;
    Ok(Located { value: entry, span: whole(source) })
}

fn known_map(text: &str) -> Result<Known, Diagnostics> {
    let source = Source::new("--known", &format!("{{ known = {text} }}"));
    let document = Document::parse_inline(&source).map_err(|problems| {
        let example = "for instance `{ margin_mv = 10, reads = 5 }`, or `\"exact\"`";
        let hinted = problems.into_list().into_iter().map(|problem| problem.hint(example));
        Diagnostics::from_list(hinted.collect()).expect("as many as before")
    })?;
    let root = document.root();
    let known = Known::read(&root, "known");
    root.finish();
    document.finish()?;
    Ok(known.unwrap_or_default())
}
