//! The mechanisms, one file each, and the list of them.

mod bank_rail;
mod boost;
mod closest_code;
mod compensate;
mod detecting_read;
mod invert_rows;
mod layer_rail;
mod narrow_sums;
mod parity;
mod permute_channels;
mod recalibrate;
mod rotate_bits;
mod safe_bits;
mod secded;
mod spares;
mod strongest_rows;
mod sum_guard;

pub use bank_rail::BankRail;
pub use boost::Boost;
pub use closest_code::ClosestCode;
pub use compensate::{Compensate, SIDE_MAX};
pub use detecting_read::{DetectingRead, DetectingReads, Masking};
pub use invert_rows::InvertRows;
pub use layer_rail::LayerRail;
pub use narrow_sums::NarrowSums;
pub use parity::{Parity, ParityCode};
pub use permute_channels::PermuteChannels;
pub use recalibrate::Recalibrate;
pub use rotate_bits::RotateBits;
pub use safe_bits::SafeBits;
pub use secded::{Secded, SecdedCode, SecdedError};
pub use spares::{Repair, SpareFaults, SpareLines, Spares, repaired_faults};
pub use strongest_rows::StrongestRows;
pub use sum_guard::SumGuard;

use crate::mechanism::Reader;

/// The words of all mechanisms, from the cells outwards.
#[must_use]
pub fn words() -> String {
    ALL.map(|(kind, _)| format!("`{kind}`")).join(", ")
}

/// Place of a mechanism among all, from the cells outwards.
pub(crate) fn rank(kind: &str) -> usize {
    ALL.iter().position(|(of, _)| *of == kind).unwrap_or(ALL.len())
}

/// Mechanisms that cannot be together in one memory, in the order of [`ALL`], with the reason.
pub(crate) const APART: [(&str, &str, &str); 4] = [
    ("layer_rail", "strongest_rows", "a row that moves leaves the rail of its layer"),
    ("safe_bits", "rotate_bits", "a rotated code leaves its safe cells"),
    ("parity", "narrow_sums", "words with check bits hold every bit of a sum"),
    ("secded", "narrow_sums", "words with check bits hold every bit of a sum"),
];

/// Why a memory cannot have a mechanism of partial sums.
fn only_sums(memory: vmin_accel::Memory) -> Option<&'static str> {
    match memory {
        vmin_accel::Memory::Accumulator => None,
        vmin_accel::Memory::Weight | vmin_accel::Memory::Activation => {
            Some("it holds no partial sums; name `memory = \"accumulator\"`")
        }
    }
}

/// `images` of a mechanism that calibrates; 128 if absent.
fn calibration_images(entry: &vmin_diagnostic::TableReader<'_>) -> Option<u32> {
    if !entry.has("images") {
        return Some(128);
    }
    entry.optional_integer("images", 1..=100_000).and_then(|of| u32::try_from(of.value).ok())
}

/// Why a memory cannot have a mechanism that must know codes before they are written.
fn values_unknown(memory: vmin_accel::Memory) -> Option<&'static str> {
    match memory {
        vmin_accel::Memory::Weight => None,
        vmin_accel::Memory::Activation | vmin_accel::Memory::Accumulator => {
            Some("the damage of its values is not known before they are written")
        }
    }
}

/// Settings in examples of mechanisms that need some.
const SETTINGS: [(&str, &str); 9] = [
    ("boost", ", raise_mv = 20"),
    ("safe_bits", ", bits = 2, raise_mv = 50"),
    ("layer_rail", ", layers = [1], raise_mv = 50"),
    ("bank_rail", ", share = 0.5, raise_mv = 50"),
    ("spares", ", rows = 2, columns = 1, repair_vdd_mv = 900"),
    ("secded", ", data_bits = 64"),
    ("detecting_read", ", mask = \"bits\""),
    ("narrow_sums", ", memory = \"accumulator\""),
    ("sum_guard", ", memory = \"accumulator\""),
];

/// The table of a mechanism that may be misspelt; of any where it is like none.
#[must_use]
pub fn example(word: &str) -> String {
    let kind = vmin_diagnostic::closest(word, ALL.map(|(kind, _)| kind)).unwrap_or("closest_code");
    let settings = SETTINGS.iter().find(|(of, _)| *of == kind).map_or("", |(_, settings)| settings);
    format!("{{ kind = \"{kind}\"{settings} }}")
}

/// Every mechanism with its word in files.
pub const ALL: [(&str, Reader); 17] = [
    ("boost", boost::read),
    ("safe_bits", safe_bits::read),
    ("layer_rail", layer_rail::read),
    ("bank_rail", bank_rail::read),
    ("spares", spares::read),
    ("strongest_rows", strongest_rows::read),
    ("permute_channels", permute_channels::read),
    ("rotate_bits", rotate_bits::read),
    ("invert_rows", invert_rows::read),
    ("closest_code", closest_code::read),
    ("compensate", compensate::read),
    ("parity", parity::read),
    ("secded", secded::read),
    ("detecting_read", detecting_read::read),
    ("narrow_sums", narrow_sums::read),
    ("sum_guard", sum_guard::read),
    ("recalibrate", recalibrate::read),
];
