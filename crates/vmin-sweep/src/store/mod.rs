//! The store: a folder of trials that experiments share.
//!
//! A trial is named by value ([`TrialId`]), the same in every experiment that contains it. A store keeps the counts of
//! such trials, so that no experiment runs again what another has run.
//!
//! ```text
//!  DIR/trials-1-….jsonl    a segment: one process appended to it, one line a record
//!      5b2e91a0 {"trial":{"candidate":"…","chip":{…},"supplies":{…},"images":"…"},"counts":{"correct":871,…}}
//!      0c77d1fe {"about":{"of":"candidate","id":"…","words":{"network":"builtin:shapes-cnn",…}}}
//!  DIR/store.lock          keeps compactions and new segments apart
//! ```
//!
//! A line is the CRC-32 of its JSON in eight hexadecimal digits, a space, the JSON, a newline. The version of the format is the number
//! in the name of the segment. Many processes use a store at once: each appends to a segment of its own, which it
//! keeps locked, and reads those of all. The order of lines and of segments carries no meaning.
//!
//! Half a line at the end of a segment is what a kill leaves: it is passed over. Any other bad line is damage: that
//! line is lost and told ([`Store::damage`]). Two records of one trial that disagree are an error. Other files in the
//! folder are kept and told ([`Store::foreign`]).
//!
//! ```
//! use vmin_sweep::store::Store;
//! # use vmin_sweep::{ChipId, Counts, Record, TrialId};
//! # let folder = tempfile::tempdir()?;
//! # let chip = ChipId { chip: "c".into(), number: 0, offset_bits: 0 };
//! # let trial = TrialId { candidate: "n".into(), chip, supplies: Default::default(), images: "i:0+9".into() };
//! # let record = Record { trial, counts: Counts { correct: 8, ..Counts::default() } };
//! let store = Store::open(folder.path())?;
//! store.append(&record)?;
//! store.sync()?;
//! assert_eq!(Store::open(folder.path())?.get(&record.trial), Some(record.counts));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod about;
mod compact;
mod error;
mod index;
mod load;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

pub use about::{About, AboutWhat};
pub use compact::{Compacted, compact};
pub use error::StoreError;
pub use index::Group;
pub use load::Damage;

use crate::journal::{ChipId, Counts, Log, Record, SupplyId, TrialId, encode};
use index::{Added, Index};
use load::{Loaded, load};
use vmin_accel::PerMemory;

/// Most bytes that the trials of a store take in memory: about ten million trials.
const HELD_BYTES_MAX: u64 = 2 << 30;

/// The segment of this process.
struct Open {
    path: PathBuf,
    log: Box<dyn Log>,
    is_dirty: bool,
    /// Whether anything was written.
    is_used: bool,
}

/// Begins a segment in a folder; gives its path too.
type Makes = dyn Fn(&Path) -> Result<(PathBuf, Box<dyn Log>), StoreError> + Send + Sync;

/// A folder of trials that experiments share; see the module. All of it may be used from several threads.
pub struct Store {
    folder: PathBuf,
    found: Found,
    state: RwLock<State>,
    open: Mutex<Option<Open>>,
    makes: Box<Makes>,
}

struct State {
    index: Index,
    segments: Vec<PathBuf>,
}

/// What was found in the folder when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    segments: usize,
    bytes: u64,
    duplicates: u64,
    damage: Damage,
    foreign: Vec<String>,
}

impl Store {
    /// Reads all trials of a folder. An absent folder is an empty store; nothing is made before the first record.
    ///
    /// # Errors
    /// The folder cannot be read, two records disagree, there are too many, or another version of vmin wrote them.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::make(folder, |folder| {
            let (path, file) = segment::create(folder)?;
            Ok((path, Box::new(file) as Box<dyn Log>))
        })
    }

    /// A store whose segments are what `makes` makes, for tests of what happens when writing fails.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn over(
        folder: &Path,
        makes: impl Fn() -> io::Result<Box<dyn Log>> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        Self::make(folder, move |folder| {
            let path = segment::fresh(folder, 0);
            let io =
                |error| StoreError::Io { action: "write to the store", path: path.clone(), error };
            Ok((path.clone(), makes().map_err(io)?))
        })
    }

    fn make(
        folder: &Path,
        makes: impl Fn(&Path) -> Result<(PathBuf, Box<dyn Log>), StoreError> + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let Loaded { index, segments, bytes, duplicates, damage, foreign, .. } =
            load(folder, HELD_BYTES_MAX)?;
        let found = Found { segments: segments.len(), bytes, duplicates, damage, foreign };
        Ok(Self {
            folder: folder.to_owned(),
            found,
            state: RwLock::new(State { index, segments }),
            open: Mutex::new(None),
            makes: Box::new(makes),
        })
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The counts of a trial, if it is there.
    #[must_use]
    pub fn get(&self, trial: &TrialId) -> Option<Counts> {
        self.read(|state| state.index.get(trial))
    }

    /// The counts of a candidate on a chip at its supplies over any images, with these, in order.
    pub fn find(
        &self,
        candidate: &str,
        chip: &ChipId,
        supplies: &PerMemory<Option<SupplyId>>,
    ) -> impl Iterator<Item = (String, Counts)> + use<> {
        self.read(|state| state.index.find(candidate, chip, supplies)).into_iter()
    }

    /// Trials, each once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(|state| state.index.len())
    }

    /// True if there is no trial.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records of trials that are `wanted`, sorted.
    #[must_use]
    pub fn select(&self, wanted: impl Fn(&TrialId) -> bool) -> Vec<Record> {
        let mut records: Vec<Record> = self
            .read(|state| state.index.records().filter(|record| wanted(&record.trial)).collect());
        records.sort();
        records
    }

    /// Trials by candidate, images and supplies.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        self.read(|state| state.index.groups())
    }

    /// Words about a digest, if some are there.
    #[must_use]
    pub fn about(&self, of: AboutWhat, id: &str) -> Option<BTreeMap<String, String>> {
        self.read(|state| state.index.about(of, id).cloned())
    }

    /// Segments that were read when it was opened, and their bytes.
    #[must_use]
    pub const fn segments(&self) -> (usize, u64) {
        (self.found.segments, self.found.bytes)
    }

    /// Lines that say again what another says.
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.found.duplicates
    }

    /// Lines that were lost.
    #[must_use]
    pub const fn damage(&self) -> &Damage {
        &self.found.damage
    }

    /// Names of files in the folder that are none of a store; they are kept.
    #[must_use]
    pub fn foreign(&self) -> &[String] {
        &self.found.foreign
    }

    /// Begins the segment of this process, which else the first record does: tells early whether the folder can be
    /// written to.
    ///
    /// # Errors
    /// It cannot.
    pub fn begin(&self) -> Result<(), StoreError> {
        self.begun(&mut self.opened()).map(|_| ())
    }

    /// Appends a record, unless it is there; true if it was new.
    ///
    /// # Errors
    /// It could not be written, disagrees with one that is there, or is beyond the memory that a store may take.
    /// After a failed write the next record begins another segment.
    pub fn append(&self, record: &Record) -> Result<bool, StoreError> {
        let mut open = self.opened();
        match self.read(|state| state.index.would_add(record)) {
            Added::Same => return Ok(false),
            Added::Other(segment) => {
                return Err(StoreError::Disagree {
                    path: self.read(|state| state.segments[segment as usize].clone()),
                    other: "what was run now".to_owned(),
                    trial: Box::new(record.trial.clone()),
                });
            }
            Added::New | Added::Full => {}
        }
        let line = encode(record);
        let path = self.write(&mut open, &line)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.segments.last() != Some(&path) {
            state.segments.push(path);
        }
        let segment = u32::try_from(state.segments.len() - 1).expect("fewer files than that");
        match state.index.add(record, segment, line.len()) {
            Added::Full => {
                Err(StoreError::TooMany { folder: self.folder.clone(), bytes_max: HELD_BYTES_MAX })
            }
            Added::New | Added::Same | Added::Other(_) => Ok(true),
        }
    }

    /// Appends a description, unless its digest has one.
    ///
    /// # Errors
    /// Those of [`Store::append`].
    pub fn describe(&self, about: &About) -> Result<(), StoreError> {
        let mut open = self.opened();
        if self.read(|state| state.index.about(about.of, &about.id).is_some()) {
            return Ok(());
        }
        self.write(&mut open, &segment::about_line(about))?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.index.describe(about.clone());
        Ok(())
    }

    /// Makes all appended records durable.
    ///
    /// # Errors
    /// The system refuses.
    pub fn sync(&self) -> Result<(), StoreError> {
        let mut open = self.opened();
        let Some(segment) = open.as_mut().filter(|segment| segment.is_dirty) else { return Ok(()) };
        segment.is_dirty = false;
        let path = &segment.path;
        segment.log.sync().map_err(|error| StoreError::Io {
            action: "write to the store",
            path: path.clone(),
            error,
        })
    }

    fn read<T>(&self, of: impl FnOnce(&State) -> T) -> T {
        of(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn opened(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun<'o>(&self, open: &'o mut Option<Open>) -> Result<&'o mut Open, StoreError> {
        match open {
            Some(segment) => Ok(segment),
            None => {
                let (path, log) = (self.makes)(&self.folder)?;
                Ok(open.insert(Open { path, log, is_dirty: false, is_used: false }))
            }
        }
    }

    /// Appends a line to the segment of this process; gives its path.
    fn write(&self, open: &mut Option<Open>, line: &str) -> Result<PathBuf, StoreError> {
        if line.len() > segment::LINE_BYTES_MAX {
            return Err(StoreError::LongLine { folder: self.folder.clone(), bytes: line.len() });
        }
        let segment = self.begun(open)?;
        let path = segment.path.clone();
        match segment.log.append(line.as_bytes()) {
            Ok(()) => {
                (segment.is_dirty, segment.is_used) = (true, true);
                Ok(path)
            }
            Err(error) => {
                // It may end in half a line. What it holds is made durable if that can be.
                let _ = segment.log.sync();
                *open = None;
                Err(StoreError::Io { action: "write to the store", path, error })
            }
        }
    }
}

impl Drop for Store {
    /// Removes a segment that was begun and not used.
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(Open { path, .. }) = open.as_ref().filter(|segment| !segment.is_used) {
            let _ = std::fs::remove_file(path);
        }
    }
}
