//! Histograms of faults per column and per bank.

use vmin_sram::{FaultyCell, Geometry};

use super::paired_bars::{Group, chart};
use crate::axis::round_step;

/// Most classes that double.
const CLASSES_MAX: usize = 14;
/// From this mean on, classes have one width.
const MEAN_HIGH: f64 = 20.0;

/// Columns by their number of faults, beside those of as many independent faults.
#[must_use]
pub fn columns(title: &str, geometry: Geometry, faults: &[FaultyCell]) -> String {
    let places = faults.iter().filter_map(|fault| geometry.position(fault.address));
    let keys = places.map(|place| (place.bank, place.column)).collect();
    let groups = u64::from(geometry.banks()) * u64::from(geometry.columns());
    crowding(title, "columns", keys, groups)
}

/// Banks by their number of faults, beside those of as many independent faults.
#[must_use]
pub fn banks(title: &str, geometry: Geometry, faults: &[FaultyCell]) -> String {
    let places = faults.iter().filter_map(|fault| geometry.position(fault.address));
    let keys = places.map(|place| (place.bank, 0)).collect();
    crowding(title, "banks", keys, u64::from(geometry.banks()))
}

fn crowding(title: &str, of: &str, mut keys: Vec<(u32, u32)>, total: u64) -> String {
    keys.sort_unstable();
    let counts: Vec<u64> = keys.chunk_by(|a, b| a == b).map(|same| same.len() as u64).collect();
    let most = counts.iter().copied().max().unwrap_or(0);
    let mean = keys.len() as f64 / total as f64;
    let least = if counts.len() as u64 == total { counts.iter().copied().min() } else { None };
    let classes = classes(mean, least.unwrap_or(0), most);
    let groups: Vec<Group> = classes
        .iter()
        .map(|&(first, last)| {
            let hit = counts.iter().filter(|count| (first..=last).contains(count)).count() as u64;
            let measured = if first == 0 { total - counts.len() as u64 } else { hit };
            let chance = total as f64 * poisson(mean, first, last);
            let name = match last {
                u64::MAX => format!("≥ {first}"),
                _ if first == last => first.to_string(),
                _ => format!("{first}–{last}"),
            };
            Group { name, measured: measured as f64, chance }
        })
        .collect();
    let below = format!(
        "{} faults in {} of {total} {of}; most in one: {most}; mean {mean:.3}",
        keys.len(),
        counts.len()
    );
    chart(
        &format!("{title}: faults per {}", of.trim_end_matches('s')),
        &below,
        &format!("faults in one of the {of}"),
        &format!("number of {of}"),
        &groups,
    )
}

/// Classes that hold all numbers of faults from `least` to `most` and those that chance makes likely: 0, 1, 2,
/// 3, 4, then doubling; of one width where the mean is high.
fn classes(mean: f64, least: u64, most: u64) -> Vec<(u64, u64)> {
    if mean < MEAN_HIGH {
        let mut classes: Vec<(u64, u64)> = (0..=4).map(|n| (n, n)).collect();
        while classes.last().is_some_and(|last| last.1 < most) {
            let first = classes.last().map_or(0, |last| last.1) + 1;
            let last = if classes.len() + 1 == CLASSES_MAX { u64::MAX } else { (first - 1) * 2 };
            classes.push((first, last));
        }
        return classes;
    }
    let spread = 4.0 * mean.sqrt();
    let (low, high) = ((least as f64).min(mean - spread), (most as f64).max(mean + spread));
    let width = round_step((high - low) / 12.0).max(1.0) as u64;
    let (first, last) = (low.max(0.0) as u64 / width, high as u64 / width);
    (first..=last).map(|class| (class * width, class * width + width - 1)).collect()
}

/// `P(first <= N <= last)` of a Poisson count, term by term.
fn poisson(mean: f64, first: u64, last: u64) -> f64 {
    if mean == 0.0 {
        return if first == 0 { 1.0 } else { 0.0 };
    }
    // Terms beyond some hundreds of standard deviations are negligible.
    let last = last.min((mean + 60.0 * mean.sqrt() + 200.0) as u64);
    let mut log_term = -mean;
    let mut sum = 0.0;
    for count in 0..=last {
        if count > 0 {
            log_term += (mean / count as f64).ln();
        }
        if count >= first {
            sum += log_term.exp();
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_join_hold_all_and_are_few() {
        for (mean, least, most) in [
            (0.0, 0, 0),
            (0.4, 0, 3),
            (9.2, 0, 18),
            (3.0, 0, 1_000_000),
            (1181.0, 1142, 1220),
            (1181.0, 0, 50_000),
            (25.0, 10, 4_000_000_000),
        ] {
            let classes = classes(mean, least, most);
            assert!(classes.len() <= 16, "{classes:?}");
            assert!(classes.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{classes:?}");
            let (first, last) = (classes[0].0, classes[classes.len() - 1].1);
            assert!(first <= least && most <= last, "{mean} {least} {most}: {classes:?}");
            let chance: f64 = classes.iter().map(|&(a, b)| poisson(mean, a, b)).sum();
            assert!(chance > 0.999, "{mean}: {chance}");
        }
    }
}
