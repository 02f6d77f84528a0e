//! Folders that appear whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

use crate::write::is_of_the_dead;

/// A folder that is filled beside its place and then takes it, in place of one that is there.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// An empty folder beside `target`, whose parents are made.
    ///
    /// # Errors
    /// What the file system says.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        std::fs::create_dir_all(&path)?;
        remove_left_behind(target, &name);
        Ok(Self { path, target: target.to_owned() })
    }

    /// Where to put files.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the place; what was there is removed.
    ///
    /// # Errors
    /// What the file system says; what was there is then there again.
    pub fn publish(self) -> io::Result<()> {
        let old = self.path.with_extension("old");
        let replaces = self.target.exists();
        if replaces {
            std::fs::rename(&self.target, &old)?;
        }
        if let Err(error) = std::fs::rename(&self.path, &self.target) {
            if replaces {
                std::fs::rename(&old, &self.target)?;
            }
            return Err(error);
        }
        log::debug!("wrote `{}`", self.target.display());
        if replaces { std::fs::remove_dir_all(old) } else { Ok(()) }
    }
}

/// Removes what killed processes left beside `target`; what one of them had moved away takes its place again.
fn remove_left_behind(target: &Path, name: &str) {
    if !Path::new("/proc/self").exists() {
        return; // Who lives cannot be told.
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (sibling, path) = (entry.file_name(), entry.path());
        let is_old = is_of_the_dead(&sibling, name, ".old");
        if is_old && !target.exists() {
            let _ = std::fs::rename(path, target);
        } else if is_old || is_of_the_dead(&sibling, name, ".tmp") {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No process has this number.
    const DEAD: u32 = u32::MAX;

    #[test]
    fn what_killed_processes_left_is_removed_or_put_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("b");
        let left = |suffix: &str| folder.path().join(format!(".b.{DEAD}.{suffix}"));
        std::fs::create_dir(left("tmp")).expect("made");
        std::fs::create_dir(left("old")).expect("made");
        std::fs::write(left("old").join("kept"), "x").expect("written");
        drop(Staged::beside(&target).expect("made"));
        assert!(target.join("kept").exists() && !left("tmp").exists() && !left("old").exists());
        std::fs::create_dir(left("old")).expect("made");
        drop(Staged::beside(&target).expect("made"));
        assert!(target.join("kept").exists() && !left("old").exists());
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("a/b");
        let entries = || std::fs::read_dir(folder.path().join("a")).expect("listed").count();
        drop(Staged::beside(&target).expect("made"));
        assert_eq!(entries(), 0, "no leftovers");
        for content in ["one", "two"] {
            let staged = Staged::beside(&target).expect("made");
            std::fs::write(staged.path().join(content), content).expect("written");
            staged.publish().expect("moved");
            assert_eq!(std::fs::read_dir(&target).expect("there").count(), 1);
            assert_eq!(std::fs::read(target.join(content)).expect("there"), content.as_bytes());
            assert_eq!(entries(), 1, "no leftovers");
        }
    }
}
