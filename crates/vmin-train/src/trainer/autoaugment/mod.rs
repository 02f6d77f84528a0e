//! AutoAugment: one of 25 learnt pairs of operations for every image.
//!
//! Source: E. D. Cubuk, B. Zoph, D. Mané, V. Vasudevan, Q. V. Le, "AutoAugment: Learning
//! Augmentation Strategies from Data", CVPR 2019: table 6 (operations and their ranges), table 7
//! (the policy for CIFAR-10). Levels 0 to 9 are equal steps from no change to the end of the
//! range of table 6. Ranges on both sides of no change (shifts, and the factors 0.1 to 1.9 of contrast, colour,
//! brightness and sharpness) use either side with the same probability. Table 6 shifts by up to 150 of 331
//! pixels; here the shift is that share of the image size.

mod geometry;
mod tones;

use serde::Serialize;

use crate::random::Stream;

/// A learnt policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoAugment {
    /// The policy for CIFAR-10.
    Cifar10,
}

/// The operations of table 6 that the policy uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    AutoContrast,
    Invert,
    Equalize,
    Solarize,
    Posterize,
    Contrast,
    Color,
    Brightness,
    Sharpness,
}

use Operation::{
    AutoContrast, Brightness, Color, Contrast, Equalize, Invert, Posterize, Rotate, Sharpness,
    ShearY, Solarize, TranslateX, TranslateY,
};

/// An operation, its probability in tenths, its level.
type Chance = (Operation, u8, u8);

/// Table 7. Operations without a level have the printed one.
const CIFAR10: [[Chance; 2]; 25] = [
    [(Invert, 1, 7), (Contrast, 2, 6)],
    [(Rotate, 7, 2), (TranslateX, 3, 9)],
    [(Sharpness, 8, 1), (Sharpness, 9, 3)],
    [(ShearY, 5, 8), (TranslateY, 7, 9)],
    [(AutoContrast, 5, 8), (Equalize, 9, 2)],
    [(ShearY, 2, 7), (Posterize, 3, 7)],
    [(Color, 4, 3), (Brightness, 6, 7)],
    [(Sharpness, 3, 9), (Brightness, 7, 9)],
    [(Equalize, 6, 5), (Equalize, 5, 1)],
    [(Contrast, 6, 7), (Sharpness, 6, 5)],
    [(Color, 7, 7), (TranslateX, 5, 8)],
    [(Equalize, 3, 7), (AutoContrast, 4, 8)],
    [(TranslateY, 4, 3), (Sharpness, 2, 6)],
    [(Brightness, 9, 6), (Color, 2, 8)],
    [(Solarize, 5, 2), (Invert, 0, 3)],
    [(Equalize, 2, 0), (AutoContrast, 6, 0)],
    [(Equalize, 2, 8), (Equalize, 6, 4)],
    [(Color, 9, 9), (Equalize, 6, 6)],
    [(AutoContrast, 8, 4), (Solarize, 2, 8)],
    [(Brightness, 1, 3), (Color, 7, 0)],
    [(Solarize, 4, 5), (AutoContrast, 9, 3)],
    [(TranslateY, 9, 9), (TranslateY, 7, 9)],
    [(AutoContrast, 9, 2), (Solarize, 8, 3)],
    [(Equalize, 8, 8), (Invert, 1, 3)],
    [(TranslateY, 7, 9), (AutoContrast, 9, 1)],
];

impl AutoAugment {
    /// Every value with its word in a recipe.
    pub(crate) const WORDS: [(&str, Self); 1] = [("cifar10", Self::Cifar10)];

    /// Changes one image of u8 pixels in `[height, width, channels]`. Pixels from outside the image are `fill`.
    /// Always consumes five random numbers.
    pub(super) fn apply(self, image: &mut [u8], shape: [usize; 3], fill: u8, stream: &mut Stream) {
        let Self::Cifar10 = self;
        for (operation, tenths, level) in CIFAR10[stream.below(CIFAR10.len())] {
            let chosen = stream.below(10) < usize::from(tenths);
            let sign = if stream.below(2) == 1 { 1.0 } else { -1.0 };
            if chosen {
                operation.apply(image, shape, fill, sign * f64::from(level) / 9.0);
            }
        }
    }
}

impl Operation {
    /// Applies a share of the largest change; the sign selects the side.
    fn apply(self, image: &mut [u8], shape: [usize; 3], fill: u8, amount: f64) {
        let share = amount.abs();
        let moved = |size: usize| libm::round(amount * 150.0 / 331.0 * size as f64);
        match self {
            ShearY => geometry::shear_y(image, shape, fill, 0.3 * amount),
            TranslateX => geometry::translate(image, shape, fill, [moved(shape[1]), 0.0]),
            TranslateY => geometry::translate(image, shape, fill, [0.0, moved(shape[0])]),
            Rotate => geometry::rotate(image, shape, fill, 30.0 * amount),
            AutoContrast => tones::auto_contrast(image, shape[2]),
            Invert => tones::invert(image),
            Equalize => tones::equalize(image, shape[2]),
            Solarize => tones::solarize(image, 256.0 * (1.0 - share)),
            Posterize => tones::posterize(image, libm::round(4.0 * share)),
            Contrast => tones::contrast(image, shape[2], 1.0 + 0.9 * amount),
            Color => tones::color(image, shape[2], 1.0 + 0.9 * amount),
            Brightness => tones::brightness(image, 1.0 + 0.9 * amount),
            Sharpness => tones::sharpness(image, shape, 1.0 + 0.9 * amount),
        }
    }
}

#[cfg(test)]
mod tests;
