//! The recipe and the images that several tests use.
#![allow(dead_code, reason = "each test uses a part")]

use vmin_diagnostic::Diagnostics;
use vmin_nn::data::{Dataset, Split, shapes};
use vmin_train::Recipe;

/// Text of a short recipe with these layers and further lines.
pub(crate) fn recipe_text(network: &str, lines: &str) -> String {
    format!(
        r#"
name = "test"
seed = 3
epochs = 3
batch_size = 40
schedule = "cosine"
network = {network}
optimizer = {{ learning_rate = 0.02, momentum = 0.9, weight_decay = 5e-4 }}
input = {{ zero_pixel = 128, scale = 0.02 }}
{lines}
"#
    )
}

/// Training and test images.
pub(crate) fn data(count: usize) -> (Dataset, Dataset) {
    let set = |split| shapes::generate(shapes::SEED, split, count);
    (set(Split::Train), set(Split::Test))
}

/// Checks that the recipe is refused because of this value alone.
pub(crate) fn assert_refused(recipe: Result<Recipe, Diagnostics>, field: &str) {
    let problems = recipe.expect_err(field);
    assert_eq!(problems.len(), 1, "{field}: {problems}");
    assert!(problems.to_string().contains(&format!("`{field}`")), "{field}: {problems}");
}
