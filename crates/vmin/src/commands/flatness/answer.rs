//! What `vmin flatness` tells.

use schemars::JsonSchema;
use serde::Serialize;

use super::chips::ChipErrors;
use super::correlation::Correlation;
use crate::{Answer, Failure, answer};

/// How flat the loss of networks is, and how well that foretells their errors on chips.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Flatness {
    /// The image set, as named.
    pub data: String,
    /// Images.
    pub images: usize,
    /// Number of the first of them.
    pub first_image: usize,
    /// Random moves of each size.
    pub samples: u32,
    /// Chips on which errors were measured.
    pub chips: u32,
    /// Each network.
    pub networks: Vec<Flat>,
    /// Correlation of each measure with the error on chips over the networks; empty without chips, or below three
    /// networks.
    pub foretold: Vec<Foretold>,
}

/// A network.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Flat {
    /// As named.
    pub model: String,
    /// Mean cross-entropy of the float twin.
    pub loss: f64,
    /// Its share of wrong images.
    pub err: f64,
    /// Relative size of the random moves.
    pub xi: f64,
    /// Under random moves of that size (average case).
    pub average: Moves,
    /// Under the worst move found (worst case).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<Worst>,
    /// Under noise of the size of each rate of wrong bits.
    pub bit_noise: Vec<BitNoise>,
    /// The same in one weight tensor alone, at the last rate.
    pub layers: Vec<FlatLayer>,
}

/// Loss and error under random moves.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Moves {
    /// Mean rise of the loss.
    pub loss_increase: f64,
    /// Its sample standard deviation over moves.
    pub loss_increase_std: f64,
    /// Mean share of wrong images.
    pub err: f64,
}

/// Loss and error under the worst move.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Worst {
    /// Its relative size in each weight tensor, at most.
    pub xi: f64,
    /// Rise of the loss.
    pub loss_increase: f64,
    /// Share of wrong images.
    pub err: f64,
}

/// Noise of the size of a rate of wrong bits.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct BitNoise {
    /// The rate.
    pub rate: f64,
    /// Under the noise.
    #[serde(flatten)]
    pub noise: Moves,
    /// The error of the integer network on chips of that rate, if chips were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerr: Option<ChipErrors>,
}

/// Noise in one weight tensor.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FlatLayer {
    /// Layer of the tensor.
    pub layer: String,
    /// Its weights.
    pub weights: usize,
    /// Size of the noise relative to the tensor.
    pub xi: f64,
    /// Under the noise.
    #[serde(flatten)]
    pub noise: Moves,
}

/// How well a measure foretells the error on chips.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Foretold {
    /// Rate of wrong bits.
    pub rate: f64,
    /// The measure.
    pub by: &'static str,
    /// Its correlation with the mean error over chips.
    #[serde(flatten)]
    pub correlation: Correlation,
}

/// A row of the CSV: a network at a rate.
#[derive(Serialize)]
struct Row<'a> {
    model: &'a str,
    rate: f64,
    loss: f64,
    err: f64,
    average_loss_increase: f64,
    worst_loss_increase: Option<f64>,
    noise_loss_increase: f64,
    noise_err: f64,
    rerr_mean: Option<f64>,
    rerr_std: Option<f64>,
}

impl Answer for Flatness {
    fn csv(&self) -> Result<String, Failure> {
        let rows = self.networks.iter().flat_map(|network| {
            network.bit_noise.iter().map(|at| Row {
                model: &network.model,
                rate: at.rate,
                loss: network.loss,
                err: network.err,
                average_loss_increase: network.average.loss_increase,
                worst_loss_increase: network.worst.map(|worst| worst.loss_increase),
                noise_loss_increase: at.noise.loss_increase,
                noise_err: at.noise.err,
                rerr_mean: at.rerr.map(|rerr| rerr.mean),
                rerr_std: at.rerr.map(|rerr| rerr.std),
            })
        });
        answer::csv(&rows.collect::<Vec<_>>())
    }

    fn table(&self) -> String {
        let mut text = answer::wrapped(&self.sentence());
        text.push('\n');
        let mut header = vec!["network", "rate", "error", "under noise"];
        if self.chips > 0 {
            header.push("on chips");
        }
        header.extend(["loss", "rise: noise", "average", "worst"]);
        let rows = self.networks.iter().flat_map(|network| {
            network.bit_noise.iter().map(|at| {
                let mut row = vec![
                    short(&network.model),
                    format!("{} %", at.rate * 100.0),
                    answer::percent(network.err, 2),
                    answer::percent(at.noise.err, 2),
                ];
                if let Some(rerr) = at.rerr {
                    row.push(answer::percent(rerr.mean, 2));
                }
                let worst =
                    network.worst.map_or("-".to_owned(), |of| format!("{:.3}", of.loss_increase));
                row.extend([
                    format!("{:.3}", network.loss),
                    format!("{:.3}", at.noise.loss_increase),
                    format!("{:.3}", network.average.loss_increase),
                    worst,
                ]);
                row
            })
        });
        text.push_str(&answer::fitted(&header, 1, &["loss", "worst", "average"], rows));
        if let [network] = &self.networks[..] {
            let mut layers: Vec<&FlatLayer> = network.layers.iter().collect();
            layers.sort_by(|a, b| b.noise.loss_increase.total_cmp(&a.noise.loss_increase));
            let rows = layers.iter().map(|row| {
                vec![
                    row.layer.clone(),
                    row.weights.to_string(),
                    format!("{:.3}", row.xi),
                    format!("{:.4}", row.noise.loss_increase),
                    answer::percent(row.noise.err, 2),
                ]
            });
            let header = ["noise in", "weights", "relative size", "rise of the loss", "error"];
            text.push('\n');
            text.push_str(&answer::table(&header, 1, rows));
        }
        if !self.foretold.is_empty() {
            let rows = self.foretold.iter().map(|row| {
                let Correlation { spearman, spearman_interval, pearson } = row.correlation;
                let interval =
                    spearman_interval.map(|[low, high]| format!("{low:.2} to {high:.2}"));
                vec![
                    row.by.to_owned(),
                    format!("{} %", row.rate * 100.0),
                    format!("{spearman:.3}"),
                    interval.unwrap_or_else(|| "-".to_owned()),
                    format!("{pearson:.3}"),
                ]
            });
            let header = ["foretold by", "rate", "rank correlation", "95 % interval", "Pearson"];
            text.push('\n');
            text.push_str(&answer::table(&header, 1, rows));
        }
        text
    }
}

impl Flatness {
    /// The answer in sentences, a line each.
    pub(super) fn sentence(&self) -> String {
        let least = |rate: usize| {
            let of = |network: &&Flat| network.bit_noise[rate].noise.err;
            self.networks.iter().min_by(|a, b| of(a).total_cmp(&of(b)))
        };
        let Some(rate) = self.networks.first().and_then(|of| of.bit_noise.len().checked_sub(1))
        else {
            return String::new();
        };
        let Some(best) = least(rate) else { return String::new() };
        let at = best.bit_noise[rate];
        let first = format!(
            "`{}` {} an error of {} under noise of the size of {} % of wrong bits, which no chip was needed for ({} \
             images from number {}, {} samples of noise)",
            best.model,
            if self.networks.len() > 1 { "is least disturbed:" } else { "has" },
            answer::percent(at.noise.err, 2),
            at.rate * 100.0,
            self.images,
            self.first_image,
            self.samples
        );
        let foretold = self
            .foretold
            .iter()
            .rev()
            .find(|row| row.rate == at.rate && row.by.starts_with("error"));
        match foretold {
            Some(row) => format!(
                "{first}\nover {} networks its rank correlation with the error on {} chips is {:.3}",
                self.networks.len(),
                self.chips,
                row.correlation.spearman
            ),
            None => first,
        }
    }
}

/// The name of a network without its folder.
pub(super) fn short(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model);
    name.strip_suffix(".safetensors").unwrap_or(name).to_owned()
}
