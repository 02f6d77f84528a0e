//! Accepted images and their errors at each supply, over all chips.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_monitor::{Counts, Rise, Sample};
use vmin_sram::fit::proportion_low;
use vmin_sweep::Spread;
use vmin_sweep::statistics::{MeanError, reaches};

use super::measure::{AtSupply, OfChip, OfSupply};

/// Without bit errors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Clean {
    /// Share of wrong images.
    pub err: f64,
    /// Share of accepted images.
    pub accepted: f64,
    /// Share of accepted images among the right ones.
    pub accepted_of_right: f64,
    /// Share of wrong images among the accepted ones.
    pub accepted_err: Option<f64>,
    /// Area under the ROC curve of confidence as a detector of wrong predictions; absent if there are none.
    pub roc_area: Option<f64>,
}

/// All chips at one supply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Point {
    /// Supply of the weight memory, in mV.
    pub vdd_mv: f64,
    /// Share of faulty cells there, by the profile or the chip files.
    pub cell_fault_rate: f64,
    /// Share of accepted images, mean over chips.
    pub accepted_mean: f64,
    /// Lower end of its two-sided interval, for other chips and images.
    pub accepted_low: Option<f64>,
    /// Upper end of that interval.
    pub accepted_high: Option<f64>,
    /// On the chip that accepts fewest.
    pub accepted_min: f64,
    /// Error of all images, mean over chips.
    pub rerr_mean: f64,
    /// Lower end of its two-sided interval, for other chips and images.
    pub rerr_low: Option<f64>,
    /// Upper end of that interval.
    pub rerr_high: Option<f64>,
    /// On the worst chip.
    pub rerr_max: f64,
    /// Error of accepted images, mean over the chips that accept any; absent if none does.
    pub accepted_rerr_mean: Option<f64>,
    /// Lower end of its two-sided interval, for other chips and images.
    pub accepted_rerr_low: Option<f64>,
    /// Upper end of that interval.
    pub accepted_rerr_high: Option<f64>,
    /// On the worst chip.
    pub accepted_rerr_max: Option<f64>,
    /// Area under the ROC curve of confidence as a detector of wrong predictions, mean over chips.
    pub roc_area_mean: Option<f64>,
    /// On the worst chip.
    pub roc_area_min: Option<f64>,
    /// Chips whose rejections rise here or at a higher supply.
    pub chips_rejections_up: usize,
    /// Chips whose error of accepted images exceeds the budget here or at a higher supply.
    pub chips_over_budget: usize,
    /// Energy of the accesses of the lowered memories over that at nominal supplies, if a profile tells it.
    pub access_energy: Option<f64>,
}

/// Whether rejections rise before the error of accepted images does.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InTime {
    /// Chips.
    pub chips: usize,
    /// Chips whose error of accepted images exceeds the budget at some supply.
    pub over_budget: usize,
    /// Of these, chips whose rejections rise at a supply that is no lower.
    pub in_time: usize,
    /// Of these, chips whose rejections rise at a higher supply.
    pub earlier: usize,
    /// Lower end of the two-sided interval of the share in time (Clopper and Pearson).
    pub share_low: f64,
    /// Upper end of that interval.
    pub share_high: f64,
}

pub(super) fn clean(AtSupply { counts, area }: &AtSupply) -> Clean {
    let right = counts.images - counts.wrong;
    let accepted_right = counts.accepted - counts.wrong_accepted;
    Clean {
        err: counts.err(),
        accepted: 1.0 - counts.rejections().share(),
        accepted_of_right: Sample { hits: accepted_right, trials: right }.share(),
        accepted_err: counts.accepted_err(),
        roc_area: *area,
    }
}

/// What a chip may do at a supply.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    /// Most error of accepted images.
    pub(super) err: f64,
    /// Most rejected images: who rejects all lets no error pass, and is of no use.
    pub(super) rejected: f64,
}

impl Budget {
    /// True if too many wrong images are accepted.
    pub(super) fn passes_errors(&self, counts: &Counts) -> bool {
        counts.accepted_err().is_some_and(|err| err > self.err)
    }

    /// The lowest supply at which, and at all above which, errors and rejections are within the budget.
    pub(super) fn lowest(&self, counts: &[Counts]) -> Option<usize> {
        let rejects = |of: &Counts| !reaches(self.rejected, of.rejections().share());
        let over = |of: &Counts| self.passes_errors(of) || rejects(of);
        counts.iter().position(over).unwrap_or(counts.len()).checked_sub(1)
    }
}

pub(super) fn points(
    swept_mv: &[f64],
    supplies: &[OfSupply],
    chips: &[OfChip],
    rises: &[Rise],
    confidence: f64,
) -> Vec<Point> {
    let point = |(index, (&vdd_mv, supply)): (usize, (&f64, &OfSupply))| {
        let of = |part: fn(&Counts) -> Sample| {
            let parts: Vec<Sample> = chips.iter().map(|chip| part(&chip.counts[index])).collect();
            Estimate::of(&parts, confidence)
        };
        let accepted = of(|of| Sample { hits: of.accepted, trials: of.images });
        let rerr = of(|of| Sample { hits: of.wrong, trials: of.images });
        let accepted_rerr = of(|of| Sample { hits: of.wrong_accepted, trials: of.accepted });
        let areas: Vec<f64> = chips.iter().filter_map(|chip| chip.areas[index]).collect();
        let areas = Spread::of(&areas);
        let count = |first: &dyn Fn(&Rise) -> Option<usize>| {
            rises.iter().filter(|rise| first(rise).is_some_and(|first| first <= index)).count()
        };
        Point {
            vdd_mv,
            cell_fault_rate: supply.cell_fault_rate,
            accepted_mean: accepted.map_or(0.0, |of| of.spread.mean),
            accepted_low: accepted.and_then(|of| of.low()),
            accepted_high: accepted.and_then(|of| of.high()),
            accepted_min: accepted.map_or(0.0, |of| of.spread.min),
            rerr_mean: rerr.map_or(0.0, |of| of.spread.mean),
            rerr_low: rerr.and_then(|of| of.low()),
            rerr_high: rerr.and_then(|of| of.high()),
            rerr_max: rerr.map_or(0.0, |of| of.spread.max),
            accepted_rerr_mean: accepted_rerr.map(|of| of.spread.mean),
            accepted_rerr_low: accepted_rerr.and_then(|of| of.low()),
            accepted_rerr_high: accepted_rerr.and_then(|of| of.high()),
            accepted_rerr_max: accepted_rerr.map(|of| of.spread.max),
            roc_area_mean: areas.map(|of| of.mean),
            roc_area_min: areas.map(|of| of.min),
            chips_rejections_up: count(&|rise| rise.rejections),
            chips_over_budget: count(&|rise| rise.accepted_err),
            access_energy: supply.access_energy,
        }
    };
    swept_mv.iter().zip(supplies).enumerate().map(point).collect()
}

pub(super) fn in_time(rises: &[Rise], confidence: f64) -> InTime {
    let judged: Vec<bool> = rises.iter().filter_map(Rise::in_time).collect();
    let in_time = judged.iter().filter(|in_time| **in_time).count();
    let earlier = |rise: &&Rise| rise.accepted_err > rise.rejections && rise.rejections.is_some();
    let share = Sample { hits: in_time as u64, trials: judged.len() as u64 };
    let (share_low, share_high) = clopper_pearson(share, confidence);
    InTime {
        chips: rises.len(),
        over_budget: judged.len(),
        in_time,
        earlier: rises.iter().filter(earlier).count(),
        share_low,
        share_high,
    }
}

fn clopper_pearson(Sample { hits, trials }: Sample, confidence: f64) -> (f64, f64) {
    let tail = 0.5 * (1.0 - confidence);
    let low = |hits: u64| proportion_low(hits as f64, trials as f64, tail);
    (low(hits), 1.0 - low(trials - hits))
}

/// A share over chips, with its interval.
#[derive(Clone, Copy)]
struct Estimate {
    spread: Spread,
    interval: Option<(f64, f64)>,
}

impl Estimate {
    /// Of a share of each chip that has trials: for other chips and images, and for one chip of other images.
    fn of(parts: &[Sample], confidence: f64) -> Option<Self> {
        let parts: Vec<Sample> = parts.iter().copied().filter(|part| part.trials > 0).collect();
        let shares: Vec<f64> = parts.iter().map(Sample::share).collect();
        // Of chips that accept more and fewer images, the fewest: the interval is rather too wide.
        let fewest = parts.iter().map(|part| part.trials).min()?;
        let interval = match &parts[..] {
            [one] => Some(clopper_pearson(*one, confidence)),
            _ => MeanError::of(&shares, 1, fewest, confidence)?.interval,
        };
        Some(Self { spread: Spread::of(&shares)?, interval })
    }

    fn low(&self) -> Option<f64> {
        self.interval.map(|interval| interval.0)
    }

    fn high(&self) -> Option<f64> {
        self.interval.map(|interval| interval.1)
    }
}
