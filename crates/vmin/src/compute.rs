//! Threads and kernel as the options ask; the time that a part of a command takes.

use std::time::Instant;

use vmin_diagnostic::Diagnostic;
use vmin_kernels::GemmKernel;

use crate::Failure;

/// The kernel of that name, or the fastest.
pub(crate) fn kernel(name: Option<&str>) -> Result<&'static dyn GemmKernel, Failure> {
    let kernel = match name {
        None => vmin_kernels::best(),
        Some(name) => vmin_kernels::by_name(name).map_err(|error| {
            Diagnostic::new("unknown-kernel", error.to_string())
                .hint("leave `--kernel` out to use the fastest one")
        })?,
    };
    log::debug!("kernel {}, {} threads", kernel.name(), rayon::current_num_threads());
    Ok(kernel)
}

/// Runs in a pool of `jobs` threads, or in the pool that it is called from.
pub(crate) fn on_threads<T: Send>(
    jobs: Option<u16>,
    run: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    let Some(jobs) = jobs else { return run() };
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs.into())
        .build()
        .map_err(|error| Failure::input("threads", &error))?
        .install(run)
}

/// The value of `run`; its time is told with `--verbose`.
pub(crate) fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let value = run();
    log::debug!("{what}: {:.3} s", started.elapsed().as_secs_f64());
    value
}
