//! Networks by the names that users type: a file or `builtin:NAME`.

use std::io::Read;
use std::path::Path;

use crate::{Graph, Limits, ModelError, builtin, import};

/// Loads `builtin:NAME` or a file of one of the [`import::FORMATS`], under the default [`Limits`].
///
/// # Errors
/// An unknown name or format, an unreadable file, and every error of the loaders.
pub fn load(spec: &str) -> Result<Graph, ModelError> {
    load_within(spec, &Limits::default())
}

/// Loads `builtin:NAME` or a file of one of the [`import::FORMATS`].
///
/// The ending of the file's name selects the format; without a known ending, its first bytes do. A
/// graph without a name of its own gets that of its file.
///
/// # Errors
/// As [`load`].
pub fn load_within(spec: &str, limits: &Limits) -> Result<Graph, ModelError> {
    let unknown = |expected| ModelError::UnknownModel { spec: spec.to_owned(), expected };
    if let Some(name) = spec.strip_prefix("builtin:") {
        let bytes = builtin::bytes(name).ok_or_else(|| {
            let names: Vec<_> = builtin::BUILTIN_MODELS.iter().map(|(n, _)| *n).collect();
            unknown(format!("built-in models are [{}]", names.join(", ")))
        })?;
        return import::native::load(bytes, limits);
    }
    let path = Path::new(spec);
    let ending = path.extension().and_then(|ending| ending.to_str());
    let (format, bytes) = match ending.and_then(import::by_ending) {
        Some(format) => (Some(format), read_file(path, limits)?),
        None => {
            let bytes = read_file(path, limits).unwrap_or_default();
            (import::by_content(&bytes), bytes)
        }
    };
    let format = format.ok_or_else(|| unknown(format!("a model is {}", import::accepted())))?;
    let mut graph = (format.load)(&bytes, limits)?;
    if graph.name.is_empty() || graph.name == "main" {
        graph.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    }
    Ok(graph)
}

/// The bytes of a file that is not too large.
fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, ModelError> {
    let error = |source| ModelError::Io { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(error)?;
    let mut bytes = Vec::new();
    // One byte beyond the limit detects a file that is too large, even while it grows.
    let limit = limits.file_bytes_max as u64;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(error)?;
    let what = || format!("size of `{}`", path.display());
    crate::error::check_limit(what, bytes.len(), limits.file_bytes_max)?;
    Ok(bytes)
}
