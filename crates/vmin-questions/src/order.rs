//! The order in which the images of a trial are met: random, and always the same for the same images.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Raised when the same images come in another order than before.
const REVISION: u32 = 1;

/// A random order of the images that `name` names, as numbers from the first one on; every permutation is as likely.
#[must_use]
pub fn order(name: &str, images: usize) -> Vec<u32> {
    let digest = vmin_files::sha256(format!("order {REVISION} of {name}").as_bytes());
    let seed = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut keyed: Vec<(u64, u32)> =
        (0..images).map(|number| (random.next_u64(), number as u32)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, number)| number).collect()
}

/// The name of the first `count` of these images in that order, for records.
#[must_use]
pub fn prefix_name(name: &str, count: usize) -> String {
    format!("{name}~{REVISION}/{count}")
}

/// How many of the first images a name stands for: all of the `images` where it is theirs, none where it is of others.
#[must_use]
pub fn prefix_of(name: &str, images: usize, found: &str) -> Option<usize> {
    if found == name {
        return Some(images);
    }
    let count = found.strip_prefix(name)?.strip_prefix(&format!("~{REVISION}/"))?;
    count.parse().ok().filter(|&count| count <= images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_and_depends_on_the_images_alone() {
        let first = order("set:0+100", 100);
        assert_eq!(first, order("set:0+100", 100));
        assert_ne!(first, order("set:1+100", 100));
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..100));
    }

    #[test]
    fn every_place_is_as_likely_for_an_image() {
        let mut counts = [0u32; 8];
        for set in 0..4000 {
            let order = order(&format!("set {set}"), 8);
            counts[order.iter().position(|&number| number == 3).expect("there")] += 1;
        }
        // 500 each, with a deviation of 21.
        assert!(counts.iter().all(|count| count.abs_diff(500) < 110), "{counts:?}");
    }

    #[test]
    fn prefixes_are_known_by_name() {
        let name = "ab:0+50";
        assert_eq!(prefix_of(name, 50, name), Some(50));
        assert_eq!(prefix_of(name, 50, &prefix_name(name, 20)), Some(20));
        for other in
            ["ab:0+5", "ab:0+500", "ab:0+50~2/20", "ab:0+50~1/51", "ab:0+50~1/x", "cd:0+50"]
        {
            assert_eq!(prefix_of(name, 50, other), None, "{other}");
        }
    }
}
