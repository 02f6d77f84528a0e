//! Biases (and multipliers) are written anew for each chip, so that the mean (and the deviation) of each channel
//! is that of the clean network.
//!
//! Unlabelled images run through the network as the chip reads it, layer by layer from the front, each on what the
//! corrected layers before it give. The float ancestor is the re-estimation of batch-norm statistics. It works for
//! every kind of error in every memory, without a fault map. Biases and multipliers are taken as safe. Costs: as
//! many inferences as there are images, once per chip and supply; nothing at run time.

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;

use crate::ProtectionCosts;
use crate::mechanism::{Effect, Fitted, Mechanism, Price, Shape};

/// `kind = "recalibrate"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recalibrate {
    /// Calibration images.
    pub images: u32,
    /// True if multipliers are fitted too.
    pub multipliers: bool,
}

impl Mechanism for Recalibrate {
    fn kind(&self) -> &'static str {
        "recalibrate"
    }

    fn describe(&self) -> String {
        let what = if self.multipliers { "biases and multipliers" } else { "biases" };
        format!("{what} from {} images", self.images)
    }

    fn effect(&self, _: u8) -> Effect {
        let Self { images, multipliers } = *self;
        Effect::Fit(Fitted { images, multipliers })
    }

    fn price(&self, _: &ProtectionCosts, _: Shape) -> Price {
        Price::default()
    }

    fn startup(&self) -> Option<String> {
        Some(format!("{} inferences, writable biases", self.images))
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        match memory {
            Memory::Weight => None,
            Memory::Activation | Memory::Accumulator => {
                Some("biases answer for all memories at once; leave `memory` away")
            }
        }
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let images = super::calibration_images(entry)?;
    let multipliers = entry.optional_boolean("multipliers").is_some_and(|of| of.value);
    Some(Box::new(Recalibrate { images, multipliers }))
}
