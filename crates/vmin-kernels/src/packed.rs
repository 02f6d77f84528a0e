//! Weights in the order in which a kernel reads them.

/// Weights packed by one kernel for itself.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pub(crate) kernel: &'static str,
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// In the order of the kernel's reads.
    pub(crate) panels: Vec<i16>,
    /// Added to every output channel before anything else.
    pub(crate) offsets: Vec<i32>,
}

impl PackedWeights {
    /// Output channels.
    #[must_use]
    pub fn n(&self) -> usize {
        self.n
    }

    /// Values per output channel.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Checks what every kernel relies on before it touches memory.
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
