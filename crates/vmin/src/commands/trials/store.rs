//! A store as commands open it, and how a sweep shares its trials.

use std::path::Path;

use vmin_diagnostic::{Diagnostic, thousands};
use vmin_sweep::store::{Store, StoreError};
use vmin_sweep::{Journal, JournalError, Known, Plan, Record};

use crate::Failure;
use crate::failure::{is_about_the_path, say, with_causes};

/// Foreign files that are named.
const NAMED_MAX: usize = 5;

/// The store in a folder that exists; tells what is odd about it.
pub(crate) fn opened(folder: &Path) -> Result<Store, Failure> {
    if !folder.is_dir() {
        let message = format!("`{}` is no folder", folder.display());
        return Err(Diagnostic::new("unreadable", message)
            .hint("name the folder of a sweep's `--store DIR`")
            .into());
    }
    let store = Store::open(folder).map_err(|error| shared_failure(&error))?;
    tell(&store);
    Ok(store)
}

/// The store that a sweep adds to; its folder is made if absent.
pub(crate) fn to_write(folder: &Path) -> Result<Store, Failure> {
    let store = Store::open(folder).map_err(|error| shared_failure(&error))?;
    store.begin().map_err(|error| shared_failure(&error))?;
    tell(&store);
    Ok(store)
}

fn tell(store: &Store) {
    let damage = store.damage();
    for (path, line, reason) in &damage.told {
        say(&format!(
            "note: line {line} of `{}` is damaged and left out: {reason}",
            path.display()
        ));
    }
    let more = damage.lines - damage.told.len() as u64;
    if more > 0 {
        say(&format!("note: {} more lines of the store are damaged", thousands(more)));
    }
    let foreign = store.foreign();
    if !foreign.is_empty() {
        let names: Vec<_> =
            foreign.iter().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
        let more = if foreign.len() > NAMED_MAX { ", ..." } else { "" };
        say(&format!(
            "note: other files in the store `{}` are kept: {}{more}",
            store.folder().display(),
            names.join(", ")
        ));
    }
}

/// What is wrong with a store.
pub(crate) fn shared_failure(error: &StoreError) -> Failure {
    let diagnostic = Diagnostic::new("store", with_causes(error));
    match error {
        StoreError::Io { error, .. } if is_about_the_path(error) => {
            diagnostic.hint("name a folder that you may read and write").into()
        }
        StoreError::Disagree { .. } => diagnostic
            .hint("one of the two is wrong: move it out of the folder, or use another store")
            .into(),
        StoreError::OtherVersion { .. } | StoreError::Unknown { .. } => {
            diagnostic.hint("use that vmin, or another folder").into()
        }
        StoreError::TooMany { .. } => {
            diagnostic.hint("use another folder for other experiments").into()
        }
        StoreError::NoLocks { .. } => {
            diagnostic.hint("move the store to a file system with locks").into()
        }
        // A full disk.
        StoreError::Io { .. } | StoreError::LongLine { .. } => Failure::failed(diagnostic),
    }
}

/// Takes the trials of a plan that are not `known` from the store into the journal, and adds what the journal holds to
/// the store. Gives all that is known then, and says how much it was.
pub(crate) fn reused(
    store: &Store,
    plan: &Plan,
    journal: &mut Journal,
    mut done: Vec<Record>,
    known: &Known,
    journal_failure: impl Fn(&JournalError) -> Failure,
) -> Result<Known, Failure> {
    let share = |error: StoreError| shared_failure(&error);
    for record in &done {
        store.append(record).map_err(share)?;
    }
    let found = plan.found(known, |trial| store.get(trial));
    let odd = |reason: String| {
        let folder = store.folder().display();
        Failure::from(
            Diagnostic::new("store", format!("`{folder}`: {reason}"))
                .hint("use another store, or leave `--store` away"),
        )
    };
    plan.sorted(&found).map_err(odd)?;
    for record in &found {
        journal.append(record).map_err(|error| journal_failure(&error))?;
    }
    journal.sync().map_err(|error| journal_failure(&error))?;
    for about in plan.about() {
        store.describe(&about).map_err(share)?;
    }
    let left = plan.records_total().saturating_sub(done.len() as u64);
    say(&format!(
        "{} of {} {} are in the store `{}`",
        thousands(found.len() as u64),
        thousands(left),
        if done.is_empty() { "trials" } else { "trials that are left" },
        store.folder().display()
    ));
    done.extend(found);
    plan.sorted(&done).map_err(odd)
}
