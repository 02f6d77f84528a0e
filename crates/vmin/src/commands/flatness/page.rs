//! The answer as a page.

use vmin_report::{FlatnessForetold, FlatnessPage, FlatnessRow, flatness_page};

use super::answer::{Flatness, short};
use crate::Failure;

pub(super) fn page(of: &Flatness) -> Result<String, Failure> {
    let json = serde_json::to_string(of).map_err(std::io::Error::from)?;
    let rows = of.networks.iter().flat_map(|network| {
        network.bit_noise.iter().map(|at| FlatnessRow {
            model: short(&network.model),
            rate: at.rate,
            err: network.err,
            noise_err: at.noise.err,
            rises: [
                Some(at.noise.loss_increase),
                Some(network.average.loss_increase),
                network.worst.map(|worst| worst.loss_increase),
            ],
            rerr: at.rerr.map(|rerr| rerr.mean),
        })
    });
    let rows: Vec<FlatnessRow> = rows.collect();
    let foretold = of.foretold.iter().map(|row| FlatnessForetold {
        by: row.by,
        rate: row.rate,
        spearman: row.correlation.spearman,
        interval: row.correlation.spearman_interval,
    });
    let foretold: Vec<FlatnessForetold> = foretold.collect();
    let layers = of.networks.iter().map(|network| {
        let of = network.layers.iter();
        let rises = of.map(|layer| (layer.layer.clone(), layer.noise.loss_increase)).collect();
        (short(&network.model), rises)
    });
    let layers: Vec<(String, Vec<(String, f64)>)> = layers.collect();
    Ok(flatness_page(&FlatnessPage {
        answer: &of.sentence(),
        rows: &rows,
        foretold: &foretold,
        layers: &layers,
        json: &json,
    }))
}
