//! Version 2 of the chip file: what was measured. Thresholds, scores and counts follow from it and are
//! not stored.

use super::read::Reader;
use super::write::{text, varint};
use super::{ChipFileError, ChipFileLimits, FLAG_MEASURED, MAGIC, VERSION};
use crate::chip::{Chip, Origin};
use crate::geometry::Geometry;
use crate::measured_maps::{ErrorRates, MeasuredMaps, Run};

/// The bytes of a measured chip, without the checksum.
pub(super) fn write(chip: &Chip, maps: &MeasuredMaps) -> Vec<u8> {
    let mut rates: Vec<[u32; 2]> = maps.runs().iter().map(|run| bits(run.rates)).collect();
    rates.sort_unstable();
    rates.dedup();
    let mut out = Vec::with_capacity(256 + 8 * rates.len() + 6 * maps.runs().len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&FLAG_MEASURED.to_le_bytes());
    let geometry = chip.geometry();
    for size in [geometry.banks(), geometry.rows(), geometry.columns()] {
        out.extend_from_slice(&size.to_le_bytes());
    }
    let source = match chip.origin() {
        Origin::Measured { source, .. } => source.as_str(),
        Origin::Sampled { .. } => "",
    };
    text(&mut out, source);
    text(&mut out, maps.licence());
    varint(&mut out, chip.levels().len() as u64);
    for level in chip.levels() {
        out.extend_from_slice(&level.vdd_uv.to_le_bytes());
    }
    varint(&mut out, rates.len() as u64);
    for pair in &rates {
        out.extend_from_slice(&pair[0].to_le_bytes());
        out.extend_from_slice(&pair[1].to_le_bytes());
    }
    varint(&mut out, maps.runs().len() as u64);
    // `next_level` is the first level that a further run of the same cell may begin at.
    let (mut address, mut next_level) = (0, 0);
    for run in maps.runs() {
        varint(&mut out, run.address - address);
        if run.address != address {
            (address, next_level) = (run.address, 0);
        }
        varint(&mut out, u64::from(run.first_level - next_level));
        varint(&mut out, u64::from(run.last_level - run.first_level));
        let index = rates.partition_point(|pair| *pair < bits(run.rates));
        varint(&mut out, index as u64);
        next_level = run.last_level.saturating_add(1);
    }
    out
}

/// The chip of the bytes behind the flags.
pub(super) fn read(
    reader: &mut Reader<'_>,
    limits: &ChipFileLimits,
) -> Result<Chip, ChipFileError> {
    let geometry = Geometry::new(reader.u32()?, reader.u32()?, reader.u32()?)?;
    let source = reader.text(limits)?.to_owned();
    let licence = reader.text(limits)?.to_owned();
    let levels = reader.count("voltage levels", limits.levels_max, 4)?;
    let mut vdd_uv = Vec::with_capacity(levels);
    for _ in 0..levels {
        vdd_uv.push(reader.u32()?);
    }
    let rates = rates(reader, limits)?;
    let runs = runs(reader, limits, &rates)?;
    let count = runs.len();
    let chip = Chip::measured(geometry, source, licence, &vdd_uv, runs)?;
    // Joined runs would make a second file of the same chip.
    match chip.maps().map(|maps| maps.runs().len()) {
        Some(kept) if kept == count => Ok(chip),
        _ => Err(ChipFileError::Order { index: count as u64 }),
    }
}

fn rates(
    reader: &mut Reader<'_>,
    limits: &ChipFileLimits,
) -> Result<Vec<ErrorRates>, ChipFileError> {
    let count = reader.count("different error rates", limits.faulty_cells_max, 8)?;
    let mut rates: Vec<ErrorRates> = Vec::with_capacity(count);
    for index in 0..count {
        let pair =
            ErrorRates { p01: f32::from_bits(reader.u32()?), p10: f32::from_bits(reader.u32()?) };
        if rates.last().is_some_and(|&last| bits(last) >= bits(pair)) {
            return Err(ChipFileError::Order { index: index as u64 });
        }
        rates.push(pair);
    }
    Ok(rates)
}

fn runs(
    reader: &mut Reader<'_>,
    limits: &ChipFileLimits,
    rates: &[ErrorRates],
) -> Result<Vec<Run>, ChipFileError> {
    let count = reader.count("stretches of faulty cells", limits.faulty_cells_max, 4)?;
    let mut runs: Vec<Run> = Vec::with_capacity(count);
    let mut used = vec![false; rates.len()];
    let (mut address, mut next_level) = (0_u64, 0_u64);
    for _ in 0..count {
        let number = ChipFileError::Number { offset: reader.offset };
        let level = |value: u64| u16::try_from(value).map_err(|_| number.clone());
        let step = reader.varint()?;
        if step > 0 {
            address = address.checked_add(step).ok_or(number.clone())?;
            next_level = 0;
        }
        let first = next_level.checked_add(reader.varint()?).ok_or(number.clone())?;
        let last = first.checked_add(reader.varint()?).ok_or(number.clone())?;
        let index = usize::try_from(reader.varint()?).map_err(|_| number.clone())?;
        let rates = *rates.get(index).ok_or(number.clone())?;
        used[index] = true;
        runs.push(Run { address, first_level: level(first)?, last_level: level(last)?, rates });
        next_level = last + 1;
    }
    match used.iter().position(|used| !used) {
        Some(index) => Err(ChipFileError::Order { index: index as u64 }),
        None => Ok(runs),
    }
}

fn bits(rates: ErrorRates) -> [u32; 2] {
    [rates.p01.to_bits(), rates.p10.to_bits()]
}
