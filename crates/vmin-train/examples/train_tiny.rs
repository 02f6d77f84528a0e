//! Trains a tiny network under bit errors and prints its test errors.
//!
//! ```text
//! cargo run --release -p vmin-train --example train_tiny
//! ```
#![expect(clippy::print_stdout, reason = "the errors are the output")]

use std::ops::ControlFlow;

use vmin_nn::data::{Split, shapes};
use vmin_train::{Recipe, train};

const RECIPE: &str = r#"
name = "tiny"
seed = 1
epochs = 6
batch_size = 50
schedule = "cosine"
clip = 0.3
quantization = { bits = 8 }
bit_errors = { rate = 0.01 }
rerr = { rate = 0.01, chips = 5 }
input = { zero_pixel = 128, scale = 0.02 }
network = [
  { conv2d = { channels = 12, kernel = 3 } },
  "relu",
  { max_pool = { window = 2 } },
  { conv2d = { channels = 24, kernel = 3 } },
  "relu",
  { max_pool = { window = 2 } },
  { fully_connected = { features = 10 } },
]
"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let recipe = Recipe::from_toml(RECIPE)?;
    let data = shapes::generate(shapes::SEED, Split::Train, 10_000);
    let test = shapes::generate(shapes::SEED, Split::Test, 1_000);
    let trained = train(&recipe, &data, &test, |epoch| {
        let under_errors = epoch.rerr.unwrap_or(f64::NAN);
        println!(
            "epoch {}: error {:.3}, under bit errors {under_errors:.3}",
            epoch.epoch, epoch.err
        );
        ControlFlow::Continue(())
    })?;
    let deployed = trained.deploy(&data, &test)?;
    println!("deployed as integers: error {:.3}", deployed.integer_err);
    Ok(())
}
