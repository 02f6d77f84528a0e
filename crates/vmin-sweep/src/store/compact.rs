//! Compaction: the segments of a store as one.
//!
//! ```text
//!  lock the folder, lock every segment that nobody writes, read those
//!   ─> one new segment: written beside them, synced, renamed     (killed before: nothing has changed)
//!   ─> the old ones removed, one by one                          (killed before: records are there twice)
//! ```
//!
//! At every moment each trial lies in some whole segment. A reader whose segment vanishes lists the folder again.

use std::path::{Path, PathBuf};

use super::load::{Loaded, listed};
use super::segment::{self, Hold, closed, lock};
use super::{Damage, HELD_BYTES_MAX, StoreError};
use crate::journal::{TrialId, encode};

/// What a compaction did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments that were compacted; none if there was nothing to do.
    pub segments: usize,
    /// Segments that are still being written, left alone.
    pub in_use: usize,
    /// Trials that were kept.
    pub trials: u64,
    /// Trials that were left out, because they were not wanted.
    pub left_out: u64,
    /// Lines that said again what another says.
    pub duplicates: u64,
    /// Lines that were lost before.
    pub damage: Damage,
    /// Bytes of these segments before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Makes one segment of all that nobody writes, with each trial once, without damaged lines and without trials that
/// are not `wanted`. Only looks if `is_dry`.
///
/// # Errors
/// The folder cannot be read or written, two records disagree, or the file system has no locks. All trials are then
/// still there.
pub fn compact(
    folder: &Path,
    wanted: &dyn Fn(&TrialId) -> bool,
    is_dry: bool,
) -> Result<Compacted, StoreError> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |error| StoreError::Io { action, path, error }
    };
    // Another version is refused, and a folder that holds no store left alone, before a lock is made.
    if listed(folder)?.0.is_empty() {
        return Ok(Compacted::default());
    }
    let Some(_alone) = lock(folder, Hold::Alone)? else {
        return Err(StoreError::NoLocks { folder: folder.to_owned() });
    };
    let (names, _) = listed(folder)?;
    let mut loaded = Loaded::new(HELD_BYTES_MAX);
    let (mut held, mut old, mut done) = (Vec::new(), Vec::new(), Compacted::default());
    for path in names.iter().map(|name| folder.join(name)) {
        match closed(&path) {
            // Its writer had begun it for nothing.
            Err(StoreError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(None) => done.in_use += 1,
            Ok(Some(file)) => {
                held.push(file);
                if !loaded.segment(&path, HELD_BYTES_MAX, wanted)? {
                    return Err(io("read the segment", &path)(std::io::ErrorKind::NotFound.into()));
                }
                old.push(path);
            }
        }
    }
    let about: Vec<String> =
        loaded.index.abouts().map(|about| segment::about_line(&about)).collect();
    let size = |lines: &[String]| lines.iter().map(|line| line.len() as u64).sum::<u64>();
    let after = loaded.index.bytes() + size(&about);
    done = Compacted {
        segments: old.len(),
        trials: loaded.index.len() as u64,
        left_out: loaded.left_out,
        duplicates: loaded.duplicates,
        damage: loaded.damage.clone(),
        bytes_before: loaded.bytes,
        bytes_after: after,
        ..done
    };
    if done.segments == 0 || done.segments == 1 && done.bytes_before == after {
        return Ok(Compacted { segments: 0, ..done });
    }
    if !is_dry {
        remove_halves(folder);
        if after > 0 {
            write(folder, &loaded, &about)?;
        }
        for path in &old {
            std::fs::remove_file(path).map_err(io("remove the segment", path))?;
        }
        vmin_files::sync_folder(folder);
    }
    Ok(done)
}

/// Writes all that was read as one segment, whole or not at all.
fn write(folder: &Path, loaded: &Loaded, about: &[String]) -> Result<(), StoreError> {
    let mut attempts = (0..).map(|attempt| segment::fresh(folder, attempt));
    let path: PathBuf = attempts.find(|path| !path.exists()).expect("names never end");
    let content = |out: &mut (dyn std::io::Write + Send)| {
        about.iter().try_for_each(|line| out.write_all(line.as_bytes()))?;
        loaded.index.records().try_for_each(|record| out.write_all(encode(&record).as_bytes()))
    };
    vmin_files::write_streams(&[(path, &content)]).map_err(|(path, error)| StoreError::Io {
        action: "write to the store",
        path,
        error,
    })
}

/// Removes what killed compactions left: under the folder's lock no other is at work.
fn remove_halves(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if segment::is_half_compacted(&entry.file_name().to_string_lossy()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
