//! The matrix product of some gathered rows and a panel, for int8 and float lanes alike.

#![expect(unsafe_code, reason = "rows are gathered without a check for each")]

use crate::float::{Gather, PANEL};
use crate::lanes::{Lanes, Task};

/// The largest [`Lanes::ROWS`].
pub(crate) const MOST_ROWS: usize = 12;

/// A kernel on vectors of `N` lanes; `V` vectors make one group of a panel.
pub(crate) struct Vectors<L, const N: usize, const V: usize>(pub(crate) L);

impl<L, const N: usize, const V: usize> crate::sealed::Sealed for Vectors<L, N, V> {}

/// Evaluates an expression with a count of at most `$most` as the constant `$name`.
macro_rules! with_count {
    ($count:expr, $most:expr, $name:ident => $value:expr) => {
        with_count!($count, $most, $name => $value, [1 2 3 4 5 6 7 8 9 10 11 12])
    };
    ($count:expr, $most:expr, $name:ident => $value:expr, [$($number:literal)*]) => {
        match $count {
            $($number if $number <= $most => {
                const $name: usize = $number;
                $value
            })*
            _ => unreachable!("blocks have at most `ROWS` rows"),
        }
    };
}
pub(crate) use with_count;

/// The product of some rows and a panel.
pub(crate) struct Product<'a, L: Lanes<N>, const N: usize> {
    pub(crate) a: &'a Gather<'a, L::Factor>,
    /// The first value of each row, for at most [`Lanes::ROWS`] rows.
    pub(crate) at: &'a [usize],
    pub(crate) panel: &'a [[L::Factor; PANEL]],
    pub(crate) start: &'a [L::Sum; PANEL],
    /// Whether the sums are added to the results instead of replacing them.
    pub(crate) add: bool,
    /// Number of outputs in the panel.
    pub(crate) width: usize,
    /// The first result of each row.
    pub(crate) c_at: &'a [usize],
}

impl<L: Lanes<N>, const N: usize> Product<'_, L, N> {
    /// # Safety
    /// `Gather::check` would accept `a` with the rows `at`; nothing checks them again.
    #[inline]
    pub(crate) unsafe fn compute<const V: usize>(&self, lanes: L, c: &mut [L::Sum]) {
        with_count!(self.at.len(), L::ROWS, R => lanes.run(&Tile::<L, N, V, R>(lanes, self), c));
    }
}

/// A product of `R` rows.
struct Tile<'a, L: Lanes<N>, const N: usize, const V: usize, const R: usize>(
    L,
    &'a Product<'a, L, N>,
);

impl<L: Lanes<N>, const N: usize, const V: usize, const R: usize> Task for Tile<'_, L, N, V, R> {
    type Out = L::Sum;

    #[inline(always)]
    fn run(&self, c: &mut [L::Sum]) {
        let &Self(lanes, &Product { a, at, panel, start, add, width, c_at }) = self;
        let (at, c_at) = (constant::<_, R>(at), constant::<_, R>(c_at));
        let (start, _) = start.as_chunks::<N>();
        let mut sums: [[L::Vector; V]; R] = [std::array::from_fn(|v| lanes.sums(&start[v])); R];
        for run in 0..a.runs {
            // SAFETY: the caller of `compute` vouches for the rows, and `run < a.runs`.
            let rows: [*const L::Factor; R] =
                std::array::from_fn(|row| unsafe { a.values_of(at[row], run) }.as_ptr());
            for (k, group) in panel[run * a.run..][..a.run].iter().enumerate() {
                let group = vectors::<L, N, V>(lanes, group);
                for (row, sums) in rows.iter().zip(&mut sums) {
                    // SAFETY: a run has `a.run` values, and `k` is less.
                    accumulate(lanes, unsafe { *row.add(k) }, &group, sums);
                }
            }
        }
        for (&at, sums) in c_at.iter().zip(&sums) {
            let c = &mut c[at..][..width];
            if let Ok(c) = <&mut [L::Sum; PANEL]>::try_from(&mut *c) {
                for (c, &sum) in c.as_chunks_mut::<N>().0.iter_mut().zip(sums) {
                    write(lanes, sum, add, c);
                }
            } else {
                for (c, &sum) in c.chunks_mut(N).zip(sums) {
                    write(lanes, sum, add, c);
                }
            }
        }
    }
}

/// `values` as an array, so that loops over it have a constant length.
#[inline(always)]
fn constant<T, const R: usize>(values: &[T]) -> &[T; R] {
    values.try_into().expect("one value per row of the block")
}

/// Writes or adds the first sums of a vector, as many as `c` holds.
#[inline(always)]
fn write<L: Lanes<N>, const N: usize>(lanes: L, sums: L::Vector, add: bool, c: &mut [L::Sum]) {
    match <&mut [L::Sum; N]>::try_from(&mut *c) {
        Ok(c) if add => lanes.store(lanes.add(lanes.sums(c), sums), c),
        Ok(c) => lanes.store(sums, c),
        Err(_) if add => lanes.store_first(lanes.add(lanes.first_sums(c), sums), c),
        Err(_) => lanes.store_first(sums, c),
    }
}

/// The vectors of one group of a panel.
#[inline(always)]
pub(crate) fn vectors<L: Lanes<N>, const N: usize, const V: usize>(
    lanes: L,
    group: &[L::Factor; PANEL],
) -> [L::Vector; V] {
    let (group, _) = group.as_chunks::<N>();
    std::array::from_fn(|v| lanes.factors(&group[v]))
}

/// Adds the products of `factor` and a group of a panel to `sums`.
#[inline(always)]
pub(crate) fn accumulate<L: Lanes<N>, const N: usize, const V: usize>(
    lanes: L,
    factor: L::Factor,
    group: &[L::Vector; V],
    sums: &mut [L::Vector; V],
) {
    let factor = lanes.splat(factor);
    for (sum, &group) in sums.iter_mut().zip(group) {
        *sum = lanes.multiply_add(factor, group, *sum);
    }
}
