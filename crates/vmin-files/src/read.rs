//! Reading a file whole, up to a limit.
//!
//! Every loader of the workspace goes through [`open`]: `tests/workspace.rs` refuses other ways. A pipe is read to
//! its end; a pipe that nobody opens for writing, a folder and a device are refused, since the first would wait and
//! the last deliver for ever.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use vmin_diagnostic::{Diagnostic, Source};

/// Largest text file read, in bytes.
pub const TEXT_BYTES_MAX: u64 = 16 << 20;
/// Largest binary file read, in bytes.
pub const BYTES_MAX: u64 = 1 << 30;

/// How long a pipe may have no writer.
const WRITER_WITHIN: Duration = Duration::from_millis(900);

/// Why a file could not be read; `what` names it with its path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file system refuses, or a text is not UTF-8.
    #[error("cannot read {what}: {error}")]
    Unreadable {
        /// The file.
        what: String,
        /// The reason.
        error: io::Error,
    },
    /// The file is longer than the limit.
    #[error("{what} is larger than {bytes_max} bytes, the most that are read")]
    TooLarge {
        /// The file.
        what: String,
        /// The limit.
        bytes_max: u64,
    },
}

impl ReadError {
    /// Short name of the problem.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too-large",
        }
    }

    /// The problem as a diagnostic without a place.
    #[must_use]
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic::new(self.code(), self.to_string())
    }
}

/// The bytes of a file; `noun` says in messages which kind of file it is.
///
/// # Errors
/// It cannot be read, or is longer than [`BYTES_MAX`].
pub fn bytes(noun: &str, path: &Path) -> Result<Vec<u8>, ReadError> {
    let what = || format!("the {noun} `{}`", path.display());
    match contents(path, BYTES_MAX) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(ReadError::TooLarge { what: what(), bytes_max: BYTES_MAX }),
        Err(error) => Err(ReadError::Unreadable { what: what(), error }),
    }
}

/// A text file, named by its path; `noun` says in messages which kind of file it is.
///
/// # Errors
/// It cannot be read, is not UTF-8 or is longer than [`TEXT_BYTES_MAX`].
pub fn text(noun: &str, path: &Path) -> Result<Source, ReadError> {
    let what = || format!("the {noun} `{}`", path.display());
    let unreadable = |error| ReadError::Unreadable { what: what(), error };
    let bytes = contents(path, TEXT_BYTES_MAX)
        .map_err(unreadable)?
        .ok_or_else(|| ReadError::TooLarge { what: what(), bytes_max: TEXT_BYTES_MAX })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        unreadable(io::Error::new(io::ErrorKind::InvalidData, format!("it is not UTF-8: {error}")))
    })?;
    Ok(Source::new(&path.display().to_string(), text))
}

/// The bytes of a file or a pipe; nothing if there are more than `bytes_max`.
///
/// # Errors
/// What the file system says, or see [`open`].
pub fn contents(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = open(path)?;
    if file.metadata()?.len() > bytes_max {
        return Ok(None);
    }
    read_within(file, bytes_max)
}

/// All bytes of `reader`; nothing if there are more than `bytes_max`. Never holds more than one byte beyond.
///
/// # Errors
/// What the reader says, or the memory does not suffice.
pub fn read_within(mut reader: impl Read, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    const FIRST: usize = 64 << 10;
    let end = usize::try_from(bytes_max.saturating_add(1)).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    loop {
        let step = bytes.len().max(FIRST).min(end - bytes.len());
        if step == 0 {
            return Ok(None);
        }
        bytes.try_reserve_exact(step)?;
        if reader.by_ref().take(step as u64).read_to_end(&mut bytes)? < step {
            return Ok(Some(bytes));
        }
    }
}

/// Opens a file or a pipe for reading; the caller bounds what it reads.
///
/// # Errors
/// What the file system says. It is a folder or a device, or a pipe that nobody opens for writing.
pub fn open(path: &Path) -> io::Result<File> {
    log::debug!("reading `{}`", path.display());
    if !is_pipe(&std::fs::metadata(path)?) {
        return readable(File::open(path)?);
    }
    // Opening waits for a writer, in a thread that is left behind if none comes.
    let (sender, opened) = mpsc::channel();
    let named = path.to_owned();
    std::thread::spawn(move || sender.send(File::open(named)));
    let file = opened.recv_timeout(WRITER_WITHIN).map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, "it is a pipe that nobody writes to")
    })?;
    readable(file?)
}

/// Opens a file for reading in any order.
///
/// # Errors
/// What the file system says. It is no file.
pub fn open_seekable(path: &Path) -> io::Result<File> {
    if is_pipe(&std::fs::metadata(path)?) {
        let text = "it is a pipe, and this format needs a file";
        return Err(io::Error::new(io::ErrorKind::NotSeekable, text));
    }
    open(path)
}

/// `file`, if it has an end.
fn readable(file: File) -> io::Result<File> {
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    if found.is_file() || is_pipe(&found) {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is a device, neither file nor pipe"))
}

#[cfg(unix)]
fn is_pipe(found: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beyond_the_limit_are_refused_without_reading_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sparse");
        File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("made");
        let error = bytes("chip", &path).expect_err("too large");
        assert_eq!(error.code(), "too-large");
        let error = text("recipe", &folder.path().join("none")).expect_err("missing").to_string();
        assert!(error.starts_with("cannot read the recipe `"), "{error}");
        let error = text("recipe", folder.path()).expect_err("a folder").to_string();
        assert!(error.ends_with("`: it is a folder"), "{error}");
    }

    #[test]
    fn streams_are_read_up_to_the_limit_and_no_byte_further() {
        for length in [0, 1, 99_999, 100_000, 100_001, 1 << 40] {
            let bytes = read_within(io::repeat(7).take(length), 100_000).expect("read");
            let held = bytes.map(|bytes| (bytes.len() as u64, bytes.capacity() <= 100_001));
            assert_eq!(held, (length <= 100_000).then_some((length, true)), "{length} bytes");
        }
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_pipes_without_a_writer_are_refused() {
        let error = bytes("chip", Path::new("/dev/zero")).expect_err("endless").to_string();
        assert!(error.ends_with("it is a device, neither file nor pipe"), "{error}");
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let error = bytes("chip", &pipe).expect_err("no writer").to_string();
        assert!(error.ends_with("it is a pipe that nobody writes to"), "{error}");
        // The thread left behind must not take the writer of the next.
        let pipe = folder.path().join("next");
        std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        let to = pipe.clone();
        let writer = std::thread::spawn(move || std::fs::write(to, b"seven"));
        assert_eq!(bytes("chip", &pipe).expect("read"), b"seven");
        writer.join().expect("ended").expect("written");
        assert!(open_seekable(&pipe).is_err());
    }
}
