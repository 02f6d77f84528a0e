//! Accepted and rejected images of a chip at a supply, and the supplies at which they begin to tell of errors.

use crate::exact::{Sample, excess};

/// The highest threshold that at least this share of `confidences` reaches; none without a confidence.
#[must_use]
pub fn threshold(confidences: &[f64], share: f64) -> Option<f64> {
    let mut falling = confidences.to_vec();
    falling.sort_by(|a, b| b.total_cmp(a));
    // Not one more because of the last bits of a decimal share.
    let needed = (share * falling.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    falling.get(needed - 1).copied()
}

/// What became of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its confidence reaches the threshold.
    pub accepted: bool,
    /// Its class is right.
    pub right: bool,
}

/// Images of a chip at a supply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub images: u64,
    /// Those whose confidence reaches the threshold.
    pub accepted: u64,
    /// Those of a wrong class.
    pub wrong: u64,
    /// Those that are accepted and of a wrong class.
    pub wrong_accepted: u64,
}

impl Counts {
    /// Of these outcomes.
    #[must_use]
    pub fn of<'o>(outcomes: impl IntoIterator<Item = &'o Outcome>) -> Self {
        let mut counts = Self::default();
        outcomes.into_iter().for_each(|outcome| counts.add(*outcome));
        counts
    }

    /// Counts one more image.
    pub fn add(&mut self, Outcome { accepted, right }: Outcome) {
        self.images += 1;
        self.accepted += u64::from(accepted);
        self.wrong += u64::from(!right);
        self.wrong_accepted += u64::from(accepted && !right);
    }

    /// Rejections among all images.
    #[must_use]
    pub const fn rejections(&self) -> Sample {
        Sample { hits: self.images - self.accepted, trials: self.images }
    }

    /// Share of wrong images.
    #[must_use]
    pub fn err(&self) -> f64 {
        self.wrong as f64 / self.images as f64
    }

    /// Share of wrong images among the accepted ones; none where nothing is accepted.
    #[must_use]
    pub fn accepted_err(&self) -> Option<f64> {
        (self.accepted > 0).then(|| self.wrong_accepted as f64 / self.accepted as f64)
    }
}

/// Where a chip's monitor tells of errors, and where errors pass it: places in a list of falling supplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rise {
    /// The highest supply at which rejections are significantly more than without bit errors.
    pub rejections: Option<usize>,
    /// The highest supply at which the error of accepted images exceeds the budget.
    pub accepted_err: Option<usize>,
}

impl Rise {
    /// Of the counts at falling supplies. The supplies share `false_alarm`: so rare is a chip that rejects as without
    /// bit errors and yet is named at any of them.
    #[must_use]
    pub fn of(counts: &[Counts], nominal: Sample, false_alarm: f64, most_err: f64) -> Self {
        let each = false_alarm / counts.len().max(1) as f64;
        let rises = |counts: &Counts| excess(nominal, counts.rejections()) <= each;
        let errs = |counts: &Counts| counts.accepted_err().is_some_and(|err| err > most_err);
        Self {
            rejections: counts.iter().position(rises),
            accepted_err: counts.iter().position(errs),
        }
    }

    /// Whether rejections rise at a supply that is no lower than that at which errors pass; none where no errors pass.
    #[must_use]
    pub fn in_time(&self) -> Option<bool> {
        let errs = self.accepted_err?;
        Some(self.rejections.is_some_and(|rises| rises <= errs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_the_highest_that_accepts_enough() {
        let confidences = [0.9, 0.2, 0.5, 0.5, 1.0, 0.7, 0.5, 0.99, 0.3, 0.8];
        for share in [0.0, 0.1, 0.11, 0.3, 0.5, 0.55, 0.6, 0.7, 0.9, 0.91, 0.99, 1.0] {
            let enough = |tau: f64| {
                let reach = confidences.iter().filter(|&&c| c >= tau).count();
                reach as f64 >= share * 10.0 - 1e-9 && reach > 0
            };
            let slow = confidences.into_iter().filter(|&tau| enough(tau)).fold(0.0, f64::max);
            assert_eq!(threshold(&confidences, share), Some(slow), "{share}");
        }
        assert_eq!(threshold(&[], 0.99), None);
    }

    fn counts(images: u64, rejected: u64, wrong_accepted: u64) -> Counts {
        let accepted = images - rejected;
        Counts { images, accepted, wrong: wrong_accepted + rejected / 2, wrong_accepted }
    }

    #[test]
    fn counts_are_those_of_the_outcomes() {
        let all: Vec<Outcome> = (0..37)
            .map(|index| Outcome { accepted: index % 3 > 0, right: index % 5 > 1 })
            .collect();
        let count = |of: &dyn Fn(&&Outcome) -> bool| all.iter().filter(of).count() as u64;
        let expected = Counts {
            images: 37,
            accepted: count(&|of| of.accepted),
            wrong: count(&|of| !of.right),
            wrong_accepted: count(&|of| of.accepted && !of.right),
        };
        assert_eq!(Counts::of(&all), expected);
        assert_eq!(expected.rejections().hits, 37 - expected.accepted);
        assert_eq!(Counts::default().accepted_err(), None);
    }

    #[test]
    fn a_chip_is_in_time_if_rejections_rise_no_later_than_errors_pass() {
        let nominal = Sample { hits: 20, trials: 1000 };
        let rise = |all: &[Counts]| Rise::of(all, nominal, 0.05, 0.05);
        let (calm, more) = (counts(1000, 20, 10), counts(1000, 90, 10));
        let (both, silent) = (counts(1000, 90, 90), counts(1000, 20, 90));
        let found = |all: &[Counts]| {
            let rise = rise(all);
            (rise.rejections, rise.accepted_err, rise.in_time())
        };
        assert_eq!(found(&[calm, calm]), (None, None, None));
        assert_eq!(found(&[calm, more, both]), (Some(1), Some(2), Some(true)));
        assert_eq!(found(&[calm, both]), (Some(1), Some(1), Some(true)));
        assert_eq!(found(&[calm, silent, both]), (Some(2), Some(1), Some(false)));
        assert_eq!(found(&[silent]), (None, Some(0), Some(false)));
        // A chip that accepts nothing lets no error pass.
        assert_eq!(found(&[counts(50, 50, 0)]), (Some(0), None, None));
    }
}
