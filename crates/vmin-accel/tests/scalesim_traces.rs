//! The buffer models behind the `scalesim-v3` counts, against slow walks over every demand.
//!
//! The walks treat traces as the tool does, element by element: sets of addresses fill up and are
//! forgotten, lines fill up and are drained.

use std::collections::HashSet;

use proptest::prelude::*;
use vmin_accel::dataflow::Operand;
use vmin_accel::scalesim::{self, Buffers, Demand, Span, Spans, Window};
use vmin_accel::{ArraySize, Dataflow};

/// A read buffer: an address that is in none of the sets is fetched; sets hold a hundredth of the
/// buffer, and with the fiftieth all are forgotten.
fn read(demand: &Demand<'_>, operand: Operand, bytes: u64) -> Span {
    let set_words = bytes / 100;
    let mut sets: Vec<HashSet<u64>> = vec![HashSet::new()];
    let (mut words, mut sets_filled) = (0, 0);
    let (mut first, mut last_full) = (None, None);
    demand.for_each(operand, |visit| {
        let Some(address) = visit.address else { return };
        first.get_or_insert(visit.cycle);
        if sets.iter().any(|set| set.contains(&address)) {
            return;
        }
        words += 1;
        let set = sets.last_mut().expect("never empty");
        set.insert(address);
        if set.len() as u64 == set_words {
            sets_filled += 1;
            if sets.len() == 50 {
                sets.clear();
                last_full = Some(visit.cycle);
            }
            sets.push(HashSet::new());
        }
    });
    let open = u64::from(sets.last().is_some_and(|set| !set.is_empty()));
    let first = first.expect("some demand").cast_signed();
    let fill_cycles = |sets: u64| (sets * set_words).div_ceil(10).cast_signed();
    match last_full {
        None => Span { start: -fill_cycles(sets_filled + open), stop: -1, words },
        Some(cycle) => {
            Span { start: first - fill_cycles(50), stop: cycle.cast_signed() + 1, words }
        }
    }
}

/// The output buffer, word by word.
struct WriteBuffer {
    bytes: i64,
    columns: u64,
    /// Words per line; lines before `drained` are out.
    lines: Vec<u64>,
    drained: usize,
    open: u64,
    free: i64,
    written: u64,
    cycles: Vec<u64>,
}

impl WriteBuffer {
    fn close(&mut self) {
        if self.open > 0 {
            self.lines.push(self.open);
            self.open = 0;
        }
    }

    fn drain(&mut self, cycle: u64) -> u64 {
        let lines = (self.bytes.unsigned_abs() / 2).div_ceil(self.columns);
        let end = self.lines.len().min(self.drained + usize::try_from(lines).unwrap());
        let count = (end - self.drained) as u64;
        let words = count * self.columns - (self.columns - self.lines[end - 1]);
        self.written += words;
        self.free += words.cast_signed();
        self.drained = end;
        self.cycles.extend(cycle..cycle + count);
        cycle + count - 1
    }
}

fn write(demand: &Demand<'_>, columns: u64, bytes: u64) -> Span {
    let signed = bytes.cast_signed();
    let mut buffer = WriteBuffer {
        bytes: signed,
        columns,
        lines: Vec::new(),
        drained: 0,
        open: 0,
        free: signed,
        written: 0,
        cycles: Vec::new(),
    };
    let mut busy_until = 0;
    demand.for_each(Operand::Ofmap, |visit| {
        buffer.open += 1;
        buffer.free -= 1;
        if buffer.open == columns {
            buffer.close();
        }
        if visit.cycle < busy_until {
            assert!(buffer.free > 0, "the array would wait");
        } else if buffer.free < signed - signed / 2 {
            buffer.close();
            busy_until = buffer.drain(visit.cycle);
        }
    });
    buffer.close();
    let mut cycle = demand.cycles() - 1;
    while buffer.drained < buffer.lines.len() {
        cycle = buffer.drain(cycle) + 1;
    }
    Span {
        start: buffer.cycles.iter().min().expect("some result").cast_signed(),
        stop: buffer.cycles.iter().max().expect("some result").cast_signed(),
        words: buffer.written,
    }
}

/// First and last demand with an address, `late` cycles later, and all words asked for.
fn demands(demand: &Demand<'_>, operand: Operand, late: i64) -> (i64, i64, u64) {
    let (mut first, mut last, mut words) = (i64::MAX, i64::MIN, 0);
    demand.for_each(operand, |visit| {
        words += 1;
        if visit.address.is_some() {
            first = first.min(visit.cycle.cast_signed() + late);
            last = last.max(visit.cycle.cast_signed() + late);
        }
    });
    (first, last, words)
}

fn slow(
    array: ArraySize,
    dataflow: Dataflow,
    window: &Window,
    filters: u64,
    buffers: Buffers,
) -> Spans {
    let demand = Demand::new(array, dataflow, window, filters);
    let sram = |operand, late| {
        let (start, stop, mut words) = demands(&demand, operand, late);
        if operand == Operand::Ofmap && dataflow.sums_stay() {
            // The tool's counter adds rows and columns once per fold.
            let [rows, columns, _] = dataflow.laid([window.count(), filters, window.length()]);
            let folds = rows.div_ceil(array.rows()) * columns.div_ceil(array.columns());
            words += folds * (array.rows() + array.columns());
        }
        Span { start, stop, words }
    };
    Spans {
        sram: [sram(Operand::Ifmap, 1), sram(Operand::Filter, 1), sram(Operand::Ofmap, 0)],
        dram: [
            read(&demand, Operand::Ifmap, buffers.ifmap_bytes),
            read(&demand, Operand::Filter, buffers.filter_bytes),
            write(&demand, array.columns(), buffers.ofmap_bytes),
        ],
    }
}

fn buffers() -> impl Strategy<Value = Buffers> {
    let bytes = || prop_oneof![300_u64..600, 600_u64..3000].prop_map(|bytes| bytes / 2 * 2);
    (bytes(), bytes(), bytes()).prop_map(|(ifmap_bytes, filter_bytes, ofmap_bytes)| Buffers {
        ifmap_bytes,
        filter_bytes,
        ofmap_bytes,
    })
}

fn windows() -> impl Strategy<Value = Window> {
    let convolution = ([1_u64..14, 1_u64..14], [1_u64..4, 1_u64..4], 1_u64..9, 1_u64..4)
        .prop_filter_map("a window in the input", |(input, kernel, channels, stride)| {
            Window::scalesim(input, kernel, channels, [stride, stride])
        });
    prop_oneof![
        4 => convolution,
        1 => (1_u64..60, 1_u64..60).prop_map(|(m, k)| Window::product(m, k)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn fast_and_slow_agree(
        rows in 1_u64..20, columns in 1_u64..20, window in windows(), filters in 1_u64..50,
        buffers in buffers(),
    ) {
        let array = ArraySize::new(rows, columns).expect("a small array");
        for &(name, dataflow) in Dataflow::ALL {
            let fast = scalesim::spans(array, dataflow, &window, filters, buffers);
            let slow = slow(array, dataflow, &window, filters, buffers);
            prop_assert_eq!(fast, Some(slow), "{}", name);
        }
    }
}

#[test]
fn a_convolution_that_does_not_fit_repeats_its_epochs() {
    // Many blocks of columns over overlapping windows: the walk ends early, the counts do not change.
    let array = ArraySize::new(8, 2).expect("a small array");
    let window = Window::scalesim([14, 14], [3, 3], 8, [1, 1]).expect("a window");
    let buffers = Buffers { ifmap_bytes: 1000, filter_bytes: 1000, ofmap_bytes: 1000 };
    for dataflow in ["ws", "os"].map(|word| Dataflow::named(word).unwrap()) {
        let fast = scalesim::spans(array, dataflow, &window, 150, buffers).expect("counted");
        assert_eq!(fast, slow(array, dataflow, &window, 150, buffers));
        assert!(fast.dram[0].words > 10 * window.addresses());
    }
}

#[test]
fn what_the_tool_cannot_do_has_no_number() {
    let array = ArraySize::new(64, 64).expect("an array");
    let window = Window::product(100, 100);
    let small = Buffers { ifmap_bytes: 128, filter_bytes: 1024, ofmap_bytes: 1024 };
    assert_eq!(scalesim::spans(array, Dataflow::default(), &window, 3, small), None);
    assert_eq!(Window::scalesim([3, 3], [4, 1], 1, [1, 1]), None);
    assert_eq!(Window::scalesim([3, 3], [1, 1], 1, [0, 1]), None);
    assert_eq!(Window::scalesim([1 << 24, 1 << 24], [1, 1], 1 << 24, [1, 1]), None);
}
