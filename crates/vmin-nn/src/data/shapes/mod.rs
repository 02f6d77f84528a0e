//! `builtin:shapes`: ten simple shapes on cluttered ground, 16 x 16 grey, generated on demand.
//!
//! A demo without files needs a task of suitable difficulty: a small int8 network makes some errors
//! and trains in minutes. Every image is a pure function of (seed, split, index), so a set of any size exists
//! without storing it.
//!
//! ```text
//!  key = hash(seed, split, index) ── Xoshiro256++ ─┬─ pose: centre, scale, stretch, rotation
//!                                                  ├─ ground: level, gradient, specks
//!  label = index mod 10 ── signed distance ────────┴─ contrast (either sign), noise ── pixels
//! ```
//!
//! Only `+ - * /`, `sqrt` and comparisons of f64 are used, which IEEE 754 rounds in exactly one
//! way, so a pixel is the same on every machine; a rotation is a random point on the unit circle
//! rather than the sine of a random angle. A test of the hash checks this.

mod distance;
mod scene;

use super::{Dataset, Split};

/// Name after `builtin:`.
pub const NAME: &str = "shapes";
/// The seed of `builtin:shapes`.
pub const SEED: u64 = 1;
/// Images of the training split.
pub const TRAIN_IMAGES: usize = 20_000;
/// Images of the test split.
pub const TEST_IMAGES: usize = 2_000;
/// Height and width of an image.
pub const SIDE: usize = 16;
/// The ten classes.
pub const CLASSES: [&str; 10] =
    ["disc", "ring", "square", "frame", "triangle", "cross", "bar", "dumbbell", "chevron", "tee"];

/// A split of `builtin:shapes`.
#[must_use]
pub fn dataset(split: Split) -> Dataset {
    let count = match split {
        Split::Train => TRAIN_IMAGES,
        Split::Test => TEST_IMAGES,
    };
    generate(SEED, split, count)
}

/// The first `count` images of a set of its own; classes take turns, so any prefix is balanced.
#[must_use]
pub fn generate(seed: u64, split: Split, count: usize) -> Dataset {
    let images = (0..count).flat_map(|index| scene::draw(seed, split, index)).collect();
    Dataset {
        name: format!("builtin:{NAME} {}", split.name()),
        shape: [SIDE, SIDE, 1],
        images,
        labels: (0..count).map(class_of).collect(),
        classes: CLASSES.len(),
        class_names: CLASSES.map(str::to_owned).to_vec(),
    }
}

/// The class of image `index`.
fn class_of(index: usize) -> u8 {
    u8::try_from(index % CLASSES.len()).expect("fewer than 256 classes")
}
