//! A network on chips, as the options of `vmin eval`, `vmin deploy` and `vmin monitor` ask for it.

mod chips;
mod energy;
mod protect;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::{ActivationPlacement, SumPlacement, WeightPlacement};
use vmin_accel::{Accelerator, PerMemory, ResidentPlacement, StreamedPlacement, cycles};
use vmin_diagnostic::{Diagnostic, Located};
use vmin_emulator::{
    ChipSpec, Deployment, Emulator, EmulatorError, Images, OpenChip, Placement, Reads, Supplies,
    TrialSpec,
};
use vmin_kernels::GemmKernel;
use vmin_nn::Graph;
use vmin_nn::data::{Dataset, Split};
use vmin_protection::{Extent, Protection, ProtectionCosts};
use vmin_sweep::CalibrationImages;
use vmin_sweep::names::Names;

use crate::Failure;
use crate::args::{FaultKindArg, OnChipArgs, PlacementArg, SweptArgs, Voltages};
use crate::failure::say;
use chips::Wanted;
pub(crate) use energy::Priced;
use protect::Typed;

/// Mechanisms as they are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The option that names them.
    pub(crate) option: &'static str,
    /// Each as a table or a word.
    pub(crate) mechanisms: &'a [String],
    /// Whether those that are of no use on the chips are left away, and named.
    pub(crate) if_of_use: bool,
}

/// A network in the memories of chips.
pub(crate) struct Setup {
    pub(crate) accelerator: Accelerator,
    pub(crate) typed: Typed,
    pub(crate) placement: Placement,
    pub(crate) chips: Wanted,
    chip_offset: u64,
    reads: Reads,
}

/// The network of that name, with its weights, rounding and pixels as asked for.
pub(crate) fn network(model: &Path, args: &OnChipArgs) -> Result<Graph, Failure> {
    let names = Names::typed();
    let bits = args.bits.map(|value| Located { value, span: 0..0 });
    let graph = names.with_bits(names.rounded(model, args.arithmetic.rounding)?, bits.as_ref())?;
    let pixels = args.arithmetic.pixels.clone().map(|value| Located { value, span: 0..0 });
    Ok(names.with_pixels(graph, pixels.as_ref(), model)?)
}

/// The supplies that are asked for, or those of the chip files: falling, each once.
pub(crate) fn swept_mv(args: &SweptArgs) -> Result<Vec<f64>, Failure> {
    let missing = |message: &str| Diagnostic::new("missing-argument", message);
    let mut swept = match (&args.vdd_mv, chips::common_levels(&args.on_chip.chip)?) {
        (Some(Voltages(asked)), _) => asked.clone(),
        (None, Some(common)) if !common.is_empty() => common,
        (None, Some(_)) => {
            let problem = missing("the chip files have no voltage in common");
            return Err(problem.hint("name supplies that each of them knows: `--vdd-mv`").into());
        }
        (None, None) => {
            let message = "no supplies are named, and chips of a population have none of their own";
            let hint = "add `--vdd-mv 1000..850:25 --profile NAME`";
            return Err(missing(message).hint(hint).into());
        }
    };
    swept.sort_by(|a, b| b.total_cmp(a));
    swept.dedup();
    Ok(swept)
}

/// The test images of a set, or a range of them.
pub(crate) fn images(name: &str, range: Option<&Range<usize>>) -> Result<Dataset, Failure> {
    let data = Names::typed().data(name, Split::Test)?;
    let Some(range) = range else { return Ok(data) };
    if range.end > data.len() {
        return Err(Diagnostic::new(
            "out-of-range",
            format!("`{name}` has no images {} to {}", range.start, range.end - 1),
        )
        .allowed(format!("the set has {} test images", data.len()))
        .into());
    }
    data.subset(range.clone()).map_err(|error| Failure::input("data", &error))
}

/// The network on these images.
pub(crate) fn emulator<'a>(
    graph: &'a Graph,
    data: &'a Dataset,
    kernel: &'static dyn GemmKernel,
) -> Result<Emulator<'a>, Failure> {
    reading(graph, Images { pixels: &data.images, labels: &data.labels }, kernel)
}

/// The network on images of any labels.
pub(crate) fn reading<'a>(
    graph: &'a Graph,
    images: Images<'a>,
    kernel: &'static dyn GemmKernel,
) -> Result<Emulator<'a>, Failure> {
    Emulator::new(graph, images, kernel).map_err(|error| Failure::input("does-not-fit", &error))
}

impl Setup {
    /// Chips, supplies and places of `graph`.
    ///
    /// # Errors
    /// A name leads nowhere, or the parts do not fit each other.
    pub(crate) fn new(graph: &Graph, args: &OnChipArgs, asked: Asked<'_>) -> Result<Self, Failure> {
        Self::over(graph, args, asked, &[])
    }

    /// The same, with the supplies at each of these voltages of the weight memory.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn over(
        graph: &Graph,
        args: &OnChipArgs,
        asked: Asked<'_>,
        swept_mv: &[f64],
    ) -> Result<Self, Failure> {
        let accelerator = Names::typed().accelerator(args.accelerator.as_str())?;
        let mut typed = Typed::read(asked, args.known.as_deref())?;
        let share = typed.protection().share_of_sums();
        let placement = place(args, &accelerator, graph, share)?;
        if accelerator.dram.is_none() {
            let layers = vmin_accel::layers_of_graph(graph)
                .map_err(|error| Failure::input("model", &error))?;
            cycles::run(&accelerator, placement.weights.schedule(&accelerator), &layers)
                .map_err(|error| super::cycles::does_not_fit(&error, 1))?;
        }
        let chips = chips::chips(args, &typed, &placement, swept_mv)?;
        let map = chips.source.map_kind();
        if asked.if_of_use {
            typed = typed.of_use(map)?;
        }
        if let Some(reason) = typed.protection().useless(map) {
            return Err(typed
                .refused(|alone| alone.useless(map).is_some(), reason)
                .hint("choose `--fault-kind stuck_at`, or leave the mechanism away")
                .into());
        }
        let reads = match args.fault_kind {
            Some(FaultKindArg::Transient) => Reads::EveryImage,
            Some(FaultKindArg::Flip | FaultKindArg::StuckAt) | None => Reads::Once,
        };
        let chip_offset = args.chip_offset;
        Ok(Self { accelerator, typed, placement, chips, chip_offset, reads })
    }

    /// The network in its memories under protection.
    ///
    /// # Errors
    /// They do not fit each other.
    pub(crate) fn deployment<'a>(&'a self, graph: &'a Graph) -> Result<Deployment<'a>, Failure> {
        let of = |protection: &Protection| Deployment::new(graph, &self.placement, protection);
        of(self.typed.protection()).map_err(|error| {
            self.typed.refused(|alone| of(alone).is_err(), error.to_string()).into()
        })
    }

    /// The same, calibrated by the training images of a set: that which the options name, or else `data` with the
    /// images of the test.
    ///
    /// # Errors
    /// There are no such images, or a set is named and nothing is calibrated.
    pub(crate) fn calibrated<'a>(
        &self,
        deployment: Deployment<'a>,
        args: &OnChipArgs,
        data: Option<(&str, &Dataset)>,
        kernel: &'static dyn GemmKernel,
        stop: &AtomicBool,
    ) -> Result<Deployment<'a>, Failure> {
        let Some(images) = self.typed.protection().calibration_images() else {
            if args.calibration.is_none() {
                return Ok(deployment);
            }
            let message = "`--calibration` has no effect: no mechanism here is calibrated";
            return Err(Diagnostic::new("calibration", message)
                .hint("leave it away, or add the mechanism `recalibrate`")
                .into());
        };
        let Some((name, test)) = data else {
            let message = "the mechanisms need calibration images, and no data is given";
            return Err(Diagnostic::new("calibration", message).hint("add `--data DATA`").into());
        };
        let set = args.calibration.as_deref().unwrap_or(name);
        let images = CalibrationImages::load(&Names::typed(), set, images, test)?;
        say(&format!("note: calibrated by the {}", images.name));
        deployment.calibrated(&images.pixels, kernel, stop).map_err(|error| {
            if let EmulatorError::Stopped(_) = error {
                return Failure::Interrupted("interrupted".to_owned());
            }
            Failure::input("does-not-fit", &error)
        })
    }

    /// A remark where the weights take more than their memory.
    pub(crate) fn larger(&self) -> Option<String> {
        self.placement.weights.resident()?.larger_note(self.accelerator.name())
    }

    /// Says what the network and its protection come to in these memories.
    ///
    /// # Errors
    /// A mechanism changes nothing there.
    pub(crate) fn remark(&self, deployment: &Deployment<'_>) -> Result<(), Failure> {
        if let Some(larger) = self.larger() {
            say(&format!("note: {larger}"));
        }
        let extents = deployment.extents();
        if let Some(problem) = self.typed.protection().known_in_vain(&[&self.chips.supplies]) {
            return Err(self.typed.at_known(problem).into());
        }
        let of = |protection: &Protection| protection.remarks(&extents, &[&self.chips.supplies]);
        let remarks = of(self.typed.protection())
            .map_err(|reason| self.typed.refused(|alone| of(alone).is_err(), reason))?;
        let cautions = self.typed.protection().cautions(self.chips.source.map_kind());
        for remark in remarks.into_iter().chain(cautions) {
            say(&format!("note: {remark}"));
        }
        Ok(())
    }

    /// One of the chips under a network, to be read at these supplies.
    ///
    /// # Errors
    /// The chip is larger than can be held.
    pub(crate) fn open<'c>(
        &'c self,
        deployment: &'c Deployment<'_>,
        chip: u32,
        supplies: &Supplies,
    ) -> Result<OpenChip<'c>, Failure> {
        self.open_at(deployment, chip, &[supplies])
    }

    /// The same, to be read at each of several supplies; spare lines are given by a test at the first.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn open_at<'c>(
        &'c self,
        deployment: &'c Deployment<'_>,
        chip: u32,
        supplies: &[&Supplies],
    ) -> Result<OpenChip<'c>, Failure> {
        let offset = self.chip_offset;
        let spec = ChipSpec { chip, offset_bits: offset, layout: 0, map_offset: offset };
        deployment
            .open(self.chips.source.as_ref(), spec, supplies, None)
            .map_err(|error| Failure::input("too-large", &error))
    }

    /// Area of the protection by the shipped costs, over that of the bit cells of all memories.
    ///
    /// # Errors
    /// The shipped costs cannot be read.
    pub(crate) fn area_share(&self, extents: &PerMemory<Extent>) -> Result<f64, Failure> {
        Ok(self.area_share_by(extents, &ProtectionCosts::load("estimates")?))
    }

    /// The same by these costs.
    pub(crate) fn area_share_by(
        &self,
        extents: &PerMemory<Extent>,
        costs: &ProtectionCosts,
    ) -> f64 {
        vmin_protection::area_share(&self.accelerator, self.typed.protection(), costs, extents)
    }

    /// The classes that a chip predicts where mechanisms work from its exact map; none where they do anyway.
    ///
    /// # Errors
    /// The chip is larger than can be held, or the run was stopped.
    pub(crate) fn predicted_exactly(
        &self,
        deployment: &Deployment<'_>,
        (chip, first_image): (u32, u64),
        emulator: &Emulator<'_>,
        clean: &[usize],
        stop: &AtomicBool,
    ) -> Result<Option<Vec<usize>>, Failure> {
        let Some(supplies) = &self.chips.exact else { return Ok(None) };
        let open = self.open(deployment, chip, supplies)?;
        let trial = TrialSpec { supplies, ..self.trial(first_image) };
        let predicted = open.predict(trial, emulator, clean, stop);
        let interrupted = |_| Failure::Interrupted("interrupted".to_owned());
        predicted.map(|(predictions, _)| Some(predictions)).map_err(interrupted)
    }

    /// When cells that do not always err decide.
    pub(crate) const fn reads(&self) -> Reads {
        self.reads
    }

    /// The trial of a chip on images of which the first has this number.
    pub(crate) const fn trial(&self, first_image: u64) -> TrialSpec<'_> {
        TrialSpec { supplies: &self.chips.supplies, reads: self.reads, first_image }
    }
}

/// Where the network lies.
fn place(
    args: &OnChipArgs,
    accelerator: &Accelerator,
    graph: &Graph,
    share_of_sums: f64,
) -> Result<Placement, Failure> {
    let memories = &accelerator.memories;
    let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let weights: WeightPlacement = match args.placement {
        PlacementArg::Resident => ResidentPlacement::new(accelerator, sizes)
            .map_err(|error| Failure::input("placement", &error))?
            .into(),
        PlacementArg::Streamed => StreamedPlacement::new(accelerator, graph)
            .map_err(|error| Failure::input("placement", &error))?
            .into(),
    };
    let mut placement = Placement::of_weights(weights);
    placement.word_bits = PerMemory {
        weight: memories.weight.word_bits,
        activation: memories.activation.word_bits,
        accumulator: memories.accumulator.word_bits,
    };
    placement.first_cells.accumulator += memories.activation.geometry.cells();
    placement.first_extra_cell =
        placement.first_cells.accumulator + memories.accumulator.geometry.cells();
    if args.activation_vdd_mv.is_some() {
        placement.activations = Some(ActivationPlacement::new(memories.activation.geometry, graph));
    }
    if args.accumulator_vdd_mv.is_some() {
        let sums = SumPlacement::within(accelerator, graph, share_of_sums);
        placement.sums = Some(sums.map_err(|error| Failure::input("placement", &error))?);
    }
    Ok(placement)
}
