//! The kernels that this processor can run, best first.

use std::sync::OnceLock;

use crate::GemmKernel;
use crate::arch;
#[cfg(target_arch = "x86_64")]
use crate::tile::Vectors;

/// The names of all kernels, including those that this processor cannot run.
const NAMES: [&str; 3] = ["avx512-vnni", "avx2", "generic"];

/// A name of no kernel, or of one that this processor cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKernel {
    name: String,
}

impl std::fmt::Display for UnknownKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let usable: Vec<&str> = available().iter().map(|kernel| kernel.name()).collect();
        let usable = usable.join("`, `");
        if NAMES.contains(&self.name.as_str()) {
            write!(f, "this processor cannot run kernel `{}`; it can run `{usable}`", self.name)
        } else {
            write!(f, "there is no kernel `{}`; this processor can run `{usable}`", self.name)
        }
    }
}

impl std::error::Error for UnknownKernel {}

fn found() -> &'static [&'static dyn GemmKernel] {
    static FOUND: OnceLock<Vec<&'static dyn GemmKernel>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut kernels: Vec<&'static dyn GemmKernel> = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(lanes) = arch::avx512::Avx512Vnni::new() {
                kernels.push(Box::leak(Box::new(Vectors::<_, 16, 1>(lanes))));
            }
            if let Some(lanes) = arch::avx2::Avx2::new() {
                kernels.push(Box::leak(Box::new(Vectors::<_, 8, 2>(lanes))));
            }
        }
        kernels.push(&arch::generic::Generic);
        kernels
    })
}

/// The kernels that this processor can run, best first; `generic` is always the last.
#[must_use]
pub fn available() -> Vec<&'static dyn GemmKernel> {
    found().to_vec()
}

/// The fastest kernel that this processor can run.
#[must_use]
pub fn best() -> &'static dyn GemmKernel {
    found()[0]
}

/// The kernel called `name`.
///
/// # Errors
/// If no kernel has that name, or this processor cannot run it.
pub fn by_name(name: &str) -> Result<&'static dyn GemmKernel, UnknownKernel> {
    found()
        .iter()
        .copied()
        .find(|kernel| kernel.name() == name)
        .ok_or_else(|| UnknownKernel { name: name.to_owned() })
}
