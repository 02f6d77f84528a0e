//! Why a store cannot be used.

use std::io;
use std::path::PathBuf;

use super::segment;
use crate::journal::TrialId;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {error}", path.display())]
    Io {
        /// The action, with what it is done to.
        action: &'static str,
        /// The file or the folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        error: io::Error,
    },
    /// A segment is in a format of another version.
    #[error(
        "the segment `{}` was written by {} vmin: it is of version {found}, this program reads version {}",
        path.display(),
        if *found > segment::VERSION { "a newer" } else { "an older" },
        segment::VERSION
    )]
    OtherVersion {
        /// The segment.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A line is whole, but of a form that this program does not know.
    #[error("line {line} of the segment `{}` is whole, but no record that this vmin knows", path.display())]
    Unknown {
        /// The segment.
        path: PathBuf,
        /// One-based line.
        line: usize,
    },
    /// Two records of one trial disagree.
    #[error("two records of one trial disagree, in `{}` and in {other}: {trial}", path.display())]
    Disagree {
        /// The segment of the first.
        path: PathBuf,
        /// The file of the second, in words.
        other: String,
        /// The trial.
        trial: Box<TrialId>,
    },
    /// More trials than are held in memory.
    #[error("the trials of the store `{}` need more than {} MiB of memory, the most that they may take", folder.display(), bytes_max >> 20)]
    TooMany {
        /// The store.
        folder: PathBuf,
        /// The limit.
        bytes_max: u64,
    },
    /// A line would be longer than those that are read.
    #[error("a record of the store `{}` would take a line of {bytes} bytes, at most {} are read", folder.display(), segment::LINE_BYTES_MAX)]
    LongLine {
        /// The store.
        folder: PathBuf,
        /// Bytes of the line.
        bytes: usize,
    },
    /// It cannot be told which segments are being written.
    #[error("the store `{}` lies on a file system without locks: whether a process writes to it is not known", folder.display())]
    NoLocks {
        /// The store.
        folder: PathBuf,
    },
}
