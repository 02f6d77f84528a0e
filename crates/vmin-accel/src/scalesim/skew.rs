//! The order of a skewed tile: lane `c` starts `c` cycles after lane 0.
//!
//! ```text
//!            lane 0  1  2
//!  cycle 0:    0,0
//!  cycle 1:    1,0  0,1            element (time, lane)
//!  cycle 2:    2,0  1,1  0,2
//!  cycle 3:         2,1  1,2
//!  cycle 4:              2,2
//! ```
//!
//! Within a cycle the lanes are asked in order. The tile is a parallelogram: the diagonals grow, stay
//! and shrink, so counts are quadratics and the n-th element is found by bisection.

/// A tile of `lanes` lanes and `steps` elements per lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    pub(super) lanes: u64,
    pub(super) steps: u64,
}

impl Skew {
    /// Elements of the tile.
    pub(super) const fn elements(self) -> u64 {
        self.lanes * self.steps
    }

    /// Elements in the cycles before `cycle`.
    pub(super) fn before(self, cycle: u64) -> u64 {
        let (short, long) = if self.lanes < self.steps {
            (self.lanes, self.steps)
        } else {
            (self.steps, self.lanes)
        };
        let triangle = |n: u64| n * (n + 1) / 2;
        if cycle <= short {
            triangle(cycle)
        } else if cycle <= long {
            triangle(short) + (cycle - short) * short
        } else {
            // All but the triangle at the end.
            let left = (short + long - 1).saturating_sub(cycle);
            self.elements() - triangle(left)
        }
    }

    /// Cycle of the element with that index (from 0) in the order of demands.
    pub(super) fn cycle_of(self, index: u64) -> u64 {
        let (mut low, mut high) = (0, self.lanes + self.steps - 1);
        // `before(low) <= index < before(high)`.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.before(middle) <= index { low = middle } else { high = middle }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::Skew;

    #[test]
    fn counts_are_those_of_the_picture() {
        for lanes in 1..7 {
            for steps in 1..9 {
                let skew = Skew { lanes, steps };
                let mut cycles = Vec::new();
                for cycle in 0..lanes + steps + 2 {
                    assert_eq!(skew.before(cycle), cycles.len() as u64, "{skew:?} {cycle}");
                    for lane in 0..lanes {
                        if cycle >= lane && cycle - lane < steps {
                            cycles.push(cycle);
                        }
                    }
                }
                assert_eq!(cycles.len() as u64, skew.elements());
                for (index, cycle) in cycles.iter().enumerate() {
                    assert_eq!(skew.cycle_of(index as u64), *cycle, "{skew:?} {index}");
                }
            }
        }
    }
}
