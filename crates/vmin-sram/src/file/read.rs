//! Loading a chip file. Every value is checked before it is used.

use super::{
    ChipFileError, ChipFileLimits, FLAG_MEASURED, FLAG_STUCK_AT, MAGIC, VERSION,
    VERSION_WITHOUT_MAPS, maps,
};
use crate::apply::FaultKind;
use crate::chip::{Chip, FaultyCell, Origin, VddLevel};
use crate::geometry::Geometry;
use crate::key::ChipKey;
use crate::population::{Population, VarianceShares};
use crate::score::{Score, Threshold};

/// The chip of a file's bytes.
///
/// # Errors
/// The bytes are not a chip file of a known version, are damaged, contradict themselves, or exceed the
/// limits. The memory used is at most a small multiple of the file.
pub fn read(bytes: &[u8], limits: &ChipFileLimits) -> Result<Chip, ChipFileError> {
    let mut header = Reader { bytes, offset: 0 };
    if header.array::<8>().ok() != Some(MAGIC) {
        return Err(ChipFileError::Magic);
    }
    let version = u16::from_le_bytes(header.array()?);
    if ![VERSION_WITHOUT_MAPS, VERSION].contains(&version) {
        return Err(ChipFileError::Version { found: version });
    }
    let flags = u16::from_le_bytes(header.array()?);
    let sampled = version == VERSION_WITHOUT_MAPS && flags & !FLAG_STUCK_AT == 0;
    if !sampled && flags != FLAG_MEASURED {
        return Err(ChipFileError::Flags { found: flags });
    }
    let Some((contents, stored)) = bytes.split_last_chunk::<4>() else {
        return Err(ChipFileError::Truncated { offset: bytes.len() });
    };
    let (stored, computed) = (u32::from_le_bytes(*stored), crc32fast::hash(contents));
    if stored != computed {
        return Err(ChipFileError::Checksum { stored, computed });
    }

    let mut reader = Reader { bytes: contents, offset: header.offset };
    let chip = match version {
        VERSION => maps::read(&mut reader, limits)?,
        _ => without_maps(&mut reader, flags, limits)?,
    };
    match contents.len() - reader.offset {
        0 => Ok(chip),
        bytes => Err(ChipFileError::Trailing { bytes }),
    }
}

fn without_maps(
    reader: &mut Reader<'_>,
    flags: u16,
    limits: &ChipFileLimits,
) -> Result<Chip, ChipFileError> {
    let geometry = Geometry::new(reader.u32()?, reader.u32()?, reader.u32()?)?;
    let floor = Threshold(reader.i32()?);
    let origin = if flags & FLAG_MEASURED == 0 {
        let stuck = flags & FLAG_STUCK_AT != 0;
        sampled(reader, limits, if stuck { FaultKind::StuckAt } else { FaultKind::Flip })?
    } else {
        measured(reader, limits)?
    };
    let levels = levels(reader, limits)?;
    let cells = cells(reader, limits)?;
    Ok(Chip::from_cells(geometry, origin, floor, levels, cells)?)
}

fn sampled(
    reader: &mut Reader<'_>,
    limits: &ChipFileLimits,
    kind: FaultKind,
) -> Result<Origin, ChipFileError> {
    let name = reader.text(limits)?;
    let shares = VarianceShares::new(
        reader.f64()?,
        reader.f64()?,
        reader.f64()?,
        reader.f64()?,
        reader.f64()?,
    )?;
    let population = Population::new(name, shares, reader.f64()?)?.with_kind(kind);
    let key = ChipKey { seed: reader.u64()?, chip: reader.u64()?, memory: reader.u32()? };
    Ok(Origin::Sampled { population, key })
}

fn measured(reader: &mut Reader<'_>, limits: &ChipFileLimits) -> Result<Origin, ChipFileError> {
    Ok(Origin::Measured {
        source: reader.text(limits)?.to_owned(),
        nesting_violations: reader.u64()?,
    })
}

fn levels(
    reader: &mut Reader<'_>,
    limits: &ChipFileLimits,
) -> Result<Vec<VddLevel>, ChipFileError> {
    let count = reader.count("voltage levels", limits.levels_max, 8)?;
    let mut levels = Vec::with_capacity(count);
    for _ in 0..count {
        levels.push(VddLevel { vdd_uv: reader.u32()?, threshold: Threshold(reader.i32()?) });
    }
    Ok(levels)
}

fn cells(
    reader: &mut Reader<'_>,
    limits: &ChipFileLimits,
) -> Result<Vec<FaultyCell>, ChipFileError> {
    let count = reader.count("faulty cells", limits.faulty_cells_max, 2)?;
    let mut cells: Vec<FaultyCell> = Vec::with_capacity(count);
    let mut above = i32::MAX;
    for index in 0..count {
        let offset = reader.offset;
        let number = ChipFileError::Number { offset };
        let below = u32::try_from(reader.varint()?).map_err(|_| number.clone())?;
        let score = above.checked_sub_unsigned(below).ok_or(number)?;
        let word = reader.varint()?;
        let cell = FaultyCell { address: word >> 1, score: Score(score), preferred: word & 1 == 1 };
        let ordered = cells.last().is_none_or(|last| {
            last.score > cell.score || last.score == cell.score && last.address < cell.address
        });
        if !ordered {
            return Err(ChipFileError::Order { index: index as u64 });
        }
        cells.push(cell);
        above = score;
    }
    Ok(cells)
}

/// A position in the bytes; never moves past their end.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    pub(super) offset: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ChipFileError> {
        let rest = &self.bytes[self.offset..];
        let taken =
            rest.get(..length).ok_or(ChipFileError::Truncated { offset: self.bytes.len() })?;
        self.offset += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ChipFileError> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("as many bytes as asked for"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, ChipFileError> {
        self.array().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Result<i32, ChipFileError> {
        self.array().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ChipFileError> {
        self.array().map(u64::from_le_bytes)
    }

    fn f64(&mut self) -> Result<f64, ChipFileError> {
        self.array().map(f64::from_le_bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u64, ChipFileError> {
        let offset = self.offset;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let part = u64::from(byte & 0x7f);
            // The tenth byte has one bit left; a last byte of zero is a longer form than needed.
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                return Err(ChipFileError::Number { offset });
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ChipFileError::Number { offset })
    }

    /// A count of things of at least `bytes_each` bytes, all of which must still follow.
    pub(super) fn count(
        &mut self,
        what: &'static str,
        max: u64,
        bytes_each: usize,
    ) -> Result<usize, ChipFileError> {
        let value = self.varint()?;
        if value > max {
            return Err(ChipFileError::Limit { what, value, max });
        }
        let room = (self.bytes.len() - self.offset) / bytes_each;
        match usize::try_from(value) {
            Ok(count) if count <= room => Ok(count),
            _ => Err(ChipFileError::Truncated { offset: self.bytes.len() }),
        }
    }

    pub(super) fn text(&mut self, limits: &ChipFileLimits) -> Result<&'a str, ChipFileError> {
        let length = self.count("bytes of text", limits.text_bytes_max, 1)?;
        let offset = self.offset;
        core::str::from_utf8(self.take(length)?).map_err(|_| ChipFileError::Text { offset })
    }
}
