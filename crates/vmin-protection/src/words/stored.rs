//! Codes of tensors in the cells of a memory.

/// Which way a code moves toward zero when one of its bits is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TowardZero {
    /// A bit equal to the sign bit does so: two's complement.
    SignBit,
    /// A bit unlike the sign bit does so: offset binary.
    NotSignBit,
    /// A cleared bit does so: sign and magnitude.
    Clear,
}

/// The codes of one tensor: their number, width and zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Number of codes.
    pub codes: usize,
    /// Bits per code, 1 to 32.
    pub bits: u8,
    /// The code that means zero, for equally long runs of codes (one run per channel).
    pub zeros: Vec<u32>,
    /// How bits are replaced toward zero.
    pub toward_zero: TowardZero,
}

impl Stored {
    /// The code that means zero at the place of code number `code`.
    #[must_use]
    pub fn zero(&self, code: usize) -> u32 {
        let run = self.codes.div_ceil(self.zeros.len().max(1)).max(1);
        self.zeros.get(code / run).copied().unwrap_or(0)
    }
}

/// One bit of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodeBit {
    /// Index of the tensor.
    pub tensor: usize,
    /// Index of the code in the tensor.
    pub code: usize,
    /// Bit of the code, 0 the least significant.
    pub bit: u8,
}

/// Which cell holds which bit.
pub trait Stores {
    /// The bit at an address, if one lies there.
    fn held(&self, address: u64) -> Option<CodeBit>;
}

/// Codes that can be read and replaced one by one.
pub trait Codes {
    /// A code.
    fn get(&self, tensor: usize, code: usize) -> u32;
    /// Replaces a code.
    fn set(&mut self, tensor: usize, code: usize, value: u32);
}

impl Codes for [Vec<u8>] {
    fn get(&self, tensor: usize, code: usize) -> u32 {
        self[tensor][code].into()
    }

    fn set(&mut self, tensor: usize, code: usize, value: u32) {
        // Codes of at most 8 bits.
        self[tensor][code] = value as u8;
    }
}

/// The int8 codes of one tensor, whatever its index.
#[derive(Debug)]
pub struct OneTensor<'a>(pub &'a mut [i8]);

impl Codes for OneTensor<'_> {
    fn get(&self, _: usize, code: usize) -> u32 {
        self.0[code].cast_unsigned().into()
    }

    fn set(&mut self, _: usize, code: usize, value: u32) {
        // Codes of 8 bits.
        self.0[code] = (value as u8).cast_signed();
    }
}

/// One partial sum of 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct Sum(pub u32);

impl Codes for Sum {
    fn get(&self, _: usize, _: usize) -> u32 {
        self.0
    }

    fn set(&mut self, _: usize, _: usize, value: u32) {
        self.0 = value;
    }
}
