//! A small generator of test values.

/// A 64-bit congruential generator: the top bits of a fixed sequence.
#[derive(Clone, Debug)]
pub struct Lcg(pub u64);

impl Lcg {
    /// The top byte of the next state.
    pub fn byte(&mut self) -> u8 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    /// A number in `range`.
    pub fn pick(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        let wide = u64::from(self.byte()) << 8 | u64::from(self.byte());
        range.start() + (wide as usize) % (range.end() - range.start() + 1)
    }

    /// Any codes.
    pub fn codes(&mut self, n: usize) -> Vec<i8> {
        (0..n).map(|_| self.byte() as i8).collect()
    }
}
