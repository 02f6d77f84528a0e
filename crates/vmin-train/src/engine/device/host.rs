//! The kernels on this machine's processor: the same text, compiled as C and run thread after thread.
//!
//! What is tested here is all but the driver: the kernels' arithmetic, which kernel runs when over what, and
//! the matrix products in the convention of BLAS.
#![expect(unsafe_code, reason = "functions of a library that was just compiled")]

use std::ffi::{c_longlong, c_void};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use libloading::Library;

use super::{Arguments, At, Device, Gemm, KERNELS, Kernel, Sizes, To};
use crate::engine::EngineError;

/// Runs every thread of a kernel.
const LOOP: &str = r"
typedef void (*Body)(long long, float *, const float *, const float *, const float *, double *, Sizes);
void run(Body body, long long threads, long long launched, float *out, const float *a, const float *b,
         const float *c, double *sums, const Sizes *s) {
    for (thread_of_host = 0; thread_of_host < launched; thread_of_host++)
        body(threads, out, a, b, c, sums, *s);
}
";

type Run = unsafe extern "C" fn(
    *const c_void,
    c_longlong,
    c_longlong,
    *mut f32,
    *const f32,
    *const f32,
    *const f32,
    *mut f64,
    *const Sizes,
);

/// Memory of this process.
pub(in crate::engine) struct Host {
    library: Arc<Library>,
}

impl Host {
    /// `None` where there is no C compiler.
    pub(in crate::engine) fn new() -> Option<Self> {
        static LIBRARY: OnceLock<Option<Arc<Library>>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| compiled().map(Arc::new)).clone()?;
        Some(Self { library })
    }
}

fn compiled() -> Option<Library> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    Command::new(&compiler).arg("--version").output().ok()?;
    let folder = tempfile::tempdir().expect("a folder");
    let (source, library) = (folder.path().join("kernels.c"), folder.path().join("kernels.so"));
    std::fs::write(&source, format!("{KERNELS}{LOOP}")).expect("writes");
    let output = Command::new(&compiler)
        .args(["-std=c11", "-Wall", "-Wno-unknown-pragmas", "-Werror", "-O2", "-shared", "-fPIC"])
        .arg("-o")
        .arg(&library)
        .arg(&source)
        .output()
        .expect("the compiler starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // SAFETY: the library was compiled from the text above and does nothing when it is loaded.
    Some(unsafe { Library::new(&library) }.expect("the library loads"))
}

/// NaNs before and behind every buffer: whoever reads them is poisoned, whoever writes them is found out.
const GUARD: usize = 64;

/// Floats between two guards.
pub(in crate::engine) struct Guarded(Vec<f32>);

impl Guarded {
    fn new(values: &[f32]) -> Self {
        let guard = [f32::NAN; GUARD];
        Self([&guard[..], values, &guard].concat())
    }

    fn inner(&self) -> &[f32] {
        &self.0[GUARD..self.0.len() - GUARD]
    }

    fn inner_mut(&mut self) -> &mut [f32] {
        let end = self.0.len() - GUARD;
        &mut self.0[GUARD..end]
    }

    fn check(&self, what: &str) {
        let end = self.0.len() - GUARD;
        let untouched = self.0[..GUARD].iter().chain(&self.0[end..]).all(|x| x.is_nan());
        assert!(untouched, "{what} wrote beyond its buffer");
    }
}

impl Device for Host {
    type Floats = Guarded;
    type Doubles = Vec<f64>;

    fn upload(&mut self, values: &[f32]) -> Result<Guarded, EngineError> {
        Ok(Guarded::new(values))
    }

    fn floats(&mut self, len: usize) -> Result<Guarded, EngineError> {
        Ok(Guarded::new(&vec![0.0; len]))
    }

    fn doubles(&mut self, len: usize) -> Result<Vec<f64>, EngineError> {
        Ok(vec![0.0; len])
    }

    fn clear(&mut self, floats: &mut Guarded) -> Result<(), EngineError> {
        floats.inner_mut().fill(0.0);
        Ok(())
    }

    fn len(floats: &Guarded) -> usize {
        floats.inner().len()
    }

    fn download(&mut self, floats: &Guarded) -> Result<Vec<f32>, EngineError> {
        Ok(floats.inner().to_vec())
    }

    fn download_doubles(&mut self, doubles: &Vec<f64>) -> Result<Vec<f64>, EngineError> {
        Ok(doubles.clone())
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        threads: usize,
        arguments: Arguments<'_, Self>,
        sizes: Sizes,
    ) -> Result<(), EngineError> {
        let (_, name) = Kernel::ALL.into_iter().find(|(of, _)| *of == kernel).expect("all");
        let Arguments { mut out, inputs, sums } = arguments;
        let to = out
            .as_mut()
            .map_or(std::ptr::null_mut(), |To(out, at)| out.inner_mut()[*at..].as_mut_ptr());
        let [a, b, c] = inputs
            .map(|x| x.map_or(std::ptr::null(), |At(values, at)| values.inner()[at..].as_ptr()));
        let sums = sums.map_or(std::ptr::null_mut(), Vec::as_mut_ptr);
        let count = c_longlong::try_from(threads).expect("small");
        // A grid is made of whole blocks: more threads than asked for.
        let launched = count + 7;
        // SAFETY: `run` has this type in the text above; pointers are those of live buffers or null, and
        // `layers.rs` gives each kernel the buffers and sizes that its comment asks for.
        unsafe {
            let run = self.library.get::<Run>(b"run").expect("in the text");
            let body = self.library.get::<*const c_void>(name.as_bytes()).expect("in the text");
            run(*body, count, launched, to, a, b, c, sums, &raw const sizes);
        }
        if let Some(To(out, _)) = out {
            out.check(name);
        }
        Ok(())
    }

    /// Reference BLAS: columns one after the other.
    fn gemm(
        &mut self,
        gemm: Gemm,
        At(a, a_at): At<'_, Self>,
        At(b, b_at): At<'_, Self>,
        To(c, c_at): To<'_, Self>,
    ) -> Result<(), EngineError> {
        let Gemm { transposed, m, n, k, leading: [lda, ldb, ldc], beta } = gemm;
        let (a, b, c) = (&a.inner()[a_at..], &b.inner()[b_at..], &mut c.inner_mut()[c_at..]);
        for column in 0..n {
            for row in 0..m {
                let a = |i: usize| if transposed[0] { a[i + row * lda] } else { a[row + i * lda] };
                let b = |i: usize| {
                    if transposed[1] { b[column + i * ldb] } else { b[i + column * ldb] }
                };
                let sum: f32 = (0..k).map(|i| a(i) * b(i)).sum();
                let c = &mut c[row + column * ldc];
                *c = if beta == 0.0 { sum } else { sum + beta * *c };
            }
        }
        Ok(())
    }
}
