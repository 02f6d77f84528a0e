//! The order in which the images of a trial are met: two classes by the network's margin, each in a random order.
//!
//! Bit errors change the predictions of images near the border of their class first. Such images form a class of their
//! own, which is sampled more densely: most of what bit errors do is there, and once all of it was seen it is known
//! exactly.

use std::cmp::Reverse;
use std::ops::Range;

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Raised when the same images come in another order than before.
const REVISION: u32 = 1;

/// Classes of images.
pub const CLASSES: usize = 2;

/// Their words in records: near the border, and the rest.
const WORDS: [char; CLASSES] = ['n', 'r'];

/// Share of the images that are near the border.
const NEAR: f64 = 0.25;

/// An order of the images of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Number of each image, from the first one on: first those near the border, then the rest.
    pub numbers: Vec<u32>,
    /// Number of images near the border.
    pub near: usize,
}

impl Order {
    /// A random order in each class, every one as likely and always the same for the same images; `margins` says how
    /// far each image is from the border of its class.
    #[must_use]
    pub fn new(name: &str, margins: &[u32]) -> Self {
        let digest = vmin_files::sha256(format!("order {REVISION} of {name}").as_bytes());
        let seed = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let near = (margins.len() as f64 * NEAR) as usize;
        let mut keyed: Vec<(u32, u64, u32)> = margins
            .iter()
            .enumerate()
            .map(|(number, &margin)| (margin, random.next_u64(), number as u32))
            .collect();
        // Of equal margins, those drawn first are near.
        keyed.sort_unstable();
        for class in [0..near, near..margins.len()] {
            keyed[class].sort_unstable_by_key(|&(_, key, number)| Reverse((key, number)));
        }
        Self { numbers: keyed.into_iter().map(|(_, _, number)| number).collect(), near }
    }

    /// The places of a class.
    #[must_use]
    pub fn places(&self, class: usize) -> Range<usize> {
        [0..self.near, self.near..self.numbers.len()][class].clone()
    }
}

/// The distance of an image from the border of its class: between the output of its label and the largest other one.
#[must_use]
pub fn margin(outputs: &[i8], label: u8) -> u32 {
    let label = usize::from(label);
    let others = outputs.iter().enumerate().filter(|(class, _)| *class != label);
    let other = others.map(|(_, &output)| i32::from(output)).max();
    outputs.get(label).zip(other).map_or(0, |(&of, other)| i32::from(of).abs_diff(other))
}

/// The name of the first `count` images of a class in that order, for records.
#[must_use]
pub fn prefix_name(name: &str, class: usize, count: usize) -> String {
    format!("{name}~{REVISION}{}/{count}", WORDS[class])
}

/// The images for which a name in a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// All of them.
    All,
    /// So many of the first of a class.
    First(usize, usize),
}

/// What a name found in a record stands for; none where it is of other images.
#[must_use]
pub fn named(name: &str, found: &str) -> Option<Named> {
    if found == name {
        return Some(Named::All);
    }
    let rest = found.strip_prefix(name)?.strip_prefix(&format!("~{REVISION}"))?;
    let (word, count) = rest.split_once('/')?;
    let class = WORDS.iter().position(|known| word == known.to_string())?;
    Some(Named::First(class, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_that_begins_with_the_nearest_images() {
        let margins: Vec<u32> = (0..100).map(|image| image * 37 % 100).collect();
        let order = Order::new("set:0+100", &margins);
        assert_eq!(order, Order::new("set:0+100", &margins));
        assert_ne!(order, Order::new("set:1+100", &margins));
        assert_eq!(order.near, 25);
        assert!(order.numbers[..25].iter().all(|&number| margins[number as usize] < 25));
        let mut sorted = order.numbers;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }

    #[test]
    fn every_place_of_a_class_is_as_likely_for_an_image() {
        let mut counts = [0u32; 8];
        for set in 0..4000 {
            // Of the equal margins, two are near.
            let order = Order::new(&format!("set {set}"), &[5; 8]);
            counts[order.numbers.iter().position(|&number| number == 3).expect("there")] += 1;
        }
        // 500 each, with a deviation of 21.
        assert!(counts.iter().all(|count| count.abs_diff(500) < 110), "{counts:?}");
    }

    #[test]
    fn prefixes_are_known_by_name() {
        let name = "ab:0+50";
        assert_eq!(named(name, name), Some(Named::All));
        assert_eq!(named(name, &prefix_name(name, 1, 20)), Some(Named::First(1, 20)));
        for other in
            ["ab:0+5", "ab:0+500", "ab:0+50~2n/20", "ab:0+50~1x/5", "ab:0+50~1n/x", "cd:0+50"]
        {
            assert_eq!(named(name, other), None, "{other}");
        }
    }

    #[test]
    fn margins_are_distances_to_the_best_other_class() {
        assert_eq!(margin(&[10, 4, -3], 0), 6);
        assert_eq!(margin(&[10, 4, -3], 2), 13);
        assert_eq!(margin(&[127, -128], 1), 255);
        assert_eq!(margin(&[1], 0), 0);
    }
}
