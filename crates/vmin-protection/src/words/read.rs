//! Reading back codes that lie in faulty cells, through a code over words or detecting reads.
//!
//! [`compile`] turns the faulty cells under a content into masks, once; [`Faults::read`] applies the masks to
//! the codes, as often as they are written anew. Words without a faulty cell read as written and are not
//! touched, so the work grows with the number of faults.

use vmin_sram::{CellEffect, Fault};

use super::{CodeBit, Codes, Mask, OnDetected, Stored, Stores, Verdict, WordCode};
use crate::mechanisms::DetectingReads;

/// Which bits make a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Words {
    /// As many neighbouring cells as the code has data bits, counted from address 0. Unused cells
    /// hold 0.
    Cells,
    /// Each code of a tensor, tensors in order; all codes have as many bits as the word has data bits.
    Codes,
}

/// How stored words become codes.
#[derive(Debug)]
pub enum Scheme {
    /// Cells give codes as they are.
    Plain,
    /// Sense amplifiers detect wrong bits.
    Detecting(DetectingReads),
    /// A code over words.
    Code {
        /// The code.
        code: Box<dyn WordCode>,
        /// Which bits make a word.
        words: Words,
        /// What happens to words that cannot be corrected.
        on_detected: OnDetected,
    },
}

/// Counts of one read.
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
        let Self {
            cells_hit,
            check_cells_hit,
            bits_flipped_raw,
            bits_flipped,
            words_corrected,
            words_miscorrected,
            words_detected,
            words_undetected,
        } = other;
        self.cells_hit += cells_hit;
        self.check_cells_hit += check_cells_hit;
        self.bits_flipped_raw += bits_flipped_raw;
        self.bits_flipped += bits_flipped;
        self.words_corrected += words_corrected;
        self.words_miscorrected += words_miscorrected;
        self.words_detected += words_detected;
        self.words_undetected += words_undetected;
    }
}

/// Why codes cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A tensor has no codes of 1 to 32 bits.
    #[error("tensor {tensor} has codes of {bits} bits, not of 1 to 32")]
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
}

/// One code with faulty cells.
#[derive(Clone, Copy, Debug)]
struct FaultyCode {
    tensor: usize,
    code: usize,
    mask: Mask<u32>,
}

/// A run of a word's bits that belong to one code.
#[derive(Clone, Copy, Debug)]
struct Part {
    tensor: usize,
    code: usize,
    /// First bit of the run in the code.
    code_bit: u8,
    /// First bit of the run in the word.
    word_bit: u8,
    length: u8,
}

impl Part {
    const fn low(self) -> u32 {
        u32::MAX >> (32 - self.length as u32)
    }
}

/// One word with faulty cells.
#[derive(Clone, Debug)]
struct FaultyWord {
    data: Mask<u128>,
    check: Mask<u32>,
    parts: core::ops::Range<usize>,
}

/// The faulty cells under a content, as masks over its codes or words.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    codes: Vec<FaultyCode>,
    words: Vec<FaultyWord>,
    parts: Vec<Part>,
}

/// Checks that codes have widths that can be read through `scheme`.
///
/// # Errors
/// See [`ReadError`].
pub fn check_widths(scheme: &Scheme, tensors: &[Stored]) -> Result<(), ReadError> {
    for (tensor, &Stored { bits, .. }) in tensors.iter().enumerate() {
        if !(1..=32).contains(&bits) {
            return Err(ReadError::CodeBits { tensor, bits });
        }
        match scheme {
            Scheme::Code { code, words: Words::Codes, .. }
                if code.data_bits() != u32::from(bits) =>
            {
                return Err(ReadError::WordIsNoCode { data_bits: code.data_bits(), tensor, bits });
            }
            Scheme::Code { .. } | Scheme::Detecting(_) | Scheme::Plain => {}
        }
    }
    Ok(())
}

/// The faults of a content that lies as `stores` says: `data` by address, those of check bits by the
/// address of the check bit (`word * check_bits + bit`).
#[must_use]
pub fn compile(
    scheme: &Scheme,
    stores: &dyn Stores,
    tensors: &[Stored],
    data: &[Fault],
    check: &[Fault],
) -> Faults {
    let mut faults = Faults::default();
    match scheme {
        Scheme::Plain | Scheme::Detecting(_) => {
            let mut hits: Vec<(CodeBit, CellEffect)> = data
                .iter()
                .filter_map(|fault| Some((stores.held(fault.address)?, fault.effect)))
                .collect();
            hits.sort_unstable();
            for (CodeBit { tensor, code, bit }, effect) in hits {
                let same = |last: &FaultyCode| (last.tensor, last.code) == (tensor, code);
                if !faults.codes.last().is_some_and(same) {
                    faults.codes.push(FaultyCode { tensor, code, mask: Mask::NONE });
                }
                if let Some(last) = faults.codes.last_mut() {
                    last.mask.add(bit.into(), effect);
                }
            }
        }
        Scheme::Code { code, words, .. } => {
            let layout = Layout { code: code.as_ref(), words: *words, stores, tensors };
            layout.compile(data, check, &mut faults);
        }
    }
    faults
}

/// Where words lie.
struct Layout<'a> {
    code: &'a dyn WordCode,
    words: Words,
    stores: &'a dyn Stores,
    tensors: &'a [Stored],
}

impl Layout<'_> {
    fn compile(&self, data: &[Fault], check: &[Fault], faults: &mut Faults) {
        let (k, r) = (u64::from(self.code.data_bits()), u64::from(self.code.check_bits()));
        let firsts = self.firsts();
        // (word, bit among data then check bits, effect)
        let mut cells: Vec<(u64, u32, CellEffect)> = Vec::with_capacity(data.len() + check.len());
        for fault in data {
            match self.words {
                // A remainder by at most 128. Faults of unused cells count: they belong to words too.
                Words::Cells => {
                    cells.push((fault.address / k, (fault.address % k) as u32, fault.effect));
                }
                Words::Codes => {
                    if let Some(held) = self.stores.held(fault.address) {
                        let word = firsts[held.tensor] + held.code as u64;
                        cells.push((word, held.bit.into(), fault.effect));
                    }
                }
            }
        }
        let of_check =
            |fault: &Fault| (fault.address / r, (k + fault.address % r) as u32, fault.effect);
        cells.extend(check.iter().map(of_check));
        cells.sort_unstable();
        for of_word in cells.chunk_by(|a, b| a.0 == b.0) {
            let first = faults.parts.len();
            self.parts(of_word[0].0, &firsts, &mut faults.parts);
            if faults.parts.len() == first {
                continue;
            }
            let (mut data, mut check) = (Mask::NONE, Mask::NONE);
            for &(_, bit, effect) in of_word {
                match bit.checked_sub(self.code.data_bits()) {
                    None => data.add(bit, effect),
                    Some(bit) => check.add(bit, effect),
                }
            }
            faults.words.push(FaultyWord { data, check, parts: first..faults.parts.len() });
        }
    }

    /// Number of the first word of each tensor, where words are codes.
    fn firsts(&self) -> Vec<u64> {
        let sums = self.tensors.iter().scan(0_u64, |sum, tensor| {
            let first = *sum;
            *sum += tensor.codes as u64;
            Some(first)
        });
        sums.collect()
    }

    /// The runs of a word's bits that hold codes.
    fn parts(&self, word: u64, firsts: &[u64], parts: &mut Vec<Part>) {
        let data_bits = self.code.data_bits();
        match self.words {
            Words::Cells => {
                let first = parts.len();
                for bit in 0..data_bits {
                    let address = word.checked_mul(data_bits.into());
                    let address = address.and_then(|start| start.checked_add(bit.into()));
                    let Some(held) = address.and_then(|address| self.stores.held(address)) else {
                        continue;
                    };
                    // Below 128.
                    let word_bit = bit as u8;
                    match parts[first..].last_mut() {
                        Some(last)
                            if (last.tensor, last.code) == (held.tensor, held.code)
                                && last.code_bit + last.length == held.bit
                                && last.word_bit + last.length == word_bit =>
                        {
                            last.length += 1;
                        }
                        Some(_) | None => parts.push(Part {
                            tensor: held.tensor,
                            code: held.code,
                            code_bit: held.bit,
                            word_bit,
                            length: 1,
                        }),
                    }
                }
            }
            Words::Codes => {
                // The last tensor that begins at or before the word and is not empty there.
                let tensor = firsts.partition_point(|&first| first <= word).checked_sub(1);
                let Some(tensor) = tensor else { return };
                let code = word - firsts[tensor];
                if code < self.tensors[tensor].codes as u64 {
                    let code = code as usize;
                    let length = self.tensors[tensor].bits;
                    parts.push(Part { tensor, code, code_bit: 0, word_bit: 0, length });
                }
            }
        }
    }
}

impl Faults {
    /// True if every code reads as it was written, whatever it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty() && self.words.is_empty()
    }

    /// The faults of each code, rising by number, where every word lies within one code.
    #[must_use]
    pub fn by_code(self) -> Vec<(usize, Self)> {
        let Self { codes, words, parts } = self;
        let of_code = |of: FaultyCode| (of.code, Self { codes: vec![of], ..Self::default() });
        let mut all: Vec<(usize, Self)> = codes.into_iter().map(of_code).collect();
        for word in words {
            let of_word = &parts[word.parts.clone()];
            let code = of_word.first().map_or(0, |part| part.code);
            if all.last().is_none_or(|(last, _)| *last != code) {
                all.push((code, Self::default()));
            }
            if let Some((_, faults)) = all.last_mut() {
                let first = faults.parts.len();
                faults.parts.extend(of_word);
                faults.words.push(FaultyWord { parts: first..faults.parts.len(), ..word });
            }
        }
        all
    }

    /// Groups of codes that share no word, as tensor and code.
    #[must_use]
    pub(crate) fn groups(&self) -> Vec<Vec<(usize, usize)>> {
        let mut groups: Vec<Vec<(usize, usize)>> =
            self.codes.iter().map(|of| vec![(of.tensor, of.code)]).collect();
        for word in &self.words {
            let parts = &self.parts[word.parts.clone()];
            let mut codes: Vec<_> = parts.iter().map(|part| (part.tensor, part.code)).collect();
            codes.dedup();
            // Words rise by address, so a code that lies in two words is the last of one, the first of the next.
            match groups.last_mut() {
                Some(last) if codes.first().is_some_and(|first| last.contains(first)) => {
                    last.extend(codes);
                }
                Some(_) | None => groups.push(codes),
            }
        }
        groups
    }

    /// Replaces the codes that were written by those that are read.
    pub fn read(
        &self,
        scheme: &Scheme,
        tensors: &[Stored],
        codes: &mut (impl Codes + ?Sized),
    ) -> ReadBack {
        let mut done = ReadBack::default();
        for &FaultyCode { tensor, code, mask } in &self.codes {
            let written = codes.get(tensor, code);
            let read = mask.read(written);
            done.cells_hit += u64::from(mask.cells().count_ones());
            let wrong = read ^ written;
            if wrong == 0 {
                continue;
            }
            let used = match scheme {
                Scheme::Detecting(reads) => {
                    done.words_detected += 1;
                    reads.used(read, wrong, &tensors[tensor], code)
                }
                Scheme::Plain | Scheme::Code { .. } => read,
            };
            done.bits_flipped_raw += u64::from(wrong.count_ones());
            done.bits_flipped += u64::from((used ^ written).count_ones());
            codes.set(tensor, code, used);
        }
        if let Scheme::Code { code, on_detected, .. } = scheme {
            for word in &self.words {
                self.read_word(word, code.as_ref(), *on_detected, tensors, codes, &mut done);
            }
        }
        done
    }

    fn read_word(
        &self,
        word: &FaultyWord,
        code: &dyn WordCode,
        on_detected: OnDetected,
        tensors: &[Stored],
        codes: &mut (impl Codes + ?Sized),
        done: &mut ReadBack,
    ) {
        let parts = &self.parts[word.parts.clone()];
        let (mut written, mut held) = (0_u128, 0_u128);
        for part in parts {
            let bits = codes.get(part.tensor, part.code) >> part.code_bit & part.low();
            written |= u128::from(bits) << part.word_bit;
            held |= u128::from(part.low()) << part.word_bit;
        }
        let check_written = code.encode(written);
        let read = word.data.read(written);
        // As many check bits as were written.
        let check_read = word.check.read(check_written.into()) as u16;
        done.cells_hit += u64::from((word.data.cells() & held).count_ones());
        done.check_cells_hit += u64::from(word.check.cells().count_ones());
        done.bits_flipped_raw += u64::from(((read ^ written) & held).count_ones());
        let decoded = code.decode(read, check_read);
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
                    used = parts.iter().fold(0, |data, part| {
                        let zero = tensors[part.tensor].zero(part.code) >> part.code_bit;
                        data | u128::from(zero & part.low()) << part.word_bit
                    });
                }
            }
        }
        let wrong = (used ^ written) & held;
        done.bits_flipped += u64::from(wrong.count_ones());
        if wrong == 0 {
            return;
        }
        for part in parts {
            // Cut to the run.
            let wrong = (wrong >> part.word_bit) as u32 & part.low();
            if wrong != 0 {
                let code = codes.get(part.tensor, part.code) ^ wrong << part.code_bit;
                codes.set(part.tensor, part.code, code);
            }
        }
    }
}

/// Replaces codes by those that a memory with these faulty cells gives back: [`compile`], then
/// [`Faults::read`].
///
/// # Errors
/// See [`ReadError`].
pub fn read_back(
    scheme: &Scheme,
    stores: &dyn Stores,
    tensors: &[Stored],
    data: &[Fault],
    check: &[Fault],
    codes: &mut (impl Codes + ?Sized),
) -> Result<ReadBack, ReadError> {
    check_widths(scheme, tensors)?;
    Ok(compile(scheme, stores, tensors, data, check).read(scheme, tensors, codes))
}
