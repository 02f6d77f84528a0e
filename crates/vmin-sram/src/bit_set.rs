//! A set of cells.

/// One bit per cell.
pub(crate) struct BitSet {
    words: Vec<u64>,
}

impl BitSet {
    /// No bit of `bits`, at most 2^35.
    pub(crate) fn new(bits: u64) -> Self {
        let words = usize::try_from(bits.div_ceil(64)).expect("2^35 bits are 2^29 words");
        Self { words: vec![0; words] }
    }

    /// Adds a bit; false if it was there.
    #[inline]
    pub(crate) fn insert(&mut self, bit: u64) -> bool {
        // 2^35 bits are 2^29 words.
        let word = &mut self.words[(bit / 64) as usize];
        let mask = 1 << (bit % 64);
        let new = *word & mask == 0;
        *word |= mask;
        new
    }
}
