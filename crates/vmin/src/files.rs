//! Files that options name: which an output may replace, and patterns for several inputs.
//!
//! One rule for every command: an output replaces its like, which an earlier run wrote; any other file is kept. The
//! first bytes decide. Folders of `--out DIR` are the command's own.

use std::path::{Path, PathBuf};

use vmin_diagnostic::Diagnostic;
use vmin_files::write_whole;

use crate::Failure;
use crate::failure::{say, unwritable};

/// True for the first bytes of a file that an output may replace.
pub(crate) type Like = fn(&[u8]) -> bool;

pub(crate) const SVG: Like = |head| head.starts_with(b"<svg ");
pub(crate) const PAGE: Like = |head| head.starts_with(b"<!doctype html>\n<html lang=\"en\">");
pub(crate) const PARQUET: Like = |head| head.starts_with(b"PAR1");
pub(crate) const NPY: Like = |head| head.starts_with(b"\x93NUMPY");
pub(crate) const NETWORK: Like =
    |head| head.get(8..).is_some_and(|json| json.starts_with(b"{\"__metadata__\":{\"vmin\":"));
pub(crate) const REFERENCE_TABLE: Like =
    |head| head.starts_with(b"ERT:") || head.starts_with(b"ART:");
pub(crate) const PREDICTIONS: Like = |head| {
    head.starts_with(b"image,label,prediction") || head.starts_with(b"chip,image,label,prediction")
};
pub(crate) const FITTED: Like = |head| head.starts_with(b"# Population fitted to ");
pub(crate) const CELL_LIST: Like = |head| head.starts_with(b"# vmin list of faulty cells");
/// What is replaced only by the same bytes: others write such files too.
pub(crate) const NOTHING: Like = |_| false;

/// Bytes of a file that tell what it is.
const HEAD_BYTES: u64 = 1 << 10;

/// Refuses a path where a file lies that is not replaced.
pub(crate) fn check(path: &Path, like: Like) -> Result<(), Failure> {
    let first = |file| std::io::Read::take(file, HEAD_BYTES);
    let head = || vmin_files::read_within(first(vmin_files::open(path)?), HEAD_BYTES);
    let is_like = |head: Vec<u8>| head.is_empty() || like(&head);
    if path.is_file() && !head().is_ok_and(|head| head.is_some_and(is_like)) {
        return Err(kept(path));
    }
    Ok(())
}

/// The problem of an output whose path another file has.
pub(crate) fn kept(path: &Path) -> Failure {
    let message = format!("`{}` is another file, which is kept", path.display());
    Diagnostic::new("file-exists", message)
        .hint("choose another name, or remove the file first")
        .into()
}

/// Writes a file, or replaces its like, and says so.
pub(crate) fn write(path: &Path, bytes: &[u8], like: Like) -> Result<(), Failure> {
    put(path, bytes, like)?;
    say(&format!("wrote `{}`", path.display()));
    Ok(())
}

/// [`write()`] without a word.
pub(crate) fn put(path: &Path, bytes: &[u8], like: Like) -> Result<(), Failure> {
    let same = || {
        let there = vmin_files::contents(path, bytes.len() as u64);
        there.is_ok_and(|there| there.is_some_and(|there| there == bytes))
    };
    check(path, like).or_else(|kept| if same() { Ok(()) } else { Err(kept) })?;
    write_whole(path, bytes).map_err(|error| unwritable(path, &error))
}

/// Name of the array of a tensor: its number, and what of its name is safe in a file's.
pub(crate) fn of_tensor(index: usize, name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(safe).take(80).collect();
    format!("{index:03}_{name}.npy")
}

/// The files of names and patterns such as `lot/*.chip`, those of a pattern sorted.
///
/// # Errors
/// A pattern that no file matches, or that is none.
pub(crate) fn expanded(names: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for name in names {
        match vmin_sweep::names::matching(Path::new(""), name) {
            None => files.push(name.clone()),
            Some(found) => files.extend(found.map_err(Failure::from)?),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_replaces_its_like_and_keeps_any_other_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let outputs: [(&[u8], Like); 3] =
            [(b"<svg 1", SVG), (b"\x93NUMPY1", NPY), (b"0,1\n", NOTHING)];
        for (bytes, like) in outputs {
            std::fs::write(&path, b"").expect("written");
            assert!(put(&path, bytes, like).is_ok(), "an empty file");
            assert!(put(&path, bytes, like).is_ok(), "the same");
            for (other, _) in outputs.iter().filter(|(other, _)| *other != bytes) {
                assert!(put(&path, other, like).is_ok() == like(bytes));
                std::fs::write(&path, other).expect("written");
                assert!(put(&path, bytes, like).is_err(), "another kind");
                assert_eq!(&std::fs::read(&path).expect("there"), other);
                std::fs::write(&path, bytes).expect("written");
            }
        }
    }
}
