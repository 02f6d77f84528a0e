//! Convolutions and fully connected layers as products of a matrix of patches and a matrix of weights.
//!
//! ```text
//!  Y [rows, out] = patches [rows, patch] Wᵀ        W is [out, patch]
//!  dW += dYᵀ patches         dpatches = dY W, each element added to its pixel
//! ```
//!
//! If the device has an algorithm for a convolution that would need patches, that is used.

use vmin_train::EngineError;
use vmin_train::network::{Conv2d, FullyConnected, ParameterId};

use crate::convolution::{Convolution, Convolve};
use crate::device::{Arguments, At, Device, Gemm, Kernel, Sizes, To, int};

/// Most floats of the patches in memory at a time, 256 MiB; in the tests so few that a batch needs several groups
/// of images.
const PATCHES_MAX: usize = if cfg!(test) { 1 << 15 } else { 1 << 26 };

/// A layer as a matrix product.
pub(crate) struct Product {
    pub(crate) weights: ParameterId,
    pub(crate) bias: Option<ParameterId>,
    /// Output pixels of an image.
    rows: usize,
    /// Elements of the patch of an output pixel.
    patch: usize,
    /// Output channels.
    out: usize,
    /// Elements of an image.
    elements: usize,
    /// Sizes of the patches; absent where the image itself is the matrix of patches.
    cut: Option<Sizes>,
    /// Whether the device may compute the layer without patches.
    whole: bool,
}

/// A factor of a matrix product, row after row.
struct Matrix<'a, D: Device>(At<'a, D>, Turned);

/// Whether a factor is transposed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turned {
    No,
    Yes,
}

/// `c = a b + beta c` of matrices stored row after row, `m * k` and `k * n` after transposition.
///
/// BLAS expects columns one after the other, so it computes the transposed product.
fn multiply<D: Device>(
    device: &mut D,
    [m, k, n]: [usize; 3],
    Matrix(a, a_turned): Matrix<'_, D>,
    Matrix(b, b_turned): Matrix<'_, D>,
    (c, beta): (To<'_, D>, f32),
) -> Result<(), EngineError> {
    let leading_a = if a_turned == Turned::Yes { m } else { k };
    let leading_b = if b_turned == Turned::Yes { k } else { n };
    let gemm = Gemm {
        transposed: [b_turned == Turned::Yes, a_turned == Turned::Yes],
        m: n,
        n: m,
        k,
        leading: [leading_b, leading_a, n],
        beta,
    };
    device.gemm(gemm, b, a, c)
}

impl Product {
    pub(crate) fn conv(layer: &Conv2d) -> Self {
        let Conv2d { weights, bias, input, output, kernel, stride, padding } = *layer;
        let cut = Sizes {
            height: int(input[0]),
            width: int(input[1]),
            channels: int(input[2]),
            out_height: int(output[0]),
            out_width: int(output[1]),
            kernel_height: int(kernel),
            kernel_width: int(kernel),
            stride: int(stride),
            padding: int(padding),
            ..Sizes::default()
        };
        Self {
            weights,
            bias,
            rows: output[0] * output[1],
            patch: kernel * kernel * input[2],
            out: output[2],
            elements: input.iter().product(),
            cut: ((kernel, stride, padding) != (1, 1, 0)).then_some(cut),
            whole: true,
        }
    }

    pub(crate) fn fully_connected(layer: &FullyConnected) -> Self {
        let &FullyConnected { weights, bias, inputs, outputs } = layer;
        let (bias, elements) = (Some(bias), inputs);
        let (rows, patch, out) = (1, inputs, outputs);
        Self { weights, bias, rows, patch, out, elements, cut: None, whole: false }
    }

    /// The same layer with patches even where the device has an algorithm.
    pub(crate) fn by_patches(self) -> Self {
        Self { whole: false, ..self }
    }

    /// The convolution that the device computes without patches, if it has an algorithm.
    pub(crate) fn whole<D: Device>(
        &self,
        device: &mut D,
        images: usize,
    ) -> Result<Option<Convolution>, EngineError> {
        let Some(sizes) = self.cut.filter(|_| self.whole) else { return Ok(None) };
        let convolution = Convolution { sizes, out: int(self.out), images: int(images) };
        Ok(device.convolves(&convolution)?.then_some(convolution))
    }

    /// Groups of images whose patches are in memory together: first image and number of images.
    fn groups(&self, images: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let most = match self.cut {
            Some(_) => (PATCHES_MAX / (self.rows * self.patch).max(1)).max(1),
            None => images.max(1),
        };
        (0..images).step_by(most).map(move |first| (first, most.min(images - first)))
    }

    /// Puts the patches of some images into `patches`.
    fn cut<D: Device>(
        &self,
        device: &mut D,
        sizes: Sizes,
        (x, first, images): (&D::Floats, usize, usize),
        patches: &mut Option<D::Floats>,
    ) -> Result<(), EngineError> {
        let len = images * self.rows * self.patch;
        let out = buffer_of(device, patches, len)?;
        let arguments = Arguments {
            out: Some(To(out, 0)),
            inputs: [Some(At(x, first * self.elements)), None, None],
            sums: None,
        };
        device.launch(Kernel::Patches, len, arguments, sizes)
    }

    pub(crate) fn forward<D: Device>(
        &self,
        device: &mut D,
        parameters: &[D::Floats],
        (x, images): (&D::Floats, usize),
        patches: &mut Option<D::Floats>,
        y: &mut D::Floats,
    ) -> Result<(), EngineError> {
        if let Some(bias) = self.bias {
            let arguments = Arguments {
                out: Some(To(y, 0)),
                inputs: [Some(At(&parameters[bias.0], 0)), None, None],
                sums: None,
            };
            let sizes = Sizes { channels: int(self.out), ..Sizes::default() };
            device.launch(Kernel::Rows, images * self.rows * self.out, arguments, sizes)?;
        }
        let beta = if self.bias.is_some() { 1.0 } else { 0.0 };
        if let Some(convolution) = self.whole(device, images)? {
            let pass = Convolve::Forward { x, weights: &parameters[self.weights.0], y, beta };
            return device.convolve(&convolution, pass);
        }
        for (first, images) in self.groups(images) {
            if let Some(sizes) = self.cut {
                self.cut(device, sizes, (x, first, images), patches)?;
            }
            let a = match (self.cut, patches.as_ref()) {
                (Some(_), Some(patches)) => At(patches, 0),
                _ => At(x, first * self.elements),
            };
            multiply(
                device,
                [images * self.rows, self.patch, self.out],
                Matrix(a, Turned::No),
                Matrix(At(&parameters[self.weights.0], 0), Turned::Yes),
                (To(y, first * self.rows * self.out), beta),
            )?;
        }
        Ok(())
    }

    /// The gradient of the weights; adds to `dx`, which is `None` at the input of the network.
    pub(crate) fn backward<D: Device>(
        &self,
        device: &mut D,
        weights: &D::Floats,
        (x, dy, images): (&D::Floats, &D::Floats, usize),
        patches: &mut Option<D::Floats>,
        mut dx: Option<&mut D::Floats>,
    ) -> Result<Vec<f32>, EngineError> {
        let mut dweights = device.floats(self.out * self.patch)?;
        if let Some(convolution) = self.whole(device, images)? {
            let pass = Convolve::BackToWeights { x, dy, dweights: &mut dweights };
            device.convolve(&convolution, pass)?;
            if let Some(dx) = dx {
                device.convolve(&convolution, Convolve::BackToData { weights, dy, dx })?;
            }
            return device.download(&dweights);
        }
        for (first, images) in self.groups(images) {
            let rows = images * self.rows;
            if let Some(sizes) = self.cut {
                self.cut(device, sizes, (x, first, images), patches)?;
            }
            let b = match (self.cut, patches.as_ref()) {
                (Some(_), Some(patches)) => At(patches, 0),
                _ => At(x, first * self.elements),
            };
            let dy_at = first * self.rows * self.out;
            multiply(
                device,
                [self.out, rows, self.patch],
                Matrix(At(dy, dy_at), Turned::Yes),
                Matrix(b, Turned::No),
                (To(&mut dweights, 0), 1.0),
            )?;
            let Some(dx) = dx.as_deref_mut() else { continue };
            // The patches are no longer needed: their gradients overwrite them.
            let (to, beta) = match (self.cut, patches.as_mut()) {
                (Some(_), Some(patches)) => (To(patches, 0), 0.0),
                _ => (To(&mut *dx, first * self.elements), 1.0),
            };
            multiply(
                device,
                [rows, self.out, self.patch],
                Matrix(At(dy, dy_at), Turned::No),
                Matrix(At(weights, 0), Turned::No),
                (to, beta),
            )?;
            if let (Some(sizes), Some(patches)) = (self.cut, patches.as_ref()) {
                let arguments = Arguments {
                    out: Some(To(dx, first * self.elements)),
                    inputs: [Some(At(patches, 0)), None, None],
                    sums: None,
                };
                device.launch(Kernel::PatchesBack, images * self.elements, arguments, sizes)?;
            }
        }
        device.download(&dweights)
    }
}

/// A buffer of at least `len` floats.
fn buffer_of<'a, D: Device>(
    device: &mut D,
    buffer: &'a mut Option<D::Floats>,
    len: usize,
) -> Result<&'a mut D::Floats, EngineError> {
    if buffer.as_ref().is_none_or(|buffer| D::len(buffer) < len) {
        // Free the smaller buffer first.
        *buffer = None;
        *buffer = Some(device.floats(len)?);
    }
    Ok(buffer.as_mut().expect("it was made above"))
}
