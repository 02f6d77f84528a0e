//! How a command can end other than well.

use std::fmt::Display;

pub(crate) use vmin_diagnostic::with_causes;
use vmin_diagnostic::{Diagnostic, Diagnostics, visible};

/// The exit code that asks for the same command again, later: `EX_TEMPFAIL` of `sysexits.h`.
pub const AGAIN: u8 = 75;

/// Why a command did not do its job.
#[derive(Debug)]
pub enum Failure {
    /// What the user gave is wrong; nothing was done. Exit code 2.
    Input(Diagnostics),
    /// The job could not be finished. Exit code 1.
    Failed(Diagnostics),
    /// A person stopped it, by Ctrl-C or by closing the terminal. Exit code 130. The text says how to go on.
    Interrupted(String),
    /// An engine stopped it, by SIGTERM or SIGUSR1. Exit code 75. The text says how to go on.
    Preempted(String),
    /// Another run works in the same folder; nothing was done. Exit code 75.
    Busy(Diagnostics),
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Input(diagnostics)
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Input(diagnostic.into())
    }
}

impl From<Box<Diagnostic>> for Failure {
    fn from(diagnostic: Box<Diagnostic>) -> Self {
        (*diagnostic).into()
    }
}

impl From<std::io::Error> for Failure {
    /// An output that cannot be written, in memory or on the standard output.
    fn from(error: std::io::Error) -> Self {
        Self::failed(Diagnostic::new("output", format!("cannot write the output: {error}")))
    }
}

impl Failure {
    /// Wrong input that another crate described in one sentence.
    pub(crate) fn input(code: &'static str, error: &dyn std::error::Error) -> Self {
        Diagnostic::new(code, with_causes(error)).into()
    }

    /// The exit code of the program.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Input(_) => 2,
            Self::Interrupted(_) => 130,
            Self::Preempted(_) | Self::Busy(_) => AGAIN,
        }
    }

    /// The same, where an engine's signal set the stop flag.
    #[must_use]
    pub fn by_engine(self) -> Self {
        match self {
            Self::Interrupted(text) => Self::Preempted(text),
            Self::Input(_) | Self::Failed(_) | Self::Preempted(_) | Self::Busy(_) => self,
        }
    }

    /// A job that could not be finished.
    pub(crate) fn failed(diagnostic: Diagnostic) -> Self {
        Self::Failed(diagnostic.into())
    }
}

/// True if a file could not be written because of where it was to be, which its namer can mend;
/// false if the disk is full or breaks.
pub(crate) fn is_about_the_path(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
    )
}

/// A file that could not be written: wrong input if its place is at fault, else a failed job.
pub(crate) fn unwritable(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let diagnostic =
        Diagnostic::new("unwritable", format!("cannot write `{}`: {error}", path.display()));
    if is_about_the_path(error) { diagnostic.into() } else { Failure::failed(diagnostic) }
}

/// Makes the folder that results go to.
pub(crate) fn make_folder(path: &std::path::Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| {
        Diagnostic::new(
            "unwritable",
            format!("cannot make the output folder `{}`: {error}", path.display()),
        )
        .hint("name a folder you may write to with `--out DIR`")
        .into()
    })
}

/// A line for whoever runs the command, broken at the width of the terminal, or of a usual one where there is none.
pub(crate) fn say(text: &(impl Display + ?Sized)) {
    let terminal = terminal_size::terminal_size_of(std::io::stderr());
    let columns = terminal.map(|(width, _)| usize::from(width.0)).filter(|columns| *columns > 0);
    let text = vmin_diagnostic::wrapped(&text.to_string(), columns.unwrap_or(crate::answer::WIDTH));
    log::info!("{}", visible(&text));
}
