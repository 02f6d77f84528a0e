//! Writing files: whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Most links followed to a file.
const LINKS_MAX: usize = 40;

/// Writes `bytes` to `path` through a sibling that is synced and renamed. An existing file keeps its mode, a link
/// its place; what is no file, such as a device or a pipe, is written to as it is. Siblings that a killed process
/// left behind are removed.
///
/// # Errors
/// What the file system says; the old file, if any, is then untouched and the sibling removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_set(&[(path.to_owned(), bytes)]).map_err(|(_, error)| error)
}

/// What a file is to hold: writes it, perhaps piece by piece.
pub type Content<'a> = dyn Fn(&mut (dyn Write + Send)) -> io::Result<()> + 'a;

/// [`write_streams`] of bytes.
///
/// # Errors
/// See there.
pub fn write_set(files: &[(PathBuf, &[u8])]) -> Result<(), (PathBuf, io::Error)> {
    let contents: Vec<Box<Content<'_>>> = files
        .iter()
        .map(|(_, bytes)| -> Box<Content<'_>> { Box::new(|out| out.write_all(bytes)) })
        .collect();
    let streams: Vec<_> =
        files.iter().zip(&contents).map(|((path, _), one)| (path.clone(), &**one)).collect();
    write_streams(&streams)
}

/// The first path that an earlier one leads to as well; devices may be named often.
fn named_twice<'p>(paths: impl Iterator<Item = &'p PathBuf>) -> Option<&'p PathBuf> {
    let mut known = std::collections::BTreeSet::new();
    paths
        .filter(|path| path.is_file() || !path.exists())
        .find(|path| !known.insert(std::path::absolute(path).unwrap_or_else(|_| (*path).clone())))
}

/// Writes files that belong together: all siblings are written and synced before the first is
/// renamed, so that a disk that fills up leaves the old set.
///
/// # Errors
/// The path that failed and what the file system says; the siblings are then removed.
pub fn write_streams(files: &[(PathBuf, &Content<'_>)]) -> Result<(), (PathBuf, io::Error)> {
    if let Some(path) = named_twice(files.iter().map(|(path, _)| path)) {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "two outputs have this path");
        return Err((path.clone(), error));
    }
    let mut siblings = Vec::with_capacity(files.len());
    let written = files.iter().try_for_each(|(path, content)| {
        write_sibling(path, content, &mut siblings).map_err(|error| (path.clone(), error))
    });
    let renamed = written.and_then(|()| {
        files.iter().zip(&siblings).try_for_each(|((path, content), sibling)| {
            match sibling {
                Some(sibling) => std::fs::rename(&sibling.path, &sibling.target),
                None => File::create(path).and_then(|mut file| write_to(&mut file, content)),
            }
            .map_err(|error| (path.clone(), error))
        })
    });
    if renamed.is_ok() {
        files.iter().for_each(|(path, _)| log::debug!("wrote `{}`", path.display()));
    }
    let siblings = siblings.into_iter().flatten();
    if renamed.is_ok() {
        sync_folders(siblings);
    } else {
        for sibling in siblings {
            let _ = std::fs::remove_file(sibling.path);
        }
    }
    renamed
}

/// A file that will replace `target`.
struct Sibling {
    path: PathBuf,
    target: PathBuf,
    /// Open and locked, which tells that its writer lives.
    _file: File,
}

/// Adds the sibling of `path`, or none where it must not be replaced.
fn write_sibling(
    path: &Path,
    content: &Content<'_>,
    siblings: &mut Vec<Option<Sibling>>,
) -> io::Result<()> {
    let target = behind_links(path)?;
    let there = std::fs::metadata(&target).ok();
    if there.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) {
        siblings.push(None);
        return Ok(());
    }
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    remove_left_behind(folder_of(&target), &name);
    let sibling = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let mut file = File::create(&sibling)?;
    // A file system without locks still has names.
    let _ = file.try_lock();
    siblings.push(Some(Sibling { path: sibling, target, _file: file.try_clone()? }));
    if let Some(there) = there.filter(std::fs::Metadata::is_file) {
        file.set_permissions(there.permissions())?;
    }
    write_to(&mut file, content)?;
    file.sync_all()
}

fn write_to(file: &mut File, content: &Content<'_>) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    content(&mut out)?;
    out.flush()
}

/// The path that a link leads to, whether or not something is there.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidFilename, "it is a link that leads back to itself"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes the siblings of `name` whose writers were killed: nobody has locked them, and no process of this machine
/// has their number.
fn remove_left_behind(folder: &Path, name: &str) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file
            && is_of_the_dead(&entry.file_name(), name, ".tmp")
            && crate::open(&entry.path()).is_ok_and(|file| file.try_lock().is_ok())
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Whether a process that lives no more called a sibling of `name` so: `.NAME.PID` and the suffix.
pub(crate) fn is_of_the_dead(sibling: &std::ffi::OsStr, name: &str, suffix: &str) -> bool {
    let writer = sibling
        .to_str()
        .and_then(|sibling| sibling.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('.'))
        .and_then(|rest| rest.strip_suffix(suffix)?.parse::<u32>().ok());
    writer.is_some_and(|writer| {
        writer != std::process::id() && !Path::new(&format!("/proc/{writer}")).exists()
    })
}

/// Makes renames durable, where folders can be synced.
fn sync_folders(siblings: impl Iterator<Item = Sibling>) {
    let mut folders: Vec<PathBuf> = siblings.map(|one| folder_of(&one.target).to_owned()).collect();
    folders.dedup();
    folders.iter().for_each(|folder| sync_folder(folder));
}

/// Makes new names in a folder durable, where folders can be synced.
pub fn sync_folder(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
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

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_mode_a_mode() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let [below, file, link, loose] =
            ["below", "below/file", "link", "loose"].map(|name| folder.path().join(name));
        std::fs::create_dir(&below).expect("made");
        std::fs::write(&file, b"old").expect("written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("set");
        symlink("below/file", &link).expect("linked");
        symlink("below/new", &loose).expect("linked");
        for (link, file) in [(&link, &file), (&loose, &below.join("new"))] {
            write_whole(link, b"new").expect("written");
            assert!(std::fs::symlink_metadata(link).expect("there").is_symlink());
            assert_eq!(std::fs::read(file).expect("there"), b"new");
        }
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        symlink("round", folder.path().join("round")).expect("linked");
        assert!(write_whole(&folder.path().join("round"), b"").is_err());
    }

    #[test]
    fn siblings_of_killed_processes_are_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        // No process has such a number.
        let dead = path(".a.json.4294967295.tmp");
        let others =
            [path(".b.json.4294967295.tmp"), path(".a.json.tmp"), path(".a.json.4294967294.tmp")];
        for sibling in others.iter().chain([&dead]) {
            std::fs::write(sibling, b"half").expect("written");
        }
        let writing = File::open(&others[2]).expect("there");
        writing.lock().expect("locked");
        write_whole(&path("a.json"), b"whole").expect("written");
        assert!(!dead.exists());
        assert!(others.iter().all(|other| other.exists()));
    }
}
