//! Protected weights in every layout against a walk that writes and reads each cell.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::{AddressMap, Interleaving, WeightPlacement};
use vmin_accel::{
    ArraySize, Dataflow, Memory, MemoryAt, PerMemory, ResidentPlacement, StreamedPlacement,
    VoltageProfile,
};
use vmin_emulator::source::{CellSource, Cells, Errors, SampledChips, Site};
use vmin_emulator::{ChipSpec, Deployment, Image, LOAD, Placement, ProtectedError, Supplies};
use vmin_nn::{ChannelGroup, Graph, Op};
use vmin_protection::mechanisms::{
    ClosestCode, InvertRows, Masking, PermuteChannels, RotateBits, SpareLines, StrongestRows,
};
use vmin_protection::store::Storage;
use vmin_protection::words::OnDetected;
use vmin_protection::{MapKind, Mechanism, Protection};
use vmin_quant::Encoding;
use vmin_sram::{Applied, Chip, ChipKey, FaultKind, Geometry, SampleError, Threshold};
use vmin_testkit::random_graph;

use crate::cells::KINDS;
use crate::protected_cells::{Bit, Mechanisms, OnChip, OnRead, Silicon, Toward, place_of};

const WORD_BITS: u64 = 32;
pub(crate) const VDD_MV: f64 = 815.0;

/// What lies in the memory at a time: bits of codes by their place in linear order.
fn contents(placement: &WeightPlacement, graph: &Graph) -> Vec<BTreeMap<u64, Bit>> {
    let bit_of = |tensor: usize, code: usize, bit: u8| {
        let weights = &graph.weights[tensor];
        let run = weights.codes.len() / weights.zero_points.len();
        let (min, max) = (weights.encoding.min(weights.bits), weights.encoding.max(weights.bits));
        let zero = weights.zero_points[code / run].clamp(min, max);
        let zero = weights.encoding.encode(zero, weights.bits).unwrap().into();
        let toward_zero = match weights.encoding {
            Encoding::TwosComplement => Toward::Sign,
            Encoding::OffsetBinary => Toward::NotSign,
            Encoding::SignMagnitude => Toward::Clear,
        };
        Bit { tensor, code, bit, width: weights.bits, zero, toward_zero }
    };
    match placement {
        WeightPlacement::Resident(placement) => {
            let mut held = BTreeMap::new();
            for (number, tensor) in placement.tensors.iter().enumerate() {
                for code in 0..tensor.codes {
                    for bit in 0..tensor.bits {
                        let place = tensor.first_bit + code * u64::from(tensor.bits);
                        let code = usize::try_from(code).unwrap();
                        let of = bit_of(number, code, bit);
                        let before = held.insert(place + u64::from(bit), of);
                        assert_eq!(before, None);
                    }
                }
            }
            vec![held]
        }
        WeightPlacement::Streamed(placement) => {
            let mut all = Vec::new();
            for (number, tensor) in placement.tensors.iter().enumerate() {
                for load in &tensor.loads {
                    let mut held = BTreeMap::new();
                    for place in 0..load.codes {
                        for bit in 0..tensor.bits {
                            let cell = load.first_bit + (place as u64) * u64::from(tensor.bits);
                            let code = tensor.order[load.first + place];
                            held.insert(cell + u64::from(bit), bit_of(number, code, bit));
                        }
                    }
                    all.push(held);
                }
            }
            all
        }
    }
}

/// The same with each channel at its place.
fn in_order(contents: Vec<BTreeMap<u64, Bit>>, storage: &Storage) -> Vec<BTreeMap<u64, Bit>> {
    let moved = |mut bit: Bit| {
        for of in storage.channels.iter().filter(|of| of.axis.tensor == bit.tensor) {
            let (stride, count) = (of.axis.stride, of.order.len());
            let (outer, inner) = (bit.code / (stride * count), bit.code % stride);
            let place = bit.code % (stride * count) / stride;
            bit.code = (outer * count + of.order[place]) * stride + inner;
        }
        bit
    };
    let of = |held: BTreeMap<u64, Bit>| held.into_iter().map(|(at, bit)| (at, moved(bit)));
    contents.into_iter().map(|held| of(held).collect()).collect()
}

/// The network with its channels in the order in which they are stored.
fn permuted(graph: &Graph, storage: &Storage) -> Graph {
    let order = |group: &ChannelGroup| {
        let tensor = |node: usize| graph.nodes[node].op.product().unwrap().weights.0;
        let of = storage.channels.iter().find(|of| {
            let row = graph.weights[of.axis.tensor].codes.len() / group.channels;
            let rows = || group.producers.iter().map(|&node| (tensor(node), row));
            let columns = group.consumers.iter().map(|&node| (tensor(node), 1));
            of.order.len() == group.channels
                && rows().chain(columns).any(|axis| axis == (of.axis.tensor, of.axis.stride))
        });
        of.map_or_else(|| (0..group.channels).collect(), |of| of.order.clone())
    };
    let orders: Vec<Vec<usize>> = graph.channel_groups().iter().map(order).collect();
    graph.permuted(&orders).unwrap()
}

/// The weights as the chip gives them back, cell by cell.
pub(crate) fn walk(
    graph: &Graph,
    placement: &WeightPlacement,
    chip: OnChip<'_>,
    storage: &Storage,
) -> (Vec<Vec<u8>>, Applied) {
    let mut codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
    let mut applied = Applied::default();
    let layers: Vec<usize> = graph
        .layers()
        .iter()
        .filter_map(|layer| {
            let Op::Conv2d(conv) = &graph.nodes[layer.node].op else { return None };
            Some(conv.weights.0)
        })
        .collect();
    let raised = chip.mechanisms.layer.map(|(layer, _)| layers[layer - 1]);
    let contents = in_order(contents(placement, graph), storage);
    let geometry = placement.geometry();
    let bank = |bit: &u64| geometry.position(chip.layout.cell(*bit)).unwrap().bank;
    let used: BTreeSet<u32> = contents.iter().flat_map(|held| held.keys().map(bank)).collect();
    for (number, content) in (0..).zip(contents) {
        let at = |bit: u64| content.get(&bit).copied();
        let mut holding = chip.holding(&at, &|tensor| raised == Some(tensor), &used);
        if !chip.mechanisms.store.is_empty() {
            let first = |position: u64| {
                let held = at(chip.layout.bit_at(position))?;
                Some((position - u64::from(held.bit), held.width))
            };
            holding.laid(storage, number, chip.layout, &first);
        }
        let mut stored: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
        for &(tensor, code, value) in storage.codes(number) {
            stored[tensor][code] = u8::try_from(value).unwrap();
        }
        let written = |position: u64| {
            let bit = at(chip.layout.bit_at(position))?;
            Some((bit, stored[bit.tensor][bit.code] >> bit.bit & 1 == 1))
        };
        for (Bit { tensor, code, bit, .. }, value) in holding.read(0..geometry.cells(), &written) {
            let byte: &mut u8 = &mut codes[tensor][code];
            *byte = *byte & !(1 << bit) | u8::from(value) << bit;
        }
        applied += holding.applied;
    }
    let pairs = codes.iter().zip(&graph.weights);
    let flips = pairs.flat_map(|(read, w)| read.iter().zip(&w.codes));
    applied.bits_flipped = flips.map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
    (codes, applied)
}

/// What each cell of the memory holds, bit by bit.
fn images_bit_by_bit(
    graph: &Graph,
    placement: &WeightPlacement,
    layout: &AddressMap,
    storage: &Storage,
) -> Vec<Image> {
    let geometry = placement.geometry();
    let columns = u64::from(geometry.columns());
    let of = |(number, content): (u32, BTreeMap<u64, Bit>)| {
        let at = |bit: u64| content.get(&bit).copied();
        let first = |position: u64| {
            let held = at(layout.bit_at(position))?;
            Some((position - u64::from(held.bit), held.width))
        };
        let mut rows: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for (&bit, of) in &content {
            let place = place_of(storage, layout, &first, layout.position(layout.cell(bit)));
            let place = place.expect("every bit has a cell");
            let mut code = graph.weights[of.tensor].codes[of.code];
            for &(tensor, index, written) in storage.codes(number) {
                if (tensor, index) == (of.tensor, of.code) {
                    code = u8::try_from(written).unwrap();
                }
            }
            let cell = layout.cell(layout.bit_at(place));
            let row = rows.entry(cell / columns).or_insert_with(|| {
                // Cells without a bit hold zeros, or ones where the row is inverted.
                let inverted = storage.is_inverted(number, place / columns);
                vec![if inverted { 0xff } else { 0 }; usize::try_from(columns / 8).unwrap()]
            });
            let byte = &mut row[usize::try_from(cell % columns / 8).unwrap()];
            *byte ^= (code >> of.bit & 1) << (cell % columns % 8);
        }
        let tensors: BTreeSet<usize> = content.values().map(|of| of.tensor).collect();
        Image { content: number, tensors: tensors.into_iter().collect(), rows }
    };
    (0..).zip(in_order(contents(placement, graph), storage)).map(of).collect()
}

fn layouts(geometry: Geometry, maps: &Chip, bits: u8) -> Vec<AddressMap> {
    let mut layouts = Vec::new();
    for (rows, columns) in [(false, false), (true, false), (false, true), (true, true)] {
        for offset in [0, 40, geometry.cells() - 8] {
            let interleaving = Interleaving { rows, columns };
            let map = AddressMap::new(geometry, WORD_BITS, interleaving, offset).unwrap();
            layouts.push(map);
        }
    }
    // Columns chosen for the chip; codes begin at multiples of their width.
    let plain = AddressMap::linear(geometry);
    layouts.push(plain.with_reliable_columns(bits, maps.cells()).unwrap());
    layouts
}

/// All ways of storing bits.
pub(crate) fn all_of_them() -> Vec<Arc<dyn Mechanism>> {
    vec![
        Arc::new(StrongestRows::default()),
        Arc::new(PermuteChannels {}),
        Arc::new(RotateBits {}),
        Arc::new(InvertRows {}),
        Arc::new(ClosestCode {}),
    ]
}

fn protections() -> Vec<Mechanisms> {
    let secded = |on_detected| OnRead::Secded(32, on_detected);
    let none = Mechanisms::default;
    vec![
        none(),
        Mechanisms { boost_mv: Some(5.0), words: secded(OnDetected::Keep), ..none() },
        Mechanisms { words: secded(OnDetected::Zero), ..none() },
        Mechanisms { words: OnRead::Parity(Some(16)), ..none() },
        Mechanisms { safe_bits: Some((2, 12.0)), ..none() },
        Mechanisms { layer: Some((1, 12.0)), words: secded(OnDetected::Zero), ..none() },
        Mechanisms { banks: Some((0.3, 12.0)), words: OnRead::Detecting(Masking::Bits), ..none() },
        Mechanisms { spares: Some(SpareLines { rows: 1, columns: 2 }), ..none() },
        Mechanisms { store: vec![Arc::new(InvertRows {})], ..none() },
        Mechanisms { store: vec![Arc::new(StrongestRows::default())], ..none() },
        Mechanisms {
            store: vec![Arc::new(StrongestRows { ways: Some(2), ..StrongestRows::default() })],
            ..none()
        },
        Mechanisms { store: vec![Arc::new(PermuteChannels {})], ..none() },
        Mechanisms { store: vec![Arc::new(RotateBits {})], ..none() },
        Mechanisms { store: vec![Arc::new(ClosestCode {})], safe_bits: Some((1, 8.0)), ..none() },
        Mechanisms {
            store: all_of_them(),
            spares: Some(SpareLines { rows: 1, columns: 0 }),
            ..none()
        },
        Mechanisms { store: all_of_them(), words: secded(OnDetected::Zero), ..none() },
        Mechanisms { store: all_of_them(), words: OnRead::Detecting(Masking::Bits), ..none() },
        Mechanisms {
            safe_bits: Some((1, 8.0)),
            banks: Some((0.5, 9.0)),
            spares: Some(SpareLines { rows: 2, columns: 0 }),
            words: OnRead::Detecting(Masking::Code),
            ..none()
        },
    ]
}

/// A graph whose weights fit words of codes: all of eight bits.
pub(crate) fn graph(seeds: &mut std::ops::RangeFrom<u64>) -> Graph {
    loop {
        let graph = random_graph(seeds.next().expect("endless"));
        if graph.weights.iter().all(|weights| weights.bits == 8) && !graph.layers().is_empty() {
            return graph;
        }
    }
}

pub(crate) fn source(profile: &VoltageProfile, kind: FaultKind) -> SampledChips {
    SampledChips { population: profile.population().clone(), seed: 3, kind }
}

pub(crate) fn chip(number: u32) -> ChipSpec {
    ChipSpec { chip: number, offset_bits: 0, layout: 0, map_offset: 0 }
}

/// The supplies of one memory, the others making no errors.
pub(crate) fn supplies(
    protection: &Protection,
    memory: Memory,
    vdd_mv: f64,
    at: &dyn Fn(f64) -> MemoryAt,
) -> Supplies {
    let Ok(at) = protection.at(memory, vdd_mv, |mv, _| Ok::<_, Infallible>(at(mv)));
    let mut supplies = Supplies::default();
    *supplies.get_mut(memory) = Some(at);
    supplies
}

fn placed(weights: &WeightPlacement, layout: &AddressMap, word_bits: u64) -> Placement {
    Placement {
        layouts: vec![layout.clone()],
        word_bits: PerMemory::from_fn(|_| word_bits),
        ..Placement::of_weights(weights.clone())
    }
}

/// The codes of a chip on the fast and on the slow way.
fn both(
    graph: &Graph,
    weights: &WeightPlacement,
    layout: &AddressMap,
    mechanisms: &Mechanisms,
    source: &SampledChips,
    number: u32,
) -> [(Vec<Vec<u8>>, Applied); 2] {
    let profile = VoltageProfile::load("sram14").unwrap();
    let at = |mv| MemoryAt::new(mv, profile.cell_fault_rate(mv));
    let protection = mechanisms.protection(Memory::Weight);
    let placement = placed(weights, layout, WORD_BITS);
    let deployment = Deployment::new(graph, &placement, &protection)
        .unwrap_or_else(|error| panic!("{protection:?}: {error}"));
    let supplies = supplies(&protection, Memory::Weight, VDD_MV, &at);
    let open = deployment.open(source, chip(number), &[&supplies], None).unwrap();
    let fast = open.weights(&supplies, LOAD);
    let storages = open.storages(&supplies, &AtomicBool::new(false)).unwrap();
    let images = open.images(&supplies);
    let cells = images_bit_by_bit(graph, weights, layout, &storages.weight);
    assert_eq!(images, cells, "{mechanisms:?} {layout:?}");
    if let [only] = &mechanisms.store[..]
        && only.kind() == "permute_channels"
    {
        let permuted = permuted(graph, &storages.weight);
        let plain = images_bit_by_bit(&permuted, weights, layout, &Storage::default());
        assert_eq!(
            images, plain,
            "{layout:?}: the memory holds the network with channels permuted"
        );
    }
    // What is written is read back, through the same faulty cells.
    let mut tables = storages.clone();
    tables.weight.contents.values_mut().for_each(|written| written.codes.clear());
    let again = deployment.open(source, chip(number), &[&supplies], None).unwrap();
    let again = again.with_images(&supplies, &images, tables).unwrap();
    assert_eq!(again.weights(&supplies, LOAD).codes, fast.codes, "{mechanisms:?} {layout:?}");
    let slow = OnChip {
        silicon: source as &dyn Silicon,
        at: &at,
        chip: number,
        offset_bits: 0,
        memory: Memory::Weight,
        mechanisms,
        layout,
        first_cells: [0, 0],
        vdd_mv: VDD_MV,
        code_bits: 8,
        lasting: weights.resident().is_some(),
        read: LOAD,
    };
    [(fast.codes, fast.applied), walk(graph, weights, slow, &storages.weight)]
}

#[test]
fn every_layout_reads_what_its_cells_say() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let mut seeds = 100..;
    let (mut changed, mut streams) = (0, 0);
    for round in 0..4 {
        let graph = graph(&mut seeds);
        let sizes = || graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
        let bits: u64 = sizes().map(|(codes, bits)| codes * u64::from(bits)).sum();
        let rows = u32::try_from(bits.div_ceil(64 * 3)).unwrap() + 1;
        let resident: WeightPlacement =
            ResidentPlacement::in_memory(Geometry::new(3, rows, 64).unwrap(), sizes())
                .unwrap()
                .into();
        // The same with gaps between the layers.
        let mut next = 16;
        let first_bits: Vec<u64> = sizes()
            .map(|(codes, bits)| {
                let first = next;
                next += codes * u64::from(bits) + 24;
                first
            })
            .collect();
        let physical = Geometry::new(3, rows, 64).unwrap();
        let apart: WeightPlacement =
            ResidentPlacement::at(physical, &first_bits, sizes()).unwrap().into();
        let array = ArraySize::new(4, 4).unwrap();
        let small = Geometry::new(2, 4, 64).unwrap();
        let streamed = StreamedPlacement::in_memory(small, array, Dataflow::default(), &graph);
        let streamed = streamed.ok().map(WeightPlacement::from);
        streams += usize::from(streamed.is_some());
        for placement in [Some(resident), Some(apart), streamed].into_iter().flatten() {
            let geometry = placement.geometry();
            let key = ChipKey { seed: 3, chip: round, memory: 0 };
            let floor = profile.threshold(VDD_MV);
            let data = Chip::sample(profile.population(), key, geometry, floor).unwrap();
            for (number, layout) in layouts(geometry, &data, 8).into_iter().enumerate() {
                let list = protections();
                // Each layout with three of them, in turn: a walk is slow.
                for chosen in [3 * number, 3 * number + 1, 3 * number + 2] {
                    let mechanisms = &list[chosen % list.len()];
                    for kind in KINDS {
                        let source = source(&profile, kind);
                        let number = u32::try_from(round).unwrap();
                        let [fast, slow] =
                            both(&graph, &placement, &layout, mechanisms, &source, number);
                        assert_eq!(fast, slow, "{mechanisms:?} {layout:?}");
                        let pairs = slow.0.iter().zip(&graph.weights);
                        let flips: u32 = pairs
                            .flat_map(|(read, w)| read.iter().zip(&w.codes))
                            .map(|(a, b)| (a ^ b).count_ones())
                            .sum();
                        assert_eq!(fast.1.bits_flipped, u64::from(flips));
                        changed += flips;
                    }
                }
            }
        }
    }
    assert!(changed > 1000 && streams > 0, "{changed} flips, {streams} streams: no test");
}

#[test]
fn a_code_is_a_word_wherever_it_lies() {
    // Streamed codes have their check bits beside the cells that they pass through.
    let profile = VoltageProfile::load("sram14").unwrap();
    let mut seeds = 200..;
    let (mut streams, mut hit) = (0, 0);
    while streams < 8 {
        let graph = graph(&mut seeds);
        let array = ArraySize::new(4, 4).unwrap();
        let small = Geometry::new(2, 8, 64).unwrap();
        let Ok(streamed) =
            StreamedPlacement::in_memory(small, array, Dataflow::named("os").unwrap(), &graph)
        else {
            continue;
        };
        streams += 1;
        let weights = WeightPlacement::from(streamed);
        let mechanisms = Mechanisms { words: OnRead::Parity(None), ..Mechanisms::default() };
        let layout = AddressMap::linear(small);
        let placement = placed(&weights, &layout, WORD_BITS);
        let protection = mechanisms.protection(Memory::Weight);
        let deployment = Deployment::new(&graph, &placement, &protection).unwrap();
        let room = small.cells() / 8;
        assert_eq!(deployment.extra_cells(), room, "as many check bits as codes find room");
        let source = source(&profile, FaultKind::StuckAt);
        let [fast, slow] = both(&graph, &weights, &layout, &mechanisms, &source, streams);
        assert_eq!(fast, slow);
        hit += fast.1.cells_hit;
    }
    assert!(hit > 10, "no errors, no test");
}

/// Chips whose check bits and spare lines have no faulty cells.
#[derive(Debug)]
struct SoundSpares(SampledChips);

struct Sound;

impl CellSource for SoundSpares {
    fn cells(&self, site: Site, floor: Threshold) -> Result<Box<dyn Cells + '_>, SampleError> {
        if site.region < 0x100 { self.0.cells(site, floor) } else { Ok(Box::new(Sound)) }
    }

    fn seed(&self) -> u64 {
        self.0.seed()
    }

    fn identity(&self, chip: u32) -> serde_json::Value {
        self.0.identity(chip)
    }

    fn map_kind(&self) -> MapKind {
        self.0.map_kind()
    }
}

impl Cells for Sound {
    fn errors(&self, _: &MemoryAt) -> Errors<'_> {
        Errors::Always(Cow::Borrowed(&[]), FaultKind::Flip)
    }
}

#[test]
fn spares_replace_lines_of_the_chip_in_every_layout() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let at = |mv| MemoryAt::new(mv, profile.cell_fault_rate(mv));
    let graph = graph(&mut (300..));
    let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let geometry = Geometry::new(2, 64, 64).unwrap();
    let weights = WeightPlacement::from(ResidentPlacement::in_memory(geometry, sizes).unwrap());
    let geometry = weights.geometry();
    let source = SoundSpares(source(&profile, FaultKind::Flip));
    let key = ChipKey { seed: 3, chip: 1, memory: 0 };
    let data = Chip::sample(profile.population(), key, geometry, profile.threshold(VDD_MV));
    let data = data.unwrap();
    assert!(!data.cells().is_empty());
    // As many spares as rows, tested where they are used.
    let lines = vmin_protection::mechanisms::Spares { rows: 64, columns: 0, repair_vdd_mv: VDD_MV };
    let spares = Protection::of_weights([std::sync::Arc::new(lines) as _]).unwrap();
    for layout in layouts(geometry, &data, 8) {
        let placement = placed(&weights, &layout, WORD_BITS);
        let flips = |protection: &Protection| {
            let deployment = Deployment::new(&graph, &placement, protection).unwrap();
            let supplies = supplies(protection, Memory::Weight, VDD_MV, &at);
            let open = deployment.open(&source, chip(1), &[&supplies], None).unwrap();
            let repaired = open.repaired();
            (open.weights(&supplies, LOAD).applied.bits_flipped, repaired)
        };
        let faults = data.cells().len() as u64;
        assert_eq!(flips(&spares), (0, Some((faults, 0))), "as many spares as rows");
        let (flipped, repaired) = flips(&Protection::default());
        assert!(flipped > 0 && repaired.is_none());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = graph(&mut (300..));
    let array = ArraySize::new(1, 1).unwrap();
    let odd = Geometry::new(1, 3, 64).unwrap();
    let streamed = StreamedPlacement::in_memory(odd, array, Dataflow::default(), &graph).unwrap();
    let weights = WeightPlacement::from(streamed);
    let refused = |words: OnRead, layer: Option<usize>, memory: Memory, word_bits: u64| {
        let layer = layer.map(|layer| (layer, 1.0));
        let mechanisms = Mechanisms { words, layer, ..Mechanisms::default() };
        let sums =
            vmin_accel::placement::SumPlacement::in_memory(odd, array, Dataflow::default(), &graph);
        let placement = Placement {
            sums: Some(sums.unwrap()),
            ..placed(&weights, &AddressMap::linear(odd), word_bits)
        };
        Deployment::new(&graph, &placement, &mechanisms.protection(memory)).err()
    };
    let secded = |bits| OnRead::Secded(bits, OnDetected::Keep);
    let half = ProtectedError::Half { data_bits: 64, half_bits: 96 };
    assert_eq!(refused(secded(64), None, Memory::Weight, 64), Some(half));
    let word = ProtectedError::Word { data_bits: 48, columns: 64, word_bits: 48 };
    assert_eq!(refused(secded(48), None, Memory::Weight, 48), Some(word));
    let word = ProtectedError::Word { data_bits: 32, columns: 64, word_bits: 16 };
    assert_eq!(refused(secded(32), None, Memory::Weight, 16), Some(word));
    let sum = ProtectedError::Sum { data_bits: 64 };
    assert_eq!(refused(secded(64), None, Memory::Accumulator, 64), Some(sum));
    let layers = graph.weights.len();
    for memory in [Memory::Weight, Memory::Accumulator] {
        assert_eq!(refused(OnRead::Plain, Some(layers), memory, 64), None);
        let none = ProtectedError::Layer { layer: layers + 1, layers };
        assert_eq!(refused(OnRead::Plain, Some(layers + 1), memory, 64), Some(none));
        assert_eq!(refused(OnRead::Detecting(Masking::Bits), None, memory, 64), None);
        assert_eq!(refused(OnRead::Parity(None), None, memory, 64), None);
    }
}
