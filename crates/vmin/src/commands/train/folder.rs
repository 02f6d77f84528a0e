//! The output folder of a run: whose it is, and what it holds of an earlier run.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use vmin_diagnostic::Diagnostic;
use vmin_train::Checkpoint;

use crate::args::TrainArgs;
use crate::failure::{Failure, unwritable, with_causes};

/// The lock of an output folder, held until the process ends; `None` where there is no lock file
/// and none is to be made.
pub(super) fn lock(folder: &Path, make: bool) -> Result<Option<File>, Failure> {
    let path = folder.join("train.lock");
    let file = match OpenOptions::new().append(true).create(make).open(&path) {
        Ok(file) => file,
        // What else is wrong with the folder is told by whoever writes to it.
        Err(_) if !make => return Ok(None),
        Err(error) => return Err(unwritable(&path, &error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(occupied(folder)),
        Err(TryLockError::Error(error)) => Err(unwritable(&path, &error)),
    }
}

/// Another run holds the lock.
pub(super) fn occupied(folder: &Path) -> Failure {
    Diagnostic::new("locked", format!("another `vmin train` is writing to `{}`", folder.display()))
        .hint("wait until it ends, or name another folder with `--out DIR`")
        .into()
}

/// The checkpoint to go on from, if asked for; refuses to begin over one.
pub(super) fn checkpoint(args: &TrainArgs) -> Result<Option<Checkpoint>, Failure> {
    let path = checkpoint_path(&args.out);
    let there = path.try_exists().unwrap_or(true);
    match (args.resume, there) {
        (false, false) => return Ok(None),
        (false, true) => return Err(holds_a_run(&path)),
        (true, false) => {
            return Err(Diagnostic::new(
                "checkpoint",
                format!("there is no checkpoint `{}` to go on from", path.display()),
            )
            .hint("leave `--resume` out to begin, or name the folder with `--out DIR`")
            .into());
        }
        (true, true) => {}
    }
    let bytes = vmin_files::bytes("checkpoint", &path).map_err(|error| error.diagnostic())?;
    Checkpoint::from_bytes(&bytes).map(Some).map_err(|error| {
        let text = format!("`{}`: {}", path.display(), with_causes(&error));
        Diagnostic::new("checkpoint", text)
            .hint("restore the file, or begin in another folder with `--out DIR`")
            .into()
    })
}

fn holds_a_run(checkpoint: &Path) -> Failure {
    let text = format!("`{}` holds a run already", checkpoint.display());
    Diagnostic::new("checkpoint", text)
        .hint("go on with `--resume`, or name another folder with `--out DIR`")
        .into()
}

/// A run that begins must not find one.
pub(super) fn refuse_checkpoint(args: &TrainArgs) -> Result<(), Failure> {
    let path = checkpoint_path(&args.out);
    if path.try_exists().unwrap_or(true) { Err(holds_a_run(&path)) } else { Ok(()) }
}

/// Where the checkpoint lies.
pub(super) fn checkpoint_path(folder: &Path) -> PathBuf {
    folder.join("checkpoint.safetensors")
}
