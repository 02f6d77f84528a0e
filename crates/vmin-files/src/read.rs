//! Reading a file whole, up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use vmin_diagnostic::{Diagnostic, Source};

/// Largest text file read, in bytes.
pub const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Largest binary file read, in bytes.
pub const BYTES_MAX: u64 = 4 << 30;

/// Why a file could not be read; `what` names it with its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file system refuses, or a text is not UTF-8.
    #[error("cannot read {what}: {error}")]
    Unreadable {
        /// The file.
        what: String,
        /// The reason.
        error: io::Error,
    },
    /// The file is longer than the limit.
    #[error("{what} is larger than {bytes_max} bytes, the most that are read")]
    TooLarge {
        /// The file.
        what: String,
        /// The limit.
        bytes_max: u64,
    },
}

impl ReadError {
    /// Short name of the problem.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too-large",
        }
    }

    /// The problem as a diagnostic without a place.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic::new(self.code(), self.to_string())
    }
}

/// The bytes of a file; `noun` says in messages which kind of file it is.
///
/// # Errors
/// It cannot be read, or is longer than [`BYTES_MAX`].
pub fn bytes(noun: &str, path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    read(noun, path, BYTES_MAX, |mut file| file.read_to_end(&mut bytes))?;
    Ok(bytes)
}

/// A text file, named by its path; `noun` says in messages which kind of file it is.
///
/// # Errors
/// It cannot be read, is not UTF-8 or is longer than [`TEXT_BYTES_MAX`].
pub fn text(noun: &str, path: &Path) -> Result<Source, ReadError> {
    let mut text = String::new();
    read(noun, path, TEXT_BYTES_MAX, |mut file| file.read_to_string(&mut text))?;
    Ok(Source::new(&path.display().to_string(), &text))
}

/// Lets `read` take one byte more than the limit, which tells that the file is too large even if it grows.
fn read(
    noun: &str,
    path: &Path,
    bytes_max: u64,
    read: impl FnOnce(io::Take<File>) -> io::Result<usize>,
) -> Result<(), ReadError> {
    let what = || format!("the {noun} `{}`", path.display());
    let file = File::open(path);
    let too_large = |file: &File| file.metadata().is_ok_and(|file| file.len() > bytes_max);
    if file.as_ref().is_ok_and(too_large) {
        return Err(ReadError::TooLarge { what: what(), bytes_max });
    }
    match file.and_then(|file| read(file.take(bytes_max + 1))) {
        Ok(length) if length as u64 > bytes_max => {
            Err(ReadError::TooLarge { what: what(), bytes_max })
        }
        Ok(_) => Ok(()),
        Err(error) => Err(ReadError::Unreadable { what: what(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beyond_the_limit_are_refused_without_reading_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sparse");
        File::create(&path).and_then(|file| file.set_len(BYTES_MAX + 1)).expect("made");
        let error = bytes("chip", &path).expect_err("too large");
        assert_eq!(error.code(), "too-large");
        let error = text("recipe", &folder.path().join("none")).expect_err("missing").to_string();
        assert!(error.starts_with("cannot read the recipe `"), "{error}");
    }
}
