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
//! in the order of what a byte of room saves for each layer of its life, as long as they fit. Where each
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// In the activation memory.
    Chip,
    /// In DRAM.
    Dram,
    /// Some of the layer's inputs here, some there.
    Both,
}

impl Home {
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TensorHome {
    /// The layer that writes it, or `input`.
    pub name: String,
    /// Its elements, of 8 bits.
    pub bytes: u64,
    /// The layer that writes it; absent for the network's input.
    pub written_by: Option<usize>,
    /// The layers that read it.
    pub read_by: Vec<usize>,
    /// Whether it stays in the activation memory as long as it lives.
    pub stays: bool,
    /// Its first byte there.
    pub first_byte: Option<u64>,
}

/// A layer's tensors, and the room that is left to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Inputs fetched from DRAM, each once.
    pub fetched: u64,
    /// Inputs found on the chip.
    pub found: u64,
    /// Computed weights found on the chip.
    pub weights_found: u64,
    /// Whether the output stays.
    pub keeps: bool,
    /// Whether the output goes to DRAM.
    pub writes: bool,
    /// Activations that have room while they are fetched.
    pub room: u64,
}

impl Place {
    /// Room for a layer's inputs: those found on the chip need none.
    pub(crate) const fn input_room(&self) -> u64 {
        if self.fetched > 0 { self.room } else { u64::MAX }
    }

    pub(crate) const fn inputs_from(&self) -> Home {
        match (self.found, self.fetched) {
            (0, _) => Home::Dram,
            (_, 0) => Home::Chip,
            (_, _) => Home::Both,
        }
    }

    pub(crate) const fn outputs_to(&self) -> Home {
        match (self.keeps, self.writes) {
            (true, true) => Home::Both,
            (true, false) => Home::Chip,
            (false, _) => Home::Dram,
        }
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

    /// Bytes that the tensors of `stays` take while each layer runs.
    fn taken(&self, stays: &[bool]) -> Vec<u64> {
        let mut taken = vec![0_u64; self.layers.len()];
        for (tensor, _) in self.tensors.iter().zip(stays).filter(|(_, stays)| **stays) {
            for taken in &mut taken[tensor.first()..=tensor.last()] {
                *taken = taken.saturating_add(tensor.bytes);
            }
        }
        taken
    }

    /// What each layer finds if the tensors of `stays` stay.
    fn places(&self, stays: &[bool]) -> Vec<Place> {
        let taken = self.taken(stays).into_iter().enumerate();
        taken.map(|(layer, taken)| self.place(layer, taken, |tensor| stays[tensor])).collect()
    }

    fn place(&self, layer: usize, taken: u64, stays: impl Fn(usize) -> bool) -> Place {
        let mut place = Place {
            fetched: 0,
            found: 0,
            weights_found: 0,
            keeps: false,
            writes: false,
            room: self.capacity.saturating_sub(taken),
        };
        let reads = &self.reads[layer];
        for (index, &(tensor, elements)) in reads.iter().enumerate() {
            let life = &self.tensors[tensor];
            let there = stays(tensor);
            if self.layers[layer].computed_weights && index > 0 && index + 1 == reads.len() {
                place.weights_found = if there { elements } else { 0 };
            } else if there && (life.written_by.is_some() || life.first() < layer) {
                place.found += elements;
            } else {
                place.fetched += elements;
                // An input that stays is fetched into its own place.
                place.room += if there { life.bytes } else { 0 };
            }
        }
        if let Some(written) = self.writes[layer] {
            let life = &self.tensors[written];
            place.keeps = stays(written);
            place.writes = !place.keeps || life.leaves || life.read_by.is_empty();
        }
        place
    }

    /// All tensors that staying saves anything for, if they have room beside whole inputs.
    fn everything(&self) -> Option<Vec<bool>> {
        let stays: Vec<bool> = self.tensors.iter().map(|tensor| tensor.saves() > 0).collect();
        let taken = self.taken(&stays);
        let mut places = taken.iter().zip(self.places(&stays));
        places
            .all(|(taken, place)| taken.saturating_add(place.fetched) <= self.capacity)
            .then_some(stays)
    }

    /// The set with the least bytes, or nothing if there are too many to try.
    fn least(&self, bytes: impl Fn(usize, &Place) -> u64) -> Option<Vec<bool>> {
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
                let place = self.place(layer, taken, |tensor| set.contains(&tensor));
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
        let mut stays = vec![false; self.tensors.len()];
        let (_, (_, _, mut way)) = sets.into_iter().min_by_key(|(_, (cost, kept, _))| (*cost, *kept))?;
        while let Some(at) = way {
            stays[ways[at].0] = true;
            way = ways[at].1;
        }
        Some(stays)
    }

    /// Tensors in the order of what a byte saves for each layer of its life, as far as they have room.
    fn greedy(&self) -> Vec<bool> {
        let life = |tensor: &Tensor| (tensor.last() - tensor.first() + 1) as u64;
        let worth = |tensor: &Tensor| tensor.saves() as f64 / (tensor.bytes * life(tensor)) as f64;
        let mut order: Vec<usize> =
            (0..self.tensors.len()).filter(|&tensor| self.tensors[tensor].saves() > 0).collect();
        order.sort_by(|&a, &b| worth(&self.tensors[b]).total_cmp(&worth(&self.tensors[a])));
        let mut free = vec![self.capacity; self.layers.len()];
        let mut stays = vec![false; self.tensors.len()];
        for tensor in order {
            let life = &self.tensors[tensor];
            let free = &mut free[life.first()..=life.last()];
            if free.iter().all(|free| *free >= life.bytes) {
                free.iter_mut().for_each(|free| *free -= life.bytes);
                stays[tensor] = true;
            }
        }
        stays
    }

    /// The first byte of each tensor that stays; what finds no gap does not.
    fn addresses(&self, stays: &[bool]) -> Vec<Option<u64>> {
        let mut order: Vec<usize> = (0..stays.len()).filter(|&tensor| stays[tensor]).collect();
        order.sort_by_key(|&tensor| core::cmp::Reverse(self.tensors[tensor].bytes));
        let mut found: Vec<Option<u64>> = vec![None; stays.len()];
        // The cells taken while each layer runs.
        let mut cells: Vec<Vec<(u64, u64)>> = vec![Vec::new(); self.layers.len()];
        for tensor in order {
            let own = &self.tensors[tensor];
            let life = own.first()..=own.last();
            let mut beside: Vec<(u64, u64)> = cells[life.clone()].concat();
            beside.sort_unstable();
            let start = beside.iter().fold(0, |start: u64, &(first, end)| {
                if start + own.bytes <= first { start } else { start.max(end) }
            });
            if start + own.bytes <= self.capacity {
                found[tensor] = Some(start);
                let own = (start, start + own.bytes);
                cells[life].iter_mut().for_each(|cells| cells.push(own));
            }
        }
        found
    }

    fn addresses_of(&self, accelerator: &Accelerator, schedule: Schedule) -> Vec<Option<u64>> {
        let stays = match schedule.activations {
            Residence::Streamed => vec![false; self.tensors.len()],
            Residence::Resident | Residence::Assumed => self
                .everything()
                .or_else(|| self.least(|layer, place| {
                    bytes(accelerator, schedule, &self.layers[layer], place)
                }))
                .unwrap_or_else(|| self.greedy()),
        };
        self.addresses(&stays)
    }
}

/// Least bytes that a layer moves.
fn bytes(accelerator: &Accelerator, schedule: Schedule, layer: &Layer, place: &Place) -> u64 {
    let written = if place.writes { layer.outputs } else { 0 };
    let moved = match layer.work {
        Work::Vector => place.fetched,
        Work::Gemm(shape) => {
            let problem = Problem::new(accelerator, schedule, layer, shape, place.input_room());
            let streams = schedule.weights == Residence::Streamed;
            candidates(&problem, accelerator.mapping.of(&layer.name))
                .into_iter()
                .map(|mapping| {
                    let fetched = problem.fetched(mapping);
                    let inputs = if place.fetched > 0 { fetched.ifmap } else { 0 };
                    let bits = fetched.filter.saturating_mul(u64::from(layer.weight_bits));
                    let weights = if streams || layer.computed_weights { bits / 8 } else { 0 };
                    inputs.saturating_add(weights)
                })
                .min()
                .unwrap_or(0)
        }
    };
    moved.saturating_add(written)
}

/// What each layer finds on the chip.
pub(crate) fn places(
    accelerator: &Accelerator,
    schedule: Schedule,
    layers: &[Layer],
) -> Vec<Place> {
    let life = Life::of(accelerator, layers);
    let addresses = life.addresses_of(accelerator, schedule);
    let stays: Vec<bool> = addresses.iter().map(Option::is_some).collect();
    life.places(&stays)
}

/// Every activation tensor of a network, and whether it stays on the chip (causal model only).
#[must_use]
pub fn tensors(accelerator: &Accelerator, schedule: Schedule, layers: &[Layer]) -> Vec<TensorHome> {
    if schedule.cycle_model != CycleModel::Causal {
        return Vec::new();
    }
    let life = Life::of(accelerator, layers);
    let addresses = life.addresses_of(accelerator, schedule);
    let name = |tensor: &Tensor| {
        tensor.written_by.map_or_else(|| "input".to_owned(), |layer| layers[layer].name.clone())
    };
    life.tensors
        .iter()
        .zip(addresses)
        .map(|(tensor, first_byte)| TensorHome {
            name: name(tensor),
            bytes: tensor.bytes,
            written_by: tensor.written_by,
            read_by: tensor.read_by.clone(),
            stays: first_byte.is_some(),
            first_byte,
        })
        .collect()
}
