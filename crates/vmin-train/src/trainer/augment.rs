//! Augmentation of the pixels of a batch: shift, mirror, AutoAugment and Cutout, in this order.

use vmin_nn::data::Dataset;

use crate::Recipe;
use crate::random::Stream;

/// The pixels of `batch`, augmented by the recipe. Augmentations that the recipe does not use consume no random
/// numbers.
pub(super) fn collect(
    data: &Dataset,
    batch: &[usize],
    recipe: &Recipe,
    moves: &mut Stream,
) -> Vec<u8> {
    let size = data.pixels_per_image();
    let [height, width, _] = data.shape;
    let most = recipe.shift_pixels;
    let mut pixels = Vec::with_capacity(batch.len() * size);
    for &image in batch {
        let image = data.image(image);
        if most == 0 {
            pixels.extend_from_slice(image);
        } else {
            let [down, right] = [(); 2].map(|()| moves.below(most.saturating_mul(2) + 1));
            append_moved(&mut pixels, image, data.shape, [down, right], most);
        }
        let start = pixels.len() - size;
        let changed = &mut pixels[start..];
        if recipe.mirror && moves.below(2) == 1 {
            mirror(changed, data.shape);
        }
        if let Some(policy) = recipe.autoaugment {
            policy.apply(changed, data.shape, recipe.input.zero_pixel, moves);
        }
        if recipe.cutout_pixels > 0 {
            let centre = [moves.below(height), moves.below(width)];
            cover(changed, data.shape, centre, recipe.cutout_pixels, recipe.input.zero_pixel);
        }
    }
    pixels
}

/// Appends `image` shifted by `moved - most` pixels, repeating its edges.
fn append_moved(
    pixels: &mut Vec<u8>,
    image: &[u8],
    [height, width, channels]: [usize; 3],
    moved: [usize; 2],
    most: usize,
) {
    let source = |at: usize, by: usize, size: usize| (at + by).saturating_sub(most).min(size - 1);
    for y in 0..height {
        for x in 0..width {
            let from = source(y, moved[0], height) * width + source(x, moved[1], width);
            pixels.extend_from_slice(&image[from * channels..(from + 1) * channels]);
        }
    }
}

/// Swaps left and right.
fn mirror(image: &mut [u8], [_, width, channels]: [usize; 3]) {
    for row in image.chunks_exact_mut(width * channels) {
        for x in 0..width / 2 {
            for channel in 0..channels {
                row.swap(x * channels + channel, (width - 1 - x) * channels + channel);
            }
        }
    }
}

/// Fills the part inside the image of the square of `size` pixels around `centre`.
fn cover(
    image: &mut [u8],
    [height, width, channels]: [usize; 3],
    centre: [usize; 2],
    size: usize,
    pixel: u8,
) {
    let part = |centre: usize, length: usize| {
        let start = centre.saturating_sub(size / 2);
        start..centre.saturating_add(size - size / 2).min(length)
    };
    let columns = part(centre[1], width);
    for y in part(centre[0], height) {
        let row = &mut image[y * width * channels..(y + 1) * width * channels];
        row[columns.start * channels..columns.end * channels].fill(pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::{append_moved, cover, mirror};

    #[test]
    fn changes_by_hand() {
        let shape = [2, 3, 2];
        let image = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let mut mirrored = image;
        mirror(&mut mirrored, shape);
        assert_eq!(mirrored, [5, 6, 3, 4, 1, 2, 11, 12, 9, 10, 7, 8]);
        let mut covered = image;
        cover(&mut covered, shape, [1, 2], 2, 0);
        assert_eq!(covered, [1, 2, 0, 0, 0, 0, 7, 8, 0, 0, 0, 0]);
        cover(&mut covered, shape, [0, 0], usize::MAX, 1);
        assert_eq!(covered, [1; 12]);
        let mut moved = Vec::new();
        append_moved(&mut moved, &image, shape, [2, 0], 1);
        assert_eq!(moved, [7, 8, 7, 8, 9, 10, 7, 8, 7, 8, 9, 10]);
    }
}
