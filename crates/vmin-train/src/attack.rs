//! The float network as a victim of [`vmin_attack::image`] and [`vmin_attack::patch`].
//!
//! Images are values in 0..=1 there, pixels of 0..=255 here; what lies between two grey levels is not rounded.

use vmin_attack::image::{Objective, Slope, Slopes, Victim};

use crate::engine::{Engine, EngineError, Goal, Pass, Passes, Slot};
use crate::loss::other_class;
use crate::network::{Batch, Moments, Network, Normalization};
use crate::real::Real;
use crate::recipe::InputScaling;

/// Images per pass: an engine holds all values of a pass.
const IMAGES: usize = 128;

/// Grey levels between 0 and 1.
pub(crate) const LEVELS: f32 = 255.0;

/// A float network at some parameters.
pub struct FloatVictim<'a> {
    network: &'a Network,
    parameters: &'a [Vec<f32>],
    moments: Vec<Moments<f32>>,
    /// Factor and offset from values to inputs: one pair, or one for each channel.
    lines: Vec<[f32; 2]>,
    passes: &'a mut dyn Passes,
}

impl<'a> FloatVictim<'a> {
    /// The network as deployed: batch normalizations use their running averages.
    #[must_use]
    pub fn new(
        network: &'a Network,
        parameters: &'a [Vec<f32>],
        input: InputScaling,
        engine: &'a mut Engine,
    ) -> Self {
        Self::with_moments(network, parameters, network.running_moments(), input, engine.passes())
    }

    /// A network whose inputs are lines of the values, one for all channels or one for each.
    pub(crate) fn with_lines(
        network: &'a Network,
        parameters: &'a [Vec<f32>],
        lines: Vec<[f32; 2]>,
        engine: &'a mut Engine,
    ) -> Self {
        let (moments, passes) = (network.running_moments(), engine.passes());
        Self { network, parameters, moments, lines, passes }
    }

    /// The network with these moments of its batch normalizations.
    pub(crate) fn with_moments(
        network: &'a Network,
        parameters: &'a [Vec<f32>],
        moments: Vec<Moments<f32>>,
        input: InputScaling,
        passes: &'a mut dyn Passes,
    ) -> Self {
        let InputScaling { zero_pixel, scale } = input;
        let lines = vec![[scale * LEVELS, -scale * f32::from(zero_pixel)]];
        Self { network, parameters, moments, lines, passes }
    }

    /// Factor and offset of each value of an image, over and over.
    fn lines(&self) -> impl Iterator<Item = &[f32; 2]> {
        self.lines.iter().cycle()
    }

    /// Runs the images part by part; `by` gets the passes, each with its images.
    fn run(
        &mut self,
        images: &[f32],
        labels: &[u8],
        goal: Goal<'_, f32>,
        mut by: impl FnMut(&mut dyn Passes, &Pass<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let size = self.network.elements(crate::network::ValueId(0));
        for (images, labels) in images.chunks(IMAGES * size).zip(labels.chunks(IMAGES)) {
            let lines = images.iter().zip(self.lines());
            let inputs: Vec<f32> = lines.map(|(value, [by, from])| by * value + from).collect();
            let batch = Batch { image_gradient: true, goal, ..Batch::new(&inputs, labels, 1.0) };
            let normalization = Normalization::Constant(&self.moments);
            let (network, parameters) = (self.network, self.parameters);
            by(self.passes, &Pass { network, parameters, batch, normalization })?;
        }
        Ok(())
    }
}

impl Victim for FloatVictim<'_> {
    type Error = EngineError;

    fn classes(&self) -> usize {
        self.network.classes()
    }

    fn confidences(&mut self, images: &[f32]) -> Result<Vec<f32>, EngineError> {
        let size = self.network.elements(crate::network::ValueId(0));
        let labels = vec![0; images.len() / size];
        let mut all = Vec::new();
        self.run(images, &labels, Goal::Label, |passes, pass| {
            passes.forward(Slot::Perturbed, pass)?;
            let logits = passes.logits(Slot::Perturbed, pass)?;
            all.extend(softmax(&logits, pass.network.classes()));
            Ok(())
        })?;
        Ok(all)
    }

    fn objectives(
        &mut self,
        images: &[f32],
        labels: &[u8],
        objective: Objective,
    ) -> Result<Vec<f64>, EngineError> {
        let mut all = Vec::new();
        self.run(images, labels, Goal::Label, |passes, pass| {
            passes.forward(Slot::Perturbed, pass)?;
            let logits = passes.logits(Slot::Perturbed, pass)?;
            all.extend(by_logits(objective, &logits, pass));
            Ok(())
        })?;
        Ok(all)
    }
}

impl Slopes for FloatVictim<'_> {
    fn slope(
        &mut self,
        images: &[f32],
        labels: &[u8],
        objective: Objective,
    ) -> Result<Slope, EngineError> {
        let (goal, sign) = match objective {
            Objective::CrossEntropy => (Goal::Label, 1.0),
            Objective::WrongConfidence => (Goal::OtherClass, 1.0),
            Objective::Target => (Goal::Label, -1.0),
        };
        let factors: Vec<f32> = self.lines.iter().map(|[by, _]| sign * by).collect();
        let mut slope = Slope { objectives: Vec::new(), by_value: Vec::new() };
        self.run(images, labels, goal, |passes, pass| {
            let forward = passes.forward(Slot::Perturbed, pass)?;
            let logits = passes.logits(Slot::Perturbed, pass)?;
            slope.objectives.extend(by_logits(objective, &logits, pass));
            let sum = passes.backward(Slot::Perturbed, pass, &forward, None)?;
            let factors = factors.iter().cycle();
            slope.by_value.extend(sum.images.iter().zip(factors).map(|(by, factor)| factor * by));
            Ok(())
        })?;
        Ok(slope)
    }
}

/// The objective of each image by its logits: where confidences are too small for an f32, it still rises and falls.
fn by_logits(objective: Objective, logits: &[f32], pass: &Pass<'_>) -> Vec<f64> {
    let of = |(logits, &label): (&[f32], &u8)| {
        let label = usize::from(label);
        let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let powers = logits.iter().map(|&logit| libm::exp(f64::from(logit) - most));
        let total = most + libm::log(powers.sum());
        let log = |class: usize| f64::from(logits[class]) - total;
        match objective {
            Objective::CrossEntropy => -log(label),
            Objective::WrongConfidence => log(other_class(logits, label)),
            Objective::Target => log(label),
        }
    };
    logits.chunks(pass.network.classes()).zip(pass.batch.labels).map(of).collect()
}

/// Confidences of each image.
fn softmax(logits: &[f32], classes: usize) -> Vec<f32> {
    let of = |logits: &[f32]| {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f32> = logits.iter().map(|logit| (logit - most).portable_exp()).collect();
        let total: f32 = powers.iter().sum();
        powers.into_iter().map(move |power| power / total)
    };
    logits.chunks(classes).flat_map(of).collect()
}
