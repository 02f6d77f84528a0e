//! `vmin eval`: accuracy of one network, clean or on single chips.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::{Memory, PerMemory};
use vmin_diagnostic::Diagnostic;
use vmin_emulator::{LOAD, OpenChip, Reads};
use vmin_nn::data::Dataset;
use vmin_sram::Applied;
use vmin_sweep::Spread;
use vmin_sweep::statistics::PairedDifference;

use super::deploy::{CONFIDENCE, Given};
use super::setup::{self, Asked, Setup};
use crate::args::{ChipChoice, EvalArgs, FaultKindArg};
use crate::progress::Progress;
use crate::{Answer, Failure, answer, compute, files};

/// Accuracy of one network on one chip, or without bit errors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Evaluation {
    /// The network, as named.
    pub model: String,
    /// The image set, as named.
    pub data: String,
    /// How sums become codes.
    pub rounding: &'static str,
    /// How pixels become the network's input.
    pub pixels: String,
    /// Images classified.
    pub images: usize,
    /// Images classified right.
    pub correct: u64,
    /// Share of images classified wrong.
    pub err: f64,
    /// Images that the clean and the faulty network classify right.
    pub correct_union: u64,
    /// How faulty cells err: `flip`, `stuck_at`, `measured` (a chip file's cells of several kinds) or `transient`;
    /// absent without bit errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_kind: Option<&'static str>,
    /// Share of faulty cells, of the population or of a chip file's map.
    pub cell_fault_rate: f64,
    /// Faulty cells under stored bits of weights; transient ones summed over all images.
    pub cells_hit: u64,
    /// Stored bits of weights that are wrong as used; transient ones summed over all images.
    pub flips: u64,
    /// How far weights as used lie from the network's: the root of the squared errors over that of the squared values,
    /// each weighted by how far its channel moves the output; absent with transient errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_deviation: Option<f64>,
    /// Bits that the weights occupy.
    pub stored_bits: u64,
    /// Bits of activations that were changed, over all images, if their memory is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_flips: Option<u64>,
    /// Bits of partial sums that were read wrongly, over all images, if their memory is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_flips: Option<u64>,
    /// The protection in words, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<String>,
    /// What is known of the chip: `exact`, or the table of the test; absent where no mechanism works from a fault map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// Test error of the same with the exact map of the chip, where the map is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_exact_map: Option<f64>,
    /// By how much `err` exceeds that; not told of deployments, whose constants were fitted by their map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_by_map: Option<f64>,
    /// Area of extra cells and gates of the protection over that of the bit cells of all memories: an estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area_share: Option<f64>,
    /// Inferences at start-up, for each chip and supply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration_inferences: Option<u64>,
    /// Rows that the test for the fault map reads at start-up, all its reads together, for one pattern of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_row_reads: Option<u64>,
    /// The accelerator.
    pub accelerator: String,
    /// `resident` or `streamed`.
    pub placement: &'static str,
    /// The voltage profile, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Supply of the weight memory, in mV; absent where only a rate is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vdd_mv: Option<f64>,
    /// Supply of the activation memory, in mV, if it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_vdd_mv: Option<f64>,
    /// Supply of the accumulator memory, in mV, if it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_vdd_mv: Option<f64>,
    /// Rows of the weight memory that hold something.
    pub weight_rows_used: u64,
    /// All its rows.
    pub weight_rows: u64,
    /// Rows of the activation memory that hold something at some time, if it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_rows_used: Option<u64>,
    /// All its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_rows: Option<u64>,
    /// Rows of the accumulator memory that hold something at some time, if it is lowered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_rows_used: Option<u64>,
    /// All its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator_rows: Option<u64>,
    /// True if codes are written in place of others.
    #[serde(skip)]
    written_otherwise: bool,
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
    /// Number of the chip, where several were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<u32>,
    /// File of the chip, where several files were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip_file: Option<String>,
}

/// Accuracy of one network on several chips.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chips {
    /// Mean test error.
    pub rerr_mean: f64,
    /// Its sample standard deviation; 0 for one chip.
    pub rerr_std: f64,
    /// Best chip.
    pub rerr_min: f64,
    /// Worst chip.
    pub rerr_max: f64,
    /// By how much the error exceeds that with the exact map of each chip, paired over chips, with its 95 % interval;
    /// absent where the map is exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_by_map: Option<PairedDifference>,
    /// Each chip.
    pub chips: Vec<Evaluation>,
}

/// Accuracy of one network on the chips asked for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Evaluated {
    /// On one.
    One(Box<Evaluation>),
    /// On several.
    Several(Chips),
}

/// Classifies images with a network in the memories of single chips.
///
/// # Errors
/// A name leads nowhere, the parts do not fit each other, or the run was stopped.
pub fn run(args: &EvalArgs, stop: &AtomicBool) -> Result<Evaluated, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn run_here(args: &EvalArgs, stop: &AtomicBool) -> Result<Evaluated, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let given = args.deployed.as_deref().map(Given::open).transpose()?;
    let (model, on_chip, asked) = match &given {
        Some(given) => (Path::new(given.model()), given.on_chip(), given.asked()),
        None => {
            let asked = Asked { option: "--protect", mechanisms: &args.protect, if_of_use: false };
            (args.model.as_deref().unwrap_or(Path::new("")), &args.on_chip, asked)
        }
    };
    let graph = setup::network(model, on_chip)?;
    let data = setup::images(&args.data, args.images.as_ref())?;
    let setup = Setup::new(&graph, on_chip, asked)?;
    given.iter().try_for_each(|given| given.check(&graph, &setup))?;
    if let Some(path) = &args.predictions {
        check_writable(path)?;
    }
    let chips = &setup.chips;
    let protection = setup.typed.protection();
    let deployment = setup.deployment(&graph)?;
    let named = Some((&args.data[..], &data));
    let deployment = match &given {
        // The files hold the fitted constants, but not the ranges of partial sums.
        Some(_) if protection.guard_images().is_none() => deployment,
        Some(_) | None => setup.calibrated(deployment, on_chip, named, kernel, stop)?,
    };
    setup.remark(&deployment)?;
    let on_clean = setup::emulator(&graph, &data, kernel)?;
    let interrupted = |_| Failure::Interrupted("interrupted".to_owned());
    let first_image = args.images.as_ref().map_or(0, |range| range.start as u64);
    let errs = chips.supplies.present().next().is_some();
    let deviates = setup.reads() == Reads::Once;
    let extents = deployment.extents();
    let rows = |memory: Memory| Some(*extents.get(memory)).filter(|extent| extent.rows > 0);
    let vdd_mv = |memory: Memory| chips.vdd_mv(memory);
    let (protects, start_up) = (!protection.is_empty(), protection.start_up(&extents));
    let area_share = protects.then(|| setup.area_share(&extents)).transpose()?;
    let off = |open: &OpenChip<'_>| {
        open.weight_deviation(&chips.supplies, LOAD, stop).map_err(interrupted)
    };
    let mut clean = None;
    let mut evaluations = Vec::new();
    let mut of_chips = Vec::new();
    let numbers = match &given {
        Some(given) => given.chips(),
        None => chips.range.clone().collect(),
    };
    let several = match &given {
        Some(_) => numbers.len() > 1,
        None => matches!(on_chip.chip[..], [ChipChoice::Range(_)]) || numbers.len() > 1,
    };
    let progress = several.then(|| Progress::new("eval", "chips"));
    progress.iter().for_each(|progress| progress.begin(numbers.len() as u64, 0));
    for chip in numbers {
        let started = Instant::now();
        let mut deviation = None;
        let (predictions, applied) = if let Some(given) = &given {
            let own = given.read(chip, &graph, &setup)?;
            let deployment = setup.deployment(&own.graph)?.fitted_from(&deployment);
            let emulator = setup::emulator(&own.graph, &data, kernel)?;
            let on_clean = || on_clean.predict_clean(stop).map_err(interrupted);
            clean = clean.map_or_else(on_clean, Ok).map(Some)?;
            // Other biases, other predictions.
            let known = match &clean {
                Some(clean) if own.graph == graph => Cow::Borrowed(clean),
                Some(_) | None => Cow::Owned(emulator.predict_clean(stop).map_err(interrupted)?),
            };
            let open = own.open(&deployment, &setup)?;
            deviation = deviates.then(|| off(&open)).transpose()?;
            open.predict(setup.trial(first_image), &emulator, &known, stop).map_err(interrupted)?
        } else if errs {
            let open = setup.open(&deployment, chip, &chips.supplies)?;
            deviation = deviates.then(|| off(&open)).transpose()?;
            // Predictions without bit errors are made once, and only where a chip needs them.
            let known: &[usize] = clean.as_deref().unwrap_or(&[]);
            let none = clean.is_none();
            let trial = setup.trial(first_image);
            let (found, applied) =
                open.predict(trial, &on_clean, known, stop).map_err(interrupted)?;
            let unharmed = none && found.is_empty();
            let found =
                if unharmed { on_clean.predict_clean(stop).map_err(interrupted)? } else { found };
            (found, applied)
        } else {
            let predictions = on_clean.predict_clean(stop).map_err(interrupted)?;
            (predictions, PerMemory::<Applied>::default())
        };
        let seconds = started.elapsed().as_secs_f64();
        let harmed = applied.iter().any(|(_, applied)| applied.bits_flipped > 0);
        let clean = match &mut clean {
            Some(clean) => clean,
            none if !harmed => none.insert(predictions.clone()),
            none => none.insert(on_clean.predict_clean(stop).map_err(interrupted)?),
        };
        let score = on_clean.score(&predictions, clean);
        let at = (chip, first_image);
        // What was fitted to a chip by an inexact map is no other map's: a deployment tells its loss itself.
        let exactly = match given {
            Some(_) => None,
            None => setup.predicted_exactly(&deployment, at, &on_clean, clean, stop)?,
        };
        let correct_exactly = exactly.map(|exactly| on_clean.score(&exactly, clean).correct);
        if let Some(given) = &given {
            given.agrees(chip, &data, first_image, &predictions)?;
        }
        if args.predictions.is_some() {
            of_chips.push((chip, predictions));
        }
        let count = data.len();
        let err = |correct: u64| (count as u64 - correct) as f64 / count as f64;
        let err_exact_map = correct_exactly.map(err);
        let errs = |memory: Memory| chips.supplies.get(memory).is_some();
        let flips = |memory: Memory| errs(memory).then(|| applied.get(memory).bits_flipped);
        evaluations.push(Evaluation {
            model: model.display().to_string(),
            data: args.data.clone(),
            rounding: graph.rounding.word(),
            pixels: graph.pixels_in_words(),
            images: count,
            correct: score.correct,
            err: err(score.correct),
            correct_union: score.correct_union,
            fault_kind: chips.fault_kind,
            cell_fault_rate: chips.cell_fault_rate,
            cells_hit: applied.weight.cells_hit,
            flips: applied.weight.bits_flipped,
            weight_deviation: deviation,
            stored_bits: graph
                .weights
                .iter()
                .map(|w| w.codes.len() as u64 * u64::from(w.bits))
                .sum(),
            activation_flips: flips(Memory::Activation),
            accumulator_flips: flips(Memory::Accumulator),
            protection: protects.then(|| protection.describe()),
            known: protection.known_text(),
            err_exact_map,
            lost_by_map: err_exact_map.map(|exact| err(score.correct) - exact),
            area_share,
            calibration_inferences: protects.then_some(start_up.calibration_inferences),
            test_row_reads: protects.then_some(start_up.test_row_reads),
            accelerator: setup.accelerator.name().to_owned(),
            placement: on_chip.placement.word(),
            profile: on_chip.profile.clone(),
            vdd_mv: vdd_mv(Memory::Weight),
            activation_vdd_mv: vdd_mv(Memory::Activation),
            accumulator_vdd_mv: vdd_mv(Memory::Accumulator),
            weight_rows_used: extents.weight.rows_used,
            weight_rows: extents.weight.rows,
            activation_rows_used: rows(Memory::Activation).map(|of| of.rows_used),
            activation_rows: rows(Memory::Activation).map(|of| of.rows),
            accumulator_rows_used: rows(Memory::Accumulator).map(|of| of.rows_used),
            accumulator_rows: rows(Memory::Accumulator).map(|of| of.rows),
            written_otherwise: protection.writes_around(),
            macs: graph.macs(),
            seconds,
            images_per_second: count as f64 / seconds,
            kernel: kernel.name(),
            threads: rayon::current_num_threads(),
            chip_seed: on_chip.chip_seed.to_string(),
            chip: several.then_some(chip),
            chip_file: chips.files.get(chip as usize).filter(|_| several).cloned(),
        });
        progress.iter().for_each(Progress::advance);
    }
    drop(progress);
    if let Some(path) = &args.predictions {
        write_predictions(path, args, &data, several, &of_chips)?;
    }
    let errors: Vec<f64> = evaluations.iter().map(|of| of.err).collect();
    match (several, evaluations.pop(), Spread::of(&errors)) {
        (false, Some(one), _) => Ok(Evaluated::One(Box::new(one))),
        (_, last, Some(Spread { mean, std, min, max })) => {
            evaluations.extend(last);
            let (rerr_mean, rerr_std, rerr_min, rerr_max) = (mean, std, min, max);
            let chips = evaluations;
            let lost: Option<Vec<f64>> = chips.iter().map(|of| of.lost_by_map).collect();
            let lost_by_map = lost.and_then(|lost| PairedDifference::of(&lost, 1, CONFIDENCE));
            Ok(Evaluated::Several(Chips {
                rerr_mean,
                rerr_std,
                rerr_min,
                rerr_max,
                lost_by_map,
                chips,
            }))
        }
        (_, _, None) => Err(Diagnostic::new("no-chips", "no chip was asked for").into()),
    }
}

impl Answer for Evaluated {
    fn csv(&self) -> Result<String, Failure> {
        match self {
            Self::One(one) => answer::csv(&[one]),
            Self::Several(several) => answer::csv(&several.chips),
        }
    }

    fn table(&self) -> String {
        let several = match self {
            Self::One(one) => return in_words(one),
            Self::Several(several) => several,
        };
        let mut header = vec!["chip", "test error", "faulty cells", "changed bits"];
        let buffers = [
            ("of activations", several.flips(|of| of.activation_flips)),
            ("of partial sums", several.flips(|of| of.accumulator_flips)),
        ];
        header.extend(buffers.iter().filter(|(_, flips)| flips.is_some()).map(|(name, _)| *name));
        let rows = several.chips.iter().enumerate().map(|(index, of)| {
            let mut row = vec![
                of.chip_file.clone().unwrap_or_else(|| of.chip.unwrap_or_default().to_string()),
                answer::percent(of.err, 2),
                of.cells_hit.to_string(),
                of.flips.to_string(),
            ];
            let flips = buffers.iter().filter_map(|(_, flips)| flips.as_ref());
            row.extend(flips.map(|flips| flips[index].to_string()));
            row
        });
        let files = several.chips.iter().any(|of| of.chip_file.is_some());
        let table = answer::table(&header, usize::from(files), rows);
        let kind = several.chips.first().and_then(Evaluation::kind_in_words);
        let kind = kind.map(|words| format!("\n{words}")).unwrap_or_default();
        let lost = several.lost_by_map.map(|lost| lost_in_words(&lost.words())).unwrap_or_default();
        let first = several.chips.first();
        let notes = first.map(Evaluation::notes_in_words).unwrap_or_default();
        let sentences = format!(
            "test error {:.2} ± {:.2} % over {} chips, {} to {}{lost}{kind}",
            several.rerr_mean * 100.0,
            several.rerr_std * 100.0,
            several.chips.len(),
            answer::percent(several.rerr_min, 2),
            answer::percent(several.rerr_max, 2)
        );
        format!("{table}\n{}{notes}", answer::wrapped(&sentences))
    }
}

impl Chips {
    /// Bits of a memory that were changed on each chip, if it is lowered.
    fn flips(&self, of: impl Fn(&Evaluation) -> Option<u64>) -> Option<Vec<u64>> {
        self.chips.iter().map(of).collect()
    }
}

impl Evaluation {
    /// How faulty cells err, and what is summed over images; none without bit errors.
    fn kind_in_words(&self) -> Option<String> {
        let kind = self.fault_kind?;
        let mut words = format!("fault kind {kind}");
        if kind == FaultKindArg::TRANSIENT {
            words.push_str("; cells and bits are summed over all images");
        } else if self.activation_flips.is_some() || self.accumulator_flips.is_some() {
            words.push_str("; bits of activations and partial sums are summed over all images");
        }
        Some(words)
    }

    /// The protection with what is known of chips and its price, a line each; nothing without protection.
    fn notes_in_words(&self) -> String {
        let Some(protection) = &self.protection else { return String::new() };
        let mut lines = vec![format!("protection: {protection}")];
        let rows = [
            ("weight", Some((self.weight_rows_used, self.weight_rows))),
            ("activation", self.activation_rows_used.zip(self.activation_rows)),
            ("accumulator", self.accumulator_rows_used.zip(self.accumulator_rows)),
        ];
        let rows = rows.iter().filter_map(|(memory, rows)| {
            let (used, all) = (*rows).filter(|(_, all)| *all > 0)?;
            Some(format!("{memory} {used} of {all}"))
        });
        lines.push(format!("rows that hold something: {}", rows.collect::<Vec<_>>().join(", ")));
        lines.push(format!(
            "price: {} of the memories' area (estimate); at start-up {} calibration inferences and \
             {} reads of rows by the memory test",
            answer::percent(self.area_share.unwrap_or_default(), 2),
            self.calibration_inferences.unwrap_or_default(),
            self.test_row_reads.unwrap_or_default()
        ));
        if self.written_otherwise {
            lines.push(WRITTEN_OTHERWISE.to_owned());
        }
        lines.iter().map(|line| format!("\n{}", answer::wrapped(line))).collect()
    }
}

/// Why fewer errors may come with more changed bits.
pub(super) const WRITTEN_OTHERWISE: &str = "changed bits are those in which weights as read differ from the network's: a code that \
     `closest_code` or `compensate` writes can differ in more bits, and lie nearer in value or in the sums of its channel \
     (`weight_deviation`)";

/// What an inexact map loses.
fn lost_in_words(points: &str) -> String {
    format!("\n{}", answer::wrapped(&format!("lost by the map, against the exact one: {points}")))
}

fn in_words(evaluation: &Evaluation) -> String {
    let buffers = [
        ("activations", evaluation.activation_flips),
        ("partial sums", evaluation.accumulator_flips),
    ];
    let buffers: String = buffers
        .iter()
        .filter_map(|(name, flips)| Some(format!(", {} bits of {name}", (*flips)?)))
        .collect();
    let kind = evaluation.kind_in_words().map(|words| format!("\n{words}")).unwrap_or_default();
    let lost = evaluation.lost_by_map.map(|lost| format!("{:.2} points", lost * 100.0));
    let lost = lost.map(|points| lost_in_words(&points)).unwrap_or_default();
    let notes = evaluation.notes_in_words();
    let deviation = evaluation
        .weight_deviation
        .map(|of| format!(" (weights off by {})", answer::percent(of, 2)));
    let deviation = deviation.unwrap_or_default();
    answer::wrapped(&format!(
        "{} of {} images right: test error {}\n{} faulty cells under {} stored bits, {} bits \
         changed{deviation}{buffers}{kind}{lost}{notes}\n{:.2} s, {:.0} images/s, {} MACs per image, kernel {}, {} \
         threads\n\
         pixels {}, rounding {}",
        evaluation.correct,
        evaluation.images,
        answer::percent(evaluation.err, 2),
        evaluation.cells_hit,
        evaluation.stored_bits,
        evaluation.flips,
        evaluation.seconds,
        evaluation.images_per_second,
        evaluation.macs,
        evaluation.kernel,
        evaluation.threads,
        evaluation.pixels,
        evaluation.rounding
    ))
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
    files::check(path, files::PREDICTIONS)
}

/// Writes the predictions of all chips, with a column of their numbers if there can be several.
fn write_predictions(
    path: &Path,
    args: &EvalArgs,
    data: &Dataset,
    several: bool,
    of_chips: &[(u32, Vec<usize>)],
) -> Result<(), Failure> {
    let first = args.images.as_ref().map_or(0, |range| range.start);
    let mut text = String::from(if several { "chip," } else { "" });
    text.push_str("image,label,prediction\n");
    for (chip, predictions) in of_chips {
        let chip = if several { format!("{chip},") } else { String::new() };
        for (index, (label, prediction)) in data.labels.iter().zip(predictions).enumerate() {
            text.push_str(&format!("{chip}{},{label},{prediction}\n", first + index));
        }
    }
    files::write(path, text.as_bytes(), files::PREDICTIONS)
}
