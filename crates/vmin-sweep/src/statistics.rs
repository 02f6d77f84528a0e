//! Statistics over chips and images: the one place of the definitions that tables, pages and files show.
//!
//! Chips are a sample of a population of chips, and images of a population of images. All chips see the same
//! images, so more chips do not make up for few images:
//!
//! ```text
//!  variance of the mean error = variance over chips / chips + variance over images / images
//! ```
//!
//! The first share is seen between chips. The journal has no outcome of a single image, so the second is the
//! binomial variance of each chip's error, which is its most: images that differ from chip to chip are in both.
//! Everything is summed in a fixed order, so that every run gives the same bits.

use serde::{Deserialize, Serialize};
use vmin_sram::fit::{proportion_low, student};
use vmin_sram::normal;

use crate::journal::Counts;
use crate::results::{ChipSummary, Clean, Point, Setting};

/// Standard deviation of chips that are equal: means of equal numbers may differ in their last bits.
const EQUAL: f64 = 1e-12;

/// Mean, spread and range of a value over chips.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1); 0 for a single value.
    pub std: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Spread {
    /// The spread of `values`, or `None` if there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let (first, rest) = values.split_first()?;
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
        let std = if rest.is_empty() { 0.0 } else { (squares / (count - 1.0)).sqrt() };
        let (min, max) =
            rest.iter().fold((*first, *first), |(min, max), &v| (min.min(v), max.max(v)));
        // Means of equal numbers may differ in their last bits.
        let std = if min == max { 0.0 } else { std };
        Some(Self { mean, std, min, max })
    }
}

/// The least of `values` that each share of them does not exceed; no value between two chips is made up.
#[must_use]
pub fn quantiles<const N: usize>(values: &[f64], shares: [f64; N]) -> Option<[f64; N]> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = |share: f64| (share * sorted.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    (!sorted.is_empty()).then(|| shares.map(|share| sorted[rank(share) - 1]))
}

/// The mean error over chips, as an estimate for all chips of the population and all images like these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanError {
    /// Standard error from the sample of chips; none for one chip.
    pub se_chips: Option<f64>,
    /// Standard error from the sample of images, at most.
    pub se_images: f64,
    /// Two-sided interval at the confidence that was asked for, both shares together; none for one chip, and for so
    /// few equal ones that they do not show half of all chips to be like them.
    pub interval: Option<(f64, f64)>,
}

impl MeanError {
    /// Of the errors of all trials; neighbouring `offsets` of them share a chip.
    ///
    /// The interval is that of Korn and Graubard (Survey Methodology 24, 1998): Clopper's and Pearson's for
    /// as many independent images as would have this standard error. Equal chips have no standard error to speak
    /// of: a few of them are no evidence that others do not differ.
    #[must_use]
    pub fn of(errors: &[f64], offsets: usize, images: u64, confidence: f64) -> Option<Self> {
        let chips: Vec<f64> = errors
            .chunks(offsets)
            .map(|of_chip| of_chip.iter().sum::<f64>() / of_chip.len() as f64)
            .collect();
        let Spread { mean, std, .. } = Spread::of(&chips)?;
        let (count, images) = (chips.len() as f64, images as f64);
        let binomial = errors.iter().map(|error| error * (1.0 - error)).sum::<f64>();
        let of_images = binomial / errors.len() as f64 / images;
        let of_chips = std * std / count;
        let tail = 0.5 * (1.0 - confidence);
        let show_half = chips_to_show(0.5, confidence).is_some_and(|needed| count >= needed as f64);
        let interval = (chips.len() > 1 && (std > EQUAL || show_half)).then(|| {
            let variance = of_chips + of_images;
            let independent = if variance > 0.0 {
                // Satterthwaite's degrees of freedom.
                let inverse = of_chips * of_chips / (count - 1.0) + of_images * of_images / images;
                let wider =
                    normal::quantile(1.0 - tail) / student(variance * variance / inverse, tail);
                (mean * (1.0 - mean) / variance).min(images) * wider * wider
            } else {
                images
            };
            bounds(mean * independent, independent, tail)
        });
        let se_chips = (chips.len() > 1).then(|| of_chips.sqrt());
        Some(Self { se_chips, se_images: of_images.sqrt(), interval })
    }
}

/// Clopper's and Pearson's interval with `tail` beyond each end.
fn bounds(hits: f64, trials: f64, tail: f64) -> (f64, f64) {
    (proportion_low(hits, trials, tail), 1.0 - proportion_low(trials - hits, trials, tail))
}

/// Standard error of one chip's loss of accuracy from its sample of images, mean over trials: the paired
/// outcomes with and without bit errors tell it.
#[must_use]
pub fn loss_se_images(trials: &[Counts], clean: &Clean) -> f64 {
    let images = clean.images as f64;
    let variance = |counts: &Counts| {
        let worse = (clean.correct - counts.correct_union) as f64 / images;
        let better = (counts.correct - counts.correct_union) as f64 / images;
        (worse + better - (worse - better) * (worse - better)) / images
    };
    (trials.iter().map(variance).sum::<f64>() / trials.len() as f64).sqrt()
}

/// The bound of Stutz et al. (MLSys 2021, proposition 1) on the error over all chips and images: it is exceeded
/// with a chance of at most `delta`. It says nothing where it is 1.
#[must_use]
pub fn papers_bound(rerr: f64, images: u64, chips: u32, delta: f64) -> f64 {
    let (n, l) = (images as f64, f64::from(chips));
    let margin = (((n + 1.0) / delta).ln() / n).sqrt() * (l.sqrt() + n.sqrt()) / l.sqrt();
    (rerr + margin).min(1.0)
}

/// A difference between two ways of running the same chips on the same images, as an estimate for other chips: the
/// images stay those.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PairedDifference {
    /// Mean over chips.
    pub mean: f64,
    /// Lower end of its two-sided interval (Student); absent for one chip, and where all chips are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper end of that interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Where all of several chips are equal: at the confidence, at most this share of the population differs from
    /// them (Clopper and Pearson, one-sided). By how much is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differing_high: Option<f64>,
}

impl PairedDifference {
    /// Of the differences of all trials; neighbouring `offsets` of them share a chip. None without a trial.
    #[must_use]
    pub fn of(differences: &[f64], offsets: usize, confidence: f64) -> Option<Self> {
        let of_chip = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let chips: Vec<f64> = differences.chunks(offsets).map(of_chip).collect();
        let Spread { mean, std, .. } = Spread::of(&chips)?;
        let count = chips.len() as f64;
        let equal = std <= EQUAL;
        let half = (chips.len() > 1 && !equal)
            .then(|| student(count - 1.0, 0.5 * (1.0 - confidence)) * std / count.sqrt());
        let differing = || 1.0 - proportion_low(count, count, 1.0 - confidence);
        Some(Self {
            mean,
            low: half.map(|half| mean - half),
            high: half.map(|half| mean + half),
            differing_high: (chips.len() > 1 && equal).then(differing),
        })
    }

    /// As `0.42 points (0.10 to 0.74)`, or what so many equal chips show in place of an interval.
    #[must_use]
    pub fn words(&self) -> String {
        let points = |share: f64| format!("{:.2}", share * 100.0);
        let interval = self.low.zip(self.high);
        let interval = match (interval, self.differing_high) {
            (Some((low, high)), _) => format!(" ({} to {})", points(low), points(high)),
            (None, Some(share)) => format!(
                " (no interval: all chips are equal, which shows that at most {} of all chips differ)",
                share_words(share, 0)
            ),
            (None, None) => String::new(),
        };
        format!("{} points{interval}", points(self.mean))
    }
}

/// Chips within the budget, and how many of the population they show to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yield {
    /// Two-sided interval of Clopper and Pearson.
    pub interval: (f64, f64),
    /// One-sided lower bound: at this confidence at least this share of the population is within the budget.
    pub shown: f64,
}

impl Yield {
    /// Of `passing` trials of `trials`. The `offsets` of one chip hang together, so only chips count as
    /// independent.
    #[must_use]
    pub fn of(passing: u32, trials: u32, offsets: usize, confidence: f64) -> Self {
        let offsets = offsets as f64;
        let (hits, chips) = (f64::from(passing) / offsets, f64::from(trials) / offsets);
        let tail = 1.0 - confidence;
        Self { interval: bounds(hits, chips, 0.5 * tail), shown: proportion_low(hits, chips, tail) }
    }
}

/// True if a share reaches a target, whichever way its decimals were rounded.
#[must_use]
pub fn reaches(share: f64, target: f64) -> bool {
    share >= target - 1e-12
}

/// The lowest point at which, and at all points above which, `holds`.
pub fn lowest<P>(points: &[P], holds: impl Fn(&P) -> bool) -> Option<&P> {
    points.iter().take_while(|point| holds(point)).last()
}

/// Chips that show a yield of `target` if all of them are within the budget; none show 100 %.
#[must_use]
pub fn chips_to_show(target: f64, confidence: f64) -> Option<u64> {
    (target < 1.0).then(|| ((1.0 - confidence).ln() / target.ln() - 1e-9).ceil().max(1.0) as u64)
}

/// How low a candidate can go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Vmin {
    /// Operating voltage reached: the lowest swept one at which, and at all swept voltages above which, the share of
    /// the sampled chips within the budget reaches the target; absent if there is none.
    pub reached_mv: Option<f64>,
    /// Operating voltage shown: the same for the share of the population that the sample shows at the confidence (one-sided).
    pub shown_mv: Option<f64>,
    /// True if the voltage reached is the lowest one of the sweep: it may be lower.
    #[serde(default)]
    pub reached_at_lowest: bool,
    /// The same of the voltage shown.
    #[serde(default)]
    pub shown_at_lowest: bool,
    /// Chips that show the target if all of them are within the budget; absent if no number can.
    pub chips_to_show: Option<u64>,
    /// Lowest passing voltage that 5 % of the chips do not exceed; absent if it is above the swept voltages.
    pub chip_q05_mv: Option<f64>,
    /// Median of the chips' lowest passing voltages.
    pub chip_q50_mv: Option<f64>,
    /// Lowest passing voltage that 95 % of the chips do not exceed.
    pub chip_q95_mv: Option<f64>,
    /// Chips out of the budget at the highest swept voltage: their lowest passing voltage is above it.
    pub chips_above: u32,
    /// Chips within the budget at every swept voltage: their lowest passing voltage is the lowest or below it.
    pub chips_at_lowest: u32,
}

impl Vmin {
    /// The voltage reached, in mV: `none`, or `<= 860` where the sweep goes no lower.
    #[must_use]
    pub fn reached_words(&self) -> String {
        mv_words(self.reached_mv, self.reached_at_lowest)
    }

    /// The voltage shown, in the same way.
    #[must_use]
    pub fn shown_words(&self) -> String {
        mv_words(self.shown_mv, self.shown_at_lowest)
    }

    pub(crate) fn of(points: &[Point], chips: &[ChipSummary], setting: &Setting) -> Self {
        let target = setting.yield_target;
        let at =
            |of: fn(&Point) -> f64| lowest(points, |p| reaches(of(p), target)).map(|p| p.vdd_mv);
        let of_chips: Vec<f64> =
            chips.iter().map(|chip| chip.vmin_mv.unwrap_or(f64::INFINITY)).collect();
        let quantiles = quantiles(&of_chips, [0.05, 0.5, 0.95]);
        let [q05, q50, q95] = quantiles.unwrap_or([f64::INFINITY; 3]);
        let finite = |mv: f64| Some(mv).filter(|mv| mv.is_finite());
        let count =
            |of: &dyn Fn(&ChipSummary) -> bool| chips.iter().filter(|chip| of(chip)).count() as u32;
        let lowest_mv = points.last().map(|point| point.vdd_mv);
        let (reached_mv, shown_mv) =
            (at(|point| point.yield_fraction), at(|point| point.yield_shown));
        Self {
            reached_mv,
            shown_mv,
            reached_at_lowest: reached_mv.is_some() && reached_mv == lowest_mv,
            shown_at_lowest: shown_mv.is_some() && shown_mv == lowest_mv,
            chips_to_show: chips_to_show(target, setting.confidence),
            chip_q05_mv: finite(q05),
            chip_q50_mv: finite(q50),
            chip_q95_mv: finite(q95),
            chips_above: count(&|chip| chip.vmin_mv.is_none()),
            chips_at_lowest: count(&|chip| chip.vmin_mv.is_some() && chip.vmin_mv == lowest_mv),
        }
    }
}

fn mv_words(mv: Option<f64>, at_lowest: bool) -> String {
    let mark = if at_lowest { "<= " } else { "" };
    mv.map_or_else(|| "none".to_owned(), |mv| format!("{mark}{mv}"))
}

/// A share as percent; it is 0 or 100 % only where it is exactly that.
#[must_use]
pub fn share_words(share: f64, digits: usize) -> String {
    let text = |digits: usize| format!("{:.digits$}", share * 100.0);
    let ends = |text: &str| matches!(text.parse(), Ok(0.0 | 100.0));
    let whole = share <= 0.0 || share >= 1.0;
    let digits = (digits..12).find(|&digits| whole || !ends(&text(digits))).unwrap_or(digits);
    format!("{} %", text(digits))
}

/// A rate of rare events as percent, with three significant digits; below 0.001 % as `1.90e-17 %`.
#[must_use]
pub fn rate_words(rate: f64) -> String {
    let percent = rate * 100.0;
    if percent == 0.0 {
        return "0 %".to_owned();
    }
    // Its exponent is that after rounding.
    let scientific = format!("{percent:.2e}");
    let exponent =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    match exponent {
        Some(exponent @ -3..) => {
            let digits = usize::try_from(2 - exponent).unwrap_or(0);
            format!("{percent:.digits$} %")
        }
        Some(_) | None => format!("{scientific} %"),
    }
}

/// An interval of shares as `83–100 %`.
#[must_use]
pub fn interval_words(low: f64, high: f64) -> String {
    let low = share_words(low, 0);
    format!("{}–{}", low.trim_end_matches(" %"), share_words(high, 0))
}

/// Chips within the budget as `399/400 (99.75 %)`, with digits for one chip more or less; `1/1` for one chip.
#[must_use]
pub fn yield_words(passing: u32, chips: u32) -> String {
    if chips == 1 {
        return format!("{passing}/1");
    }
    let digits =
        if chips > 100 { (f64::from(chips).log10() - 1e-9).ceil() as usize - 1 } else { 0 };
    let share = f64::from(passing) / f64::from(chips);
    format!("{passing}/{chips} ({})", share_words(share, if passing == chips { 0 } else { digits }))
}

#[cfg(test)]
mod tests;
