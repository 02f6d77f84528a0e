//! Faulty cells under a code or a word, as what they do to its bits.

use core::ops::{BitAnd, BitOr, BitXor, Not};

use vmin_sram::CellEffect;

/// Bits as wide as a code or a word.
pub trait Bits:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    /// No bit.
    const NONE: Self;
    /// Every bit.
    const ALL: Self;
    /// One bit.
    fn bit(index: u32) -> Self;
}

impl Bits for u32 {
    const NONE: Self = 0;
    const ALL: Self = Self::MAX;
    fn bit(index: u32) -> Self {
        1 << index
    }
}

impl Bits for u128 {
    const NONE: Self = 0;
    const ALL: Self = Self::MAX;
    fn bit(index: u32) -> Self {
        1 << index
    }
}

/// Faulty cells under one code or word: it reads as `stored & keep ^ turn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask<T> {
    keep: T,
    turn: T,
}

impl<T: Bits> Mask<T> {
    /// No faulty cell.
    pub const NONE: Self = Self { keep: T::ALL, turn: T::NONE };

    /// Adds the cell of a bit.
    pub fn add(&mut self, index: u32, effect: CellEffect) {
        let bit = T::bit(index);
        match effect {
            CellEffect::Inverts => self.turn = self.turn | bit,
            CellEffect::Holds(value) => {
                self.keep = self.keep & !bit;
                self.turn = if value { self.turn | bit } else { self.turn & !bit };
            }
        }
    }

    /// What is read where `stored` was written.
    #[must_use]
    pub fn read(self, stored: T) -> T {
        stored & self.keep ^ self.turn
    }

    /// The bits with a faulty cell.
    #[must_use]
    pub fn cells(self) -> T {
        !self.keep | self.turn
    }
}

impl Mask<u32> {
    /// The bits whose cells hold a value.
    fn held(self) -> u32 {
        !self.keep
    }

    /// The bits whose cells invert what they store.
    #[must_use]
    pub fn inverting(self) -> u32 {
        self.turn & self.keep
    }

    /// Whether something can be written, among the bits `all`, so that `read` is read.
    #[must_use]
    pub fn can_read(self, read: u32, all: u32) -> bool {
        (read ^ self.turn) & self.held() & all == 0
    }

    /// What to write so that `read` is read, where that can be had.
    #[must_use]
    pub fn to_write(self, read: u32) -> u32 {
        read ^ self.inverting()
    }

    /// The cells under a code of `bits` bits that is stored rotated by `by` bits toward its most significant one.
    #[must_use]
    pub fn rotated_down(self, by: u8, bits: u8) -> Self {
        if by == 0 {
            return self;
        }
        let all = u32::MAX >> (32 - u32::from(bits.clamp(1, 32)));
        let rotated = |of: u32| (of & all) >> by | (of & all) << (bits - by);
        Self { keep: rotated(self.keep) & all | !all, turn: rotated(self.turn) & all }
    }
}
