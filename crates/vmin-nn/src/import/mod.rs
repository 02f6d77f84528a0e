//! Networks from files: a folder per format, one line each in [`FORMATS`].

pub mod native;
pub mod tflite;

use crate::{Graph, Limits, ModelError};

/// A file format and its loader.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Ending of a file's name, without the dot, in lower case.
    pub ending: &'static str,
    /// Bytes of every file of the format, and their offset; they identify a file without a known
    /// ending.
    pub magic: (usize, &'static [u8]),
    /// Reads a file and checks the graph under these limits.
    pub load: fn(&[u8], &Limits) -> Result<Graph, ModelError>,
}

/// All formats that can be read.
pub const FORMATS: &[Format] = &[
    Format { ending: "tflite", magic: tflite::MAGIC, load: tflite::load },
    Format { ending: "safetensors", magic: native::MAGIC, load: native::load },
];

/// The format of this file ending.
#[must_use]
pub fn by_ending(ending: &str) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.ending.eq_ignore_ascii_case(ending))
}

/// The format of a file that begins with these bytes.
#[must_use]
pub fn by_content(start: &[u8]) -> Option<&'static Format> {
    FORMATS.iter().find(|Format { magic: (offset, magic), .. }| {
        start.get(*offset..).is_some_and(|rest| rest.starts_with(magic))
    })
}

/// The accepted names of networks, for messages: "a `.tflite` file, ... or `builtin:NAME`".
#[must_use]
pub fn accepted() -> String {
    let files: Vec<_> =
        FORMATS.iter().map(|format| format!("a `.{}` file", format.ending)).collect();
    format!("{} or `builtin:NAME`", files.join(", "))
}
