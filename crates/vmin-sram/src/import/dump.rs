//! Dumps: a pattern was written to every word, the voltage lowered, and every word read back.
//!
//! Hex dumps are digits, most significant first in a word, with or without white space; binary ones are
//! bytes. A bit that differs from the pattern is a fault: a written 1 read as 0, or a written 0 read as 1.
//!
//! ```text
//! word w of a bank, bit b, words per row (mux) m:   row w / m,  column b * m + w % m
//! ```

use std::io::{BufRead, Read};

use super::source::{open, problem};
use super::{FoldDuplicates, Format, ImportProblem, Importer, MapId, Shape};
use crate::geometry::Geometry;
use crate::measured_maps::ErrorRates;

/// Findings over all dumps.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Words with a fault.
    faulty_words: u64,
    /// Of them those whose halves are alike.
    repeated_words: u64,
    /// Words, faulty or not, whose pattern itself does not repeat.
    uneven_pattern: bool,
    /// Whether the halves were folded.
    pub(super) folded: bool,
}

pub(super) const FORMAT: Format = Format {
    name: "dump",
    about: "Memory contents after a known pattern was written",
    options: &[
        "--vdd-mv",
        "--written",
        "--word-bits",
        "--words-per-bank",
        "--column-mux",
        "--byte-order",
        "--dump-encoding",
        "--fold-duplicates",
    ],
    recognizes: |head| {
        let hex = |byte: &u8| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace();
        head.bytes.iter().all(hex)
    },
    add: Importer::add_dump,
    finish: Importer::finish_dump,
};

/// How the words lie in a dump.
#[derive(Clone, Copy)]
struct Words {
    bits: u32,
    binary: bool,
    big_endian: bool,
}

impl Importer {
    fn add_dump(&mut self, index: usize, name: &str, bytes: &[u8]) -> Result<(), ImportProblem> {
        let vdd_uv = self.voltage(index, name)?;
        let words = self.words(bytes)?;
        let written = self.written(index, bytes, words)?;
        self.claim_pattern(name, vdd_uv, written, words.bits)?;
        let level = self.collector.level(vdd_uv)?;
        let limits = self.limits;
        let half = words.bits / 2;
        let low = mask(half);
        let mut count = 0_u64;
        let mut faults = 0_u64;
        for_each_word(&mut open(bytes, &limits), words, |word| {
            let wrong = word ^ written;
            let base = count * u64::from(words.bits);
            count += 1;
            if wrong == 0 {
                return Ok(());
            }
            faults += u64::from(wrong.count_ones());
            self.dump.faulty_words += 1;
            self.dump.repeated_words += u64::from(wrong >> half == wrong & low);
            let mut left = wrong;
            while left != 0 {
                let bit = left.trailing_zeros();
                left &= left - 1;
                let stored_one = written >> bit & 1 == 1;
                let rates = if stored_one {
                    ErrorRates::stuck_at_0(1.0)
                } else {
                    ErrorRates::stuck_at_1(1.0)
                };
                self.collector.push(level, base + u64::from(bit), rates)?;
            }
            Ok(())
        })?;
        if count == 0 {
            return Err(ImportProblem::Empty);
        }
        self.dump.uneven_pattern |= written >> half != written & low;
        self.files[index].faults = faults;
        self.same_shape(name, Shape::Words(count))
    }

    fn words(&self, bytes: &[u8]) -> Result<Words, ImportProblem> {
        let bits = self.options.word_bits;
        let binary = match self.options.binary {
            Some(binary) => binary,
            None => {
                let mut head = Vec::new();
                let stream = open(bytes, &self.limits);
                stream.take(4096).read_to_end(&mut head).map_err(problem)?;
                !head.iter().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace())
            }
        };
        let (unit, expected) = match binary {
            true => (8, "a multiple of 8 up to 64 in a binary dump"),
            false => (4, "a multiple of 4 up to 64 in a dump of hex digits"),
        };
        if bits == 0 || bits > 64 || !bits.is_multiple_of(unit) {
            let found = u64::from(bits);
            return Err(ImportProblem::Option { what: "bits of a word", found, expected });
        }
        if !(binary && bits > 8) {
            self.no_effect("--byte-order", "the words of the dump have no order of bytes")?;
        }
        let big_endian = match (self.options.big_endian, binary && bits > 8) {
            (Some(big_endian), _) => big_endian,
            (None, false) => false,
            (None, true) => return Err(ImportProblem::ByteOrder { word_bits: bits }),
        };
        Ok(Words { bits, binary, big_endian })
    }

    /// The pattern of a file: as given, or the word of nine tenths of the dump.
    fn written(&mut self, index: usize, bytes: &[u8], words: Words) -> Result<u64, ImportProblem> {
        let given = match self.options.written[..] {
            [] => None,
            [one] => Some(one),
            ref many => Some(*many.get(index).ok_or(ImportProblem::Count {
                what: "written patterns",
                given: many.len(),
                files: index + 1,
            })?),
        };
        if let Some(pattern) = given {
            if pattern > mask(words.bits) {
                let expected = "a pattern of one word";
                return Err(ImportProblem::Option { what: "a pattern", found: pattern, expected });
            }
            return Ok(pattern);
        }
        // The majority vote of Boyer and Moore, then a count.
        let limits = self.limits;
        let (mut candidate, mut lead) = (0, 0_u64);
        for_each_word(&mut open(bytes, &limits), words, |word| {
            match (lead, word == candidate) {
                (0, _) => (candidate, lead) = (word, 1),
                (_, true) => lead += 1,
                (_, false) => lead -= 1,
            }
            Ok(())
        })?;
        let (mut all, mut same) = (0_u64, 0_u64);
        for_each_word(&mut open(bytes, &limits), words, |word| {
            all += 1;
            same += u64::from(word == candidate);
            Ok(())
        })?;
        if all == 0 {
            return Err(ImportProblem::Empty);
        }
        if same < all - all / 10 {
            return Err(ImportProblem::Pattern);
        }
        let digits = words.bits.div_ceil(4) as usize;
        let note = format!("most words are 0x{candidate:0digits$X}: taken for the written pattern");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
        Ok(candidate)
    }

    /// Two dumps of a voltage may not test the same bit with the same value.
    fn claim_pattern(
        &mut self,
        name: &str,
        vdd_uv: u32,
        written: u64,
        bits: u32,
    ) -> Result<(), ImportProblem> {
        let same =
            |map: &MapId| matches!(map, MapId::Written(other) if (other ^ written) != mask(bits));
        let earlier = self.maps.iter().find(|((vdd, map), _)| *vdd == vdd_uv && same(map));
        if let Some((_, file)) = earlier {
            return Err(ImportProblem::Repeated {
                vdd_mv: f64::from(vdd_uv) / 1000.0,
                map: "the same written bits",
                file: file.clone(),
            });
        }
        self.claim(name, vdd_uv, MapId::Written(written))
    }

    /// Folds repeated halves and gives every bit its place.
    fn finish_dump(&mut self) -> Result<Geometry, ImportProblem> {
        let Some((Shape::Words(words), _)) = self.shape else { return Err(ImportProblem::NoFiles) };
        let bits = self.options.word_bits;
        let Found { faulty_words, repeated_words, uneven_pattern, .. } = self.dump;
        let repeats = faulty_words > 0 && repeated_words == faulty_words && !uneven_pattern;
        let even = bits.is_multiple_of(2);
        let fold = match self.options.fold_duplicates {
            FoldDuplicates::Never => false,
            FoldDuplicates::Auto => even && repeats,
            FoldDuplicates::Always if !even || repeated_words < faulty_words => {
                return Err(ImportProblem::NotRepeated { words: faulty_words - repeated_words });
            }
            FoldDuplicates::Always => true,
        };
        if fold {
            self.notes.push(format!(
                "in all {faulty_words} words with a fault bits {}..{} repeat bits {}..0: they are one \
                 cell read twice, and counted once (`--fold-duplicates never` counts both)",
                bits - 1,
                bits / 2,
                bits / 2 - 1
            ));
        } else if repeats {
            self.notes.push(format!(
                "all {faulty_words} words with a fault repeat their lower half: each fault counts twice"
            ));
        }
        self.dump.folded = fold;
        let cell_bits = if fold { bits / 2 } else { bits };
        let mux = self.options.column_mux;
        let per_bank = u64::from(
            self.options.words_per_bank.ok_or(ImportProblem::NoBanks { words, word_bits: bits })?,
        );
        if mux == 0 || per_bank == 0 || words % per_bank != 0 {
            return Err(ImportProblem::Divide { what: "words", count: words, by: per_bank });
        }
        if per_bank % u64::from(mux) != 0 {
            let by = u64::from(mux);
            return Err(ImportProblem::Divide { what: "words of a bank", count: per_bank, by });
        }
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let columns = u64::from(cell_bits) * u64::from(mux);
        let rows = per_bank / u64::from(mux);
        let geometry = Geometry::new(small(words / per_bank), small(rows), small(columns))?;
        let (bits, cell_bits, mux) = (u64::from(bits), u64::from(cell_bits), u64::from(mux));
        self.collector.place(|address| {
            let (word, bit) = (address / bits, address % bits);
            if bit >= cell_bits {
                return Ok::<_, ImportProblem>(None);
            }
            let (bank, word) = (word / per_bank, word % per_bank);
            let (row, column) = (word / mux, bit * mux + word % mux);
            Ok(Some((bank * rows + row) * columns + column))
        })?;
        Ok(geometry)
    }
}

/// Hands every word to `take`.
fn for_each_word(
    reader: &mut dyn BufRead,
    words: Words,
    mut take: impl FnMut(u64) -> Result<(), ImportProblem>,
) -> Result<(), ImportProblem> {
    let Words { bits, binary, big_endian } = words;
    let mut word = 0_u64;
    let mut filled = 0;
    let mut line = 1_u64;
    loop {
        let buffer = reader.fill_buf().map_err(problem)?;
        if buffer.is_empty() {
            break;
        }
        for &byte in buffer {
            if binary {
                let byte = u64::from(byte);
                word = if big_endian { word << 8 | byte } else { word | byte << filled };
                filled += 8;
            } else if let Some(digit) = char::from(byte).to_digit(16) {
                word = word << 4 | u64::from(digit);
                filled += 4;
            } else {
                line += u64::from(byte == b'\n');
                if !byte.is_ascii_whitespace() {
                    let found = format!("`{}`", byte.escape_ascii());
                    return Err(ImportProblem::Text { line, found, expected: "a hex digit" });
                }
                continue;
            }
            if filled == bits {
                take(word)?;
                (word, filled) = (0, 0);
            }
        }
        let used = buffer.len();
        reader.consume(used);
    }
    if filled == 0 { Ok(()) } else { Err(ImportProblem::PartialWord { word_bits: bits }) }
}

/// The lowest `bits` bits.
fn mask(bits: u32) -> u64 {
    if bits >= 64 { u64::MAX } else { (1 << bits) - 1 }
}
