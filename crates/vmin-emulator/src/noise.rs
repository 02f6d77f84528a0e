//! What the activation memory does to each tensor of each image: the codes that are read, against those written.

use vmin_nn::{Graph, TensorId};

use crate::readout::Readout;

/// The difference between codes as written and as read, in whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Codes that differ: L0.
    pub values: u64,
    /// Places, such as pixels, at which a code of any channel differs.
    pub places: u64,
    /// Bits that differ: the Hamming distance.
    pub bits: u64,
    /// Sum of the differences, in steps: L1.
    pub l1: u64,
    /// Sum of their squares: the square of L2.
    pub l2_squared: u64,
    /// The largest difference: L-infinity.
    pub l_inf: u8,
}

impl Change {
    /// From codes that were written to those that are read; neighbouring `channels` of them share a place.
    ///
    /// # Panics
    /// If `channels` is 0.
    #[must_use]
    pub fn between(written: &[i8], read: &[i8], channels: usize) -> Self {
        let mut change = Self::default();
        for (written, read) in written.chunks(channels).zip(read.chunks(channels)) {
            if written == read {
                continue;
            }
            change.places += 1;
            for (&written, &read) in written.iter().zip(read) {
                let steps = written.abs_diff(read);
                change.values += u64::from(steps > 0);
                change.bits += u64::from((written ^ read).count_ones());
                change.l1 += u64::from(steps);
                change.l2_squared += u64::from(steps) * u64::from(steps);
                change.l_inf = change.l_inf.max(steps);
            }
        }
        change
    }

    /// L2, in steps.
    #[must_use]
    pub fn l2(&self) -> f64 {
        (self.l2_squared as f64).sqrt()
    }
}

/// Reads out what the activation memory changed in each tensor.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Of each tensor.
    channels: Vec<usize>,
    input: TensorId,
}

impl Changes {
    /// Those of a network's tensors.
    #[must_use]
    pub fn of_network(graph: &Graph) -> Self {
        let channels = |tensor: &vmin_nn::Tensor| tensor.shape.last().copied().unwrap_or(1).max(1);
        Self { channels: graph.tensors.iter().map(channels).collect(), input: graph.input }
    }
}

/// The changes of an image by tensor; none where the memory makes no errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageChanges {
    /// One per tensor of the graph, or none at all.
    pub tensors: Vec<Change>,
    /// The input as it is read; empty where the memory makes no errors.
    pub input: Vec<i8>,
    written: Vec<i8>,
}

impl Readout for Changes {
    type Value = ImageChanges;

    fn written(&self, value: &mut ImageChanges, _: TensorId, codes: &[i8]) {
        value.written.clear();
        value.written.extend_from_slice(codes);
    }

    fn read(&self, value: &mut ImageChanges, tensor: TensorId, codes: &[i8]) {
        value.tensors.resize(self.channels.len(), Change::default());
        let change = Change::between(&value.written, codes, self.channels[tensor.0]);
        value.tensors[tensor.0] = change;
        if tensor == self.input {
            value.input = codes.to_vec();
        }
    }

    fn of(&self, value: &mut ImageChanges, _: &[i8]) {
        value.written = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use vmin_testkit::Lcg;

    use super::*;

    #[test]
    fn a_change_is_that_of_a_walk_over_all_codes() {
        let mut rng = Lcg(4);
        for channels in [1, 3, 4, 7] {
            let written = rng.codes(12 * channels);
            let read: Vec<i8> = written
                .iter()
                .map(|&code| if rng.pick(0..=3) == 0 { rng.codes(1)[0] } else { code })
                .collect();
            let change = Change::between(&written, &read, channels);
            let steps: Vec<i64> = written
                .iter()
                .zip(&read)
                .map(|(&a, &b)| (i64::from(a) - i64::from(b)).abs())
                .collect();
            assert_eq!(change.values as usize, steps.iter().filter(|&&step| step != 0).count());
            assert_eq!(change.l1 as i64, steps.iter().sum::<i64>());
            assert_eq!(change.l2_squared as i64, steps.iter().map(|step| step * step).sum::<i64>());
            assert_eq!(i64::from(change.l_inf), steps.iter().copied().max().unwrap_or(0));
            let mut bits = 0;
            for (a, b) in written.iter().zip(&read) {
                for bit in 0..8 {
                    bits +=
                        u64::from((a.cast_unsigned() >> bit) & 1 != (b.cast_unsigned() >> bit) & 1);
                }
            }
            assert_eq!(change.bits, bits);
            let place = |place: usize| (0..channels).any(|c| steps[place * channels + c] != 0);
            assert_eq!(change.places as usize, (0..12).filter(|&index| place(index)).count());
        }
        assert_eq!(Change::between(&[1, 2], &[1, 2], 1), Change::default());
        let most = Change::between(&[-128], &[127], 1);
        assert_eq!((most.l_inf, most.l2(), most.bits), (255, 255.0, 8));
    }
}
