//! Float files against a network computed straight from their tensors.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, TensorView};

use super::float::{FloatNetwork, take};
use crate::network::{Network, forward};
use crate::random::{Purpose, Stream};
use crate::{Recipe, StartError};

const RECIPE: &str = r#"
name = "float"
start = "a file"
start_pixels = { mean = [0.5019607843137255, 0.5019607843137255], std = [0.2, 0.4] }
seed = 1
epochs = 0
batch_size = 4
schedule = "cosine"
input = { zero_pixel = 128, scale = 0.02 }
network = [
  { conv2d = { channels = 4, kernel = 3, bias = false } },
  "batch_norm",
  "relu",
  { conv2d = { channels = 3, kernel = 3, stride = 2 } },
  "relu",
  { fully_connected = { features = 5 } },
]
"#;
const SHAPE: [usize; 3] = [6, 5, 2];

type Tensors = HashMap<&'static str, (Vec<usize>, Vec<f32>)>;

/// Modules whose order by letters is not that of the layers; channel 1 is scaled by a negative number.
fn tensors() -> Tensors {
    let mut stream = Stream::new(9, Purpose::Initialization, 0);
    let mut random = |shape: &[usize]| {
        let count = shape.iter().product();
        (shape.to_vec(), (0..count).map(|_| stream.normal() as f32).collect::<Vec<f32>>())
    };
    HashMap::from([
        ("net.2.weight", random(&[4, 2, 3, 3])),
        ("net.3.weight", (vec![4], vec![0.7, -1.3, 0.2, 2.0])),
        ("net.3.bias", random(&[4])),
        ("net.3.running_mean", random(&[4])),
        ("net.3.running_var", (vec![4], vec![0.5, 2.0, 1.0, 0.1])),
        ("net.10.weight", random(&[3, 4, 3, 3])),
        ("net.10.bias", random(&[3])),
        ("net.12.weight", random(&[5, 3 * 3 * 3])),
        ("net.12.bias", random(&[5])),
    ])
}

fn bytes(tensors: &Tensors) -> Vec<u8> {
    let data: Vec<(&str, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (*name, shape.clone(), values.iter().flat_map(|v| v.to_le_bytes()).collect())
        })
        .collect();
    let views = data.iter().map(|(name, shape, data)| {
        (*name, TensorView::new(Dtype::F32, shape.clone(), data).expect("a tensor"))
    });
    safetensors::serialize(views, None).expect("a file")
}

fn started(tensors: &Tensors, recipe: &str) -> Result<Network, StartError> {
    let recipe = Recipe::from_toml(recipe).expect("a recipe");
    let mut network = Network::build(&recipe.network, SHAPE, 1).expect("a network");
    take(&mut network, &recipe, &FloatNetwork::read(&bytes(tensors))?)?;
    Ok(network)
}

/// `x` as `[channel][row][column]`, padded by one, weights as the file has them.
fn convolution(
    x: &[Vec<Vec<f64>>],
    (shape, weights): &(Vec<usize>, Vec<f32>),
    stride: usize,
) -> Vec<Vec<Vec<f64>>> {
    let (height, width) = (x[0].len(), x[0][0].len());
    let sum = |out: usize, y: usize, at: usize| {
        let mut sum = 0.0;
        for (channel, plane) in x.iter().enumerate() {
            for (ky, kx) in (0..9).map(|tap| (tap / 3, tap % 3)) {
                let row = (y * stride + ky).checked_sub(1).and_then(|row| plane.get(row));
                let value = row.and_then(|row| (at * stride + kx).checked_sub(1).map(|i| (row, i)));
                let value = value.and_then(|(row, i)| row.get(i)).copied().unwrap_or(0.0);
                let weight = weights[((out * shape[1] + channel) * 3 + ky) * 3 + kx];
                sum += f64::from(weight) * value;
            }
        }
        sum
    };
    let plane = |out| {
        let row = |y| (0..width.div_ceil(stride)).map(|at| sum(out, y, at)).collect();
        (0..height.div_ceil(stride)).map(row).collect()
    };
    (0..shape[0]).map(plane).collect()
}

/// The logits of an image of pixels `[row][column][channel]`, as the file's network would give them.
fn logits(tensors: &Tensors, pixels: &[u8]) -> Vec<f64> {
    let [height, width, channels] = SHAPE;
    let value = |c: usize, y: usize, x: usize| {
        let pixel = f64::from(pixels[(y * width + x) * channels + c]);
        (pixel / 255.0 - 128.0 / 255.0) / [0.2, 0.4][c]
    };
    let plane = |c| (0..height).map(|y| (0..width).map(|x| value(c, y, x)).collect()).collect();
    let image: Vec<Vec<Vec<f64>>> = (0..channels).map(plane).collect();
    let of = |name: &str, channel: usize| f64::from(tensors[name].1[channel]);
    let mut first = convolution(&image, &tensors["net.2.weight"], 1);
    for (c, plane) in first.iter_mut().enumerate() {
        let deviation = (of("net.3.running_var", c) + 1e-5).sqrt();
        for value in plane.iter_mut().flatten() {
            let normalized = (*value - of("net.3.running_mean", c)) / deviation;
            *value = (of("net.3.weight", c) * normalized + of("net.3.bias", c)).max(0.0);
        }
    }
    let mut second = convolution(&first, &tensors["net.10.weight"], 2);
    for (c, plane) in second.iter_mut().enumerate() {
        plane
            .iter_mut()
            .flatten()
            .for_each(|value| *value = (*value + of("net.10.bias", c)).max(0.0));
    }
    let flat: Vec<f64> = second.into_iter().flatten().flatten().collect();
    (0..5)
        .map(|row| {
            let weights = &tensors["net.12.weight"].1[row * flat.len()..];
            let sum: f64 = flat.iter().zip(weights).map(|(x, &w)| x * f64::from(w)).sum();
            sum + of("net.12.bias", row)
        })
        .collect()
}

#[test]
fn it_computes_what_the_file_does() {
    let tensors = tensors();
    let network = started(&tensors, RECIPE).expect("it fits");
    let mut stream = Stream::new(3, Purpose::Initialization, 1);
    for _ in 0..20 {
        let pixels: Vec<u8> =
            (0..SHAPE.iter().product()).map(|_| (stream.normal() * 50.0 + 128.0) as u8).collect();
        let input: Vec<f64> = pixels.iter().map(|&p| (f64::from(p) - 128.0) * 0.02).collect();
        let parameters: Vec<Vec<f64>> = network
            .parameters
            .iter()
            .map(|parameter| parameter.values.iter().copied().map(f64::from).collect())
            .collect();
        let values = forward(&network, &parameters, &input);
        let found = values.last().expect("logits");
        for (found, expected) in found.iter().zip(logits(&tensors, &pixels)) {
            assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{found} {expected}");
        }
    }
    assert!(network.parameters[1].values.iter().all(|scale| 1.0 + scale > 0.0), "multipliers");
}

#[test]
fn a_negative_variance_is_refused() {
    let mut tensors = tensors();
    tensors.insert("net.3.running_var", (vec![4], vec![0.5, 2.0, -1.0, 0.1]));
    let error = started(&tensors, RECIPE).expect_err("no variance").to_string();
    assert!(error.contains("`net.3.running_var` is -1 in channel 2"), "{error}");
}

#[test]
fn everything_that_does_not_fit_is_told_at_once() {
    let mut tensors = tensors();
    tensors.insert("net.10.weight", (vec![3, 4, 1, 1], vec![0.0; 12]));
    tensors.remove("net.3.running_var");
    tensors.insert("net.99.weight", (vec![1, 1], vec![0.0]));
    let error = started(&tensors, RECIPE).expect_err("strangers").to_string();
    for told in [
        "the file has 4 layers with weights, the recipe 3",
        "`net.10.weight` is of shape [3, 4, 1, 1]",
        "`net.3` has no running averages of the 4 channels",
    ] {
        assert!(error.contains(told), "{error}");
    }
    let narrow = RECIPE.replace("std = [0.2, 0.4]", "std = [0.2]");
    let error = started(&self::tensors(), &narrow).expect_err("one channel").to_string();
    assert!(error.contains("`start_pixels.std` has 1 numbers for 2 channels"), "{error}");
}

#[test]
fn damaged_files_are_refused() {
    let whole = bytes(&tensors());
    let mut stream = Stream::new(4, Purpose::Initialization, 2);
    for round in 0..2_000 {
        let mut damaged = whole.clone();
        for _ in 0..=round % 4 {
            let at = (stream.normal().abs() * 300.0) as usize % damaged.len();
            damaged[at] = damaged[at].wrapping_add(1 + (round % 200) as u8);
        }
        if round % 7 == 0 {
            damaged.truncate(round * whole.len() / 2_000);
        }
        // Told or taken, but no panic.
        let _ = FloatNetwork::read(&damaged);
    }
    let mut infinite = tensors();
    infinite.insert("net.10.bias", (vec![3], vec![0.0, f32::NAN, 0.0]));
    assert!(matches!(FloatNetwork::read(&bytes(&infinite)), Err(StartError::File(_))));
}

#[test]
fn channels_of_zeros_are_a_convolution_that_selects() {
    let recipe =
        r#"network = [{ subsample = { channels = 6, stride = 2 } }, "global_average_pool"]"#;
    let head = RECIPE.split("network").next().expect("a head");
    let recipe = Recipe::from_toml(&format!("{head}{recipe}")).expect("a recipe");
    let network = Network::build(&recipe.network, SHAPE, 1).expect("a network");
    let input: Vec<f64> = (0..60).map(f64::from).collect();
    let weights = network.parameters[0].values.iter().copied().map(f64::from).collect();
    let values = forward(&network, &[weights], &input);
    let [height, width, channels] = network.values[1];
    assert_eq!([height, width, channels], [3, 3, 6]);
    for (index, &value) in values[1].iter().enumerate() {
        let (pixel, channel) = (index / 6, index % 6);
        let from = (pixel / 3 * 2 * 5 + pixel % 3 * 2) * 2;
        let expected = if (2..4).contains(&channel) { (from + channel - 2) as f64 } else { 0.0 };
        assert_eq!(value, expected, "{index}");
    }
}
