//! Operations that change the values of pixels, not their places.

/// Stretches each channel to 0..=255.
pub(super) fn auto_contrast(image: &mut [u8], channels: usize) {
    for channel in 0..channels {
        let values = || image.iter().skip(channel).step_by(channels);
        let (low, high) = values().fold((255, 0), |(low, high), &v| (v.min(low), v.max(high)));
        if low < high {
            let width = u32::from(high - low);
            let stretched = |v: u8| byte(u32::from(v - low) * 255 / width);
            map(image, channel, channels, stretched);
        }
    }
}

/// `255 - v`.
pub(super) fn invert(image: &mut [u8]) {
    image.iter_mut().for_each(|v| *v = 255 - *v);
}

/// Equalizes the histogram of each channel: a value becomes the number of pixels below it, in steps of one 255th of all
/// pixels except those of the highest value.
pub(super) fn equalize(image: &mut [u8], channels: usize) {
    for channel in 0..channels {
        let mut counts = [0_u32; 256];
        let values = image.iter().skip(channel).step_by(channels);
        values.for_each(|&v| counts[usize::from(v)] += 1);
        let highest = counts.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<u32>() - highest) / 255;
        if step == 0 {
            continue;
        }
        let mut below = step / 2;
        let table = counts.map(|count| {
            let value = byte(below / step);
            below += count;
            value
        });
        map(image, channel, channels, |v| table[usize::from(v)]);
    }
}

/// Inverts values at or above the threshold.
pub(super) fn solarize(image: &mut [u8], threshold: f64) {
    image.iter_mut().filter(|v| f64::from(**v) >= threshold).for_each(|v| *v = 255 - *v);
}

/// Clears the lowest 0 to 8 bits.
pub(super) fn posterize(image: &mut [u8], bits: f64) {
    let kept = (0..8_u8).filter(|&bit| f64::from(bit) >= bits).fold(0, |kept, bit| kept | 1 << bit);
    image.iter_mut().for_each(|v| *v &= kept);
}

/// Moves values away from (factor above 1) or towards the mean brightness.
pub(super) fn contrast(image: &mut [u8], channels: usize, factor: f64) {
    let pixels = image.chunks_exact(channels);
    let count = pixels.len().max(1) as f64;
    let sum: u64 = pixels.map(|pixel| u64::from(grey(pixel))).sum();
    let mean = libm::round(sum as f64 / count);
    image.iter_mut().for_each(|v| *v = blend(mean, *v, factor));
}

/// Moves values away from (factor above 1) or towards the grey image.
pub(super) fn color(image: &mut [u8], channels: usize, factor: f64) {
    for pixel in image.chunks_exact_mut(channels) {
        let grey = f64::from(grey(pixel));
        pixel.iter_mut().for_each(|v| *v = blend(grey, *v, factor));
    }
}

/// Moves values away from (factor above 1) or towards black.
pub(super) fn brightness(image: &mut [u8], factor: f64) {
    image.iter_mut().for_each(|v| *v = blend(0.0, *v, factor));
}

/// Moves values away from (factor above 1) or towards a smoothed image: the mean of 3x3 pixels with weight 5 for the
/// middle. Border pixels stay as they are.
pub(super) fn sharpness(image: &mut [u8], [height, width, channels]: [usize; 3], factor: f64) {
    let old = image.to_vec();
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            for channel in 0..channels {
                let at = |y: usize, x: usize| (y * width + x) * channels + channel;
                let middle = old[at(y, x)];
                let rows = (y - 1..=y + 1).flat_map(|y| (x - 1..=x + 1).map(move |x| (y, x)));
                let sum: u32 = rows.map(|(y, x)| u32::from(old[at(y, x)])).sum();
                let smoothed = f64::from(sum + 4 * u32::from(middle)) / 13.0;
                image[at(y, x)] = blend(libm::round(smoothed), middle, factor);
            }
        }
    }
}

fn map(image: &mut [u8], channel: usize, channels: usize, change: impl Fn(u8) -> u8) {
    image.iter_mut().skip(channel).step_by(channels).for_each(|v| *v = change(*v));
}

/// Brightness of a pixel: ITU-R BT.601 for red, green and blue, the mean of any other channels.
fn grey(pixel: &[u8]) -> u32 {
    let sum = |weights: &[u32]| -> u32 {
        pixel.iter().zip(weights).map(|(&v, weight)| weight * u32::from(v)).sum()
    };
    match pixel.len() {
        3 => (sum(&[299, 587, 114]) + 500) / 1000,
        count => {
            let sum: u32 = pixel.iter().map(|&v| u32::from(v)).sum();
            sum / u32::try_from(count).unwrap_or(u32::MAX).max(1)
        }
    }
}

/// `from + factor (to - from)`, rounded and kept within a byte.
#[expect(clippy::cast_possible_truncation, reason = "clamped to a byte")]
#[expect(clippy::cast_sign_loss, reason = "clamped to a byte")]
fn blend(from: f64, to: u8, factor: f64) -> u8 {
    libm::round(from + factor * (f64::from(to) - from)).clamp(0.0, 255.0) as u8
}

fn byte(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}
