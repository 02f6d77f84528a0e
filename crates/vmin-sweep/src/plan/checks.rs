//! What only shows when all parts are together, and what a journal may hold.

use vmin_emulator::Emulator;
use vmin_sram::{STORED_CELLS_MAX, Threshold};

use super::{MemoryAt, Plan};
use crate::experiment::{Memory, ReadErrors, Supply};
use crate::journal::Record;

/// Most inferences of one experiment; beyond it a typing error is likelier than patience.
const INFERENCES_MAX: u64 = 1_000_000_000_000;

impl Plan {
    pub(super) fn check_inferences(&self) -> Result<(), String> {
        let total = self.cost().inferences_total;
        if total > INFERENCES_MAX {
            return Err(format!(
                "the sweep would take {total} inferences, at most {INFERENCES_MAX} are run"
            ));
        }
        Ok(())
    }

    /// Checks what only shows when all parts are together.
    pub(super) fn check_sizes(&self) -> Result<(), (std::ops::Range<usize>, &'static str, String)> {
        let data = self.experiment.data.span.clone();
        let (images, kernel) = (self.images(), vmin_kernels::best());
        let emulator = Emulator::placed(&self.graph, &self.placement, images, kernel);
        if let Err(error) = emulator {
            return Err((data, "does-not-fit", error.to_string()));
        }
        self.check_rates()?;
        let trials = u64::from(self.experiment.chips) * self.address_maps.len() as u64;
        if u32::try_from(trials).is_err() {
            let message = format!("{trials} chips at offsets are more than can be numbered");
            return Err((self.experiment.layout.span.clone(), "too-many", message));
        }
        let cost = self.cost();
        if cost.faulty_cells_max > STORED_CELLS_MAX as f64 {
            let span = self.experiment.vdd_mv.last().map_or(0..0, |vdd_mv| vdd_mv.span.clone());
            let message = format!(
                "at the lowest voltage {:.1e} cells of each chip would be faulty; at most \
                 {STORED_CELLS_MAX} can be held",
                cost.faulty_cells_max
            );
            return Err((span, "too-large", message));
        }
        self.check_inferences().map_err(|message| (data, "too-large", message))?;
        Ok(())
    }

    /// Checks that no memory of a population's chips has more than half of its cells faulty.
    fn check_rates(&self) -> Result<(), (std::ops::Range<usize>, &'static str, String)> {
        if !self.chip_files.is_empty() {
            return Ok(());
        }
        let experiment = &self.experiment;
        for (point, swept) in self.points.iter().zip(&experiment.vdd_mv) {
            for memory in Memory::ALL {
                let Some(&MemoryAt { vdd_mv, cell_fault_rate, threshold }) = point.memory(memory)
                else {
                    continue;
                };
                if threshold >= Threshold::HALF {
                    continue;
                }
                let span = match experiment.memories.supply(memory) {
                    Supply::Fixed(fixed) => &fixed.span,
                    Supply::Swept | Supply::Nominal => &swept.span,
                };
                let message = format!(
                    "at {vdd_mv} mV more than half of all cells are faulty ({:.1} %), which cannot be \
                     emulated",
                    cell_fault_rate * 100.0
                );
                return Err((span.clone(), "out-of-range", message));
            }
        }
        Ok(())
    }

    /// Checks that a journal's records can be records of this plan.
    ///
    /// # Errors
    /// What is wrong with the first that cannot.
    pub fn check_records(&self, records: &[Record]) -> Result<(), String> {
        let images = self.data.len() as u64;
        for record in records {
            let Record { point, chip, correct, correct_union, cells_hit, flips, .. } = *record;
            let known = (point as usize) < self.points_total() && chip < self.trials();
            // What stands between cells and codes may invert more bits than cells fail.
            let remedy = self.remedies.iter().rfind(|remedy| remedy.first_point <= point);
            let (bits, flips_max) = remedy.map_or((self.stored_bits(), cells_hit), |remedy| {
                (remedy.stored_bits, remedy.stored_bits)
            });
            let buffers = remedy.map_or(&self.buffers, |remedy| &remedy.buffers);
            let transient = self.experiment.errors == ReadErrors::Transient;
            let bits = bits.saturating_mul(if transient { images } else { 1 });
            let possible = correct <= images && correct_union <= correct && flips <= flips_max;
            let of_activations = buffers.activation_bits().unwrap_or(0).saturating_mul(images);
            let of_sums = buffers.accumulator_bits_read().unwrap_or(0).saturating_mul(images);
            let possible = possible
                && cells_hit <= bits
                && record.activation_flips <= record.activation_cells_hit
                && record.activation_cells_hit <= of_activations
                && record.accumulator_flips <= record.accumulator_cells_hit
                && record.accumulator_cells_hit <= of_sums;
            if !known || !possible {
                return Err(format!(
                    "the record of point {point}, chip {chip} is not one of this experiment"
                ));
            }
        }
        Ok(())
    }
}
