//! The gradient of a whole batch.
//!
//! Chunks of images run independently from one batch normalization to the next. There all chunks join, because
//! mean and variance are those of the batch:
//!
//! ```text
//!  chunk 0  ──stage──┐            ┌──stage── ...
//!  chunk 1  ──stage──┼─ moments ──┼──stage── ...        and back in the same way
//!  chunk 2  ──stage──┘            └──stage── ...
//! ```
//!
//! Sums run over the chunks in order: any number of threads gives the same bits.

use std::ops::Range;

use rayon::prelude::*;

use super::batch_norm::{BatchNorm, Moments, Statistics, Sums, add_sums};
use super::memory::{Memory, Values};
use super::pass::{Back, Gradients, backward_steps, cut_back, forward_steps};
use super::{Network, ValueId};
use crate::loss::cross_entropy;
use crate::real::Real;

/// Gradient, loss and errors of a batch.
pub struct BatchSum<T> {
    /// Gradient of the loss by the parameters.
    pub gradients: Gradients<T>,
    /// Sum of the loss over the images, not scaled.
    pub loss: f64,
    /// Wrong images.
    pub wrong: usize,
    /// Derivatives of the loss by the images as they are read, one after the other; empty unless
    /// [`Batch::image_gradient`] asks for them.
    pub images: Vec<T>,
}

/// Source of the moments of batch normalizations.
#[derive(Clone, Copy, Debug)]
pub enum Normalization<'a, T> {
    /// Mean and variance of the batch, through which the gradient flows.
    OfBatch,
    /// These moments, as constants.
    Constant(&'a [Moments<T>]),
}

/// Images with their labels, and the factor of their losses.
pub struct Batch<'a, T> {
    /// All images, one after the other.
    pub inputs: &'a [T],
    /// One label per image.
    pub labels: &'a [u8],
    /// Factor of the loss.
    pub scale: T,
    /// Whether the derivatives by the images are wanted; training does not use them.
    pub image_gradient: bool,
    /// Number of the first chunk, from which the errors of the memory follow.
    pub(crate) first_chunk: usize,
    /// Memory of the values; they stay as they are if it is absent.
    pub(crate) memory: Option<&'a dyn Memory<T>>,
}

impl<'a, T> Batch<'a, T> {
    /// Images whose values stay as the layers compute them.
    #[must_use]
    pub fn new(inputs: &'a [T], labels: &'a [u8], scale: T) -> Self {
        Self { inputs, labels, scale, image_gradient: false, first_chunk: 0, memory: None }
    }
}

/// Buffers of a batch, which the next batch uses again; no value passes from one batch to the next.
#[derive(Default)]
pub(crate) struct Workspace<T> {
    chunks: Vec<Chunk<T>>,
}

#[derive(Default)]
struct Chunk<T> {
    labels: Vec<u8>,
    values: Values<T>,
    dvalues: Vec<Vec<T>>,
    gradients: Gradients<T>,
    loss: f64,
    wrong: usize,
}

impl<T: Real> Workspace<T> {
    /// A value of all images of the last forward pass as read.
    pub(crate) fn values(&self, value: ValueId) -> Vec<T> {
        self.chunks.iter().flat_map(|chunk| chunk.values.read(value)).copied().collect()
    }

    /// Smallest and largest element of some values of the last forward pass as computed, both including 0.
    pub(crate) fn extremes(&self, values: &[ValueId]) -> Vec<[T; 2]> {
        let of = |chunk: &Chunk<T>, value: ValueId| {
            let none = [T::zero(); 2];
            chunk.values.made(value).iter().fold(none, |[low, high], &x| [low.min(x), high.max(x)])
        };
        let all = values.par_iter().map(|&value| {
            let chunks = self.chunks.iter().map(|chunk| of(chunk, value));
            chunks.fold([T::zero(); 2], |a, b| [a[0].min(b[0]), a[1].max(b[1])])
        });
        all.collect()
    }
}

/// Result of a forward pass, beside the values that stay in the engine.
pub struct Forward<T> {
    /// Moments that each batch normalization used.
    pub moments: Vec<Moments<T>>,
    /// Statistics of each batch normalization for its running averages; empty where the moments were
    /// given.
    pub statistics: Vec<Statistics>,
}

/// All values of the images, in chunks of `chunk_images`.
pub(crate) fn forward_batch<T: Real>(
    net: &Network,
    parameters: &[Vec<T>],
    batch: &Batch<'_, T>,
    chunk_images: usize,
    normalization: Normalization<'_, T>,
    room: &mut Workspace<T>,
) -> Forward<T> {
    let Batch { inputs, labels, .. } = *batch;
    let size = net.elements(super::ValueId(0));
    room.chunks.resize_with(labels.len().div_ceil(chunk_images), Chunk::default);
    let chunks = &mut room.chunks[..];
    chunks
        .par_iter_mut()
        .zip(labels.par_chunks(chunk_images).zip(inputs.par_chunks(chunk_images * size)))
        .for_each(|(chunk, (labels, inputs))| {
            chunk.labels = labels.to_vec();
            chunk.values.start(net, inputs);
        });
    let mut moments = normalization.given();
    let mut statistics = Vec::new();
    for stage in normalization.stages(net) {
        if let Some((norm, from)) = normalization.meets(net, &stage) {
            let sums =
                ordered(chunks, norm.channels, |chunk| norm.sums(chunk.values.read(ValueId(from))));
            let (batch, running) = BatchNorm::moments(&sums, count(net, labels.len(), from));
            moments.push(batch);
            statistics.push(running);
        }
        chunks.par_iter_mut().enumerate().for_each(|(index, chunk)| {
            let memory = batch.memory.map(|memory| (memory, batch.first_chunk + index));
            let stage = stage.clone();
            forward_steps(net, parameters, &moments, stage, memory, &mut chunk.values);
        });
    }
    Forward { moments, statistics }
}

/// The gradient of the scaled loss after [`forward_batch`] with the same arguments.
///
/// `through` as in [`Passes::backward`](crate::engine::Passes::backward).
pub(crate) fn backward_batch<T: Real>(
    net: &Network,
    parameters: &[Vec<T>],
    batch: &Batch<'_, T>,
    normalization: Normalization<'_, T>,
    forward: &Forward<T>,
    through: Option<&Gradients<T>>,
    room: &mut Workspace<T>,
) -> BatchSum<T> {
    let chunks = &mut room.chunks[..];
    let mut norm_gradients: Vec<(usize, Vec<T>)> = Vec::new();
    let stages = normalization.stages(net);
    let last = stages.len() - 1;
    for (index, stage) in stages.iter().enumerate().rev() {
        let norm = normalization.meets(net, stage);
        let plain = stage.start + usize::from(norm.is_some())..stage.end;
        chunks.par_iter_mut().for_each(|chunk| {
            if index == last {
                chunk.start_back(net, parameters, batch.scale);
            }
            let Chunk { values, dvalues, gradients, .. } = chunk;
            let back =
                Back { net, parameters, moments: &forward.moments, images: batch.image_gradient };
            backward_steps(&back, values, plain.clone(), dvalues, gradients);
            if norm.is_some() {
                let step = &net.steps[stage.start];
                cut_back(net, step, values, &mut dvalues[step.output.0]);
            }
        });
        let Some((norm, from)) = norm else { continue };
        let to = net.steps[stage.start].output.0;
        let moments = &forward.moments[norm.statistics];
        let mut sums = ordered(chunks, norm.channels, |chunk| {
            norm.gradient_sums(chunk.values.read(ValueId(from)), &chunk.dvalues[to], moments)
        });
        for (parameter, which) in [(norm.shift, 0), (norm.scale, 1)] {
            let own = sums.iter().map(|sums| T::of(sums[which])).collect();
            norm_gradients.push((parameter.0, own));
            // The derivatives by the moments need the same sums as those by shift and scale.
            let others = through.map(|gradients| &gradients[parameter.0]).into_iter().flatten();
            sums.iter_mut().zip(others).for_each(|(sums, other)| sums[which] += other.wide());
        }
        let all = (&sums, count(net, batch.labels.len(), from));
        let scales = &parameters[norm.scale.0];
        chunks.par_iter_mut().for_each(|chunk| {
            let dy = std::mem::take(&mut chunk.dvalues[to]);
            let dx = &mut chunk.dvalues[from];
            norm.backward(chunk.values.read(ValueId(from)), &dy, scales, moments, all, dx);
            chunk.dvalues[to] = dy;
        });
    }
    let mut sum = in_order(chunks);
    if batch.image_gradient {
        sum.images = chunks.iter().flat_map(|chunk| &chunk.dvalues[0]).copied().collect();
    }
    for (parameter, gradient) in norm_gradients {
        sum.gradients[parameter] = gradient;
    }
    sum
}

impl<T: Clone> Normalization<'_, T> {
    fn given(&self) -> Vec<Moments<T>> {
        match self {
            Self::OfBatch => Vec::new(),
            Self::Constant(moments) => moments.to_vec(),
        }
    }

    /// Ranges of steps that chunks run independently.
    fn stages(&self, net: &Network) -> Vec<Range<usize>> {
        match self {
            Self::OfBatch => net.stages(),
            Self::Constant(_) => std::iter::once(0..net.steps.len()).collect(),
        }
    }

    /// The batch normalization at which all chunks join before a stage, and its input.
    fn meets<'n>(&self, net: &'n Network, stage: &Range<usize>) -> Option<(&'n BatchNorm, usize)> {
        match self {
            Self::OfBatch => leading_norm(net, stage.start),
            Self::Constant(_) => None,
        }
    }
}

impl<T: Real> Chunk<T> {
    /// Computes the loss, and clears all gradients except that of the logits.
    fn start_back(&mut self, net: &Network, parameters: &[Vec<T>], scale: T) {
        let logits = self.values.read(net.output());
        let loss = cross_entropy(logits, &self.labels, net.classes(), scale);
        (self.loss, self.wrong) = (loss.sum, loss.wrong);
        let zeros = |room: &mut Vec<Vec<T>>, like: &[Vec<T>]| {
            room.resize_with(like.len(), Vec::new);
            for (room, like) in room.iter_mut().zip(like) {
                room.clear();
                room.resize(like.len(), T::zero());
            }
        };
        zeros(&mut self.gradients, parameters);
        zeros(&mut self.dvalues, &self.values.made);
        self.dvalues[net.output().0] = loss.dlogits;
    }
}

/// The batch normalization at the start of a stage, and its input.
fn leading_norm(net: &Network, step: usize) -> Option<(&BatchNorm, usize)> {
    let step = &net.steps[step];
    step.layer.batch_norm().map(|norm| (norm, step.inputs[0].0))
}

/// Elements per channel of a value over the whole batch.
fn count(net: &Network, images: usize, value: usize) -> usize {
    let [height, width, _] = net.values[value];
    images * height * width
}

fn ordered<T: Real>(
    chunks: &[Chunk<T>],
    channels: usize,
    sums: impl Fn(&Chunk<T>) -> Sums + Sync + Send,
) -> Sums {
    let parts: Vec<Sums> = chunks.par_iter().map(sums).collect();
    parts.iter().fold(vec![[0.0; 2]; channels], add_sums)
}

fn in_order<T: Real>(chunks: &[Chunk<T>]) -> BatchSum<T> {
    let mut sum = BatchSum { gradients: Vec::new(), loss: 0.0, wrong: 0, images: Vec::new() };
    for chunk in chunks {
        sum.loss += chunk.loss;
        sum.wrong += chunk.wrong;
        if sum.gradients.is_empty() {
            sum.gradients.clone_from(&chunk.gradients);
            continue;
        }
        for (sum, values) in sum.gradients.iter_mut().zip(&chunk.gradients) {
            sum.iter_mut().zip(values).for_each(|(sum, &value)| *sum += value);
        }
    }
    sum
}
