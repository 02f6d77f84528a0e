//! `vmin init`: an experiment file to start from.

use std::io::Write;

use vmin_diagnostic::Diagnostic;

use crate::Failure;
use crate::args::InitArgs;
use crate::failure::say;

/// Writes the embedded demo experiment to a new file, if one is named.
///
/// # Errors
/// The file exists already or cannot be written.
pub fn run(args: &InitArgs) -> Result<(), Failure> {
    let Some(path) = &args.out else { return Ok(()) };
    let written = std::fs::File::create_new(path)
        .and_then(|mut file| file.write_all(vmin_sweep::DEMO.as_bytes()));
    match written {
        Ok(()) => {
            say(&format!("wrote `{0}`; next: vmin check {0}", path.display()));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Diagnostic::new("file-exists", format!("`{}` exists already", path.display()))
                .hint("choose another name, or remove the file first")
                .into())
        }
        Err(error) => Err(Diagnostic::new(
            "unwritable",
            format!("cannot write `{}`: {error}", path.display()),
        )
        .into()),
    }
}
