//! Reading a store: all segments of its folder, whatever a compaction does meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::index::{Added, Index};
use super::segment::{self, Entry, Named, Piece};
use crate::journal::TrialId;

/// Bad lines that are told one by one.
const TOLD_MAX: usize = 20;

/// Listings of a folder until all segments of one are read.
const LISTINGS_MAX: usize = 20;

/// Lines that damage took from a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// How many.
    pub lines: u64,
    /// The first of them: segment, one-based line, reason.
    pub told: Vec<(PathBuf, usize, &'static str)>,
}

impl Damage {
    fn add(&mut self, path: &Path, line: usize, reason: &'static str) {
        self.lines += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push((path.to_owned(), line, reason));
        }
    }
}

/// What was read of a folder.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) index: Index,
    /// By number.
    pub(super) segments: Vec<PathBuf>,
    pub(super) bytes: u64,
    pub(super) duplicates: u64,
    pub(super) damage: Damage,
    pub(super) foreign: Vec<String>,
    /// Trials that were not wanted.
    pub(super) left_out: u64,
}

impl Loaded {
    pub(super) const fn new(bytes_max: u64) -> Self {
        Self {
            index: Index::new(bytes_max),
            segments: Vec::new(),
            bytes: 0,
            duplicates: 0,
            damage: Damage { lines: 0, told: Vec::new() },
            foreign: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds the wanted lines of a segment. False if it is gone.
    pub(super) fn segment(
        &mut self,
        path: &Path,
        bytes_max: u64,
        wanted: &dyn Fn(&TrialId) -> bool,
    ) -> Result<bool, StoreError> {
        let is_gone = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StaleNetworkFileHandle)
        };
        let io =
            |error| StoreError::Io { action: "read the segment", path: path.to_owned(), error };
        let file = match vmin_files::open(path) {
            Ok(file) => file,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(io(error)),
        };
        let number = u32::try_from(self.segments.len()).expect("fewer files than that");
        self.segments.push(path.to_owned());
        let too_many =
            || StoreError::TooMany { folder: path.parent().unwrap_or(path).to_owned(), bytes_max };
        let read = segment::read(file, &mut |line, piece| match piece {
            Piece::Damaged(reason) => {
                self.damage.add(path, line, reason);
                Ok(())
            }
            Piece::Unknown => Err(StoreError::Unknown { path: path.to_owned(), line }),
            Piece::Entry(entry, bytes) => match *entry {
                Entry::About(about) => {
                    self.index.describe(about).then_some(()).ok_or_else(too_many)
                }
                Entry::Trial(record) if !wanted(&record.trial) => {
                    self.left_out += 1;
                    Ok(())
                }
                Entry::Trial(record) => match self.index.add(&record, number, bytes) {
                    Added::New => Ok(()),
                    Added::Same => {
                        self.duplicates += 1;
                        Ok(())
                    }
                    Added::Full => Err(too_many()),
                    Added::Other(first) => Err(StoreError::Disagree {
                        path: self.segments[first as usize].clone(),
                        other: format!("`{}`", path.display()),
                        trial: Box::new(record.trial),
                    }),
                },
            },
        });
        match read {
            Ok(told) => self.bytes += told?,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) => return Err(io(error)),
        }
        Ok(true)
    }
}

/// The segments of a folder by name, and the names of other files; a folder that is absent has none.
pub(super) fn listed(folder: &Path) -> Result<(BTreeSet<String>, Vec<String>), StoreError> {
    let io = |error| StoreError::Io { action: "list the store", path: folder.to_owned(), error };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => return Err(io(error)),
    };
    let (mut segments, mut foreign) = (BTreeSet::new(), Vec::new());
    for entry in entries {
        let entry = entry.map_err(io)?;
        // Our names are ASCII.
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_other = || std::fs::metadata(entry.path()).is_ok_and(|found| !found.is_file());
        match segment::named(&name) {
            Named::Segment(_) if is_other() => foreign.push(name),
            Named::Segment(segment::VERSION) => {
                segments.insert(name);
            }
            Named::Segment(found) => {
                return Err(StoreError::OtherVersion { path: folder.join(name), found });
            }
            Named::Ours => {}
            Named::Foreign => foreign.push(name),
        }
    }
    foreign.sort();
    Ok((segments, foreign))
}

/// Reads all segments of a folder. Segments that a compaction takes away meanwhile are read from its result.
pub(super) fn load(folder: &Path, bytes_max: u64) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::new(bytes_max);
    let mut read = BTreeSet::new();
    for listing in 0..LISTINGS_MAX {
        let (segments, foreign) = listed(folder)?;
        loaded.foreign = foreign;
        // One that overlaps a compaction may lack both the old segments and the new one; the next has it.
        if listing > 0 && segments.is_subset(&read) {
            return Ok(loaded);
        }
        for name in segments.difference(&read.clone()) {
            if loaded.segment(&folder.join(name), bytes_max, &|_| true)? {
                read.insert(name.clone());
            }
        }
    }
    let error = io::Error::other("its segments are replaced faster than they can be read");
    Err(StoreError::Io { action: "read the store", path: folder.to_owned(), error })
}
