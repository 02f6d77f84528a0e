//! After how many images a trial is looked at: fixed numbers, so that a trial that goes on later ends where it would
//! have ended at once.

/// The first look, and the least number of images between two.
const FIRST: usize = 32;

/// The next look after `seen` of `images`.
pub(crate) fn next(seen: usize, images: usize) -> usize {
    let mut look = FIRST;
    while look <= seen {
        look += (look / 8 / FIRST * FIRST).max(FIRST);
    }
    look.min(images)
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn looks_do_not_depend_on_where_one_begins() {
        let looks: Vec<usize> =
            std::iter::successors(Some(0), |&seen| (seen < 10_000).then(|| next(seen, 10_000)))
                .collect();
        assert!(looks.len() < 60 && looks.last() == Some(&10_000), "{looks:?}");
        assert!(
            looks
                .windows(2)
                .all(|pair| (pair[0]..pair[1]).all(|seen| next(seen, 10_000) == pair[1]))
        );
    }
}
