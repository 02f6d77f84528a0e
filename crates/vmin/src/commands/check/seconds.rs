//! How long a sweep takes: from a few of its own trials, on its first chip and on few images.
//!
//! A trial costs the more the more bits are wrong, so one between two measured voltages costs at least what the
//! higher and at most what the lower one costs. These two are the ends of the range.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use vmin_emulator::{Emulator, Images, TrialSpec};
use vmin_kernels::GemmKernel;
use vmin_sweep::{Candidate, Plan};

/// Least time of a clean pass: so many images are taken.
const PASS: Duration = Duration::from_millis(30);
/// Voltages of a candidate at which a trial is measured: the highest, the lowest and others between.
const POINTS: usize = 4;
/// Time after which no further candidate is measured; it counts as those before.
const MEASURE_WITHIN: Duration = Duration::from_secs(3);

/// The time that a sweep takes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Seconds {
    /// Seconds of a whole sweep, at least.
    pub seconds_low: f64,
    /// Seconds of a whole sweep, at most.
    pub seconds_high: f64,
    /// What both were estimated from.
    pub seconds_basis: String,
    /// Seconds of predictions without bit errors, which neither end counts.
    #[serde(skip)]
    pub(crate) clean: f64,
}

/// Measures some trials of `plan`; nothing if that fails, is stopped, or there are none.
pub(crate) fn measure(
    plan: &Plan,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
) -> Option<Seconds> {
    let started = Instant::now();
    let (mut low, mut high, mut clean) = (0.0, 0.0, 0.0);
    let (mut counted, mut measured) = (0_usize, 0);
    let mut images = 0;
    for candidate in &plan.candidates {
        let of = Costs::measure(plan, candidate, kernel, stop)?;
        low += of.low;
        high += of.high;
        // Remedies of the experiment's own network predict the same.
        let predicts = candidate_predicts(plan, candidate);
        clean += if predicts { of.clean } else { 0.0 };
        counted += candidate.points.len();
        measured += of.measured;
        images = images.max(of.images);
        if started.elapsed() > MEASURE_WITHIN {
            break;
        }
    }
    // Trials that candidates share run once; points of candidates that were not measured cost as the others.
    let trials = f64::from(plan.trials());
    let runs = plan.records_total() as f64 / trials;
    let scale = trials * runs / counted as f64;
    Some(Seconds {
        seconds_low: low * scale,
        seconds_high: high * scale,
        seconds_basis: format!(
            "from {measured} trials on up to {images} images: kernel {}, {} threads",
            kernel.name(),
            rayon::current_num_threads()
        ),
        clean,
    })
}

/// Whether a candidate predicts all images without bit errors, because its network is not the experiment's own.
fn candidate_predicts(plan: &Plan, candidate: &Candidate) -> bool {
    std::ptr::eq(plan.own(), candidate) || !Arc::ptr_eq(&plan.own().graph, &candidate.graph)
}

/// Seconds of all points of a candidate on one chip.
struct Costs {
    low: f64,
    high: f64,
    /// Seconds of its predictions without bit errors.
    clean: f64,
    measured: usize,
    images: usize,
}

impl Costs {
    fn measure(
        plan: &Plan,
        candidate: &Candidate,
        kernel: &'static dyn GemmKernel,
        stop: &AtomicBool,
    ) -> Option<Self> {
        let (images, emulator, clean, pass) = few_images(plan, candidate, kernel, stop)?;
        let whole = plan.labels().len() as f64 / images as f64;
        let deployment = plan.deployment(candidate, kernel, stop).ok()?;
        let points = &candidate.points;
        let supplies: Vec<_> = points.iter().map(|point| &point.supplies).collect();
        let started = Instant::now();
        let chip = deployment
            .open(plan.source.as_ref(), plan.chip(0), &supplies, candidate.lowest())
            .ok()?;
        // Chips are opened in parallel.
        let threads = rayon::current_num_threads().min(plan.trials() as usize).max(1);
        let opened = started.elapsed().as_secs_f64() / threads as f64;
        let last = points.len().checked_sub(1)?;
        let chosen = (0..POINTS).map(|step| last * step / (POINTS - 1));
        let mut at: Vec<(usize, f64)> = Vec::new();
        for index in chosen {
            if at.last().is_some_and(|&(known, _)| known == index) {
                continue;
            }
            let trial = TrialSpec {
                supplies: &points[index].supplies,
                reads: plan.reads,
                first_image: plan.first_image,
            };
            // What a trial costs on any number of images.
            let started = Instant::now();
            chip.fitted(trial.supplies, trial.reads, stop).ok()?;
            let fixed = started.elapsed();
            let started = Instant::now();
            chip.run(trial, &emulator, &clean, stop).ok()?;
            let images = started.elapsed().saturating_sub(fixed);
            at.push((index, fixed.as_secs_f64() + images.as_secs_f64() * whole));
        }
        let (low, high) = between(&at);
        let clean = pass.as_secs_f64() * whole;
        Some(Self { low: low + opened, high: high + opened, clean, measured: at.len(), images })
    }
}

/// So many images that a clean pass takes a measurable time, its predictions, and that time.
fn few_images<'p>(
    plan: &'p Plan,
    candidate: &'p Candidate,
    kernel: &'static dyn GemmKernel,
    stop: &AtomicBool,
) -> Option<(usize, Emulator<'p>, Vec<usize>, Duration)> {
    let Images { pixels, labels } = plan.images();
    let pixels_each = pixels.len().checked_div(labels.len())?;
    let mut count = rayon::current_num_threads().min(labels.len());
    loop {
        let few = Images { pixels: &pixels[..count * pixels_each], labels: &labels[..count] };
        let emulator = Emulator::new(&candidate.graph, few, kernel).ok()?;
        let started = Instant::now();
        let clean = emulator.predict_clean(stop).ok()?;
        let pass = started.elapsed();
        if pass >= PASS || count == labels.len() {
            return Some((count, emulator, clean, pass));
        }
        count = (count * 2).min(labels.len());
    }
}

/// The least and the most that all points cost if those at these indices cost so much.
fn between(at: &[(usize, f64)]) -> (f64, f64) {
    let (mut low, mut high) = at.first().map_or((0.0, 0.0), |&(_, cost)| (cost, cost));
    for pair in at.windows(2) {
        let [(before, first), (index, second)] = [pair[0], pair[1]];
        let others = (index - before - 1) as f64;
        low += second + others * first.min(second);
        high += second + others * first.max(second);
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::between;

    #[test]
    fn points_between_two_measured_ones_cost_no_less_and_no_more() {
        assert_eq!(between(&[]), (0.0, 0.0));
        assert_eq!(between(&[(0, 2.0)]), (2.0, 2.0));
        // Points 0 to 4, of which 1 to 3 lie between 2 and 6 seconds.
        assert_eq!(between(&[(0, 2.0), (4, 6.0)]), (2.0 + 3.0 * 2.0 + 6.0, 2.0 + 3.0 * 6.0 + 6.0));
        assert_eq!(between(&[(0, 6.0), (2, 2.0), (3, 2.0)]), (12.0, 16.0));
    }
}
