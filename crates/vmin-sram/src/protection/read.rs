//! Reading back what lies in faulty cells, through a code over words or detecting reads.
//!
//! ```text
//! codes --encode--> words: k data bits, r check bits
//!                      |  the faulty cells of both (two fault maps)
//!                      v
//! codes <--decode-- words as read
//! ```
//!
//! Words without a faulty cell read as written and are not touched, so the work is that of the faults.

use crate::apply::FaultKind;
use crate::chip::FaultyCell;

use super::detecting::DetectingReads;
use super::stored::{CodeBit, StoredTensor, Stores};
use super::word::{OnDetected, Verdict, WordCode};

/// Which bits make a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Words {
    /// As many neighbouring cells as the code has data bits, counted from address 0. Unused cells
    /// hold 0.
    Cells,
    /// Each code of a tensor, tensors in order; all codes have as many bits as the word has data bits.
    Codes,
}

/// What stands between cells and codes.
#[derive(Clone, Copy, Debug)]
pub enum WordScheme<'a> {
    /// Nothing.
    Plain,
    /// Detecting reads.
    Detecting(DetectingReads),
    /// A code over words.
    Code {
        /// The code.
        code: &'a dyn WordCode,
        /// Which bits make a word.
        words: Words,
        /// What happens to words that cannot be corrected.
        on_detected: OnDetected,
    },
}

/// What reading did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// Faulty cells that hold a bit of a code.
    pub cells_hit: u64,
    /// Faulty cells that hold check bits of words with codes.
    pub check_cells_hit: u64,
    /// Bits of codes that read wrong before protection.
    pub bits_flipped_raw: u64,
    /// Bits of codes that are wrong as used.
    pub bits_flipped: u64,
    /// Words in which the decoder inverted a bit.
    pub words_corrected: u64,
    /// Of these, words whose data is nevertheless not what was written.
    pub words_miscorrected: u64,
    /// Words (or, with detecting reads, codes) in which errors were seen that cannot be corrected.
    pub words_detected: u64,
    /// Words that are wrong and counted as clean.
    pub words_undetected: u64,
}

impl core::ops::AddAssign for ReadBack {
    fn add_assign(&mut self, other: Self) {
        self.cells_hit += other.cells_hit;
        self.check_cells_hit += other.check_cells_hit;
        self.bits_flipped_raw += other.bits_flipped_raw;
        self.bits_flipped += other.bits_flipped;
        self.words_corrected += other.words_corrected;
        self.words_miscorrected += other.words_miscorrected;
        self.words_detected += other.words_detected;
        self.words_undetected += other.words_undetected;
    }
}

/// Why codes cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A tensor has no codes of 1 to 8 bits.
    #[error("tensor {tensor} has codes of {bits} bits, not of 1 to 8")]
    CodeBits {
        /// Which tensor.
        tensor: usize,
        /// Its bits per code.
        bits: u8,
    },
    /// Words are codes, and a tensor's codes are of another width.
    #[error(
        "words of {data_bits} bits are to be codes, but tensor {tensor} has codes of {bits} bits"
    )]
    WordIsNoCode {
        /// Data bits of a word.
        data_bits: u32,
        /// Which tensor.
        tensor: usize,
        /// Its bits per code.
        bits: u8,
    },
    /// A cell is said to hold a bit that no tensor has.
    #[error("a cell holds bit {} of code {} of tensor {}, which does not exist", .held.bit, .held.code, .held.tensor)]
    Held {
        /// What it is said to hold.
        held: CodeBit,
    },
}

/// Corrupts `tensors` as a memory with these faulty cells gives them back under `scheme`.
///
/// `faults` is the map of the cells that hold codes (`stores` says which), `check_faults` that of the
/// cells that hold check bits: cell `w * check_bits + i` holds check bit `i` of word `w`.
///
/// # Errors
/// Tensors, scheme and `stores` contradict each other. Codes may then have changed.
pub fn read_back(
    scheme: WordScheme<'_>,
    stores: &dyn Stores,
    faults: &[FaultyCell],
    check_faults: &[FaultyCell],
    kind: FaultKind,
    tensors: &mut [StoredTensor<'_>],
) -> Result<ReadBack, ReadError> {
    for (index, tensor) in tensors.iter().enumerate() {
        let bits = tensor.bits;
        if !(1..=8).contains(&bits) {
            return Err(ReadError::CodeBits { tensor: index, bits });
        }
        if let WordScheme::Code { code, words: Words::Codes, .. } = scheme
            && code.data_bits() != u32::from(bits)
        {
            let data_bits = code.data_bits();
            return Err(ReadError::WordIsNoCode { data_bits, tensor: index, bits });
        }
    }
    let mut hits = Vec::with_capacity(faults.len());
    for fault in faults {
        let Some(held) = stores.held(fault.address) else { continue };
        let tensor = tensors.get(held.tensor);
        if !tensor.is_some_and(|t| held.code < t.codes.len() && held.bit < t.bits) {
            return Err(ReadError::Held { held });
        }
        hits.push(Hit { held, preferred: fault.preferred });
    }
    let mut done = ReadBack { cells_hit: hits.len() as u64, ..ReadBack::default() };
    match scheme {
        WordScheme::Plain => {
            for hit in hits {
                let tensor = &mut tensors[hit.held.tensor];
                let flip = hit.flips(tensor.codes[hit.held.code], kind);
                tensor.codes[hit.held.code] ^= flip;
                done.bits_flipped_raw += u64::from(flip != 0);
            }
            done.bits_flipped = done.bits_flipped_raw;
        }
        WordScheme::Detecting(reads) => detecting(reads, &mut hits, kind, tensors, &mut done),
        WordScheme::Code { code, words, on_detected } => {
            let layout = Layout { code, words, stores, firsts: firsts(tensors) };
            layout.read((faults, &hits), check_faults, kind, on_detected, tensors, &mut done)?;
        }
    }
    Ok(done)
}

/// A faulty cell that holds a bit of a code.
struct Hit {
    held: CodeBit,
    preferred: bool,
}

impl Hit {
    /// The bit it inverts, as a mask on the code.
    fn flips(&self, code: u8, kind: FaultKind) -> u8 {
        u8::from(reads_wrong(code >> self.held.bit & 1 == 1, self.preferred, kind)) << self.held.bit
    }
}

fn reads_wrong(stored: bool, preferred: bool, kind: FaultKind) -> bool {
    match kind {
        FaultKind::Flip => true,
        FaultKind::StuckAt => stored != preferred,
    }
}

fn detecting(
    reads: DetectingReads,
    hits: &mut [Hit],
    kind: FaultKind,
    tensors: &mut [StoredTensor<'_>],
    done: &mut ReadBack,
) {
    hits.sort_unstable_by_key(|hit| hit.held);
    for of_code in
        hits.chunk_by(|a, b| (a.held.tensor, a.held.code) == (b.held.tensor, b.held.code))
    {
        let CodeBit { tensor, code: place, .. } = of_code[0].held;
        let tensor = &mut tensors[tensor];
        let written = tensor.codes[place];
        let wrong = of_code.iter().fold(0, |wrong, hit| wrong | hit.flips(written, kind));
        if wrong == 0 {
            continue;
        }
        let zero = tensor.zero(place);
        let used = reads.used(written ^ wrong, wrong, tensor.bits, zero, tensor.toward_zero);
        tensor.codes[place] = used;
        done.words_detected += 1;
        done.bits_flipped_raw += u64::from(wrong.count_ones());
        done.bits_flipped += u64::from((used ^ written).count_ones());
    }
}

/// Number of codes before each tensor.
fn firsts(tensors: &[StoredTensor<'_>]) -> Vec<u64> {
    let sums = tensors.iter().scan(0_u64, |sum, tensor| {
        let first = *sum;
        *sum += tensor.codes.len() as u64;
        Some(first)
    });
    sums.collect()
}

/// Where words lie.
struct Layout<'a> {
    code: &'a dyn WordCode,
    words: Words,
    stores: &'a dyn Stores,
    firsts: Vec<u64>,
}

impl Layout<'_> {
    fn read(
        &self,
        (faults, hits): (&[FaultyCell], &[Hit]),
        check_faults: &[FaultyCell],
        kind: FaultKind,
        on_detected: OnDetected,
        tensors: &mut [StoredTensor<'_>],
        done: &mut ReadBack,
    ) -> Result<(), ReadError> {
        let (data_bits, check_bits) =
            (u64::from(self.code.data_bits()), u64::from(self.code.check_bits()));
        // (word, bit among data then check bits, preferred value)
        let mut cells: Vec<(u64, u32, bool)> = match self.words {
            // A remainder by at most 128. Faults of unused cells count: they belong to words too.
            Words::Cells => faults
                .iter()
                .map(|f| (f.address / data_bits, (f.address % data_bits) as u32, f.preferred))
                .collect(),
            Words::Codes => hits
                .iter()
                .map(|hit| {
                    let word = self.firsts[hit.held.tensor] + hit.held.code as u64;
                    (word, u32::from(hit.held.bit), hit.preferred)
                })
                .collect(),
        };
        cells.extend(check_faults.iter().map(|fault| {
            let bit = (data_bits + fault.address % check_bits) as u32;
            (fault.address / check_bits, bit, fault.preferred)
        }));
        cells.sort_unstable();
        for of_word in cells.chunk_by(|a, b| a.0 == b.0) {
            self.read_word(of_word, kind, on_detected, tensors, done)?;
        }
        Ok(())
    }

    fn read_word(
        &self,
        cells: &[(u64, u32, bool)],
        kind: FaultKind,
        on_detected: OnDetected,
        tensors: &mut [StoredTensor<'_>],
        done: &mut ReadBack,
    ) -> Result<(), ReadError> {
        let data_bits = self.code.data_bits();
        let Some(members) = self.members(cells[0].0, tensors)? else { return Ok(()) };
        let bit_of = |held: CodeBit| tensors[held.tensor].codes[held.code] >> held.bit & 1 == 1;
        let written = members
            .iter()
            .fold(0_u128, |data, &(bit, held)| data | u128::from(bit_of(held)) << bit);
        let check_written = self.code.encode(written);
        let (mut data, mut check) = (written, check_written);
        for &(_, bit, preferred) in cells {
            if bit < data_bits {
                data ^= u128::from(reads_wrong(written >> bit & 1 == 1, preferred, kind)) << bit;
            } else {
                let bit = bit - data_bits;
                done.check_cells_hit += 1;
                let stored = check_written >> bit & 1 == 1;
                check ^= u16::from(reads_wrong(stored, preferred, kind)) << bit;
            }
        }
        let held: u128 = members.iter().fold(0, |mask, (bit, _)| mask | 1 << bit);
        done.bits_flipped_raw += u64::from(((data ^ written) & held).count_ones());
        let decoded = self.code.decode(data, check);
        let mut used = decoded.data;
        match decoded.verdict {
            Verdict::Clean => done.words_undetected += u64::from(used != written),
            Verdict::Corrected => {
                done.words_corrected += 1;
                done.words_miscorrected += u64::from(used != written);
            }
            Verdict::Detected => {
                done.words_detected += 1;
                if on_detected == OnDetected::Zero {
                    used = members.iter().fold(0, |data, &(bit, held)| {
                        let zero = tensors[held.tensor].zero(held.code);
                        data | u128::from(zero >> held.bit & 1) << bit
                    });
                }
            }
        }
        for (bit, held) in members {
            if (used ^ written) >> bit & 1 == 1 {
                tensors[held.tensor].codes[held.code] ^= 1 << held.bit;
                done.bits_flipped += 1;
            }
        }
        Ok(())
    }

    /// The bits of codes in a word, with their places in it; none for a word that does not exist.
    fn members(
        &self,
        word: u64,
        tensors: &[StoredTensor<'_>],
    ) -> Result<Option<Vec<(u32, CodeBit)>>, ReadError> {
        let data_bits = self.code.data_bits();
        match self.words {
            Words::Cells => {
                let Some(first) = word.checked_mul(u64::from(data_bits)) else { return Ok(None) };
                let held = (0..data_bits).filter_map(|bit| {
                    Some((bit, self.stores.held(first.checked_add(u64::from(bit))?)?))
                });
                let members: Vec<(u32, CodeBit)> = held.collect();
                for &(_, held) in &members {
                    let tensor = tensors.get(held.tensor);
                    if !tensor.is_some_and(|t| held.code < t.codes.len() && held.bit < t.bits) {
                        return Err(ReadError::Held { held });
                    }
                }
                Ok((!members.is_empty()).then_some(members))
            }
            Words::Codes => {
                // The last tensor that begins at or before the word and is not empty there.
                let tensor = self.firsts.partition_point(|&first| first <= word).checked_sub(1);
                let Some(tensor) = tensor else { return Ok(None) };
                let code = word - self.firsts[tensor];
                if code >= tensors[tensor].codes.len() as u64 {
                    return Ok(None);
                }
                let code = code as usize;
                let bits = (0..tensors[tensor].bits).map(|bit| CodeBit { tensor, code, bit });
                Ok(Some(bits.map(|held| (u32::from(held.bit), held)).collect()))
            }
        }
    }
}
