//! What `vmin attack --kind images|patch` tells.

use schemars::JsonSchema;
use serde::Serialize;

use crate::args::{AttackKind, ObjectiveArg};
use crate::{Answer, Failure, answer};

/// Changed pixels that mislead a network on a chip.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ImageAttack {
    /// `images` or `patch`.
    pub kind: AttackKind,
    /// The network, as named.
    pub model: String,
    /// The image set, as named.
    pub data: String,
    /// How sums become codes.
    pub rounding: &'static str,
    /// How pixels become the network's input.
    pub pixels: String,
    /// Attacked test images.
    pub images: usize,
    /// Number of the first of them.
    pub first_image: usize,
    /// Other images, which set the threshold of confidence.
    pub held_out: usize,
    /// The class that all images are driven to; absent where any error counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u8>,
    /// What the attacks raise.
    pub objective: ObjectiveArg,
    /// Supply of the weight memory, in mV; absent without bit errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vdd_mv: Option<f64>,
    /// Share of faulty cells.
    pub cell_fault_rate: f64,
    /// The protection in words, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protection: Option<String>,
    /// Test error of the images as they are.
    pub err_clean: f64,
    /// Share of them that is accepted.
    pub accepted_clean: f64,
    /// Error among these; absent if none is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_accepted_clean: Option<f64>,
    /// The confidence from which an image is accepted: 99 % of the right held-out images reach it.
    pub threshold: f64,
    /// Test error of each image under the worst of all attacks, the image as it is among them.
    pub err_attacked: f64,
    /// Share of these images that is accepted.
    pub accepted: f64,
    /// Error among these; absent if none is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_accepted: Option<f64>,
    /// Wall time of all attacks.
    pub seconds: f64,
    /// Each attack.
    pub attacks: Vec<PixelRow>,
}

/// One attack.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PixelRow {
    /// `pgd`, `random_search` or `squares`.
    pub method: &'static str,
    /// `linf`, `l2`, `l1` or `l0`; absent for patches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<&'static str>,
    /// Largest size of a change, pixels being 0 to 1; absent for patches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Mean size of the changes, rounded to whole pixels; of patches the number of changed pixels.
    pub mean_size: f64,
    /// Test error of the attacked images.
    pub err_attacked: f64,
    /// Share of them that is accepted.
    pub accepted: f64,
    /// Error among these; absent if none is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_accepted: Option<f64>,
    /// Questions to the network for each image.
    pub queries_per_image: f64,
    /// Wall time.
    pub seconds: f64,
    /// File of the attacked images, if there is a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_file: Option<String>,
}

impl Answer for ImageAttack {
    fn csv(&self) -> Result<String, Failure> {
        answer::csv(&self.attacks)
    }

    fn table(&self) -> String {
        let header =
            ["attack", "most", "size", "test error", "accepted", "error among", "queries", "s"];
        let rows = self.attacks.iter().map(|row| {
            vec![
                row.name(),
                row.epsilon.map_or("-".to_owned(), |epsilon| format!("{epsilon}")),
                format!("{:.3}", row.mean_size),
                answer::percent(row.err_attacked, 2),
                answer::percent(row.accepted, 2),
                share(row.err_accepted),
                format!("{:.0}", row.queries_per_image),
                format!("{:.1}", row.seconds),
            ]
        });
        let attacks = answer::table(&header, 1, rows);
        let notes = answer::wrapped(&self.notes().join("\n"));
        format!("{}\n{attacks}\n{notes}", answer::wrapped(&self.sentence()))
    }
}

fn share(of: Option<f64>) -> String {
    of.map_or("-".to_owned(), |of| answer::percent(of, 2))
}

impl PixelRow {
    /// Norm and search.
    pub(super) fn name(&self) -> String {
        match self.norm {
            Some(norm) => format!("{norm} {}", self.method),
            None => self.method.to_owned(),
        }
    }
}

impl ImageAttack {
    /// The answer in a sentence.
    pub(super) fn sentence(&self) -> String {
        format!(
            "{} raise the test error from {} to {}; among the images that are accepted with a confidence of {:.4} or \
             more, from {} to {}",
            match self.kind {
                AttackKind::Patch => "patches",
                AttackKind::Images | AttackKind::Bits => "changed pixels",
            },
            answer::percent(self.err_clean, 2),
            answer::percent(self.err_attacked, 2),
            self.threshold,
            share(self.err_accepted_clean),
            share(self.err_accepted)
        )
    }

    /// What else is to be said, a sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let supply = self.vdd_mv.map(|mv| format!("weight memory at {mv} mV"));
        let protection = self.protection.as_ref().map(|of| format!("protection: {of}"));
        let mut notes: Vec<String> = supply.into_iter().chain(protection).collect();
        notes.push(format!(
            "{} test images from number {}; the threshold is that of 99 % of the right ones among {} others",
            self.images, self.first_image, self.held_out
        ));
        notes.push(
            "sizes are of images with pixels of 0 to 1; attacked images have whole pixels"
                .to_owned(),
        );
        notes.push(format!("pixels {}, rounding {}", self.pixels, self.rounding));
        notes
    }
}
