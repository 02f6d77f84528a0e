//! Trains the embedded default network and writes it in vmin's own format.
//!
//! ```text
//! cargo run --release -p vmin-train --example train_builtin -- \
//!     recipes/shapes-cnn.toml crates/vmin-nn/assets/shapes-cnn.safetensors
//! ```
#![expect(clippy::print_stderr, reason = "a program talks on stderr")]

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use vmin_nn::data::{Limits, Split, load};
use vmin_train::{Recipe, train};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(recipe), Some(out)) = (args.next(), args.next()) else {
        return Err("usage: train_builtin RECIPE.toml OUT.safetensors".into());
    };
    let recipe = Recipe::from_toml(&std::fs::read_to_string(recipe)?)?;
    let data = load("builtin:shapes", Split::Train, Limits::default())?;
    let test = load("builtin:shapes", Split::Test, Limits::default())?;
    let start = Instant::now();
    let trained = train(&recipe, &data, &test, |metrics| {
        eprintln!(
            "epoch {:3}  loss {:.4}  train {:5.2} %  test {:5.2} %  {:.0} s",
            metrics.epoch,
            metrics.loss,
            100.0 * metrics.train_err,
            100.0 * metrics.err,
            start.elapsed().as_secs_f64()
        );
        ControlFlow::Continue(())
    })?;
    let deployed = trained.deploy(&data, &test)?;
    eprintln!(
        "{} parameters, {} MACs; test error: float {:.2} %, integer {:.2} %",
        trained.network.parameter_count(),
        trained.network.macs(),
        100.0 * deployed.float_err,
        100.0 * deployed.integer_err
    );
    std::fs::write(out, vmin_nn::import::native::save(&deployed.graph)?)?;
    Ok(())
}
