//! The command line in tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The program in a temporary folder of its own, with the files that a test puts there.
#[derive(Debug)]
pub struct Vmin {
    program: PathBuf,
    folder: TempDir,
}

/// [`Vmin::new`] with the binary that Cargo built for this test.
#[macro_export]
macro_rules! vmin {
    () => {
        $crate::Vmin::new(env!("CARGO_BIN_EXE_vmin"))
    };
}

impl Vmin {
    /// A fresh folder for `program`.
    #[must_use]
    pub fn new(program: &str) -> Self {
        Self { program: program.into(), folder: tempfile::tempdir().expect("a folder") }
    }

    /// Writes a file into the folder, below folders that are made.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        let made = path.parent().map(std::fs::create_dir_all);
        made.transpose().and_then(|_| std::fs::write(path, content)).expect("written");
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder().join(name)
    }

    /// The bytes of a file in the folder.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The text of a file in the folder.
    pub fn text(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8(self.read(name)).expect("UTF-8")
    }

    /// The program in the folder, without colours, without input.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder()).args(arguments).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs to the end, well or not.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs to a good end; gives standard output.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs to a good end; gives the JSON document on standard output.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments)).expect("one JSON document")
    }
}
