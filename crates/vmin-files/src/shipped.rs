//! Finding a text: by the name of a shipped one, or by its path.

use std::path::Path;

use vmin_diagnostic::{Diagnostic, Diagnostics, Source, closest, list_words};

use crate::{ReadError, text};

/// The text of the shipped `noun` of that name, or of the file at that path.
///
/// # Errors
/// There is neither, or the file cannot be read.
pub fn shipped_or_path(
    noun: &str,
    name_or_path: impl AsRef<Path>,
    shipped: &[(&'static str, &'static str)],
) -> Result<Source, Diagnostics> {
    let path = name_or_path.as_ref();
    let name_or_path = &*path.to_string_lossy();
    if let Some((name, text)) = shipped.iter().find(|(name, _)| *name == name_or_path) {
        return Ok(Source::new(&format!("{name}.toml (shipped)"), text));
    }
    let names = || shipped.iter().map(|(name, _)| *name);
    text(noun, path).map_err(|error| {
        let a_name = !shipped.is_empty() && !name_or_path.contains(['/', '\\', '.']);
        let mut problem = match error {
            ReadError::Unreadable { .. } if a_name => {
                Diagnostic::new("unknown-name", format!("no {noun} is called `{name_or_path}`"))
                    .allowed(format!("expected {} or the path of a TOML file", list_words(names())))
            }
            ReadError::Unreadable { .. } | ReadError::TooLarge { .. } => error.diagnostic(),
        };
        if let Some(word) = closest(name_or_path, names()) {
            problem = problem.hint(format!("did you mean `{word}`?"));
        }
        problem.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_and_unreadable_paths_are_told_apart() {
        let shipped = [("gemmini-16", "")];
        let error = shipped_or_path("accelerator", "gemmini-x", &shipped).unwrap_err().to_string();
        assert!(error.contains("no accelerator is called `gemmini-x`"), "{error}");
        let error = shipped_or_path("accelerator", "a/x.toml", &shipped).unwrap_err().to_string();
        assert!(error.contains("cannot read the accelerator `a/x.toml`"), "{error}");
    }
}
