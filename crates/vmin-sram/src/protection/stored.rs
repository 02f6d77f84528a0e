//! What lies in the cells: codes of tensors, and which cell holds which bit of which code.

/// Which value of a bit moves a code toward zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TowardZero {
    /// That of the sign bit: two's complement.
    SignBit,
    /// The opposite of the top bit: offset binary.
    NotSignBit,
    /// 0: sign and magnitude.
    Clear,
}

/// Codes of one tensor: one per byte, of which `bits` count.
#[derive(Debug)]
pub struct StoredTensor<'a> {
    /// The codes.
    pub codes: &'a mut [u8],
    /// Bits per code, 1 to 8.
    pub bits: u8,
    /// The codes that mean zero: one for equal runs of codes (channels) each, at least one.
    pub zeros: Vec<u8>,
    /// Which value of a bit moves a code toward zero.
    pub toward_zero: TowardZero,
}

impl StoredTensor<'_> {
    /// The code that means zero at this place.
    #[must_use]
    pub fn zero(&self, code: usize) -> u8 {
        let run = self.codes.len().div_ceil(self.zeros.len().max(1)).max(1);
        self.zeros.get(code / run).copied().unwrap_or(0)
    }
}

/// One bit of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeBit {
    /// Which tensor.
    pub tensor: usize,
    /// Which of its codes.
    pub code: usize,
    /// Which bit of the code, the least significant being 0.
    pub bit: u8,
}

/// Which cell holds which bit. No two cells hold one bit.
pub trait Stores {
    /// What the cell at a linear address holds; none for an unused cell.
    fn held(&self, address: u64) -> Option<CodeBit>;
}
