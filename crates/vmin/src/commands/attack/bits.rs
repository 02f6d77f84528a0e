//! `vmin attack --kind bits`: which wrong bits of the weights do the most harm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use vmin_attack::bits::{
    self, Flip, Found, Slope, Victim, Weights, first_order, pgd, progressive, random, restart,
};
use vmin_diagnostic::Diagnostic;
use vmin_emulator::Emulator;
use vmin_nn::Graph;
use vmin_train::{Goal, TwinVictim, attackable};

use super::bits_answer::{AttackRow, BitAttack, BitRow, FlipRow, LayerRow};
use super::cells::Cells;
use super::{Held, output, twin_of};
use crate::args::{AttackArgs, AttackMethod, FaultKindArg, PlacementArg, Reach};
use crate::commands::setup::{self, Asked, Setup};
use crate::progress::Progress;
use crate::{Failure, compute};

/// Most test images where none are named, as in the papers.
const IMAGES_MAX: usize = 9000;
/// Images by which attacks choose, restarts and steps where none are named.
const ATTACK_IMAGES: u32 = 100;
const RESTARTS: u32 = 8;
const STEPS: u32 = 20;

/// A victim that can be interrupted.
struct Stoppable<'a, 'v> {
    victim: TwinVictim<'v>,
    stop: &'a AtomicBool,
}

impl Stoppable<'_, '_> {
    fn go_on(&self) -> Result<(), Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted("interrupted".to_owned()));
        }
        Ok(())
    }
}

impl Victim for Stoppable<'_, '_> {
    type Error = Failure;

    fn loss(&mut self, codes: &[Vec<u8>]) -> Result<f64, Failure> {
        self.go_on()?;
        self.victim.loss(codes).map_err(|error| Failure::input("engine", &error))
    }

    fn slope(&mut self, codes: &[Vec<u8>]) -> Result<Slope, Failure> {
        self.go_on()?;
        self.victim.slope(codes).map_err(|error| Failure::input("engine", &error))
    }
}

/// An attack as found, before it is counted on test images.
struct Tried {
    found: Found,
    restart: usize,
    queries: u64,
    seconds: f64,
}

/// What attacks are counted by.
struct Count<'a> {
    cells: &'a Cells<'a>,
    emulator: &'a Emulator<'a>,
    clean: &'a [usize],
    labels: &'a [u8],
    stop: &'a AtomicBool,
}

impl Count<'_> {
    fn err(&self, predictions: &[usize]) -> f64 {
        let wrong = predictions
            .iter()
            .zip(self.labels)
            .filter(|(class, label)| **class != usize::from(**label));
        wrong.count() as f64 / self.labels.len() as f64
    }

    /// Test error under wrong bits, the share of images in a class, and the bits that are wrong as read.
    fn under(
        &self,
        flips: &[Flip],
        target: Option<u8>,
    ) -> Result<(f64, Option<f64>, u64), Failure> {
        let (predictions, wrong) =
            self.cells.predict(flips, self.emulator, self.clean, self.stop)?;
        let share = target.map(|target| {
            let there = predictions.iter().filter(|class| **class == usize::from(target)).count();
            there as f64 / predictions.len() as f64
        });
        Ok((self.err(&predictions), share, wrong))
    }
}

/// Attacks the weights.
///
/// # Errors
/// The parts do not fit each other, or the run was stopped.
pub(super) fn run(args: &AttackArgs, stop: &AtomicBool) -> Result<BitAttack, Failure> {
    check(args)?;
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let graph = setup::network(args.model.as_ref(), &args.on_chip)?;
    let chosen_by = args.bits.attack_images.unwrap_or(ATTACK_IMAGES);
    let images = Held::load(args, chosen_by as usize, IMAGES_MAX)?;
    let twin = twin_of(&graph, args)?;
    let asked = Asked { option: "--protect", mechanisms: &args.protect, if_of_use: false };
    let setup = Setup::new(&graph, &args.on_chip, asked)?;
    let reach = args.bits.reach.unwrap_or_default();
    if setup.chips.range.len() > 1 {
        let message = "an attack is found for one chip, and several are named";
        return Err(Diagnostic::new("conflict", message).hint("name one with `--chip`").into());
    }
    if reach == Reach::Faulty && setup.chips.supplies.weight.is_none() {
        let message = "no cell is faulty without a supply";
        return Err(Diagnostic::new("missing-argument", message)
            .hint("add `--vdd-mv V --profile NAME`, `--rate P`, or a chip file")
            .into());
    }
    let output = args.out.as_deref().map(|out| output::Folder::new(out, args)).transpose()?;
    let named = Some((&args.data[..], &images.test));
    let deployment = setup.deployment(&graph)?;
    let deployment = setup.calibrated(deployment, &args.on_chip, named, kernel, stop)?;
    setup.remark(&deployment)?;
    let cells = Cells::new(&graph, &setup, &deployment, reach, stop)?;
    let weights = reachable(args, &graph, &cells)?;
    let emulator = setup::emulator(&graph, &images.test, kernel)?;
    let interrupted = |_| Failure::Interrupted("interrupted".to_owned());
    let clean = emulator.predict_clean(stop).map_err(interrupted)?;
    let count = Count {
        cells: &cells,
        emulator: &emulator,
        clean: &clean,
        labels: &images.test.labels,
        stop,
    };
    let inputs = twin.inputs(&graph, &images.attack.images);
    let inputs = inputs.map_err(|error| Failure::input("pixels", &error))?;
    let goal = args.target.map_or(Goal::AnyError, Goal::Class);
    let victim = TwinVictim::new(&twin, &inputs, &images.attack.labels, goal);
    let mut victim = Stoppable { victim, stop };

    let ks = args.bits.counts();
    let progress = Progress::new("attack", "attacks");
    progress.begin((args.method.len() * ks.len()) as u64, 0);
    let (mut rows, mut strongest): (Vec<AttackRow>, Option<(f64, Vec<Flip>)>) = (Vec::new(), None);
    let mut chips = Vec::new();
    for &method in &args.method {
        for (k, tried) in searched(method, &weights, &ks, args, &cells, &mut victim)? {
            let mut worst: Option<(AttackRow, Vec<Flip>)> = None;
            let (mut queries, mut seconds) = (0, 0.0);
            for Tried { found, restart, queries: asked, seconds: taken } in tried {
                let (err_attacked, target_share, bits_read_wrong) =
                    count.under(&found.flips, args.target)?;
                (queries, seconds) = (queries + asked, seconds + taken);
                let harm = target_share.unwrap_or(err_attacked);
                let known =
                    worst.as_ref().map(|(row, _)| row.target_share.unwrap_or(row.err_attacked));
                if known.is_none_or(|known| harm > known) {
                    let row = AttackRow {
                        method: method.word(),
                        flips_max: k,
                        flips: found.flips.len(),
                        err_attacked,
                        target_share,
                        bits_read_wrong,
                        attack_loss: found.loss,
                        restart,
                        queries: 0,
                        seconds: 0.0,
                        chip_file: None,
                    };
                    worst = Some((row, found.flips));
                }
            }
            progress.advance();
            let Some((mut row, flips)) = worst else { continue };
            (row.queries, row.seconds) = (queries, seconds);
            if output.is_some() {
                let name = format!("{}-{k}.chip", method.word());
                let source = format!(
                    "vmin attack: {} wrong bits of `{}` by {}",
                    flips.len(),
                    graph.name,
                    method.word()
                );
                chips.push((name.clone(), cells.chip(&flips, source)?));
                row.chip_file = Some(name);
            }
            let harm = row.target_share.unwrap_or(row.err_attacked);
            // The largest attack counts, and of these the strongest.
            if k == ks[ks.len() - 1] && strongest.as_ref().is_none_or(|(known, _)| harm > *known) {
                strongest = Some((harm, flips));
            }
            rows.push(row);
        }
    }
    drop(progress);
    let flips = strongest.map(|(_, flips)| flips).unwrap_or_default();
    let of_largest = rows.iter().filter(|row| row.flips_max == ks[ks.len() - 1]);
    let worst = of_largest.reduce(|a, b| {
        let harm = |row: &AttackRow| row.target_share.unwrap_or(row.err_attacked);
        if harm(b) > harm(a) { b } else { a }
    });
    let answer = BitAttack {
        kind: "bits",
        model: args.model.clone(),
        data: args.data.clone(),
        rounding: graph.rounding.word(),
        pixels: graph.pixels_in_words(),
        images: images.test.len(),
        first_image: images.first,
        attack_images: images.attack.len(),
        first_attack_image: images.first_attack,
        target: args.target,
        reach,
        stored_bits: graph
            .weights
            .iter()
            .map(|of| of.codes.len() as u64 * u64::from(of.bits))
            .sum(),
        reachable_bits: weights
            .iter()
            .flat_map(|of| &of.reachable)
            .map(|bits| u64::from(bits.count_ones()))
            .sum(),
        accelerator: setup.accelerator.name().to_owned(),
        protection: (!args.protect.is_empty()).then(|| setup.typed.protection().describe()),
        vdd_mv: cells.vdd_mv(),
        err_clean: count.err(&clean),
        err_attacked: worst.map_or_else(|| count.err(&clean), |row| row.err_attacked),
        queries: rows.iter().map(|row| row.queries).sum(),
        seconds: rows.iter().map(|row| row.seconds).sum(),
        layers: layers(&graph, &flips),
        bits: per_bit(&graph, &flips),
        flips: flip_rows(&graph, &flips, &cells),
        attacks: rows,
    };
    if let Some(output) = output {
        output.write(&answer, &chips)?;
    }
    Ok(answer)
}

/// Refuses what an attack on stored bits of weights cannot use.
fn check(args: &AttackArgs) -> Result<(), Failure> {
    let on_chip = &args.on_chip;
    let unused = [
        (on_chip.activation_vdd_mv.is_some(), "--activation-vdd-mv"),
        (on_chip.accumulator_vdd_mv.is_some(), "--accumulator-vdd-mv"),
        (on_chip.read_noise_mv.is_some(), "--read-noise-mv"),
        (on_chip.fault_kind == Some(FaultKindArg::Transient), "--fault-kind transient"),
        (on_chip.placement == PlacementArg::Streamed, "--placement streamed"),
    ];
    let Some((_, option)) = unused.iter().find(|(given, _)| *given) else { return Ok(()) };
    let message =
        format!("an attack flips stored bits of resident weights, so `{option}` means nothing");
    Err(Diagnostic::new("no-effect", message).hint("leave it away").into())
}

/// The weights with the bits in reach.
fn reachable(args: &AttackArgs, graph: &Graph, cells: &Cells<'_>) -> Result<Vec<Weights>, Failure> {
    let mut weights = attackable(graph);
    cells.restrict(&mut weights, |at| {
        args.bits.bank.is_none_or(|bank| at.bank == bank)
            && args.bits.row.is_none_or(|row| at.row == row)
    });
    if weights.iter().flat_map(|of| &of.reachable).all(|&bits| bits == 0) {
        let message = "no stored bit of a weight is in reach";
        return Err(Diagnostic::new("out-of-range", message)
            .hint("choose another `--bank` or `--row`, or a lower supply")
            .into());
    }
    Ok(weights)
}

/// Runs a search for each number of wrong bits, restart by restart.
fn searched(
    method: AttackMethod,
    weights: &[Weights],
    ks: &[usize],
    args: &AttackArgs,
    cells: &Cells<'_>,
    victim: &mut Stoppable<'_, '_>,
) -> Result<Vec<(usize, Vec<Tried>)>, Failure> {
    let mut of_k = Vec::new();
    let mut slope = None;
    if method == AttackMethod::Progressive && args.bits.rows_max.is_none() {
        // One search holds those with fewer bits.
        let started = Instant::now();
        let (all, after) = progressive(weights, ks[ks.len() - 1], victim)?;
        let seconds = started.elapsed().as_secs_f64();
        for &k in ks {
            let flips: Vec<Flip> = all.flips.iter().take(k).copied().collect();
            let Some(last) = after.get(flips.len().wrapping_sub(1)) else { continue };
            let seconds = seconds * last.queries as f64 / all.queries.max(1) as f64;
            let found = Found { flips, loss: last.loss, queries: last.queries };
            of_k.push((k, vec![Tried { found, restart: 0, queries: last.queries, seconds }]));
        }
        return Ok(of_k);
    }
    for &k in ks {
        let within = match args.bits.rows_max {
            None => weights.to_vec(),
            Some(rows) => {
                if slope.is_none() {
                    slope = Some(victim.slope(&bits::flipped(weights, &[]))?);
                }
                let slope = slope.as_ref().map_or(&[][..], |slope| &slope.by_integer);
                super::rows::best_rows(weights, slope, k, rows as usize, cells)
            }
        };
        let mut tried = Vec::new();
        let restarts = match method {
            AttackMethod::Pgd | AttackMethod::Random => args.restarts.unwrap_or(RESTARTS) as usize,
            AttackMethod::Progressive
            | AttackMethod::FirstOrder
            | AttackMethod::RandomSearch
            | AttackMethod::Squares => 1,
        };
        for nth in 0..restarts {
            let started = Instant::now();
            let found = match method {
                AttackMethod::Pgd => {
                    let settings = restart(
                        nth,
                        &within,
                        k,
                        args.iterations.unwrap_or(STEPS) as usize,
                        args.seed,
                    );
                    pgd(&within, k, &settings, victim)?
                }
                AttackMethod::Progressive => progressive(&within, k, victim)?.0,
                AttackMethod::FirstOrder => first_order(&within, k, victim)?,
                AttackMethod::RandomSearch | AttackMethod::Squares => {
                    return Err(super::misfit(args.kind, method));
                }
                AttackMethod::Random => {
                    random(&within, k, args.seed.wrapping_add(nth as u64), victim)?
                }
            };
            let (queries, seconds) = (found.queries, started.elapsed().as_secs_f64());
            tried.push(Tried { found, restart: nth, queries, seconds });
        }
        of_k.push((k, tried));
    }
    Ok(of_k)
}

/// Wrong bits of each layer.
fn layers(graph: &Graph, flips: &[Flip]) -> Vec<LayerRow> {
    let of = graph.weights.iter().enumerate().map(|(tensor, weights)| LayerRow {
        layer: graph.layer_of(tensor),
        weights: weights.codes.len(),
        flips: flips.iter().filter(|flip| flip.tensor == tensor).count(),
    });
    of.collect()
}

fn per_bit(graph: &Graph, flips: &[Flip]) -> Vec<BitRow> {
    let bits = graph.weights.iter().map(|of| of.bits).max().unwrap_or(8);
    let count = |bit| flips.iter().filter(|flip| flip.bit == bit).count();
    (0..bits).rev().map(|bit| BitRow { bit, flips: count(bit) }).collect()
}

fn flip_rows(graph: &Graph, flips: &[Flip], cells: &Cells<'_>) -> Vec<FlipRow> {
    let row = |flip: &Flip| {
        let at = cells.position(flip)?;
        Some(FlipRow {
            layer: graph.layer_of(flip.tensor),
            tensor: flip.tensor,
            weight: flip.index,
            bit: flip.bit,
            bank: at.bank,
            row: at.row,
            column: at.column,
        })
    };
    flips.iter().filter_map(row).collect()
}
