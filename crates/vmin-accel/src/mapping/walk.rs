//! The slow twin of all counts: a layer walked access by access through buffers that hold elements.

use std::collections::BTreeSet;

use proptest::prelude::*;
use vmin_sram::Geometry;

use super::inputs::{is_aligned, stretch};
use super::{LoopOrder, Mapping, MappingRules, Objective, Problem, Reuse, Rule};
use crate::cycles::{self, Overlap, PartialSums, Residence, Schedule};
use crate::dataflow::{ArraySize, Dimension, Operand, Path};
use crate::placement::{Product, StreamedLayer};
use crate::scalesim::Window;
use crate::{
    Accelerator, Convolution, Dataflow, GemmShape, Layer, LayerReport, StreamedPlacement, Work,
};

/// Elements in a memory. What is asked for and not there, is fetched.
#[derive(Default)]
struct Buffer {
    held: BTreeSet<u64>,
    fetched: u64,
    peak: u64,
}

impl Buffer {
    /// Fetched on the way to others, and not kept.
    fn pass(&mut self) {
        self.fetched += 1;
    }

    fn ask(&mut self, element: u64) {
        self.fetched += u64::from(self.held.insert(element));
        self.peak = self.peak.max(self.held.len() as u64);
    }
}

/// What a walk counts, all groups together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    fetched_inputs: u64,
    fetched_weights: u64,
    spilled_sums: u64,
    /// Elements and words that cross the edge of the array: inputs, weights, sums.
    elements: [u64; 3],
    words: [u64; 3],
    folds: u64,
    cycles: u64,
}

struct Walk<'a> {
    problem: Problem<'a>,
    mapping: Mapping,
    /// Bits of an element and of a word of each operand's memory.
    bits: [[u64; 2]; 3],
    counts: Counts,
    inputs: Buffer,
    /// The next input of the image that comes in.
    front: u64,
    weights: Buffer,
}

fn blocks(size: u64, step: u64) -> Vec<std::ops::Range<u64>> {
    (0..size).step_by(step as usize).map(|first| first..size.min(first + step)).collect()
}

impl Walk<'_> {
    /// The address of an input in its group's image: row by row, the channels of a pixel together.
    fn address(&self, pixel: u64, tap: u64) -> u64 {
        let Some(window) = &self.problem.layer.window else {
            return pixel * self.problem.shape.k() + tap;
        };
        let [_, columns] = window.output;
        let (pixel, image) = (pixel % window.count(), pixel / window.count());
        let (taps, channel) = (tap / window.channels, tap % window.channels);
        let row = pixel / columns * window.stride[0] + taps / window.kernel[1] * window.dilation[0];
        let column =
            pixel % columns * window.stride[1] + taps % window.kernel[1] * window.dilation[1];
        ((image * window.input[0] + row) * window.input[1] + column) * window.channels + channel
    }

    fn inputs_of(&self, pixels: std::ops::Range<u64>) -> BTreeSet<u64> {
        let taps = 0..self.problem.shape.k();
        pixels
            .flat_map(|pixel| taps.clone().map(move |tap| (pixel, tap)))
            .map(|(pixel, tap)| self.address(pixel, tap))
            .collect()
    }

    /// Brings the inputs of a tile in, as far as anything is used twice.
    fn enter(&mut self, m: std::ops::Range<u64>) {
        let needed = self.inputs_of(m.clone());
        let (Some(&first), Some(&last)) = (needed.first(), needed.last()) else { return };
        let group = self.problem.layer.inputs / self.problem.shape.groups();
        if self.problem.inputs_fit() {
            (self.problem.found..group).for_each(|input| self.inputs.ask(input));
            return;
        }
        let m_tile = self.mapping.m_tile;
        if self.problem.way(m_tile).is_none() {
            return;
        }
        let aligned = |window| is_aligned(window, m_tile);
        let slides = |window| self.problem.slides(m_tile, aligned(window));
        match &self.problem.layer.window {
            // A band: it leaves to the left, and as a whole at the end of a row.
            Some(window) if !slides(window) => {
                let row = |input: u64| input / window.channels / window.input[1];
                let column = |input: u64| input / window.channels % window.input[1];
                let begins = m.start.is_multiple_of(window.output[1]);
                let (left, tall) = (column(first), row(first)..=row(last));
                self.inputs.held.retain(|input| !begins && column(*input) >= left);
                let right = needed.iter().map(|input| column(*input)).max().unwrap_or(0);
                // Between the taps of a dilated or a wide stride everything comes in.
                let from = if begins { 0 } else { self.front };
                for row in tall {
                    for column in from..=right {
                        let pixel = (row * window.input[1] + column) * window.channels;
                        for input in pixel..pixel + window.channels {
                            if column < left { self.inputs.pass() } else { self.inputs.ask(input) }
                        }
                    }
                }
                self.front = right + 1;
            }
            _ => {
                self.inputs.held.retain(|input| *input >= first);
                // What is found need not come, what no output needs passes.
                let front = self.front.max(self.problem.found);
                (front..first).for_each(|_| self.inputs.pass());
                (front.max(first)..=last).for_each(|input| self.inputs.ask(input));
                self.front = self.front.max(last + 1);
            }
        }
    }

    /// Elements side by side at the edge of the array.
    fn cross(&mut self, operand: Operand, elements: &[[u64; 3]]) {
        let [bits, word] = self.bits[operand as usize];
        self.counts.elements[operand as usize] += elements.len() as u64;
        self.counts.words[operand as usize] += (elements.len() as u64 * bits).div_ceil(word);
        for &[pixel, filter, tap] in elements {
            match operand {
                Operand::Ifmap => {
                    let input = self.address(pixel, tap);
                    let nothing_stays = !self.problem.inputs_fit()
                        && self.problem.way(self.mapping.m_tile).is_none();
                    if nothing_stays {
                        self.inputs.fetched += 1;
                    } else {
                        let there = input < self.problem.found || self.inputs.held.contains(&input);
                        assert!(there, "an input is missing");
                    }
                }
                Operand::Filter => self.weights.ask(filter * self.problem.shape.k() + tap),
                Operand::Ofmap => {}
            }
        }
    }

    /// The folds of one tile.
    fn tile(&mut self, m: &std::ops::Range<u64>, n: &std::ops::Range<u64>, reuse: Reuse) {
        let Problem { dataflow, array, shape, .. } = self.problem;
        let sizes = [m.end - m.start, n.end - n.start, shape.k()];
        let [rows, columns, stream] = dataflow.laid(sizes);
        let at = |place: [u64; 3]| {
            let [pixel, filter, tap] = dataflow.coordinates(place);
            [m.start + pixel, n.start + filter, tap]
        };
        let row_blocks = blocks(rows, array.rows());
        for across in blocks(columns, array.columns()) {
            // Rows of sums that wait in the memory.
            let mut waiting = BTreeSet::new();
            for (fold, down) in row_blocks.iter().enumerate() {
                self.counts.folds += 1;
                self.counts.cycles += 2 * array.rows() + array.columns() + stream - 2;
                let side = |step| across.clone().map(move |c| at([0, c, step]));
                for row in down.clone() {
                    let stays: Vec<_> = across.clone().map(|c| at([row, c, 0])).collect();
                    self.cross(dataflow.operand(Path::Stays), &stays);
                    self.leave(Path::Stays, reuse);
                }
                for step in 0..stream {
                    let right: Vec<_> = down.clone().map(|r| at([r, 0, step])).collect();
                    self.cross(dataflow.operand(Path::Right), &right);
                    self.leave(Path::Right, reuse);
                    let below: Vec<_> = side(step).collect();
                    self.cross(dataflow.operand(Path::Down), &below);
                    if reuse == Reuse::Block {
                        self.leave(Path::Down, reuse);
                    }
                    if dataflow.operand(Path::Down) == Operand::Ofmap && row_blocks.len() > 1 {
                        let room = (waiting.len() as u64) < self.problem.sum_rows;
                        if fold == 0 && room {
                            waiting.insert(step);
                        }
                        if fold > 0 && !waiting.contains(&step) {
                            self.counts.spilled_sums += below.len() as u64;
                        }
                    }
                }
            }
            self.leave(Path::Down, reuse);
        }
    }

    /// Weights that came along a path leave, unless they stay for other tiles.
    fn leave(&mut self, path: Path, reuse: Reuse) {
        if self.problem.dataflow.path(Operand::Filter) == path && reuse != Reuse::Layer {
            self.weights.held.clear();
        }
    }

    fn run(mut self) -> Counts {
        let [m, n, _] = self.problem.shape.sizes();
        let reuse = self.problem.fetched(self.mapping).filter_reuse;
        let (m_tiles, n_tiles) = (blocks(m, self.mapping.m_tile), blocks(n, self.mapping.n_tile));
        for _ in 0..self.problem.shape.groups() {
            self.weights.held.clear();
            match self.mapping.order {
                LoopOrder::MOutside => {
                    self.begin(true);
                    for m in &m_tiles {
                        self.enter(m.clone());
                        n_tiles.iter().for_each(|n| self.tile(m, n, reuse));
                    }
                }
                LoopOrder::NOutside => {
                    for (index, n) in n_tiles.iter().enumerate() {
                        self.begin(index == 0);
                        // A tile of weights takes the place of the one before, unless all fit.
                        if !self.problem.weights_fit() {
                            self.weights.held.clear();
                        }
                        for m in &m_tiles {
                            self.enter(m.clone());
                            self.tile(m, n, reuse);
                        }
                    }
                }
            }
        }
        assert!(self.inputs.peak <= self.problem.input_room, "too many inputs");
        let weight_room = if self.problem.weights_fit() {
            self.problem.weight_bits
        } else {
            self.problem.half_bits().max(self.bits[1][0] * array_row(&self.problem))
        };
        assert!(self.weights.peak * self.bits[1][0] <= weight_room, "too many weights");
        self.counts.fetched_inputs = self.inputs.fetched;
        self.counts.fetched_weights = self.weights.fetched;
        self.counts
    }

    /// A pass over the inputs begins; those that all fit stay from the first one.
    fn begin(&mut self, first: bool) {
        if first || !self.problem.inputs_fit() {
            self.inputs.held.clear();
            self.front = 0;
        }
    }
}

/// Weights side by side, which pass even through a memory whose half is too small for them.
fn array_row(problem: &Problem<'_>) -> u64 {
    problem.array.rows().max(problem.array.columns())
}

fn walk(accelerator: &Accelerator, problem: Problem<'_>, mapping: Mapping) -> Counts {
    let memories = &accelerator.memories;
    Walk {
        problem,
        mapping,
        bits: [
            [8, memories.activation.word_bits],
            [u64::from(problem.layer.weight_bits), memories.weight.word_bits],
            [accelerator.accumulator_bits, memories.accumulator.word_bits],
        ],
        counts: Counts::default(),
        inputs: Buffer::default(),
        front: 0,
        weights: Buffer::default(),
    }
    .run()
}

fn counted(report: &LayerReport) -> Counts {
    Counts {
        fetched_inputs: report.dram_reads_ifmap.unwrap(),
        fetched_weights: report.dram_reads_filter.unwrap(),
        spilled_sums: report.dram_sum_transfers.unwrap(),
        elements: [report.sram_reads_ifmap, report.sram_reads_filter, report.sram_writes_ofmap],
        words: [
            report.activation_words_read.unwrap(),
            report.weight_words_read.unwrap(),
            report.accumulator_words_written.unwrap(),
        ],
        folds: report.folds,
        cycles: report.compute_cycles,
    }
}

/// A small array beside small memories.
fn accelerators() -> impl Strategy<Value = (Accelerator, Schedule)> {
    let sizes = (1_u64..5, 1_u64..5, 1_u32..40, 1_u32..30, 1_u32..40);
    let choices = (0..Dataflow::ALL.len(), 0..Objective::ALL.len(), any::<bool>(), 0_usize..3);
    (sizes, choices).prop_map(|((rows, columns, weight, activation, sums), choices)| {
        let (dataflow, objective, spill, word) = choices;
        let mut accelerator = Accelerator::load("gemmini-16").unwrap();
        accelerator.array = ArraySize::new(rows, columns).unwrap();
        accelerator.mapping.objective = Objective::ALL[objective].1;
        let memories = &mut accelerator.memories;
        for (memory, rows) in [
            (&mut memories.weight, weight),
            (&mut memories.activation, activation),
            (&mut memories.accumulator, sums),
        ] {
            memory.geometry = Geometry::new(1, rows, 32).unwrap();
            memory.word_bits = [8, 16, 32][word];
        }
        let partial_sums = if spill { PartialSums::Spill } else { PartialSums::Accumulator };
        let schedule = Schedule {
            dataflow: Dataflow::ALL[dataflow].1,
            weights: Residence::Streamed,
            activations: Residence::Streamed,
            partial_sums,
            ..Schedule::of(&accelerator)
        };
        (accelerator, schedule)
    })
}

/// Convolutions that use all of their input, and plain products; some of several images.
fn layers() -> impl Strategy<Value = Layer> {
    let convolution = (
        (1_u64..8, 1_u64..8, 1_u64..4, 1_u64..4),
        (1_u64..3, 1_u64..3, 1_u64..3, 1_u64..3),
        (1_u64..3, 1_u64..9, 1_u64..3, 1_u64..3, 1_u8..=8),
    )
        .prop_map(|(sizes, steps, rest)| {
            let ((rows, columns, high, wide), (down, across, spread, apart)) = (sizes, steps);
            let (channels, filters, groups, images, weight_bits) = rest;
            let side = |outputs: u64, stride: u64, kernel: u64, dilation: u64| {
                (outputs - 1) * stride + (kernel - 1) * dilation + 1
            };
            let input = [side(rows, down, high, spread), side(columns, across, wide, apart)];
            let plain = Convolution::new(input, [high, wide], channels * groups, filters * groups);
            let convolution =
                Convolution { stride: [down, across], dilation: [spread, apart], groups, ..plain };
            let layer = Layer::convolution("x", &convolution).unwrap();
            Layer { weight_bits, ..layer.batched(images).unwrap() }
        });
    let product = (1_u64..40, 1_u64..20, 1_u64..20, 1_u64..3).prop_map(|(m, n, k, groups)| {
        Layer::gemm("x", GemmShape::grouped(m, n, k, groups).unwrap())
    });
    prop_oneof![convolution, product]
}

fn one(accelerator: &Accelerator, schedule: Schedule, layer: &Layer) -> LayerReport {
    cycles::run(accelerator, schedule, std::slice::from_ref(layer)).unwrap().remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn counts_are_those_of_the_walk(
        (mut accelerator, schedule) in accelerators(),
        layer in layers(),
        prescribed in prop::option::of((1_u64..12, 1_u64..12, any::<bool>())),
        found in 0_u64..60,
    ) {
        if let Some((m_tile, n_tile, n_outside)) = prescribed {
            let order = if n_outside { LoopOrder::NOutside } else { LoopOrder::MOutside };
            let all = Rule { order: Some(order), m_tile: Some(m_tile), n_tile: Some(n_tile) };
            accelerator.mapping = MappingRules { all, ..accelerator.mapping.clone() };
        }
        let report = one(&accelerator, schedule, &layer);
        let mapping = Mapping {
            order: report.loop_order.unwrap(),
            m_tile: report.m_tile.unwrap(),
            n_tile: report.n_tile.unwrap(),
        };
        let Work::Gemm(shape) = layer.work else { return Ok(()) };
        let room = accelerator.memories.activation.bits() / 8;
        let problem = Problem::new(&accelerator, schedule, &layer, shape, [room, 0]);
        prop_assert_eq!(counted(&report), walk(&accelerator, problem, mapping));
        // With a part of the inputs on the chip already. (That of several groups has several beginnings.)
        if shape.groups() == 1 {
            let problem = Problem::new(&accelerator, schedule, &layer, shape, [room, found]);
            let walked = walk(&accelerator, problem, mapping).fetched_inputs;
            prop_assert_eq!(problem.fetched(mapping).ifmap, walked);
        }
    }

    #[test]
    fn the_mapper_finds_the_least_of_all_tiles((accelerator, schedule) in accelerators(), layer in layers()) {
        let chosen = one(&accelerator, schedule, &layer);
        let Work::Gemm(shape) = layer.work else { return Ok(()) };
        let problem = Problem::new(&accelerator, schedule, &layer, shape, [0; 2]);
        let [step_m, step_n] = problem.steps();
        let sizes = |size: u64, step: u64| (1..=size.div_ceil(step)).map(move |i| (i * step).min(size));
        let mut least = [f64::INFINITY; 2];
        for (_, order) in LoopOrder::ALL {
            // Tiles whose sums have room, if there are any.
            let most = problem.m_tile_for_sums();
            for m_tile in sizes(shape.m(), step_m).filter(|m_tile| *m_tile <= most) {
                for n_tile in sizes(shape.n(), step_n) {
                    let all = Rule { order: Some(order), m_tile: Some(m_tile), n_tile: Some(n_tile) };
                    let mut fixed = accelerator.clone();
                    fixed.mapping.all = all;
                    let report = one(&fixed, schedule, &layer);
                    let own = cycles::cost(&accelerator, &report);
                    if own < least {
                        least = own;
                    }
                }
            }
        }
        prop_assert_eq!(cycles::cost(&accelerator, &chosen), least);
    }

    #[test]
    fn every_byte_takes_the_bus((mut accelerator, schedule) in accelerators(), layer in layers()) {
        accelerator.dram.as_mut().unwrap().bytes_per_second = accelerator.clock_mhz * 1e6;
        let layer = Layer { weight_bits: 8, ..layer };
        let Work::Gemm(shape) = layer.work else { return Ok(()) };
        let report = one(&accelerator, Schedule { overlap: Overlap::None, ..schedule }, &layer);
        let bytes = report.dram_bytes_read + report.dram_bytes_written;
        // Each group rounds four sums down, and passes over a block of a tile are of equal size.
        let tiles = shape.m().div_ceil(report.m_tile.unwrap()) * shape.n().div_ceil(report.n_tile.unwrap());
        let blocks = shape.n().max(shape.m());
        let lost = shape.groups() * (8 + tiles * 2 * blocks);
        prop_assert!(report.stall_cycles <= bytes);
        let block = Problem::new(&accelerator, schedule, &layer, shape, [accelerator.memories.activation.bits() / 8, 0]);
        let mapping = Mapping { order: report.loop_order.unwrap(), m_tile: report.m_tile.unwrap(), n_tile: report.n_tile.unwrap() };
        let fetched = block.fetched(mapping);
        if shape.groups() == 1 && fetched.ifmap_reuse != Reuse::Block && fetched.filter_reuse != Reuse::Block {
            prop_assert_eq!(report.stall_cycles, bytes);
        } else {
            prop_assert!(report.stall_cycles + lost >= bytes, "{} of {}", report.stall_cycles, bytes);
        }
    }

    #[test]
    fn tiles_of_weights_lie_in_two_loads((accelerator, schedule) in accelerators(), layer in layers()) {
        let Work::Gemm(shape) = layer.work else { return Ok(()) };
        let problem = Problem::new(&accelerator, schedule, &layer, shape, [0; 2]);
        let [n, k, groups] = [shape.n(), shape.k(), shape.groups()].map(|size| size as usize);
        let weights = StreamedLayer {
            tensor: 0,
            codes: n * k * groups,
            bits: layer.weight_bits,
            product: Product { n, k, groups },
        };
        let geometry = accelerator.memories.weight.geometry;
        let placed =
            StreamedPlacement::of_layers(geometry, accelerator.array, schedule.dataflow, 1, [weights]);
        let Ok(placed) = placed else {
            // Half of the memory holds no row: nothing is kept.
            prop_assert!(!problem.weights_fit() && problem.n_tile_for_weights() == 0);
            return Ok(());
        };
        let loads = &placed.tensors[0].loads;
        let load_of = |place: usize| loads.partition_point(|load| load.first <= place);
        let spans = |first: usize, codes: usize| load_of(first + codes - 1) - load_of(first) + 1;
        if problem.weights_fit() {
            for group in 0..groups {
                prop_assert!(spans(group * n * k, n * k) <= 2);
            }
        }
        let n_tile = problem.n_tile_for_weights() as usize;
        if n_tile > 0 && problem.streams() != Dimension::N {
            for first in (0..n * groups).step_by(n).flat_map(|group| (0..n).step_by(n_tile).map(move |n| group + n)) {
                let columns = n_tile.min(n - first % n);
                prop_assert!(spans(first * k, columns * k) <= 2);
            }
        }
    }

    #[test]
    fn stretches_are_those_of_the_worst_tile(
        (rows, columns) in (1_u64..9, 1_u64..9),
        (high, wide) in (1_u64..4, 1_u64..4),
        (down, across) in (1_u64..4, 1_u64..4),
        (channels, m_tile) in (1_u64..3, 1_u64..40),
    ) {
        let window = Window {
            input: [(rows - 1) * down + high, (columns - 1) * across + wide],
            kernel: [high, wide],
            stride: [down, across],
            dilation: [1, 1],
            channels,
            output: [rows, columns],
        };
        let m_tile = m_tile.min(window.count());
        let first = |pixel: u64| {
            (pixel / columns * down * window.input[1] + pixel % columns * across) * channels
        };
        let reach = ((high - 1) * window.input[1] + wide) * channels;
        let worst = blocks(window.count(), m_tile)
            .into_iter()
            .map(|tile| first(tile.end - 1) + reach - first(tile.start))
            .max()
            .unwrap();
        let aligned = is_aligned(&window, m_tile);
        let found = stretch(&window, m_tile, 1, aligned);
        prop_assert!(found >= worst, "{} {}", found, worst);
        // Every tile of a size that is aligned is as long as the first; others meet their worst beginning
        // if there are enough of them.
        if aligned {
            prop_assert_eq!(found, worst);
        }
    }
}

#[test]
fn inputs_that_a_stride_skips_are_not_fetched() {
    // 6 x 5 x 2 inputs, kernel 2 x 1, stride 2 x 2: 60 inputs in the image, 9 x 4 in the activation matrix. Five
    // outputs slide through 52 bytes, eight do not: they fetch 36 bytes.
    let mut accelerator = Accelerator::load("gemmini-16").unwrap();
    accelerator.array = ArraySize::new(1, 3).unwrap();
    let memories = &mut accelerator.memories;
    for (memory, rows) in
        [(&mut memories.weight, 1), (&mut memories.activation, 13), (&mut memories.accumulator, 24)]
    {
        memory.geometry = Geometry::new(1, rows, 32).unwrap();
        memory.word_bits = 8;
    }
    let schedule = Schedule {
        weights: Residence::Streamed,
        activations: Residence::Streamed,
        ..Schedule::of(&accelerator)
    };
    let convolution = Convolution { stride: [2, 2], ..Convolution::new([6, 5], [2, 1], 2, 1) };
    let layer = Layer::convolution("x", &convolution).unwrap();
    assert_eq!((layer.inputs, layer.outputs), (60, 9));
    assert_eq!(one(&accelerator, schedule, &layer).dram_reads_ifmap, Some(36));
}

#[test]
fn sums_of_a_tile_have_words_of_their_own() {
    // The words of `SumPlacement`, for every tile that the mapper may choose.
    for (words, columns, m) in [(64_u64, 16_u64, 100_u64), (70, 16, 33), (9, 4, 40)] {
        let rows = words / columns;
        for tile in blocks(m, rows) {
            let used: BTreeSet<u64> = tile
                .clone()
                .flat_map(|pixel| {
                    (0..columns).map(move |filter| (pixel * columns + filter) % words)
                })
                .collect();
            assert_eq!(used.len() as u64, (tile.end - tile.start) * columns);
        }
    }
}
