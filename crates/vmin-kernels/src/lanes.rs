//! The private traits of lanes. Every algorithm on vectors is written once over them; a file in `arch`
//! implements them for an instruction set.

/// An instruction set. A value exists only where the processor has the instructions, so the methods
/// are safe.
pub(crate) trait InstructionSet: Copy + Send + Sync {
    /// Runs `task`, compiled for this instruction set.
    fn run<T: Task>(self, task: &T, out: &mut [T::Out]);
}

/// A loop over vectors that writes to a slice.
pub(crate) trait Task {
    type Out;
    /// Must be `#[inline(always)]`, like every function that it calls with lanes: code that is not
    /// inlined in [`InstructionSet::run`] is compiled without the instruction set, and each intrinsic
    /// becomes a call. `out` is an argument and not a field, so that the compiler knows that nothing
    /// aliases it.
    fn run(&self, out: &mut [Self::Out]);
}

/// Products and sums, `N` lanes to a vector.
pub(crate) trait Lanes<const N: usize>: InstructionSet {
    /// The name of the kernel.
    const NAME: &'static str;
    /// Number of rows whose sums fill the registers, at most [`crate::tile::MOST_ROWS`].
    const ROWS: usize;
    /// One factor of a product in a lane.
    type Factor: Copy;
    /// The sum in a lane.
    type Sum: Copy + Default;
    /// `N` factors or sums.
    type Vector: Copy;

    fn splat(self, factor: Self::Factor) -> Self::Vector;
    fn factors(self, from: &[Self::Factor; N]) -> Self::Vector;
    fn sums(self, from: &[Self::Sum; N]) -> Self::Vector;
    fn store(self, sums: Self::Vector, to: &mut [Self::Sum; N]);
    /// Loads at most `N` sums; the remaining lanes are zero.
    fn first_sums(self, from: &[Self::Sum]) -> Self::Vector;
    /// Stores the first lanes in `to`, which holds at most `N` sums.
    fn store_first(self, sums: Self::Vector, to: &mut [Self::Sum]);
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn multiply_add(self, a: Self::Vector, b: Self::Vector, sum: Self::Vector) -> Self::Vector;
}

/// The int8 values, in 32 bits, that one lane multiplies at once: two as int16, or four bytes.
pub(crate) type Group = [i16; 2];

/// Lanes of int8 products with int32 sums, and the arithmetic of requantization.
pub(crate) trait IntegerLanes<const N: usize>: Lanes<N, Factor = Group, Sum = i32> {
    /// Number of values in a group.
    const DEPTH: usize;
    /// The number that [`Self::activations`] adds to every activation.
    const OFFSET: i32;

    /// The group of the first [`Self::DEPTH`] weights.
    fn group(weights: &[i8]) -> Group;
    /// Fills `groups` with a row of activations.
    fn activations(self, row: &[i8], groups: &mut [Group]);

    fn splat_sum(self, sum: i32) -> Self::Vector;
    fn codes(self, from: &[i8; N]) -> Self::Vector;
    /// Stores values in `-128..=127`.
    fn store_codes(self, codes: Self::Vector, to: &mut [i8; N]);
    fn subtract(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn and(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn shift_left(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;
    /// Shifts copies of the sign in.
    fn shift_right(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;

    /// The same 64 bits in every pair of lanes.
    fn splat_pair(self, pair: i64) -> Self::Vector;
    fn add_pairs(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn shift_pairs_left(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;
    /// Shifts zeros in.
    fn shift_pairs_right(self, a: Self::Vector, by: Self::Vector) -> Self::Vector;
    /// The 64-bit products of the even lanes.
    fn multiply_even(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The even lanes of one vector, the odd lanes of the other.
    fn interleave(self, even: Self::Vector, odd: Self::Vector) -> Self::Vector;
}
