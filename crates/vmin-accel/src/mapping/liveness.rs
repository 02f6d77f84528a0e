//! Which activations stay on the chip between layers.
//!
//! A tensor lives from the layer that writes it to the last layer that reads it. One that stays takes room
//! in the activation memory all that time, and costs no DRAM; one that spills is written to DRAM once and
//! fetched by every reader, through the room that is left. The network's input comes from DRAM and its output
//! goes there; an input that several layers read may stay in between.
//!
//! ```text
//!            layer   0   1   2   3
//!  input             r                   once from DRAM
//!  a = 0(input)      w   r   .   r       stays over 2 for the sum in 3, or is fetched twice
//!  b = 1(a)              w   r
//!  c = 2(b)                  w   r
//! ```
//!
//! The choice is the one with the least bytes from and to DRAM, found by trying, layer after layer, every set
//! of living tensors (of equal ones, the one that keeps less). Beyond 256 sets or 4096 layers, tensors are taken
//! in the order of what a byte of room saves for each layer of its life, as long as they fit. In the same
//! order, the beginnings of tensors that spill fill the room that is left, as far as this saves bytes. Where each
//! lies is found by placing large tensors first; what finds no gap spills.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Problem, candidates};
use crate::cycles::{CycleModel, Residence, Schedule};
use crate::{Accelerator, Flow, Layer, Read, Work};

/// Most sets of tensors that are followed at once.
const SETS_MAX: usize = 256;
/// Most layers for which sets are followed.
const LAYERS_MAX: usize = 4096;
const ACTIVATION_BITS: u64 = 8;

/// Where a tensor lives between its uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// In the activation memory.
    Chip,
    /// In DRAM.
    Dram,
    /// A part here, a part there.
    Both,
}

impl Home {
    const fn of(on_chip: u64, in_dram: u64) -> Option<Self> {
        match (on_chip, in_dram) {
            (0, 0) => None,
            (0, _) => Some(Self::Dram),
            (_, 0) => Some(Self::Chip),
            (_, _) => Some(Self::Both),
        }
    }

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chip => "chip",
            Self::Dram => "DRAM",
            Self::Both => "both",
        }
    }
}

/// One tensor's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TensorHome {
    /// The layer that writes it, or `input`.
    pub name: String,
    /// Its elements, of 8 bits.
    pub bytes: u64,
    /// The layer that writes it; absent for the network's input.
    pub written_by: Option<usize>,
    /// The layers that read it.
    pub read_by: Vec<usize>,
    /// Bytes that stay in the activation memory as long as it lives, from its beginning.
    pub bytes_kept: u64,
    /// The first of them there.
    pub first_byte: Option<u64>,
}

/// A layer's tensors, and the room that is left to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Inputs in DRAM.
    pub fetched: u64,
    /// Inputs found on the chip.
    pub found: u64,
    /// Computed weights found on the chip.
    pub weights_found: u64,
    /// Outputs that stay.
    pub kept: u64,
    /// Outputs that go to DRAM.
    pub written: u64,
    /// Activations that have room while they are fetched.
    pub room: u64,
}

impl Place {
    pub(crate) const fn inputs_from(&self) -> Option<Home> {
        Home::of(self.found, self.fetched)
    }

    pub(crate) const fn outputs_to(&self) -> Option<Home> {
        Home::of(self.kept, self.written)
    }
}

struct Tensor {
    bytes: u64,
    written_by: Option<usize>,
    read_by: Vec<usize>,
    leaves: bool,
}

impl Tensor {
    fn first(&self) -> usize {
        self.written_by.or(self.read_by.first().copied()).unwrap_or(0)
    }

    fn last(&self) -> usize {
        self.read_by.last().copied().or(self.written_by).unwrap_or(0)
    }

    /// Bytes that staying saves, if each reader fetches it once.
    fn saves(&self) -> u64 {
        let reads = self.read_by.len() as u64;
        let times = match (self.written_by, self.leaves) {
            (None, _) => reads.saturating_sub(1),
            (Some(_), true) => reads,
            (Some(_), false) if reads == 0 => 0,
            (Some(_), false) => reads + 1,
        };
        self.bytes.saturating_mul(times)
    }
}

/// The tensors of a network and who reads them.
pub(super) struct Life<'a> {
    layers: &'a [Layer],
    tensors: Vec<Tensor>,
    /// Per layer: tensors read with their elements, and the tensor written.
    reads: Vec<Vec<(usize, u64)>>,
    writes: Vec<Option<usize>>,
    capacity: u64,
}

impl<'a> Life<'a> {
    pub(super) fn of(accelerator: &Accelerator, layers: &'a [Layer]) -> Self {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut writes = vec![None; layers.len()];
        let mut reads: Vec<Vec<(usize, u64)>> = Vec::new();
        let mut input = None;
        for (index, layer) in layers.iter().enumerate() {
            let chain = Flow {
                reads: vec![Read { from: index.checked_sub(1), elements: layer.inputs }],
                leaves: false,
            };
            let flow = layer.flow.as_ref().unwrap_or(&chain);
            let mut read = Vec::new();
            for &Read { from, elements } in &flow.reads {
                let known = match from {
                    Some(from) => writes.get(from).copied().flatten(),
                    None => input,
                };
                let tensor = known.unwrap_or_else(|| {
                    // The network's input, or that of a layer which is not in the list.
                    tensors.push(Tensor {
                        bytes: 0,
                        written_by: None,
                        read_by: Vec::new(),
                        leaves: false,
                    });
                    tensors.len() - 1
                });
                if from.is_none() {
                    input = Some(tensor);
                }
                let life = &mut tensors[tensor];
                life.bytes = life.bytes.max(elements);
                life.read_by.push(index);
                read.push((tensor, elements));
            }
            reads.push(read);
            if layer.outputs > 0 {
                writes[index] = Some(tensors.len());
                tensors.push(Tensor {
                    bytes: layer.outputs,
                    written_by: Some(index),
                    read_by: Vec::new(),
                    leaves: flow.leaves,
                });
            }
        }
        let capacity = accelerator.memories.activation.bits() / ACTIVATION_BITS;
        Self { layers, tensors, reads, writes, capacity }
    }

    /// Bytes that a layer must move however much of its tensors stays.
    pub(super) fn compulsory_bytes(&self, layer: usize) -> u64 {
        let beyond = |bytes: u64| bytes.saturating_sub(self.capacity);
        let read = self.reads[layer].iter().map(|&(tensor, elements)| {
            let life = &self.tensors[tensor];
            let comes_in = life.written_by.is_none() && life.first() == layer;
            if comes_in { elements } else { beyond(elements) }
        });
        let written = self.writes[layer].map_or(0, |tensor| {
            let life = &self.tensors[tensor];
            let goes_out = life.leaves || life.read_by.is_empty();
            if goes_out { life.bytes } else { beyond(life.bytes) }
        });
        read.fold(written, u64::saturating_add)
    }

    /// Bytes that tensors take while each layer runs, of each as many as `kept` says.
    fn taken(&self, kept: &[u64]) -> Vec<u64> {
        let mut taken = vec![0_u64; self.layers.len()];
        for (tensor, &kept) in self.tensors.iter().zip(kept).filter(|(_, kept)| **kept > 0) {
            for taken in &mut taken[tensor.first()..=tensor.last()] {
                *taken = taken.saturating_add(kept);
            }
        }
        taken
    }

    /// What a layer finds beside so many bytes.
    fn place(&self, layer: usize, taken: u64, kept: impl Fn(usize) -> u64) -> Place {
        let mut place = Place {
            fetched: 0,
            found: 0,
            weights_found: 0,
            kept: 0,
            written: 0,
            room: self.capacity.saturating_sub(taken),
        };
        let reads = &self.reads[layer];
        for (index, &(tensor, elements)) in reads.iter().enumerate() {
            let life = &self.tensors[tensor];
            let there = kept(tensor).min(elements);
            if self.layers[layer].computed_weights && index > 0 && index + 1 == reads.len() {
                place.weights_found = there;
            } else if life.written_by.is_some() || life.first() < layer {
                place.found += there;
                place.fetched += elements - there;
            } else {
                place.fetched += elements;
                // What stays of an input is fetched into its own place.
                place.room += there;
            }
        }
        if let Some(written) = self.writes[layer] {
            let life = &self.tensors[written];
            place.kept = kept(written);
            let goes_out = life.leaves || life.read_by.is_empty();
            place.written = life.bytes - if goes_out { 0 } else { place.kept };
        }
        place
    }

    /// All tensors that staying saves anything for, if they have room beside whole inputs.
    fn everything(&self) -> Option<Vec<u64>> {
        let all = |tensor: &Tensor| if tensor.saves() > 0 { tensor.bytes } else { 0 };
        let kept: Vec<u64> = self.tensors.iter().map(all).collect();
        let mut taken = self.taken(&kept).into_iter().enumerate();
        taken
            .all(|(layer, taken)| {
                let fetched = self.place(layer, taken, |tensor| kept[tensor]).fetched;
                taken.saturating_add(fetched) <= self.capacity
            })
            .then_some(kept)
    }

    /// Fills the room that is left with the beginnings of tensors that spill, as far as this saves bytes.
    fn add_parts(&self, kept: &mut [u64], bytes: impl Fn(usize, &Place) -> u64) {
        let mut taken = self.taken(kept);
        for tensor in self.by_worth() {
            let life = self.tensors[tensor].first()..=self.tensors[tensor].last();
            if kept[tensor] > 0 || self.tensors[tensor].written_by.is_none() {
                continue;
            }
            let most = taken[life.clone()].iter().max().copied().unwrap_or(0);
            let room = self.capacity.saturating_sub(most).min(self.tensors[tensor].bytes);
            let cost = |part: u64| {
                life.clone().fold(0_u64, |sum, layer| {
                    let of = |other| if other == tensor { part } else { kept[other] };
                    sum.saturating_add(bytes(layer, &self.place(layer, taken[layer] + part, of)))
                })
            };
            // Some room must be left to the inputs that pass through.
            let part = (1..=6)
                .map(|left| room - (room >> left))
                .chain([0])
                .min_by_key(|&part| (cost(part), part))
                .unwrap_or(0);
            kept[tensor] = part;
            taken[life].iter_mut().for_each(|taken| *taken += part);
        }
    }

    /// The set with the least bytes, or nothing if there are too many to try.
    fn least(&self, bytes: impl Fn(usize, &Place) -> u64) -> Option<Vec<u64>> {
        if self.layers.len() > LAYERS_MAX {
            return None;
        }
        // Living tensors that stay -> bytes so far, bytes kept, and the way there.
        type Way = (u64, u64, Option<usize>);
        let mut sets: BTreeMap<Vec<usize>, Way> = BTreeMap::from([(Vec::new(), (0, 0, None))]);
        // Which tensor was kept, and the way before.
        let mut ways: Vec<(usize, Option<usize>)> = Vec::new();
        let mut born = vec![Vec::new(); self.layers.len()];
        for (index, tensor) in self.tensors.iter().enumerate().filter(|(_, t)| t.saves() > 0) {
            born[tensor.first()].push(index);
        }
        for (layer, born) in born.into_iter().enumerate() {
            for tensor in born {
                let life = &self.tensors[tensor];
                for (set, (cost, kept, way)) in sets.clone() {
                    let taken: u64 = set.iter().map(|&other| self.tensors[other].bytes).sum();
                    if taken.saturating_add(life.bytes) <= self.capacity {
                        ways.push((tensor, way));
                        let more = (cost, kept + life.bytes, Some(ways.len() - 1));
                        sets.insert([&set[..], &[tensor]].concat(), more);
                    }
                }
            }
            let mut next: BTreeMap<Vec<usize>, Way> = BTreeMap::new();
            for (set, (cost, kept, way)) in sets {
                let taken: u64 = set.iter().map(|&other| self.tensors[other].bytes).sum();
                let kept_of = |tensor| {
                    if set.contains(&tensor) { self.tensors[tensor].bytes } else { 0 }
                };
                let place = self.place(layer, taken, kept_of);
                let found = (cost.saturating_add(bytes(layer, &place)), kept, way);
                let living = set.into_iter().filter(|&other| self.tensors[other].last() > layer);
                next.entry(living.collect())
                    .and_modify(|best| {
                        if (found.0, found.1) < (best.0, best.1) {
                            *best = found;
                        }
                    })
                    .or_insert(found);
            }
            if next.len() > SETS_MAX {
                return None;
            }
            sets = next;
        }
        let mut found = vec![0; self.tensors.len()];
        let (_, (_, _, mut way)) =
            sets.into_iter().min_by_key(|(_, (cost, kept, _))| (*cost, *kept))?;
        while let Some(at) = way {
            let tensor = ways[at].0;
            found[tensor] = self.tensors[tensor].bytes;
            way = ways[at].1;
        }
        Some(found)
    }

    /// Tensors that staying saves anything for, in the order of what a byte saves for each layer of its life.
    fn by_worth(&self) -> Vec<usize> {
        let life = |tensor: &Tensor| (tensor.last() - tensor.first() + 1) as u64;
        let worth = |tensor: &Tensor| tensor.saves() as f64 / (tensor.bytes * life(tensor)) as f64;
        let mut order: Vec<usize> =
            (0..self.tensors.len()).filter(|&tensor| self.tensors[tensor].saves() > 0).collect();
        order.sort_by(|&a, &b| worth(&self.tensors[b]).total_cmp(&worth(&self.tensors[a])));
        order
    }

    /// Tensors in that order, as far as they have room.
    fn greedy(&self) -> Vec<u64> {
        let mut free = vec![self.capacity; self.layers.len()];
        let mut kept = vec![0; self.tensors.len()];
        for tensor in self.by_worth() {
            let life = &self.tensors[tensor];
            let free = &mut free[life.first()..=life.last()];
            if free.iter().all(|free| *free >= life.bytes) {
                free.iter_mut().for_each(|free| *free -= life.bytes);
                kept[tensor] = life.bytes;
            }
        }
        kept
    }

    /// The first byte of what stays of each tensor; what finds no gap spills.
    fn addresses(&self, kept: &mut [u64]) -> Vec<Option<u64>> {
        let mut order: Vec<usize> = (0..kept.len()).filter(|&tensor| kept[tensor] > 0).collect();
        order.sort_by_key(|&tensor| core::cmp::Reverse(kept[tensor]));
        let mut found: Vec<Option<u64>> = vec![None; kept.len()];
        // The cells taken while each layer runs.
        let mut cells: Vec<Vec<(u64, u64)>> = vec![Vec::new(); self.layers.len()];
        for tensor in order {
            let own = &self.tensors[tensor];
            let life = own.first()..=own.last();
            let mut beside: Vec<(u64, u64)> = cells[life.clone()].concat();
            beside.sort_unstable();
            let start = beside.iter().fold(0, |start: u64, &(first, end)| {
                if start + kept[tensor] <= first { start } else { start.max(end) }
            });
            let end = start + kept[tensor];
            if end <= self.capacity {
                found[tensor] = Some(start);
                cells[life].iter_mut().for_each(|cells| cells.push((start, end)));
            } else {
                kept[tensor] = 0;
            }
        }
        found
    }

    /// Bytes that stay of each tensor, and where.
    fn residents(
        &self,
        accelerator: &Accelerator,
        schedule: Schedule,
    ) -> (Vec<u64>, Vec<Option<u64>>) {
        let bytes =
            |layer: usize, place: &Place| bytes(accelerator, schedule, &self.layers[layer], place);
        let mut kept = match schedule.activations {
            Residence::Streamed => vec![0; self.tensors.len()],
            Residence::Resident | Residence::Assumed => self.everything().unwrap_or_else(|| {
                let mut kept = self.least(bytes).unwrap_or_else(|| self.greedy());
                self.add_parts(&mut kept, bytes);
                kept
            }),
        };
        let addresses = self.addresses(&mut kept);
        (kept, addresses)
    }
}

/// Least bytes that a layer moves.
fn bytes(accelerator: &Accelerator, schedule: Schedule, layer: &Layer, place: &Place) -> u64 {
    let moved = match layer.work {
        Work::Vector => place.fetched,
        Work::Gemm(shape) => {
            let problem =
                Problem::new(accelerator, schedule, layer, shape, [place.room, place.found]);
            let streams = schedule.weights == Residence::Streamed;
            candidates(&problem, accelerator.mapping.of(&layer.name))
                .into_iter()
                .map(|mapping| {
                    let fetched = problem.fetched(mapping);
                    let bits = fetched.filter.saturating_mul(u64::from(layer.weight_bits));
                    let weights = if streams || layer.computed_weights { bits / 8 } else { 0 };
                    fetched.ifmap.saturating_add(weights)
                })
                .min()
                .unwrap_or(0)
        }
    };
    moved.saturating_add(place.written)
}

/// What each layer finds on the chip.
pub(crate) fn places(
    accelerator: &Accelerator,
    schedule: Schedule,
    layers: &[Layer],
) -> Vec<Place> {
    let life = Life::of(accelerator, layers);
    let (kept, _) = life.residents(accelerator, schedule);
    let taken = life.taken(&kept).into_iter().enumerate();
    taken.map(|(layer, taken)| life.place(layer, taken, |tensor| kept[tensor])).collect()
}

/// Bytes of the network's input and output that each layer fetches and writes.
pub(crate) fn from_outside(accelerator: &Accelerator, layers: &[Layer]) -> Vec<u64> {
    let life = Life { capacity: u64::MAX, ..Life::of(accelerator, layers) };
    (0..layers.len()).map(|layer| life.compulsory_bytes(layer)).collect()
}

/// Every activation tensor of a network, and whether it stays on the chip (causal model only).
#[must_use]
pub fn tensors(accelerator: &Accelerator, schedule: Schedule, layers: &[Layer]) -> Vec<TensorHome> {
    if schedule.cycle_model != CycleModel::Causal {
        return Vec::new();
    }
    let life = Life::of(accelerator, layers);
    let (kept, addresses) = life.residents(accelerator, schedule);
    let name = |tensor: &Tensor| {
        tensor.written_by.map_or_else(|| "input".to_owned(), |layer| layers[layer].name.clone())
    };
    life.tensors
        .iter()
        .zip(kept.into_iter().zip(addresses))
        .map(|(tensor, (bytes_kept, first_byte))| TensorHome {
            name: name(tensor),
            bytes: tensor.bytes,
            written_by: tensor.written_by,
            read_by: tensor.read_by.clone(),
            bytes_kept,
            first_byte,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Layers that read one or two earlier outputs, or the input.
    fn networks() -> impl Strategy<Value = Vec<Layer>> {
        let layer = (1_u64..40, prop::collection::vec(0_usize..4, 1..3), any::<bool>());
        prop::collection::vec(layer, 1..8).prop_map(|layers| {
            let mut network: Vec<Layer> = Vec::new();
            for (index, (outputs, back, leaves)) in layers.into_iter().enumerate() {
                let mut reads: Vec<Read> = Vec::new();
                for back in back {
                    let from = index.checked_sub(back + 1);
                    let elements = from.map_or(17, |from| network[from].outputs);
                    if reads.iter().all(|read| read.from != from) {
                        reads.push(Read { from, elements });
                    }
                }
                let inputs = reads.iter().map(|read| read.elements).sum();
                let flow = Some(Flow { reads, leaves });
                network.push(Layer { flow, ..Layer::vector("x", inputs, outputs) });
            }
            network
        })
    }

    fn cost(life: &Life<'_>, kept: &[u64]) -> Option<u64> {
        let taken = life.taken(kept);
        let fits = taken.iter().all(|taken| *taken <= life.capacity);
        fits.then(|| {
            let of = |(layer, &taken): (usize, &u64)| {
                let place = life.place(layer, taken, |tensor| kept[tensor]);
                place.fetched + place.written
            };
            taken.iter().enumerate().map(of).sum()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn the_set_is_the_least_of_all(layers in networks(), capacity in 0_u64..120) {
            let accelerator = Accelerator::load("gemmini-16").unwrap();
            let life = Life { capacity, ..Life::of(&accelerator, &layers) };
            let moved = |_: usize, place: &Place| place.fetched + place.written;
            let kept = life.least(moved).unwrap();
            let tensors = life.tensors.len();
            let least = (0_u32..1 << tensors)
                .filter_map(|set| {
                    let of = |tensor: usize| match set >> tensor & 1 {
                        0 => 0,
                        _ => life.tensors[tensor].bytes,
                    };
                    cost(&life, &(0..tensors).map(of).collect::<Vec<u64>>())
                })
                .min();
            prop_assert_eq!(cost(&life, &kept), least);
            // What is known at once, what a rule finds and what parts add: never too much, never better or worse.
            if let Some(all) = life.everything() {
                prop_assert_eq!(cost(&life, &all), least);
            }
            prop_assert!(cost(&life, &life.greedy()) >= least);
            let mut parts = kept;
            life.add_parts(&mut parts, moved);
            let with_parts = cost(&life, &parts);
            prop_assert!(with_parts.is_some() && with_parts <= least);
            // Tensors that live together lie apart.
            let addresses = life.addresses(&mut parts);
            for (a, b) in (0..tensors).flat_map(|a| (0..a).map(move |b| (a, b))) {
                let [one, other] = [a, b].map(|tensor| &life.tensors[tensor]);
                let together = one.first() <= other.last() && other.first() <= one.last();
                if let (Some(x), Some(y), true) = (addresses[a], addresses[b], together) {
                    prop_assert!(x + parts[a] <= y || y + parts[b] <= x);
                }
            }
        }
    }
}
