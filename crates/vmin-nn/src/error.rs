//! Errors of loading and checking a model.

use std::path::PathBuf;

/// Why a model cannot be loaded or run.
///
/// Every variant names the broken rule and the place in the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file could not be read.
    #[error("cannot read model `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The file is larger than the limit.
    #[error("the model `{}` is larger than {bytes_max} bytes, the most that are read", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// Neither a known file ending nor a known `builtin:` name.
    #[error("unknown model `{spec}`: {expected}")]
    UnknownModel {
        /// The given name.
        spec: String,
        /// The accepted names.
        expected: String,
    },
    /// The bytes are not of the format that the name promises.
    #[error("not a {format} file: {found}")]
    WrongFormat {
        /// The promised format.
        format: &'static str,
        /// The first bytes, or the missing part.
        found: String,
    },
    /// A size above its limit.
    #[error("{what} is {value}, more than the limit of {limit}")]
    TooLarge {
        /// The size and its place.
        what: String,
        /// The size (`u64::MAX` if the product overflows).
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// The flatbuffer's tables or offsets are inconsistent.
    #[error("damaged TFLite file")]
    Flatbuffer {
        /// The error of the verifier.
        #[source]
        source: flatbuffers::InvalidFlatbuffer,
    },
    /// The safetensors container is inconsistent.
    #[error("damaged safetensors file")]
    Safetensors {
        /// The error of the reader.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// The graph in the header of a safetensors file does not follow its schema.
    #[error("the graph in metadata key `vmin` does not follow its schema")]
    Header {
        /// The error of the JSON parser.
        #[source]
        source: serde_json::Error,
    },
    /// Written by another version of the file format.
    #[error("model file of version {found}, this program reads version {supported}")]
    Version {
        /// Version in the file.
        found: u32,
        /// Supported version.
        supported: u32,
    },
    /// An operator outside the supported list.
    #[error("operator {index} is `{operator}`, which is not supported; supported are {supported}")]
    UnsupportedOperator {
        /// Position in the file.
        index: usize,
        /// Its name, or its number if the name is unknown.
        operator: String,
        /// All supported operators.
        supported: String,
    },
    /// A tensor that breaks a rule.
    #[error("tensor `{tensor}`: {rule}, found {found}")]
    Tensor {
        /// Name of the tensor.
        tensor: String,
        /// The rule.
        rule: &'static str,
        /// The offending value.
        found: String,
    },
    /// An operation that breaks a rule.
    #[error("operator `{node}`: {rule}, found {found}")]
    Node {
        /// Name of the operation.
        node: String,
        /// The rule.
        rule: &'static str,
        /// The offending value.
        found: String,
    },
    /// Images for a network that does not say what its input takes them for.
    #[error("nothing says how pixels become the network's input, which spans {found}")]
    NoPixels {
        /// The span, scale and zero point of the input.
        found: String,
    },
    /// The graph as a whole breaks a rule.
    #[error("graph: {rule}, found {found}")]
    Graph {
        /// The rule.
        rule: &'static str,
        /// The offending value.
        found: String,
    },
}

#[expect(clippy::needless_pass_by_value, reason = "callers hand over temporaries")]
impl ModelError {
    pub(crate) fn tensor(tensor: &str, rule: &'static str, found: impl ToString) -> Self {
        Self::Tensor { tensor: tensor.to_owned(), rule, found: found.to_string() }
    }

    pub(crate) fn node(node: &str, rule: &'static str, found: impl ToString) -> Self {
        Self::Node { node: node.to_owned(), rule, found: found.to_string() }
    }

    pub(crate) fn graph(rule: &'static str, found: impl ToString) -> Self {
        Self::Graph { rule, found: found.to_string() }
    }
}

/// Product of `dims`, refused above `limit` or where it overflows.
pub(crate) fn checked_product(
    what: impl FnOnce() -> String,
    dims: &[usize],
    limit: usize,
) -> Result<usize, ModelError> {
    let product = dims.iter().try_fold(1usize, |p, &d| p.checked_mul(d));
    match product {
        Some(p) if p <= limit => Ok(p),
        other => Err(ModelError::TooLarge {
            what: what(),
            value: other.map_or(u64::MAX, |p| p as u64),
            limit: limit as u64,
        }),
    }
}

/// Refuses `value` above `limit`.
pub(crate) fn check_limit(
    what: impl FnOnce() -> String,
    value: usize,
    limit: usize,
) -> Result<(), ModelError> {
    if value <= limit {
        return Ok(());
    }
    Err(ModelError::TooLarge { what: what(), value: value as u64, limit: limit as u64 })
}
