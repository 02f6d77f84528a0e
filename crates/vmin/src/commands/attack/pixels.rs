//! `vmin attack --kind images|patch`: pixels that mislead a network on a chip.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use vmin_attack::Norm;
use vmin_attack::image::{
    Ball, Found, Images as Attacked, Objective, Pgd, Search, Start, pgd, random_search, squares,
    whole,
};
use vmin_attack::patch::{Area, Moves, Patch, patch, random_patch};
use vmin_diagnostic::Diagnostic;
use vmin_emulator::{LOAD, OpenChip, TrialSpec};
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_train::{Engine, Twin};

use super::output::Archive;
use super::pixels_answer::{ImageAttack, PixelRow};
use super::victims::{Black, White};
use super::{Held, misfit, twin_of};
use crate::args::{AttackArgs, AttackKind, AttackMethod, MovesArg, NormArg, ObjectiveArg};
use crate::commands::noise::BUDGETS;
use crate::commands::setup::{self, Asked, Setup};
use crate::progress::Progress;
use crate::{Failure, compute};

/// Images that are attacked together.
const TOGETHER: usize = 100;
/// Most images where none are named.
const IMAGES_MAX: usize = 500;
/// Restarts, steps and questions where none are named.
const RESTARTS: u32 = 5;
const STEPS: u32 = 40;
const PATCH_STEPS: u32 = 50;
const QUERIES: u32 = 500;
/// Images that set the threshold, where no number is named.
const HELD_OUT: u32 = 1000;
/// Side, centre and stride of patches, and the step of their pixels, as in the paper (see `vmin_attack::patch`).
const SIDE: u32 = 8;
const CENTRE: usize = 10;
const STRIDE: u32 = 2;
const PATCH_STEP: f32 = 0.05;
/// Share of the right held-out images that are accepted.
const ACCEPTED: f64 = 0.99;

/// Some images as they are, and under each attack.
pub(super) struct Examples {
    pub(super) shape: [usize; 3],
    pub(super) clean: Vec<Vec<u8>>,
    pub(super) attacked: Vec<Vec<Vec<u8>>>,
}

/// Images that a page shows.
const SHOWN: usize = 8;

/// One attack of a run.
struct Kind {
    method: AttackMethod,
    norm: Option<(Norm, f64)>,
}

/// What an attack sees, and what it is counted by.
struct Ground<'a> {
    args: &'a AttackArgs,
    graph: &'a Graph,
    twin: &'a Twin,
    parameters: Vec<Vec<f32>>,
    black: Black<'a>,
    stop: &'a AtomicBool,
}

/// Attacks the images.
///
/// # Errors
/// The parts do not fit each other, or the run was stopped.
pub(super) fn run(
    args: &AttackArgs,
    stop: &AtomicBool,
) -> Result<(ImageAttack, Examples), Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let graph = setup::network(args.model.as_ref(), &args.on_chip)?;
    let held = Held::load(args, args.pixels.held_out.unwrap_or(HELD_OUT) as usize, IMAGES_MAX)?;
    let twin = twin_of(&graph, args)?;
    let asked = Asked { option: "--protect", mechanisms: &args.protect, if_of_use: false };
    let setup = Setup::new(&graph, &args.on_chip, asked)?;
    if setup.chips.range.len() > 1 {
        let message = "images are attacked on one chip, and several are named";
        return Err(Diagnostic::new("conflict", message).hint("name one with `--chip`").into());
    }
    let kinds = kinds(args, &held.test)?;
    let archive = args.out.as_deref().map(|out| Archive::new(out, &names(&kinds))).transpose()?;
    let named = Some((&args.data[..], &held.test));
    let deployment =
        setup.calibrated(setup.deployment(&graph)?, &args.on_chip, named, kernel, stop)?;
    setup.remark(&deployment)?;
    let supplies = &setup.chips.supplies;
    let chip: Option<OpenChip<'_>> = match supplies.present().next() {
        Some(_) => Some(setup.open(&deployment, setup.chips.range.start, supplies)?),
        None => None,
    };
    // White-box attacks know the weights as the chip reads them.
    let codes = match &chip {
        Some(chip) => chip.weights(supplies, LOAD).codes,
        None => graph.weights.iter().map(|of| of.codes.clone()).collect(),
    };
    let trial = setup.trial(held.first as u64);
    let black =
        Black { graph: &graph, chip: chip.as_ref().map(|chip| (chip, trial)), kernel, stop };
    let tau = threshold(&black, &held.attack)?;
    let clean = black.read(&held.test.images)?;
    let parameters = twin.parameters(&codes);
    let ground = Ground { args, graph: &graph, twin: &twin, parameters, black, stop };
    let progress = Progress::new("attack", "parts");
    let parts = held.test.len().div_ceil(TOGETHER);
    progress.begin((kinds.len() * parts) as u64, 0);
    let outcome = |confidences: &[Vec<f64>]| Outcome::of(confidences, &held.test.labels, tau);
    let mut worst = outcome(&clean);
    let (err_clean, accepted_clean) = (worst.err(), worst.accepted());
    let thresholded_clean = worst.err_accepted();
    let mut rows = Vec::new();
    let size_of = held.test.pixels_per_image();
    let shown = |pixels: &[u8]| pixels.chunks(size_of).take(SHOWN).map(<[u8]>::to_vec).collect();
    let mut examples =
        Examples { shape: held.test.shape, clean: shown(&held.test.images), attacked: Vec::new() };
    for kind in &kinds {
        let started = Instant::now();
        let mut attacked = Vec::new();
        let (mut queries, mut sizes) = (0, 0.0);
        for part in 0..parts {
            let from = part * TOGETHER;
            let range = from..(from + TOGETHER).min(held.test.len());
            let data = held.test.subset(range).map_err(|error| Failure::input("data", &error))?;
            let found = ground.attack(kind, &data, (held.first + from) as u64)?;
            let pairs = data.images.iter().zip(&found.values);
            let whole: Vec<u8> = pairs.map(|(&before, &value)| whole(before, value)).collect();
            queries += found.queries * data.len() as u64;
            sizes += size(kind, &data, &whole);
            attacked.extend(whole);
            progress.advance();
        }
        let under = outcome(&ground.black.read(&attacked)?);
        worst = worst.worse(&under);
        rows.push(PixelRow {
            method: kind.method.word(),
            norm: kind.norm.map(|(norm, _)| word(norm)),
            epsilon: kind.norm.map(|(_, epsilon)| epsilon),
            mean_size: sizes / held.test.len() as f64,
            err_attacked: under.err(),
            accepted: under.accepted(),
            err_accepted: under.err_accepted(),
            queries_per_image: queries as f64 / held.test.len() as f64,
            seconds: started.elapsed().as_secs_f64(),
            images_file: archive.as_ref().map(|_| name(kind)),
        });
        examples.attacked.push(shown(&attacked));
        if let Some(archive) = &archive {
            archive.write(&name(kind), &held.test, &attacked)?;
        }
    }
    drop(progress);
    let answer = ImageAttack {
        kind: args.kind,
        model: args.model.clone(),
        data: args.data.clone(),
        rounding: graph.rounding.word(),
        pixels: graph.pixels_in_words(),
        images: held.test.len(),
        first_image: held.first,
        held_out: held.attack.len(),
        target: args.target,
        objective: args.pixels.objective.unwrap_or_default(),
        vdd_mv: setup.chips.vdd_mv(vmin_accel::Memory::Weight),
        cell_fault_rate: setup.chips.cell_fault_rate,
        protection: (!args.protect.is_empty()).then(|| setup.typed.protection().describe()),
        err_clean,
        accepted_clean,
        err_accepted_clean: thresholded_clean,
        threshold: tau,
        err_attacked: worst.err(),
        accepted: worst.accepted(),
        err_accepted: worst.err_accepted(),
        seconds: rows.iter().map(|row| row.seconds).sum(),
        attacks: rows,
    };
    Ok((answer, examples))
}

/// The attacks that the options ask for.
fn kinds(args: &AttackArgs, data: &Dataset) -> Result<Vec<Kind>, Failure> {
    let [height, width, channels] = data.shape;
    let mut kinds = Vec::new();
    for &method in &args.method {
        if args.kind == AttackKind::Patch {
            let area = area(args, data.shape);
            if area.places([height, width]).is_empty() {
                let message = format!(
                    "a patch of {0} x {0} pixels beside a centre of {1} x {1} has no place in images of {height} x {width}",
                    area.side, area.centre
                );
                return Err(Diagnostic::new("out-of-range", message)
                    .hint("choose a smaller `--patch-side` or `--centre`")
                    .into());
            }
            kinds.push(Kind { method, norm: None });
            continue;
        }
        let norms = &args.pixels.norm[..];
        for norm in if norms.is_empty() { &[NormArg::Linf] } else { norms } {
            let norm = norm_of(*norm);
            let usual = usual(norm, channels);
            if args.pixels.epsilon.is_some() && norms.len() > 1 {
                let message = "`--epsilon` is the size in one norm, and several are named";
                return Err(Diagnostic::new("conflict", message)
                    .hint("name one `--norm`, or leave `--epsilon` away for the usual sizes")
                    .into());
            }
            kinds.push(Kind { method, norm: Some((norm, args.pixels.epsilon.unwrap_or(usual))) });
        }
    }
    Ok(kinds)
}

/// The patch as asked for; without a word about its centre, the usual one where that leaves it a place.
fn area(args: &AttackArgs, [height, width, _]: [usize; 3]) -> Area {
    let side = args.pixels.patch_side.unwrap_or(SIDE) as usize;
    let usual = Area { side, centre: CENTRE };
    match args.pixels.centre {
        Some(centre) => Area { side, centre: centre as usize },
        None if usual.places([height, width]).is_empty() => Area { side, centre: 0 },
        None => usual,
    }
}

/// The usual size of a change of images with so many channels.
const fn usual(norm: Norm, channels: usize) -> f64 {
    let [grey, colour] = BUDGETS;
    let budget = if channels > 1 { colour } else { grey };
    match norm {
        Norm::Linf => budget.linf,
        Norm::L2 => budget.l2,
        Norm::L1 => budget.l1,
        Norm::L0 => budget.l0,
    }
}

const fn norm_of(norm: NormArg) -> Norm {
    match norm {
        NormArg::Linf => Norm::Linf,
        NormArg::L2 => Norm::L2,
        NormArg::L1 => Norm::L1,
        NormArg::L0 => Norm::L0,
    }
}

fn word(norm: Norm) -> &'static str {
    Norm::WORDS.iter().find(|(_, of)| *of == norm).map_or("", |(word, _)| word)
}

fn name(kind: &Kind) -> String {
    let norm = kind.norm.map_or_else(|| "patch".to_owned(), |(norm, _)| word(norm).to_owned());
    format!("{norm}-{}.npz", kind.method.word())
}

fn names(kinds: &[Kind]) -> Vec<String> {
    kinds.iter().map(name).collect()
}

/// Sum of the sizes of all changes, in the norm of the attack; of patches, of changed pixels.
fn size(kind: &Kind, data: &Dataset, attacked: &[u8]) -> f64 {
    let norm = kind.norm.map_or(Norm::L0, |(norm, _)| norm);
    let size = data.pixels_per_image();
    let pairs = data.images.chunks(size).zip(attacked.chunks(size));
    let of = |(clean, attacked): (&[u8], &[u8])| {
        let change = clean.iter().zip(attacked);
        let change: Vec<f32> =
            change.map(|(&clean, &of)| (f32::from(of) - f32::from(clean)) / 255.0).collect();
        norm.size(&change, data.shape[2])
    };
    pairs.map(of).sum()
}

/// The confidence that 99 % of the right held-out images reach.
fn threshold(black: &Black<'_>, held_out: &Dataset) -> Result<f64, Failure> {
    let read = black.read(&held_out.images)?;
    let right = read.iter().zip(&held_out.labels).filter_map(|(of, &label)| {
        let (class, confidence) = most(of);
        (class == usize::from(label)).then_some(confidence)
    });
    let mut right: Vec<f64> = right.collect();
    right.sort_unstable_by(f64::total_cmp);
    // So many may be rejected.
    let rejected = ((1.0 - ACCEPTED) * right.len() as f64).floor() as usize;
    Ok(right.get(rejected).copied().unwrap_or(0.0))
}

/// The class with its confidence, the first of equals.
fn most(confidences: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (class, &confidence) in confidences.iter().enumerate() {
        if confidence > best.1 {
            best = (class, confidence);
        }
    }
    best
}

/// Images that are wrong, and accepted.
#[derive(Clone)]
struct Outcome(Vec<(bool, bool)>);

impl Outcome {
    fn of(confidences: &[Vec<f64>], labels: &[u8], tau: f64) -> Self {
        let one = |(of, &label): (&Vec<f64>, &u8)| {
            let (class, confidence) = most(of);
            (class != usize::from(label), confidence >= tau)
        };
        Self(confidences.iter().zip(labels).map(one).collect())
    }

    /// Each image as in the worse of two outcomes: wrong and accepted before wrong before right.
    fn worse(&self, other: &Self) -> Self {
        let harm = |of: (bool, bool)| u8::from(of.0) + u8::from(of.0 && of.1);
        let worse =
            |(a, b): (&(bool, bool), &(bool, bool))| if harm(*b) > harm(*a) { *b } else { *a };
        Self(self.0.iter().zip(&other.0).map(worse).collect())
    }

    fn share(&self, of: impl Fn(&&(bool, bool)) -> bool) -> f64 {
        self.0.iter().filter(of).count() as f64 / self.0.len().max(1) as f64
    }

    fn err(&self) -> f64 {
        self.share(|of| of.0)
    }

    fn accepted(&self) -> f64 {
        self.share(|of| of.1)
    }

    /// Wrong images among the accepted ones; none if no image is accepted.
    fn err_accepted(&self) -> Option<f64> {
        let accepted = self.accepted();
        (accepted > 0.0).then(|| self.share(|of| of.0 && of.1) / accepted)
    }
}

impl Ground<'_> {
    /// The worst images that an attack finds.
    fn attack(&self, kind: &Kind, data: &Dataset, first: u64) -> Result<Found, Failure> {
        let args = self.args;
        let values: Vec<f32> = data.images.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let (objective, labels) = match args.target {
            Some(class) => (Objective::Target, vec![class; data.len()]),
            None => match args.pixels.objective.unwrap_or_default() {
                ObjectiveArg::CrossEntropy => (Objective::CrossEntropy, data.labels.clone()),
                ObjectiveArg::Confidence => (Objective::WrongConfidence, data.labels.clone()),
            },
        };
        let images = Attacked { values: &values, labels: &labels, shape: data.shape, first };
        let restarts = args.restarts.unwrap_or(RESTARTS);
        let usual = if kind.norm.is_some() { STEPS } else { PATCH_STEPS };
        let steps = args.iterations.unwrap_or(usual);
        let queries = args.pixels.queries.unwrap_or(QUERIES);
        let seed = args.seed;
        let mut engine = Engine::cpu();
        let victim = self.twin.image_victim(self.graph, &self.parameters, &mut engine);
        let victim = victim.map_err(|error| Failure::input("pixels", &error))?;
        let mut white = White { victim, stop: self.stop };
        let from = |(chip, trial)| (chip, TrialSpec { first_image: first, ..trial });
        let mut black = Black { chip: self.black.chip.map(from), ..self.black };
        let Some((norm, epsilon)) = kind.norm else {
            let moves = match args.pixels.moves.unwrap_or_default() {
                MovesArg::None => Moves::None,
                MovesArg::Random => Moves::Random,
                MovesArg::Full => Moves::Full,
            };
            // Questions of a step: one for its pixels and one for each move.
            let of_step = match moves {
                Moves::None => 1,
                Moves::Random => 2,
                Moves::Full => 5,
            };
            let black_steps = (queries / restarts / of_step).max(1);
            let patches = |steps, step| Patch {
                area: area(args, data.shape),
                objective,
                steps,
                step,
                moves,
                stride: args.pixels.stride.unwrap_or(STRIDE) as usize,
                restarts,
                seed,
            };
            return match kind.method {
                AttackMethod::Pgd => patch(&images, &patches(steps, PATCH_STEP), &mut white),
                AttackMethod::RandomSearch => {
                    random_patch(&images, &patches(black_steps, 0.0), &mut black)
                }
                AttackMethod::Progressive
                | AttackMethod::FirstOrder
                | AttackMethod::Random
                | AttackMethod::Squares => Err(misfit(args.kind, kind.method)),
            };
        };
        let ball = Ball { norm, epsilon };
        let search = Search { objective, queries, seed };
        match kind.method {
            AttackMethod::RandomSearch => random_search(&images, ball, &search, &mut black),
            AttackMethod::Squares => squares(&images, ball, &search, &mut black),
            AttackMethod::Progressive | AttackMethod::FirstOrder | AttackMethod::Random => {
                Err(misfit(args.kind, kind.method))
            }
            AttackMethod::Pgd => {
                let settings = Pgd {
                    objective,
                    steps,
                    step: if norm == Norm::L0 { 1.0 } else { 0.25 },
                    momentum: 0.9,
                    backtracking: 1.5,
                    start: Start::Zero,
                    restarts,
                    seed,
                };
                pgd(&images, ball, &settings, &mut white)
            }
        }
    }
}
