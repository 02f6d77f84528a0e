//! `vmin deploy`: what a product would program into single chips, and what to expect of them.
//!
//! ```text
//!  network, chips, supplies (setup) ─> per chip: storages ─> images, tables, manifest ─> DIR[/chip-N]
//!                                        └─ the chip read through its faults ─> expected error
//! ```

mod deployed;
mod given;
mod images;
mod manifest;
mod masks;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use vmin_accel::PerMemory;
use vmin_diagnostic::Diagnostic;
use vmin_emulator::{Deployment, Emulator, LOAD};
use vmin_files::{Staged, sha256, write_set};
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_protection::store::{RowTable, Storage};
use vmin_protection::{Protection, ProtectionCosts};
use vmin_sweep::RowsUsed;
use vmin_sweep::names::Names;
use vmin_sweep::statistics::{PairedDifference, Yield};

use self::manifest::{MANIFEST, Subject, VERSION, network_sha256, predictions_sha256, prices};
use super::setup::{self, Asked, Priced, Setup};
use crate::args::{ChipChoice, DeployArgs, FaultKindArg};
use crate::failure::{say, unwritable};
use crate::progress::Progress;
use crate::{Failure, answer, compute, files};

pub use self::deployed::{Chip, Deployed, InferenceEnergy, OneYield, Yields};
pub(crate) use self::given::Given;
pub use self::manifest::{Counts, Expected, Manifest, RemedyPrice};

/// What to do about a folder that is not as it was written.
const AGAIN: &str = "write it anew with `vmin deploy`";
/// The table of several chips.
const SUMMARY: &str = "chips.csv";
/// The remedies where none is named.
const DEFAULT: [&str; 2] = ["invert_rows", "closest_code"];
/// And beside them, where images are given.
const WITH_IMAGES: &str = "recalibrate";
/// Confidence of the intervals of yields, as in sweeps.
pub(crate) const CONFIDENCE: f64 = 0.95;

/// Deploys a network onto chips.
///
/// # Errors
/// A name leads nowhere, the parts do not fit each other, the folder holds something else, or the run was
/// stopped.
pub fn run(args: &DeployArgs, stop: &AtomicBool) -> Result<Deployed, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

/// What all chips share.
struct Job<'a> {
    args: &'a DeployArgs,
    graph: &'a Graph,
    setup: &'a Setup,
    deployment: &'a Deployment<'a>,
    unprotected: &'a Deployment<'a>,
    judged: Option<Judged<'a>>,
    prices: &'a [RemedyPrice],
    area_share: f64,
    energy: Option<InferenceEnergy>,
    network_sha256: String,
    several: bool,
}

/// Images, and what the network without bit errors makes of them.
struct Judged<'a> {
    emulator: Emulator<'a>,
    clean: Vec<usize>,
    data: &'a Dataset,
    data_sha256: String,
    first_image: u64,
}

impl Judged<'_> {
    fn correct(&self, predictions: &[usize]) -> u64 {
        self.emulator.score(predictions, &self.clean).correct
    }

    fn err(&self, predictions: &[usize]) -> f64 {
        let images = self.data.len() as u64;
        (images - self.correct(predictions)) as f64 / images as f64
    }
}

fn run_here(args: &DeployArgs, stop: &AtomicBool) -> Result<Deployed, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    check_out(&args.out)?;
    let on_chip = &args.on_chip;
    if on_chip.rate.is_none() && on_chip.vdd_mv.is_none() {
        let message = "a deployment is made for the faulty cells of one supply, and none is given";
        return Err(Diagnostic::new("missing-argument", message)
            .hint("add `--vdd-mv V --profile NAME`, `--rate P`, or `--chip FILE --vdd-mv V`")
            .into());
    }
    let graph = setup::network(Path::new(&args.model), on_chip)?;
    let data = args.data.as_ref();
    let data = data.map(|name| setup::images(name, args.images.as_ref())).transpose()?;
    let costs = Names::typed().costs(args.costs.as_str())?;
    let default = DEFAULT.into_iter().chain(data.is_some().then_some(WITH_IMAGES));
    let default: Vec<String> = default.map(str::to_owned).collect();
    let if_of_use = args.remedy.is_empty();
    let mechanisms = if if_of_use { &default[..] } else { &args.remedy };
    let setup = Setup::new(&graph, on_chip, Asked { option: "--remedy", mechanisms, if_of_use })?;
    if args.masks && on_chip.fault_kind == Some(FaultKindArg::Transient) {
        let message = "transient errors have no faulty cells, so `--masks` means nothing";
        return Err(Diagnostic::new("no-effect", message)
            .hint("leave `--masks` away, or choose another `--fault-kind`")
            .into());
    }
    if let Some(larger) = setup.larger() {
        return Err(Diagnostic::new(
            "does-not-fit",
            format!("{larger}; no chip can be programmed so"),
        )
        .hint("choose `--placement streamed`, fewer `--bits`, or a larger accelerator")
        .into());
    }
    let deployment = setup.deployment(&graph)?;
    let named = args.data.as_deref().zip(data.as_ref());
    let deployment = setup.calibrated(deployment, on_chip, named, kernel, stop)?;
    setup.remark(&deployment)?;
    let unprotected = Deployment::new(&graph, &setup.placement, &Protection::default())
        .map_err(|error| Failure::input("placement", &error))?;
    let judged = |data| judged(args, &graph, data, kernel, stop);
    let judged = data.as_ref().map(judged).transpose()?;
    if judged.is_none() {
        say("note: no images are given, so no errors are known; name them with `--data`");
    }
    let prices = prices(&setup, &deployment.extents(), &costs);
    let range = setup.chips.range.clone();
    let job = Job {
        args,
        graph: &graph,
        setup: &setup,
        deployment: &deployment,
        unprotected: &unprotected,
        judged,
        prices: &prices,
        area_share: setup.area_share_by(&deployment.extents(), &costs),
        energy: energy(&setup, &graph, &deployment, &costs)?,
        network_sha256: network_sha256(&graph)?,
        several: matches!(on_chip.chip[..], [ChipChoice::Range(_)]) || range.len() > 1,
    };
    let staged = Staged::beside(&args.out).map_err(|error| unwritable(&args.out, &error))?;
    let progress = job.several.then(|| Progress::new("deploy", "chips"));
    progress.iter().for_each(|progress| progress.begin(range.len() as u64, 0));
    let one = |chip: u32| {
        let done = job.chip(chip, staged.path(), stop)?;
        progress.iter().for_each(Progress::advance);
        Ok(done)
    };
    let chips: Vec<(Chip, Manifest)> =
        range.into_par_iter().map(one).collect::<Result<_, Failure>>()?;
    drop(progress);
    let (chips, manifests): (Vec<Chip>, Vec<Manifest>) = chips.into_iter().unzip();
    if job.several {
        let path = staged.path().join(SUMMARY);
        vmin_files::write_whole(&path, format!("{}\n", answer::csv(&chips)?).as_bytes())
            .map_err(|error| unwritable(&args.out, &error))?;
    }
    staged.publish().map_err(|error| unwritable(&args.out, &error))?;
    say(&format!("wrote `{}`", args.out.display()));
    Ok(job.answer(chips, &manifests, costs.name()))
}

/// Energy of an inference on the chips as deployed; none without a profile.
fn energy(
    setup: &Setup,
    graph: &Graph,
    deployment: &Deployment<'_>,
    costs: &ProtectionCosts,
) -> Result<Option<InferenceEnergy>, Failure> {
    let Some(Priced { nominal, energy, profile }) =
        setup.energy(graph, deployment, costs, &setup.chips.unprotected)?
    else {
        return Ok(None);
    };
    Ok(Some(InferenceEnergy {
        energy_per_inference_nj: energy.total_nj,
        energy_codec_nj: energy.codec_nj,
        energy_nominal_nj: nominal.total_nj,
        energy_saving: 1.0 - energy.total_nj / nominal.total_nj,
        latency_us: energy.latency_us,
        vdd_nominal_mv: profile.v_ref_mv(),
    }))
}

fn judged<'a>(
    args: &DeployArgs,
    graph: &'a Graph,
    data: &'a Dataset,
    kernel: &'static dyn vmin_kernels::GemmKernel,
    stop: &AtomicBool,
) -> Result<Judged<'a>, Failure> {
    let emulator = setup::emulator(graph, data, kernel)?;
    let clean = emulator.predict_clean(stop).map_err(interrupted)?;
    let first_image = args.images.as_ref().map_or(0, |range| range.start as u64);
    Ok(Judged { emulator, clean, data, data_sha256: data.sha256(), first_image })
}

fn interrupted(_: vmin_emulator::Stopped) -> Failure {
    Failure::Interrupted("interrupted; nothing was written".to_owned())
}

impl Job<'_> {
    /// Writes the folder of a chip below `folder`.
    fn chip(
        &self,
        number: u32,
        folder: &Path,
        stop: &AtomicBool,
    ) -> Result<(Chip, Manifest), Failure> {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(interrupted(vmin_emulator::Stopped));
        }
        let Self { args, setup, .. } = *self;
        let chips = &setup.chips;
        let bare = setup.open(self.unprotected, number, &chips.unprotected)?;
        let open = setup.open(self.deployment, number, &chips.supplies)?;
        // Decided once.
        let storages = open.storages(&chips.supplies, stop).map_err(interrupted)?;
        let open = open.with_storages(storages.clone());
        let images = open.images(&chips.supplies);
        let plain = bare.weights(&chips.unprotected, LOAD);
        let read = open.weights(&chips.supplies, LOAD);
        let counts = Counts {
            cells_faulty: plain.applied.cells_hit,
            flips_unprotected: plain.applied.bits_flipped,
            flips_deployed: read.applied.bits_flipped,
            ..counts(&storages)
        };
        let expected = self.judged.as_ref().map(|judged| -> Result<Expected, Failure> {
            let trial = setup.trial(judged.first_image);
            let without = vmin_emulator::TrialSpec { supplies: &chips.unprotected, ..trial };
            let predict = |open: &vmin_emulator::OpenChip<'_>, trial| {
                open.predict(trial, &judged.emulator, &judged.clean, stop).map_err(interrupted)
            };
            let (unprotected, _) = predict(&bare, without)?;
            let (deployed, _) = predict(&open, trial)?;
            let at = (number, judged.first_image);
            let (emulator, clean) = (&judged.emulator, &judged.clean);
            let exactly = setup.predicted_exactly(self.deployment, at, emulator, clean, stop)?;
            let err_exact_map = exactly.map(|exactly| judged.err(&exactly));
            Ok(Expected {
                data: args.data.clone().unwrap_or_default(),
                data_sha256: judged.data_sha256.clone(),
                first_image: judged.first_image,
                images: judged.data.len() as u64,
                err_clean: judged.err(&judged.clean),
                err_unprotected: judged.err(&unprotected),
                err_deployed: judged.err(&deployed),
                err_exact_map,
                lost_by_map: err_exact_map.map(|exact| judged.err(&deployed) - exact),
                predictions_sha256: predictions_sha256(&deployed),
            })
        });
        let expected = expected.transpose()?;
        let streamed = setup.placement.weights.resident().is_none();
        let columns = setup.placement.weights.geometry().columns();
        let mut files = images::files(&images, columns, streamed)?;
        let fitted = open.fitted(&chips.supplies, setup.reads(), stop).map_err(interrupted)?;
        let graph = fitted.as_ref().unwrap_or(self.graph);
        files.extend(tables::files(graph, &storages, &images, streamed)?);
        if args.masks {
            let sites = open.sites(&chips.supplies, LOAD);
            files.extend(masks::files(self.graph, &sites, &read.codes)?);
        }
        let digests = files.iter().map(|(name, bytes)| (name.clone(), sha256(bytes)));
        let manifest = Manifest {
            deployment_version: VERSION,
            vmin: env!("CARGO_PKG_VERSION").to_owned(),
            model: args.model.clone(),
            chip: number,
            on_chip: args.on_chip.clone(),
            remedies: setup.typed.texts(),
            subject: Subject::of(&self.network_sha256, setup, number)?,
            fault_kind: chips.fault_kind.unwrap_or_default().to_owned(),
            counts,
            expected,
            prices: self.prices.to_vec(),
            known: setup.typed.protection().known_text(),
            costs: args.costs.clone(),
            files: digests.collect(),
        };
        let below = if self.several { format!("chip-{number}") } else { String::new() };
        write_files(&folder.join(&below), &manifest, &files)?;
        let expected = manifest.expected.as_ref();
        let chip = Chip {
            chip: number,
            chip_file: chips.files.get(number as usize).cloned().unwrap_or_default(),
            folder: below,
            err_unprotected: expected.map(|of| of.err_unprotected),
            err_deployed: expected.map(|of| of.err_deployed),
            lost_by_map: expected.and_then(|of| of.lost_by_map),
            cells_faulty: counts.cells_faulty,
            codes_changed: counts.codes_changed,
            rows_inverted: counts.rows_inverted,
            rows_moved: counts.rows_moved,
            channels_moved: counts.channels_moved,
            lanes_rotated: counts.lanes_rotated,
            flips_unprotected: counts.flips_unprotected,
            flips_deployed: counts.flips_deployed,
        };
        Ok((chip, manifest))
    }

    fn answer(&self, chips: Vec<Chip>, manifests: &[Manifest], costs: &str) -> Deployed {
        let wanted = &self.setup.chips;
        let expected: Vec<&Expected> =
            manifests.iter().filter_map(|of| of.expected.as_ref()).collect();
        let mean = |of: fn(&Expected) -> f64| {
            let sum: f64 = expected.iter().map(|expected| of(expected)).sum();
            (!expected.is_empty()).then(|| sum / expected.len() as f64)
        };
        let first = expected.first();
        let budget_pct = self.args.budget_pct;
        let one_yield = |of: fn(&Expected) -> f64| {
            // Whole images, whichever way a share was rounded.
            let lost = |it: &&&Expected| {
                let images = it.images as f64;
                let lost = ((of(it) - it.err_clean) * images).round();
                lost <= (budget_pct / 100.0 * images + 1e-9).floor()
            };
            let (passing, all) = (expected.iter().filter(lost).count() as u32, chips.len() as u32);
            let (yield_low, yield_high) = Yield::of(passing, all, 1, CONFIDENCE).interval;
            let yield_fraction = f64::from(passing) / f64::from(all);
            OneYield { chips_within_budget: passing, yield_fraction, yield_low, yield_high }
        };
        let of_yield = first.map(|_| Yields {
            budget_pct,
            unprotected: one_yield(|of| of.err_unprotected),
            deployed: one_yield(|of| of.err_deployed),
        });
        let vdd_mv = PerMemory::from_fn(|memory| wanted.vdd_mv(memory));
        let lost: Option<Vec<f64>> = chips.iter().map(|of| of.lost_by_map).collect();
        let protection = self.setup.typed.protection();
        let extents = self.deployment.extents();
        let start_up = protection.start_up(&extents);
        Deployed {
            model: self.args.model.clone(),
            out: self.args.out.display().to_string(),
            fault_kind: wanted.fault_kind.unwrap_or_default().to_owned(),
            cell_fault_rate: wanted.cell_fault_rate,
            vdd_mv,
            protection: protection.describe(),
            known: protection.known_text(),
            lost_by_map: lost.and_then(|lost| PairedDifference::of(&lost, 1, CONFIDENCE)),
            area_share: self.area_share,
            calibration_inferences: start_up.calibration_inferences,
            test_row_reads: start_up.test_row_reads,
            rows: extents.map(RowsUsed::of),
            energy: self.energy,
            data: self.args.data.clone(),
            images: first.map(|of| of.images),
            err_clean: first.map(|of| of.err_clean),
            err_unprotected: mean(|of| of.err_unprotected),
            err_deployed: mean(|of| of.err_deployed),
            of_yield,
            cells_faulty: chips.iter().map(|of| of.cells_faulty).sum(),
            codes_changed: chips.iter().map(|of| of.codes_changed).sum(),
            remedies: self.prices.to_vec(),
            costs: costs.to_owned(),
            chips,
            written_otherwise: self.setup.typed.protection().writes_around(),
        }
    }
}

/// The problem of a file that was taken back.
fn broken(name: &str, what: &str) -> Failure {
    Diagnostic::new("deployment", format!("`{name}`: {what}")).hint(AGAIN).into()
}

/// What of the memories is stored otherwise.
fn counts(storages: &PerMemory<Storage>) -> Counts {
    let all = || storages.iter().map(|(_, storage)| storage);
    let moved = |storage: &Storage| {
        let pairs = storage.rows.iter().flat_map(RowTable::pairs);
        pairs.filter(|(order, row)| order != row).count() as u64
    };
    let rotated =
        |storage: &Storage| storage.rotations.iter().filter(|of| of.bits > 0).count() as u64;
    let channels = storages.weight.channels.iter().flat_map(|of| of.order.iter().enumerate());
    let written = || storages.weight.contents.values();
    Counts {
        codes_changed: written().map(|of| of.codes.len() as u64).sum(),
        rows_inverted: written().map(|of| of.inverted_rows.len() as u64).sum(),
        rows_moved: all().map(moved).sum(),
        channels_moved: channels.filter(|(place, channel)| *place != **channel).count() as u64,
        lanes_rotated: all().map(rotated).sum(),
        ..Counts::default()
    }
}

/// Writes the files of a chip, the manifest last.
fn write_files(
    folder: &Path,
    manifest: &Manifest,
    files: &[(String, Vec<u8>)],
) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(manifest).map_err(std::io::Error::from)? + "\n";
    let all = files.iter().map(|(name, bytes)| (folder.join(name), bytes.as_slice()));
    let all: Vec<(PathBuf, &[u8])> =
        all.chain([(folder.join(MANIFEST), text.as_bytes())]).collect();
    for (path, _) in &all {
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.map_err(|error| unwritable(path, &error))?;
    }
    write_set(&all).map_err(|(path, error)| unwritable(&path, &error))
}

/// Refuses a folder with files that are not those of a deployment.
fn check_out(out: &Path) -> Result<(), Failure> {
    if out.is_file() {
        return Err(files::kept(out));
    }
    let mut found = Vec::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { &mut folders } else { &mut found }.push(entry.path());
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let own = given::all_files(out)?;
    let other = found
        .into_iter()
        .filter(|path| path.strip_prefix(out).map_or(true, |below| !own.contains(below)));
    other.min().map_or(Ok(()), |path| Err(files::kept(&path)))
}
