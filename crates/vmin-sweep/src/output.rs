//! Result files appear whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` through a sibling that is synced and renamed.
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
        files.iter().zip(&siblings).try_for_each(|((path, _), sibling)| {
            std::fs::rename(sibling, path).map_err(|error| (path.clone(), error))
        })
    });
    if renamed.is_err() {
        for sibling in siblings {
            let _ = std::fs::remove_file(sibling);
        }
    }
    renamed
}

fn write_sibling(path: &Path, bytes: &[u8], siblings: &mut Vec<PathBuf>) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let sibling = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let mut file = File::create(&sibling)?;
    siblings.push(sibling);
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
}
