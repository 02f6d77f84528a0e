//! Inference on a set of images, with codes and buffers as the memories of a chip give them back.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use vmin_accel::PerMemory;
use vmin_kernels::GemmKernel;
use vmin_nn::{Executor, Graph, LoadedWeights, Scratch};
use vmin_sram::Applied;

use crate::memory::activations::ActivationFaults;
use crate::memory::sums::{LoadedSumFaults, SumFaults};
use crate::memory::weights::{Corrupted, written};
use crate::readout::{Class, Readout};

/// Images per task: small enough to spread one evaluation over the threads and to stop soon, large
/// enough that scratch memory is seldom allocated.
const IMAGES_PER_TASK: usize = 16;

/// Why a network cannot be emulated on a set of images.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmulatorError {
    /// The images are of another size than the network's input.
    #[error("the network reads {expected} values per image, the data set has {found}")]
    ImageSize {
        /// Values the network reads.
        expected: usize,
        /// Values per image.
        found: usize,
    },
    /// Nothing says how pixels become the network's input.
    #[error("{0}")]
    Pixels(String),
    /// Number of labels and images differ.
    #[error("{images} images have {labels} labels")]
    Labels {
        /// Whole images found.
        images: usize,
        /// Labels found.
        labels: usize,
    },
    /// A label names a class the network does not have.
    #[error("a label names class {label}, the network has {classes} outputs")]
    Classes {
        /// The highest label.
        label: usize,
        /// Outputs of the network.
        classes: usize,
    },
    /// Asked to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Evaluation was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// Labelled images: `pixels` is `[count, height, width, channels]` flat.
#[derive(Clone, Copy, Debug)]
pub struct Images<'d> {
    /// All pixels.
    pub pixels: &'d [u8],
    /// One label per image.
    pub labels: &'d [u8],
}

/// Faults of the memories beside that of the weights; none where a memory does not err.
#[derive(Clone, Copy, Debug, Default)]
pub struct BufferFaults<'f> {
    /// Of the activation memory.
    pub activations: Option<&'f ActivationFaults<'f>>,
    /// Of the accumulator memory.
    pub sums: Option<&'f SumFaults<'f>>,
}

/// What the memories do to one image.
#[derive(Debug)]
pub struct ImageRead<'m> {
    /// The weights that it meets.
    pub weights: Corrupted,
    /// Faults of the activation memory, if it errs.
    pub activations: Option<ActivationFaults<'m>>,
    /// Faults of the accumulator memory, if it errs.
    pub sums: Option<SumFaults<'m>>,
}

/// Right predictions of one corrupted network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Images predicted right.
    pub correct: u64,
    /// Images predicted right with and without bit errors.
    pub correct_union: u64,
}

/// A network and the images that it classifies; `R` is what is read out of it for each image, the class if
/// nothing else is named.
pub struct Emulator<'g, R = Class> {
    graph: &'g Graph,
    executor: Arc<Executor<'g>>,
    images: Images<'g>,
    image_size: usize,
    readout: R,
}

impl<'g> Emulator<'g> {
    /// Prepares `graph` for `images` on `kernel`.
    ///
    /// # Errors
    /// If images, labels and network do not fit each other.
    pub fn new(
        graph: &'g Graph,
        images: Images<'g>,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Self, EmulatorError> {
        let image_size = graph.tensors[graph.input.0].elements();
        let count = images.labels.len();
        if images.pixels.len() != count.saturating_mul(image_size) {
            let found = images.pixels.len().checked_div(count).unwrap_or(0);
            return Err(if found == image_size {
                EmulatorError::Labels { images: images.pixels.len() / image_size, labels: count }
            } else {
                EmulatorError::ImageSize { expected: image_size, found }
            });
        }
        let classes = graph.tensors[graph.output.0].elements();
        if let Some(&label) = images.labels.iter().max()
            && usize::from(label) >= classes
        {
            return Err(EmulatorError::Classes { label: label.into(), classes });
        }
        if graph.pixels.is_none() {
            return Err(EmulatorError::Pixels(graph.no_pixels().to_string()));
        }
        let executor = Arc::new(Executor::new(graph, kernel));
        Ok(Self { graph, executor, images, image_size, readout: Class })
    }
}

impl<'g, R: Readout> Emulator<'g, R> {
    /// The same network and images, of which something else is read out.
    pub fn reading<S: Readout>(self, readout: S) -> Emulator<'g, S> {
        let Self { graph, executor, images, image_size, readout: _ } = self;
        Emulator { graph, executor, images, image_size, readout }
    }

    /// The same images under another graph of the same tensors.
    pub(crate) fn with_graph<'a>(&self, graph: &'a Graph) -> Emulator<'a, R>
    where
        'g: 'a,
    {
        let executor = Arc::new(Executor::new(graph, self.executor.kernel()));
        let Self { images, image_size, ref readout, .. } = *self;
        Emulator { graph, executor, images, image_size, readout: readout.clone() }
    }

    /// The same over some of the images, by their places among them.
    pub(crate) fn part(&self, places: Range<usize>) -> Self {
        let Self { graph, image_size, images: Images { pixels, labels }, .. } = *self;
        let bytes = places.start * image_size..places.end * image_size;
        let images = Images { pixels: &pixels[bytes], labels: &labels[places] };
        let executor = Arc::clone(&self.executor);
        Self { graph, executor, images, image_size, readout: self.readout.clone() }
    }

    /// The predicted class of every image under `codes`, or what else is read out.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn predict(&self, codes: &[Vec<u8>], stop: &AtomicBool) -> Result<Vec<R::Value>, Stopped> {
        let weights = self.executor.load_weights(codes);
        let mut predictions = vec![R::Value::default(); self.images.labels.len()];
        self.images
            .pixels
            .par_chunks(IMAGES_PER_TASK * self.image_size)
            .zip(predictions.par_chunks_mut(IMAGES_PER_TASK))
            .try_for_each_init(
                || self.executor.scratch(),
                |scratch, (pixels, predictions)| {
                    if stop.load(Ordering::Relaxed) {
                        return Err(Stopped);
                    }
                    let images = pixels.chunks_exact(self.image_size);
                    for (image, prediction) in images.zip(predictions) {
                        *prediction = self.read_out(&weights, image, scratch);
                    }
                    Ok(())
                },
            )?;
        Ok(predictions)
    }

    /// As [`Self::predict`], with activations and partial sums through faulty memories; and what that did
    /// to all images together.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    ///
    /// # Panics
    /// If `faults` were placed for another graph.
    pub fn predict_through(
        &self,
        codes: &[Vec<u8>],
        faults: BufferFaults<'_>,
        stop: &AtomicBool,
    ) -> Result<(Vec<R::Value>, PerMemory<Applied>), Stopped> {
        let weights = self.executor.load_weights(codes);
        let sums = faults.sums.map(|sums| sums.load(self.graph, codes, self.executor.kernel()));
        let mut predictions = vec![R::Value::default(); self.images.labels.len()];
        // Sums of integers: the same whatever the order of the tasks.
        let applied = self
            .images
            .pixels
            .par_chunks(IMAGES_PER_TASK * self.image_size)
            .zip(predictions.par_chunks_mut(IMAGES_PER_TASK))
            .map_init(
                || self.executor.scratch(),
                |scratch, (pixels, predictions)| {
                    if stop.load(Ordering::Relaxed) {
                        return Err(Stopped);
                    }
                    let mut applied = PerMemory::default();
                    let images = pixels.chunks_exact(self.image_size);
                    for (image, prediction) in images.zip(predictions) {
                        let through = (faults.activations, sums.as_ref());
                        *prediction =
                            self.read_out_through(&weights, image, through, &mut applied, scratch);
                    }
                    Ok(applied)
                },
            )
            .try_reduce(PerMemory::default, |sum, applied| Ok(added(sum, applied)))?;
        Ok((predictions, applied))
    }

    fn read_out(&self, weights: &LoadedWeights, image: &[u8], scratch: &mut Scratch) -> R::Value {
        let mut value = R::Value::default();
        let of = |outputs: &[i8]| self.readout.of(&mut value, outputs);
        self.executor.read_watched(weights, image, scratch, of, |_, _, _| {}, |_, _| {});
        value
    }

    fn read_out_through(
        &self,
        weights: &LoadedWeights,
        image: &[u8],
        (activations, sums): (Option<&ActivationFaults<'_>>, Option<&LoadedSumFaults<'_>>),
        applied: &mut PerMemory<Applied>,
        scratch: &mut Scratch,
    ) -> R::Value {
        let PerMemory { activation: of_activations, accumulator: of_sums, .. } = applied;
        let value = RefCell::new(R::Value::default());
        self.executor.read_watched(
            weights,
            image,
            scratch,
            |outputs| self.readout.of(&mut value.borrow_mut(), outputs),
            |node, tensors, out| {
                if let Some(sums) = sums {
                    *of_sums += sums.apply(node, tensors, out);
                }
            },
            |id, tensor| {
                if let Some(activations) = activations {
                    self.readout.written(&mut value.borrow_mut(), id, tensor);
                    *of_activations += activations.apply(id, tensor);
                    self.readout.read(&mut value.borrow_mut(), id, tensor);
                }
            },
        );
        value.into_inner()
    }

    /// As [`Self::predict`], with everything read anew for every image: `read` tells what the memories do
    /// to an image, by its index. Together with what that did to all images: to weights, and to the rest.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    ///
    /// # Panics
    /// If what is read belongs to another graph.
    pub fn predict_reread<'m>(
        &self,
        read: impl Fn(usize) -> ImageRead<'m> + Sync,
        stop: &AtomicBool,
    ) -> Result<(Vec<R::Value>, PerMemory<Applied>), Stopped> {
        let clean = self.executor.load_weights(&written(self.graph));
        let mut predictions = vec![R::Value::default(); self.images.labels.len()];
        // Sums of integers: the same whatever the order of the tasks.
        let applied = self
            .images
            .pixels
            .par_chunks(self.image_size)
            .zip(predictions.par_iter_mut())
            .enumerate()
            .map_init(
                || self.executor.scratch(),
                |scratch, (index, (image, prediction))| {
                    if stop.load(Ordering::Relaxed) {
                        return Err(Stopped);
                    }
                    let ImageRead { weights: Corrupted { codes, applied }, activations, sums } =
                        read(index);
                    let own;
                    let weights = if applied.bits_flipped == 0 {
                        &clean
                    } else {
                        own = self.executor.load_weights(&codes);
                        &own
                    };
                    let mut applied = PerMemory { weight: applied, ..PerMemory::default() };
                    *prediction = if activations.is_none() && sums.is_none() {
                        self.read_out(weights, image, scratch)
                    } else {
                        let kernel = self.executor.kernel();
                        let sums = sums.as_ref().map(|sums| sums.load(self.graph, &codes, kernel));
                        let faults = (activations.as_ref(), sums.as_ref());
                        self.read_out_through(weights, image, faults, &mut applied, scratch)
                    };
                    Ok(applied)
                },
            )
            .try_reduce(PerMemory::default, |sum, applied| Ok(added(sum, applied)))?;
        Ok((predictions, applied))
    }

    /// As [`Self::predict`], without bit errors.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn predict_clean(&self, stop: &AtomicBool) -> Result<Vec<R::Value>, Stopped> {
        self.predict(&written(self.graph), stop)
    }
}

impl Emulator<'_> {
    /// Counts right predictions; `clean` are the predictions without bit errors.
    #[must_use]
    pub fn score(&self, predictions: &[usize], clean: &[usize]) -> Score {
        let mut score = Score { correct: 0, correct_union: 0 };
        for ((&prediction, &clean), &label) in predictions.iter().zip(clean).zip(self.images.labels)
        {
            let right = prediction == usize::from(label);
            score.correct += u64::from(right);
            score.correct_union += u64::from(right && clean == usize::from(label));
        }
        score
    }
}

/// The counts of both, memory by memory.
fn added(a: PerMemory<Applied>, b: PerMemory<Applied>) -> PerMemory<Applied> {
    PerMemory::from_fn(|memory| {
        let mut sum = *a.get(memory);
        sum += *b.get(memory);
        sum
    })
}
