//! A chip under a network: what it stores, what it gives back, and what the network makes of that.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use vmin_accel::{Memory, PerMemory};
use vmin_nn::Graph;
use vmin_protection::store::Storage;
use vmin_sram::Applied;

use super::{Deployment, InPart, LOAD, Ordered, Outcome, Reads, Supplies, TrialSpec};
use crate::emulator::{BufferFaults, Emulator, ImageRead, Stopped};
use crate::memory::image::{FaultSite, Image, ImageError};
use crate::memory::weights::{self, Corrupted};
use crate::memory::{Arrays, NEVER, Powered, activations, sums};
use crate::readout::Readout;
use crate::recalibrate::Corrected;

/// The number of the first read by which a chip is calibrated where every image reads anew.
const CALIBRATION: u64 = 1 << 62;

/// A chip under a network.
pub struct OpenChip<'c> {
    pub(super) deployment: &'c Deployment<'c>,
    pub(super) arrays: PerMemory<Option<Arrays<'c>>>,
    /// How bits are stored, where the mechanisms do not decide it.
    pub(super) storages: Option<PerMemory<Storage>>,
}

impl OpenChip<'_> {
    /// The chip with bits stored so, in place of what the mechanisms decide.
    #[must_use]
    pub fn with_storages(self, storages: PerMemory<Storage>) -> Self {
        Self { storages: Some(storages), ..self }
    }

    /// The cells of the weight memory as they are written at these supplies, for each content: the whole network,
    /// or a load. None if the memory makes no errors.
    #[must_use]
    pub fn images(&self, supplies: &Supplies) -> Vec<Image> {
        let PoweredChip { deployment: Deployment { graph, weights, .. }, memories } =
            self.powered(supplies, &NEVER);
        let of = |powered: &Powered<'_>| {
            let storage = weights::storage(graph, weights, powered);
            powered.images(weights, &weights::written(graph), storage)
        };
        memories.weight.as_ref().map_or_else(Vec::new, of)
    }

    /// The chip with the codes that `images` hold, stored as `storages` say but for codes.
    ///
    /// # Errors
    /// The images are not those of the network under its placement.
    pub fn with_images(
        self,
        supplies: &Supplies,
        images: &[Image],
        mut storages: PerMemory<Storage>,
    ) -> Result<Self, ImageError> {
        let PoweredChip { deployment: Deployment { graph, weights, .. }, memories } =
            self.powered(supplies, &NEVER);
        if let Some(powered) = &memories.weight {
            weights::stored_as(graph, weights, powered, images, &mut storages.weight)?;
        }
        drop(memories);
        Ok(self.with_storages(storages))
    }

    /// The faulty cells under weights at a read; none where any bit can err.
    #[must_use]
    pub fn sites(&self, supplies: &Supplies, read: u64) -> Vec<FaultSite> {
        let PoweredChip { deployment: Deployment { graph, weights, .. }, memories } =
            self.powered(supplies, &NEVER);
        let of = |powered: &Powered<'_>| {
            let storage = weights::storage(graph, weights, powered);
            weights.iter().flat_map(|of| powered.sites(of, read, storage)).collect()
        };
        memories.weight.as_ref().map_or_else(Vec::new, of)
    }

    /// Faulty cells of all memories that spare lines repaired and that were left, at the voltage of the test;
    /// none without spares.
    #[must_use]
    pub fn repaired(&self) -> Option<(u64, u64)> {
        let repairs = self.arrays.present().filter_map(|(_, arrays)| arrays.repair());
        let counts = repairs.map(|repair| (repair.cells_repaired, repair.cells_unrepaired));
        counts.reduce(|sum, count| (sum.0 + count.0, sum.1 + count.1))
    }

    /// The weights at one read.
    #[must_use]
    pub fn weights(&self, supplies: &Supplies, read: u64) -> Corrupted {
        self.powered(supplies, &NEVER).weights(read)
    }

    /// How far the weights of one read lie from the network's: the root of the squared errors over that of the squared
    /// values, each weighted by how far its channel moves the output.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn weight_deviation(
        &self,
        supplies: &Supplies,
        read: u64,
        stop: &AtomicBool,
    ) -> Result<f64, Stopped> {
        let read = self.powered(supplies, stop).weights(read);
        unless_stopped(stop, weights::deviation(self.deployment.graph, &read.codes))
    }

    /// How the bits of each memory are stored on the chip at these supplies; plain where it makes no errors.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn storages(
        &self,
        supplies: &Supplies,
        stop: &AtomicBool,
    ) -> Result<PerMemory<Storage>, Stopped> {
        let PoweredChip { ref deployment, ref memories } = self.powered(supplies, stop);
        let Deployment { graph, placement, weights, activations, .. } = deployment;
        let storages = PerMemory::from_fn(|memory| {
            let Some(powered) = memories.get(memory) else { return Storage::default() };
            let storage = match memory {
                Memory::Weight => Some(weights::storage(graph, weights, powered)),
                Memory::Activation => placement.activations.as_ref().map(|placed| {
                    let spared = placement.spared_input;
                    activations::storage(placed, activations, powered, spared)
                }),
                Memory::Accumulator => {
                    placement.sums.as_ref().map(|placed| sums::storage(placed, powered))
                }
            };
            storage.cloned().unwrap_or_default()
        });
        unless_stopped(stop, storages)
    }

    /// What this gives is of no use once `stop` is set.
    fn powered<'a>(&'a self, supplies: &'a Supplies, stop: &'a AtomicBool) -> PoweredChip<'a> {
        let deployment = self.deployment;
        let of = |memory: Memory| {
            let arrays = self.arrays.get(memory).as_ref()?;
            let at = supplies.get(memory).as_ref()?;
            let contents = deployment.contents(memory);
            let mut powered = arrays.powered(&at.access, at.known.as_ref(), &contents, stop);
            if let Some(storages) = &self.storages {
                powered.store(storages.get(memory).clone());
            }
            Some(powered)
        };
        PoweredChip { deployment, memories: PerMemory::from_fn(of) }
    }

    /// The network with the biases and multipliers fitted to this chip at these supplies; none where nothing is
    /// fitted, or nothing errs.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn fitted(
        &self,
        supplies: &Supplies,
        reads: Reads,
        stop: &AtomicBool,
    ) -> Result<Option<Graph>, Stopped> {
        unless_stopped(stop, self.powered(supplies, stop).fitted(reads, stop)?)
    }

    /// Classifies all images of `emulator`; `clean` are its predictions without bit errors.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn run(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Outcome, Stopped> {
        let (predictions, applied) = self.predict(trial, emulator, clean, stop)?;
        Ok(Outcome { score: emulator.score(&predictions, clean), applied })
    }

    /// Classifies the images of `emulator`, which lie in this order, part by part: `next` is told what came of the last
    /// part, and names the places of the next, or none. If the chip reads what was written, clean predictions stand for
    /// all images: `next` is not asked, and the faulty cells met are given back.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn run_in_parts(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_>,
        order: Ordered<'_>,
        next: &mut dyn FnMut(Option<InPart>) -> Option<Range<usize>>,
        stop: &AtomicBool,
    ) -> Result<Option<PerMemory<Applied>>, Stopped> {
        let chip = self.powered(trial.supplies, stop);
        unless_stopped(stop, chip.run_in_parts(trial, emulator, order, next, stop)?)
    }

    /// The predicted classes of a trial, as [`Self::run`] counts them, or what else `emulator` reads out.
    ///
    /// # Errors
    /// [`Stopped`] soon after `stop` was set.
    pub fn predict<R: Readout>(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_, R>,
        clean: &[R::Value],
        stop: &AtomicBool,
    ) -> Result<(Vec<R::Value>, PerMemory<Applied>), Stopped> {
        let chip = self.powered(trial.supplies, stop);
        unless_stopped(stop, chip.predict(trial, emulator, clean, stop)?)
    }
}

/// A value that may be of what was decided by half.
fn unless_stopped<T>(stop: &AtomicBool, value: T) -> Result<T, Stopped> {
    if stop.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(value) }
}

/// A chip at one set of supplies.
struct PoweredChip<'a> {
    deployment: &'a Deployment<'a>,
    memories: PerMemory<Option<Powered<'a>>>,
}

impl PoweredChip<'_> {
    fn weights(&self, read: u64) -> Corrupted {
        let Deployment { graph, placement, weights: contents, .. } = self.deployment;
        match &self.memories.weight {
            Some(powered) => weights::read(graph, &placement.weights, contents, powered, read),
            None => Corrupted { codes: weights::written(graph), applied: Applied::default() },
        }
    }

    fn activations(&self, read: u64) -> Option<activations::ActivationFaults<'_>> {
        let Deployment { placement, activations: contents, .. } = self.deployment;
        let (placed, powered) =
            (placement.activations.as_ref()?, self.memories.activation.as_ref()?);
        Some(activations::read(placed, contents, powered, placement.spared_input, read))
    }

    fn sums(&self, read: u64) -> Option<sums::SumFaults<'_>> {
        let placement = self.deployment.placement;
        let (placed, powered) = (placement.sums.as_ref()?, self.memories.accumulator.as_ref()?);
        let faults = sums::read(placed, powered, placement.biases_in_memory, read);
        Some(match &self.deployment.sum_rules {
            Some(rules) => faults.with_rules(placed, rules),
            None => faults,
        })
    }

    fn predict<R: Readout>(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_, R>,
        clean: &[R::Value],
        stop: &AtomicBool,
    ) -> Result<(Vec<R::Value>, PerMemory<Applied>), Stopped> {
        let fitted = self.fitted(trial.reads, stop)?;
        let of_chip = fitted.as_ref().map(|graph| emulator.with_graph(graph));
        let emulator = of_chip.as_ref().unwrap_or(emulator);
        match trial.reads {
            Reads::EveryImage => {
                let read = |index: usize| self.read(trial.first_image + index as u64);
                emulator.predict_reread(read, stop)
            }
            Reads::Once => {
                let loaded = self.loaded();
                if loaded.changes_nothing() {
                    return Ok((clean.to_vec(), loaded.applied_to_weights()));
                }
                let (predictions, mut applied) = loaded.predict(emulator, stop)?;
                applied.weight = loaded.weights.applied;
                Ok((predictions, applied))
            }
        }
    }

    fn run_in_parts(
        &self,
        trial: TrialSpec<'_>,
        emulator: &Emulator<'_>,
        Ordered { numbers, clean }: Ordered<'_>,
        next: &mut dyn FnMut(Option<InPart>) -> Option<Range<usize>>,
        stop: &AtomicBool,
    ) -> Result<Option<PerMemory<Applied>>, Stopped> {
        let fitted = self.fitted(trial.reads, stop)?;
        let of_chip = fitted.as_ref().map(|graph| emulator.with_graph(graph));
        let emulator = of_chip.as_ref().unwrap_or(emulator);
        let loaded = (trial.reads == Reads::Once).then(|| self.loaded());
        if let Some(loaded) = loaded.as_ref().filter(|loaded| loaded.changes_nothing()) {
            return Ok(Some(loaded.applied_to_weights()));
        }
        let mut last = None;
        while let Some(places) = next(last) {
            let part = emulator.part(places.clone());
            let (predictions, mut applied) = match &loaded {
                Some(loaded) => loaded.predict(&part, stop)?,
                None => {
                    let number = |index: usize| u64::from(numbers[places.start + index]);
                    let read = |index| self.read(trial.first_image + number(index));
                    part.predict_reread(read, stop)?
                }
            };
            if let Some(loaded) = &loaded {
                applied.weight = loaded.weights.applied;
            }
            let score = part.score(&predictions, &clean[places.clone()]);
            last = Some(InPart { places, outcome: Outcome { score, applied } });
        }
        Ok(None)
    }

    /// What the memories do to an image.
    fn read(&self, image: u64) -> ImageRead<'_> {
        ImageRead {
            weights: self.weights(image),
            activations: self.activations(image),
            sums: self.sums(image),
        }
    }

    /// What they do to all images, where one load serves all; without faults that change nothing.
    fn loaded(&self) -> Loaded<'_> {
        let ImageRead { weights, activations, sums } = self.read(LOAD);
        ImageRead {
            weights,
            activations: activations.filter(|faults| !faults.is_empty()),
            sums: sums.filter(|faults| !faults.is_empty()),
        }
    }

    /// The network with the constants fitted to this chip, if some are and something errs.
    fn fitted(&self, reads: Reads, stop: &AtomicBool) -> Result<Option<Graph>, Stopped> {
        let Some((fitted, calibration)) = &self.deployment.fitted else { return Ok(None) };
        let calibration = calibration.as_ref().expect("such deployments are calibrated first");
        let what = match fitted.multipliers {
            true => Corrected::BiasesAndMultipliers,
            false => Corrected::Biases,
        };
        match reads {
            Reads::EveryImage => {
                let read = |index: usize| self.read(CALIBRATION + index as u64);
                calibration.recalibrated_reread(read, what, stop).map(Some)
            }
            Reads::Once => {
                let loaded = self.loaded();
                if loaded.changes_nothing() {
                    return Ok(None);
                }
                let Loaded { weights, activations, sums } = loaded;
                let faults =
                    BufferFaults { activations: activations.as_ref(), sums: sums.as_ref() };
                calibration.recalibrated(&weights.codes, faults, what, stop).map(Some)
            }
        }
    }
}

/// What the memories do to all images.
type Loaded<'m> = ImageRead<'m>;

impl Loaded<'_> {
    fn changes_nothing(&self) -> bool {
        self.activations.is_none() && self.sums.is_none() && self.weights.applied.bits_flipped == 0
    }

    fn applied_to_weights(&self) -> PerMemory<Applied> {
        PerMemory { weight: self.weights.applied, ..PerMemory::default() }
    }

    /// The predictions, and what the memories beside that of the weights did to all images.
    fn predict<R: Readout>(
        &self,
        emulator: &Emulator<'_, R>,
        stop: &AtomicBool,
    ) -> Result<(Vec<R::Value>, PerMemory<Applied>), Stopped> {
        let (activations, sums) = (self.activations.as_ref(), self.sums.as_ref());
        if activations.is_none() && sums.is_none() {
            let predictions = emulator.predict(&self.weights.codes, stop)?;
            return Ok((predictions, PerMemory::default()));
        }
        emulator.predict_through(&self.weights.codes, BufferFaults { activations, sums }, stop)
    }
}
