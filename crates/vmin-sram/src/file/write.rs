//! Writing a chip file.

use super::{FLAG_MEASURED, FLAG_STUCK_AT, MAGIC, VERSION_WITHOUT_MAPS, maps};
use crate::apply::FaultKind;
use crate::chip::{Chip, Origin};

/// The bytes of a chip's file.
#[must_use]
pub fn write(chip: &Chip) -> Vec<u8> {
    let mut out = match chip.maps() {
        Some(measured) => maps::write(chip, measured),
        None => without_maps(chip),
    };
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn without_maps(chip: &Chip) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + 6 * chip.cells().len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION_WITHOUT_MAPS.to_le_bytes());
    let flags = match chip.origin() {
        Origin::Measured { .. } => FLAG_MEASURED,
        Origin::Sampled { population, .. } => match population.kind() {
            FaultKind::Flip => 0,
            FaultKind::StuckAt => FLAG_STUCK_AT,
        },
    };
    out.extend_from_slice(&flags.to_le_bytes());
    let geometry = chip.geometry();
    for size in [geometry.banks(), geometry.rows(), geometry.columns()] {
        out.extend_from_slice(&size.to_le_bytes());
    }
    out.extend_from_slice(&chip.floor().0.to_le_bytes());
    origin(&mut out, chip.origin());
    varint(&mut out, chip.levels().len() as u64);
    for level in chip.levels() {
        out.extend_from_slice(&level.vdd_uv.to_le_bytes());
        out.extend_from_slice(&level.threshold.0.to_le_bytes());
    }
    varint(&mut out, chip.cells().len() as u64);
    let mut above = i32::MAX;
    for cell in chip.cells() {
        varint(&mut out, u64::from(above.abs_diff(cell.score.0)));
        varint(&mut out, cell.address << 1 | u64::from(cell.preferred));
        above = cell.score.0;
    }
    out
}

fn origin(out: &mut Vec<u8>, origin: &Origin) {
    match origin {
        Origin::Sampled { population, key } => {
            text(out, population.name());
            let shares = population.shares();
            for share in [
                shares.die(),
                shares.bank(),
                shares.column(),
                shares.half_column(),
                shares.cell(),
                population.share_stuck_at_0(),
            ] {
                out.extend_from_slice(&share.to_le_bytes());
            }
            out.extend_from_slice(&key.seed.to_le_bytes());
            out.extend_from_slice(&key.chip.to_le_bytes());
            out.extend_from_slice(&key.memory.to_le_bytes());
        }
        Origin::Measured { source, nesting_violations } => {
            text(out, source);
            out.extend_from_slice(&nesting_violations.to_le_bytes());
        }
    }
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
