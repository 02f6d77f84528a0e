//! Protected activations and partial sums against memories whose every word is written and read.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::{
    ActivationPlacement, AddressMap, SUM_BITS, SumPlacement, WeightPlacement,
};
use vmin_accel::{
    ArraySize, Dataflow, Memory, MemoryAt, PerMemory, ResidentPlacement, VoltageProfile,
};
use vmin_emulator::source::{CellSource, Measured, MeasuredChip};
use vmin_emulator::{
    Changes, ChipSpec, Confidence, Deployment, Emulator, Images, LOAD, Placement, Reads, Supplies,
    TrialSpec,
};
use vmin_nn::{Executor, Graph, Op};
use vmin_protection::Protection;
use vmin_protection::mechanisms::{Masking, RotateBits, SpareLines, StrongestRows};
use vmin_protection::words::OnDetected;
use vmin_sram::{
    Applied, CellEffect, CellErrors, ErrorRates, FaultKind, FaultyCell, Geometry, Score,
};
use vmin_testkit::{Lcg, random_graph};

use crate::cells::{KINDS, Sums, walk_sums};
use crate::protected_cells::{Bit, Holding, Mechanisms, OnChip, OnRead, Silicon, TEST_MV, Toward};
use crate::protected_walk::{VDD_MV, source, walk};

pub(crate) const IMAGES: usize = 3;

/// A random network in memories of random shapes.
pub(crate) struct Setting {
    pub(crate) graph: Graph,
    pub(crate) placement: Placement,
    array: [usize; 2],
    dataflow: Dataflow,
    pixels: Vec<u8>,
}

impl Setting {
    pub(crate) fn new(seed: u64) -> Self {
        let graph = random_graph(seed);
        let mut rng = Lcg(seed.wrapping_mul(101));
        let array = [rng.pick(1..=9), rng.pick(1..=9)];
        let size = ArraySize::new(array[0] as u64, array[1] as u64).unwrap();
        let (_, dataflow) = Dataflow::ALL[rng.pick(0..=2)];
        let mut geometry =
            || Geometry::new(rng.pick(1..=3) as u32, rng.pick(1..=24) as u32, 64).unwrap();
        let activations = ActivationPlacement::new(geometry(), &graph);
        let sums = SumPlacement::in_memory(geometry(), size, dataflow, &graph).unwrap();
        let sizes = graph.weights.iter().map(|w| (w.codes.len() as u64, w.bits));
        let bits: u64 = sizes.clone().map(|(codes, bits)| codes * u64::from(bits)).sum();
        let rows = u32::try_from(bits.div_ceil(64)).unwrap();
        let weights = Geometry::new(1, rows, 64).unwrap();
        let weights = WeightPlacement::from(ResidentPlacement::in_memory(weights, sizes).unwrap());
        let cells = [weights.geometry().cells(), activations.geometry.cells()];
        let placement = Placement {
            first_cells: PerMemory {
                weight: 0,
                activation: cells[0],
                accumulator: cells[0] + cells[1],
            },
            first_extra_cell: cells[0] + cells[1] + sums.geometry.cells(),
            spared_input: (rng.pick(0..=1) == 1).then_some(graph.input),
            biases_in_memory: rng.pick(0..=1) == 1,
            word_bits: PerMemory::from_fn(|_| 64),
            activations: Some(activations),
            sums: Some(sums),
            ..Placement::of_weights(weights)
        };
        let elements = graph.tensors[graph.input.0].elements();
        let pixels = rng.codes(IMAGES * elements).into_iter().map(i8::cast_unsigned).collect();
        Self { graph, placement, array, dataflow, pixels }
    }

    pub(crate) fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(crate) fn emulator(&self) -> Emulator<'_> {
        let images = Images { pixels: &self.pixels, labels: &[0; IMAGES] };
        Emulator::new(&self.graph, images, vmin_kernels::best()).unwrap()
    }
}

/// The mechanisms of each memory that errs.
pub(crate) type Of = PerMemory<Option<Mechanisms>>;

pub(crate) fn protection(of: &Of) -> Protection {
    let list = of.present().flat_map(|(memory, mechanisms)| {
        mechanisms.list().into_iter().map(move |mechanism| (memory, mechanism))
    });
    Protection::new(list).expect("they go together")
}

pub(crate) fn supplies(
    of: &Of,
    protection: &Protection,
    vdd_mv: f64,
    at: &dyn Fn(f64) -> MemoryAt,
) -> Supplies {
    PerMemory::from_fn(|memory| {
        of.get(memory).as_ref()?;
        let Ok(at) = protection.at(memory, vdd_mv, |mv, _| Ok::<_, Infallible>(at(mv)));
        Some(at)
    })
}

/// Predictions and counts of the emulator.
pub(crate) fn fast(
    setting: &Setting,
    of: &Of,
    source: &dyn CellSource,
    at: &dyn Fn(f64) -> MemoryAt,
    spec: ChipSpec,
    reads: Reads,
) -> (Vec<usize>, PerMemory<Applied>) {
    let protection = protection(of);
    let deployment = Deployment::new(&setting.graph, &setting.placement, &protection)
        .unwrap_or_else(|error| panic!("{protection:?}: {error}"));
    let supplies = supplies(of, &protection, VDD_MV, at);
    let open = deployment.open(source, spec, &[&supplies], None).unwrap();
    let trial = TrialSpec { supplies: &supplies, reads, first_image: 7 };
    let emulator = setting.emulator();
    let stop = AtomicBool::new(false);
    let clean = emulator.predict_clean(&stop).unwrap();
    let found = open.predict(trial, &emulator, &clean, &stop).unwrap();
    // Confidences change neither classes nor counts.
    let emulator = emulator.reading(Confidence::of_network(&setting.graph));
    let clean = emulator.predict_clean(&stop).unwrap();
    let (predictions, applied) = open.predict(trial, &emulator, &clean, &stop).unwrap();
    let classes = predictions.iter().map(|prediction| prediction.class).collect();
    assert_eq!((classes, applied), found);
    // Nor do changes, which have every bit that was counted.
    let emulator = emulator.reading(Changes::of_network(&setting.graph));
    let clean = emulator.predict_clean(&stop).unwrap();
    let (changes, applied) = open.predict(trial, &emulator, &clean, &stop).unwrap();
    let changed: u64 = changes.iter().flat_map(|of| &of.tensors).map(|change| change.bits).sum();
    assert_eq!((changed, applied), (found.1.activation.bits_flipped, found.1));
    found
}

/// The pieces of a tensor of activations, one for each time it comes round.
fn pieces(setting: &Setting, tensor: usize) -> Vec<BTreeMap<u64, Bit>> {
    let placement = setting.placement.activations.as_ref().unwrap();
    let of = &setting.graph.tensors[tensor];
    let zero = u32::from((of.quantization.zero_point as i8).cast_unsigned());
    let cells = placement.geometry.cells();
    let mut pieces: Vec<BTreeMap<u64, Bit>> = Vec::new();
    for code in 0..of.elements() {
        for bit in 0..8 {
            let place = placement.tensors[tensor].first_bit + code as u64 * 8 + u64::from(bit);
            let piece = usize::try_from(place / cells).unwrap();
            pieces.resize(pieces.len().max(piece + 1), BTreeMap::new());
            let held = Bit { tensor, code, bit, width: 8, zero, toward_zero: Toward::Sign };
            pieces[piece].insert(place % cells, held);
        }
    }
    pieces
}

/// A memory of partial sums of one node.
struct ProtectedSums {
    holding: Holding,
    stored: Vec<Option<i32>>,
    node: usize,
}

fn sum_bit(node: usize, position: u64) -> Bit {
    let code = usize::try_from(position / SUM_BITS).unwrap();
    let bit = (position % SUM_BITS) as u8;
    Bit { tensor: node, code, bit, width: 32, zero: 0, toward_zero: Toward::Sign }
}

impl Sums for ProtectedSums {
    fn words(&self) -> usize {
        self.stored.len()
    }

    fn put(&mut self, word: usize, sum: i32) {
        self.stored[word] = Some(sum);
    }

    fn get(&mut self, word: usize) -> i32 {
        let stored = self.stored[word].expect("written before it is read");
        let first = word as u64 * SUM_BITS;
        let held = |position: u64| {
            Some((sum_bit(self.node, position), stored >> (position - first) & 1 == 1))
        };
        let read = self.holding.read(first..first + SUM_BITS, &held);
        read.iter().fold(0, |sum, (bit, value)| sum | i32::from(*value) << bit.bit)
    }
}

/// Predictions and counts of a walk over every cell.
fn slow<S: CellSource + Silicon>(
    setting: &Setting,
    of: &Of,
    source: &S,
    at: &dyn Fn(f64) -> MemoryAt,
    spec: ChipSpec,
    reads: Reads,
) -> (Vec<usize>, PerMemory<Applied>) {
    let Setting { graph, placement, .. } = setting;
    let activations = placement.activations.as_ref().unwrap();
    let sums = placement.sums.as_ref().unwrap();
    // How bits are stored is decided elsewhere; here they are laid so, one by one.
    let together = protection(of);
    let deployment = Deployment::new(graph, placement, &together).unwrap();
    let at_all = supplies(of, &together, VDD_MV, at);
    let open = deployment.open(source, spec, &[&at_all], None).unwrap();
    let storages = open.storages(&at_all, &AtomicBool::new(false)).unwrap();
    let layouts = PerMemory {
        weight: placement.layouts[0].clone(),
        activation: AddressMap::linear(activations.geometry),
        accumulator: AddressMap::linear(sums.geometry),
    };
    let mut first_extra = spec.map_offset + placement.first_extra_cell;
    let first_cells = PerMemory::from_fn(|memory| {
        let first = [spec.map_offset + placement.first_cells.get(memory), first_extra];
        if let Some(mechanisms) = of.get(memory) {
            let protection = mechanisms.protection(memory);
            first_extra += Deployment::new(graph, placement, &protection).unwrap().extra_cells();
        }
        first
    });
    let on_chip = |memory: Memory, read: u64| {
        Some(OnChip {
            silicon: source,
            at,
            chip: spec.chip,
            offset_bits: spec.offset_bits,
            memory,
            mechanisms: of.get(memory).as_ref()?,
            layout: layouts.get(memory),
            first_cells: *first_cells.get(memory),
            vdd_mv: VDD_MV,
            code_bits: *PerMemory { weight: graph.weights[0].bits, activation: 8, accumulator: 32 }
                .get(memory),
            lasting: memory == Memory::Weight,
            read,
        })
    };
    let layers: Vec<usize> = (0..graph.nodes.len())
        .filter(|&node| matches!(graph.nodes[node].op, Op::Conv2d(_)))
        .collect();
    let all_pieces: Vec<_> = (0..graph.tensors.len()).map(|t| pieces(setting, t)).collect();
    let bank = |cell: &u64| activations.geometry.position(*cell).unwrap().bank;
    let used: BTreeSet<u32> =
        all_pieces.iter().flatten().flat_map(|piece| piece.keys().map(bank)).collect();
    let sum_banks: BTreeSet<u32> = (0..sums.geometry.banks()).collect();
    let executor = Executor::new(graph, vmin_kernels::best());
    let mut applied = PerMemory::<Applied>::default();
    let mut predictions = Vec::new();
    let elements = graph.tensors[graph.input.0].elements();
    for (index, image) in (0..).zip(setting.pixels.chunks(elements)) {
        let read = match reads {
            Reads::Once => LOAD,
            Reads::EveryImage => 7 + index,
        };
        let of_weights = on_chip(Memory::Weight, read);
        let codes = of_weights.map(|chip| walk(graph, &placement.weights, chip, &storages.weight));
        let (codes, of_weights) = codes.unwrap_or_else(|| {
            let written = graph.weights.iter().map(|weights| weights.codes.clone()).collect();
            (written, Applied::default())
        });
        if index == 0 || reads == Reads::EveryImage {
            applied.weight += of_weights;
        }
        let weights = executor.load_weights(&codes);
        let mut with_codes = graph.clone();
        for (weights, codes) in with_codes.weights.iter_mut().zip(codes) {
            weights.codes = codes;
        }
        let PerMemory { activation: of_activations, accumulator: of_sums, .. } = &mut applied;
        let class = executor.classify_watched(
            &weights,
            image,
            &mut executor.scratch(),
            |node, tensors, out| {
                let Some(chip) = on_chip(Memory::Accumulator, read) else { return };
                if sums.layers[node].is_none() {
                    return;
                }
                let raised = chip.mechanisms.layer.map(|(layer, _)| layers[layer - 1]);
                let content = |position| Some(sum_bit(node, position));
                let mut holding = chip.holding(&content, &|of| raised == Some(of), &sum_banks);
                if !chip.mechanisms.store.is_empty() {
                    let first = |position| Some((position / SUM_BITS * SUM_BITS, 32));
                    holding.laid(&storages.accumulator, 0, &layouts.accumulator, &first);
                }
                let words = usize::try_from(sums.geometry.cells() / SUM_BITS).unwrap();
                let mut memory = ProtectedSums { holding, stored: vec![None; words], node };
                let x = &tensors[graph.nodes[node].inputs[0].0];
                let (read, _) = walk_sums(
                    &with_codes,
                    node,
                    x,
                    &mut memory,
                    setting.array,
                    setting.dataflow,
                    placement.biases_in_memory,
                );
                out.copy_from_slice(&read);
                *of_sums += memory.holding.applied;
            },
            |id, tensor| {
                let Some(chip) = on_chip(Memory::Activation, read) else { return };
                let placed = activations.tensors[id.0];
                if placed.owner != id.0 || placement.spared_input == Some(id) {
                    return;
                }
                let raised = |of: usize| {
                    let layer = chip.mechanisms.layer.map(|(layer, _)| layers[layer - 1]);
                    layer.is_some_and(|node| {
                        let mut inputs = graph.nodes[node].inputs.iter();
                        inputs.any(|input| activations.tensors[input.0].owner == of)
                    })
                };
                for piece in &all_pieces[id.0] {
                    let at = |position: u64| piece.get(&position).copied();
                    let mut holding = chip.holding(&at, &raised, &used);
                    if !chip.mechanisms.store.is_empty() {
                        let first = |position| Some((position - u64::from(at(position)?.bit), 8));
                        holding.laid(&storages.activation, 0, &layouts.activation, &first);
                    }
                    let before = tensor.to_vec();
                    let written = |position: u64| {
                        let bit = at(position)?;
                        Some((bit, before[bit.code] >> bit.bit & 1 == 1))
                    };
                    for (bit, value) in holding.read(0..activations.geometry.cells(), &written) {
                        let code = &mut tensor[bit.code];
                        *code = *code & !(1 << bit.bit) | i8::from(value) << bit.bit;
                    }
                    *of_activations += holding.applied;
                }
            },
        );
        predictions.push(class);
    }
    (predictions, applied)
}

/// Protections of a memory that takes words of up to `word` data bits.
fn protections(word: u32) -> Vec<Mechanisms> {
    let none = Mechanisms::default;
    let lines = |rows, columns| Some(SpareLines { rows, columns });
    vec![
        none(),
        Mechanisms { words: OnRead::Secded(word, OnDetected::Keep), ..none() },
        Mechanisms { words: OnRead::Secded(word, OnDetected::Zero), ..none() },
        Mechanisms { words: OnRead::Secded(16, OnDetected::Keep), boost_mv: Some(5.0), ..none() },
        Mechanisms { words: OnRead::Parity(None), ..none() },
        Mechanisms { words: OnRead::Parity(Some(4)), layer: Some((1, 12.0)), ..none() },
        Mechanisms { safe_bits: Some((4, 12.0)), ..none() },
        Mechanisms { safe_bits: Some((1, 5.0)), layer: Some((1, 12.0)), ..none() },
        Mechanisms { layer: Some((1, 8.0)), ..none() },
        Mechanisms { banks: Some((0.4, 8.0)), ..none() },
        Mechanisms { spares: lines(1, 2), ..none() },
        Mechanisms { spares: lines(2, 0), words: OnRead::Secded(word, OnDetected::Zero), ..none() },
        Mechanisms {
            banks: Some((0.4, 12.0)),
            spares: lines(1, 1),
            words: OnRead::Parity(None),
            ..none()
        },
        Mechanisms { words: OnRead::Detecting(Masking::Code), ..none() },
        Mechanisms { store: vec![Arc::new(StrongestRows::default())], ..none() },
        Mechanisms { store: vec![Arc::new(RotateBits {})], ..none() },
        Mechanisms {
            store: vec![
                Arc::new(StrongestRows { ways: Some(4), ..StrongestRows::default() }),
                Arc::new(RotateBits {}),
            ],
            spares: lines(1, 1),
            words: OnRead::Secded(word, OnDetected::Zero),
            ..none()
        },
        Mechanisms {
            safe_bits: Some((2, 5.0)),
            spares: lines(1, 0),
            words: OnRead::Detecting(Masking::Bits),
            ..none()
        },
    ]
}

/// The protections of a memory, in turn.
fn chosen(memory: Memory, number: usize) -> Mechanisms {
    let all = protections(match memory {
        Memory::Weight | Memory::Activation => 64,
        Memory::Accumulator => 32,
    });
    all[number % all.len()].clone()
}

fn of(memories: &[Memory], number: usize) -> Of {
    PerMemory::from_fn(|memory| memories.contains(&memory).then(|| chosen(memory, number)))
}

/// A memory with more faults than any of use: a few per word.
pub(crate) fn many(mv: f64) -> MemoryAt {
    MemoryAt::new(mv, 0.03 * (-(mv - VDD_MV) / 10.0).exp())
}

#[test]
fn protected_activations_are_those_of_the_walk() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let (mut wrapped, mut flipped) = (0, 0);
    for seed in 0..90 {
        let setting = Setting::new(seed);
        let of = of(&[Memory::Activation], usize::try_from(seed).unwrap());
        let spec = ChipSpec { chip: 1, offset_bits: 5, layout: 0, map_offset: 0 };
        for kind in KINDS {
            let source = source(&profile, kind);
            let found = fast(&setting, &of, &source, &many, spec, Reads::Once);
            let expected = slow(&setting, &of, &source, &many, spec, Reads::Once);
            assert_eq!(found, expected, "seed {seed} {of:?} {kind:?}");
            flipped += found.1.activation.bits_flipped;
        }
        let tensors = &setting.placement.activations.unwrap().tensors;
        wrapped += tensors.iter().filter(|tensor| tensor.wraps).count();
    }
    assert!(wrapped > 20 && flipped > 10_000, "{wrapped} tensors wrap, {flipped} bits change");
}

#[test]
fn protected_sums_are_those_of_the_walk() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let (mut folds, mut flipped) = (0, 0);
    for seed in 0..90 {
        let setting = Setting::new(seed);
        let of = of(&[Memory::Accumulator], usize::try_from(seed).unwrap());
        let spec = ChipSpec { chip: 2, offset_bits: 2, layout: 0, map_offset: 0 };
        for kind in KINDS {
            let source = source(&profile, kind);
            let found = fast(&setting, &of, &source, &many, spec, Reads::Once);
            let expected = slow(&setting, &of, &source, &many, spec, Reads::Once);
            assert_eq!(found, expected, "seed {seed} {of:?} {kind:?}");
            flipped += found.1.accumulator.bits_flipped;
        }
        let layers = &setting.placement.sums.unwrap().layers;
        folds += layers.iter().flatten().filter(|layer| layer.folds > 1).count();
    }
    assert!(folds > 30 && flipped > 10_000, "{folds} layers with folds, {flipped} bits change");
}

#[test]
fn all_memories_of_a_chip_with_read_noise_are_those_of_the_walk() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let at = |mv: f64| MemoryAt {
        noise: Some(profile.read_noise(mv, 6.0)),
        ..MemoryAt::new(mv, profile.cell_fault_rate(mv))
    };
    let mut flipped = [0; 3];
    for seed in 0..45 {
        let setting = Setting::new(seed);
        let memories = Memory::ALL.map(|(_, memory)| memory);
        let mut of = of(&memories, usize::try_from(seed).unwrap());
        // Words that are codes need weights of one width.
        if let Some(Mechanisms { words: words @ OnRead::Parity(None), .. }) = &mut of.weight {
            *words = OnRead::Parity(Some(8));
        }
        let spec = ChipSpec { chip: 4, offset_bits: 9, layout: 0, map_offset: 0 };
        for reads in [Reads::Once, Reads::EveryImage] {
            let kind = KINDS[usize::try_from(seed % 2).unwrap()];
            let source = source(&profile, kind);
            let found = fast(&setting, &of, &source, &at, spec, reads);
            let expected = slow(&setting, &of, &source, &at, spec, reads);
            assert_eq!(found, expected, "seed {seed} {of:?} {kind:?} {reads:?}");
            let PerMemory { weight, activation, accumulator } = found.1;
            for (sum, of) in flipped.iter_mut().zip([weight, activation, accumulator]) {
                *sum += of.bits_flipped;
            }
        }
    }
    assert!(flipped.iter().all(|&count| count > 100), "{flipped:?}");
}

/// A measured chip whose cells err as often as a random number says, at every supply that may be asked for.
pub(crate) fn measured(seed: u64, kind: Option<FaultKind>) -> Measured {
    let mut rng = Lcg(seed);
    let supplies =
        [VDD_MV, TEST_MV].into_iter().flat_map(|mv| [0.0, 5.0, 8.0, 12.0].map(|by| mv + by));
    let cells = 3001;
    let mut errors = BTreeMap::new();
    for mv in supplies {
        let mut known = Vec::new();
        for address in 0..cells {
            if rng.pick(1..=20) > 1 {
                continue;
            }
            let shares = [0.0, 0.25, 0.5, 0.75, 1.0];
            let [p01, p10] = [0; 2].map(|_: i32| shares[rng.pick(0..=4)]);
            let rates = ErrorRates { p01, p10 };
            if p01.max(p10) > 0.0 {
                let cell = FaultyCell { address, score: Score(0), preferred: rates.preferred() };
                known.push(CellErrors { cell, rates });
            }
        }
        errors.insert(MemoryAt::new(mv, 0.0).vdd_uv(), known);
    }
    let chip = MeasuredChip { sha256: "0123456789abcdef0".into(), cells, errors };
    let empty = MeasuredChip { sha256: String::new(), cells: 10, errors: BTreeMap::new() };
    Measured { chips: vec![empty, chip], seed, kind }
}

#[test]
fn all_memories_of_a_measured_chip_are_those_of_the_walk() {
    let mut flipped = [0; 3];
    for seed in 0..45 {
        let setting = Setting::new(seed);
        let memories = Memory::ALL.map(|(_, memory)| memory);
        let mut of = of(&memories, usize::try_from(seed + 7).unwrap());
        if let Some(Mechanisms { words: words @ OnRead::Parity(None), .. }) = &mut of.weight {
            *words = OnRead::Parity(Some(8));
        }
        let spec = ChipSpec { chip: 1, offset_bits: 3, layout: 0, map_offset: 17 * seed };
        let kind = [None, Some(FaultKind::Flip), Some(FaultKind::StuckAt)];
        let kind = kind[usize::try_from(seed % 3).unwrap()];
        let source = measured(seed, kind);
        for reads in [Reads::Once, Reads::EveryImage] {
            let found = fast(&setting, &of, &source, &many, spec, reads);
            let expected = slow(&setting, &of, &source, &many, spec, reads);
            assert_eq!(found, expected, "seed {seed} {of:?} {kind:?} {reads:?}");
            let PerMemory { weight, activation, accumulator } = found.1;
            for (sum, of) in flipped.iter_mut().zip([weight, activation, accumulator]) {
                *sum += of.bits_flipped;
            }
        }
    }
    assert!(flipped.iter().all(|&count| count > 1000), "{flipped:?}");
}

#[test]
fn a_test_knows_what_errs_at_half_of_the_reads() {
    use vmin_emulator::source::Errors;
    let cell = |address, p01, p10| {
        let rates = ErrorRates { p01, p10 };
        let cell = FaultyCell { address, score: Score(0), preferred: rates.preferred() };
        CellErrors { cell, rates }
    };
    let sometimes = Errors::Sometimes(vec![
        cell(0, 0.49, 0.49),
        cell(1, 0.5, 0.5),
        cell(2, 1.0, 0.6),
        cell(3, 0.5, 0.0),
        cell(4, 0.2, 0.9),
        cell(5, 0.0, 0.49),
    ]);
    let effects: Vec<(u64, CellEffect)> =
        sometimes.map().iter().map(|fault| (fault.address, fault.effect)).collect();
    let expected = [
        (1, CellEffect::Inverts),
        (2, CellEffect::Inverts),
        (3, CellEffect::Holds(true)),
        (4, CellEffect::Holds(false)),
    ];
    assert_eq!(effects, expected);
    let cells: Vec<FaultyCell> = (0..4)
        .map(|address| FaultyCell { address, score: Score(0), preferred: address % 2 == 1 })
        .collect();
    for kind in KINDS {
        let found = Errors::Always(cells[..].into(), kind).map();
        let effects: Vec<CellEffect> = found.iter().map(|fault| fault.effect).collect();
        let expected: Vec<CellEffect> = cells.iter().map(|c| kind.effect(c.preferred)).collect();
        assert_eq!(effects, expected);
    }
    assert_eq!(Errors::AnyBit(0.5).map(), []);
}
