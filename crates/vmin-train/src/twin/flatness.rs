//! Flatness: by how much the loss rises when weights move a little.
//!
//! Distances are relative: each weight tensor w moves by at most (worst case) or exactly (average case) `xi |w|`, so
//! that a network whose layers are rescaled, with the same outputs, is as flat as before (D. Stutz, M. Hein, B.
//! Schiele, "Relating Adversarially Robust Generalization to Flat Minima", ICCV 2021). Norm parameters and biases do
//! not move: they do not lie in the weight memory.
//!
//! Bit errors are such moves. A rate p of wrong bits moves a weight of m bits with steps of size d by a mean square of
//! `p d^2 (4^m - 1) / 3`: the sum of `4^j` over the bits. Noise of that size needs no chip, and foretells what bit
//! errors do.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use super::{Moved, Twin};
use crate::CHUNK_IMAGES;
use crate::Real;
use crate::engine::{Engine, EngineError, Score};
use crate::loss::cross_entropy;
use crate::network::{Values, forward_into};
use crate::random::{Purpose, Stream};

/// A network with images, at its stored codes.
pub struct Flatness<'a> {
    twin: &'a Twin,
    codes: Vec<Vec<u8>>,
    inputs: &'a [f32],
    labels: &'a [u8],
    seed: u64,
    stop: &'a AtomicBool,
}

/// Why flatness is not known.
#[derive(Debug, thiserror::Error)]
pub enum FlatnessError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was stopped.
    #[error("interrupted")]
    Stopped,
}

/// Loss and errors under moved weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnderNoise {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of wrong images.
    pub err: f64,
}

/// The ascent to the worst weights nearby.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent {
    /// Radius relative to each tensor.
    pub xi: f64,
    /// Steps of a run.
    pub steps: usize,
    /// Length of a step, in radii.
    pub step: f64,
    /// Runs from random points, the worst of which counts.
    pub restarts: usize,
}

impl<'a> Flatness<'a> {
    /// The network of `twin` with these codes, and real inputs with labels, at least one.
    #[must_use]
    pub fn new(
        twin: &'a Twin,
        codes: Vec<Vec<u8>>,
        (inputs, labels): (&'a [f32], &'a [u8]),
        seed: u64,
        stop: &'a AtomicBool,
    ) -> Self {
        Self { twin, codes, inputs, labels, seed, stop }
    }

    /// Without noise.
    ///
    /// # Errors
    /// It was stopped.
    pub fn clean(&self) -> Result<UnderNoise, FlatnessError> {
        self.at(&self.none())
    }

    /// Each weight tensor moved by `xi` of its norm in a random direction, in sample number `sample`.
    ///
    /// # Errors
    /// It was stopped.
    pub fn moved(&self, xi: f64, sample: usize) -> Result<UnderNoise, FlatnessError> {
        self.at(&self.scaled(self.directions(sample), xi))
    }

    /// Noise of the size of a rate of wrong bits, in sample number `sample`: in all weights, or in one tensor alone.
    ///
    /// # Errors
    /// It was stopped.
    pub fn bit_noise(
        &self,
        rate: f64,
        sample: usize,
        tensor: Option<usize>,
    ) -> Result<UnderNoise, FlatnessError> {
        let mut moved = self.normals(sample, tensor);
        for (tensor, moved) in moved.iter_mut().enumerate() {
            let deviation = steps_of(rate, self.twin.bits(tensor));
            moved.iter_mut().for_each(|by| *by *= deviation);
        }
        self.at(&moved)
    }

    /// The relative size of that noise in a tensor: the root of its mean square over the norm of the weights.
    #[must_use]
    pub fn xi_of_rate(&self, rate: f64, tensor: usize) -> f64 {
        let deviation = steps_of(rate, self.twin.bits(tensor));
        let codes = &self.codes[tensor];
        let noise = self.twin.norm_of(tensor, &vec![deviation; codes.len()]);
        noise / self.twin.norm(tensor, codes).max(f64::MIN_POSITIVE)
    }

    /// The worst weights within `xi` of each tensor's norm: gradient ascent from random points.
    ///
    /// # Errors
    /// The engine failed, or it was stopped.
    pub fn worst(&self, ascent: Ascent) -> Result<UnderNoise, FlatnessError> {
        let mut worst = UnderNoise { loss: f64::NEG_INFINITY, err: 0.0 };
        let mut engine = Engine::cpu();
        for restart in 0..ascent.restarts {
            let mut moved = self.scaled(self.directions(restart), ascent.xi);
            for _ in 0..ascent.steps {
                self.go_on()?;
                let parameters = self.twin.parameters_moved(&self.codes, &moved);
                let network = self.twin.network();
                let slope =
                    network.loss_gradient(&mut engine, &parameters, self.inputs, self.labels)?;
                // Steepest in stored weights: the derivative by a weight, in steps, is that by its integer over the
                // square of the step.
                let by = self.over_scales(self.twin.by_integer(&slope), 2);
                let by = self.scaled(by, ascent.xi * ascent.step);
                for (moved, by) in moved.iter_mut().flatten().zip(by.iter().flatten()) {
                    *moved += by;
                }
                moved = self.within(moved, ascent.xi);
            }
            let here = self.at(&moved)?;
            if here.loss > worst.loss {
                worst = here;
            }
        }
        Ok(worst)
    }

    fn go_on(&self) -> Result<(), FlatnessError> {
        if self.stop.load(Ordering::Relaxed) { Err(FlatnessError::Stopped) } else { Ok(()) }
    }

    fn none(&self) -> Moved {
        self.codes.iter().map(|codes| vec![0.0; codes.len()]).collect()
    }

    /// Independent normal numbers, in integer steps, in all tensors or in one.
    fn normals(&self, sample: usize, only: Option<usize>) -> Moved {
        let mut moved = self.none();
        for (tensor, moved) in moved.iter_mut().enumerate() {
            if only.is_none_or(|only| only == tensor) {
                let mut stream = Stream::of(self.seed, Purpose::Flatness, &[sample, tensor]);
                moved.iter_mut().for_each(|by| *by = f32::of(stream.normal()));
            }
        }
        moved
    }

    /// Random directions of the stored weights, all alike in every direction.
    fn directions(&self, sample: usize) -> Moved {
        self.over_scales(self.normals(sample, None), 1)
    }

    /// Steps over a power of the real weight of a step.
    fn over_scales(&self, mut moved: Moved, power: i32) -> Moved {
        for (tensor, moved) in moved.iter_mut().enumerate() {
            for (index, by) in moved.iter_mut().enumerate() {
                *by = f32::of(f64::from(*by) / self.twin.scale_of(tensor, index).powi(power));
            }
        }
        moved
    }

    /// Moves with the norm `xi |w|` in each tensor; none where there is no direction.
    fn scaled(&self, mut moved: Moved, xi: f64) -> Moved {
        self.rescale(&mut moved, |norm, weights| xi * weights / norm);
        moved
    }

    /// Moves with at most the norm `xi |w|`.
    fn within(&self, mut moved: Moved, xi: f64) -> Moved {
        self.rescale(&mut moved, |norm, weights| (xi * weights / norm).min(1.0));
        moved
    }

    fn rescale(&self, moved: &mut Moved, factor: impl Fn(f64, f64) -> f64) {
        for (tensor, moved) in moved.iter_mut().enumerate() {
            let norm = self.twin.norm_of(tensor, moved);
            let weights = self.twin.norm(tensor, &self.codes[tensor]);
            let factor = factor(norm, weights);
            let factor = if factor.is_finite() { f32::of(factor) } else { 0.0 };
            moved.iter_mut().for_each(|by| *by *= factor);
        }
    }

    fn at(&self, moved: &Moved) -> Result<UnderNoise, FlatnessError> {
        self.go_on()?;
        let parameters = self.twin.parameters_moved(&self.codes, moved);
        let network = self.twin.network();
        let size: usize = network.values[0].iter().product();
        let chunks: Vec<Score> = self
            .inputs
            .par_chunks(CHUNK_IMAGES * size)
            .zip(self.labels.par_chunks(CHUNK_IMAGES))
            .map_init(Values::new, |values, (inputs, labels)| {
                forward_into(network, &parameters, inputs, None, values);
                let logits = values.read(network.output());
                let loss = cross_entropy(logits, labels, network.classes(), 1.0);
                Score { loss: loss.sum, wrong: loss.wrong }
            })
            .collect();
        let images = self.labels.len() as f64;
        // In the order of the chunks: the same bits for any number of threads.
        let loss = chunks.iter().map(|chunk| chunk.loss).sum::<f64>() / images;
        let err = chunks.iter().map(|chunk| chunk.wrong).sum::<usize>() as f64 / images;
        Ok(UnderNoise { loss, err })
    }
}

/// Deviation of the noise of a rate of wrong bits, in integer steps.
fn steps_of(rate: f64, bits: u8) -> f32 {
    f32::of(libm::sqrt(rate * (libm::pow(4.0, f64::from(bits)) - 1.0) / 3.0))
}

#[cfg(test)]
mod tests {
    use vmin_nn::Graph;
    use vmin_nn::data::{Split, shapes};

    use super::*;

    static NEVER: AtomicBool = AtomicBool::new(false);

    struct Case {
        graph: Graph,
        twin: Twin,
        inputs: Vec<f32>,
        labels: Vec<u8>,
    }

    fn case(images: usize) -> Case {
        let graph = vmin_nn::model::load(std::path::Path::new("builtin:shapes-rquant-8bit"));
        let graph = graph.expect("builtin");
        let data = shapes::generate(shapes::SEED, Split::Test, images);
        let twin = Twin::of(&graph).expect("a twin");
        let inputs = twin.inputs(&graph, &data.images).expect("a rule");
        Case { graph, twin, inputs, labels: data.labels }
    }

    impl Case {
        fn codes(&self) -> Vec<Vec<u8>> {
            self.graph.weights.iter().map(|of| of.codes.clone()).collect()
        }

        fn flatness(&self) -> Flatness<'_> {
            Flatness::new(&self.twin, self.codes(), (&self.inputs, &self.labels), 7, &NEVER)
        }
    }

    #[test]
    fn the_noise_of_a_rate_has_the_mean_square_of_random_bit_flips() {
        let case = case(16);
        let flatness = case.flatness();
        let rate = 0.02;
        for (tensor, of) in case.graph.weights.iter().enumerate() {
            let table = of.encoding.decode_table(of.bits);
            let mut stream = Stream::new(3, Purpose::BitErrors, tensor);
            let (mut squares, mut count) = (0.0, 0.0);
            for _ in 0..200_000_usize.div_ceil(of.codes.len()) {
                for &code in &of.codes {
                    let flips = (0..of.bits).filter(|_| stream.unit() < rate);
                    let read = flips.fold(code, |code, bit| code ^ 1 << bit);
                    let by =
                        i32::from(table[usize::from(read)]) - i32::from(table[usize::from(code)]);
                    squares += f64::from(by * by);
                    count += 1.0;
                }
            }
            let (told, seen) = (f64::from(steps_of(rate, of.bits)), libm::sqrt(squares / count));
            assert!((told / seen - 1.0).abs() < 0.05, "{told} {seen}");
            // And what is moved has it.
            let moved = &flatness.normals(0, Some(tensor))[tensor];
            let mean = moved.iter().map(|&by| f64::from(by * by)).sum::<f64>() / moved.len() as f64;
            assert!((mean - 1.0).abs() < 5.0 * libm::sqrt(2.0 / moved.len() as f64), "{mean}");
            let xi = flatness.xi_of_rate(rate, tensor);
            let root = libm::sqrt(of.codes.len() as f64);
            let expected =
                told * f64::from(of.scales[0]) * root / case.twin.norm(tensor, &of.codes);
            assert!((xi / expected - 1.0).abs() < 1e-5, "{xi} {expected}");
        }
    }

    #[test]
    fn moves_have_their_relative_norm_and_ascents_stay_in_the_ball() {
        let case = case(16);
        let flatness = case.flatness();
        let codes = case.codes();
        let moved = flatness.scaled(flatness.directions(2), 0.3);
        for (tensor, moved) in moved.iter().enumerate() {
            let norm = case.twin.norm_of(tensor, moved) / case.twin.norm(tensor, &codes[tensor]);
            assert!((norm - 0.3).abs() < 1e-4, "{norm}");
        }
        let inside = flatness.within(moved.clone(), 0.4);
        assert_eq!(inside, moved);
        let cut = flatness.within(moved, 0.1);
        for (tensor, moved) in cut.iter().enumerate() {
            let norm = case.twin.norm_of(tensor, moved) / case.twin.norm(tensor, &codes[tensor]);
            assert!((norm - 0.1).abs() < 1e-4, "{norm}");
        }
    }

    #[test]
    fn the_worst_weights_are_worse_than_random_ones_and_no_move_changes_nothing() {
        let case = case(64);
        let flatness = case.flatness();
        let clean = flatness.clean().expect("runs");
        assert_eq!(flatness.moved(0.0, 1).expect("runs"), clean);
        assert_eq!(flatness.bit_noise(0.0, 1, None).expect("runs"), clean);
        let mean =
            (0..5).map(|sample| flatness.moved(0.05, sample).expect("runs").loss).sum::<f64>()
                / 5.0;
        let ascent = Ascent { xi: 0.05, steps: 8, step: 0.3, restarts: 2 };
        let worst = flatness.worst(ascent).expect("runs");
        assert!(worst.loss > mean && worst.loss > clean.loss + 0.05, "{worst:?} {mean} {clean:?}");
        // Larger rates do more harm; one tensor no more than all.
        let at = |rate, tensor| flatness.bit_noise(rate, 0, tensor).expect("runs").loss;
        assert!(at(0.001, None) < at(0.02, None) && at(0.02, Some(0)) < at(0.02, None));
        let stopped = AtomicBool::new(true);
        let flatness = Flatness { stop: &stopped, ..flatness };
        assert!(matches!(flatness.clean(), Err(FlatnessError::Stopped)));
    }
}
