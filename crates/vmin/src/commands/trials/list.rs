//! `vmin trials list`: what a store holds.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_diagnostic::thousands;
use vmin_sweep::store::{AboutWhat, Group, Store};

use super::{error, kib, opened, percent, short, supply_words, word};
use crate::args::trials::ListArgs;
use crate::{Answer, Failure, answer};

/// What a store holds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// Trials by candidate, images and supplies.
    rows: Vec<Row>,
    /// Trials, each once.
    trials: usize,
    /// Files that hold them.
    segments: usize,
    /// Bytes of these files.
    bytes: u64,
    /// Lines that say again what another says; `vmin trials gc` drops them.
    duplicates: u64,
    /// Lines that are damaged and left out.
    damaged_lines: u64,
    /// Other files in the folder.
    foreign: Vec<String>,
}

/// Trials with the same candidate, images and supplies.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    /// Digest of network, placement and protection.
    candidate: String,
    /// The network, `-` if nothing describes it.
    network: String,
    /// Width of its widest weight code.
    bits: String,
    protection: String,
    placement: String,
    accelerator: String,
    data: String,
    /// First image and the image after the last.
    images: String,
    /// Their name in trials.
    images_id: String,
    /// Supplies of the memories that can err.
    supplies: String,
    /// Trials: chips at offsets.
    trials: u64,
    /// Mean error of these trials.
    err_mean: Option<f64>,
    /// Bytes of their lines.
    bytes: u64,
}

/// Lists what a store holds.
///
/// # Errors
/// The folder holds no store that can be read.
pub fn run(args: &ListArgs) -> Result<Listed, Failure> {
    let store = opened(&args.store)?;
    let (segments, bytes) = store.segments();
    Ok(Listed {
        rows: store.groups().into_iter().map(|group| row(&store, group)).collect(),
        trials: store.len(),
        segments,
        bytes,
        duplicates: store.duplicates(),
        damaged_lines: store.damage().lines,
        foreign: store.foreign().to_vec(),
    })
}

fn row(store: &Store, group: Group) -> Row {
    let Group { candidate, supplies, images, trials, correct, bytes } = group;
    let of_candidate = |key| word(store, AboutWhat::Candidate, &candidate, key);
    let of_images = |key| word(store, AboutWhat::Images, &images, key);
    Row {
        network: of_candidate("network"),
        bits: of_candidate("bits"),
        protection: of_candidate("protection"),
        placement: of_candidate("placement"),
        accelerator: of_candidate("accelerator"),
        data: of_images("data"),
        images: of_images("images"),
        supplies: supply_words(&supplies),
        err_mean: error(&images, correct, trials),
        trials,
        bytes,
        candidate,
        images_id: images,
    }
}

impl Answer for Listed {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.rows)
    }

    fn table(&self) -> String {
        let header = ["candidate", "network", "protection", "data", "images", "supplies"];
        let header: Vec<&str> =
            header.into_iter().chain(["trials", "mean error (%)", "size (KiB)"]).collect();
        let rows = self.rows.iter().map(|row| {
            let mut cells = vec![short(&row.candidate)];
            cells.extend(
                [&row.network, &row.protection, &row.data, &row.images, &row.supplies]
                    .map(Clone::clone),
            );
            cells.extend([thousands(row.trials), percent(row.err_mean), kib(row.bytes)]);
            cells
        });
        let table = answer::fitted(&header, 6, &["size (KiB)", "data"], rows);
        let mut sums = format!(
            "{} trials in {}, {} KiB",
            thousands(self.trials as u64),
            if self.segments == 1 {
                "1 file".to_owned()
            } else {
                format!("{} files", self.segments)
            },
            kib(self.bytes)
        );
        for (count, words) in
            [(self.duplicates, "duplicates"), (self.damaged_lines, "damaged lines")]
        {
            if count > 0 {
                sums.push_str(&format!(", {} {words}", thousands(count)));
            }
        }
        format!("{table}\n{}", answer::wrapped(&sums))
    }
}
