//! Bytes of a file, plain or gzip, as a bounded stream; recognition of formats.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::{FORMATS, Format, Head, ImportLimits, ImportProblem};

/// True if the bytes are gzip.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The contents as a stream which fails where the limit is exceeded.
pub(super) fn open<'a>(bytes: &'a [u8], limits: &ImportLimits) -> Box<dyn BufRead + 'a> {
    let left = limits.unpacked_bytes_max;
    if is_gzip(bytes) {
        Box::new(BufReader::new(Bounded { inner: MultiGzDecoder::new(bytes), left, max: left }))
    } else {
        Box::new(BufReader::new(Bounded { inner: bytes, left, max: left }))
    }
}

/// All contents, at most `max` bytes, for formats that need random access.
pub(super) fn whole(
    bytes: &[u8],
    limits: &ImportLimits,
    max: u64,
) -> Result<Vec<u8>, ImportProblem> {
    let mut contents = Vec::new();
    open(bytes, limits).take(max.saturating_add(1)).read_to_end(&mut contents).map_err(problem)?;
    if contents.len() as u64 > max {
        return Err(ImportProblem::Limit { what: "bytes after decompression", max });
    }
    Ok(contents)
}

/// The problem behind an error of the stream.
#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
pub(super) fn problem(error: io::Error) -> ImportProblem {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Exceeded>()) {
        Some(Exceeded { what, max }) => ImportProblem::Limit { what, max: *max },
        None => ImportProblem::Gzip(error.to_string()),
    }
}

/// A limit that a stream ran into.
#[derive(Debug, thiserror::Error)]
#[error("more than {max} {what}")]
pub(super) struct Exceeded {
    pub(super) what: &'static str,
    pub(super) max: u64,
}

struct Bounded<R> {
    inner: R,
    left: u64,
    max: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                let exceeded = Exceeded { what: "bytes after decompression", max: self.max };
                return Err(io::Error::other(exceeded));
            }
        }
        Ok(read)
    }
}

/// A stream of text whose lines are bounded, for readers that hold whole lines.
pub(super) struct Lines<R> {
    inner: R,
    line_bytes: usize,
    max: usize,
}

impl<R> Lines<R> {
    pub(super) fn new(inner: R, limits: &ImportLimits) -> Self {
        Self { inner, line_bytes: 0, max: limits.line_bytes_max }
    }
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A short piece at a time, so that a line cannot hide in one read.
        let piece = buffer.len().min(1 << 16);
        let read = self.inner.read(&mut buffer[..piece])?;
        for &byte in &buffer[..read] {
            self.line_bytes = if byte == b'\n' { 0 } else { self.line_bytes + 1 };
            if self.line_bytes > self.max {
                let exceeded = Exceeded { what: "bytes in one line", max: self.max as u64 };
                return Err(io::Error::other(exceeded));
            }
        }
        Ok(read)
    }
}

/// The format of a file by its first bytes.
pub(super) fn detect(bytes: &[u8]) -> Result<Format, ImportProblem> {
    let mut head = Vec::new();
    open(bytes, &ImportLimits::default()).take(4096).read_to_end(&mut head).map_err(problem)?;
    if head.is_empty() {
        return Err(ImportProblem::Empty);
    }
    if head.starts_with(b"VMINCHIP") {
        return Err(ImportProblem::ChipFile);
    }
    let line = head
        .split(|&byte| byte == b'\n')
        .find(|line| !line.is_empty() && !line.starts_with(b"#"))
        .unwrap_or(&head);
    let line = String::from_utf8_lossy(line).to_ascii_lowercase();
    let head = Head { bytes: &head, line: &line };
    let format = FORMATS.into_iter().find(|format| (format.recognizes)(&head));
    format.ok_or(ImportProblem::Unrecognised)
}

/// The default source of a chip: the names of its files.
pub(super) fn list_of_names(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [name] => format!("imported from {name}"),
        [first, .., last] => format!("imported from {} files, {first} to {last}", names.len()),
    }
}
