//! What a deployment answers: its JSON, its table.

use schemars::JsonSchema;
use serde::Serialize;
use vmin_accel::PerMemory;
use vmin_sweep::RowsUsed;
use vmin_sweep::statistics::{PairedDifference, interval_words, yield_words};

use super::manifest::RemedyPrice;
use crate::commands::eval::WRITTEN_OTHERWISE;
use crate::{Answer, Failure, answer};

/// A network as deployed onto one or several chips.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deployed {
    /// The network, as named.
    pub model: String,
    /// Folder of the deployment.
    pub out: String,
    /// How faulty cells err: `flip`, `stuck_at`, `measured` or `transient`.
    pub fault_kind: String,
    /// Share of faulty cells, of the population or of the chip files.
    pub cell_fault_rate: f64,
    /// Supply of each memory in mV; absent where it makes no errors or only a rate is known.
    pub vdd_mv: PerMemory<Option<f64>>,
    /// The remedies in words.
    pub protection: String,
    /// The image set, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<u64>,
    /// Share of images that the network without bit errors classifies wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_clean: Option<f64>,
    /// Mean error of the chips without remedies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_unprotected: Option<f64>,
    /// Mean error of the chips as deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_deployed: Option<f64>,
    /// What is known of each chip: `exact`, or the table of the test; absent where no remedy works from a fault map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// By how much the error exceeds that with the exact map of each chip, paired over chips, with its 95 % interval;
    /// absent where the map is exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_by_map: Option<PairedDifference>,
    /// Area of extra cells and gates over that of the bit cells of all memories: an estimate.
    pub area_share: f64,
    /// Inferences at start-up, for each chip and supply.
    pub calibration_inferences: u64,
    /// Rows that the test for the fault map reads at start-up, all its reads together, for one pattern of data.
    pub test_row_reads: u64,
    /// Rows of each memory that hold something at some time, and all rows; only of memories that can err.
    pub rows: PerMemory<Option<RowsUsed>>,
    /// Energy of an inference at these supplies; absent where no profile is named that tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<InferenceEnergy>,
    /// Yield without remedies and as deployed.
    #[serde(rename = "yield", skip_serializing_if = "Option::is_none")]
    pub of_yield: Option<Yields>,
    /// Faulty cells under stored bits of weights without remedies, of all chips.
    pub cells_faulty: u64,
    /// Codes that are written in place of others, on all chips.
    pub codes_changed: u64,
    /// Price of each remedy.
    pub remedies: Vec<RemedyPrice>,
    /// The table of these prices.
    pub costs: String,
    /// Each chip.
    pub chips: Vec<Chip>,
    #[serde(skip)]
    pub(super) written_otherwise: bool,
}

/// Energy of an inference with the mechanisms' prices, as sweeps tell it.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct InferenceEnergy {
    /// Energy of one inference at these supplies, in nJ.
    pub energy_per_inference_nj: f64,
    /// Of it, encoders and decoders.
    pub energy_codec_nj: f64,
    /// Energy of one inference of the unprotected network at the nominal voltage, in nJ.
    pub energy_nominal_nj: f64,
    /// Share saved against that.
    pub energy_saving: f64,
    /// Time of one inference, in us.
    pub latency_us: f64,
    /// The nominal voltage, in mV.
    pub vdd_nominal_mv: f64,
}

/// Chips that keep the accuracy budget.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Yields {
    /// Points of accuracy that a chip may lose.
    pub budget_pct: f64,
    /// Without remedies.
    pub unprotected: OneYield,
    /// As deployed.
    pub deployed: OneYield,
}

/// Chips within the budget.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OneYield {
    /// How many.
    pub chips_within_budget: u32,
    /// Their share.
    pub yield_fraction: f64,
    /// Lower end of the 95 % interval of Clopper and Pearson.
    pub yield_low: f64,
    /// Its upper end.
    pub yield_high: f64,
}

/// One chip.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chip {
    /// Its number.
    pub chip: u32,
    /// Its file; empty for a chip of a population.
    pub chip_file: String,
    /// Its folder, below that of the deployment.
    pub folder: String,
    /// Error without remedies, if images were given.
    pub err_unprotected: Option<f64>,
    /// Error as deployed.
    pub err_deployed: Option<f64>,
    /// By how much that exceeds the error with the exact map of the chip, where the map is another.
    pub lost_by_map: Option<f64>,
    /// Faulty cells under stored bits of weights, without remedies.
    pub cells_faulty: u64,
    /// Codes that are written in place of others.
    pub codes_changed: u64,
    /// Rows of images that are stored inverted.
    pub rows_inverted: u64,
    /// Rows of all memories that hold another row.
    pub rows_moved: u64,
    /// Places along axes of weights that hold another channel.
    pub channels_moved: u64,
    /// Lanes of all memories that are rotated.
    pub lanes_rotated: u64,
    /// Bits of weights that are wrong as read, without remedies.
    pub flips_unprotected: u64,
    /// The same with remedies.
    pub flips_deployed: u64,
}

impl Answer for Deployed {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.chips)
    }

    fn table(&self) -> String {
        let files = self.chips.iter().any(|of| !of.chip_file.is_empty());
        let judged = self.err_clean.is_some();
        let mut header = vec!["chip"];
        header.extend(judged.then_some(["error before", "error after"]).into_iter().flatten());
        header.extend([
            "faulty cells before",
            "wrong bits before",
            "wrong bits after",
            "changed codes",
        ]);
        header.extend(["inverted rows", "moved rows", "moved channels", "rotated lanes"]);
        let rows = self.chips.iter().map(|of| {
            let name =
                if of.chip_file.is_empty() { of.chip.to_string() } else { of.chip_file.clone() };
            let errors = [of.err_unprotected, of.err_deployed].into_iter().flatten();
            let mut row = vec![name];
            row.extend(errors.map(|err| answer::percent(err, 2)));
            let counts = [
                of.cells_faulty,
                of.flips_unprotected,
                of.flips_deployed,
                of.codes_changed,
                of.rows_inverted,
                of.rows_moved,
                of.channels_moved,
                of.lanes_rotated,
            ];
            row.extend(counts.map(|count| count.to_string()));
            row
        });
        let spare = ["rotated lanes", "moved channels", "moved rows", "wrong bits before"];
        let mut lines = vec![answer::fitted(&header, usize::from(files), &spare, rows)];
        lines.push(format!("remedies: {}", self.protection));
        for of in &self.remedies {
            let startup = of.startup.as_ref().map(|work| format!("; at start-up: {work}"));
            lines.push(format!(
                "{} of the {} memory: {} more energy per access, {} more cells, {} more area, {:.2} gates \
                 per bit on reads{}",
                of.kind,
                of.memory,
                answer::percent(of.access_share, 2),
                answer::percent(of.cells_share, 2),
                answer::percent(of.area_share, 2),
                of.decoder_gates_per_bit,
                startup.unwrap_or_default()
            ));
        }
        let rows = self.rows.iter().filter_map(|(memory, rows)| {
            let RowsUsed { used, all } = (*rows)?;
            Some(format!("{} {used} of {all}", memory.word()))
        });
        lines.push(format!(
            "rows that hold something: {}; all remedies: {} of the memories' area (estimate); at start-up {} \
             calibration inferences and {} reads of rows by the memory test",
            rows.collect::<Vec<_>>().join(", "),
            answer::percent(self.area_share, 2),
            self.calibration_inferences,
            self.test_row_reads
        ));
        if self.written_otherwise {
            lines.push(WRITTEN_OTHERWISE.to_owned());
        }
        lines.push(match &self.energy {
            Some(of) => format!(
                "energy of an inference: {:.2} nJ at these supplies with the mechanisms' prices (encoders and \
                 decoders {:.2} nJ), {} saved against {:.2} nJ unprotected at {} mV nominal; {:.1} us",
                of.energy_per_inference_nj,
                of.energy_codec_nj,
                answer::percent(of.energy_saving, 1),
                of.energy_nominal_nj,
                of.vdd_nominal_mv,
                of.latency_us
            ),
            None => "energy of an inference: unknown, as no profile tells it at a voltage".to_owned(),
        });
        let errors = (self.err_clean, self.err_unprotected, self.err_deployed);
        if let (Some(clean), Some(before), Some(after)) = errors {
            lines.push(format!(
                "test error {} without bit errors, {} without remedies, {} as deployed",
                answer::percent(clean, 2),
                answer::percent(before, 2),
                answer::percent(after, 2)
            ));
        }
        if let Some(lost) = &self.lost_by_map {
            lines.push(format!("lost by the map, against the exact one: {}", lost.words()));
        }
        if let Some(Yields { budget_pct, unprotected, deployed }) = &self.of_yield {
            let words = |of: &OneYield| {
                let chips = self.chips.len() as u32;
                let of_chips = yield_words(of.chips_within_budget, chips);
                format!("{of_chips}, 95 % interval {}", interval_words(of.yield_low, of.yield_high))
            };
            lines.push(format!(
                "yield at a loss of at most {budget_pct} points: {} without remedies; {} as deployed",
                words(unprotected),
                words(deployed)
            ));
        }
        let (table, words) = lines.split_first().expect("the table");
        let words: Vec<String> = words.iter().map(|line| answer::wrapped(line)).collect();
        format!("{table}\n{}", words.join("\n"))
    }
}
