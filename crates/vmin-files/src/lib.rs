//! Files as every command treats them: reads have a limit, writes are atomic, digests are SHA-256.
//!
//! ```text
//!  path ─> bytes, text ────────┐
//!  name ─> shipped_or_path ────┴─> Source ─> the crate that knows the format
//!  results ─> write_whole, write_set ─> all files of the set, or none
//! ```
//!
//! This crate knows no format, so that every crate with files of its own can build on it. Names of networks,
//! image sets, accelerators and chips are resolved in `vmin_sweep::names`, the lowest crate that knows all of
//! them: a crate of typed names between the two would serve the same callers and add a manifest.
//!
//! ```
//! let source = vmin_files::shipped_or_path("profile", "lab", &[("lab", "vdd_mv = 900")])?;
//! assert_eq!(source.name(), "lab.toml (shipped)");
//! let unknown = vmin_files::shipped_or_path("profile", "lob", &[("lab", "vdd_mv = 900")]);
//! assert!(unknown.unwrap_err().to_string().contains("did you mean `lab`?"));
//! # Ok::<(), vmin_diagnostic::Diagnostics>(())
//! ```

mod folder;
mod read;
mod shipped;
mod write;

use std::fmt::Write;

pub use folder::Staged;
pub use read::{
    BYTES_MAX, ReadError, TEXT_BYTES_MAX, bytes, contents, open, open_seekable, read_within, text,
};
pub use shipped::shipped_or_path;
pub use write::{Content, sync_folder, write_set, write_streams, write_whole};

/// SHA-256 of some bytes, in lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
