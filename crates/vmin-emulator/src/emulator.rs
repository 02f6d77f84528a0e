//! One network, one image set, any number of fault maps.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use vmin_accel::placement::WeightPlacement;
use vmin_accel::{ResidentPlacement, StreamedPlacement};
use vmin_kernels::GemmKernel;
use vmin_nn::{Executor, Graph, LoadedWeights, Scratch};
use vmin_sram::{Applied, ApplyError, ChipKey, CodeTensor, FaultKind, FaultyCell};

use crate::activation_faults::ActivationFaults;
use crate::sum_faults::{LoadedSumFaults, SumFaults};

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
    /// The placement does not fit the network's weights.
    #[error("the placement does not fit the network: {0}")]
    Placement(ApplyError),
    /// The placement is of another network.
    #[error("the placement has {placed} tensors, the network {tensors}")]
    PlacedTensors {
        /// Tensors placed.
        placed: usize,
        /// Weight tensors of the network.
        tensors: usize,
    },
}

impl From<ApplyError> for EmulatorError {
    fn from(error: ApplyError) -> Self {
        Self::Placement(error)
    }
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

/// The codes that a chip gives back.
#[derive(Clone, Debug)]
pub struct Corrupted {
    /// Codes per weight tensor.
    pub codes: Vec<Vec<u8>>,
    /// How many faulty cells lie under them and how many bits changed.
    pub applied: Applied,
}

/// Faults of the memories beside that of the weights; none where a memory does not err.
#[derive(Clone, Copy, Debug, Default)]
pub struct BufferFaults<'f> {
    /// Of the activation memory.
    pub activations: Option<&'f ActivationFaults>,
    /// Of the accumulator memory.
    pub sums: Option<&'f SumFaults>,
}

/// What those memories did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferApplied {
    /// To activations as they were written.
    pub activations: Applied,
    /// To partial sums at every read.
    pub sums: Applied,
}

impl std::ops::AddAssign for BufferApplied {
    fn add_assign(&mut self, other: Self) {
        self.activations += other.activations;
        self.sums += other.sums;
    }
}

/// What the memories do to one image.
#[derive(Clone, Debug)]
pub struct ImageRead {
    /// The weights that it meets.
    pub weights: Corrupted,
    /// Faults of the activation memory, if it errs.
    pub activations: Option<ActivationFaults>,
    /// Faults of the accumulator memory, if it errs.
    pub sums: Option<SumFaults>,
}

/// Right predictions of one corrupted network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Score {
    /// Images predicted right.
    pub correct: u64,
    /// Images predicted right with and without bit errors.
    pub correct_union: u64,
}

/// Where the weights lie.
enum WeightCells {
    /// Address of the first bit of each tensor.
    Resident(Vec<u64>),
    /// Now here, now there.
    Streamed(StreamedPlacement),
}

/// A network placed in memory, ready to be evaluated under fault maps.
pub struct Emulator<'g> {
    graph: &'g Graph,
    executor: Executor<'g>,
    cells: WeightCells,
    images: Images<'g>,
    image_size: usize,
}

impl<'g> Emulator<'g> {
    /// Prepares `graph` for `images` with weights at `placement`, on `kernel`.
    ///
    /// # Errors
    /// If images, labels and network do not fit each other.
    pub fn new(
        graph: &'g Graph,
        placement: &ResidentPlacement,
        images: Images<'g>,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Self, EmulatorError> {
        let placed = placement.tensors.len();
        let first_bits = placement.tensors.iter().map(|tensor| tensor.first_bit).collect();
        Self::with_cells(graph, WeightCells::Resident(first_bits), placed, images, kernel)
    }

    /// Prepares `graph` for `images` with weights that lie at `placement` or pass through it.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn placed(
        graph: &'g Graph,
        placement: &WeightPlacement,
        images: Images<'g>,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Self, EmulatorError> {
        match placement {
            WeightPlacement::Resident(placement) => Self::new(graph, placement, images, kernel),
            WeightPlacement::Streamed(placement) => {
                Self::streamed(graph, placement, images, kernel)
            }
        }
    }

    /// Prepares `graph` for `images` with weights that pass through the weight memory.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn streamed(
        graph: &'g Graph,
        placement: &StreamedPlacement,
        images: Images<'g>,
        kernel: &'static dyn GemmKernel,
    ) -> Result<Self, EmulatorError> {
        let placed = placement.tensors.len();
        // A tensor that no layer uses has no place and needs none.
        let fits = placement
            .tensors
            .iter()
            .zip(&graph.weights)
            .all(|(tensor, weights)| [0, weights.codes.len()].contains(&tensor.order.len()));
        if !fits {
            return Err(EmulatorError::PlacedTensors { placed, tensors: graph.weights.len() });
        }
        Self::with_cells(graph, WeightCells::Streamed(placement.clone()), placed, images, kernel)
    }

    fn with_cells(
        graph: &'g Graph,
        cells: WeightCells,
        placed: usize,
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
        if placed != graph.weights.len() {
            return Err(EmulatorError::PlacedTensors { placed, tensors: graph.weights.len() });
        }
        let emulator =
            Self { graph, executor: Executor::new(graph, kernel), cells, images, image_size };
        // Proves once that codes can be corrupted where they lie.
        emulator.try_corrupt(&[(&[], FaultKind::Flip)])?;
        Ok(emulator)
    }

    /// The codes as a chip with these faulty cells holds them.
    #[must_use]
    pub fn corrupt(&self, faults: &[FaultyCell], kind: FaultKind) -> Corrupted {
        self.corrupt_parts(&[(faults, kind)])
    }

    /// As [`Self::corrupt`] where cells err in different ways; no cell may be in two lists.
    #[must_use]
    pub fn corrupt_parts(&self, parts: &[(&[FaultyCell], FaultKind)]) -> Corrupted {
        self.try_corrupt(parts).expect("`new` has applied an empty map to these tensors")
    }

    fn try_corrupt(&self, parts: &[(&[FaultyCell], FaultKind)]) -> Result<Corrupted, ApplyError> {
        let mut codes = self.clean_codes();
        let mut applied = Applied::default();
        for &(faults, kind) in parts {
            applied += self.corrupt_codes(&mut codes, faults, kind)?;
        }
        Ok(Corrupted { codes, applied })
    }

    fn clean_codes(&self) -> Vec<Vec<u8>> {
        self.graph.weights.iter().map(|weights| weights.codes.clone()).collect()
    }

    fn corrupt_codes(
        &self,
        codes: &mut [Vec<u8>],
        faults: &[FaultyCell],
        kind: FaultKind,
    ) -> Result<Applied, ApplyError> {
        let first_bits = match &self.cells {
            WeightCells::Resident(first_bits) => first_bits,
            WeightCells::Streamed(placement) => {
                return placement.apply(faults, kind, codes.iter_mut().map(Vec::as_mut_slice));
            }
        };
        let mut tensors: Vec<CodeTensor<'_>> = codes
            .iter_mut()
            .zip(&self.graph.weights)
            .zip(first_bits)
            .map(|((codes, weights), &first_bit)| CodeTensor {
                codes,
                bits: weights.bits,
                first_bit,
            })
            .collect();
        let mut applied = Applied::default();
        for of_tensor in vmin_sram::apply_all(faults, kind, &mut tensors)? {
            applied += of_tensor;
        }
        Ok(applied)
    }

    /// The predicted class of every image under `codes`.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn predict(&self, codes: &[Vec<u8>], stop: &AtomicBool) -> Result<Vec<usize>, Stopped> {
        let weights = self.executor.load_weights(codes);
        let mut predictions = vec![0; self.images.labels.len()];
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
                        *prediction = self.executor.classify(&weights, image, scratch);
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
    ) -> Result<(Vec<usize>, BufferApplied), Stopped> {
        let weights = self.executor.load_weights(codes);
        let sums = faults.sums.map(|sums| sums.load(self.graph, codes));
        let mut predictions = vec![0; self.images.labels.len()];
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
                    let mut applied = BufferApplied::default();
                    let images = pixels.chunks_exact(self.image_size);
                    for (image, prediction) in images.zip(predictions) {
                        let through = (faults.activations, sums.as_ref());
                        *prediction =
                            self.classify_through(&weights, image, through, &mut applied, scratch);
                    }
                    Ok(applied)
                },
            )
            .try_reduce(BufferApplied::default, |mut sum, applied| {
                sum += applied;
                Ok(sum)
            })?;
        Ok((predictions, applied))
    }

    fn classify_through(
        &self,
        weights: &LoadedWeights,
        image: &[u8],
        (activations, sums): (Option<&ActivationFaults>, Option<&LoadedSumFaults<'_>>),
        applied: &mut BufferApplied,
        scratch: &mut Scratch,
    ) -> usize {
        let BufferApplied { activations: of_activations, sums: of_sums } = applied;
        self.executor.classify_watched(
            weights,
            image,
            scratch,
            |node, tensors, out| {
                if let Some(sums) = sums {
                    *of_sums += sums.apply(node, tensors, out);
                }
            },
            |id, tensor| {
                if let Some(activations) = activations {
                    *of_activations += activations.apply(id, tensor);
                }
            },
        )
    }

    /// As [`Self::predict`], with everything read anew for every image: `read` tells what the memories do
    /// to an image, by its index. Together with what that did to all images: to weights, and to the rest.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    ///
    /// # Panics
    /// If what is read belongs to another graph.
    pub fn predict_reread(
        &self,
        read: impl Fn(usize) -> ImageRead + Sync,
        stop: &AtomicBool,
    ) -> Result<(Vec<usize>, Applied, BufferApplied), Stopped> {
        let clean = self.executor.load_weights(&self.clean_codes());
        let mut predictions = vec![0; self.images.labels.len()];
        // Sums of integers: the same whatever the order of the tasks.
        let (applied, through) = self
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
                    let mut through = BufferApplied::default();
                    *prediction = if activations.is_none() && sums.is_none() {
                        self.executor.classify(weights, image, scratch)
                    } else {
                        let sums = sums.as_ref().map(|sums| sums.load(self.graph, &codes));
                        let faults = (activations.as_ref(), sums.as_ref());
                        self.classify_through(weights, image, faults, &mut through, scratch)
                    };
                    Ok((applied, through))
                },
            )
            .try_reduce(
                || (Applied::default(), BufferApplied::default()),
                |(mut applied, mut through), (more, more_through)| {
                    applied += more;
                    through += more_through;
                    Ok((applied, through))
                },
            )?;
        Ok((predictions, applied, through))
    }

    /// The codes with each bit inverted at random, as [`vmin_sram::flip_at_random`] says; a layer is a
    /// weight tensor.
    #[must_use]
    pub fn flip_at_random(&self, rate: f64, key: ChipKey, image: u64) -> Corrupted {
        let mut codes = self.clean_codes();
        let mut applied = Applied::default();
        for ((layer, codes), weights) in (0u32..).zip(&mut codes).zip(&self.graph.weights) {
            applied += vmin_sram::flip_at_random(codes, weights.bits, rate, key, image, layer);
        }
        Corrupted { codes, applied }
    }

    /// The predicted class of every image without bit errors.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn predict_clean(&self, stop: &AtomicBool) -> Result<Vec<usize>, Stopped> {
        self.predict(&self.clean_codes(), stop)
    }

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
