//! Segments, the files of a store: their names, their lines, and what a damaged line leaves.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{About, StoreError};
use crate::journal::{Record, checked, encode};

/// Version of the format, part of each segment's name.
pub(super) const VERSION: u32 = 1;

/// Longest line, in bytes.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// The file whose lock keeps a compaction and new segments apart.
const LOCK: &str = "store.lock";

/// Names tried for a new segment.
const NAMES_MAX: u32 = 1000;

/// What a name in the folder says of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// A segment of this version of the format.
    Segment(u32),
    /// The lock, or a file that is hidden: half of a compaction, or the file system's own.
    Ours,
    /// Anything else.
    Foreign,
}

pub(super) fn named(name: &str) -> Named {
    if name == LOCK || name.starts_with('.') {
        return Named::Ours;
    }
    let version = || {
        let (version, rest) = name.strip_prefix("trials-")?.split_once('-')?;
        let digits = version.bytes().all(|byte| byte.is_ascii_digit());
        let version = version.parse().ok().filter(|_| digits)?;
        rest.ends_with(".jsonl").then_some(version)
    };
    version().map_or(Named::Foreign, Named::Segment)
}

/// Whether a killed compaction left this file.
pub(super) fn is_half_compacted(name: &str) -> bool {
    name.starts_with(".trials-") && name.ends_with(".tmp")
}

/// A path for a new segment that no other process of this machine tries.
pub(super) fn fresh(folder: &Path, attempt: u32) -> PathBuf {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (time, process) = (since.as_nanos(), std::process::id());
    folder.join(format!("trials-{VERSION}-{time:x}-{process}-{attempt}.jsonl"))
}

/// How the folder's lock is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Beside others that begin segments.
    Shared,
    /// Alone, to compact.
    Alone,
}

/// The folder's lock; `None` if the file system has no locks.
pub(super) fn lock(folder: &Path, hold: Hold) -> Result<Option<File>, StoreError> {
    let path = folder.join(LOCK);
    let io = |error| StoreError::Io { action: "lock the store by", path: path.clone(), error };
    let file = OpenOptions::new().append(true).create(true).open(&path).map_err(io)?;
    let locked = match hold {
        Hold::Shared => file.lock_shared(),
        Hold::Alone => file.lock(),
    };
    match locked {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(io(error)),
    }
}

/// Begins a segment of this process: a new file, locked until it is closed.
pub(super) fn create(folder: &Path) -> Result<(PathBuf, File), StoreError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        |error| StoreError::Io { action: "write to the store", path, error }
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    // A compaction would take a segment that is not locked yet for one whose writer is gone.
    let _beside = lock(folder, Hold::Shared)?;
    for attempt in 0..NAMES_MAX {
        let path = fresh(folder, attempt);
        let file = match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(io(&path)(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            // Without locks there is no compaction.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => return Err(io(&path)(error.into())),
        }
        vmin_files::sync_folder(folder);
        return Ok((path, file));
    }
    Err(io(folder)(io::ErrorKind::AlreadyExists.into()))
}

/// A segment that nobody writes any more, locked by this process; `None` if somebody does.
pub(super) fn closed(path: &Path) -> Result<Option<File>, StoreError> {
    let io = |error| StoreError::Io { action: "lock the segment", path: path.to_owned(), error };
    // Network file systems lock only what is open for writing.
    let file = OpenOptions::new().append(true).open(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A trial.
    Trial(Record),
    /// What a digest stands for.
    About(About),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AboutLine<A> {
    about: A,
}

/// The line of a description.
pub(super) fn about_line(about: &About) -> String {
    encode(&AboutLine { about })
}

/// What is read of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// An entry, and the bytes it takes.
    Entry(Box<Entry>, usize),
    /// The line, or a part of it, is lost.
    Damaged(&'static str),
    /// Whole, but of a form that this program does not know.
    Unknown,
}

/// Reads the lines of a segment up to its length when it was opened; each piece comes with its one-based line.
///
/// Half a line at the end is what a kill leaves and is passed over.
pub(super) fn read(
    file: File,
    each: &mut dyn FnMut(usize, Piece) -> Result<(), StoreError>,
) -> Result<Result<u64, StoreError>, io::Error> {
    let length = file.metadata()?.len();
    let read = lines(BufReader::with_capacity(256 << 10, file.take(length)), each)?;
    Ok(read.map(|()| length))
}

pub(super) fn lines(
    mut reader: impl BufRead,
    each: &mut dyn FnMut(usize, Piece) -> Result<(), StoreError>,
) -> Result<Result<(), StoreError>, io::Error> {
    let mut line = Vec::new();
    let next = |reader: &mut dyn BufRead, line: &mut Vec<u8>| {
        line.clear();
        reader.take(LINE_BYTES_MAX as u64).read_until(b'\n', line)
    };
    for number in 1.. {
        if next(&mut reader, &mut line)? == 0 {
            break;
        }
        let told = if line.pop_if(|&mut last| last == b'\n').is_some() {
            pieces(&line, true, &mut |piece| each(number, piece))
        } else if line.len() < LINE_BYTES_MAX {
            pieces(&line, false, &mut |piece| each(number, piece))
        } else {
            while line.len() == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
                next(&mut reader, &mut line)?;
            }
            each(number, Piece::Damaged("it is too long"))
        };
        if let Err(error) = told {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// What a line holds, or what damage has left of it.
fn pieces(
    line: &[u8],
    is_ended: bool,
    each: &mut dyn FnMut(Piece) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let reason = match checked(line) {
        Ok(json) => return each(entry(json)),
        Err(reason) => reason,
    };
    // The end of a line may be what is damaged: then two lines lie here, the first with one byte more.
    let starts: Vec<usize> = (0..line.len()).filter(|&at| begins(&line[at..])).collect();
    let mut is_lost = starts.first() != Some(&0);
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(line.len());
        let piece = &line[start..end];
        match checked(piece).or_else(|_| checked(&piece[..piece.len() - 1])) {
            Ok(json) => each(entry(json))?,
            // Half a line at the very end.
            Err(_) if !is_ended && end == line.len() => {}
            Err(_) => is_lost = true,
        }
    }
    if is_lost && (is_ended || starts.len() > 1) { each(Piece::Damaged(reason)) } else { Ok(()) }
}

/// Whether these bytes look like the beginning of a line: a checksum, then an object.
fn begins(bytes: &[u8]) -> bool {
    let digits = |sum: &[u8]| sum.iter().all(u8::is_ascii_hexdigit);
    bytes.get(..10).is_some_and(|head| digits(&head[..8]) && head[8..] == *b" {")
}

fn entry(json: &str) -> Piece {
    let entry = if json.starts_with("{\"about\"") {
        serde_json::from_str(json).map(|AboutLine { about }| Entry::About(about))
    } else {
        serde_json::from_str(json).map(Entry::Trial)
    };
    // Checksum, space and newline.
    entry.map_or(Piece::Unknown, |entry| Piece::Entry(Box::new(entry), json.len() + 10))
}
