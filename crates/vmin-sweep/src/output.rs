//! Result files appear whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Writes `bytes` to `path` through a sibling that is synced and renamed.
///
/// # Errors
/// What the file system says; the old file, if any, is then untouched and the sibling removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let sibling = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&sibling)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&sibling, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&sibling);
    }
    written
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
