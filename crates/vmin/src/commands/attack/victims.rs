//! The victims of attacks on images: the float twin with derivatives, or the chip as a black box.

use std::sync::atomic::{AtomicBool, Ordering};

use vmin_attack::image::{Objective, Slope, Slopes, Victim};
use vmin_emulator::{Confidences, Images, OpenChip, TrialSpec};
use vmin_kernels::GemmKernel;
use vmin_nn::Graph;
use vmin_train::{EngineError, FloatVictim};

use crate::Failure;
use crate::commands::setup;

/// The float twin, which can be interrupted.
pub(super) struct White<'a> {
    pub(super) victim: FloatVictim<'a>,
    pub(super) stop: &'a AtomicBool,
}

impl White<'_> {
    fn go_on(&self) -> Result<(), Failure> {
        if self.stop.load(Ordering::Relaxed) { Err(interrupted()) } else { Ok(()) }
    }
}

fn engine(error: &EngineError) -> Failure {
    Failure::input("engine", error)
}

fn interrupted() -> Failure {
    Failure::Interrupted("interrupted".to_owned())
}

impl Victim for White<'_> {
    type Error = Failure;

    fn classes(&self) -> usize {
        self.victim.classes()
    }

    fn confidences(&mut self, images: &[f32]) -> Result<Vec<f32>, Failure> {
        self.go_on()?;
        self.victim.confidences(images).map_err(|error| engine(&error))
    }

    fn objectives(
        &mut self,
        images: &[f32],
        labels: &[u8],
        objective: Objective,
    ) -> Result<Vec<f64>, Failure> {
        self.go_on()?;
        self.victim.objectives(images, labels, objective).map_err(|error| engine(&error))
    }
}

impl Slopes for White<'_> {
    fn slope(
        &mut self,
        images: &[f32],
        labels: &[u8],
        objective: Objective,
    ) -> Result<Slope, Failure> {
        self.go_on()?;
        self.victim.slope(images, labels, objective).map_err(|error| engine(&error))
    }
}

/// The integer network on a chip, or without errors where there is no chip: only its confidences are seen.
pub(super) struct Black<'a> {
    pub(super) graph: &'a Graph,
    pub(super) chip: Option<(&'a OpenChip<'a>, TrialSpec<'a>)>,
    pub(super) kernel: &'static dyn GemmKernel,
    pub(super) stop: &'a AtomicBool,
}

impl Black<'_> {
    /// The confidences of all classes for images of whole pixels.
    pub(super) fn read(&self, pixels: &[u8]) -> Result<Vec<Vec<f64>>, Failure> {
        let size = self.graph.tensors[self.graph.input.0].elements();
        let labels = vec![0; pixels.len() / size];
        let emulator = setup::reading(self.graph, Images { pixels, labels: &labels }, self.kernel)?;
        let emulator = emulator.reading(Confidences::of_network(self.graph));
        let Some((chip, trial)) = &self.chip else {
            return emulator.predict_clean(self.stop).map_err(|_| interrupted());
        };
        // Predictions without bit errors are made only where the chip changes no bit, which gives these back.
        let read = chip.predict(*trial, &emulator, &[], self.stop).map_err(|_| interrupted())?.0;
        if read.is_empty() {
            return emulator.predict_clean(self.stop).map_err(|_| interrupted());
        }
        Ok(read)
    }
}

impl Victim for Black<'_> {
    type Error = Failure;

    fn classes(&self) -> usize {
        self.graph.tensors[self.graph.output.0].elements()
    }

    fn confidences(&mut self, images: &[f32]) -> Result<Vec<f32>, Failure> {
        let pixels: Vec<u8> = images.iter().map(|&value| nearest(value)).collect();
        let read = self.read(&pixels)?;
        Ok(read.into_iter().flatten().map(|share| share as f32).collect())
    }
}

/// The nearest pixel to a value of 0 to 1.
fn nearest(value: f32) -> u8 {
    (value * 255.0).round() as u8
}
