//! `vmin flatness`: by how much the loss of networks rises when their weights move, and what that foretells.

mod answer;
mod chips;
mod correlation;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use vmin_diagnostic::Diagnostic;
use vmin_nn::Graph;
use vmin_nn::data::Dataset;
use vmin_sweep::Spread;
use vmin_sweep::names::Names;
use vmin_train::{Ascent, FlatnessError, Twin, UnderNoise};

pub use answer::{BitNoise, Flat, FlatLayer, Flatness, Foretold, Moves, Worst};
pub use correlation::Correlation;

use crate::args::FlatnessArgs;
use crate::commands::setup;
use crate::progress::Progress;
use crate::{Failure, compute};

/// Length of a step of an ascent, in radii of the ball.
const STEP: f64 = 0.1;

/// Measures each network.
///
/// # Errors
/// A name leads nowhere, a network has no derivatives, or the run was stopped.
pub fn run(args: &FlatnessArgs, stop: &AtomicBool) -> Result<Flatness, Failure> {
    compute::on_threads(args.compute.jobs, || run_here(args, stop))
}

fn run_here(args: &FlatnessArgs, stop: &AtomicBool) -> Result<Flatness, Failure> {
    let kernel = compute::kernel(args.compute.kernel.as_deref())?;
    let data = setup::images(&args.data, Some(&args.images))?;
    let names = Names::typed();
    // All problems of networks before the work.
    let networks = args.models.iter().map(|model| {
        let graph = names.rounded(Path::new(model), None)?;
        let twin = Twin::of(&graph).map_err(|error| {
            Failure::from(Diagnostic::new("no-derivatives", format!("`{model}`: {error}")))
        })?;
        setup::emulator(&graph, &data, kernel)?;
        Ok((model, graph, twin))
    });
    let networks: Vec<(&String, Graph, Twin)> = networks.collect::<Result<_, Failure>>()?;
    let progress = Progress::new("flatness", "networks");
    progress.begin(networks.len() as u64, 0);
    let mut flat = Vec::new();
    for (model, graph, twin) in &networks {
        flat.push(network(args, model, (graph, twin), &data, kernel, stop)?);
        progress.advance();
    }
    drop(progress);
    let foretold = args.rate.iter().enumerate().flat_map(|(nth, &rate)| foretold(&flat, nth, rate));
    Ok(Flatness {
        data: args.data.clone(),
        images: data.len(),
        first_image: args.images.start,
        samples: args.samples,
        chips: args.chips,
        foretold: foretold.collect(),
        networks: flat,
    })
}

fn failure(error: FlatnessError) -> Failure {
    match error {
        FlatnessError::Stopped => Failure::Interrupted("interrupted".to_owned()),
        FlatnessError::Engine(error) => Failure::input("engine", &error),
    }
}

/// Mean rise of the loss with its deviation over samples, and the mean error.
fn moves(clean: UnderNoise, samples: &[UnderNoise]) -> Moves {
    let rises: Vec<f64> = samples.iter().map(|of| of.loss - clean.loss).collect();
    let spread = Spread::of(&rises).unwrap_or(Spread { mean: 0.0, std: 0.0, min: 0.0, max: 0.0 });
    let err = samples.iter().map(|of| of.err).sum::<f64>() / samples.len().max(1) as f64;
    Moves { loss_increase: spread.mean, loss_increase_std: spread.std, err }
}

fn network(
    args: &FlatnessArgs,
    model: &str,
    (graph, twin): (&Graph, &Twin),
    data: &Dataset,
    kernel: &'static dyn vmin_kernels::GemmKernel,
    stop: &AtomicBool,
) -> Result<Flat, Failure> {
    let inputs = twin.inputs(graph, &data.images);
    let inputs = inputs.map_err(|error| Failure::input("pixels", &error))?;
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|of| of.codes.clone()).collect();
    let images = (&inputs[..], &data.labels[..]);
    let flatness = vmin_train::Flatness::new(twin, codes, images, args.seed, stop);
    let clean = flatness.clean().map_err(failure)?;
    let samples = |of: &dyn Fn(usize) -> Result<UnderNoise, FlatnessError>| {
        let all = (0..args.samples as usize).map(of).collect::<Result<Vec<_>, _>>();
        all.map(|all| moves(clean, &all)).map_err(failure)
    };
    let average = samples(&|sample| flatness.moved(args.xi, sample))?;
    let ascent = Ascent {
        xi: args.worst_xi,
        steps: args.worst_steps as usize,
        step: STEP,
        restarts: args.restarts as usize,
    };
    let worst = (args.restarts > 0).then(|| flatness.worst(ascent)).transpose();
    let worst = worst.map_err(failure)?.map(|worst| Worst {
        xi: args.worst_xi,
        loss_increase: worst.loss - clean.loss,
        err: worst.err,
    });
    let mut bit_noise = Vec::new();
    for &rate in &args.rate {
        let noise = samples(&|sample| flatness.bit_noise(rate, sample, None))?;
        let rerr = chips::errors(graph, data, rate, args, kernel, stop)?;
        bit_noise.push(BitNoise { rate, noise, rerr });
    }
    let mut layers = Vec::new();
    if let Some(&rate) = args.rate.last() {
        for (tensor, weights) in graph.weights.iter().enumerate() {
            let noise = samples(&|sample| flatness.bit_noise(rate, sample, Some(tensor)))?;
            layers.push(FlatLayer {
                layer: graph.layer_of(tensor),
                weights: weights.codes.len(),
                xi: flatness.xi_of_rate(rate, tensor),
                noise,
            });
        }
    }
    Ok(Flat {
        model: model.to_owned(),
        loss: clean.loss,
        err: clean.err,
        xi: args.xi,
        average,
        worst,
        bit_noise,
        layers,
    })
}

/// How well each measure foretells the error on chips at a rate.
fn foretold(networks: &[Flat], nth: usize, rate: f64) -> Vec<Foretold> {
    let rerr: Option<Vec<f64>> =
        networks.iter().map(|of| Some(of.bit_noise[nth].rerr?.mean)).collect();
    let Some(rerr) = rerr else { return Vec::new() };
    let of = |by: &'static str, value: &dyn Fn(&Flat) -> f64| {
        let values: Vec<f64> = networks.iter().map(value).collect();
        Correlation::of(&values, &rerr).map(|correlation| Foretold { rate, by, correlation })
    };
    let all = [
        of("error under bit noise", &|of| of.bit_noise[nth].noise.err),
        of("loss under bit noise", &|of| of.loss + of.bit_noise[nth].noise.loss_increase),
        of("average-case flatness", &|of| of.average.loss_increase),
        of("worst-case flatness", &|of| of.worst.as_ref().map_or(0.0, |of| of.loss_increase)),
        of("clean loss", &|of| of.loss),
    ];
    all.into_iter().flatten().collect()
}
