//! `vmin eval`: accuracy of one network, clean or on one chip.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::Serialize;
use vmin_accel::ResidentPlacement;
use vmin_diagnostic::{Diagnostic, Located};
use vmin_emulator::{Corrupted, Emulator, Images};
use vmin_files::write_whole;
use vmin_nn::data::{Dataset, Split};
use vmin_sram::{
    Applied, Chip, ChipKey, FaultKind, FaultyCell, Geometry, Population, Threshold, VarianceShares,
};
use vmin_sweep::names::Names;
use vmin_sweep::{LOAD, WEIGHT_MEMORY, chip_file};

use super::chip;
use crate::args::{ChipChoice, EvalArgs, FaultKindArg};
use crate::failure::{say, with_causes};
use crate::{Answer, Failure, answer, compute};

/// Accuracy of one network, clean or on one chip.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// The network, as named.
    pub model: String,
    /// The image set, as named.
    pub data: String,
    /// Images classified.
    pub images: usize,
    /// Images classified right.
    pub correct: u64,
    /// Share of images classified wrong.
    pub err: f64,
    /// Images that the clean and the faulty network classify right.
    pub correct_union: u64,
    /// Share of faulty cells, of the population or of a chip file's map.
    pub cell_fault_rate: f64,
    /// Faulty cells under stored bits.
    pub cells_hit: u64,
    /// Stored bits that are read inverted.
    pub flips: u64,
    /// Bits that the weights occupy.
    pub stored_bits: u64,
    /// Multiply-accumulates of one image.
    pub macs: u64,
    /// Wall time of the faulty pass.
    pub seconds: f64,
    /// Its speed.
    pub images_per_second: f64,
    /// The matrix kernel.
    pub kernel: &'static str,
    /// Threads.
    pub threads: usize,
    /// Seed of the chip, as text: JSON numbers have 53 bits.
    pub chip_seed: String,
}

/// Classifies images with a network whose weights lie in a clean or a faulty memory.
///
/// # Errors
/// A name leads nowhere, the parts do not fit each other, or the run was stopped.
pub fn run(args: &EvalArgs, stop: &AtomicBool) -> Result<Evaluation, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn run_here(args: &EvalArgs, stop: &AtomicBool) -> Result<Evaluation, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let names = Names::typed();
    let bits = args.bits.map(|value| Located { value, span: 0..0 });
    let graph = names.with_bits(names.model(args.model.as_str())?, bits.as_ref())?;
    let data = select(names.data(args.data.as_str(), Split::Test)?, args)?;
    let accelerator = names.accelerator(args.accelerator.as_str())?;
    let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let placement = ResidentPlacement::new(&accelerator, sizes)
        .map_err(|error| Failure::input("placement", &error))?;
    let defects = defects(args, placement.geometry)?;
    if let Some(path) = &args.predictions {
        check_writable(path)?;
    }
    let images = Images { pixels: &data.images, labels: &data.labels };
    let emulator = Emulator::new(&graph, &placement, images, kernel)
        .map_err(|error| Failure::input("does-not-fit", &error))?;
    let interrupted = |_| Failure::Interrupted("interrupted".to_owned());

    let parts: Vec<_> =
        defects.parts.iter().map(|(faults, kind)| (faults.as_slice(), *kind)).collect();
    let Corrupted { codes, applied } = emulator.corrupt_parts(&parts);
    let started = Instant::now();
    let predictions = emulator.predict(&codes, stop).map_err(interrupted)?;
    let seconds = started.elapsed().as_secs_f64();
    let clean = clean_predictions(&emulator, &predictions, &applied, stop).map_err(interrupted)?;
    let score = emulator.score(&predictions, &clean);
    if let Some(path) = &args.predictions {
        write_predictions(path, args, &data, &predictions)?;
    }
    let count = data.len();
    Ok(Evaluation {
        model: args.model.clone(),
        data: args.data.clone(),
        images: count,
        correct: score.correct,
        err: 1.0 - score.correct as f64 / count as f64,
        correct_union: score.correct_union,
        cell_fault_rate: defects.cell_fault_rate,
        cells_hit: applied.cells_hit,
        flips: applied.bits_flipped,
        stored_bits: graph.weights.iter().map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum(),
        macs: graph.macs(),
        seconds,
        images_per_second: count as f64 / seconds,
        kernel: kernel.name(),
        threads: rayon::current_num_threads(),
        chip_seed: args.chip_seed.to_string(),
    })
}

impl Answer for Evaluation {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&[self])
    }

    fn table(&self) -> String {
        format!(
            "{} of {} images right: test error {}\n{} faulty cells under {} stored bits, {} bits \
             changed\n{:.2} s, {:.0} images/s, {} MACs per image, kernel {}, {} threads",
            self.correct,
            self.images,
            answer::percent(self.err, 2),
            self.cells_hit,
            self.stored_bits,
            self.flips,
            self.seconds,
            self.images_per_second,
            self.macs,
            self.kernel,
            self.threads
        )
    }
}

fn clean_predictions(
    emulator: &Emulator<'_>,
    predictions: &[usize],
    applied: &Applied,
    stop: &AtomicBool,
) -> Result<Vec<usize>, vmin_emulator::Stopped> {
    if applied.bits_flipped == 0 { Ok(predictions.to_vec()) } else { emulator.predict_clean(stop) }
}

fn select(data: Dataset, args: &EvalArgs) -> Result<Dataset, Failure> {
    let Some(range) = &args.images else { return Ok(data) };
    if range.end > data.len() {
        return Err(Diagnostic::new(
            "out-of-range",
            format!("`{}` has no images {} to {}", args.data, range.start, range.end - 1),
        )
        .allowed(format!("the set has {} test images", data.len()))
        .into());
    }
    data.subset(range.clone()).map_err(|error| Failure::input("data", &error))
}

/// The faulty cells under the network.
struct Defects {
    /// Cells that err in the same way.
    parts: Vec<(Vec<FaultyCell>, FaultKind)>,
    /// Of the population, or of a chip file's map, not of the memory it is laid over.
    cell_fault_rate: f64,
}

fn defects(args: &EvalArgs, memory: Geometry) -> Result<Defects, Failure> {
    let chip = match &args.chip {
        ChipChoice::File(path) => return of_file(path, args, memory),
        ChipChoice::Index(chip) => *chip,
    };
    let kind = args.fault_kind.map_or(FaultKind::Flip, fault_kind);
    let Some((population, threshold)) = population(args)? else {
        return Ok(Defects { parts: Vec::new(), cell_fault_rate: 0.0 });
    };
    let key = ChipKey { seed: args.chip_seed, chip, memory: WEIGHT_MEMORY };
    let chip = Chip::sample(&population, key, memory, threshold)
        .map_err(|error| Failure::input("too-large", &error))?;
    let faults = chip.faults(threshold).map_err(|e| Failure::input("below-floor", &e))?.to_vec();
    Ok(Defects { parts: vec![(faults, kind)], cell_fault_rate: threshold.rate() })
}

const fn fault_kind(kind: FaultKindArg) -> FaultKind {
    match kind {
        FaultKindArg::Flip => FaultKind::Flip,
        FaultKindArg::StuckAt => FaultKind::StuckAt,
    }
}

/// The map of a chip file, repeated over the memory.
fn of_file(path: &Path, args: &EvalArgs, memory: Geometry) -> Result<Defects, Failure> {
    if args.profile.is_some() || args.rate.is_some() {
        return Err(Diagnostic::new(
            "conflict",
            "a chip file has its own cells and voltages, so a profile or a rate means nothing",
        )
        .hint("leave `--profile` and `--rate` away")
        .into());
    }
    let chip = chip::read(path)?;
    let Some(vdd_mv) = args.vdd_mv else {
        return Err(Diagnostic::new(
            "missing-argument",
            "a chip alone does not say at which voltage",
        )
        .hint("add `--vdd-mv V`; `vmin chip inspect` shows the chip's voltages")
        .into());
    };
    let level = chip::level_at(&chip, vdd_mv)?;
    let map = chip_file::errors_at(&chip, &level).map_err(|e| Failure::input("below-floor", &e))?;
    let map_cells = chip.geometry().cells();
    let errors = vmin_sram::tile_errors(&map, map_cells, memory.cells(), args.chip_offset)
        .map_err(|error| Failure::input("too-large", &error))?;
    if map_cells < memory.cells() {
        say(&format!(
            "note: the map of {map_cells} cells is repeated over a memory of {}",
            memory.cells()
        ));
    }
    let parts = if let Some(kind) = args.fault_kind {
        vec![(errors.iter().map(|error| error.cell).collect(), fault_kind(kind))]
    } else {
        let uncertain = map.iter().filter(|e| e.rates.p01.max(e.rates.p10) < 1.0).count();
        if uncertain > 0 {
            say(&format!(
                "note: {uncertain} cells of the map err with a probability below 1; which of them do is \
                 drawn once, by `--chip-seed`"
            ));
        }
        let key = ChipKey { seed: args.chip_seed, chip: 0, memory: WEIGHT_MEMORY };
        let drawn = vmin_sram::draw_faults(&errors, key, LOAD);
        vec![(drawn.inverting, FaultKind::Flip), (drawn.stuck, FaultKind::StuckAt)]
    };
    Ok(Defects { parts, cell_fault_rate: map.len() as f64 / map_cells as f64 })
}

/// The population and threshold asked for, if any.
fn population(args: &EvalArgs) -> Result<Option<(Population, Threshold)>, Failure> {
    let profile = args.profile.as_deref().map(|name| Names::typed().profile(name)).transpose()?;
    match (args.rate, args.vdd_mv, profile) {
        (None, None, None) => Ok(None),
        (None, None, Some(_)) => Err(Diagnostic::new(
            "missing-argument",
            "a profile alone does not say at which voltage",
        )
        .hint("add `--vdd-mv V`, or `--rate P`")
        .into()),
        (None, Some(vdd_mv), Some(profile)) => {
            profile.check(vdd_mv)?;
            Ok(Some((profile.population().clone(), profile.threshold(vdd_mv))))
        }
        (Some(rate), _, profile) => {
            if !(0.0..=0.5).contains(&rate) {
                return Err(Diagnostic::new(
                    "out-of-range",
                    format!("a cell-fault rate of {rate} is out of range"),
                )
                .allowed("expected 0 to 0.5")
                .into());
            }
            let threshold =
                Threshold::from_rate(rate).map_err(|error| Failure::input("rate", &error))?;
            let population = match profile {
                Some(profile) => profile.population().clone(),
                None => Population::new("independent cells", VarianceShares::INDEPENDENT, 0.5)
                    .map_err(|error| Failure::input("population", &error))?,
            };
            Ok(Some((population, threshold)))
        }
        (None, Some(_), None) => {
            Err(Diagnostic::new("missing-argument", "a voltage means nothing without a profile")
                .hint("add `--profile NAME`; `vmin data list` names the shipped ones")
                .into())
        }
    }
}

/// Fails before the work, not after it, where predictions cannot be written.
fn check_writable(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) || path.is_dir() {
        return Err(Diagnostic::new(
            "unwritable",
            format!("cannot write the predictions to `{}`", path.display()),
        )
        .hint("name a file in a folder that exists")
        .into());
    }
    Ok(())
}

fn write_predictions(
    path: &Path,
    args: &EvalArgs,
    data: &Dataset,
    predictions: &[usize],
) -> Result<(), Failure> {
    let first = args.images.as_ref().map_or(0, |range| range.start);
    let mut text = String::from("image,label,prediction\n");
    for (index, (label, prediction)) in data.labels.iter().zip(predictions).enumerate() {
        text.push_str(&format!("{},{label},{prediction}\n", first + index));
    }
    write_whole(path, text.as_bytes()).map_err(|error| {
        Failure::failed(Diagnostic::new(
            "unwritable",
            format!("cannot write `{}`: {}", path.display(), with_causes(&error)),
        ))
    })?;
    say(&format!("wrote `{}`", path.display()));
    Ok(())
}
