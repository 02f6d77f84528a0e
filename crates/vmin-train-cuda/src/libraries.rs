//! Search for CUDA's libraries where the loader looks and in folders that it does not know.
//!
//! `cudarc` asks the loader for `libX.so`, `libX.so.13`, `libX.so.12`. The loader finds a library that is already
//! loaded by its soname (`libX.so.12`). So a library in another folder is first loaded here by its path and stays
//! loaded.
#![expect(unsafe_code, reason = "libraries are loaded by name")]

use std::path::{Path, PathBuf};

use cudarc::{cublas, cudnn, driver, nvrtc};
use libloading::Library;

use vmin_train::EngineError;

/// Environment variable with the folders to search first, separated as in `PATH`. Only a `libX.so` that the loader
/// finds by itself has precedence.
pub(crate) const VARIABLE: &str = "VMIN_CUDA_LIBRARIES";

/// Environment variable that switches cuDNN off, whatever its value.
pub(crate) const WITHOUT_CUDNN: &str = "VMIN_WITHOUT_CUDNN";

/// The oldest driver, by its version number: CUDA 12.0.
const DRIVER_MIN: i32 = 12_000;

/// The parts of cuDNN for convolutions and cuDNN itself, each after those that it needs. cuDNN loads its parts at the
/// first call, and some versions end the process if a part is missing.
const CUDNN: [&str; 4] =
    ["libcudnn_graph.so.9", "libcudnn_ops.so.9", "libcudnn_cnn.so.9", "libcudnn.so.9"];

/// Loads the driver, NVRTC and cuBLAS.
///
/// # Errors
/// [`EngineError::Absent`] with the missing libraries.
pub(crate) fn load() -> Result<(), EngineError> {
    let absent = |what: String| Err(EngineError::Absent(what));
    preload("libcuda.so", &named(), i32::MAX);
    // SAFETY: the call loads the driver, whose initializers may run.
    if !unsafe { driver::sys::is_culib_present() } {
        return absent("there is no NVIDIA driver (libcuda) on this machine".to_owned());
    }
    let version = driver_version();
    if version < DRIVER_MIN {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        return absent(format!("the NVIDIA driver is for CUDA {major}.{minor}, 12.0 is needed"));
    }
    let newest = version / 1000;
    let missing: Vec<&str> = [
        (compiler_is_available(newest), "libnvrtc"),
        (products_are_available(newest), "libcublas"),
    ]
    .into_iter()
    .filter_map(|(available, name)| (!available).then_some(name))
    .collect();
    if missing.is_empty() {
        return Ok(());
    }
    absent(format!(
        "{} cannot be loaded: install CUDA {newest} or name the folders of its libraries in {VARIABLE}",
        missing.join(", ")
    ))
}

/// The newest CUDA version that the driver supports, 1000 for every major version; 0 if it is unknown.
fn driver_version() -> i32 {
    let mut version = 0;
    // SAFETY: the driver is loaded and writes one integer.
    let asked = unsafe { driver::sys::cuDriverGetVersion(&raw mut version) }.result();
    asked.map_or(0, |()| version)
}

/// Loads cuDNN; the driver must be loaded.
///
/// # Errors
/// The reason why cuDNN cannot be used.
pub(crate) fn load_cudnn() -> Result<(), String> {
    if std::env::var_os(WITHOUT_CUDNN).is_some() {
        return Err(format!("the environment variable {WITHOUT_CUDNN} is set"));
    }
    cudnn_is_available(driver_version() / 1000)
}

/// Loads cuDNN for CUDA versions up to `newest`.
///
/// # Errors
/// The reason why cuDNN cannot be used.
pub(crate) fn cudnn_is_available(newest: i32) -> Result<(), String> {
    let available = || {
        // SAFETY: the call loads the library, whose initializers may run.
        let itself = unsafe { cudnn::sys::is_culib_present() };
        itself && CUDNN.iter().all(|part| keep(Path::new(part)))
    };
    if !found(&CUDNN, i32::MAX, available) {
        let missing = CUDNN.into_iter().filter(|part| !keep(Path::new(part)));
        return Err(format!(
            "{} cannot be loaded: install cuDNN 9 or name the folder of its libraries in {VARIABLE}",
            missing.collect::<Vec<_>>().join(", ")
        ));
    }
    let (version, cuda) = (cudnn::result::get_version(), cudnn::result::get_cudart_version());
    fits_driver(version, cuda, newest)
}

/// Whether this version of cuDNN, built for this version of CUDA, works with the driver.
fn fits_driver(version: usize, cuda: usize, newest: i32) -> Result<(), String> {
    // 9.1.2 is 90102, 8.9.2 is 8902. Status numbers change with the major version.
    if version / 10_000 != 9 {
        return Err(format!("its version is {version}, 9 is needed"));
    }
    let cuda = cuda / 1000;
    if i32::try_from(cuda).is_ok_and(|cuda| cuda <= newest) {
        return Ok(());
    }
    Err(format!("it was built for CUDA {cuda}, the driver is for CUDA {newest}"))
}

/// Loads NVRTC of CUDA versions up to `newest`; false if it is missing.
pub(crate) fn compiler_is_available(newest: i32) -> bool {
    // SAFETY: the call loads the library, whose initializers may run.
    found(&["libnvrtc.so"], newest, || unsafe { nvrtc::sys::is_culib_present() })
}

/// Loads cuBLAS and the library that it needs; false if one is missing.
pub(crate) fn products_are_available(newest: i32) -> bool {
    // SAFETY: as above.
    let available = || unsafe { cublas::sys::is_culib_present() };
    found(&["libcublasLt.so", "libcublas.so"], newest, available)
}

/// Searches the named folders, then where the loader looks, then the usual folders.
fn found(libraries: &[&str], newest: i32, available: impl Fn() -> bool) -> bool {
    libraries.iter().for_each(|library| preload(library, &named(), newest));
    if available() {
        return true;
    }
    libraries.iter().for_each(|library| preload(library, &usual(), newest));
    available()
}

fn named() -> Vec<PathBuf> {
    let named = std::env::var_os(VARIABLE);
    named.iter().flat_map(std::env::split_paths).collect()
}

/// Folders of NVIDIA's Python packages and of the toolkit.
fn usual() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME").map(|home| home.join(".local"));
    let system = ["/usr/local", "/usr"].map(|root| Some(PathBuf::from(root)));
    let pythons = [variable("VIRTUAL_ENV"), variable("CONDA_PREFIX"), home].into_iter();
    let mut folders = Vec::new();
    for root in pythons.chain(system).flatten() {
        for python in ["lib", "lib64"].iter().flat_map(|lib| listed(&root.join(lib))) {
            for packages in ["site-packages", "dist-packages"] {
                // Each library has a folder up to CUDA 12; from 13 on all share one.
                let packages = listed(&python.join(packages).join("nvidia"));
                folders.extend(packages.into_iter().map(|package| package.join("lib")));
            }
        }
    }
    let toolkits = [variable("CUDA_HOME"), variable("CUDA_PATH")].into_iter().flatten();
    let toolkits = toolkits.chain([PathBuf::from("/usr/local/cuda")]);
    folders.extend(toolkits.map(|toolkit| toolkit.join("lib64")));
    folders
}

/// Entries of a folder in order; empty if it cannot be listed.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Loads the first library of that name and of a CUDA version up to `newest` that can be loaded, and keeps it.
fn preload(library: &str, folders: &[PathBuf], newest: i32) {
    let files = folders.iter().flat_map(|folder| listed(folder));
    // `any` stops at the first success.
    files.filter(|path| fits(path, library, newest)).any(|path| keep(&path));
}

/// Loads a library for good; whether it could be loaded.
fn keep(path: &Path) -> bool {
    // SAFETY: this is a library of CUDA by its name, whose initializers may run.
    let library = unsafe { Library::new(path) };
    // Dropping would unload it.
    library.map(std::mem::forget).is_ok()
}

/// Whether a file is `libX.so`, or `libX.so.N` with N up to `newest`.
fn fits(path: &Path, library: &str, newest: i32) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.strip_prefix(library) {
        Some("") => true,
        Some(version) => {
            let major = version.strip_prefix('.').and_then(|rest| rest.split('.').next());
            major.and_then(|major| major.parse::<i32>().ok()).is_some_and(|major| major <= newest)
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{CUDNN, VARIABLE, cudnn_is_available, fits, fits_driver};

    #[test]
    fn libraries_are_recognized_by_their_names() {
        let fits = |name: &str| fits(&Path::new("/folder").join(name), "libnvrtc.so", 12);
        assert!(fits("libnvrtc.so.12") && fits("libnvrtc.so") && fits("libnvrtc.so.11.8.89"));
        for other in ["libnvrtc.so.13", "libnvrtc.alt.so.12", "libnvrtc-builtins.so.12.9", "x"] {
            assert!(!fits(other), "{other}");
        }
    }

    #[test]
    fn only_cudnn_9_is_accepted() {
        let itself = CUDNN[3];
        let fits = |name: &str| fits(&Path::new("/folder").join(name), itself, i32::MAX);
        assert!(fits("libcudnn.so.9") && fits("libcudnn.so.9.28.0"));
        for other in ["libcudnn.so", "libcudnn.so.8", "libcudnn.so.90", "libcudnn_ops.so.9", "x"] {
            assert!(!fits(other), "{other}");
        }
        for (version, cuda, newest) in [(90_100, 12_040, 12), (92_800, 12_090, 13)] {
            assert_eq!(fits_driver(version, cuda, newest), Ok(()));
        }
        for (version, cuda, newest) in
            [(8902, 12_010, 12), (100_000, 14_000, 14), (92_800, 13_000, 12)]
        {
            assert!(fits_driver(version, cuda, newest).is_err());
        }
    }

    #[test]
    fn a_missing_cudnn_is_reported() {
        if let Err(reason) = cudnn_is_available(i32::MAX) {
            let absent = reason.starts_with("libcudnn") && reason.contains(VARIABLE);
            assert!(absent || reason.contains("9 is needed"), "{reason}");
        }
    }
}
