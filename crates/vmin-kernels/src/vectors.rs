//! The int8 products and their requantization on vectors, for every instruction set.

use crate::GemmKernel;
use crate::addition::{Addition, RAISED};
use crate::float::{Gather, PANEL};
use crate::lanes::{Group, IntegerLanes, Task};
use crate::packed::PackedWeights;
use crate::requantize::{Factor, Requantization, Rounds, Scale};
use crate::tile::{MOST_ROWS, Product, Vectors};

/// Number of groups of activations that are prepared at once: half of a small first-level cache.
const BLOCK: usize = 4096;

impl<L: IntegerLanes<N>, const N: usize, const V: usize> GemmKernel for Vectors<L, N, V> {
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn pack(&self, weights: &[i8], n: usize, k: usize) -> PackedWeights {
        assert_eq!(Some(weights.len()), n.checked_mul(k), "weights are n x k");
        let mut offsets = vec![0i32; n.next_multiple_of(PANEL)];
        let mut panels = vec![0; offsets.len() * k.div_ceil(L::DEPTH) * size_of::<Group>() / 2];
        if k > 0 {
            pack::<L, N>(weights, k, &mut panels);
            for (offset, row) in offsets.iter_mut().zip(weights.chunks_exact(k)) {
                let sum = row.iter().fold(0i32, |sum, &w| sum.wrapping_add(w.into()));
                *offset = sum.wrapping_mul(-L::OFFSET);
            }
        }
        PackedWeights { kernel: L::NAME, n, k, panels, offsets }
    }

    fn gemm(&self, a: &[i8], a_stride: usize, m: usize, packed: &PackedWeights, out: &mut [i32]) {
        packed.check(L::NAME, a, a_stride, m, out);
        let (n, k) = (packed.n, packed.k);
        let depth = k.div_ceil(L::DEPTH);
        if n == 0 || depth == 0 {
            out[..m * n].fill(0);
            return;
        }
        let panels = packed.panels.as_chunks().0.as_chunks::<PANEL>().0.chunks_exact(depth);
        let panels = panels.zip(packed.offsets.as_chunks::<PANEL>().0);
        let step = (BLOCK / (depth * L::ROWS)).max(1) * L::ROWS;
        let mut block = vec![Group::default(); depth * step.min(m)];
        let places = std::array::from_fn::<_, MOST_ROWS, _>(|row| row * depth);
        let c_places = std::array::from_fn::<_, MOST_ROWS, _>(|row| row * n);
        for first in (0..m).step_by(step) {
            let (a, block) = (&a[first * a_stride..], &mut block[..depth * step.min(m - first)]);
            self.0.run(&Activations { lanes: self.0, a, a_stride, k }, block);
            for (index, (panel, start)) in panels.clone().enumerate() {
                let (channel, add) = (index * PANEL, false);
                let width = PANEL.min(n - channel);
                for (tile, values) in block.chunks(depth * L::ROWS).enumerate() {
                    let rows = values.len() / depth;
                    let (at, c_at) = (&places[..rows], &c_places[..rows]);
                    let a = &Gather { values, at, runs: 1, stride: 0, run: depth };
                    let c = &mut out[(first + tile * L::ROWS) * n + channel..];
                    // SAFETY: `values` holds `rows` rows of `depth` groups, which begin at `at`.
                    #[expect(unsafe_code, reason = "rows without a check for each")]
                    unsafe {
                        Product { a, at, panel, start, add, width, c_at }.compute::<V>(self.0, c);
                    }
                }
            }
        }
    }

    fn requantize(&self, sums: &[i32], offsets: &[i32], rule: &Requantization, out: &mut [i8]) {
        rule.check(sums, offsets, out);
        self.0.run(&Requantize { lanes: self.0, sums, offsets, rule }, out);
    }

    fn add(&self, a: &[i8], b: &[i8], rule: &Addition, out: &mut [i8]) {
        Addition::check(a, b, out);
        self.0.run(&Add { lanes: self.0, a, b, rule }, out);
    }
}

/// Packs rows of `k` weights into panels of [`PANEL`] channels. In a panel, the groups of the channels
/// alternate; groups beyond a row or a channel hold zeros.
///
/// ```text
/// panel 0: c0[k0..kd] c1[k0..kd] .. | c0[kd..k2d] c1[kd..k2d] .. | ..    panel 1: ..
/// ```
fn pack<L: IntegerLanes<N>, const N: usize>(weights: &[i8], k: usize, panels: &mut [i16]) {
    let groups = panels.as_chunks_mut().0.as_chunks_mut::<PANEL>().0;
    let panels = groups.chunks_exact_mut(k.div_ceil(L::DEPTH));
    for (groups, channels) in panels.zip(weights.chunks(PANEL * k)) {
        for (channel, row) in channels.chunks_exact(k).enumerate() {
            let values = row.chunks_exact(L::DEPTH);
            let rest = values.remainder();
            for (group, values) in groups.iter_mut().zip(values) {
                group[channel] = L::group(values);
            }
            if let (Some(group), false) = (groups.last_mut(), rest.is_empty()) {
                let mut weights = [0; 4];
                weights[..rest.len()].copy_from_slice(rest);
                group[channel] = L::group(&weights);
            }
        }
    }
}

/// Prepares rows of `k` activations.
struct Activations<'a, L, const N: usize> {
    lanes: L,
    a: &'a [i8],
    a_stride: usize,
    k: usize,
}

impl<L: IntegerLanes<N>, const N: usize> Task for Activations<'_, L, N> {
    type Out = Group;

    #[inline(always)]
    fn run(&self, block: &mut [Group]) {
        let &Self { lanes, a, a_stride, k } = self;
        let depth = k.div_ceil(L::DEPTH);
        if a_stride == k && k.is_multiple_of(L::DEPTH) {
            return lanes.activations(&a[..block.len() / depth * k], block);
        }
        for (row, groups) in block.chunks_exact_mut(depth).enumerate() {
            lanes.activations(&a[row * a_stride..][..k], groups);
        }
    }
}

/// One factor per lane.
struct Factors<L: IntegerLanes<N>, const N: usize> {
    lanes: L,
    multiplier: L::Vector,
    left: L::Vector,
    /// The shift to the right less one, but at least 0.
    halving: L::Vector,
    /// 1 if the lane is shifted to the right, otherwise 0.
    last: L::Vector,
}

impl<L: IntegerLanes<N>, const N: usize> Factors<L, N> {
    #[inline(always)]
    fn new(lanes: L, multiplier: L::Vector, left: L::Vector, right: L::Vector) -> Self {
        let last = lanes.min(right, lanes.splat_sum(1));
        Self { lanes, multiplier, left, halving: lanes.subtract(right, last), last }
    }

    #[inline(always)]
    fn of(lanes: L, factor: Factor) -> Self {
        let left = lanes.splat_sum(factor.shift.max(0));
        let right = lanes.splat_sum((-factor.shift).max(0));
        Self::new(lanes, lanes.splat_sum(factor.multiplier), left, right)
    }

    /// [`crate::requantize::twice`] of each lane.
    #[inline(always)]
    fn twice(&self, sums: L::Vector) -> L::Vector {
        self.scale(self.lanes.shift_left(sums, self.left))
    }

    /// The same without the shift to the left.
    ///
    /// Even and odd lanes are multiplied separately, and the 32 bits above bit 30 of each 64-bit
    /// product are kept. They are never `i32::MIN` (see [`crate::requantize`]), so 1 can be subtracted.
    /// Halving before 1 is added keeps the rounding shift within 32 bits:
    /// `(x + 2^(right - 1)) >> right = ((x >> (right - 1)) + 1) >> 1` for `right > 0`.
    #[inline(always)]
    fn scale(&self, raised: L::Vector) -> L::Vector {
        let lanes = self.lanes;
        let odd = |vector| lanes.shift_pairs_right(vector, lanes.splat_pair(32));
        let half = lanes.splat_pair(1 << 30);
        let even_product = lanes.multiply_even(raised, self.multiplier);
        let odd_product = lanes.multiply_even(odd(raised), odd(self.multiplier));
        let even =
            lanes.shift_pairs_right(lanes.add_pairs(even_product, half), lanes.splat_pair(31));
        let odd = lanes.shift_pairs_left(lanes.add_pairs(odd_product, half), lanes.splat_pair(1));
        let high = lanes.interleave(even, odd);
        // Subtracts 1 from a negative value that is shifted.
        let negative = lanes.shift_right(high, lanes.splat_sum(31));
        let nudge = lanes.and(negative, self.last);
        let halved = lanes.shift_right(lanes.subtract(high, nudge), self.halving);
        lanes.shift_right(lanes.add(halved, self.last), self.last)
    }
}

/// Zero point and clamp.
struct Codes<L: IntegerLanes<N>, const N: usize> {
    lanes: L,
    zero_point: L::Vector,
    min: L::Vector,
    max: L::Vector,
}

impl<L: IntegerLanes<N>, const N: usize> Codes<L, N> {
    #[inline(always)]
    fn of(lanes: L, rule: &Requantization) -> Self {
        let zero_point = lanes.splat_sum(rule.zero_point);
        Self { lanes, zero_point, min: lanes.splat_sum(rule.min), max: lanes.splat_sum(rule.max) }
    }

    #[inline(always)]
    fn store(&self, scaled: L::Vector, out: &mut [i8; N]) {
        let codes = self.lanes.add(scaled, self.zero_point);
        let codes = self.lanes.min(self.lanes.max(codes, self.min), self.max);
        self.lanes.store_codes(codes, out);
    }
}

/// [`GemmKernel::requantize`] of checked lengths.
struct Requantize<'a, L, const N: usize> {
    lanes: L,
    sums: &'a [i32],
    offsets: &'a [i32],
    rule: &'a Requantization,
}

impl<L: IntegerLanes<N>, const N: usize> Task for Requantize<'_, L, N> {
    type Out = i8;

    #[inline(always)]
    fn run(&self, out: &mut [i8]) {
        let &Self { lanes, sums, offsets, rule } = self;
        let (n, blocks) = (rule.channels(), rule.channels() / N);
        match rule.scale {
            Scale::Fixed(Rounds::Twice) => {}
            // Fully connected layers have one pixel; the portable loop is fast enough.
            Scale::Fixed(Rounds::Once) | Scale::Real(_) => {
                return rule.portable(0, sums, offsets, out);
            }
        }
        let codes = Codes::of(lanes, rule);
        for first in (0..blocks).map(|block| block * N) {
            let vector = |values: &[i32]| lanes.sums(values[first..].first_chunk().expect("whole"));
            let factors = Factors::new(
                lanes,
                vector(&rule.multipliers),
                vector(&rule.left),
                vector(&rule.right),
            );
            let offset = vector(offsets);
            for (sums, out) in sums.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
                let sums = sums[first..].first_chunk();
                if let (Some(sums), Some(out)) = (sums, out[first..].first_chunk_mut()) {
                    codes.store(factors.twice(lanes.add(lanes.sums(sums), offset)), out);
                }
            }
        }
        rule.portable(blocks * N, sums, offsets, out);
    }
}

/// [`GemmKernel::add`] of checked lengths.
struct Add<'a, L, const N: usize> {
    lanes: L,
    a: &'a [i8],
    b: &'a [i8],
    rule: &'a Addition,
}

impl<L: IntegerLanes<N>, const N: usize> Task for Add<'_, L, N> {
    type Out = i8;

    #[inline(always)]
    fn run(&self, out: &mut [i8]) {
        let &Self { lanes, a, b, rule } = self;
        let [(a_offset, a_factor), (b_offset, b_factor)] = rule.inputs;
        let (a_factor, b_factor) = (Factors::of(lanes, a_factor), Factors::of(lanes, b_factor));
        let (a_offset, b_offset) = (lanes.splat_sum(a_offset), lanes.splat_sum(b_offset));
        let raise = |codes: &[i8; N], offset| {
            lanes.shift_left(lanes.add(lanes.codes(codes), offset), lanes.splat_sum(RAISED))
        };
        let down = Factors::of(lanes, rule.factor);
        let codes = Codes::of(lanes, &rule.output);
        let (a, a_rest) = a.as_chunks();
        let (b, b_rest) = b.as_chunks();
        let (out, out_rest) = out.as_chunks_mut();
        for ((a, b), out) in a.iter().zip(b).zip(out) {
            let (a, b) = (raise(a, a_offset), raise(b, b_offset));
            let sum = lanes.add(a_factor.scale(a), b_factor.scale(b));
            codes.store(down.scale(sum), out);
        }
        rule.portable(a_rest, b_rest, out_rest);
    }
}
