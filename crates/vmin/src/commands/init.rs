//! `vmin init`: commented files to start from, one of each kind.

use std::io::Write;

use vmin_diagnostic::{Diagnostic, FileKind};

use crate::Failure;
use crate::args::InitArgs;
use crate::failure::{say, unwritable};

/// The template of a kind of file, which `vmin check` accepts as it is.
#[must_use]
pub const fn template(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Experiment => vmin_sweep::DEMO,
        FileKind::Space => vmin_explore::DEMO,
        FileKind::Accelerator => include_str!("../templates/accelerator.toml"),
        FileKind::Profile => include_str!("../templates/profile.toml"),
        FileKind::Recipe => include_str!("../templates/recipe.toml"),
        FileKind::Costs => include_str!("../templates/costs.toml"),
    }
}

/// The template for the standard output, or nothing once it is in the new file that is named.
///
/// # Errors
/// The file exists already or cannot be written.
pub fn run(args: &InitArgs) -> Result<String, Failure> {
    let text = template(args.kind);
    let Some(path) = &args.out else { return Ok(text.trim_end().to_owned()) };
    let written =
        std::fs::File::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => {
            say(&format!("wrote `{0}`; next: vmin check {0}", path.display()));
            Ok(String::new())
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Diagnostic::new("file-exists", format!("`{}` exists already", path.display()))
                .hint("choose another name, or remove the file first")
                .into())
        }
        Err(error) => Err(unwritable(path, &error)),
    }
}
