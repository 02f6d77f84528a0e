//! What `vmin attack --kind bits` tells.

use schemars::JsonSchema;
use serde::Serialize;

use crate::args::Reach;
use crate::{Answer, Failure, answer};

/// Wrong bits of the weights that do the most harm.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BitAttack {
    /// `bits`.
    pub kind: &'static str,
    /// The network, as named.
    pub model: String,
    /// The image set, as named.
    pub data: String,
    /// How sums become codes.
    pub rounding: &'static str,
    /// How pixels become the network's input.
    pub pixels: String,
    /// Test images that count.
    pub images: usize,
    /// Number of the first of them.
    pub first_image: usize,
    /// Images by which attacks choose bits; none of them counts.
    pub attack_images: usize,
    /// Number of the first of them.
    pub first_attack_image: usize,
    /// The class that all images are driven to; absent where any error counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u8>,
    /// Which bits can be flipped.
    pub reach: Reach,
    /// Bits that the weights occupy.
    pub stored_bits: u64,
    /// Those of them in reach.
    pub reachable_bits: u64,
    /// The accelerator.
    pub accelerator: String,
    /// The protection in words, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<String>,
    /// Supply at which the chip files have the wrong bits, in mV.
    pub vdd_mv: f64,
    /// Test error without wrong bits.
    pub err_clean: f64,
    /// Test error of the integer network under the strongest of the largest attacks.
    pub err_attacked: f64,
    /// Losses and gradients that all attacks asked for.
    pub queries: u64,
    /// Wall time of the searches.
    pub seconds: f64,
    /// Each search with each number of wrong bits.
    pub attacks: Vec<AttackRow>,
    /// Where the wrong bits of the strongest attack lie, by layer.
    pub layers: Vec<LayerRow>,
    /// The same by bit position.
    pub bits: Vec<BitRow>,
    /// Each of them.
    pub flips: Vec<FlipRow>,
}

/// One search with one number of wrong bits.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AttackRow {
    /// `pgd`, `progressive`, `first_order` or `random`.
    pub method: &'static str,
    /// Most wrong bits.
    pub flips_max: usize,
    /// Wrong bits.
    pub flips: usize,
    /// Test error of the integer network; of several restarts, the worst.
    pub err_attacked: f64,
    /// Share of the test images in the target class, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_share: Option<f64>,
    /// Bits that are wrong as read, behind the protection.
    pub bits_read_wrong: u64,
    /// What the attack raised: the mean cross-entropy of the attack images (less that of the target).
    pub attack_loss: f64,
    /// Number of the worst restart, from 0.
    pub restart: usize,
    /// Losses and gradients that all restarts asked for.
    pub queries: u64,
    /// Wall time of all restarts.
    pub seconds: f64,
    /// File of the chip with these wrong bits, if there is a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip_file: Option<String>,
}

/// Wrong bits of a layer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LayerRow {
    /// Its name.
    pub layer: String,
    /// Its weights.
    pub weights: usize,
    /// Wrong bits.
    pub flips: usize,
}

/// Wrong bits at a position of codes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BitRow {
    /// Position, 0 the least significant.
    pub bit: u8,
    /// Wrong bits.
    pub flips: usize,
}

/// A wrong bit.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FlipRow {
    /// Layer of its weight.
    pub layer: String,
    /// Index of the weight tensor.
    pub tensor: usize,
    /// Index of the weight in its tensor.
    pub weight: usize,
    /// Bit of its code, 0 the least significant.
    pub bit: u8,
    /// Bank of the weight memory.
    pub bank: u32,
    /// Row of the bank.
    pub row: u32,
    /// Column of the bank.
    pub column: u32,
}

impl Answer for BitAttack {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.attacks)
    }

    fn table(&self) -> String {
        let header =
            ["method", "most wrong bits", "test error", "wrong as read", "loss", "queries", "s"];
        let rows = self.attacks.iter().map(|row| {
            vec![
                row.method.to_owned(),
                row.flips_max.to_string(),
                answer::percent(row.err_attacked, 2),
                row.bits_read_wrong.to_string(),
                format!("{:.3}", row.attack_loss),
                row.queries.to_string(),
                format!("{:.1}", row.seconds),
            ]
        });
        let attacks = answer::table(&header, 1, rows);
        let layers = self
            .layers
            .iter()
            .map(|row| vec![row.layer.clone(), row.weights.to_string(), row.flips.to_string()]);
        let layers = answer::table(&["layer", "weights", "wrong bits"], 1, layers);
        let notes = answer::wrapped(&self.notes().join("\n"));
        format!("{}\n{attacks}\n{layers}\n{notes}", answer::wrapped(&self.sentence()))
    }
}

impl BitAttack {
    /// The answer in a sentence.
    pub(super) fn sentence(&self) -> String {
        let largest = self.attacks.iter().map(|row| row.flips_max).max().unwrap_or(0);
        let share = self.attacks.iter().filter(|row| row.flips_max == largest);
        let share = share.filter_map(|row| row.target_share).reduce(f64::max);
        let goal = self.target.zip(share).map(|(target, share)| {
            format!(", and {} of all images to class {target}", answer::percent(share, 2))
        });
        format!(
            "{} wrong bits of {} raise the test error from {} to {}{}",
            self.flips.len(),
            self.stored_bits,
            answer::percent(self.err_clean, 2),
            answer::percent(self.err_attacked, 2),
            goal.unwrap_or_default()
        )
    }

    /// What else is to be said, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let bits: Vec<String> = self
            .bits
            .iter()
            .filter(|row| row.flips > 0)
            .map(|row| format!("{} of bit {}", row.flips, row.bit))
            .collect();
        let mut notes: Vec<String> =
            self.protection.iter().map(|of| format!("protection: {of}")).collect();
        notes.push(format!(
            "{} of {} bits in reach; wrong bits: {}",
            self.reachable_bits,
            self.stored_bits,
            bits.join(", ")
        ));
        notes.push(format!(
            "errors of {} test images from number {}; attacks choose by {} others from number {}",
            self.images, self.first_image, self.attack_images, self.first_attack_image
        ));
        if self.attacks.iter().any(|row| row.chip_file.is_some()) {
            notes.push(format!("chip files have the wrong bits at {} mV", self.vdd_mv));
        }
        notes.push(format!("pixels {}, rounding {}", self.pixels, self.rounding));
        notes
    }
}
