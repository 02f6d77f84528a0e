//! The private traits of lanes: every algorithm on vectors is written once over them, and a file of
//! [`crate::arch`] implements them per instruction set.

/// An instruction set. A value exists only where the processor has it, so its methods are safe.
pub(crate) trait InstructionSet: Copy + Send + Sync {
    /// Runs `task`, compiled for this instruction set.
    fn run<T: Task>(self, task: &T, out: &mut [T::Out]);
}

/// A loop over vectors that writes to a slice.
pub(crate) trait Task {
    type Out;
    /// Must be `#[inline(always)]`, as everything that it calls with lanes: what is not inlined in
    /// [`InstructionSet::run`] is not compiled for the instruction set, and each of its intrinsics
    /// becomes a call. `out` is an argument, not a field, so that the compiler knows that nothing
    /// else aliases it.
    fn run(&self, out: &mut [Self::Out]);
}

/// Products and sums, `N` lanes to a vector.
pub(crate) trait Lanes<const N: usize>: InstructionSet {
    /// Name of the kernel.
    const NAME: &'static str;
    /// Rows whose sums are kept in registers at once, at most [`crate::tile::MOST_ROWS`].
    const ROWS: usize;
    /// One side of the product of a lane.
    type Factor: Copy;
    /// The sum of a lane.
    type Sum: Copy + Default;
    /// `N` factors or sums.
    type Vector: Copy;

    fn splat(self, factor: Self::Factor) -> Self::Vector;
    fn factors(self, from: &[Self::Factor; N]) -> Self::Vector;
    fn sums(self, from: &[Self::Sum; N]) -> Self::Vector;
    fn store(self, sums: Self::Vector, to: &mut [Self::Sum; N]);
    /// The first sums, as many as there are, at most `N`; the others are zero.
    fn first_sums(self, from: &[Self::Sum]) -> Self::Vector;
    /// Stores the first sums, as many as there are places, at most `N`.
    fn store_first(self, sums: Self::Vector, to: &mut [Self::Sum]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, sum: Self::Vector) -> Self::Vector;
}

/// The 32 bits of one lane that a dot product of int8 values takes at once.
pub(crate) type Group = [i16; 2];

/// Lanes of int8 products with int32 sums, and the arithmetic that turns sums into codes.
pub(crate) trait IntegerLanes<const N: usize>: Lanes<N, Factor = Group, Sum = i32> {
    /// Values per group.
    const DEPTH: usize;
    /// Added to activations before they are multiplied.
    const OFFSET: i32;

    /// The group of the first [`Self::DEPTH`] weights.
    fn group(weights: &[i8]) -> Group;
    /// The groups of a row of activations, exactly as many as it fills.
    fn activations(self, row: &[i8], groups: &mut [Group]);

    fn splat_sum(self, sum: i32) -> Self::Vector;
    fn codes(self, from: &[i8; N]) -> Self::Vector;
    /// Stores values that are codes.
    fn store_codes(self, codes: Self::Vector, to: &mut [i8; N]);
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn shift_left(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;
    /// Fills with the sign.
    fn shift_right(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;

    /// The same 64 bits in every pair of lanes.
    fn splat_pair(self, pair: i64) -> Self::Vector;
    fn add_pairs(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn shift_pairs_left(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;
    /// Fills with zeros.
    fn shift_pairs_right(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;
    /// The 64-bit product of the even lanes of every pair.
    fn multiply_even(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The even lanes of one vector, the odd lanes of the other.
    fn interleave(self, even: Self::Vector, odd: Self::Vector) -> Self::Vector;
}
