//! The bytes of a file, plain or gzip, within a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{DataError, Limits};

/// All bytes of `path`; `expected` says what the file holds if it is missing.
pub(super) fn read(
    path: &Path,
    expected: &'static str,
    limits: Limits,
) -> Result<Vec<u8>, DataError> {
    let bytes = vmin_files::contents(path, limits.max_bytes);
    bytes.map_err(|source| unopened(path, expected, source))?.ok_or_else(|| too_large(path, limits))
}

/// All bytes of `path`, or of `path.gz` decompressed where only that exists.
pub(super) fn read_maybe_gzip(
    path: &Path,
    expected: &'static str,
    limits: Limits,
) -> Result<(Vec<u8>, PathBuf), DataError> {
    if path.exists() {
        return Ok((read(path, expected, limits)?, path.to_owned()));
    }
    let mut zipped = path.as_os_str().to_owned();
    zipped.push(".gz");
    let zipped = PathBuf::from(zipped);
    if !zipped.exists() {
        return Err(DataError::Missing { path: path.to_owned(), expected });
    }
    let decoder = MultiGzDecoder::new(
        vmin_files::open(&zipped).map_err(|source| unopened(&zipped, expected, source))?,
    );
    let bytes =
        bounded(decoder, &zipped, limits, |path, source| DataError::Decompress { path, source })?;
    Ok((bytes, zipped))
}

/// Opens the file `path`, if it is not too large.
pub(super) fn open(path: &Path, expected: &'static str, limits: Limits) -> Result<File, DataError> {
    let fault = |source| unopened(path, expected, source);
    let file = vmin_files::open_seekable(path).map_err(fault)?;
    let length = file.metadata().map_err(fault)?.len();
    if length > limits.max_bytes { Err(too_large(path, limits)) } else { Ok(file) }
}

/// A missing file has its own error.
fn unopened(path: &Path, expected: &'static str, source: io::Error) -> DataError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        DataError::Missing { path, expected }
    } else {
        DataError::Io { path, source }
    }
}

fn too_large(path: &Path, limits: Limits) -> DataError {
    DataError::TooLarge { path: path.to_owned(), limit: limits.max_bytes }
}

/// Reads to the end, refusing the first byte beyond the limit.
pub(super) fn bounded(
    reader: impl Read,
    path: &Path,
    limits: Limits,
    fault: impl FnOnce(PathBuf, io::Error) -> DataError,
) -> Result<Vec<u8>, DataError> {
    let bytes = vmin_files::read_within(reader, limits.max_bytes);
    bytes.map_err(|source| fault(path.to_owned(), source))?.ok_or_else(|| too_large(path, limits))
}
