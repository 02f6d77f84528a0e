//! An NVIDIA GPU: kernels compiled by NVRTC, matrix products by cuBLAS, convolutions by cuDNN if it is installed, one
//! stream.
#![expect(unsafe_code, reason = "kernels are launched and BLAS is called with plain pointers")]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use cudarc::cublas::{CudaBlas, Gemm as _, GemmConfig, sys::cublasOperation_t};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig,
    PushKernelArg, sys,
};
use cudarc::nvrtc::{self, Ptx, compile_ptx};

use vmin_train::EngineError;

use crate::check::check;
use crate::convolution::{Convolution, Convolve};
use crate::cudnn::Convolver;
use crate::device::{Arguments, At, Device, Gemm, KERNELS, Kernel, Sizes, To};
use crate::libraries;

/// Threads of a block.
const BLOCK: u32 = 256;

// SAFETY: `repr(C)` with integer fields only, the same as the struct of that name in the kernels.
unsafe impl DeviceRepr for Sizes {}

/// A GPU with the kernels loaded.
pub(crate) struct Cuda {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Never dropped: dropping panics if the device has failed, which would hide the error.
    blas: ManuallyDrop<CudaBlas>,
    functions: BTreeMap<Kernel, CudaFunction>,
    /// cuDNN, or the reason why it is not used.
    convolver: Result<Convolver, String>,
    /// Layers of the self-check for which cuDNN has no algorithm.
    left: usize,
}

pub(crate) fn failed<E: std::fmt::Display>(doing: &'static str) -> impl Fn(E) -> EngineError {
    move |error| EngineError::Failed { doing, reason: error.to_string() }
}

impl Cuda {
    /// The first device, with cuDNN if it is installed and passes the self-check.
    pub(crate) fn new() -> Result<Self, EngineError> {
        let mut cuda = Self::by_patches()?;
        let stream = cuda.stream.clone();
        cuda.convolver = libraries::load_cudnn().and_then(|()| Convolver::new(stream));
        if cuda.convolver.is_ok() {
            match check(&mut cuda) {
                Ok(left) => cuda.left = left,
                Err(reason) => {
                    // The failure may have broken the device as well.
                    cuda.context.synchronize().map_err(|error| EngineError::Failed {
                        doing: "work after the self-check of cuDNN",
                        reason: format!(
                            "{error}, after: {reason}; {}=1 switches cuDNN off",
                            libraries::WITHOUT_CUDNN
                        ),
                    })?;
                    cuda.convolver = Err(reason);
                }
            }
        }
        Ok(cuda)
    }

    /// The first device without cuDNN.
    pub(crate) fn by_patches() -> Result<Self, EngineError> {
        libraries::load()?;
        let context = CudaContext::new(0)
            .map_err(|error| EngineError::Absent(format!("there is no CUDA device: {error}")))?;
        let stream = context.default_stream();
        let (major, minor) =
            context.compute_capability().map_err(failed("report its compute capability"))?;
        // The driver accepts machine code of any minor version of its CUDA, but no PTX of a newer one. For a GPU
        // newer than the compiler there is PTX only.
        let image = match machine_code(&format!("sm_{major}{minor}")) {
            Some(code) => code,
            None => compile_ptx(KERNELS).map_err(failed("compile the kernels"))?,
        };
        let module = context.load_module(image).map_err(failed("load the kernels"))?;
        let mut functions = BTreeMap::new();
        for (kernel, name) in Kernel::ALL {
            let function = module.load_function(name).map_err(failed("load a kernel"))?;
            functions.insert(kernel, function);
        }
        let blas = CudaBlas::new(stream.clone()).map_err(failed("start cuBLAS"))?;
        keep_freed_memory(&context);
        let blas = ManuallyDrop::new(blas);
        let convolver = Err("it was not loaded".to_owned());
        Ok(Self { context, stream, blas, functions, convolver, left: 0 })
    }

    /// The GPU and the library of its convolutions, on which the rounding depends.
    pub(crate) fn name(&self) -> String {
        let gpu = self.context.name().unwrap_or_else(|_| "CUDA device 0".to_owned());
        let library = if self.convolver.is_ok() { "cuDNN" } else { "cuBLAS" };
        format!("{gpu} ({library})")
    }

    /// Convolutions that cuDNN does not compute, and the reason.
    pub(crate) fn note(&self) -> Option<String> {
        match (&self.convolver, self.left) {
            (Ok(_), 0) => None,
            (Ok(_), left) => Some(format!(
                "for {left} convolutions of the self-check cuDNN has no algorithm with the same bits at every \
                 run; such convolutions use cuBLAS"
            )),
            (Err(reason), _) => Some(format!("convolutions use cuBLAS, not cuDNN: {reason}")),
        }
    }
}

/// The kernels as machine code for one architecture, if the compiler knows it.
fn machine_code(architecture: &str) -> Option<Ptx> {
    let source = CString::new(KERNELS).ok()?;
    let program = nvrtc::result::create_program(&source, None).ok()?;
    // SAFETY: the program is live until it is destroyed below, and the buffer has the size that NVRTC returned.
    let code = unsafe {
        let option = format!("--gpu-architecture={architecture}");
        let code = nvrtc::result::compile_program(program, &[option]).and_then(|()| {
            let mut size = 0_usize;
            nvrtc::sys::nvrtcGetCUBINSize(program, &raw mut size).result()?;
            let mut code = vec![0_u8; size];
            nvrtc::sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result()?;
            Ok(code)
        });
        // A failure here leaks a few bytes and nothing else.
        let _ = nvrtc::result::destroy_program(program);
        code
    };
    code.ok().filter(|code| !code.is_empty()).map(Ptx::from_binary)
}

/// Asks the driver to keep freed memory for the next buffers, also across synchronizations. Without it everything is
/// only slower.
fn keep_freed_memory(context: &CudaContext) {
    if !context.has_async_alloc() {
        return;
    }
    let mut pool = std::ptr::null_mut();
    let mut all = u64::MAX;
    // SAFETY: the device belongs to a live context; the attribute is one 64-bit number.
    unsafe {
        let asked = sys::cuDeviceGetDefaultMemPool(&raw mut pool, context.cu_device());
        if asked.result().is_ok() {
            let threshold = sys::CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            let _ = sys::cuMemPoolSetAttribute(pool, threshold, (&raw mut all).cast());
        }
    }
}

impl Cuda {
    /// Waits until a copy from or to plain memory has ended: the call itself may return earlier, depending on the
    /// machine.
    fn settled<T>(
        &self,
        doing: &'static str,
        copied: Result<T, DriverError>,
    ) -> Result<T, EngineError> {
        let copied = copied.map_err(failed(doing))?;
        self.stream.synchronize().map_err(failed(doing))?;
        Ok(copied)
    }
}

impl Device for Cuda {
    type Floats = CudaSlice<f32>;
    type Doubles = CudaSlice<f64>;

    fn upload(&mut self, values: &[f32]) -> Result<Self::Floats, EngineError> {
        // Drivers refuse empty buffers.
        let values = if values.is_empty() { &[0.0] } else { values };
        self.settled("receive values", self.stream.clone_htod(values))
    }

    fn floats(&mut self, len: usize) -> Result<Self::Floats, EngineError> {
        self.stream.alloc_zeros(len.max(1)).map_err(failed("allocate values"))
    }

    fn doubles(&mut self, len: usize) -> Result<Self::Doubles, EngineError> {
        self.stream.alloc_zeros(len.max(1)).map_err(failed("allocate sums"))
    }

    fn clear(&mut self, floats: &mut Self::Floats) -> Result<(), EngineError> {
        self.stream.memset_zeros(floats).map_err(failed("clear values"))
    }

    fn len(floats: &Self::Floats) -> usize {
        floats.len()
    }

    fn download(&mut self, floats: &Self::Floats) -> Result<Vec<f32>, EngineError> {
        self.settled("return values", self.stream.clone_dtoh(floats))
    }

    fn download_doubles(&mut self, doubles: &Self::Doubles) -> Result<Vec<f64>, EngineError> {
        self.settled("return sums", self.stream.clone_dtoh(doubles))
    }

    fn launch(
        &mut self,
        kernel: Kernel,
        threads: usize,
        arguments: Arguments<'_, Self>,
        sizes: Sizes,
    ) -> Result<(), EngineError> {
        let too_many = |_| EngineError::Failed {
            doing: "run a kernel",
            reason: format!("{threads} threads are too many, use a smaller `batch_size`"),
        };
        let blocks = threads.div_ceil(BLOCK as usize);
        let config = LaunchConfig {
            grid_dim: (u32::try_from(blocks).map_err(too_many)?.max(1), 1, 1),
            block_dim: (BLOCK, 1, 1),
            shared_mem_bytes: 0,
        };
        let Arguments { mut out, inputs, mut sums } = arguments;
        let (count, absent) = (threads as i64, 0_u64);
        let mut out = out.as_mut().map(|To(out, at)| out.slice_mut(*at..));
        let inputs = inputs.map(|input| input.map(|At(values, at)| values.slice(at..)));
        let mut launch = self.stream.launch_builder(&self.functions[&kernel]);
        launch.arg(&count);
        match &mut out {
            Some(out) => launch.arg(out),
            None => launch.arg(&absent),
        };
        for input in &inputs {
            match input {
                Some(input) => launch.arg(input),
                None => launch.arg(&absent),
            };
        }
        match &mut sums {
            Some(sums) => launch.arg(&mut **sums),
            None => launch.arg(&absent),
        };
        launch.arg(&sizes);
        // SAFETY: every kernel has these seven arguments and does not touch null pointers; `layers.rs` gives each
        // kernel buffers of the sizes in its arguments. The tests make the same calls on buffers with guards at
        // both ends.
        unsafe { launch.launch(config) }.map_err(failed("run a kernel"))?;
        Ok(())
    }

    fn gemm(
        &mut self,
        gemm: Gemm,
        At(a, a_at): At<'_, Self>,
        At(b, b_at): At<'_, Self>,
        To(c, c_at): To<'_, Self>,
    ) -> Result<(), EngineError> {
        let int = |size: usize| {
            i32::try_from(size).map_err(|_| EngineError::Failed {
                doing: "multiply matrices",
                reason: format!("{size} rows are too many, use a smaller `batch_size`"),
            })
        };
        let op = |transposed| {
            if transposed { cublasOperation_t::CUBLAS_OP_T } else { cublasOperation_t::CUBLAS_OP_N }
        };
        let config = GemmConfig {
            transa: op(gemm.transposed[0]),
            transb: op(gemm.transposed[1]),
            m: int(gemm.m)?,
            n: int(gemm.n)?,
            k: int(gemm.k)?,
            alpha: 1.0,
            lda: int(gemm.leading[0])?,
            ldb: int(gemm.leading[1])?,
            beta: gemm.beta,
            ldc: int(gemm.leading[2])?,
        };
        let (a, b, mut c) = (a.slice(a_at..), b.slice(b_at..), c.slice_mut(c_at..));
        // SAFETY: sizes and leading dimensions describe matrices inside these buffers (`products.rs`); the tests
        // make the same calls on slices with checked bounds.
        unsafe { self.blas.gemm(config, &a, &b, &mut c) }.map_err(failed("multiply matrices"))
    }

    fn convolves(&mut self, convolution: &Convolution) -> Result<bool, EngineError> {
        self.convolver.as_mut().map_or(Ok(false), |convolver| convolver.convolves(convolution))
    }

    fn convolve(
        &mut self,
        convolution: &Convolution,
        pass: Convolve<'_, Self>,
    ) -> Result<(), EngineError> {
        match &mut self.convolver {
            Ok(convolver) => convolver.convolve(convolution, pass),
            Err(reason) => {
                Err(EngineError::Failed { doing: "compute a convolution", reason: reason.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cudarc::nvrtc::compile_ptx;

    use vmin_train::EngineError;

    use super::{Cuda, Device, KERNELS, Kernel, libraries, machine_code};

    /// Needs NVRTC, but no GPU.
    #[test]
    fn the_kernels_compile() {
        if !libraries::compiler_is_available(i32::MAX) {
            return;
        }
        let ptx = compile_ptx(KERNELS).expect("compiles").to_src();
        for (_, name) in Kernel::ALL {
            assert!(ptx.contains(&format!(".entry {name}(")), "{name} in {ptx}");
        }
        let code = machine_code("sm_80").expect("CUDA 12 and 13 know this architecture");
        assert!(format!("{code:?}").contains("[127, 69, 76, 70,"), "an ELF file");
        assert!(machine_code("sm_1").is_none());
    }

    #[test]
    fn the_engine_starts_or_reports_the_missing_part() {
        match Cuda::new() {
            Ok(mut cuda) => {
                let floats = cuda.upload(&[1.0, 2.0]).expect("receives values");
                assert_eq!(cuda.download(&floats).expect("returns values"), [1.0, 2.0]);
                let by_cudnn = cuda.name().ends_with(" (cuDNN)");
                assert!(by_cudnn || cuda.note().is_some(), "{}", cuda.name());
            }
            Err(EngineError::Absent(reason)) => assert!(!reason.is_empty()),
            Err(error) => panic!("{error}"),
        }
    }
}
