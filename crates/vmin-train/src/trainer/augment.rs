//! The pixels of a batch, moved a little.

use vmin_nn::data::Dataset;

use crate::random::Stream;

/// The pixels of `batch`, each image moved by up to `most` pixels in each direction.
pub(super) fn collect(data: &Dataset, batch: &[usize], most: usize, moves: &mut Stream) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(batch.len() * data.pixels_per_image());
    for &image in batch {
        let image = data.image(image);
        if most == 0 {
            pixels.extend_from_slice(image);
        } else {
            let [down, right] = [(); 2].map(|()| moves.below(2 * most + 1));
            append_moved(&mut pixels, image, data.shape, [down, right], most);
        }
    }
    pixels
}

/// Appends `image` moved by `moved - most` pixels, repeating its edges.
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
