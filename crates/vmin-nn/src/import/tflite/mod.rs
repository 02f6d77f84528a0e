//! Import of quantized TFLite (LiteRT) files.
//!
//! ```text
//!  bytes --reader.rs--> checked fields --schema.rs--> tables --import.rs--> Graph --> validate
//!                                                      tensors.rs: activations, weights, biases
//!                                                      operators.rs: options, padding, multipliers
//! ```
//!
//! Fully quantized networks of batch size one are read: `int8` and `uint8` activations, per-channel
//! and per-tensor weights, `int32` biases. An unsigned tensor is held shifted by 128, which changes
//! no difference `q - zero_point` and therefore no result; unsigned weights keep their bit patterns
//! under the encoding `offset_binary`.

mod import;
mod operators;
mod reader;
mod schema;
mod tensors;

use crate::{Graph, Limits, ModelError};

/// The file identifier and its offset.
pub(super) const MAGIC: (usize, &[u8]) = (4, b"TFL3");

/// Reads a TFLite file.
///
/// # Errors
/// Damaged files, sizes above `limits`, operators or settings that are not supported: the error
/// names the operator or tensor, the rule and what would be accepted.
pub fn load(bytes: &[u8], limits: &Limits) -> Result<Graph, ModelError> {
    crate::error::check_limit(|| "size of the file".into(), bytes.len(), limits.file_bytes_max)?;
    if bytes.get(4..8) != Some(MAGIC.1) {
        return Err(ModelError::WrongFormat {
            format: "TFLite",
            found: match bytes.get(4..8) {
                Some(id) => format!("bytes 4..8 are `{}`, not `TFL3`", id.escape_ascii()),
                None => format!("{} bytes only", bytes.len()),
            },
        });
    }
    let tables_max = limits.tensors_max.saturating_add(limits.nodes_max).saturating_mul(4);
    let options = reader::options(bytes.len(), tables_max);
    let model =
        schema::read(bytes, &options).map_err(|source| ModelError::Flatbuffer { source })?;
    let graph = import::graph(&model, limits)?;
    graph.validate_within(limits)?;
    Ok(graph)
}

/// The operators that can be imported, by their TFLite names.
pub fn supported_operators() -> impl Iterator<Item = &'static str> {
    operators::SUPPORTED.iter().map(|(_, name, _)| *name)
}
