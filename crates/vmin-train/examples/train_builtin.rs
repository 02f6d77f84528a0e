//! Trains the embedded default network.
#![expect(clippy::print_stderr, reason = "a program talks on stderr")]

use std::ops::ControlFlow;
use std::time::Instant;

use vmin_nn::data::{Limits, Split, load};
use vmin_train::{Recipe, train};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let recipe = Recipe::from_toml(&std::fs::read_to_string("recipes/shapes.toml")?)?;
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
    eprintln!("{} parameters, {} MACs", trained.network.parameter_count(), trained.network.macs());
    let deployed = trained.deploy(&data, &test)?;
    eprintln!(
        "test error: float {:.2} %, integer {:.2} %",
        100.0 * deployed.float_err,
        100.0 * deployed.integer_err
    );
    Ok(())
}
