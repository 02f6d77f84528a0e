//! Norms of a tensor's errors, and their means and maxima.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_emulator::Change;
use vmin_nn::{Graph, Pixels, WeightTensor};

/// The error of a tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Norms {
    values: u64,
    places: Option<u64>,
    bits: u64,
    l1: f64,
    l2: f64,
    linf: f64,
    relative_l2: Option<f64>,
}

/// Size of a step of each channel of the input, in pixels from 0 to 1.
pub(super) fn pixel_steps(graph: &Graph) -> Vec<f64> {
    let scale = f64::from(graph.tensors[graph.input.0].quantization.scale);
    match &graph.pixels {
        None | Some(Pixels::Codes { .. }) => vec![1.0 / 255.0],
        Some(Pixels::Bytes) => vec![scale / 255.0],
        Some(Pixels::Unit) => vec![scale],
        Some(Pixels::Signed) => vec![scale / 2.0],
        Some(Pixels::Normalized { std, .. }) => std.iter().map(|std| std * scale).collect(),
    }
}

impl Norms {
    /// Of the input, of which neighbouring `channels` share a pixel and each has its step, or all have one.
    pub(super) fn of_input(written: &[i8], read: &[i8], steps: &[f64], channels: usize) -> Self {
        let Change { values, places, bits, .. } = Change::between(written, read, channels);
        let (mut l1, mut squares, mut linf) = (0.0, 0.0, 0.0_f64);
        for (index, (&written, &read)) in written.iter().zip(read).enumerate() {
            let size = f64::from(written.abs_diff(read)) * steps[index % steps.len()];
            l1 += size;
            squares += size * size;
            linf = linf.max(size);
        }
        Self { values, places: Some(places), bits, l1, l2: squares.sqrt(), linf, relative_l2: None }
    }

    /// Of activations with steps of this size.
    pub(super) fn of_activations(change: &Change, scale: f64) -> Self {
        Self {
            values: change.values,
            places: None,
            bits: change.bits,
            l1: change.l1 as f64 * scale,
            l2: change.l2() * scale,
            linf: f64::from(change.l_inf) * scale,
            relative_l2: None,
        }
    }

    /// Of weights, against codes as they are read.
    pub(super) fn of_weights(weights: &WeightTensor, read: &[u8]) -> Self {
        let mut norms = Self::default();
        let (mut squares, mut all) = (0.0, 0.0);
        let decoded = weights.encoding.decode_table(weights.bits);
        let channel = weights.codes.len().div_ceil(weights.scales.len().max(1)).max(1);
        for (index, (&written, &read)) in weights.codes.iter().zip(read).enumerate() {
            let of = index / channel;
            let scale = f64::from(weights.scales.get(of).copied().unwrap_or(1.0));
            let zeros = &weights.zero_points;
            let zero = zeros.get(of).or(zeros.first()).copied().unwrap_or(0);
            let [was, is] = [written, read].map(|code| decoded[usize::from(code)]);
            let value = scale * f64::from(i32::from(was) - zero);
            let size = scale * f64::from(was.abs_diff(is));
            norms.values += u64::from(was != is);
            norms.bits += u64::from((written ^ read).count_ones());
            norms.l1 += size;
            squares += size * size;
            all += value * value;
            norms.linf = norms.linf.max(size);
        }
        norms.l2 = squares.sqrt();
        norms.relative_l2 = Some(if all > 0.0 { (squares / all).sqrt() } else { 0.0 });
        norms
    }
}

/// Mean and maximum of norms over images and chips.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    count: u64,
    sums: [f64; 7],
    most: [f64; 7],
    has: Norms,
}

impl Tally {
    pub(super) fn add(&mut self, norms: &Norms) {
        let Norms { values, places, bits, l1, l2, linf, relative_l2 } = *norms;
        let places = places.unwrap_or_default() as f64;
        let relative = relative_l2.unwrap_or_default();
        let all = [values as f64, places, bits as f64, l1, l2, linf, relative];
        self.count += 1;
        for (index, value) in all.into_iter().enumerate() {
            self.sums[index] += value;
            self.most[index] = self.most[index].max(value);
        }
        self.has = *norms;
    }

    pub(super) fn row(
        &self,
        vdd_mv: f64,
        memory: &'static str,
        tensor: &str,
        values: usize,
    ) -> Row {
        let mean = self.sums.map(|sum| sum / self.count.max(1) as f64);
        let most = self.most;
        let (pixels, relative) = (self.has.places.is_some(), self.has.relative_l2.is_some());
        Row {
            vdd_mv,
            memory,
            tensor: tensor.to_owned(),
            values,
            changed_share: mean[0] / values.max(1) as f64,
            l0_mean: mean[0],
            l0_max: most[0],
            pixels_mean: pixels.then_some(mean[1]),
            pixels_max: pixels.then_some(most[1]),
            hamming_mean: mean[2],
            hamming_max: most[2],
            l1_mean: mean[3],
            l1_max: most[3],
            l2_mean: mean[4],
            l2_max: most[4],
            linf_mean: mean[5],
            linf_max: most[5],
            relative_l2_mean: relative.then_some(mean[6]),
            relative_l2_max: relative.then_some(most[6]),
        }
    }
}

/// Errors of a tensor at a supply: means and maxima over chips, and over images but for weights.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Row {
    /// Supply of the weight memory, in mV.
    pub vdd_mv: f64,
    /// `input` and `activation` (both in the activation memory), or `weight`.
    pub memory: &'static str,
    /// Name of the tensor.
    pub tensor: String,
    /// Its values.
    pub values: usize,
    /// Share of them that changed, mean.
    pub changed_share: f64,
    /// Changed values, mean.
    pub l0_mean: f64,
    /// Changed values, most.
    pub l0_max: f64,
    /// Pixels of the input with a changed value, mean: the L0 of attacks on images.
    pub pixels_mean: Option<f64>,
    /// Pixels of the input with a changed value, most.
    pub pixels_max: Option<f64>,
    /// Sum of the changes, mean; of the input in pixels from 0 to 1, else in real units.
    pub l1_mean: f64,
    /// Sum of the changes, most.
    pub l1_max: f64,
    /// Root of the sum of the squared changes, mean.
    pub l2_mean: f64,
    /// Root of the sum of the squared changes, most.
    pub l2_max: f64,
    /// Largest change, mean.
    pub linf_mean: f64,
    /// Largest change, most.
    pub linf_max: f64,
    /// Changed bits, mean.
    pub hamming_mean: f64,
    /// Changed bits, most.
    pub hamming_max: f64,
    /// L2 over that of the tensor, mean; of weights alone.
    pub relative_l2_mean: Option<f64>,
    /// L2 over that of the tensor, most.
    pub relative_l2_max: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_of_an_input_are_in_pixels() {
        let (written, read) = ([0, 10, -20, 30, 5, 5], [0, 13, -20, 30, -123, 5]);
        let norms = Norms::of_input(&written, &read, &[0.5, 0.25, 1.0], 3);
        // 3 and 128 steps, both of the second channel.
        assert_eq!((norms.values, norms.l1, norms.linf), (2, 0.75 + 32.0, 32.0));
        assert_eq!(norms.places, Some(2));
        assert_eq!(Norms::of_input(&written, &read, &[1.0], 6).places, Some(1));
        assert_eq!(norms.l2, (0.75_f64 * 0.75 + 32.0 * 32.0).sqrt());
        let bits = (10_i8 ^ 13).count_ones() + (5_i8 ^ -123).count_ones();
        assert_eq!(norms.bits, u64::from(bits));
    }

    #[test]
    fn weights_have_the_scale_of_their_channel() {
        let mut graph = vmin_testkit::random_graph(1);
        let weights = &mut graph.weights[0];
        let mut read = weights.codes.clone();
        let last = read.len() - 1;
        read[last] ^= 1;
        let scale = f64::from(*weights.scales.last().expect("a scale"));
        let norms = Norms::of_weights(weights, &read);
        assert_eq!((norms.values, norms.bits, norms.l1), (1, 1, scale));
        assert_eq!((norms.l2, norms.linf), (scale, scale));
        let same = Norms::of_weights(weights, &weights.codes);
        assert_eq!(same, Norms { relative_l2: Some(0.0), ..Norms::default() });
    }

    #[test]
    fn a_tally_has_means_and_maxima() {
        let mut tally = Tally::default();
        for l1 in [1.0, 5.0, 0.0] {
            tally.add(&Norms { values: 2, l1, ..Norms::default() });
        }
        let row = tally.row(850.0, "activation", "a", 4);
        assert_eq!((row.l1_mean, row.l1_max, row.l0_mean, row.changed_share), (2.0, 5.0, 2.0, 0.5));
        assert_eq!((row.pixels_mean, row.relative_l2_max), (None, None));
    }
}
