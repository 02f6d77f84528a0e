//! Networks by the names that users type: a file or `builtin:NAME`.

use std::io::ErrorKind;
use std::path::Path;

use crate::{Graph, Limits, ModelError, builtin, import};

/// Loads `builtin:NAME` or a file of one of the [`import::FORMATS`], under the default [`Limits`].
///
/// # Errors
/// An unknown name or format, an unreadable file, and every error of the loaders.
pub fn load(spec: &(impl AsRef<Path> + ?Sized)) -> Result<Graph, ModelError> {
    load_within(spec, &Limits::default())
}

/// Loads `builtin:NAME` or a file of one of the [`import::FORMATS`].
///
/// The ending of the file's name selects the format; without a known ending, its first bytes do. A
/// graph without a name of its own gets that of its file.
///
/// # Errors
/// As [`load`].
pub fn load_within(
    spec: &(impl AsRef<Path> + ?Sized),
    limits: &Limits,
) -> Result<Graph, ModelError> {
    let path = spec.as_ref();
    let unknown =
        |expected| ModelError::UnknownModel { spec: path.display().to_string(), expected };
    if let Some(name) = path.to_str().and_then(|spec| spec.strip_prefix("builtin:")) {
        let bytes = builtin::bytes(name).ok_or_else(|| {
            let names = builtin::BUILTIN_MODELS.iter().map(|(name, _)| format!("`{name}`"));
            let names: Vec<_> = names.collect();
            unknown(format!("built-in models are {}", names.join(", ")))
        })?;
        return import::native::load(bytes, limits);
    }
    let ending = path.extension().and_then(|ending| ending.to_str());
    let (format, bytes) = match ending.and_then(import::by_ending) {
        Some(format) => (Some(format), read_file(path, limits)?),
        None => {
            let bytes = match read_file(path, limits) {
                Err(ModelError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    Vec::new()
                }
                read => read?,
            };
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
    let bytes_max = limits.file_bytes_max as u64;
    vmin_files::contents(path, bytes_max)
        .map_err(error)?
        .ok_or_else(|| ModelError::FileTooLarge { path: path.to_owned(), bytes_max })
}
