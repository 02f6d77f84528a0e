//! Each partial sum that is read back is clamped into the range that the sums of its layer have on calibration
//! images, widened by a margin.
//!
//! For the accumulator memory, where one high bit outweighs all products. Source of the idea: ReaLM (DAC 2025,
//! arXiv 2503.24053). Works for every kind of error, without a fault map. Costs: two comparators per word read. Under
//! cells that always invert, a sum that is folded an even number of times is inverted back, which clamping in between
//! undoes: there it can hurt.

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;

use crate::ProtectionCosts;
use crate::mechanism::{Codec, Effect, Guard, Mechanism, Price, Shape, SumKeeping};

/// `kind = "sum_guard"`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SumGuard {
    /// Calibration images.
    pub images: u32,
    /// Share of the range by which both ends move outwards.
    pub margin: f64,
}

impl Mechanism for SumGuard {
    fn kind(&self) -> &'static str {
        "sum_guard"
    }

    fn describe(&self) -> String {
        format!(
            "clamped into the range of {} images and {} % more",
            self.images,
            self.margin * 100.0
        )
    }

    fn effect(&self, _: u8) -> Effect {
        let Self { images, margin } = *self;
        Effect::Sum(SumKeeping::Guarded(Guard { images, margin }))
    }

    fn price(&self, _: &ProtectionCosts, shape: Shape) -> Price {
        let bits = f64::from(shape.code_bits);
        Price {
            // Per bit and end of the range three gates of a comparator and three of a multiplexer.
            codec: Some(Codec {
                data_bits: bits,
                encoder_gates: 0.0,
                decoder_gates: 2.0 * 6.0 * bits,
                cycles: 0.0,
            }),
            ..Price::default()
        }
    }

    fn caution_if_inverting(&self) -> Option<&'static str> {
        Some(
            "cells that always invert a sum undo that at the next fold, unless it is clamped in between, \
             so clamping can hurt; judge it by `stuck_at` or `transient`",
        )
    }

    fn startup(&self) -> Option<String> {
        Some(format!("ranges of sums of {} images once for all chips", self.images))
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        super::only_sums(memory)
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    let images = super::calibration_images(entry)?;
    let margin = entry.optional_number("margin", 0.0..=10.0).map_or(0.1, |margin| margin.value);
    Some(Box::new(SumGuard { images, margin }))
}
