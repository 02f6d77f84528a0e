//! Convolutions by cuDNN, through the functions with an explicit algorithm.
//!
//! Only algorithms with the same bits at every run are used, and never TF32: a resumed run must give the weights of an
//! uninterrupted one. Layers without such an algorithm use patches.
#![expect(unsafe_code, reason = "cuDNN is called with plain pointers")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use cudarc::cudnn::result::{self, CudnnError};
use cudarc::cudnn::sys;
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DriverError};

use vmin_train::EngineError;

use crate::convolution::{Convolution, Convolve};
use crate::cuda::{Cuda, failed};

/// Forward algorithms, best first; all of them are deterministic.
const FORWARD: [sys::cudnnConvolutionFwdAlgo_t; 2] = [
    sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
    sys::cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
];
/// The only deterministic algorithm for the layout `[image, y, x, channel]`.
const BACK_TO_DATA: [sys::cudnnConvolutionBwdDataAlgo_t; 1] =
    [sys::cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1];
/// The only deterministic algorithm for this layout.
const BACK_TO_WEIGHTS: [sys::cudnnConvolutionBwdFilterAlgo_t; 1] =
    [sys::cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1];

/// Largest workspace of an algorithm in bytes, four times the patches.
const WORKSPACE_MAX: usize = 1 << 30;

/// cuDNN on a stream.
pub(crate) struct Convolver {
    stream: Arc<CudaStream>,
    /// Never destroyed: it lives as long as the device, and a failed device gets no further calls.
    handle: sys::cudnnHandle_t,
    /// Plan of every convolution so far, `None` without an algorithm.
    plans: BTreeMap<Convolution, Option<Plan>>,
    /// Shared by all passes, which the stream runs one after the other.
    workspace: Option<CudaSlice<u8>>,
}

// SAFETY: cuDNN accepts a handle and descriptors from any thread, one thread at a time; all of them are used through
// `&mut Convolver` only.
unsafe impl Send for Convolver {}

/// The algorithms of a convolution with the sizes of their workspaces in bytes.
struct Plan {
    descriptors: Descriptors,
    forward: (sys::cudnnConvolutionFwdAlgo_t, usize),
    to_data: (sys::cudnnConvolutionBwdDataAlgo_t, usize),
    to_weights: (sys::cudnnConvolutionBwdFilterAlgo_t, usize),
}

impl Convolver {
    /// Starts cuDNN on a stream.
    ///
    /// # Errors
    /// The reason why cuDNN cannot be used.
    pub(crate) fn new(stream: Arc<CudaStream>) -> Result<Self, String> {
        let text = |error: DriverError| error.to_string();
        stream.context().bind_to_thread().map_err(text)?;
        let start = || {
            let handle = result::create_handle()?;
            // SAFETY: both are live; the stream is kept beside the handle.
            unsafe { result::set_stream(handle, stream.cu_stream().cast())? };
            Ok(handle)
        };
        let handle = start().map_err(|error: CudnnError| format!("it does not start: {error}"))?;
        Ok(Self { stream, handle, plans: BTreeMap::new(), workspace: None })
    }

    /// Whether cuDNN has algorithms for all passes of a convolution.
    pub(crate) fn convolves(&mut self, convolution: &Convolution) -> Result<bool, EngineError> {
        if let Some(plan) = self.plans.get(convolution) {
            return Ok(plan.is_some());
        }
        self.stream.context().bind_to_thread().map_err(failed("plan a convolution"))?;
        let plan = match Plan::new(self.handle, convolution) {
            Err(error) if refused(error) => None,
            plan => plan.map_err(failed("plan a convolution"))?,
        };
        let found = plan.is_some();
        self.plans.insert(*convolution, plan);
        Ok(found)
    }

    /// Computes a pass of a convolution for which [`Self::convolves`] holds.
    pub(crate) fn convolve(
        &mut self,
        convolution: &Convolution,
        pass: Convolve<'_, Cuda>,
    ) -> Result<(), EngineError> {
        let doing = "compute a convolution";
        let Some(Some(plan)) = self.plans.get(convolution) else {
            let reason = format!("there is no algorithm for {convolution}");
            return Err(EngineError::Failed { doing, reason });
        };
        let Plan { descriptors, forward, to_data, to_weights } = plan;
        let &Descriptors { input, output, weights: filter, layer } = descriptors;
        let (handle, stream) = (self.handle, &*self.stream);
        stream.context().bind_to_thread().map_err(failed(doing))?;
        let bytes = match pass {
            Convolve::Forward { .. } => forward.1,
            Convolve::BackToData { .. } => to_data.1,
            Convolve::BackToWeights { .. } => to_weights.1,
        };
        let workspace =
            workspace(&self.stream, &mut self.workspace, bytes).map_err(failed(doing))?;
        let (workspace, _used) =
            workspace.map(|workspace| workspace.device_ptr_mut(stream)).unzip();
        let workspace = workspace.map_or(ptr::null_mut(), |at| at as *mut c_void);
        let one = 1.0_f32;
        let one: *const c_void = (&raw const one).cast();
        // For all three calls: handle and descriptors are live, the workspace has the size that the algorithm
        // needs, the factors of f32 values are f32, and the buffers have the sizes in the descriptors; `products.rs`
        // guarantees the last, and its tests compare the lengths of all buffers with these sizes.
        let done = match pass {
            Convolve::Forward { x, weights, y, beta } => {
                let beta: *const c_void = (&raw const beta).cast();
                let (x, _x) = x.device_ptr(stream);
                let (weights, _weights) = weights.device_ptr(stream);
                let (y, _y) = y.device_ptr_mut(stream);
                let (x, weights) = (x as *const c_void, weights as *const c_void);
                // SAFETY: as above.
                unsafe {
                    result::convolution_forward(
                        handle,
                        one,
                        input,
                        x,
                        filter,
                        weights,
                        layer,
                        forward.0,
                        workspace,
                        bytes,
                        beta,
                        output,
                        y as *mut c_void,
                    )
                }
            }
            Convolve::BackToData { weights, dy, dx } => {
                let (weights, _weights) = weights.device_ptr(stream);
                let (dy, _dy) = dy.device_ptr(stream);
                let (dx, _dx) = dx.device_ptr_mut(stream);
                let (weights, dy) = (weights as *const c_void, dy as *const c_void);
                // SAFETY: as above.
                unsafe {
                    result::convolution_backward_data(
                        handle,
                        one,
                        filter,
                        weights,
                        output,
                        dy,
                        layer,
                        to_data.0,
                        workspace,
                        bytes,
                        one,
                        input,
                        dx as *mut c_void,
                    )
                }
            }
            Convolve::BackToWeights { x, dy, dweights } => {
                let zero = 0.0_f32;
                let zero: *const c_void = (&raw const zero).cast();
                let (x, _x) = x.device_ptr(stream);
                let (dy, _dy) = dy.device_ptr(stream);
                let (dweights, _dweights) = dweights.device_ptr_mut(stream);
                let (x, dy) = (x as *const c_void, dy as *const c_void);
                // SAFETY: as above.
                unsafe {
                    result::convolution_backward_filter(
                        handle,
                        one,
                        input,
                        x,
                        output,
                        dy,
                        layer,
                        to_weights.0,
                        workspace,
                        bytes,
                        zero,
                        filter,
                        dweights as *mut c_void,
                    )
                }
            }
        };
        done.map_err(failed(doing))
    }
}

/// A workspace of at least that many bytes, `None` for 0 bytes.
fn workspace<'a>(
    stream: &Arc<CudaStream>,
    workspace: &'a mut Option<CudaSlice<u8>>,
    bytes: usize,
) -> Result<Option<&'a mut CudaSlice<u8>>, DriverError> {
    if bytes == 0 {
        return Ok(None);
    }
    if workspace.as_ref().is_none_or(|workspace| workspace.len() < bytes) {
        // Free the smaller buffer first.
        *workspace = None;
        *workspace = Some(stream.alloc_zeros(bytes)?);
    }
    Ok(workspace.as_mut())
}

/// Whether the status means "no such algorithm", and neither a failure nor a machine on which cuDNN cannot work.
fn refused(CudnnError(status): CudnnError) -> bool {
    use sys::cudnnStatus_t::{
        CUDNN_STATUS_NOT_SUPPORTED, CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER,
        CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART,
        CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING,
        CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE,
    };
    let of_machine = matches!(
        status,
        CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER
            | CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDART
            | CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING
            | CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE
    );
    // The thousands of a status are its kind.
    !of_machine && status as u32 / 1000 == CUDNN_STATUS_NOT_SUPPORTED as u32 / 1000
}

/// The first available algorithm with the size of its workspace in bytes.
fn first<A: Copy>(
    algorithms: &[A],
    bytes: impl Fn(A) -> Result<usize, CudnnError>,
) -> Result<Option<(A, usize)>, CudnnError> {
    for &algorithm in algorithms {
        match bytes(algorithm) {
            Ok(bytes) if bytes <= WORKSPACE_MAX => return Ok(Some((algorithm, bytes))),
            Ok(_) => {}
            Err(error) if refused(error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl Plan {
    fn new(
        handle: sys::cudnnHandle_t,
        convolution: &Convolution,
    ) -> Result<Option<Self>, CudnnError> {
        let descriptors = Descriptors::new(convolution)?;
        let Descriptors { input, output, weights, layer } = descriptors;
        let forward = first(&FORWARD, |algorithm| {
            // SAFETY: handle and descriptors are live, here and below.
            unsafe {
                result::get_convolution_forward_workspace_size(
                    handle, input, weights, layer, output, algorithm,
                )
            }
        })?;
        let to_data = first(&BACK_TO_DATA, |algorithm| {
            // SAFETY: as above.
            unsafe {
                result::get_convolution_backward_data_workspace_size(
                    handle, weights, output, layer, input, algorithm,
                )
            }
        })?;
        let to_weights = first(&BACK_TO_WEIGHTS, |algorithm| {
            // SAFETY: as above.
            unsafe {
                result::get_convolution_backward_filter_workspace_size(
                    handle, input, output, layer, weights, algorithm,
                )
            }
        })?;
        let (Some(forward), Some(to_data), Some(to_weights)) = (forward, to_data, to_weights)
        else {
            return Ok(None);
        };
        Ok(Some(Self { descriptors, forward, to_data, to_weights }))
    }
}

/// Sizes of a convolution as cuDNN's descriptors; null before they are created.
struct Descriptors {
    input: sys::cudnnTensorDescriptor_t,
    output: sys::cudnnTensorDescriptor_t,
    weights: sys::cudnnFilterDescriptor_t,
    layer: sys::cudnnConvolutionDescriptor_t,
}

impl Descriptors {
    fn new(convolution: &Convolution) -> Result<Self, CudnnError> {
        let (float, order) =
            (sys::cudnnDataType_t::CUDNN_DATA_FLOAT, sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC);
        let (stride, padding) = (convolution.sizes.stride, convolution.sizes.padding);
        let mut made = Self {
            input: ptr::null_mut(),
            output: ptr::null_mut(),
            weights: ptr::null_mut(),
            layer: ptr::null_mut(),
        };
        made.input = result::create_tensor_descriptor()?;
        made.output = result::create_tensor_descriptor()?;
        made.weights = result::create_filter_descriptor()?;
        made.layer = result::create_convolution_descriptor()?;
        // SAFETY: all four were created above.
        unsafe {
            result::set_tensor4d_descriptor(made.input, order, float, convolution.input())?;
            result::set_tensor4d_descriptor(made.output, order, float, convolution.output())?;
            result::set_filter4d_descriptor(made.weights, float, order, convolution.weights())?;
            let mode = sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION;
            result::set_convolution2d_descriptor(
                made.layer, padding, padding, stride, stride, 1, 1, mode, float,
            )?;
            // The default may be TF32.
            let math = sys::cudnnMathType_t::CUDNN_FMA_MATH;
            result::set_convolution_math_type(made.layer, math)?;
        }
        Ok(made)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: those that are not null were created here and have no other user. A failure only leaks them.
        unsafe {
            if !self.input.is_null() {
                let _ = result::destroy_tensor_descriptor(self.input);
            }
            if !self.output.is_null() {
                let _ = result::destroy_tensor_descriptor(self.output);
            }
            if !self.weights.is_null() {
                let _ = result::destroy_filter_descriptor(self.weights);
            }
            if !self.layer.is_null() {
                let _ = result::destroy_convolution_descriptor(self.layer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cudarc::cudnn::result::CudnnError;
    use cudarc::cudnn::sys::{self, cudnnStatus_t};

    use super::{Descriptors, WORKSPACE_MAX, first};
    use crate::check::layers;
    use crate::convolution::Convolution;
    use crate::host::{Host, Whole};
    use crate::libraries;
    use crate::products::Product;

    #[test]
    fn the_first_available_algorithm_is_used() {
        let status = |status| move |_| Err(CudnnError(status));
        let refused = cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED_LAYOUT;
        assert_eq!(first(&[1, 2], Ok), Ok(Some((1, 1))));
        assert_eq!(first(&[WORKSPACE_MAX + 1, 2], Ok), Ok(Some((2, 2))));
        assert_eq!(first(&[1, 2], status(refused)), Ok(None));
        for failed in [
            cudnnStatus_t::CUDNN_STATUS_INTERNAL_ERROR,
            cudnnStatus_t::CUDNN_STATUS_BAD_PARAM,
            cudnnStatus_t::CUDNN_STATUS_NOT_INITIALIZED,
            cudnnStatus_t::CUDNN_STATUS_NOT_SUPPORTED_SUBLIBRARY_UNAVAILABLE,
        ] {
            assert_eq!(first(&[1, 2], status(failed)), Err(CudnnError(failed)));
        }
    }

    /// Needs cuDNN, but no GPU.
    #[test]
    fn cudnn_reports_the_sizes_that_it_got() {
        let Some(mut host) = Host::convolving(Whole::Right) else { return };
        if libraries::cudnn_is_available(i32::MAX).is_err() {
            return;
        }
        for (layer, images) in layers() {
            let convolution = Product::conv(&layer).whole(&mut host, images).expect("no error");
            let convolution = convolution.expect("a convolution that needs patches");
            let descriptors = Descriptors::new(&convolution).expect("creates descriptors");
            compare(&convolution, &descriptors);
        }
    }

    fn compare(convolution: &Convolution, descriptors: &Descriptors) {
        let &Descriptors { input, output, weights, layer } = descriptors;
        for (tensor, sizes) in [(input, convolution.input()), (output, convolution.output())] {
            let [_, channels, height, width] = sizes;
            let (mut is, mut apart) = ([0; 4], [0; 4]);
            let mut kind = sys::cudnnDataType_t::CUDNN_DATA_HALF;
            let ([n, c, h, w], [sn, sc, sh, sw]) = (is.each_mut(), apart.each_mut());
            // SAFETY: the descriptor is live, the other pointers point to values of the written types, here and below.
            let asked = unsafe {
                sys::cudnnGetTensor4dDescriptor(tensor, &raw mut kind, n, c, h, w, sn, sc, sh, sw)
            };
            asked.result().expect("reports");
            assert_eq!((is, kind), (sizes, sys::cudnnDataType_t::CUDNN_DATA_FLOAT));
            assert_eq!(apart, [height * width * channels, 1, width * channels, channels]);
        }
        let mut is = [0; 4];
        let mut kind = sys::cudnnDataType_t::CUDNN_DATA_HALF;
        let mut order = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;
        let [k, c, h, w] = is.each_mut();
        // SAFETY: as above.
        let asked = unsafe {
            sys::cudnnGetFilter4dDescriptor(weights, &raw mut kind, &raw mut order, k, c, h, w)
        };
        asked.result().expect("reports");
        assert_eq!((is, kind), (convolution.weights(), sys::cudnnDataType_t::CUDNN_DATA_FLOAT));
        assert_eq!(order, sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC);
        let [n, c, h, w] = is.each_mut();
        // SAFETY: as above.
        let asked = unsafe {
            sys::cudnnGetConvolution2dForwardOutputDim(layer, input, weights, n, c, h, w)
        };
        asked.result().expect("reports");
        assert_eq!(is, convolution.output());
        let mut math = sys::cudnnMathType_t::CUDNN_DEFAULT_MATH;
        // SAFETY: as above.
        unsafe { sys::cudnnGetConvolutionMathType(layer, &raw mut math) }
            .result()
            .expect("reports");
        assert_eq!(math, sys::cudnnMathType_t::CUDNN_FMA_MATH);
    }
}
