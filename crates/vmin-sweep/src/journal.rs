//! The append-only journal: no finished trial is lost.
//!
//! One text line per record: the CRC-32 of the rest in eight hex digits, a space, JSON, newline.
//!
//! ```text
//! 5b2e91a0 {"journal":3,"plan":"<sha256>","keys":{"seed":"1",…}}
//! 0c77d1fe {"trial":{"candidate":"…","chip":{…},"supplies":{…},"images":"…:0+1000"},"counts":{"correct":871,…}}
//! ```
//!
//! A kill or a full disk can leave half a line at the end. Opening for resumption keeps the longest
//! prefix of whole, correct lines and cuts the rest off; a bad line *before* good ones is not the
//! trace of a crash but damage, and is refused. The order of records carries no meaning.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vmin_accel::PerMemory;

/// Version of the format; a journal of another version is refused.
const VERSION: u32 = 3;

/// Largest journal read, in bytes: ten million trials.
const BYTES_MAX: u64 = 4 << 30;

/// The chip of a trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipId {
    /// Digest of the values that decide about its cells: population, seed and fault kind, or the chip file.
    pub chip: String,
    /// Its number.
    pub number: u32,
    /// Offset of the network on it.
    pub offset_bits: u64,
}

/// The supply of a memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupplyId {
    /// In mV, for readers.
    pub vdd_mv: f64,
    /// Digest of all supplies of its cells, with the thresholds that decide which of them fail.
    pub cells: String,
}

impl PartialEq for SupplyId {
    fn eq(&self, other: &Self) -> bool {
        self.cells == other.cells
    }
}

impl Eq for SupplyId {}

impl PartialOrd for SupplyId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SupplyId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.cells.cmp(&other.cells)
    }
}

/// The name of a trial, the same in every experiment that contains it: one candidate on one chip at one set of
/// supplies over one range of images.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialId {
    /// Digest of network, placement and protection.
    pub candidate: String,
    /// The chip.
    pub chip: ChipId,
    /// The supply of each memory that can err.
    pub supplies: PerMemory<Option<SupplyId>>,
    /// Digest of the image set, first image and number of images: `set:first+count`.
    pub images: String,
}

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "candidate {} on chip {}", self.candidate, self.chip.number)?;
        for (memory, supply) in self.supplies.present() {
            write!(f, ", {} memory at {} mV", memory.word(), supply.vdd_mv)?;
        }
        Ok(())
    }
}

/// What a trial did. Pairs are faulty cells met and bits changed: of weights at each read, of activations and
/// partial sums over all images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Images whose prediction is right under bit errors.
    pub correct: u64,
    /// Images whose prediction is right without *and* with bit errors.
    pub correct_union: u64,
    /// Of the weight memory; transient errors summed over all images.
    pub weight: [u64; 2],
    /// Of the activation memory.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub activation: [u64; 2],
    /// Of the accumulator memory, at every read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accumulator: [u64; 2],
}

fn is_zero(counts: &[u64; 2]) -> bool {
    *counts == [0, 0]
}

/// One trial and its counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The trial.
    pub trial: TrialId,
    /// Its counts.
    pub counts: Counts,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    journal: u32,
    plan: String,
    #[serde(default)]
    keys: BTreeMap<String, String>,
}

impl Header {
    fn new(of: JournalOf) -> Self {
        let JournalOf { plan, keys } = of;
        Self { journal: VERSION, plan, keys }
    }
}

/// The plan whose trials a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalOf {
    /// Its digest, which decides.
    pub plan: String,
    /// Keys of its experiment with their values, to name those that differ.
    pub keys: BTreeMap<String, String>,
}

impl JournalOf {
    /// What differs from the plan at hand, in words.
    fn differs(&self, here: &Self) -> String {
        const LONGEST: usize = 60;
        if self.keys.is_empty() {
            return "it does not hold the keys of its experiment".to_owned();
        }
        let names: BTreeSet<&String> = self.keys.keys().chain(here.keys.keys()).collect();
        let words = names.into_iter().filter_map(|name| {
            let value = |of: &Self| of.keys.get(name).cloned().unwrap_or_else(|| "absent".into());
            let (there, here) = (value(self), value(here));
            let is_short = there.len().max(here.len()) <= LONGEST;
            match (there == here, is_short) {
                (true, _) => None,
                (false, true) => Some(format!("`{name}` is {there} there and {here} here")),
                (false, false) => Some(format!("`{name}` is another")),
            }
        });
        let words: Vec<String> = words.collect();
        if words.is_empty() {
            return "its keys are the same, but a file that they name, or the version of vmin, is another"
                .to_owned();
        }
        words.join(", ")
    }
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("cannot {action} the journal `{}`: {error}", path.display())]
    Io {
        /// The action.
        action: &'static str,
        /// The journal.
        path: PathBuf,
        /// The system's error.
        #[source]
        error: io::Error,
    },
    /// Another process is writing it.
    #[error("the journal `{}` is in use by another run", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// There is an unfinished one already and resumption was not asked for.
    #[error("`{}` is the journal of an unfinished run", path.display())]
    Exists {
        /// The journal.
        path: PathBuf,
    },
    /// It belongs to another experiment.
    #[error("the journal `{}` belongs to another experiment: {differs}", path.display())]
    OtherPlan {
        /// The journal.
        path: PathBuf,
        /// What differs, in words.
        differs: String,
    },
    /// It is in another format.
    #[error(
        "the journal `{}` was written by {} vmin: it is of version {found}, this program reads version {VERSION}; go on with that vmin, or begin anew",
        path.display(),
        if *found > VERSION { "a newer" } else { "an older" }
    )]
    OtherVersion {
        /// The journal.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A line before the last is damaged.
    #[error("line {line} of the journal `{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// One-based line.
        line: usize,
        /// The damage.
        reason: &'static str,
    },
}

/// The operations of a journal on its file; tests make the n-th write fail.
pub trait Log: Send {
    /// Appends all bytes or fails, possibly after some of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all appended bytes durable.
    fn sync(&mut self) -> io::Result<()>;
}

impl Log for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// An open journal.
pub struct Journal<L: Log = File> {
    path: PathBuf,
    log: L,
}

impl Journal {
    /// Starts a new journal at `path`, or continues the one there if `resume` or if it holds all
    /// of the `wanted` records already; returns it with the records it holds, in order of
    /// their trials, each once. The file stays locked while open.
    ///
    /// # Errors
    /// See [`JournalError`]. Nothing is written if an existing journal does not fit.
    pub fn open(
        path: &Path,
        of: &JournalOf,
        wanted: u64,
        resume: bool,
    ) -> Result<(Self, Vec<Record>), JournalError> {
        let io = |action| {
            let path = path.to_owned();
            move |error| JournalError::Io { action, path, error }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(io("open"))?;
        locked(file.try_lock(), path)?;
        let content = content(&mut file, path, of)?;
        let mut journal = Self { path: path.to_owned(), log: file };
        if content.of.is_none() {
            journal.cut(0)?;
            journal.line(&Header::new(of.clone()))?;
            journal.log.sync().map_err(io("write"))?;
            return Ok((journal, Vec::new()));
        }
        if !resume && (content.records.len() as u64) < wanted {
            return Err(JournalError::Exists { path: path.to_owned() });
        }
        journal.cut(content.valid_bytes)?;
        Ok((journal, content.records))
    }

    /// The records of a journal that no run is writing, as [`Self::open`] gives them; the file stays as it is.
    ///
    /// # Errors
    /// See [`JournalError`].
    pub fn read(path: &Path, of: &JournalOf) -> Result<Vec<Record>, JournalError> {
        let opened = vmin_files::open(path);
        let mut file = opened.map_err(|error| JournalError::Io {
            action: "open",
            path: path.to_owned(),
            error,
        })?;
        locked(file.try_lock_shared(), path)?;
        Ok(content(&mut file, path, of)?.records)
    }

    fn cut(&mut self, bytes: usize) -> Result<(), JournalError> {
        let error = |error| JournalError::Io { action: "repair", path: self.path.clone(), error };
        let length = self.log.metadata().map_err(error)?.len();
        if length != bytes as u64 {
            self.log.set_len(bytes as u64).map_err(error)?;
            self.log.seek(io::SeekFrom::End(0)).map_err(error)?;
        }
        Ok(())
    }
}

impl<L: Log> Journal<L> {
    /// A journal over any log, for tests of what happens when writing fails.
    pub fn over(log: L, path: &Path) -> Self {
        Self { path: path.to_owned(), log }
    }

    /// Appends one record.
    ///
    /// # Errors
    /// If it could not be written; the journal then ends in at most half a line.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        self.line(record)
    }

    /// Makes all records durable.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let path = &self.path;
        self.log.sync().map_err(|error| JournalError::Io {
            action: "write",
            path: path.clone(),
            error,
        })
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), JournalError> {
        let line = encode(value);
        let path = &self.path;
        self.log.append(line.as_bytes()).map_err(|error| JournalError::Io {
            action: "write",
            path: path.clone(),
            error,
        })
    }
}

/// What trying to lock the journal says.
fn locked(lock: Result<(), TryLockError>, path: &Path) -> Result<(), JournalError> {
    let path = path.to_owned();
    lock.map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked { path },
        TryLockError::Error(error) => JournalError::Io { action: "lock", path, error },
    })
}

/// The content of a journal of this plan; one that is new, or cut in its first line, has no plan and no records.
fn content(file: &mut File, path: &Path, of: &JournalOf) -> Result<Content, JournalError> {
    let io = |error| JournalError::Io { action: "read", path: path.to_owned(), error };
    let length = file.metadata().map_err(io)?.len();
    let text = if length > BYTES_MAX {
        None
    } else {
        vmin_files::read_within(file, BYTES_MAX).map_err(io)?
    };
    let text = text.ok_or_else(|| io(io::ErrorKind::FileTooLarge.into()))?;
    if let Some(found) = version(&text).filter(|&found| found != VERSION) {
        return Err(JournalError::OtherVersion { path: path.to_owned(), found });
    }
    let damaged = |(line, reason)| JournalError::Damaged { path: path.to_owned(), line, reason };
    let content = parse(&text).map_err(damaged)?;
    match &content.of {
        // Any other file is kept.
        None if !encode(&Header::new(of.clone())).as_bytes().starts_with(&text) => {
            Err(damaged((1, "it is not the beginning of a journal")))
        }
        Some(found) if found.plan != of.plan => {
            let differs = found.differs(of);
            Err(JournalError::OtherPlan { path: path.to_owned(), differs })
        }
        None | Some(_) => Ok(content),
    }
}

/// The line of a value, as journals and stores hold it.
pub(crate) fn encode(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("integers and texts always serialise");
    format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()))
}

#[derive(Debug, Default)]
struct Content {
    of: Option<JournalOf>,
    records: Vec<Record>,
    valid_bytes: usize,
}

/// Parses whole lines up to the first bad one; a bad one that is not the last is an error.
fn parse(text: &[u8]) -> Result<Content, (usize, &'static str)> {
    let mut content = Content::default();
    let mut rest = text;
    let mut number = 0;
    let mut bad = None;
    while !rest.is_empty() {
        number += 1;
        let end = rest.iter().position(|&byte| byte == b'\n');
        let (line, next) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        let read = if end.is_none() {
            Err("it is cut short")
        } else {
            read_line(line, number, &mut content)
        };
        match (read, bad) {
            (Ok(()), None) => content.valid_bytes = text.len() - next.len(),
            (Ok(()), Some(bad)) => return Err(bad),
            (Err(reason), None) => bad = Some((number, reason)),
            (Err(_), Some(_)) => {}
        }
        rest = next;
    }
    content.records.sort_unstable();
    for pair in content.records.windows(2) {
        if pair[0].trial == pair[1].trial && pair[0].counts != pair[1].counts {
            return Err((number, "two records of one trial disagree"));
        }
    }
    content.records.dedup();
    Ok(content)
}

/// The version in the header, if it is whole.
fn version(text: &[u8]) -> Option<u32> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let header: serde_json::Value = serde_json::from_str(checked(&text[..end]).ok()?).ok()?;
    u32::try_from(header.get("journal")?.as_u64()?).ok()
}

/// The JSON of a line whose checksum is right.
pub(crate) fn checked(line: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let (sum, json) = text.split_once(' ').ok_or("it has no checksum")?;
    if u32::from_str_radix(sum, 16) != Ok(crc32fast::hash(json.as_bytes())) || sum.len() != 8 {
        return Err("its checksum is wrong");
    }
    Ok(json)
}

fn read_line(line: &[u8], number: usize, content: &mut Content) -> Result<(), &'static str> {
    let json = checked(line)?;
    if number == 1 {
        let header: Header =
            serde_json::from_str(json).map_err(|_| "it is not a journal header")?;
        content.of = Some(JournalOf { plan: header.plan, keys: header.keys });
    } else {
        content.records.push(serde_json::from_str(json).map_err(|_| "it is not a record")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(plan: &str) -> JournalOf {
        let keys = [("seed".to_owned(), plan.to_owned()), ("data".to_owned(), "d".to_owned())];
        JournalOf { plan: plan.into(), keys: keys.into() }
    }

    #[test]
    fn keys_that_differ_are_named() {
        let mut more = of("q");
        more.keys.insert("remedies".into(), "a".repeat(70));
        assert_eq!(of("p").differs(&more), "`remedies` is another, `seed` is p there and q here");
        assert!(of("p").differs(&of("p")).contains("a file that they name"));
        assert!(JournalOf::default().differs(&more).contains("does not hold the keys"));
    }

    fn record(chip: u32) -> Record {
        let chip = ChipId { chip: "c".into(), number: chip, offset_bits: 0 };
        let supply = SupplyId { vdd_mv: 900.0, cells: "s".into() };
        let supplies = PerMemory { weight: Some(supply), ..PerMemory::default() };
        let trial = TrialId { candidate: "n".into(), chip, supplies, images: "i:0+100".into() };
        let counts = Counts { correct: 90, correct_union: 89, weight: [7, 4], ..Counts::default() };
        Record { trial, counts }
    }

    fn full(records: u32) -> String {
        let mut text = encode(&Header::new(of("p")));
        for chip in 0..records {
            text.push_str(&encode(&record(chip)));
        }
        text
    }

    #[test]
    fn cut_at_every_byte_a_prefix_of_the_records_survives() {
        let text = full(5);
        for end in 0..=text.len() {
            let content = parse(&text.as_bytes()[..end]).expect("a cut is no damage");
            let lines = text.as_bytes()[..end].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(content.records.len(), lines.saturating_sub(1), "cut at {end}");
            assert!(content.valid_bytes <= end);
        }
    }

    #[test]
    fn damage_before_good_lines_is_refused() {
        let mut bytes = full(5).into_bytes();
        let second = bytes.iter().position(|&byte| byte == b'\n').expect("lines") + 20;
        bytes[second] ^= 1;
        assert_eq!(parse(&bytes).expect_err("damaged").0, 2);
    }

    #[test]
    fn a_damaged_header_and_foreign_files_are_kept_and_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        let mut flipped = full(3).into_bytes();
        flipped[14] ^= 1;
        let header_alone = {
            let mut header = full(0).into_bytes();
            header[14] ^= 1;
            header
        };
        let texts: [&[u8]; 4] =
            [&flipped, &header_alone, b"my precious notes\nline two\n", b"no newline"];
        for text in texts {
            std::fs::write(&path, text).expect("written");
            for resume in [false, true] {
                let error = Journal::open(&path, &of("p"), 5, resume).err().expect("refused");
                assert!(matches!(error, JournalError::Damaged { line: 1, .. }), "{error}");
                assert_eq!(std::fs::read(&path).expect("kept"), text);
            }
        }
    }

    #[test]
    fn a_journal_of_another_version_is_named_and_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        for (version, written_by) in [(VERSION + 1, "a newer vmin"), (1, "an older vmin")] {
            let header = serde_json::json!({ "journal": version, "of": "then" });
            let text = encode(&header) + &encode(&record(1));
            std::fs::write(&path, &text).expect("written");
            let error = Journal::open(&path, &of("p"), 5, true).err().expect("refused").to_string();
            assert!(error.contains(written_by), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("kept"), text);
        }
    }

    #[test]
    fn resumption_continues_where_the_crash_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        std::fs::write(&path, &full(3).as_bytes()[..full(3).len() - 9]).expect("written");
        let (mut journal, records) = Journal::open(&path, &of("p"), 5, true).expect("resumed");
        assert_eq!(records.len(), 2);
        journal.append(&record(2)).expect("appended");
        drop(journal);
        let (_, records) = Journal::open(&path, &of("p"), 5, true).expect("resumed again");
        assert_eq!(records.len(), 3);
    }

    #[test]
    fn a_journal_is_neither_overwritten_nor_mixed_nor_shared() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal.jsonl");
        let (journal, _) = Journal::open(&path, &of("p"), 5, false).expect("new");
        assert!(matches!(
            Journal::open(&path, &of("p"), 5, true),
            Err(JournalError::Locked { .. })
        ));
        drop(journal);
        assert!(matches!(
            Journal::open(&path, &of("p"), 5, false),
            Err(JournalError::Exists { .. })
        ));
        assert!(matches!(
            Journal::open(&path, &of("q"), 5, true),
            Err(JournalError::OtherPlan { .. })
        ));
    }

    /// A disk that is full after so many bytes.
    struct SmallDisk {
        bytes: Vec<u8>,
        capacity: usize,
    }

    impl Log for SmallDisk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let room = self.capacity - self.bytes.len();
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_only_the_record_that_did_not_fit() {
        for capacity in 0..full(4).len() {
            let disk = SmallDisk { bytes: Vec::new(), capacity };
            let mut journal = Journal::over(disk, Path::new("j"));
            let mut written = 0;
            if journal.line(&Header::new(of("p"))).is_ok() {
                written = (0..4).take_while(|&chip| journal.append(&record(chip)).is_ok()).count();
            }
            let content = parse(&journal.log.bytes).expect("a cut is no damage");
            assert_eq!(content.records.len(), written, "disk of {capacity} bytes");
        }
    }
}
