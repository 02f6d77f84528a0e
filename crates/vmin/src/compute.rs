//! Threads and kernel as the options ask.

use vmin_diagnostic::Diagnostic;
use vmin_kernels::GemmKernel;

use crate::Failure;

/// The kernel of that name, or the fastest.
pub(crate) fn kernel(name: Option<&str>) -> Result<&'static dyn GemmKernel, Failure> {
    let Some(name) = name else { return Ok(vmin_kernels::best()) };
    vmin_kernels::by_name(name).map_err(|error| {
        Diagnostic::new("unknown-kernel", error.to_string())
            .hint("leave `--kernel` out to use the fastest one")
            .into()
    })
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
