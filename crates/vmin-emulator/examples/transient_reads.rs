//! Transient errors of weights that an array reads several times per image: one draw per image and layer, as trials
//! make it, beside a draw at every read. `cargo run --release -p vmin-emulator --example transient_reads`.
//!
//! In an output-stationary array of `rows` rows, each weight is read once for every `rows` output pixels.
#![expect(clippy::print_stdout, reason = "an example prints its result")]

use rayon::prelude::*;
use vmin_nn::data::{Limits, Split};
use vmin_nn::exec::OutputSums;
use vmin_nn::{Executor, Graph};
use vmin_sram::{ChipKey, flip_at_random};

const IMAGES: usize = 1000;
/// More reads than a layer has.
const READS_MAX: u64 = 1 << 16;

/// The codes of a product's weights at one read.
fn read(graph: &Graph, weights: usize, rate: f64, number: u64) -> Vec<Vec<u8>> {
    let mut codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
    let key = ChipKey { seed: 1, chip: 0, memory: 0 };
    // Few tensors.
    let layer = weights as u32;
    flip_at_random(&mut codes[weights], graph.weights[weights].bits, rate, key, number, layer);
    codes
}

/// Wrong predictions where each weight is read once for every `pixels` output pixels.
fn errors(graph: &Graph, images: &[u8], labels: &[u8], rate: f64, pixels: usize) -> usize {
    let executor = Executor::new(graph, vmin_kernels::best());
    let clean = executor.load_clean_weights();
    let size = images.len() / labels.len();
    let wrong = |(image, &label): (usize, &u8)| {
        let mut scratch = executor.scratch();
        let computed = |node: usize, tensors: &[Vec<i8>], out: &mut [i8]| {
            let Some(product) = graph.nodes[node].op.product() else { return };
            let input = &tensors[graph.nodes[node].inputs[0].0];
            let channels = graph.layer(node).output[2];
            for (pass, outputs) in out.chunks_mut(pixels.saturating_mul(channels)).enumerate() {
                let number = image as u64 * READS_MAX + pass as u64;
                let codes = read(graph, product.weights.0, rate, number);
                let sums = OutputSums::new(graph, &codes, node).expect("a product");
                let first = pass * pixels * channels;
                for (index, output) in outputs.iter_mut().enumerate() {
                    *output = sums.output(input, first + index, usize::MAX, false, |sum| sum);
                }
            }
        };
        let pixels = &images[image * size..][..size];
        let class = executor.classify_watched(&clean, pixels, &mut scratch, computed, |_, _| {});
        usize::from(class != usize::from(label))
    };
    labels.par_iter().enumerate().map(wrong).sum()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let data = vmin_nn::data::load("builtin:shapes", Split::Test, Limits::default())?;
    let count = IMAGES.min(data.labels.len());
    let images = &data.images[..data.images.len() / data.labels.len() * count];
    let labels = &data.labels[..count];
    println!("wrong of {count} images: one draw per image, a draw per 32, 16 and 8 output pixels");
    for model in ["builtin:shapes-normal-8bit", "builtin:shapes-randbet-8bit"] {
        let graph = vmin_nn::model::load(model)?;
        for rate in [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2] {
            let counts = [usize::MAX, 32, 16, 8]
                .map(|pixels| errors(&graph, images, labels, rate, pixels).to_string());
            println!("{model} {rate:e}: {}", counts.join(", "));
        }
    }
    Ok(())
}
