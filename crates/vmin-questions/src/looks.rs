//! Which images of a trial are looked at next: those of the class about which less is known, more and more at once.

use crate::order::CLASSES;
use crate::sequential::{Budget, Seen};

/// Least number of images between two looks.
const LEAST: usize = 32;

/// The class and the number of its first images to have seen at the next look; none once all were.
pub(crate) fn next(budget: &Budget, seen: &[Seen; CLASSES]) -> Option<(usize, usize)> {
    let total: usize = seen.iter().map(|of| of.images).sum();
    let more = (total / 24 / LEAST * LEAST).max(LEAST);
    // As Neyman's allocation: the deviation of the class's total over the images seen, from a rate of changed images
    // that is not zero where none changed so far.
    let unknown = |class: usize| {
        let (all, of) = (budget.images(class) as f64, seen[class]);
        let (lost, gained) = budget.lost_and_gained(class, of);
        let images = of.images as f64;
        let rate = ((lost + gained) as f64 + 1.0) / (images + 2.0);
        let left = 1.0 - images / all;
        all * (rate * left).sqrt() / (images + 1.0)
    };
    let open = (0..CLASSES).filter(|&class| seen[class].images < budget.images(class));
    let class = open.max_by(|&a, &b| unknown(a).total_cmp(&unknown(b)))?;
    // A class of which little is left is finished: then it is known exactly.
    let until = seen[class].images + more;
    let all = budget.images(class);
    Some((class, if until + more > all { all } else { until }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_images_are_seen_in_few_looks_the_changing_class_first() {
        let right = vec![true; 10_000];
        let budget = Budget::new([&right[..2500], &right[2500..]], 100);
        let mut seen = [Seen::default(); CLASSES];
        let (mut looks, mut near_done) = (0, 0);
        while let Some((class, until)) = next(&budget, &seen) {
            assert!(until > seen[class].images);
            // One in ten changes near the border, one in a thousand elsewhere.
            let lost = until / [10, 1000][class];
            let correct = (until - lost) as u64;
            seen[class] = Seen { images: until, correct, correct_union: correct };
            looks += 1;
            if seen[0].images == 2500 && near_done == 0 {
                near_done = seen[1].images;
            }
        }
        assert_eq!(seen.map(|of| of.images), [2500, 7500]);
        assert!(looks < 180, "{looks}");
        assert!((200..3000).contains(&near_done), "{near_done}");
    }
}
