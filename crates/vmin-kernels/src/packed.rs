//! Weights in the order in which a kernel reads them.

/// Weights packed by one kernel for itself.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    pub(crate) kernel: &'static str,
    pub(crate) n: usize,
    pub(crate) k: usize,
    pub(crate) panels: Panels,
    /// Added to every output channel before anything else.
    pub(crate) offsets: Vec<i32>,
}

#[derive(Clone, Debug)]
pub(crate) enum Panels {
    Bytes(Vec<i8>),
    Words(Vec<i16>),
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

/// Rearranges weights into panels of `width` channels; within a panel, groups of `depth` values of
/// each channel in turn, filled up with zeros.
///
/// ```text
/// panel 0: c0[k0..kd] c1[k0..kd] .. | c0[kd..k2d] c1[kd..k2d] .. | ..    panel 1: ..
/// ```
pub(crate) fn panels<T: Copy + Default + From<i8>>(
    weights: &[i8],
    n: usize,
    k: usize,
    width: usize,
    depth: usize,
) -> Vec<T> {
    assert_eq!(Some(weights.len()), n.checked_mul(k), "weights are n x k");
    let groups = k.div_ceil(depth);
    let mut packed = vec![T::default(); n.div_ceil(width) * groups * width * depth];
    if k == 0 {
        return packed;
    }
    for (channel, row) in weights.chunks_exact(k).enumerate() {
        let first = (channel / width) * groups * width * depth + (channel % width) * depth;
        for (group, values) in row.chunks(depth).enumerate() {
            let start = first + group * width * depth;
            for (place, &value) in packed[start..start + values.len()].iter_mut().zip(values) {
                *place = T::from(value);
            }
        }
    }
    packed
}
