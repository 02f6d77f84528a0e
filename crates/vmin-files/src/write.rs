//! Writing files: whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` through a sibling that is synced and renamed; what is no file, such as a
/// device or a pipe, is written to as it is.
///
/// # Errors
/// What the file system says; the old file, if any, is then untouched and the sibling removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_set(&[(path.to_owned(), bytes)]).map_err(|(_, error)| error)
}

/// Writes files that belong together: all siblings are written and synced before the first is
/// renamed, so that a disk that fills up leaves the old set.
///
/// # Errors
/// The path that failed and what the file system says; the siblings are then removed.
pub fn write_set(files: &[(PathBuf, &[u8])]) -> Result<(), (PathBuf, io::Error)> {
    let mut siblings = Vec::with_capacity(files.len());
    let written = files.iter().try_for_each(|(path, bytes)| {
        write_sibling(path, bytes, &mut siblings).map_err(|error| (path.clone(), error))
    });
    let renamed = written.and_then(|()| {
        files.iter().zip(&siblings).try_for_each(|((path, bytes), sibling)| {
            match sibling {
                Some(sibling) => std::fs::rename(sibling, path),
                None => std::fs::write(path, bytes),
            }
            .map_err(|error| (path.clone(), error))
        })
    });
    if renamed.is_err() {
        for sibling in siblings.into_iter().flatten() {
            let _ = std::fs::remove_file(sibling);
        }
    }
    renamed
}

/// Adds the sibling of `path`, or none where it must not be replaced.
fn write_sibling(path: &Path, bytes: &[u8], siblings: &mut Vec<Option<PathBuf>>) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        siblings.push(None);
        return Ok(());
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let sibling = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let mut file = File::create(&sibling)?;
    siblings.push(Some(sibling));
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.json");
        write_whole(&path, b"one").expect("written");
        write_whole(&path, b"two").expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"two");
        let blocked = folder.path().join("folder");
        std::fs::create_dir(&blocked).expect("made");
        std::fs::write(blocked.join("x"), b"").expect("made");
        assert!(write_whole(&blocked, b"three").is_err());
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 2, "no leftovers");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_stays_a_device() {
        let folder = tempfile::tempdir().expect("a folder");
        // A link, so that a failure replaces the link alone.
        let link = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).expect("linked");
        write_whole(&link, b"gone").expect("written");
        assert!(std::fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1, "no leftovers");
    }
}
