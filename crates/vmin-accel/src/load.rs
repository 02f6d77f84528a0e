//! Descriptions by the name of a shipped file, or by path.

use std::fs::File;
use std::io::Read;

use vmin_diagnostic::{Diagnostic, Diagnostics, Source, closest, list_words};

/// Names and texts of shipped files, in a folder of the repository.
macro_rules! shipped {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $folder, "/", $name, ".toml")),
        )),*]
    };
}
pub(crate) use shipped;

/// Largest description read, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// The text of a shipped file, or of the file at that path; `what` names its kind in messages.
pub(crate) fn source(
    name_or_path: &str,
    what: &str,
    shipped: &[(&'static str, &'static str)],
) -> Result<Source, Diagnostics> {
    if let Some((name, text)) = shipped.iter().find(|(name, _)| *name == name_or_path) {
        return Ok(Source::new(&format!("{name}.toml (shipped)"), text));
    }
    let names = || shipped.iter().map(|(name, _)| *name);
    read(name_or_path).map(|text| Source::new(name_or_path, &text)).map_err(|error| {
        let mut problem = if shipped.is_empty() || is_path(name_or_path) {
            Diagnostic::new("unreadable", format!("cannot read {what} `{name_or_path}`: {error}"))
        } else {
            Diagnostic::new("unknown-name", format!("no {what} is called `{name_or_path}`"))
                .allowed(format!("expected {} or the path of a TOML file", list_words(names())))
        };
        if let Some(word) = closest(name_or_path, names()) {
            problem = problem.hint(format!("did you mean `{word}`?"));
        }
        problem.into()
    })
}

fn is_path(name: &str) -> bool {
    name.contains(['/', '\\', '.'])
}

pub(crate) fn read(path: &str) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > TEXT_BYTES_MAX {
        return Err(std::io::Error::other(format!("more than {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Compares a list of shipped files with the TOML files of its folder.
#[cfg(test)]
pub(crate) fn compare_with_folder(folder: &str, shipped: &[(&'static str, &'static str)]) {
    let folder = format!("{}/../../{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of shipped files is part of the repository")
        .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    found.sort();
    let mut listed: Vec<&str> = shipped.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_and_unreadable_paths_are_told_apart() {
        let shipped = [("gemmini-16", "")];
        let error = source("gemini-16", "accelerator", &shipped).unwrap_err().to_string();
        assert!(error.contains("did you mean `gemmini-16`"), "{error}");
        let error = source("/nowhere/x.toml", "accelerator", &shipped).unwrap_err().to_string();
        assert!(error.contains("cannot read"), "{error}");
    }
}
