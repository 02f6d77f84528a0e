//! Runs a network on the built-in images: `run_network [MODEL]`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use vmin_nn::data::{Limits, Split, load};
use vmin_nn::{Executor, model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = std::env::args().nth(1).unwrap_or_else(|| "builtin:shapes-cnn".to_owned());
    let graph = model::load(&spec)?;
    for layer in graph.layers() {
        println!("{:20} {:16} {:>9} MACs", layer.name, layer.kind, layer.macs);
    }
    let images = load("builtin:shapes", Split::Test, Limits::default())?;
    let executor = Executor::new(&graph, vmin_kernels::best());
    let mut scratch = executor.scratch();
    // The codes of the weight memory; flip bits here to see the effect of faults.
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
    let weights = executor.load_weights(&codes);
    let correct = (0..images.len())
        .filter(|&i| {
            executor.classify(&weights, images.image(i), &mut scratch)
                == usize::from(images.labels[i])
        })
        .count();
    println!("{correct} of {} images are correct", images.len());
    Ok(())
}
