//! One image: pose, ground, contrast and noise from the image's own generator.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::distance::{Point, to_shape};
use super::{SIDE, class_of};
use crate::data::Split;

/// The pixels of image `index`, row by row.
pub(super) fn draw(seed: u64, split: Split, index: usize) -> [u8; SIDE * SIDE] {
    let mut dice = Dice::new(seed, split, index);
    let pose = Pose::draw(&mut dice);
    let ground = Ground::draw(&mut dice);
    let contrast = dice.sign() * dice.within(55.0, 125.0);
    let noise = dice.within(3.0, 13.0);
    let class = class_of(index);
    std::array::from_fn(|pixel| {
        let at = [coordinate(pixel % SIDE), coordinate(pixel / SIDE)];
        let cover = cover(to_shape(class, pose.in_axes(at), pose.radius, pose.half_stroke));
        let level = ground.level_at(at) + contrast * cover + noise * dice.bell();
        to_pixel(level)
    })
}

/// Share of a pixel that a shape at this signed distance covers.
fn cover(distance: f64) -> f64 {
    (0.5 - distance).clamp(0.0, 1.0)
}

/// Pixels from the centre of the image.
fn coordinate(cell: usize) -> f64 {
    cell as f64 - (SIDE as f64 - 1.0) / 2.0
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
fn to_pixel(level: f64) -> u8 {
    (level.clamp(0.0, 255.0) + 0.5) as u8
}

/// Position, size and rotation of the shape.
struct Pose {
    centre: Point,
    /// Cosine and sine of the rotation.
    rotation: Point,
    radius: f64,
    half_stroke: f64,
    /// Factor of the first axis; the second takes its inverse.
    stretch: f64,
}

impl Pose {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            centre: [dice.within(-2.2, 2.2), dice.within(-2.2, 2.2)],
            rotation: dice.direction(),
            radius: dice.within(4.4, 6.4),
            half_stroke: dice.within(0.75, 1.15),
            stretch: dice.within(0.88, 1.13),
        }
    }

    fn in_axes(&self, at: Point) -> Point {
        let [x, y] = [at[0] - self.centre[0], at[1] - self.centre[1]];
        let [c, s] = self.rotation;
        [(c * x + s * y) * self.stretch, (c * y - s * x) / self.stretch]
    }
}

/// The background.
struct Ground {
    level: f64,
    gradient: Point,
    /// Centre, radius and contrast of small discs.
    specks: [(Point, f64, f64); 3],
}

impl Ground {
    fn draw(dice: &mut Dice) -> Self {
        let level = dice.within(70.0, 185.0);
        let gradient = [dice.within(-3.0, 3.0), dice.within(-3.0, 3.0)];
        let specks = std::array::from_fn(|_| {
            let centre = [dice.within(-8.0, 8.0), dice.within(-8.0, 8.0)];
            (centre, dice.within(0.4, 1.2), dice.within(-45.0, 45.0))
        });
        Self { level, gradient, specks }
    }

    fn level_at(&self, [x, y]: Point) -> f64 {
        let slope = self.level + self.gradient[0] * x + self.gradient[1] * y;
        self.specks.iter().fold(slope, |level, &([u, v], radius, contrast)| {
            let distance = ((x - u) * (x - u) + (y - v) * (y - v)).sqrt() - radius;
            level + contrast * cover(distance)
        })
    }
}

/// The random numbers of one image.
struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn new(seed: u64, split: Split, index: usize) -> Self {
        let split: u64 = match split {
            Split::Train => 0x7261_696e,
            Split::Test => 0x7465_7374,
        };
        // Chained, so that every part of the key reaches the whole state: a generator filled with
        // the parts side by side repeats its first numbers for all images of a split.
        let key = [split, index as u64].iter().fold(mix(seed), |key, part| mix(key ^ part));
        Self(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// Uniform in `[0, 1)`, 53 bits.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn within(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn sign(&mut self) -> f64 {
        if self.0.next_u64() >> 63 == 0 { 1.0 } else { -1.0 }
    }

    /// A point on the unit circle: uniform in the disc by rejection, then scaled.
    fn direction(&mut self) -> Point {
        loop {
            let [x, y] = [self.within(-1.0, 1.0), self.within(-1.0, 1.0)];
            let square = x * x + y * y;
            if (0.01..=1.0).contains(&square) {
                let length = square.sqrt();
                return [x / length, y / length];
            }
        }
    }

    /// Mean 0, variance 1, bell-shaped: the scaled sum of four uniform numbers.
    fn bell(&mut self) -> f64 {
        let sum: f64 = self.unit() + self.unit() + self.unit() + self.unit();
        (sum - 2.0) * 3_f64.sqrt()
    }
}

/// Spreads a small number over 64 bits (the finalizer of SplitMix64).
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
