//! A device on the processor of this machine: the kernels, compiled as C and run thread after thread.
//!
//! It tests everything but the driver and the libraries: the arithmetic of the kernels, the order and buffers of their
//! calls, and the matrix products in the convention of BLAS. Its convolutions are loops over the sizes that cuDNN would
//! get, correct or with the faults of a bad library ([`Whole`]).
#![expect(unsafe_code, reason = "the tests call functions of a library that they compiled")]

use std::ffi::{c_longlong, c_void};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use libloading::Library;

use vmin_train::EngineError;

use crate::convolution::{Convolution, Convolve};
use crate::device::{Arguments, At, Device, Gemm, KERNELS, Kernel, Sizes, To};

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

/// Convolutions of the host that need no patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It has no algorithm.
    Absent,
    /// All of them are correct.
    Right,
    /// They are correct, but only those with a stride above 1 exist.
    Strided,
    /// Factors have the 10 bits of TF32.
    Rough,
    /// The gradient of the input overwrites the earlier values instead of adding to them.
    Replacing,
    /// Every second call gives other values.
    Unsteady,
    /// All results are NaN.
    NotANumber,
    /// Every call fails.
    Failing,
}

/// The processor, with the memory of this process.
pub(crate) struct Host {
    library: Arc<Library>,
    whole: Whole,
    convolved: usize,
}

impl Host {
    /// A host without convolutions of its own; `None` without a C compiler.
    pub(crate) fn new() -> Option<Self> {
        Self::convolving(Whole::Absent)
    }

    /// A host with such convolutions.
    pub(crate) fn convolving(whole: Whole) -> Option<Self> {
        static LIBRARY: OnceLock<Option<Arc<Library>>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| compiled().map(Arc::new)).clone()?;
        Some(Self { library, whole, convolved: 0 })
    }

    /// Number of passes computed without patches.
    pub(crate) fn convolved(&self) -> usize {
        self.convolved
    }

    /// A factor as the host multiplies it.
    fn factor(&self, x: f32) -> f32 {
        match self.whole {
            Whole::Rough => f32::from_bits((x.to_bits() + (1 << 12)) & !((1 << 13) - 1)),
            Whole::Unsteady if self.convolved.is_multiple_of(2) => x * 1.000_001,
            Whole::NotANumber => f32::NAN,
            Whole::Absent
            | Whole::Right
            | Whole::Strided
            | Whole::Replacing
            | Whole::Unsteady
            | Whole::Failing => x,
        }
    }
}

/// Calls `f` for every product of a convolution, with the indices of its elements in input, weights and output.
fn products(convolution: &Convolution, mut f: impl FnMut(usize, usize, usize)) {
    let int = |size: i32| usize::try_from(size).expect("a size");
    let [images, channels, height, width] = convolution.input().map(int);
    let [of_output, out, out_height, out_width] = convolution.output().map(int);
    let [kernels, of_kernels, kernel_height, kernel_width] = convolution.weights().map(int);
    assert_eq!([images, out, channels], [of_output, kernels, of_kernels]);
    let [stride, padding] = [convolution.sizes.stride, convolution.sizes.padding].map(int);
    for row in 0..images * out_height * out_width {
        let (image, y, x) =
            (row / out_width / out_height, row / out_width % out_height, row % out_width);
        for tap in 0..kernel_height * kernel_width {
            let from_y =
                (y * stride + tap / kernel_width).checked_sub(padding).filter(|&y| y < height);
            let from_x =
                (x * stride + tap % kernel_width).checked_sub(padding).filter(|&x| x < width);
            let (Some(from_y), Some(from_x)) = (from_y, from_x) else { continue };
            let pixel = (image * height + from_y) * width + from_x;
            for kernel in 0..out {
                let weights = (kernel * kernel_height * kernel_width + tap) * channels;
                for channel in 0..channels {
                    f(pixel * channels + channel, weights + channel, row * out + kernel);
                }
            }
        }
    }
}

/// The C compiler, `None` without one.
pub(crate) fn compiler() -> Option<String> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    Command::new(&compiler).arg("--version").output().ok()?;
    Some(compiler)
}

/// Compiles a C file into a library.
pub(crate) fn compile(compiler: &str, source: &Path, library: &Path, options: &[&str]) {
    let output = Command::new(compiler)
        .args(["-std=c11", "-Wall", "-Wno-unknown-pragmas", "-Werror", "-O2", "-shared", "-fPIC"])
        .args(options)
        .arg("-o")
        .arg(library)
        .args(["-x", "c"])
        .arg(source)
        .output()
        .expect("the compiler starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles the kernels and the loop over their threads into a library.
pub(crate) fn compile_kernels(compiler: &str, library: &Path) {
    let source = library.with_extension("c");
    std::fs::write(&source, format!("{KERNELS}{LOOP}")).expect("writes");
    compile(compiler, &source, library, &[]);
}

fn compiled() -> Option<Library> {
    let compiler = compiler()?;
    let folder = tempfile::tempdir().expect("a folder");
    let library = folder.path().join("kernels.so");
    compile_kernels(&compiler, &library);
    // SAFETY: the library was compiled from the text above and has no initializers.
    Some(unsafe { Library::new(&library) }.expect("the library loads"))
}

/// NaNs before and after every buffer: reading them gives NaN, and overwriting them is detected.
const GUARD: usize = 64;

/// Floats between two guards.
pub(crate) struct Guarded(Vec<f32>);

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
        // A grid consists of whole blocks: it has more threads than needed.
        let launched = count + 7;
        // SAFETY: `run` has this type in the text above; pointers are null or point to live buffers, and
        // `layers.rs` gives each kernel the buffers and sizes of its comment.
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

    fn convolves(&mut self, convolution: &Convolution) -> Result<bool, EngineError> {
        Ok(match self.whole {
            Whole::Absent => false,
            Whole::Strided => convolution.sizes.stride > 1,
            Whole::Right
            | Whole::Rough
            | Whole::Replacing
            | Whole::Unsteady
            | Whole::NotANumber
            | Whole::Failing => true,
        })
    }

    fn convolve(
        &mut self,
        convolution: &Convolution,
        pass: Convolve<'_, Self>,
    ) -> Result<(), EngineError> {
        if self.whole == Whole::Failing {
            let reason = "CUDNN_STATUS_EXECUTION_FAILED".to_owned();
            return Err(EngineError::Failed { doing: "compute a convolution", reason });
        }
        self.convolved += 1;
        let len = |sizes: [i32; 4]| sizes.iter().product::<i32>() as usize;
        let (x_len, w_len, y_len) =
            (len(convolution.input()), len(convolution.weights()), len(convolution.output()));
        let whole = |floats: &Guarded, len: usize| assert_eq!(floats.inner().len(), len);
        match pass {
            Convolve::Forward { x, weights, y, beta } => {
                whole(x, x_len);
                whole(weights, w_len);
                whole(y, y_len);
                let (x, weights, y) = (x.inner(), weights.inner(), y.inner_mut());
                y.iter_mut().for_each(|y| *y = if beta == 0.0 { 0.0 } else { beta * *y });
                products(convolution, |xi, wi, yi| {
                    y[yi] += self.factor(x[xi]) * self.factor(weights[wi]);
                });
            }
            Convolve::BackToData { weights, dy, dx } => {
                whole(dx, x_len);
                whole(weights, w_len);
                whole(dy, y_len);
                let (weights, dy, dx) = (weights.inner(), dy.inner(), dx.inner_mut());
                if self.whole == Whole::Replacing {
                    dx.fill(0.0);
                }
                products(convolution, |xi, wi, yi| {
                    dx[xi] += self.factor(weights[wi]) * self.factor(dy[yi]);
                });
            }
            Convolve::BackToWeights { x, dy, dweights } => {
                whole(x, x_len);
                whole(dweights, w_len);
                whole(dy, y_len);
                let (x, dy, dweights) = (x.inner(), dy.inner(), dweights.inner_mut());
                dweights.fill(0.0);
                products(convolution, |xi, wi, yi| {
                    dweights[wi] += self.factor(x[xi]) * self.factor(dy[yi]);
                });
            }
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
