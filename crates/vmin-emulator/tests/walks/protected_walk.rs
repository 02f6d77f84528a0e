//! Protected memories in every layout against a walk that writes and reads each cell.

use std::collections::BTreeMap;

use vmin_accel::placement::{AddressMap, Interleaving, WeightPlacement};
use vmin_accel::protection::{Mechanism, Protection, Supply};
use vmin_accel::{ArraySize, Dataflow, ResidentPlacement, StreamedPlacement, VoltageProfile};
use vmin_emulator::{ChipMaps, ProtectedError, ProtectedMemory};
use vmin_nn::{Graph, Op};
use vmin_sram::protection::{Masking, OnDetected, Parity, Secded, Verdict, WordCode};
use vmin_sram::{Chip, ChipKey, FaultKind, Geometry, Threshold};
use vmin_testkit::random_graph;

const WORD_BITS: u64 = 32;
const VDD_MV: f64 = 815.0;

/// A bit of a code: (tensor, code, bit).
type Bit = (usize, usize, u8);

/// What lies in the memory at a time: bits of codes by their place in linear order.
fn contents(placement: &WeightPlacement) -> Vec<BTreeMap<u64, Bit>> {
    match placement {
        WeightPlacement::Resident(placement) => {
            let mut held = BTreeMap::new();
            for (number, tensor) in placement.tensors.iter().enumerate() {
                for code in 0..tensor.codes {
                    for bit in 0..tensor.bits {
                        let place = tensor.first_bit + code * u64::from(tensor.bits);
                        let code = usize::try_from(code).unwrap();
                        let before = held.insert(place + u64::from(bit), (number, code, bit));
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
                            held.insert(cell + u64::from(bit), (number, code, bit));
                        }
                    }
                    all.push(held);
                }
            }
            all
        }
    }
}

/// The code over words, if there is one, with what becomes of words that it cannot mend.
fn code(protection: &Protection, graph: &Graph) -> Option<(Box<dyn WordCode>, OnDetected)> {
    protection.mechanisms().iter().find_map(|mechanism| match mechanism {
        Mechanism::Parity { data_bits } => {
            let bits = data_bits.unwrap_or_else(|| graph.weights[0].bits.into());
            let parity: Box<dyn WordCode> = Box::new(Parity::new(bits).unwrap());
            Some((parity, OnDetected::Zero))
        }
        Mechanism::Secded { data_bits, on_detected } => {
            let secded: Box<dyn WordCode> = Box::new(Secded::new(*data_bits).unwrap());
            Some((secded, *on_detected))
        }
        _ => None,
    })
}

/// The rail of a cell that holds a bit.
fn rail(protection: &Protection, graph: &Graph, held: Option<Bit>) -> f64 {
    let layers: Vec<usize> = graph
        .layers()
        .iter()
        .filter_map(|layer| match &graph.nodes[layer.node].op {
            Op::Conv2d(conv) => Some(conv.weights.0),
            _ => None,
        })
        .collect();
    let mut mv = protection.base_mv(VDD_MV);
    for mechanism in protection.mechanisms() {
        match (mechanism, held) {
            (Mechanism::SafeBits { bits, supply }, Some((tensor, _, bit)))
                if bit + bits >= graph.weights[tensor].bits =>
            {
                mv = mv.max(supply.at(VDD_MV));
            }
            (Mechanism::LayerRail { layers: raised, supply }, Some((tensor, ..)))
                if raised.iter().any(|&layer| layers[layer - 1] == tensor) =>
            {
                mv = mv.max(supply.at(VDD_MV));
            }
            _ => {}
        }
    }
    mv
}

/// What a cell that is read gives.
fn through(chip: &Chip, cell: u64, threshold: Threshold, kind: FaultKind, stored: bool) -> bool {
    let fault = chip.cells().iter().find(|fault| fault.address == cell);
    match fault.filter(|fault| threshold.is_faulty(fault.score)) {
        None => stored,
        Some(fault) => match kind {
            FaultKind::Flip => !stored,
            FaultKind::StuckAt => fault.preferred,
        },
    }
}

fn walk(
    graph: &Graph,
    placement: &WeightPlacement,
    protection: &Protection,
    maps: &ChipMaps,
    profile: &VoltageProfile,
    kind: FaultKind,
) -> Vec<Vec<u8>> {
    let mut codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
    let geometry = maps.layout.geometry();
    let written = |(tensor, code, bit): Bit| graph.weights[tensor].codes[code] >> bit & 1 == 1;
    let zero = |(tensor, code, bit): Bit| {
        let weights = &graph.weights[tensor];
        let run = weights.codes.len() / weights.zero_points.len();
        let zero = weights.zero_points[code / run];
        weights.encoding.encode(zero, weights.bits).unwrap() >> bit & 1 == 1
    };
    let threshold = |held| profile.threshold(rail(protection, graph, held));
    for held in contents(placement) {
        // Every position of the memory, whether it holds a bit or not.
        let at = |position: u64| held.get(&maps.layout.bit_at(position)).copied();
        let cells: BTreeMap<u64, u64> =
            (0..geometry.cells()).map(|cell| (maps.layout.position(cell), cell)).collect();
        let stored = |position: u64| at(position).is_some_and(written);
        let read = |position: u64| {
            let held = at(position);
            through(&maps.data, cells[&position], threshold(held), kind, stored(position))
        };
        let mut set = |(tensor, code, bit): Bit, value: bool| {
            let byte: &mut u8 = &mut codes[tensor][code];
            *byte = *byte & !(1 << bit) | u8::from(value) << bit;
        };
        let Some((code, on_detected)) = code(protection, graph) else {
            for position in 0..geometry.cells() {
                if let Some(bit) = at(position) {
                    set(bit, read(position));
                }
            }
            continue;
        };
        let (k, r) = (u64::from(code.data_bits()), u64::from(code.check_bits()));
        let check = maps.check.as_ref().unwrap();
        let beside = maps.layout.beside(check.geometry());
        for word in 0..geometry.cells() / k {
            let positions = || (0..k).map(|bit| (bit, word * k + bit));
            let gather = |of: &dyn Fn(u64) -> bool| {
                positions().fold(0_u128, |data, (bit, p)| data | u128::from(of(p)) << bit)
            };
            let (data, as_read) = (gather(&stored), gather(&read));
            let check_stored = code.encode(data);
            let of_word = threshold(at(word * k));
            let check_read = (0..r).fold(0_u16, |bits, i| {
                let stored = check_stored >> i & 1 == 1;
                let cell = beside.cell(word * r + i);
                bits | u16::from(through(check, cell, of_word, kind, stored)) << i
            });
            let decoded = code.decode(as_read, check_read);
            for (bit, position) in positions() {
                let Some(held) = at(position) else { continue };
                let lost = decoded.verdict == Verdict::Detected && on_detected == OnDetected::Zero;
                set(held, if lost { zero(held) } else { decoded.data >> bit & 1 == 1 });
            }
        }
    }
    codes
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

fn protections() -> Vec<Vec<Mechanism>> {
    let secded = |on_detected| Mechanism::Secded { data_bits: 32, on_detected };
    let raised = Supply::RaisedByMv(12.0);
    vec![
        vec![],
        vec![Mechanism::Boost { raise_mv: 5.0 }, secded(OnDetected::Keep)],
        vec![secded(OnDetected::Zero)],
        vec![Mechanism::Parity { data_bits: Some(16) }],
        vec![Mechanism::SafeBits { bits: 2, supply: raised }],
        vec![Mechanism::LayerRail { layers: vec![1], supply: raised }, secded(OnDetected::Zero)],
    ]
}

/// A graph whose weights fit words of codes: all of eight bits.
fn graph(seeds: &mut std::ops::RangeFrom<u64>) -> Graph {
    loop {
        let graph = random_graph(seeds.next().expect("endless"));
        if graph.weights.iter().all(|weights| weights.bits == 8) && !graph.layers().is_empty() {
            return graph;
        }
    }
}

fn sampled(geometry: Geometry, memory: u32, chip: u64, profile: &VoltageProfile) -> Chip {
    let key = ChipKey { seed: 3, chip, memory };
    let floor = profile.threshold(VDD_MV);
    Chip::sample(profile.population(), key, geometry, floor).unwrap()
}

#[test]
fn every_layout_reads_what_its_cells_say() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let mut seeds = 100..;
    let (mut changed, mut streams) = (0, 0);
    for round in 0..4_u64 {
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
        let streamed = StreamedPlacement::in_memory(small, array, Dataflow::Ws, &graph);
        let streamed = streamed.ok().map(WeightPlacement::from);
        streams += usize::from(streamed.is_some());
        for placement in [Some(resident), Some(apart), streamed].into_iter().flatten() {
            let geometry = placement.geometry();
            let data = sampled(geometry, 0, round, &profile);
            for (number, layout) in layouts(geometry, &data, 8).into_iter().enumerate() {
                let list = protections();
                // Each layout with two of them, in turn: a walk is slow.
                let chosen = [(number * 2) % list.len(), (number * 2 + 1) % list.len()];
                for mechanisms in chosen.map(|index| list[index].clone()) {
                    let protection = Protection::new(mechanisms).unwrap();
                    let memory =
                        ProtectedMemory::new(&graph, &placement, protection.clone(), WORD_BITS)
                            .unwrap_or_else(|error| panic!("{protection:?}: {error}"));
                    let maps = ChipMaps {
                        data: sampled(geometry, 0, round, &profile),
                        check: memory
                            .shape()
                            .check
                            .map(|geometry| sampled(geometry, 7, round, &profile)),
                        spare_rows: None,
                        spare_columns: None,
                        layout: layout.clone(),
                    };
                    for kind in [FaultKind::Flip, FaultKind::StuckAt] {
                        let fast = memory.read(&maps, None, &profile, VDD_MV, kind);
                        let slow = walk(&graph, &placement, &protection, &maps, &profile, kind);
                        assert_eq!(fast.codes, slow, "{protection:?} {layout:?}");
                        let pairs = slow.iter().zip(&graph.weights);
                        let flips: u32 = pairs
                            .flat_map(|(read, w)| read.iter().zip(&w.codes))
                            .map(|(a, b)| (a ^ b).count_ones())
                            .sum();
                        assert_eq!(fast.done.bits_flipped, u64::from(flips));
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
    let (mut streams, mut detected) = (0, 0);
    while streams < 8 {
        let graph = graph(&mut seeds);
        let array = ArraySize::new(4, 4).unwrap();
        let small = Geometry::new(2, 8, 64).unwrap();
        let Ok(placed) = StreamedPlacement::in_memory(small, array, Dataflow::Os, &graph) else {
            continue;
        };
        streams += 1;
        let placement = WeightPlacement::from(placed);
        let protection = Protection::new(vec![Mechanism::Parity { data_bits: None }]).unwrap();
        let memory =
            ProtectedMemory::new(&graph, &placement, protection.clone(), WORD_BITS).unwrap();
        let check = memory.shape().check.expect("a bit per code");
        assert_eq!(check.cells(), small.cells() / 8, "as many as codes find room");
        let maps = ChipMaps {
            data: sampled(small, 0, streams, &profile),
            check: Some(sampled(check, 7, streams, &profile)),
            spare_rows: None,
            spare_columns: None,
            layout: AddressMap::linear(small),
        };
        let kind = FaultKind::StuckAt;
        let fast = memory.read(&maps, None, &profile, VDD_MV, kind);
        assert_eq!(fast.codes, walk(&graph, &placement, &protection, &maps, &profile, kind));
        detected += fast.done.words_detected;
    }
    assert!(detected > 10, "no errors, no test");
}

#[test]
fn spares_replace_lines_of_the_chip_in_every_layout() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let graph = graph(&mut (300..));
    let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
    let geometry = Geometry::new(2, 64, 64).unwrap();
    let placement = WeightPlacement::from(ResidentPlacement::in_memory(geometry, sizes).unwrap());
    let geometry = placement.geometry();
    let spares = Mechanism::Spares { rows: 64, columns: 0, repair_vdd_mv: VDD_MV };
    let memory =
        ProtectedMemory::new(&graph, &placement, Protection::new(vec![spares]).unwrap(), WORD_BITS)
            .unwrap();
    let data = sampled(geometry, 0, 1, &profile);
    assert!(!data.cells().is_empty());
    let bits = 8;
    for layout in layouts(geometry, &data, bits) {
        let maps = ChipMaps {
            data: sampled(geometry, 0, 1, &profile),
            check: None,
            // Spares without a fault.
            spare_rows: None,
            spare_columns: None,
            layout,
        };
        let repair = memory.repair(&maps, &profile);
        let read = memory.read(&maps, repair.as_ref(), &profile, VDD_MV, FaultKind::Flip);
        assert_eq!(read.done.bits_flipped, 0, "as many spares as rows");
        let unrepaired = memory.read(&maps, None, &profile, VDD_MV, FaultKind::Flip);
        assert!(unrepaired.done.bits_flipped > 0);
    }
}

#[test]
fn words_must_divide_the_halves_of_a_stream() {
    let graph = graph(&mut (300..));
    let array = ArraySize::new(1, 1).unwrap();
    let odd = Geometry::new(1, 3, 64).unwrap();
    let placed = StreamedPlacement::in_memory(odd, array, Dataflow::Ws, &graph).unwrap();
    let placement = WeightPlacement::from(placed);
    let secded = Mechanism::Secded { data_bits: 64, on_detected: OnDetected::Keep };
    let refused =
        ProtectedMemory::new(&graph, &placement, Protection::new(vec![secded]).unwrap(), 64);
    assert_eq!(refused.map(|_| ()), Err(ProtectedError::Half { data_bits: 64, half_bits: 96 }));
    let reads = Mechanism::DetectingRead { masking: Masking::Bits };
    assert!(
        ProtectedMemory::new(&graph, &placement, Protection::new(vec![reads]).unwrap(), 64).is_ok()
    );
}
