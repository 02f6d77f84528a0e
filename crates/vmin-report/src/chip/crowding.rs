//! Histograms of faults per column and per bank.

use vmin_sram::{FaultyCell, Geometry};

use super::paired_bars::{Group, chart};

/// Classes of a number of faults: 0, 1, 2, 3, 4, then doubling.
const CLASSES_MAX: usize = 16;

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
    let mut classes: Vec<(u64, u64)> = (0..=4).map(|n| (n, n)).collect();
    while classes.last().is_some_and(|last| last.1 < most) && classes.len() < CLASSES_MAX {
        let first = classes.last().map_or(0, |last| last.1) + 1;
        classes.push((first, (first - 1) * 2));
    }
    if let Some(last) = classes.last_mut() {
        last.1 = last.1.max(most);
    }
    let groups: Vec<Group> = classes
        .iter()
        .map(|&(first, last)| {
            let hit = counts.iter().filter(|count| (first..=last).contains(count)).count() as u64;
            let measured = if first == 0 { total - counts.len() as u64 } else { hit };
            let chance = total as f64 * poisson(mean, first, last);
            let name = if first == last { first.to_string() } else { format!("{first}–{last}") };
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
