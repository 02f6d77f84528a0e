//! The other weights of a channel take back what its wrong weights do to the sums.
//!
//! Inputs of a layer vary together: neighbouring pixels are nearly alike. So an error of one weight is mostly undone by
//! small changes of others, which lie in cells that do not fail. What is left of a channel is the mean squared
//! error of its sums, `d' M d`, where `d` are the errors of its weights and `M` are moments of its inputs, measured on
//! calibration images: about the mean where biases are fitted afterwards, about zero else. Weight by weight, that which
//! helps most is changed to the best integer, until none helps.
//!
//! Sources: the loss that is left is that of "optimal brain surgeon" (Hassibi and Stork, 1993), which quantizers of
//! trained networks use (arXiv 2208.11580, 2210.17323); here the errors are those of a chip.
//!
//! Acts after all rules that keep errors small, on codes of which no cell (nor one of their word's) is known as faulty.
//! Costs: calibration images once per network, a memory test and the search once per chip; nothing at run time. Layers
//! of more than [`SIDE_MAX`] weights per channel stay as they are.

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;

use super::closest_code::{Changed, Changes, known_faults};
use crate::ProtectionCosts;
use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::store::{Content, KnownChip, Storage, StoreRule};
use crate::words::Codes;

/// Most weights of a channel whose inputs are measured: their moments fill a matrix.
pub const SIDE_MAX: usize = 2304;

/// `kind = "compensate"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Compensate {
    /// Calibration images.
    pub images: u32,
}

impl Mechanism for Compensate {
    fn kind(&self) -> &'static str {
        "compensate"
    }

    fn describe(&self) -> String {
        format!("errors taken back by other weights, from {} images", self.images)
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Store(Box::new(*self))
    }

    fn startup(&self) -> Option<String> {
        Some(format!(
            "inputs of {} images once for all chips, memory test, search per channel with wrong weights",
            self.images
        ))
    }

    fn price(&self, _: &ProtectionCosts, _: Shape) -> Price {
        Price::default()
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        super::values_unknown(memory)
    }
}

pub(super) fn read(entry: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(Compensate { images: super::calibration_images(entry)? }))
}

impl StoreRule for Compensate {
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage) {
        for content in &chip.contents {
            let Some(wanted) = content.codes else { continue };
            let of = &storage.contents.get(&content.number);
            let changes = of.iter().flat_map(|written| &written.codes);
            let changes = changes.map(|&(tensor, code, written)| ((tensor, code), written));
            let mut written = Changed { wanted, changes: changes.collect() };
            compensate(chip, content, storage, &mut written);
            let codes = written.changes.into_iter().map(|((tensor, code), of)| (tensor, code, of));
            storage.contents.entry(content.number).or_default().codes = codes.collect();
        }
    }

    fn calibration_images(&self) -> Option<u32> {
        Some(self.images)
    }
}

fn compensate(
    chip: &KnownChip<'_>,
    content: &Content<'_>,
    storage: &Storage,
    written: &mut Changed<'_>,
) {
    let KnownChip { tensors, scheme, damage, .. } = *chip;
    let (wanted, faults) = (written.wanted, known_faults(chip, content, storage));
    let mut read = Changed { wanted, changes: Changes::clone(&written.changes) };
    faults.read(scheme, tensors, &mut read);
    let mut movable = held(chip, content);
    for (tensor, code) in faults.groups().into_iter().flatten() {
        movable[tensor][code] = false;
    }
    for (tensor, (moments, damage)) in chip.moments.iter().zip(damage).enumerate() {
        let side = moments.side();
        if side == 0 {
            continue;
        }
        for (channel, movable) in movable[tensor].chunks_exact(side).enumerate() {
            let first = channel * side;
            let value = |code: usize| damage.value(wanted(tensor, code));
            let mut errors: Vec<i64> = (first..first + side)
                .map(|code| damage.value(read.get(tensor, code)) - value(code))
                .collect();
            if errors.iter().all(|error| *error == 0) {
                continue;
            }
            let room = |index: usize| {
                let of = if movable[index] { damage.range() } else { return [errors[index]; 2] };
                of.map(|end| end - value(first + index))
            };
            let rooms: Vec<[i64; 2]> = (0..side).map(room).collect();
            let before = errors.clone();
            descend(moments.channel(channel), &rooms, &mut errors);
            for (index, error) in errors.into_iter().enumerate().filter(|&(i, of)| of != before[i])
            {
                let code = damage.code(value(first + index) + error);
                written.set(tensor, first + index, code);
            }
        }
    }
}

/// Which codes of each tensor lie in a content.
fn held(chip: &KnownChip<'_>, content: &Content<'_>) -> Vec<Vec<bool>> {
    let mut held: Vec<Vec<bool>> =
        chip.tensors.iter().map(|stored| vec![false; stored.codes]).collect();
    let columns = chip.cells.columns;
    for position in content.rows.iter().flat_map(|row| row * columns..(row + 1) * columns) {
        if let Some(bit) = content.stores.held(position) {
            held[bit.tensor][bit.code] = true;
        }
    }
    held
}

/// Lowers `errors' moments errors`, each error within its room: at each step the one change that lowers it most.
fn descend(moments: &[i32], rooms: &[[i64; 2]], errors: &mut [i64]) {
    let side = errors.len();
    let row = |index: usize| moments[index * side..][..side].iter().map(|&of| i64::from(of));
    let mut slopes: Vec<i64> =
        (0..side).map(|index| row(index).zip(&*errors).map(|(a, error)| a * error).sum()).collect();
    loop {
        // What a step changes, the step, its weight.
        let best = (0..side).filter_map(|index| {
            let (slope, [low, high]) = (slopes[index], rooms[index]);
            let curve = i64::from(moments[index * side + index]);
            if curve <= 0 || low == high {
                return None;
            }
            // To the nearest integer: the change is a parabola of the step.
            let step = (curve - 2 * slope).div_euclid(2 * curve);
            let step = (errors[index] + step).clamp(low, high) - errors[index];
            Some((step * (2 * slope + step * curve), index, step))
        });
        // An integer falls at each step.
        let Some((_, index, step)) = best.min().filter(|(change, ..)| *change < 0) else { return };
        errors[index] += step;
        slopes.iter_mut().zip(row(index)).for_each(|(slope, of)| *slope += of * step);
    }
}
