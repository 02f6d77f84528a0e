//! `vmin train`: trains a network by a recipe and writes the integer network.
//!
//! Every epoch rewrites the checkpoint, the metrics and the learning curves. Ctrl-C drops the current epoch, and
//! `--resume` repeats it from its start, so that the result does not depend on the time of the interruption.

mod chips;
mod folder;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::{Diagnostic, Source};
use vmin_files::write_whole;
use vmin_nn::data::{Dataset, Split};
use vmin_nn::{Graph, ModelError};
use vmin_report::{TrainingEpoch, TrainingPage, training_page};
use vmin_sweep::names::Names;
use vmin_train::deploy::Deployed;
use vmin_train::{
    CheckpointError, Engine, EngineError, EpochMetrics, FloatNetwork, Network, Recipe, TrainError,
    Trainer, at_key,
};

use crate::args::{EngineChoice, TrainArgs};
use crate::failure::{make_folder, say, unwritable, with_causes};
use crate::files::{self, Output};
use crate::progress::Progress;
use crate::{Answer, Failure, answer, compute};

use folder::{checkpoint, checkpoint_path, lock, occupied, refuse_checkpoint};

/// A finished run and its integer network.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary {
    name: String,
    data: String,
    seed: String,
    parameters: usize,
    macs: usize,
    bits: u8,
    /// Metrics of every epoch.
    pub epochs: Vec<EpochMetrics>,
    /// Test error of the float network.
    pub float_err: f64,
    /// Test error of the integer network.
    pub integer_err: f64,
    /// The file of the integer network.
    pub model: PathBuf,
}

/// The files of a run beside its checkpoint.
const FILES: [(&str, Output<'_>); 3] = [
    ("metrics.jsonl", files::METRICS),
    ("report.html", Output::page("train")),
    ("model.safetensors", Output::network("train")),
];

/// Trains by a recipe, or goes on with a run, and writes its files.
///
/// # Errors
/// All problems of the recipe, a run that cannot be continued or was stopped, or an integer network that is
/// not the network that was trained.
pub fn run(args: &TrainArgs, stop: &AtomicBool) -> Result<Summary, Failure> {
    compute::on_threads(args.jobs, || run_here(args, stop))
}

fn run_here(args: &TrainArgs, stop: &AtomicBool) -> Result<Summary, Failure> {
    let started = Instant::now();
    let (source, recipe) = recipe(&args.recipe)?;
    let engine = engine(args.engine)?;
    let spec = args.data.as_deref().or(recipe.data.as_deref()).ok_or_else(|| {
        Diagnostic::new(
            "missing-key",
            format!("the recipe `{}` does not say which images", args.recipe.display()),
        )
        .hint("write `data = \"builtin:shapes\"` in it, or add `--data builtin:shapes`")
    })?;
    let maps = chips::maps(&args.recipe, &source, &recipe)?;
    let images = |split| Names::typed().data(spec, split);
    let [data, test] = [images(Split::Train)?, images(Split::Test)?];
    let held = lock(&args.out, false)?;
    let checkpoint = checkpoint(args)?;
    let fresh = checkpoint.is_none();
    let trainer = match (checkpoint, &recipe.start) {
        (Some(checkpoint), _) => Trainer::resume(&recipe, &data, &test, checkpoint),
        (None, None) => Trainer::new(&recipe, &data, &test),
        (None, Some(start)) => match start_network(&args.recipe, &source, start)? {
            StartNetwork::Deployed(graph) => Trainer::start_from(&recipe, &data, &test, &graph),
            StartNetwork::Float(float) => Trainer::start_from_float(&recipe, &data, &test, &float),
        },
    }
    .and_then(|trainer| trainer.with_chips(&maps))
    .map_err(|error| failure(&error, Some(&source)))?;
    let on = if engine.name() == "cpu" {
        format!("{} threads", rayon::current_num_threads())
    } else {
        engine.name().to_owned()
    };
    let mut trainer = trainer.with_engine(engine);
    files::check_folder(&args.out, &FILES)?;
    make_folder(&args.out)?;
    let _held = match held {
        Some(held) => held,
        None => lock(&args.out, true)?.ok_or_else(|| occupied(&args.out))?,
    };
    if fresh {
        // Another run may have begun here meanwhile.
        refuse_checkpoint(args)?;
        save(args, &trainer)?;
    }
    announce(&recipe, &trainer, [&data, &test], &on);
    other_engine(&trainer);
    train(args, spec, &source, &recipe, &mut trainer, stop)?;
    let trained = trainer.finish();
    let deployed = trained
        .compare(&data, &test)
        .map_err(|error| Failure::failed(Diagnostic::new("deploy", with_causes(&error))))?;
    let model = args.out.join("model.safetensors");
    let bytes = vmin_nn::import::native::save_by(&deployed.graph, "vmin train")
        .map_err(|error| Failure::failed(Diagnostic::new("model", with_causes(&error))))?;
    write_whole(&model, &bytes).map_err(|error| unwritable(&model, &error))?;
    let summary = Summary {
        name: recipe.name.clone(),
        data: spec.to_owned(),
        seed: recipe.seed.to_string(),
        parameters: trained.network.parameter_count(),
        macs: trained.network.macs(),
        bits: deployed.graph.weights.iter().map(|weights| weights.bits).max().unwrap_or(0),
        epochs: trained.epochs.clone(),
        float_err: deployed.float_err,
        integer_err: deployed.integer_err,
        model,
    };
    let outcome = Some([deployed.float_err, deployed.integer_err]);
    curves(args, spec, &source, &recipe, &trained.network, &trained.epochs, outcome)?;
    say(&format!(
        "{:.1} s; network in `{}`, learning curves in `{}`",
        started.elapsed().as_secs_f64(),
        summary.model.display(),
        args.out.join("report.html").display()
    ));
    judge(&deployed, &summary.model, recipe.epochs)?;
    Ok(summary)
}

fn recipe(path: &Path) -> Result<(Source, Recipe), Failure> {
    let source = vmin_files::text("recipe", path).map_err(|error| {
        error.diagnostic().hint("the folder `recipes` of the project holds some to start from")
    })?;
    let recipe = Recipe::parse(&source)?;
    Ok((source, recipe))
}

/// The engine that computes the layers. With `auto` the processor replaces a missing GPU.
fn engine(choice: EngineChoice) -> Result<Engine, Failure> {
    let required = match choice {
        EngineChoice::Cpu => return Ok(Engine::cpu()),
        EngineChoice::Auto => false,
        EngineChoice::Cuda => true,
    };
    let refused =
        |message: String, hint: &str| Diagnostic::new("engine", message).hint(hint).into();
    match (gpu(), required) {
        (Some(Ok(engine)), _) => {
            if let Some(note) = engine.note() {
                say(&format!("note: {note}"));
            }
            Ok(engine)
        }
        (Some(Err(error)), false) => {
            say(&format!("note: {}; the processor computes the layers", with_causes(&error)));
            Ok(Engine::cpu())
        }
        (Some(Err(error)), true) => {
            Err(refused(with_causes(&error), "`--engine cpu` needs no GPU"))
        }
        (None, false) => Ok(Engine::cpu()),
        (None, true) => Err(refused(
            "this program was built without the cargo feature `cuda`".to_owned(),
            "build with `cargo build --release --features cuda`, or use `--engine cpu`",
        )),
    }
}

/// The GPU, if this program was built for one.
fn gpu() -> Option<Result<Engine, EngineError>> {
    #[cfg(feature = "cuda")]
    return Some(vmin_train_cuda::engine());
    #[cfg(not(feature = "cuda"))]
    None
}

/// Network to start from.
enum StartNetwork {
    /// Integer network, as `vmin train` writes it.
    Deployed(Graph),
    /// Float tensors of another program.
    Float(FloatNetwork),
}

/// Loads the network that the recipe starts from; a path is relative to the recipe.
fn start_network(recipe: &Path, source: &Source, start: &str) -> Result<StartNetwork, Failure> {
    let folder = recipe.parent().unwrap_or(Path::new(""));
    let named = Names::new(source, folder).model_path(start);
    vmin_nn::model::load(&named).map(StartNetwork::Deployed).or_else(|error| {
        if let ModelError::WrongFormat { format: "vmin model", .. } = error
            && let Ok(bytes) = vmin_files::bytes("network", &named)
        {
            return FloatNetwork::read(&bytes)
                .map(StartNetwork::Float)
                .map_err(|error| failure(&TrainError::Start(error), Some(source)));
        }
        let diagnostic = Diagnostic::new("model", with_causes(&error));
        Err(at_key(source, "start", diagnostic)
            .hint("name a `model.safetensors` that `vmin train` wrote, or float tensors, relative to the recipe")
            .into())
    })
}

fn failure(error: &TrainError, source: Option<&Source>) -> Failure {
    let diagnostic = Diagnostic::new("training", with_causes(error));
    match error {
        TrainError::Diverged { .. } => Failure::failed(diagnostic),
        TrainError::Start(_) => source
            .map_or_else(
                || diagnostic.clone(),
                |source| at_key(source, "start", diagnostic.clone()),
            )
            .hint("the recipe's `network` and `input` must be those the network was trained with")
            .into(),
        TrainError::Patch { .. } => source
            .map_or_else(
                || diagnostic.clone(),
                |source| at_key(source, "attack.patch", diagnostic.clone()),
            )
            .hint("make `side` or `centre` smaller")
            .into(),
        TrainError::Checkpoint(
            CheckpointError::OtherRecipe
            | CheckpointError::OtherData { .. }
            | CheckpointError::OtherChips,
        ) => diagnostic.hint("name another folder with `--out DIR`").into(),
        TrainError::Checkpoint(_) => {
            diagnostic.hint("restore the file, or begin in another folder with `--out DIR`").into()
        }
        TrainError::Engine(_) => Failure::failed(diagnostic.hint(
            "the finished epochs are kept, continue with `--resume`; if memory ran out, lower `batch_size`, or use \
             `--engine cpu`",
        )),
        TrainError::Value { .. } | TrainError::Layer { .. } | TrainError::TooLarge { .. } | TrainError::Classes { .. } | TrainError::Split { .. } | TrainError::Empty { .. } | TrainError::Fractions { .. } | TrainError::Chips(_) | TrainError::NoChips | TrainError::NoActivationCodes(_) => diagnostic.into(),
    }
}

/// Warns that a run continues on another engine.
fn other_engine(trainer: &Trainer<'_>) {
    let now = trainer.engine();
    if let Some(last) = trainer.epochs().last()
        && last.engine != now
    {
        let was = &last.engine;
        say(&format!(
            "note: `{was}` computed the layers so far, `{now}` continues; they round differently, so the network \
             will differ from one trained on either alone"
        ));
    }
}

fn announce(recipe: &Recipe, trainer: &Trainer<'_>, [data, test]: [&Dataset; 2], on: &str) {
    let network = trainer.network();
    say(&format!(
        "{}: {} parameters, {} operations, {} epochs of {} images, {} test images, {on}",
        recipe.name,
        network.parameter_count(),
        network.steps.len(),
        recipe.epochs,
        data.len(),
        test.len(),
    ));
    if recipe.sharpness.is_some() {
        say("`sharpness`: every step computes its passes twice");
    }
    if let done @ 1.. = trainer.epochs().len() {
        say(&format!("continuing after epoch {} of {}", done, recipe.epochs));
    }
}

/// Trains all remaining epochs.
fn train(
    args: &TrainArgs,
    spec: &str,
    source: &Source,
    recipe: &Recipe,
    trainer: &mut Trainer<'_>,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let progress = Progress::new("train", "steps");
    let (done, total) = trainer.steps();
    progress.begin(total as u64, done as u64);
    compute::timed("epochs", || epochs(args, spec, source, recipe, trainer, stop, &progress))
}

fn epochs(
    args: &TrainArgs,
    spec: &str,
    source: &Source,
    recipe: &Recipe,
    trainer: &mut Trainer<'_>,
    stop: &AtomicBool,
    progress: &Progress,
) -> Result<(), Failure> {
    while trainer.epochs().len() < recipe.epochs as usize {
        let done = trainer.epoch(|step, loss| {
            progress.at(step as u64, || format!("loss {loss:.3}"));
            if stop.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        match done.map_err(|error| failure(&error, None))? {
            Some(metrics) => progress.say(&line(metrics, recipe.epochs)),
            None => {
                return Err(Failure::Interrupted(format!(
                    "interrupted; the finished epochs are kept, go on with: vmin train {} --out {} \
                     --resume",
                    args.recipe.display(),
                    args.out.display()
                )));
            }
        }
        save(args, trainer)?;
        let network = trainer.network();
        curves(args, spec, source, recipe, network, trainer.epochs(), None)?;
    }
    Ok(())
}

/// Writes the metrics, then the checkpoint: a checkpoint always has the metrics of its epochs.
fn save(args: &TrainArgs, trainer: &Trainer<'_>) -> Result<(), Failure> {
    let mut lines = String::new();
    for metrics in trainer.epochs() {
        lines.push_str(&serde_json::to_string(metrics).map_err(std::io::Error::from)?);
        lines.push('\n');
    }
    let bytes = trainer
        .checkpoint()
        .to_bytes()
        .map_err(|error| Failure::failed(Diagnostic::new("checkpoint", with_causes(&error))))?;
    let files =
        [(args.out.join("metrics.jsonl"), lines.as_bytes()), (checkpoint_path(&args.out), &bytes)];
    for (path, bytes) in files {
        write_whole(&path, bytes).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

/// Writes the page with the learning curves so far.
fn curves(
    args: &TrainArgs,
    spec: &str,
    source: &Source,
    recipe: &Recipe,
    network: &Network,
    epochs: &[EpochMetrics],
    outcome: Option<[f64; 2]>,
) -> Result<(), Failure> {
    let points: Vec<TrainingEpoch> = epochs
        .iter()
        .map(|epoch| TrainingEpoch {
            learning_rate: epoch.learning_rate.into(),
            loss: epoch.loss,
            perturbed_loss: epoch.perturbed_loss,
            train_err: epoch.train_err,
            err: epoch.err,
            rerr: epoch.rerr,
        })
        .collect();
    let page = training_page(&TrainingPage {
        name: &recipe.name,
        data: spec,
        parameters: network.parameter_count(),
        macs: network.macs(),
        epochs: &points,
        epochs_total: recipe.epochs,
        outcome,
        recipe: source.text(),
        json: &serde_json::to_string(epochs).map_err(std::io::Error::from)?,
    });
    let path = args.out.join("report.html");
    write_whole(&path, page.as_bytes()).map_err(|error| unwritable(&path, &error))
}

/// The line of an epoch on the terminal.
fn line(metrics: &EpochMetrics, epochs: u32) -> String {
    let mut line = format!(
        "epoch {}/{}  loss {:.4}  train {}  test {}",
        metrics.epoch + 1,
        epochs,
        metrics.loss,
        answer::percent(metrics.train_err, 2),
        answer::percent(metrics.err, 2)
    );
    if let Some(rerr) = metrics.rerr {
        line.push_str(&format!("  under errors {}", answer::percent(rerr, 2)));
    }
    if let Some(loss) = metrics.perturbed_loss {
        line.push_str(&format!("  (trained under errors, loss {loss:.4})"));
    }
    line
}

impl Answer for Summary {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.epochs)
    }

    fn table(&self) -> String {
        let header = ["epoch", "rate", "loss", "loss, errors", "train err", "Err", "RErr"];
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let rows = self.epochs.iter().map(|epoch| {
            vec![
                epoch.epoch.to_string(),
                format!("{:.5}", epoch.learning_rate),
                format!("{:.4}", epoch.loss),
                shown(epoch.perturbed_loss.map(|loss| format!("{loss:.4}"))),
                answer::percent(epoch.train_err, 2),
                answer::percent(epoch.err, 2),
                shown(epoch.rerr.map(|rerr| answer::percent(rerr, 2))),
            ]
        });
        let table = answer::table(&header, 0, rows);
        format!(
            "{table}\ntest error: float {}, integer {} ({} bit weights)",
            answer::percent(self.float_err, 2),
            answer::percent(self.integer_err, 2),
            self.bits
        )
    }
}

/// Fails if the integer network is not the network that was trained; one that was only quantized may lose
/// what it loses.
fn judge(deployed: &Deployed, model: &Path, epochs: u32) -> Result<(), Failure> {
    if let (Err(error), 0) = (deployed.check(), epochs) {
        say(&format!("note: {}; training on (`epochs`) would adapt it", with_causes(&error)));
        return Ok(());
    }
    deployed.check().map_err(|error| {
        Failure::failed(Diagnostic::new("deploy", with_causes(&error)).hint(format!(
            "`{}` is kept, but it is not the network that was trained: quantize from an earlier \
             epoch (`quantization.from_epoch`) or clip the weights (`clip`)",
            model.display()
        )))
    })
}
