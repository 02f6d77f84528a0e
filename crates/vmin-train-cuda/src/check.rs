//! Self-check of a device: its own convolutions against those by patches.
//!
//! It runs at every start, because the library may have any version and the tests of this project run without it.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use vmin_train::EngineError;
use vmin_train::network::{Conv2d, ParameterId};

use crate::device::Device;
use crate::products::Product;

/// Largest allowed difference of two values, relative to the largest value. Sums in another order differ far less,
/// products with the 10 bits of TF32 more.
const TOLERANCE: f32 = 1e-4;

/// Layers with odd sizes, with strides that leave a rest, and of the usual kind: input, output channels, kernel,
/// stride, padding, images.
const LAYERS: [([usize; 3], usize, usize, usize, usize, usize); 8] = [
    ([7, 9, 3], 5, 3, 1, 1, 3),
    ([9, 8, 6], 10, 3, 2, 1, 2),
    ([11, 7, 1], 4, 5, 1, 2, 5),
    ([9, 8, 8], 16, 1, 2, 0, 3),
    ([8, 10, 5], 7, 3, 3, 0, 2),
    ([32, 32, 3], 16, 3, 1, 1, 32),
    ([16, 16, 16], 16, 3, 1, 1, 16),
    ([8, 8, 64], 64, 3, 1, 1, 4),
];

/// The layers, each with its number of images.
pub(crate) fn layers() -> impl Iterator<Item = (Conv2d, usize)> {
    LAYERS.into_iter().enumerate().map(|(index, (input, out, kernel, stride, padding, images))| {
        let size = |input: usize| (input + 2 * padding - kernel) / stride + 1;
        let layer = Conv2d {
            weights: ParameterId(0),
            bias: index.is_multiple_of(2).then_some(ParameterId(1)),
            input,
            output: [size(input[0]), size(input[1]), out],
            kernel,
            stride,
            padding,
        };
        (layer, images)
    })
}

/// Computes every pass of some layers without patches, twice, and with patches. Returns the number of layers for
/// which the device has no algorithm.
///
/// # Errors
/// The first difference, or that the device has no algorithm at all.
pub(crate) fn check<D: Device>(device: &mut D) -> Result<usize, String> {
    let mut left = 0;
    for (index, (layer, images)) in layers().enumerate() {
        let values = Values::random(index, &layer, images);
        let text = |error: EngineError| error.to_string();
        let whole = Product::conv(&layer);
        let Some(convolution) = whole.whole(device, images).map_err(text)? else {
            left += 1;
            continue;
        };
        let ours = values.passes(device, &whole).map_err(text)?;
        let again = values.passes(device, &whole).map_err(text)?;
        let theirs = values.passes(device, &whole.by_patches()).map_err(text)?;
        for (pass, what) in
            ["output", "gradient of the input", "gradient of the weights"].iter().enumerate()
        {
            let [first, second] = [&ours[pass], &again[pass]].map(|values| bits(values));
            if first != second {
                return Err(format!("{convolution}: the {what} is not the same at every run"));
            }
            if let Some([a, b]) = difference(&ours[pass], &theirs[pass]) {
                return Err(format!("{convolution}: the {what} is {a} where patches give {b}"));
            }
        }
    }
    if left == LAYERS.len() {
        return Err("it has no algorithm for any layer of the self-check".to_owned());
    }
    Ok(left)
}

/// Bit patterns, by which values are compared that may be NaN.
fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The first two values that are too far apart.
fn difference(ours: &[f32], theirs: &[f32]) -> Option<[f32; 2]> {
    let most = theirs.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let mut pairs = ours.iter().zip(theirs).map(|(&a, &b)| [a, b]);
    // The comparison with a NaN is false.
    pairs.find(|[a, b]| {
        let close = (a - b).abs() <= TOLERANCE * most;
        !close
    })
}

/// Random numbers from -1 up to 1.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = f32> {
    let mut bits = SplitMix64::seed_from_u64(seed);
    std::iter::repeat_with(move || (bits.next_u64() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0)
}

/// Operands of a layer.
struct Values {
    images: usize,
    x: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
    /// Values to which the gradient of the input is added.
    dx: Vec<f32>,
}

impl Values {
    fn random(index: usize, layer: &Conv2d, images: usize) -> Self {
        let mut noise = noise(index as u64);
        let mut draw = |len: usize| noise.by_ref().take(len).collect::<Vec<f32>>();
        let [input, output] =
            [layer.input, layer.output].map(|size| images * size.iter().product::<usize>());
        let weights = layer.output[2] * layer.kernel * layer.kernel * layer.input[2];
        Self {
            images,
            x: draw(input),
            weights: draw(weights),
            bias: draw(layer.output[2]),
            dy: draw(output),
            dx: draw(input),
        }
    }

    /// The output and both gradients.
    fn passes<D: Device>(
        &self,
        device: &mut D,
        product: &Product,
    ) -> Result<[Vec<f32>; 3], EngineError> {
        let parameters = [device.upload(&self.weights)?, device.upload(&self.bias)?];
        let (x, dy) = (device.upload(&self.x)?, device.upload(&self.dy)?);
        // Earlier values must not change the result.
        let mut y = device.upload(&self.dy)?;
        let mut dx = device.upload(&self.dx)?;
        let mut patches = None;
        product.forward(device, &parameters, (&x, self.images), &mut patches, &mut y)?;
        let passed = (&x, &dy, self.images);
        let dweights =
            product.backward(device, &parameters[0], passed, &mut patches, Some(&mut dx))?;
        Ok([device.download(&y)?, device.download(&dx)?, dweights])
    }
}
