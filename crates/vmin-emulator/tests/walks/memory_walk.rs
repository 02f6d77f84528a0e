//! Unprotected memories against a walk of every access.

use vmin_accel::dataflow::{Operand, Path};
use vmin_accel::placement::{ActivationPlacement, SumPlacement, WeightPlacement};
use vmin_accel::{ArraySize, Dataflow, StreamedPlacement};
use vmin_emulator::{ActivationFaults, SumFaults, SumRule, corrupt};
use vmin_nn::exec::reference;
use vmin_nn::{Executor, Graph, Op};
use vmin_sram::{Applied, FaultKind, Geometry};
use vmin_testkit::{Lcg, random_graph};

use crate::cells::{Cells, KINDS, Sums, faults, walk_sums};

/// The rows of weights that enter the array, as `(filter, tap)`, fold by fold.
fn tiles(dataflow: Dataflow, array: [usize; 2], sizes: [usize; 3]) -> Vec<Vec<(usize, usize)>> {
    let mut entered = Vec::new();
    let [rows, columns, steps] = dataflow.laid(sizes);
    let weight = |place| {
        let [_, filter, tap] = dataflow.coordinates(place);
        (filter, tap)
    };
    for column in (0..columns).step_by(array[1]) {
        for row in (0..rows).step_by(array[0]) {
            let across = column..columns.min(column + array[1]);
            let down = row..rows.min(row + array[0]);
            match dataflow.path(Operand::Filter) {
                Path::Stays => entered.extend(
                    down.map(|r| across.clone().map(|c| weight([r, c, 0])).collect::<Vec<_>>()),
                ),
                // Later blocks read again what the first has brought.
                Path::Right if column == 0 => entered
                    .extend((0..steps).map(|t| down.clone().map(|r| weight([r, 0, t])).collect())),
                Path::Down if row == 0 => entered.extend(
                    (0..steps).map(|t| across.clone().map(|c| weight([0, c, t])).collect()),
                ),
                Path::Right | Path::Down => {}
            }
        }
    }
    entered
}

/// Walks the weights through the two halves: written row by row, read back when the half is full.
fn walk(graph: &Graph, cells: &mut Cells, array: [usize; 2], dataflow: Dataflow) -> Vec<Vec<u8>> {
    let half_bits = cells.stored.len() / 2;
    let mut codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
    let mut half = 0;
    for (index, node) in graph.nodes.iter().enumerate() {
        let Op::Conv2d(conv) = &node.op else { continue };
        let codes = &mut codes[conv.weights.0];
        let bits = usize::from(graph.weights[conv.weights.0].bits);
        let layer = graph.layer(index);
        let mut written: Vec<(usize, usize)> = Vec::new();
        let mut next = 0;
        for group in 0..layer.groups {
            for row in tiles(dataflow, array, [layer.m, layer.n, layer.k]) {
                if next + row.len() * bits > half_bits {
                    read_back(cells, &mut written, codes, bits);
                    (half, next) = (1 - half, 0);
                }
                for (filter, tap) in row {
                    let code = (group * layer.n + filter) * layer.k + tap;
                    let address = half * half_bits + next;
                    for bit in 0..bits {
                        cells.write(address + bit, codes[code] >> bit & 1 == 1);
                    }
                    written.push((code, address));
                    next += bits;
                }
            }
        }
        read_back(cells, &mut written, codes, bits);
        half = 1 - half;
    }
    codes
}

fn read_back(cells: &mut Cells, written: &mut Vec<(usize, usize)>, codes: &mut [u8], bits: usize) {
    for (code, address) in written.drain(..) {
        codes[code] = (0..bits).map(|bit| u8::from(cells.read(address + bit)) << bit).sum();
    }
}

#[test]
fn streamed_weights_are_those_of_the_walk() {
    let mut several_loads = 0;
    for seed in 0..150 {
        let graph = random_graph(seed);
        let mut rng = Lcg(seed ^ 0xa5a5);
        let array = [rng.pick(1..=9), rng.pick(1..=9)];
        // Half of it holds a row of 9 codes of 8 bits.
        let geometry =
            Geometry::new(rng.pick(1..=2) as u32, 4 * rng.pick(2..=6) as u32, 36).unwrap();
        let faults = faults(&mut rng, geometry);
        for &(word, dataflow) in Dataflow::ALL {
            let size = ArraySize::new(array[0] as u64, array[1] as u64).unwrap();
            let placement = StreamedPlacement::in_memory(geometry, size, dataflow, &graph).unwrap();
            several_loads += usize::from(placement.loads() > graph.weights.len() + 2);
            let placement = WeightPlacement::from(placement);
            for kind in KINDS {
                let mut cells = Cells::new(geometry, &faults, kind);
                let expected = walk(&graph, &mut cells, array, dataflow);
                let found = corrupt(&graph, &placement, &[(&faults, kind)]).unwrap();
                assert_eq!(found.codes, expected, "seed {seed} {word} {kind:?}");
                assert_eq!(found.applied, cells.applied, "seed {seed} {word} {kind:?}");
            }
        }
    }
    assert!(several_loads > 100, "the memories are too large to test anything: {several_loads}");
}

#[test]
fn every_code_is_streamed_once() {
    for seed in 0..100 {
        let graph = random_graph(seed);
        let geometry = Geometry::new(1, 8, 64).unwrap();
        for &(_, dataflow) in Dataflow::ALL {
            let size = ArraySize::new(3, 5).unwrap();
            let placement = StreamedPlacement::in_memory(geometry, size, dataflow, &graph).unwrap();
            for (tensor, weights) in placement.tensors.iter().zip(&graph.weights) {
                let mut seen = tensor.order.clone();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..weights.codes.len()));
                let loaded: usize = tensor.loads.iter().map(|load| load.codes).sum();
                assert_eq!(loaded, weights.codes.len());
                for place in 0..loaded {
                    let bit = tensor.first_bit(place).unwrap();
                    assert!(bit + u64::from(tensor.bits) <= geometry.cells());
                }
                assert_eq!(tensor.first_bit(loaded), None);
            }
        }
    }
}

#[test]
fn activations_are_those_of_the_walk() {
    let mut wrapped = 0;
    let mut hit = 0;
    for seed in 0..200 {
        let graph = random_graph(seed);
        let mut rng = Lcg(!seed);
        let geometry = Geometry::new(1, rng.pick(1..=40) as u32, 64).unwrap();
        let placement = ActivationPlacement::new(geometry, &graph);
        wrapped += placement.tensors.iter().filter(|tensor| tensor.wraps).count();
        let faults = faults(&mut rng, geometry);
        let executor = Executor::new(&graph, vmin_kernels::best());
        let weights = executor.load_clean_weights();
        let input = rng.codes(graph.tensors[0].elements());
        for (kind, spared) in KINDS.into_iter().flat_map(|k| [(k, None), (k, Some(graph.input))]) {
            let fast = ActivationFaults::new(&placement, &faults, kind, spared);
            let mut applied = Applied::default();
            let mut scratch = executor.scratch();
            let mut found = Vec::new();
            executor.run_with(&weights, &input, &mut scratch, |id, tensor| {
                applied += fast.apply(id, tensor);
                found.push((id, tensor.to_vec()));
            });

            let mut cells = Cells::new(geometry, &faults, kind);
            let mut scratch = executor.scratch();
            let mut expected = Vec::new();
            executor.run_with(&weights, &input, &mut scratch, |id, tensor| {
                let placed = placement.tensors[id.0];
                if placed.owner == id.0 && spared != Some(id) {
                    for (index, code) in tensor.iter_mut().enumerate() {
                        let address = |bit: usize| {
                            (placed.first_bit as usize + index * 8 + bit) % cells.stored.len()
                        };
                        let addresses: [usize; 8] = std::array::from_fn(address);
                        for (bit, &address) in addresses.iter().enumerate() {
                            cells.write(address, *code >> bit & 1 == 1);
                        }
                        let bits = addresses.iter().enumerate();
                        *code = bits
                            .map(|(bit, &address)| u8::from(cells.read(address)) << bit)
                            .sum::<u8>() as i8;
                    }
                }
                expected.push((id, tensor.to_vec()));
            });
            assert_eq!(found, expected, "seed {seed} {kind:?}");
            assert_eq!(applied, cells.applied, "seed {seed} {kind:?}");
            hit += applied.bits_flipped;
        }
    }
    assert!(wrapped > 10 && hit > 1000, "{wrapped} tensors wrap, {hit} bits change");
}

#[test]
fn a_tensor_still_wanted_keeps_its_cells() {
    for seed in 0..300 {
        let graph = random_graph(seed);
        let geometry = Geometry::new(1, 1024, 64).unwrap();
        let placement = ActivationPlacement::new(geometry, &graph);
        let mut owners = vec![usize::MAX; usize::try_from(geometry.cells()).unwrap()];
        let cells = |tensor: usize| {
            let placed = placement.tensors[tensor];
            assert!(!placed.wraps, "seed {seed}");
            let first = usize::try_from(placed.first_bit).unwrap();
            (placed.owner, first..first + 8 * usize::try_from(placed.codes).unwrap())
        };
        let (owner, span) = cells(graph.input.0);
        owners[span].fill(owner);
        for node in &graph.nodes {
            let (writer, span) = cells(node.output.0);
            if writer == node.output.0 {
                owners[span].fill(writer);
            }
            // Inputs are read while the output is written: both have their cells.
            for input in &node.inputs {
                let (owner, span) = cells(input.0);
                assert!(owners[span].iter().all(|&found| found == owner), "seed {seed}");
            }
        }
        let (owner, span) = cells(graph.output.0);
        assert!(owners[span].iter().all(|&found| found == owner), "seed {seed}");
    }
}

#[test]
fn no_fault_changes_nothing() {
    let graph = random_graph(3);
    let placement = ActivationPlacement::new(Geometry::new(1, 64, 64).unwrap(), &graph);
    let none = ActivationFaults::new(&placement, &[], FaultKind::Flip, None);
    assert!(none.is_empty());
    let executor = Executor::new(&graph, vmin_kernels::best());
    let input = vec![5; graph.tensors[0].elements()];
    let codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
    let expected = reference::run(&graph, &codes, &input).unwrap();
    let weights = executor.load_clean_weights();
    let mut scratch = executor.scratch();
    let found = executor.run_with(&weights, &input, &mut scratch, |id, tensor| {
        assert_eq!(none.apply(id, tensor), Applied::default());
    });
    assert_eq!(found, expected[graph.output.0]);
}

/// A rule of any width and range.
fn rule(rng: &mut Lcg) -> SumRule {
    let bits = [32, 32, rng.pick(1..=32), rng.pick(12..=20)][rng.pick(0..=3)] as u8;
    let ends = [0; 2].map(|_: i32| rng.pick(0..=60_000) as i32 - 30_000);
    let ranges = [SumRule::NONE.range, [ends[0].min(ends[1]), ends[0].max(ends[1])]];
    SumRule { bits, range: ranges[rng.pick(0..=1)] }
}

/// An array of cells of which a rule uses some.
struct Ruled {
    cells: Cells,
    rule: SumRule,
}

impl Sums for Ruled {
    fn words(&self) -> usize {
        self.cells.words()
    }

    fn put(&mut self, word: usize, sum: i32) {
        (0..usize::from(self.rule.bits))
            .for_each(|bit| self.cells.write(word * 32 + bit, sum >> bit & 1 == 1));
    }

    fn get(&mut self, word: usize) -> i32 {
        let SumRule { bits, range: [low, high] } = self.rule;
        let read: Vec<bool> =
            (0..usize::from(bits)).map(|bit| self.cells.read(word * 32 + bit)).collect();
        let sign = *read.last().unwrap();
        let all = read.into_iter().chain(std::iter::repeat(sign)).take(32).enumerate();
        all.fold(0, |sum, (bit, read)| sum | i32::from(read) << bit).max(low).min(high)
    }
}

#[test]
fn partial_sums_are_those_of_the_walk() {
    let (mut hit, mut spilt, mut several_folds, mut grouped) = (0, 0, 0, 0);
    for seed in 0..120 {
        let graph = random_graph(seed);
        let mut rng = Lcg(seed.wrapping_mul(77));
        let array = [rng.pick(1..=9), rng.pick(1..=9)];
        let size = ArraySize::new(array[0] as u64, array[1] as u64).unwrap();
        let geometry = Geometry::new(1, rng.pick(1..=60) as u32, 40).unwrap();
        let faults = faults(&mut rng, geometry);
        let executor = Executor::new(&graph, vmin_kernels::best());
        let codes: Vec<Vec<u8>> = graph.weights.iter().map(|w| w.codes.clone()).collect();
        let weights = executor.load_clean_weights();
        let input = rng.codes(graph.tensors[0].elements());
        let rules: Vec<SumRule> = graph.nodes.iter().map(|_| rule(&mut rng)).collect();
        for &(word, dataflow) in Dataflow::ALL {
            let Ok(placement) = SumPlacement::in_memory(geometry, size, dataflow, &graph) else {
                continue;
            };
            for (kind, bias) in KINDS.into_iter().flat_map(|k| [(k, true), (k, false)]) {
                let fast = SumFaults::new(&placement, &faults, kind, bias);
                let fast = if seed % 3 == 0 { fast } else { fast.with_rules(&placement, &rules) };
                let loaded = fast.load(&graph, &codes, vmin_kernels::best());
                let cells = Cells::new(geometry, &faults, kind);
                let mut cells = Ruled { cells, rule: SumRule::NONE };
                let mut applied = Applied::default();
                let mut scratch = executor.scratch();
                let mut reads = 0;
                executor.run_watched(
                    &weights,
                    &input,
                    &mut scratch,
                    |node, tensors, out| {
                        applied += loaded.apply(node, tensors, out);
                        let Some(placed) = &placement.layers[node] else { return };
                        let x = &tensors[graph.nodes[node].inputs[0].0];
                        if seed % 3 > 0 {
                            cells.rule = rules[node];
                        }
                        let (expected, outside) =
                            walk_sums(&graph, node, x, &mut cells, array, dataflow, bias);
                        assert_eq!(out, expected, "seed {seed} {word} {kind:?} node {node}");
                        spilt += usize::from(outside);
                        several_folds += usize::from(placed.folds > 1);
                        grouped += usize::from(graph.layer(node).groups > 1);
                        reads += placed.reads(bias);
                    },
                    |_, _| {},
                );
                assert_eq!(applied, cells.cells.applied, "seed {seed} {word} {kind:?}");
                assert_eq!(placement.bits_read(bias), reads * 32);
                hit += applied.bits_flipped;
            }
        }
    }
    let seen = [hit as usize, spilt, several_folds, grouped];
    assert!(seen.iter().all(|&count| count > 100), "too little happens: {seen:?}");
}
