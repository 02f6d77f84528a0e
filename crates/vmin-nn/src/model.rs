//! A network by the name a user writes: a file or `builtin:NAME`.

use std::io::Read;
use std::path::Path;

use crate::{Graph, Limits, ModelError, builtin, format, tflite};

/// Loads `builtin:NAME`, a `.tflite` file or a `.safetensors` file, under the default [`Limits`].
///
/// # Errors
/// An unknown name or file ending, an unreadable file, and everything the readers refuse.
pub fn load(spec: &str) -> Result<Graph, ModelError> {
    load_within(spec, &Limits::default())
}

/// Loads `builtin:NAME`, a `.tflite` file or a `.safetensors` file.
///
/// A graph without a name of its own gets that of its file.
///
/// # Errors
/// As [`load`].
pub fn load_within(spec: &str, limits: &Limits) -> Result<Graph, ModelError> {
    if let Some(name) = spec.strip_prefix("builtin:") {
        let Some(bytes) = builtin::bytes(name) else {
            let names: Vec<_> = builtin::BUILTIN_MODELS.iter().map(|(n, _)| *n).collect();
            let expected = format!("built-in models are [{}]", names.join(", "));
            return Err(ModelError::UnknownModel { spec: spec.to_owned(), expected });
        };
        return format::load(bytes, limits);
    }
    let path = Path::new(spec);
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let read: fn(&[u8], &Limits) -> Result<Graph, ModelError> = match ending.as_deref() {
        Some("tflite") => tflite::load,
        Some("safetensors") => format::load,
        _ => {
            return Err(ModelError::UnknownModel {
                spec: spec.to_owned(),
                expected: "a model is a `.tflite` file, a `.safetensors` file or `builtin:NAME`"
                    .into(),
            });
        }
    };
    let mut graph = read(&read_file(path, limits)?, limits)?;
    if graph.name.is_empty() || graph.name == "main" {
        graph.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    }
    Ok(graph)
}

/// The bytes of a file, refused before they are read where it is too large.
fn read_file(path: &Path, limits: &Limits) -> Result<Vec<u8>, ModelError> {
    let error = |source| ModelError::Io { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(error)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large, even one that grows meanwhile.
    let limit = limits.file_bytes_max as u64;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(error)?;
    let what = || format!("size of `{}`", path.display());
    crate::error::check_limit(what, bytes.len(), limits.file_bytes_max)?;
    Ok(bytes)
}
