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

/// The threads that Slurm gave the task of this process, where they are fewer than the machine has for it: `--cpus-per-task`
/// binds a task only where the cluster is set up so. Quotas and processor sets of containers are known otherwise: the
/// standard library counts them, and so does rayon.
#[must_use]
pub fn threads_of_job() -> Option<usize> {
    let given = std::env::var("SLURM_CPUS_PER_TASK").ok()?.parse().ok()?;
    let available = std::thread::available_parallelism().ok()?.get();
    (1..available).contains(&given).then_some(given)
}

/// The value of `run`; its time is told with `--verbose`.
pub(crate) fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let value = run();
    log::debug!("{what}: {:.3} s", started.elapsed().as_secs_f64());
    value
}
