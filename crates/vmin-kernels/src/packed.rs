//! Weights in the layout of a kernel.

/// Weights in the layout of the kernel that packed them.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pub(crate) kernel: &'static str,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// All panels, in the order in which the kernel loads them.
    pub(crate) panels: Vec<i16>,
    /// The start of the sums, per output channel.
    pub(crate) offsets: Vec<i32>,
}

impl PackedWeights {
    /// Number of output channels.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of values per output channel.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Checks the lengths on which every kernel relies before it accesses memory.
    pub(crate) fn check(&self, kernel: &str, a: &[i8], a_stride: usize, m: usize, out: &[i32]) {
        assert_eq!(self.kernel, kernel, "weights were packed for another kernel");
        assert!(a_stride >= self.k, "rows overlap");
        if let Some(last) = m.checked_sub(1) {
            let end = last.checked_mul(a_stride).and_then(|end| end.checked_add(self.k));
            assert!(end.is_some_and(|end| end <= a.len()), "`a` is too short");
        }
        let cells = m.checked_mul(self.n);
        assert!(cells.is_some_and(|cells| cells <= out.len()), "`out` is too short");
    }
}
