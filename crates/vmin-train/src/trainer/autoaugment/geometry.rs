//! Operations that move pixels: a new pixel is the old pixel at the mapped centre.

/// Shears columns: the new pixel (x, y) is the old pixel `(x, y + by x)`.
pub(super) fn shear_y(image: &mut [u8], shape: [usize; 3], fill: u8, by: f64) {
    resample(image, shape, fill, |[x, y]| [x, y + by * x]);
}

/// The new pixel (x, y) is the old pixel `(x + by[0], y + by[1])`.
pub(super) fn translate(image: &mut [u8], shape: [usize; 3], fill: u8, by: [f64; 2]) {
    resample(image, shape, fill, |[x, y]| [x + by[0], y + by[1]]);
}

/// Rotates counterclockwise around the centre.
pub(super) fn rotate(image: &mut [u8], shape: [usize; 3], fill: u8, degrees: f64) {
    let angle = degrees.to_radians();
    let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
    let centre = [shape[1] as f64 / 2.0, shape[0] as f64 / 2.0];
    resample(image, shape, fill, |[x, y]| {
        let (x, y) = (x - centre[0], y - centre[1]);
        [cosine * x - sine * y + centre[0], sine * x + cosine * y + centre[1]]
    });
}

/// Fills each pixel from the old pixel that contains `source` of its centre `[x, y]`.
fn resample(
    image: &mut [u8],
    [height, width, channels]: [usize; 3],
    fill: u8,
    source: impl Fn([f64; 2]) -> [f64; 2],
) {
    let old = image.to_vec();
    for (index, pixel) in image.chunks_exact_mut(channels).enumerate() {
        let centre = [(index % width) as f64 + 0.5, (index / width) as f64 + 0.5];
        let [x, y] = source(centre);
        match (cell(x, width), cell(y, height)) {
            (Some(x), Some(y)) => {
                let from = (y * width + x) * channels;
                pixel.copy_from_slice(&old[from..from + channels]);
            }
            _ => pixel.fill(fill),
        }
    }
}

/// The cell of `0..size` that contains a coordinate.
#[expect(clippy::cast_possible_truncation, reason = "below the size of an image")]
#[expect(clippy::cast_sign_loss, reason = "not negative")]
fn cell(at: f64, size: usize) -> Option<usize> {
    (at >= 0.0 && at < size as f64).then_some(at as usize)
}
