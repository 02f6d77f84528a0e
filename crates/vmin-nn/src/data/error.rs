//! Errors of loading a data set.

use std::io;
use std::path::PathBuf;

use super::KINDS;

/// Why a data set could not be loaded. [`hint`](Self::hint) gives advice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The text before the colon names no kind of data set.
    #[error("`{spec}` names no data set")]
    UnknownSpec {
        /// The given name.
        spec: String,
    },
    /// `builtin:` with an unknown name.
    #[error("there is no built-in data set `{name}`")]
    UnknownBuiltin {
        /// The given name.
        name: String,
    },
    /// A file of the set is not there.
    #[error("`{}` is missing, which should hold {expected}", path.display())]
    Missing {
        /// The expected path.
        path: PathBuf,
        /// Content of the file.
        expected: &'static str,
    },
    /// The operating system refused.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The compressed stream is damaged or cut off.
    #[error("`{}` is damaged or cut off: its compressed data does not decode", path.display())]
    Decompress {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        source: io::Error,
    },
    /// The file decodes to another number of bytes than its format says.
    #[error("`{}` holds {found} bytes, its format needs {expected}", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Bytes by format and header.
        expected: u64,
        /// Bytes found.
        found: u64,
    },
    /// The first four bytes are not those of the format.
    #[error("`{}` starts with {found:#010x}; its format starts with {expected:#010x}", path.display())]
    WrongMagic {
        /// The file.
        path: PathBuf,
        /// The mark of the format.
        expected: u32,
        /// The found value.
        found: u32,
    },
    /// Decoding would take more memory than allowed.
    #[error("`{}` decodes to more than the allowed {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// [`Limits::max_bytes`](super::Limits::max_bytes).
        limit: u64,
    },
    /// A label names no class.
    #[error("`{}`: label {label} of image {index} is not below the {classes} classes", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// Index of the image.
        index: usize,
        /// The label.
        label: i64,
        /// Number of classes.
        classes: usize,
    },
    /// Images and labels differ in number.
    #[error("`{}`: {images} images but {labels} labels", path.display())]
    CountMismatch {
        /// The file of the labels, or of both.
        path: PathBuf,
        /// Images found.
        images: usize,
        /// Labels found.
        labels: usize,
    },
    /// An npz file without the wanted array.
    #[error("`{}` has no array named {wanted}; it has {found}", path.display())]
    MissingArray {
        /// The file.
        path: PathBuf,
        /// Accepted names.
        wanted: String,
        /// Names in the file.
        found: String,
    },
    /// An array of another type or shape than a data set has.
    #[error("`{}`: array `{array}` is {found}, expected {expected}", path.display())]
    ArrayType {
        /// The file.
        path: PathBuf,
        /// The array.
        array: String,
        /// The found value.
        found: String,
        /// The accepted types and shapes.
        expected: &'static str,
    },
    /// The zip container of an npz file is damaged.
    #[error("`{}` is not a readable npz file: {reason}", path.display())]
    Container {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        reason: String,
    },
    /// A subset that does not lie in the set.
    #[error("images {start}..{end} do not lie in a set of {images} images")]
    Range {
        /// First image.
        start: usize,
        /// One after the last image.
        end: usize,
        /// Images of the set.
        images: usize,
    },
}

impl DataError {
    /// Advice for the user, one clause without full stop.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::UnknownSpec { .. } | Self::UnknownBuiltin { .. } => {
                format!("give one of {}", KINDS.map(|kind| format!("`{kind}`")).join(", "))
            }
            Self::Missing { .. } => {
                "give the folder that holds the set's standard files under their standard names"
                    .to_owned()
            }
            Self::Io { .. } => "check that the file may be read".to_owned(),
            Self::Decompress { .. } | Self::WrongSize { .. } | Self::Container { .. } => {
                "fetch the file again and compare its checksum with the publisher's".to_owned()
            }
            Self::WrongMagic { .. } => {
                "check that images and labels were not exchanged and that the file is of this set"
                    .to_owned()
            }
            Self::TooLarge { .. } => "split the set, or raise the limit on bytes".to_owned(),
            Self::Label { .. } => "labels count from 0".to_owned(),
            Self::CountMismatch { .. } => "give one label for each image".to_owned(),
            Self::MissingArray { .. } => {
                "save with `numpy.savez(FILE, x=images, y=labels)`".to_owned()
            }
            Self::ArrayType { .. } => "convert the array with numpy before saving it".to_owned(),
            Self::Range { images, .. } => format!("give a range within 0..{images}"),
        }
    }
}
