//! Output channels lie in the order in which the faulty cells do least damage; what reads them takes its columns in
//! the same order, so that the network computes what it did.
//!
//! The chip's fault map must be known, and the codes before they are written. Groups of channels that change
//! places together are decided one after the other, each by the assignment of least cost among places, until
//! none gets better or after [`PASSES`] passes: layers share tensors, and a tensor between channels of one group
//! has no such assignment, so an order is kept only where less damage is left in all. Groups of more than
//! [`CHANNELS_MAX`] channels keep their order. Costs: a memory test and the assignments, once; a read costs nothing.
//! Activations and partial sums are taken to keep their places, so in their memories each fault meets the channel
//! that it would meet without.

use serde::Serialize;
use vmin_accel::Memory;
use vmin_diagnostic::TableReader;

use crate::ProtectionCosts;
use crate::assignment::least_cost;
use crate::mechanism::{Effect, Mechanism, Price, Shape};
use crate::store::{ChannelOrder, Channels, KnownChip, Storage, StoreRule};

/// `kind = "permute_channels"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PermuteChannels {}

/// Channels of a group, at most; larger groups keep their order, since an assignment takes their cube.
const CHANNELS_MAX: usize = 256;

/// Passes over all groups, at most.
const PASSES: u32 = 3;

impl Mechanism for PermuteChannels {
    fn kind(&self) -> &'static str {
        "permute_channels"
    }

    fn describe(&self) -> String {
        "channels in the order of least damage".to_owned()
    }

    fn effect(&self, _: u8) -> Effect {
        Effect::Store(Box::new(*self))
    }

    fn startup(&self) -> Option<String> {
        Some("memory test, assignment per group of channels".to_owned())
    }

    fn price(&self, _: &ProtectionCosts, _: Shape) -> Price {
        Price::default()
    }

    fn refused_in(&self, memory: Memory) -> Option<&'static str> {
        super::values_unknown(memory)
    }
}

pub(super) fn read(_: &TableReader<'_>) -> Option<Box<dyn Mechanism>> {
    Some(Box::new(PermuteChannels {}))
}

impl StoreRule for PermuteChannels {
    fn decide(&self, chip: &KnownChip<'_>, storage: &mut Storage) {
        let mut least = chip.total_harm(storage);
        for _ in 0..PASSES {
            let before = least;
            for channels in chip.channels.iter().filter(|of| of.count <= CHANNELS_MAX) {
                let Some(orders) = best(chip, storage, channels) else { return };
                let others = others(storage, channels);
                let mut changed =
                    Storage { channels: [others, orders].concat(), ..storage.clone() };
                changed.channels.sort_unstable();
                let harm = chip.total_harm(&changed);
                if harm < least {
                    (least, *storage) = (harm, changed);
                }
            }
            if least == before {
                return;
            }
        }
    }
}

/// The orders of all channels but these.
fn others(storage: &Storage, channels: &Channels) -> Vec<ChannelOrder> {
    let other = |of: &&ChannelOrder| !channels.axes.contains(&of.axis);
    storage.channels.iter().filter(other).cloned().collect()
}

/// The best order of some channels while all others stay; none if it was stopped.
fn best(chip: &KnownChip<'_>, storage: &Storage, channels: &Channels) -> Option<Vec<ChannelOrder>> {
    let places = Storage { channels: others(storage, channels), ..storage.clone() };
    let mut costs = vec![vec![0_u64; channels.count]; channels.count];
    for content in &chip.contents {
        for ((tensor, code), mask) in chip.masks(content, &places) {
            if chip.is_stopped() {
                return None;
            }
            for axis in channels.axes.iter().filter(|axis| axis.tensor == tensor) {
                let is_across = |of: &&ChannelOrder| {
                    of.axis != *axis && of.axis.tensor == tensor && channels.axes.contains(&of.axis)
                };
                let across = storage.channels.iter().filter(is_across);
                let code = across.fold(code, |code, of| of.code(code));
                let place = code / axis.stride % channels.count;
                let first = code - place * axis.stride;
                for (channel, costs) in costs.iter_mut().enumerate() {
                    let code = (tensor, first + channel * axis.stride);
                    let harm = u64::try_from(chip.harm(content, code, mask)).unwrap_or(u64::MAX);
                    costs[place] = costs[place].saturating_add(harm);
                }
            }
        }
    }
    let mut order = vec![0; channels.count];
    for (channel, place) in least_cost(&costs).into_iter().enumerate() {
        order[place] = channel;
    }
    Some(channels.axes.iter().map(|&axis| ChannelOrder { axis, order: order.clone() }).collect())
}
