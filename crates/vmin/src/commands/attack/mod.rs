//! `vmin attack`: what an adversary can do to a network on a chip.

mod bits;
mod bits_answer;
mod cells;
mod output;
mod page;
mod pixels;
mod pixels_answer;
mod rows;
mod victims;

use std::sync::atomic::AtomicBool;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::Diagnostic;
use vmin_nn::Graph;
use vmin_nn::data::{Dataset, Split};
use vmin_sweep::names::Names;
use vmin_train::Twin;

pub use bits_answer::{AttackRow, BitAttack, BitRow, FlipRow, LayerRow};
pub use pixels_answer::{ImageAttack, PixelRow};

use crate::args::{AttackArgs, AttackKind, AttackMethod};
use crate::files::Output;
use crate::{Answer, Failure, compute, files};

/// The page of this command.
const PAGE: Output<'_> = Output::page("attack");

/// What an attack found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Attack {
    /// Wrong bits of the weights.
    Bits(Box<BitAttack>),
    /// Changed pixels.
    Pixels(Box<ImageAttack>),
}

/// Searches for the worst change within the bounds of the options.
///
/// # Errors
/// A name leads nowhere, the parts do not fit each other, or the run was stopped.
pub fn run(args: &AttackArgs, stop: &AtomicBool) -> Result<Attack, Failure> {
    check(args)?;
    compute::on_threads(args.compute.jobs, || match args.kind {
        AttackKind::Bits => {
            let found = bits::run(args, stop)?;
            report(args, || page::of_bits(&found))?;
            Ok(Attack::Bits(Box::new(found)))
        }
        AttackKind::Images | AttackKind::Patch => {
            let (found, examples) = pixels::run(args, stop)?;
            report(args, || page::of_pixels(&found, &examples))?;
            Ok(Attack::Pixels(Box::new(found)))
        }
    })
}

/// Writes the page, if one is asked for.
fn report(
    args: &AttackArgs,
    page: impl FnOnce() -> Result<String, Failure>,
) -> Result<(), Failure> {
    let Some(path) = &args.report else { return Ok(()) };
    files::write(path, page()?.as_bytes(), PAGE)
}

/// Refuses options and searches of another kind of attack.
fn check(args: &AttackArgs) -> Result<(), Failure> {
    if let Some(path) = &args.report {
        files::check(path, PAGE)?;
    }
    let unused = match args.kind {
        AttackKind::Bits => args.pixels.unused(args.kind),
        AttackKind::Images | AttackKind::Patch => {
            args.bits.given().or_else(|| args.pixels.unused(args.kind))
        }
    };
    if let Some(option) = unused {
        let message = format!("`{option}` means nothing to `--kind {}`", word(args.kind));
        return Err(Diagnostic::new("no-effect", message).hint("leave it away").into());
    }
    if let Some((option, need)) = in_vain(args) {
        let message = format!("`{option}` means nothing without {need}");
        return Err(Diagnostic::new("no-effect", message)
            .hint("leave it away, or name such a search with `--method`")
            .into());
    }
    let methods = args.kind.methods();
    let misfits = args.method.iter().find(|method| !methods.contains(method));
    misfits.map_or(Ok(()), |method| Err(misfit(args.kind, *method)))
}

/// An option that no search uses, and what would.
fn in_vain(args: &AttackArgs) -> Option<(&'static str, &'static str)> {
    let has = |wanted: &[AttackMethod]| args.method.iter().any(|method| wanted.contains(method));
    let black = has(&[AttackMethod::RandomSearch, AttackMethod::Squares]);
    let again = match args.kind {
        AttackKind::Bits | AttackKind::Images => has(&[AttackMethod::Pgd, AttackMethod::Random]),
        AttackKind::Patch => true,
    };
    let given = [
        (args.iterations.is_some() && !has(&[AttackMethod::Pgd]), "--iterations", "`pgd`"),
        (args.restarts.is_some() && !again, "--restarts", "`pgd` or `random`"),
        (args.pixels.queries.is_some() && !black, "--queries", "a black-box search"),
    ];
    given.into_iter().find_map(|(given, option, need)| given.then_some((option, need)))
}

const fn word(kind: AttackKind) -> &'static str {
    match kind {
        AttackKind::Bits => "bits",
        AttackKind::Images => "images",
        AttackKind::Patch => "patch",
    }
}

fn misfit(kind: AttackKind, method: AttackMethod) -> Failure {
    let words: Vec<String> = kind.methods().iter().map(|of| format!("`{}`", of.word())).collect();
    let message = format!("`--kind {}` has no search `{}`", word(kind), method.word());
    Diagnostic::new("conflict", message).allowed(format!("expected {}", words.join(", "))).into()
}

/// The images that count, and the last ones, which are held out for the attack itself: no image is both.
struct Held {
    test: Dataset,
    first: usize,
    attack: Dataset,
    first_attack: usize,
}

impl Held {
    /// Holds out `count` images; of the others, those that are named or the first `most`.
    fn load(args: &AttackArgs, count: usize, most: usize) -> Result<Self, Failure> {
        let data = Names::typed().data(&args.data[..], Split::Test)?;
        let option = match args.kind {
            AttackKind::Bits => "--attack-images",
            AttackKind::Images | AttackKind::Patch => "--held-out",
        };
        let Some(first_attack) = data.len().checked_sub(count).filter(|&others| others > 0) else {
            let message = format!(
                "`{}` has {} test images, too few to hold {count} out",
                args.data,
                data.len()
            );
            return Err(Diagnostic::new("out-of-range", message)
                .hint(format!("choose fewer with `{option}`"))
                .into());
        };
        let range = args.images.clone().unwrap_or(0..first_attack.min(most));
        if range.end > first_attack {
            let message = format!(
                "images {} to {} are held out for the attack",
                first_attack.max(range.start),
                range.end - 1
            );
            return Err(Diagnostic::new("out-of-range", message)
                .allowed(format!("expected images 0..{first_attack} with `{option} {count}`"))
                .into());
        }
        let part = |range| data.subset(range).map_err(|error| Failure::input("data", &error));
        let (first, all) = (range.start, data.len());
        Ok(Self { test: part(range)?, first, attack: part(first_attack..all)?, first_attack })
    }
}

/// The float twin of the network, with the wanted class if there is one.
fn twin_of(graph: &Graph, args: &AttackArgs) -> Result<Twin, Failure> {
    let twin = Twin::of(graph).map_err(|error| {
        Diagnostic::new("no-derivatives", format!("cannot attack `{}`: {error}", args.model))
    })?;
    let classes = twin.network().classes();
    match args.target {
        Some(target) if usize::from(target) >= classes => {
            let message = format!("the network has no class {target}");
            Err(Diagnostic::new("out-of-range", message)
                .allowed(format!("expected 0 to {}", classes - 1))
                .into())
        }
        Some(_) | None => Ok(twin),
    }
}

impl Answer for Attack {
    fn csv(&self) -> Result<String, Failure> {
        match self {
            Self::Bits(attack) => attack.csv(),
            Self::Pixels(attack) => attack.csv(),
        }
    }

    fn table(&self) -> String {
        match self {
            Self::Bits(attack) => attack.table(),
            Self::Pixels(attack) => attack.table(),
        }
    }
}
