//! Transient errors against their draws and against cells that always err; protection without an effect.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use vmin_accel::placement::SUM_BITS;
use vmin_accel::{Memory, MemoryAt, PerMemory, VoltageProfile};
use vmin_emulator::source::{CellSource, Measured, MeasuredChip, Site, Transient};
use vmin_emulator::{
    ActivationFaults, BufferFaults, ChipSpec, Deployment, LOAD, Reads, SumFaults, TrialSpec,
    corrupt,
};
use vmin_nn::Executor;
use vmin_nn::exec::OutputSums;
use vmin_protection::MapKind;
use vmin_protection::mechanisms::{Masking, SecdedCode, SpareLines};
use vmin_protection::words::OnDetected;
use vmin_protection::words::closed_form::secded_residual;
use vmin_sram::{
    Applied, CellErrors, Chip, ChipKey, ErrorRates, FaultyCell, Score, flip_at_random, random_bits,
};

use crate::buffers::{IMAGES, Of, Setting, fast, many, measured, protection, supplies};
use crate::cells::KINDS;
use crate::protected_cells::{Mechanisms, OnRead};
use crate::protected_walk::{VDD_MV, source};

const SPEC: ChipSpec = ChipSpec { chip: 1, offset_bits: 0, layout: 0, map_offset: 0 };

/// Every memory with the same protection.
fn everywhere(mechanisms: &Mechanisms) -> Of {
    PerMemory::from_fn(|_| Some(mechanisms.clone()))
}

/// Protections that need no map, for weights of any width.
fn without_map() -> Vec<Mechanisms> {
    let none = Mechanisms::default;
    let words = |words| Mechanisms { words, ..none() };
    vec![
        none(),
        words(OnRead::Secded(32, OnDetected::Keep)),
        words(OnRead::Secded(16, OnDetected::Zero)),
        words(OnRead::Parity(Some(8))),
        words(OnRead::Detecting(Masking::Code)),
        words(OnRead::Detecting(Masking::Bits)),
        Mechanisms { boost_mv: Some(5.0), ..words(OnRead::Secded(32, OnDetected::Keep)) },
        Mechanisms { safe_bits: Some((3, 12.0)), ..none() },
        Mechanisms { layer: Some((1, 12.0)), ..words(OnRead::Parity(Some(16))) },
        Mechanisms { safe_bits: Some((1, 12.0)), layer: Some((1, 8.0)), ..none() },
    ]
}

#[test]
fn transient_errors_without_protection_are_their_draws() {
    let transient = Transient { seed: 11 };
    let mut flipped = PerMemory::<u64>::default();
    for seed in 0..40 {
        let setting = Setting::new(seed);
        let Setting { graph, placement, .. } = &setting;
        let of = everywhere(&Mechanisms::default());
        let (activations, sums) =
            (placement.activations.as_ref().unwrap(), placement.sums.as_ref().unwrap());
        let key =
            |memory: Memory| ChipKey { seed: 11, chip: SPEC.chip.into(), memory: memory.number() };
        let rate = many(VDD_MV).cell_fault_rate;
        let executor = Executor::new(graph, vmin_kernels::best());
        for reads in [Reads::Once, Reads::EveryImage] {
            let mut applied = PerMemory::<Applied>::default();
            let mut predictions = Vec::new();
            let elements = graph.tensors[graph.input.0].elements();
            for (index, image) in (0..).zip(setting.pixels().chunks(elements)) {
                let read = match reads {
                    Reads::Once => LOAD,
                    Reads::EveryImage => 7 + index,
                };
                let mut codes: Vec<Vec<u8>> =
                    graph.weights.iter().map(|weights| weights.codes.clone()).collect();
                let mut of_weights = Applied::default();
                for ((layer, codes), weights) in (0..).zip(&mut codes).zip(&graph.weights) {
                    let key = key(Memory::Weight);
                    of_weights += flip_at_random(codes, weights.bits, rate, key, read, layer);
                }
                if index == 0 || reads == Reads::EveryImage {
                    applied.weight += of_weights;
                }
                let PerMemory { activation, accumulator, .. } = &mut applied;
                let class = executor.classify_watched(
                    &executor.load_weights(&codes),
                    image,
                    &mut executor.scratch(),
                    |node, tensors, out| {
                        let Some(placed) = &sums.layers[node] else { return };
                        let count = placed.reads(placement.biases_in_memory);
                        let mut wrong: BTreeMap<u64, u32> = BTreeMap::new();
                        let (key, stream) = (key(Memory::Accumulator), node as u32);
                        random_bits(count * SUM_BITS, rate, key, read, stream, |bit| {
                            *wrong.entry(bit / SUM_BITS).or_default() |= 1 << (bit % SUM_BITS);
                        });
                        let exact = OutputSums::new(graph, &codes, node).unwrap();
                        let x = &tensors[graph.nodes[node].inputs[0].0];
                        let mut number = 0;
                        for (element, out) in out.iter_mut().enumerate() {
                            let bias = placement.biases_in_memory;
                            *out = exact.output(x, element, placed.fold, bias, |sum| {
                                let turn = wrong.get(&number).copied().unwrap_or(0);
                                number += 1;
                                accumulator.cells_hit += u64::from(turn.count_ones());
                                accumulator.bits_flipped += u64::from(turn.count_ones());
                                sum ^ turn.cast_signed()
                            });
                        }
                        assert_eq!(number, count);
                    },
                    |id, tensor| {
                        let placed = activations.tensors[id.0];
                        if placed.owner != id.0 || placement.spared_input == Some(id) {
                            return;
                        }
                        let (key, stream) = (key(Memory::Activation), id.0 as u32);
                        random_bits(placed.codes * 8, rate, key, read, stream, |bit| {
                            tensor[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
                            activation.cells_hit += 1;
                            activation.bits_flipped += 1;
                        });
                    },
                );
                predictions.push(class);
            }
            let found = fast(&setting, &of, &transient, &many, SPEC, reads);
            assert_eq!(found, (predictions, applied), "seed {seed} {reads:?}");
            flipped =
                PerMemory::from_fn(|memory| flipped.get(memory) + found.1.get(memory).bits_flipped);
        }
    }
    assert!(flipped.iter().all(|(_, &count)| count > 1000), "{flipped:?}");
}

/// Cells that all invert below a supply, and none from it on.
fn all_below(mv: f64) -> impl Fn(f64) -> MemoryAt {
    move |at| MemoryAt::new(at, if at < mv { 1.0 } else { 0.0 })
}

#[test]
fn bits_that_all_err_are_cells_that_all_invert() {
    let cell = FaultyCell { address: 0, score: Score(0), preferred: false };
    let inverts = vec![CellErrors { cell, rates: ErrorRates::flip(1.0) }];
    let list = without_map();
    let mut flipped = PerMemory::<u64>::default();
    for seed in 0..60 {
        let setting = Setting::new(seed);
        let number = usize::try_from(seed).unwrap();
        let of = everywhere(&list[number % list.len()]);
        // Raised supplies err, too, or only some of them.
        let limit = VDD_MV + [6.0, 10.0, 20.0][number % 3];
        let at = all_below(limit);
        let errors = [0.0, 5.0, 8.0, 12.0].map(|by| {
            let here = at(VDD_MV + by);
            let errs = here.cell_fault_rate > 0.0;
            (here.vdd_uv(), if errs { inverts.clone() } else { Vec::new() })
        });
        let chip = MeasuredChip { sha256: String::new(), cells: 1, errors: errors.into() };
        let lasting = Measured { chips: vec![chip.clone(), chip], seed: 1, kind: None };
        for reads in [Reads::Once, Reads::EveryImage] {
            let drawn = fast(&setting, &of, &Transient { seed: 1 }, &at, SPEC, reads);
            let expected = fast(&setting, &of, &lasting, &at, SPEC, reads);
            assert_eq!(drawn, expected, "seed {seed} {of:?} {reads:?} below {limit} mV");
            flipped =
                PerMemory::from_fn(|memory| flipped.get(memory) + drawn.1.get(memory).bits_flipped);
        }
    }
    assert!(flipped.iter().all(|(_, &count)| count > 10_000), "{flipped:?}");
}

#[test]
fn without_errors_every_protection_reads_what_was_written() {
    let never = |mv| MemoryAt::new(mv, 0.0);
    for (seed, mechanisms) in (0..).zip(without_map()) {
        let setting = Setting::new(seed);
        let of = everywhere(&mechanisms);
        let emulator = setting.emulator();
        let clean = emulator.predict_clean(&AtomicBool::new(false)).unwrap();
        for reads in [Reads::Once, Reads::EveryImage] {
            let found = fast(&setting, &of, &Transient { seed: 1 }, &never, SPEC, reads);
            assert_eq!(found, (clean.clone(), PerMemory::default()), "{mechanisms:?} {reads:?}");
        }
    }
}

#[test]
fn words_leave_as_many_transient_errors_as_the_closed_form_says() {
    const RATE: f64 = 0.01;
    let at = |mv| MemoryAt::new(mv, RATE);
    let words = OnRead::Secded(32, OnDetected::Keep);
    let of = everywhere(&Mechanisms { words, ..Mechanisms::default() });
    let (mut flipped, mut hit) = (PerMemory::<u64>::default(), PerMemory::<u64>::default());
    let mut read = PerMemory::<u64>::default();
    for seed in 0..60 {
        let setting = Setting::new(seed);
        let source = Transient { seed };
        let (_, applied) = fast(&setting, &of, &source, &at, SPEC, Reads::EveryImage);
        let weights = setting.graph.weights.iter();
        let bits = PerMemory {
            weight: weights.map(|w| w.codes.len() as u64 * u64::from(w.bits)).sum(),
            activation: setting.placement.activation_bits().unwrap(),
            accumulator: setting.placement.accumulator_bits_read().unwrap(),
        };
        for (_, memory) in Memory::ALL {
            *read.get_mut(memory) += bits.get(memory) * IMAGES as u64;
            *flipped.get_mut(memory) += applied.get(memory).bits_flipped;
            *hit.get_mut(memory) += applied.get(memory).cells_hit;
        }
    }
    let exact = secded_residual(&SecdedCode::new(32).unwrap(), RATE);
    for (memory, &bits) in read.iter() {
        let bits = bits as f64;
        let raw = *hit.get(memory) as f64 / bits;
        assert!((raw - RATE).abs() < 4.0 * (RATE / bits).sqrt(), "{memory:?}: {raw} of {bits}");
        let found = *flipped.get(memory) as f64 / bits;
        // Errors come about 2.5 to a word: four deviations of a count of words.
        let deviation = (exact * 2.5 / bits).sqrt();
        assert!(
            (found - exact).abs() < 4.0 * deviation,
            "{memory:?}: {found} {exact} {deviation} of {bits} bits"
        );
    }
}

/// Protections that change nothing.
fn without_effect() -> [Mechanisms; 5] {
    let none = Mechanisms::default;
    [
        Mechanisms { boost_mv: Some(0.0), ..none() },
        Mechanisms { safe_bits: Some((2, 0.0)), ..none() },
        Mechanisms { layer: Some((1, 0.0)), ..none() },
        // These two need a map.
        Mechanisms { banks: Some((0.5, 0.0)), ..none() },
        Mechanisms { spares: Some(SpareLines { rows: 0, columns: 0 }), ..none() },
    ]
}

#[test]
fn protection_without_an_effect_is_a_plain_read_of_every_source_and_memory() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let noisy = |mv: f64| MemoryAt {
        noise: Some(profile.read_noise(mv, 6.0)),
        ..MemoryAt::new(mv, profile.cell_fault_rate(mv))
    };
    type At<'a> = &'a dyn Fn(f64) -> MemoryAt;
    for seed in 0..30 {
        let setting = Setting::new(seed);
        let [flips, stuck] = KINDS.map(|kind| source(&profile, kind));
        let measured = measured(seed, None);
        let transient = Transient { seed };
        let sources: [(&dyn CellSource, At<'_>); 5] = [
            (&flips, &many),
            (&stuck, &many),
            (&stuck, &noisy),
            (&measured, &many),
            (&transient, &many),
        ];
        for (source, at) in sources {
            for reads in [Reads::Once, Reads::EveryImage] {
                let plain = everywhere(&Mechanisms::default());
                let expected = fast(&setting, &plain, source, at, SPEC, reads);
                assert!(expected.1.weight.bits_flipped > 0 || seed > 0);
                for mechanisms in without_effect() {
                    let of = everywhere(&mechanisms);
                    if protection(&of).useless(source.map_kind()).is_some() {
                        continue;
                    }
                    let found = fast(&setting, &of, source, at, SPEC, reads);
                    assert_eq!(found, expected, "seed {seed} {mechanisms:?} {source:?} {reads:?}");
                }
            }
        }
    }
}

#[test]
fn a_plain_read_is_what_the_cells_of_each_memory_do() {
    let profile = VoltageProfile::load("sram14").unwrap();
    for seed in 0..40 {
        let setting = Setting::new(seed);
        let Setting { graph, placement, .. } = &setting;
        let (activations, sums) =
            (placement.activations.as_ref().unwrap(), placement.sums.as_ref().unwrap());
        for kind in KINDS {
            let source = source(&profile, kind);
            let threshold = many(VDD_MV).threshold;
            let cells = PerMemory::from_fn(|memory| {
                let geometry = match memory {
                    Memory::Weight => placement.weights.geometry(),
                    Memory::Activation => activations.geometry,
                    Memory::Accumulator => sums.geometry,
                };
                let key = ChipKey { seed: 3, chip: SPEC.chip.into(), memory: memory.number() };
                let chip = Chip::sample(profile.population(), key, geometry, threshold).unwrap();
                chip.cells().to_vec()
            });
            let weights = corrupt(graph, &placement.weights, &[(&cells.weight, kind)]).unwrap();
            let spared = placement.spared_input;
            let of_tensors = ActivationFaults::new(activations, &cells.activation, kind, spared);
            let bias = placement.biases_in_memory;
            let of_sums = SumFaults::new(sums, &cells.accumulator, kind, bias);
            let faults = BufferFaults { activations: Some(&of_tensors), sums: Some(&of_sums) };
            let stop = AtomicBool::new(false);
            let emulator = setting.emulator();
            let (predictions, of_buffers) =
                emulator.predict_through(&weights.codes, faults, &stop).unwrap();
            let applied = PerMemory { weight: weights.applied, ..of_buffers };

            let of = everywhere(&Mechanisms::default());
            let found = fast(&setting, &of, &source, &many, SPEC, Reads::Once);
            assert_eq!(found, (predictions.clone(), applied), "seed {seed} {kind:?}");

            // The same as a trial counts it.
            let protection = protection(&of);
            let deployment = Deployment::new(graph, placement, &protection).unwrap();
            let supplies = supplies(&of, &protection, VDD_MV, &many);
            let open = deployment.open(&source, SPEC, &[&supplies], None).unwrap();
            let trial = TrialSpec { supplies: &supplies, reads: Reads::Once, first_image: 0 };
            let clean = emulator.predict_clean(&stop).unwrap();
            let outcome = open.run(trial, &emulator, &clean, &stop).unwrap();
            assert_eq!(outcome.score, emulator.score(&predictions, &clean));
            assert_eq!(outcome.applied, applied);
            assert_eq!(open.weights(&supplies, LOAD).codes, weights.codes);
        }
    }
}

#[test]
fn sources_tell_their_chips_apart_by_value() {
    let profile = VoltageProfile::load("sram14").unwrap();
    let [flips, stuck] = KINDS.map(|kind| source(&profile, kind));
    let known = measured(1, None);
    let sources: [&dyn CellSource; 4] = [&flips, &stuck, &known, &Transient { seed: 3 }];
    for (number, a) in sources.iter().enumerate() {
        assert_eq!(a.identity(1), a.identity(1));
        for b in &sources[..number] {
            assert_ne!(a.identity(1), b.identity(1));
        }
    }
    let maps = sources.map(CellSource::map_kind);
    assert_eq!(maps, [MapKind::Inverting, MapKind::Stuck, MapKind::Stuck, MapKind::Nothing]);
    // A measured chip has stuck cells where one of them holds a value at half of the reads or more.
    let of_rates = |rates: &[[f32; 2]]| {
        let mut chips = measured(1, None);
        for error in chips.chips.iter_mut().flat_map(|chip| chip.errors.values_mut()) {
            error.truncate(rates.len());
            for (error, &[p01, p10]) in error.iter_mut().zip(rates) {
                error.rates = ErrorRates { p01, p10 };
            }
        }
        chips.map_kind()
    };
    assert_eq!(of_rates(&[[1.0, 0.5], [0.5, 1.0], [0.4, 0.0]]), MapKind::Inverting);
    assert_eq!(of_rates(&[[1.0, 0.5], [0.5, 0.4]]), MapKind::Stuck);
    assert_eq!(of_rates(&[]), MapKind::Stuck);
    // An array keeps its cells at every floor.
    let geometry = vmin_sram::Geometry::new(2, 16, 64).unwrap();
    let site = Site { chip: 3, region: 0x110, geometry, first_cell: 5 };
    for source in &sources[..3] {
        let at = many(VDD_MV);
        let low = source.cells(Site { chip: 1, ..site }, vmin_sram::Threshold::HALF).unwrap();
        let high = source.cells(Site { chip: 1, ..site }, at.floor()).unwrap();
        assert_eq!(low.errors(&at).map(), high.errors(&at).map());
    }
}
