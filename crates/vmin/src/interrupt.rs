//! Ctrl-C: the first asks to stop and keeps what was computed, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, say};

/// A flag that Ctrl-C or a termination signal sets.
pub(crate) fn flag() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "the second Ctrl-C means now")]
            std::process::exit(130);
        }
        say("stopping; press Ctrl-C again to end at once");
    })
    .map_err(|error| Failure::input("signals", &error))?;
    Ok(flag)
}
