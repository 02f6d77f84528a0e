//! Folders that appear whole or not at all.

use std::io;
use std::path::{Path, PathBuf};

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

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
