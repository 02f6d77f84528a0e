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

/// Rearranges weights into panels of `WIDTH` channels; within a panel, groups of `DEPTH` values of
/// each channel in turn, filled up with zeros.
///
/// ```text
/// panel 0: c0[k0..kd] c1[k0..kd] .. | c0[kd..k2d] c1[kd..k2d] .. | ..    panel 1: ..
/// ```
pub(crate) fn panels<T: Copy + Default + From<i8>, const WIDTH: usize, const DEPTH: usize>(
    weights: &[i8],
    n: usize,
    k: usize,
) -> Vec<T> {
    assert_eq!(Some(weights.len()), n.checked_mul(k), "weights are n x k");
    let panel_size = k.div_ceil(DEPTH) * WIDTH * DEPTH;
    let mut packed = vec![T::default(); n.div_ceil(WIDTH) * panel_size];
    if k == 0 {
        return packed;
    }
    let cut = packed.chunks_exact_mut(panel_size).zip(weights.chunks(WIDTH * k));
    for (panel, channels) in cut {
        for (channel, row) in channels.chunks_exact(k).enumerate() {
            let (whole, rest) = row.as_chunks::<DEPTH>();
            let mut groups = panel.chunks_exact_mut(WIDTH * DEPTH);
            for (group, values) in groups.by_ref().zip(whole) {
                let places = &mut group[channel * DEPTH..(channel + 1) * DEPTH];
                for (place, &value) in places.iter_mut().zip(values) {
                    *place = T::from(value);
                }
            }
            let last = panel.len() - WIDTH * DEPTH + channel * DEPTH;
            for (place, &value) in panel[last..].iter_mut().zip(rest) {
                *place = T::from(value);
            }
        }
    }
    packed
}
