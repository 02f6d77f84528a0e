//! Files of the repository, and data sets beside it.

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("this crate lies two folders below the root")
}

/// The TOML files of a folder of the repository, sorted by name.
#[must_use]
pub fn toml_files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).expect("a folder of the repository");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// The sorted names of those files, without `.toml`.
#[must_use]
pub fn toml_names(folder: &str) -> Vec<String> {
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut names: Vec<String> = toml_files(folder).iter().map(stem).collect();
    names.sort();
    names
}

/// A file or folder of the published data: below `VMIN_DATA`, else below `shared/data` beside the repository.
/// Says that the test is skipped where it is missing.
#[must_use]
pub fn data(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("VMIN_DATA");
    let folder = folder.map_or_else(|| root().join("../shared/data"), PathBuf::from);
    at_hand(folder.join(path), "VMIN_DATA")
}

/// The folder of CIFAR-10: `VMIN_CIFAR10`, else the cache folder of vmin.
/// Says that the test is skipped where it is missing.
#[must_use]
pub fn cifar10() -> Option<PathBuf> {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let folder = std::env::var_os("VMIN_CIFAR10");
    let folder = folder.map_or_else(|| home().join(".cache/vmin/cifar10"), PathBuf::from);
    at_hand(folder.join("test_batch.bin"), "VMIN_CIFAR10").map(|_| folder)
}

#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn at_hand(path: PathBuf, variable: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no {} (set {variable})", path.display());
    None
}
