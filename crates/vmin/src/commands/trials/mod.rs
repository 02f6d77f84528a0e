//! `vmin trials`: what a store of trials holds, and its compaction.

pub mod gc;
pub mod list;
pub mod show;
mod store;

use vmin_sweep::SupplyId;
use vmin_sweep::store::Store;

use vmin_accel::PerMemory;

pub(crate) use store::{opened, reused, shared_failure, to_write};

/// Digits of a digest that tables show.
const DIGITS: usize = 8;

fn short(digest: &str) -> String {
    digest.chars().take(DIGITS).collect()
}

/// The supplies of a trial, such as `weight 850 mV`, or `all 850 mV` of three memories at one voltage.
fn supply_words(supplies: &PerMemory<Option<SupplyId>>) -> String {
    let at: Vec<(&str, f64)> =
        supplies.present().map(|(memory, at)| (memory.word(), at.vdd_mv)).collect();
    match at[..] {
        [] => "nominal".to_owned(),
        [(_, first), (_, second), (_, third)] if first == second && second == third => {
            format!("all {first} mV")
        }
        _ => {
            let words = at.iter().map(|(word, vdd_mv)| format!("{word} {vdd_mv} mV"));
            words.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The number of images, with which their name ends: `set:first+count`.
fn images_of(name: &str) -> Option<u64> {
    name.rsplit_once('+')?.1.parse().ok().filter(|&images| images > 0)
}

/// Wrong predictions over predictions; none if the number of images is not known.
fn error(images: &str, correct: u64, trials: u64) -> Option<f64> {
    let all = images_of(images)?.checked_mul(trials)?;
    Some(all.checked_sub(correct)? as f64 / all as f64)
}

fn percent(error: Option<f64>) -> String {
    error.map_or_else(|| "-".to_owned(), |error| format!("{:.2}", error * 100.0))
}

/// A word about a digest, or a dash.
fn word(store: &Store, of: vmin_sweep::store::AboutWhat, id: &str, key: &str) -> String {
    store.about(of, id).and_then(|words| words.get(key).cloned()).unwrap_or_else(|| "-".to_owned())
}

fn kib(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1024.0)
}
