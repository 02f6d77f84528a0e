//! Threads and kernel as asked for on the command line.

use vmin_diagnostic::Diagnostic;
use vmin_kernels::GemmKernel;

use crate::args::ComputeArgs;
use crate::failure::Failure;

/// Sets the number of threads and picks the kernel.
pub(crate) fn set_up(args: &ComputeArgs) -> Result<&'static dyn GemmKernel, Failure> {
    threads(args.jobs)?;
    match &args.kernel {
        None => Ok(vmin_kernels::best()),
        Some(name) => vmin_kernels::by_name(name).map_err(|error| {
            Diagnostic::new("unknown-kernel", error.to_string())
                .hint("leave `--kernel` out to use the fastest one")
                .into()
        }),
    }
}

/// Sets the number of threads.
pub(crate) fn threads(jobs: Option<u16>) -> Result<(), Failure> {
    let Some(jobs) = jobs else { return Ok(()) };
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs.into())
        .build_global()
        .map_err(|error| Failure::input("threads", &error))
}
